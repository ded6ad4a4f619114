"""Logistic regression with every gradient counted: gradient descent, SVRG and Newton, for LiSSA to stand beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro.secondorder import _arguments

PORTION = 1024  # steps of the stochastic methods whose samples are gathered at a time


def logistic_loss(decay: float) -> Callable[..., torch.Tensor]:
    """``loss(w (..., d), x (n, d), y (n,) in {-1, 1}) -> (...)``: mean log(1 + exp(-y x.w)) + decay/2 ||w||^2.

    Examples
    --------
    >>> round(logistic_loss(0.1)(torch.zeros(2), torch.eye(2), torch.ones(2)).item(), 4)
    0.6931
    """
    decay = _validate.real("decay", decay, 0)

    def loss(w: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.softplus(-y * (w @ x.mT)).mean(-1) + decay / 2 * w.square().sum(-1)

    return loss


def gradient(w, x, y, decay):
    """Of ``logistic_loss`` at w (..., d)."""
    return -(y * torch.sigmoid(-y * (w @ x.mT))) @ x / len(x) + decay * w


def logistic_newton(x: torch.Tensor, y: torch.Tensor, decay: float, *, steps: int, w0: torch.Tensor | None = None):
    """Newton's iterates (steps + 1, d) for the logistic loss, from zero unless ``w0`` is given.

    Raises ``ValueError`` for decay <= 0 or steps < 1, and for x (n, d), y (n,) or w0 (d,) that do not fit.

    Examples
    --------
    >>> path = logistic_newton(torch.eye(2).double(), torch.ones(2).double(), 0.1, steps=8)
    >>> bool((path[-1] - path[-2]).norm() < 1e-12)
    True
    """
    _arguments.signs(x, y)
    decay, steps = _validate.real("decay", decay, 0, open_low=True), _validate.positive_int("steps", steps)
    w = torch.zeros(x.shape[1], dtype=x.dtype, device=x.device) if w0 is None else w0
    if _validate.float_tensor("w0", w).shape != x.shape[1:]:
        raise ValueError(f"w0 must have shape {tuple(x.shape[1:])}, got {tuple(w.shape)}")
    _validate.same_kind(x=x, w0=w)
    path = [w]
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    for _ in range(steps):
        p = torch.sigmoid(x @ w)
        H = (x.mT * (p * (1 - p))) @ x / len(x) + decay * eye
        w = w - torch.linalg.solve(H, gradient(w, x, y, decay))
        path.append(w)
    return torch.stack(path)


def logistic_descent(x: torch.Tensor, y: torch.Tensor, decay: float, *, lr: torch.Tensor, steps: int) -> torch.Tensor:
    """Gradient descent from zero: iterates (steps + 1, ..., d) for step sizes ``lr`` (...); n oracle calls a step.

    Raises ``ValueError`` for decay < 0, steps < 1, rates that are not positive, and x and y that do not fit.

    Examples
    --------
    >>> logistic_descent(torch.eye(2), torch.ones(2), 0.1, lr=torch.tensor([1.0, 2.0]), steps=3).shape
    torch.Size([4, 2, 2])
    """
    _arguments.signs(x, y)
    decay, steps = _validate.real("decay", decay, 0), _validate.positive_int("steps", steps)
    _rates(lr)
    w = torch.zeros(*lr.shape, x.shape[1], dtype=x.dtype, device=x.device)
    path = [w]
    for _ in range(steps):
        w = w - lr.to(w)[..., None] * gradient(w, x, y, decay)
        path.append(w)
    return torch.stack(path)


def logistic_svrg(
    x: torch.Tensor,
    y: torch.Tensor,
    decay: float,
    *,
    lr: torch.Tensor,
    epochs: int,
    seeds: Sequence[int],
    inner: int | None = None,
    plain=False,
) -> torch.Tensor:
    """SVRG from zero (Johnson and Zhang 2013): steps on single samples in every epoch, reference at its start.

    Parameters
    ----------
    lr
        (R,) step sizes; every seed runs with each of them on one and the same stream of samples.
    inner
        Steps on single samples in an epoch; n unless given.
    plain
        Stochastic gradient descent with the step size lr/(1 + 2 epoch) instead, without references.

    Returns
    -------
    (epochs + 1, R, S, d). An epoch costs n + 2 inner oracle calls (3 n by default), plain inner.

    Raises ``ValueError`` for epochs or inner < 1, decay < 0, rates that are not positive, no seeds, and x and y that do
    not fit.

    Examples
    --------
    >>> logistic_svrg(torch.eye(2), torch.ones(2), 0.1, lr=torch.tensor([0.5]), epochs=2, seeds=[0, 1]).shape
    torch.Size([3, 1, 2, 2])
    """
    _arguments.signs(x, y)
    decay, epochs = _validate.real("decay", decay, 0), _validate.positive_int("epochs", epochs)
    if _rates(lr).ndim != 1:
        raise ValueError(f"lr must have shape (R,), got {tuple(lr.shape)}")
    seeds = [_validate.seed("a seed", seed) for seed in _validate.sequence("seeds", seeds)]
    inner = len(x) if inner is None else _validate.positive_int("inner", inner)
    streams = [torch.Generator().manual_seed(seed) for seed in seeds]
    n, d = x.shape
    w = torch.zeros(len(lr), len(seeds), d, dtype=x.dtype, device=x.device)
    rate = lr.to(w)[:, None, None]
    signed = -y[:, None] * x  # the gradient of one sample is sigmoid(signed.w) signed + decay w
    path = [w]
    for epoch in range(epochs):
        drawn = [torch.randint(n, (inner,), generator=each, device="cpu") for each in streams]
        rows = torch.stack(drawn, 1).to(x.device)
        reference, full = w, gradient(w, x, y, decay)
        step = rate / (1 + 2 * epoch) if plain else rate
        # The steps are small and many: what does not depend on w is computed before, the rest in place.
        shrink, drift, w = 1 - step * decay, step * (full - decay * reference), w.clone()
        for portion in rows.split(PORTION):
            samples = signed[portion]  # (steps, S, d)
            fixed = None if plain else torch.sigmoid(torch.einsum("tsd,rsd->trs", samples, reference))[..., None]
            for t, a in enumerate(samples):
                weight = torch.sigmoid((a * w).sum(-1, keepdim=True))
                w.mul_(shrink)
                if fixed is not None:
                    weight.sub_(fixed[t])
                    w.sub_(drift)
                w.addcmul_(weight.mul_(step), a, value=-1)
        path.append(w)
    return torch.stack(path)


def _rates(lr: torch.Tensor) -> torch.Tensor:
    if not bool((_validate.float_tensor("lr", lr).isfinite() & (lr > 0)).all()):
        raise ValueError(f"lr must hold positive numbers, got {lr}")
    return lr


def calls_to_distance(distance: torch.Tensor, cost: float, tolerance: float) -> torch.Tensor:
    """Oracle calls until a distance (steps + 1, ...) is at most ``tolerance`` for the first time; inf if never.

    ``cost`` is what a step takes. Raises ``ValueError`` for a distance that is no floating-point tensor with at least
    one step, and numbers that are not finite.

    Examples
    --------
    >>> calls_to_distance(torch.tensor([[1.0, 1.0], [0.1, 1.0]]), 10, 0.5).tolist()
    [10.0, inf]
    """
    if not len(_validate.float_tensor("distance", distance, 1)):
        raise ValueError(f"distance must hold at least one step, got shape {tuple(distance.shape)}")
    cost, tolerance = _validate.real("cost", cost, 0), _validate.real("tolerance", tolerance)
    reached = distance <= tolerance
    first = reached.to(torch.int64).argmax(0).to(torch.float64)
    return torch.where(reached.any(0), cost * first, torch.inf)
