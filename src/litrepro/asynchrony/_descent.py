"""Descent with stale gradients: single runs, their exact mean, and the recursion with momentum that the mean obeys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from litrepro import _validate
from litrepro.asynchrony._staleness import check_delays

Gradient = Callable[[torch.Tensor], torch.Tensor]


def async_descent(
    grad: Gradient,
    w0: torch.Tensor,
    delays: torch.Tensor,
    *,
    lr: float | torch.Tensor,
    momentum: float | torch.Tensor = 0.0,
) -> torch.Tensor:
    """Heavy ball with stale gradients: w_{t+1} = w_t - lr grad(w_{t-tau_t}) + momentum (w_t - w_{t-1}).

    Before time 0 everything stands still: w_s = w_0 for s < 0.

    Parameters
    ----------
    grad
        ``(..., d) -> (..., d)``, applied to every row by itself.
    w0
        (..., d): start. Its batch broadcasts against that of ``delays``.
    delays
        (..., T) integers tau_t >= 0; a delay beyond the start reads w_0.
    lr, momentum
        Numbers, or tensors that broadcast to the batch (...); lr > 0, momentum any real number.

    Returns
    -------
    (T + 1, ..., d), the start first. A trial that diverges becomes inf or nan by itself.

    Raises
    ------
    ValueError
        Delays that are negative or no integers, batches that do not broadcast, bad step sizes, a ``grad`` that cannot
        be called or returns another shape.

    Source: Mitliagkas et al. 2016, section II and theorem 4; equation 8 of the review.

    Examples
    --------
    >>> import torch
    >>> delays = torch.tensor([0, 1, 0])  # the second gradient is that of the start
    >>> async_descent(lambda w: w, torch.ones(1), delays, lr=0.5).flatten()
    tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """
    _start(grad, w0)
    check_delays(delays)
    try:
        batch = torch.broadcast_shapes(w0.shape[:-1], delays.shape[:-1])
    except RuntimeError:
        raise ValueError(
            f"batches of w0 (..., d) and delays (..., T) must broadcast, got {tuple(w0.shape)}, {tuple(delays.shape)}"
        ) from None
    lr, momentum = _per_trial("lr", lr, w0, batch, 0), _per_trial("momentum", momentum, w0, batch)
    steps, d = delays.shape[-1], w0.shape[-1]
    rows = batch.numel()
    # One row per trial: then a read of trial i at its own time is plain indexing.
    path = w0.new_empty(steps + 1, rows, d)
    path[0] = w0.detach().expand(*batch, d).reshape(rows, d)
    lr, momentum = (v.expand(*batch, 1).reshape(rows, 1) if isinstance(v, torch.Tensor) else v for v in (lr, momentum))
    moving = isinstance(momentum, torch.Tensor) or momentum != 0
    flat, trial = path.view((steps + 1) * rows, d), torch.arange(rows, device=w0.device)
    late = delays.to(w0.device, torch.int64).expand(*batch, steps).reshape(rows, steps).T.contiguous()
    for t in range(steps):
        read = flat.index_select(0, (t - late[t]).clamp(min=0) * rows + trial).reshape(*batch, d)
        gradient = _gradient(grad, read).reshape(rows, d)
        if isinstance(lr, torch.Tensor):
            torch.addcmul(path[t], gradient, lr, value=-1, out=path[t + 1])
        else:
            torch.sub(path[t], gradient, alpha=lr, out=path[t + 1])
        if t and moving:
            path[t + 1] += momentum * (path[t] - path[t - 1])
    return path.reshape(steps + 1, *batch, d)


def expected_descent(
    grad: Gradient,
    w0: torch.Tensor,
    law: torch.Tensor,
    *,
    lr: float | torch.Tensor,
    momentum: float | torch.Tensor = 0.0,
    steps: int,
) -> torch.Tensor:
    """The exact mean of ``async_descent`` over independent delays, by convolution; for affine gradients.

    E w_{t+1} = E w_t - lr sum_l q_l grad(E w_{t-l}) + momentum (E w_t - E w_{t-1}), where reads before time 0, and the
    mass that ``law`` leaves out, fall on w_0. No momentum is assumed here: this is what the recursion is tested with.

    Parameters
    ----------
    grad
        ``(..., d) -> (..., d)``, affine; it is applied once to the mean iterate of every time.
    w0
        (..., d).
    law
        (L,) probabilities q_0, ..., q_{L-1} of the staleness, with sum at most 1; brought to the dtype of w0.
    lr, momentum
        As for ``async_descent``.
    steps
        Number of steps, >= 0.

    Returns
    -------
    (steps + 1, ..., d).

    Raises
    ------
    ValueError
        A law that is not one, bad sizes or step sizes, a ``grad`` that cannot be called or returns another shape.

    Source: equation 4 of the review.

    Examples
    --------
    >>> import torch
    >>> half = torch.tensor([0.5, 0.5])  # fresh or one step old, with equal chances
    >>> expected_descent(lambda w: w, torch.ones(1), half, lr=0.5, steps=2).flatten()
    tensor([1.0000, 0.5000, 0.1250])
    """
    _start(grad, w0)
    _validate.float_tensor("law", law, 1)
    # Of probabilities that sum to one, each is rounded by at most half an eps of itself.
    total, slack = law.double().sum().item(), max(1e-9, 4 * torch.finfo(law.dtype).eps)
    if law.ndim != 1 or not bool((law >= 0).all()) or not total <= 1 + slack:
        raise ValueError(f"law must be (L,) probabilities with sum <= 1, got sum {total:.9g}, shape {tuple(law.shape)}")
    batch = w0.shape[:-1]
    lr, momentum = _per_trial("lr", lr, w0, batch, 0), _per_trial("momentum", momentum, w0, batch)
    steps = _validate.positive_int("steps", steps, 0)
    q = law.to(w0)
    path = w0.detach().new_empty(steps + 1, *w0.shape)
    path[0] = w0.detach()
    gradients = torch.empty_like(path)
    for t in range(steps):
        gradients[t] = _gradient(grad, path[t])
        recent = q[: t + 1].flip(0)  # q_l meets time t - l
        mean = torch.tensordot(recent, gradients[t + 1 - len(recent) : t + 1], 1)
        mean = mean + (1 - recent.sum()) * gradients[0]
        path[t + 1] = path[t] - lr * mean
        if t:
            path[t + 1] += momentum * (path[t] - path[t - 1])
    return path


def momentum_recursion(
    grad: Gradient,
    w0: torch.Tensor,
    *,
    lr: float | torch.Tensor,
    staleness: float | torch.Tensor,
    momentum: float | torch.Tensor = 0.0,
    steps: int,
) -> torch.Tensor:
    """What the mean of asynchronous descent with geometric staleness mu and explicit momentum beta obeys.

    w_{t+1} = w_t + (beta + mu)(w_t - w_{t-1}) - beta mu (w_{t-1} - w_{t-2}) - (1 - mu) lr grad(w_t) for t >= 1, with
    w_{-1} = w_0 and a full first step w_1 = w_0 - lr grad(w_0): every read before time 0 returns w_0.

    Parameters
    ----------
    grad
        ``(..., d) -> (..., d)``.
    w0
        (..., d).
    lr, staleness, momentum
        Numbers, or tensors that broadcast to the batch (...); lr > 0, staleness in [0, 1), momentum any real number.
    steps
        Number of steps, >= 0.

    Returns
    -------
    (steps + 1, ..., d).

    Raises
    ------
    ValueError
        staleness outside [0, 1), bad step sizes or sizes, a ``grad`` that cannot be called or returns another shape.

    Source: Mitliagkas et al. 2016, theorem 4; equation 9 of the review.

    Examples
    --------
    >>> import torch
    >>> from litrepro.asynchrony import expected_descent, geometric_staleness
    >>> options = {"lr": 0.1, "steps": 20}
    >>> mean = expected_descent(lambda w: w, torch.ones(1).double(), geometric_staleness(0.75, 20), **options)
    >>> torch.allclose(momentum_recursion(lambda w: w, torch.ones(1).double(), staleness=0.75, **options), mean)
    True
    """
    _start(grad, w0)
    batch = w0.shape[:-1]
    lr, momentum = _per_trial("lr", lr, w0, batch, 0), _per_trial("momentum", momentum, w0, batch)
    mu = _per_trial("staleness", staleness, w0, batch)
    if not (bool(((mu >= 0) & (mu < 1)).all()) if isinstance(mu, torch.Tensor) else 0 <= mu < 1):
        raise ValueError(f"staleness must be in [0, 1), got {staleness}")
    steps = _validate.positive_int("steps", steps, 0)
    path = w0.detach().new_empty(steps + 1, *w0.shape)
    path[0] = w0.detach()
    if steps:
        path[1] = path[0] - lr * _gradient(grad, path[0])
    for t in range(1, steps):
        now, before, earlier = path[t], path[t - 1], path[max(t - 2, 0)]
        new = now + (momentum + mu) * (now - before) - momentum * mu * (before - earlier)
        path[t + 1] = new - (1 - mu) * lr * _gradient(grad, now)
    return path


def _start(grad: Any, w0: Any) -> None:
    _validate.function("grad", grad)
    _validate.float_tensor("w0", w0, 1)


def _per_trial(name: str, value: Any, w0: torch.Tensor, batch: torch.Size, low: float | None = None):
    """A number, or a tensor (..., 1) that multiplies rows of the batch; above ``low`` if that is given."""
    if not isinstance(value, torch.Tensor) or value.ndim == 0:
        return _validate.real(name, value) if low is None else _validate.real(name, value, low, open_low=True)
    try:
        fits = torch.broadcast_shapes(value.shape, batch) == batch
    except RuntimeError:
        fits = False
    if not fits or value.dtype == torch.bool or value.is_complex():
        raise ValueError(f"{name} must be real and broadcast to {tuple(batch)}, got {value.dtype} {tuple(value.shape)}")
    value = value.detach().to(w0)
    if not bool(torch.isfinite(value).all()) or (low is not None and not bool((value > low).all())):
        raise ValueError(f"{name} must be finite{'' if low is None else f' and > {low:g}'} everywhere, got {value}")
    return value[..., None]


def _gradient(grad: Gradient, w: torch.Tensor) -> torch.Tensor:
    g = grad(w)
    if not isinstance(g, torch.Tensor) or g.shape != w.shape:
        got = tuple(g.shape) if isinstance(g, torch.Tensor) else type(g).__name__
        raise ValueError(f"grad must return a tensor of shape {tuple(w.shape)}, got {got}")
    return g.detach().to(w)
