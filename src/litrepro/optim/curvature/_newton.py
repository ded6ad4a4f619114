"""Descent with second-order information: directions of negative curvature, Newton and saddle-free Newton."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro._scaling import length
from litrepro.landscape import gradient, hessian
from litrepro.optim._descend import Path, Recorder, check_start
from litrepro.optim._steps import expand_lr
from litrepro.solvers import hvp

Fun = Callable[[torch.Tensor], torch.Tensor]


def negative_curvature(
    fun: Fun,
    x: torch.Tensor,
    *,
    radius: float,
    steps: int,
    lr: float,
    generator: torch.Generator | int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A direction of negative curvature from gradients alone: NEON as a power method (Xu, Jin and Yang 2017).

    u <- u - lr (grad f(x + u) - grad f(x)) from a random u of norm ``radius``, rescaled to ``radius`` whenever longer.

    Parameters
    ----------
    x
        (..., d).
    radius, steps, lr
        Positive; lr below 1/smoothness.
    generator
        Source of the first u, or a seed (None: 0).

    Returns
    -------
    v (..., d) of unit norm and its curvature v.Hv at x, (...); nan for a trial whose gradients are not finite.

    Raises ``ValueError`` for constants that are not positive, x without coordinates, and a ``fun`` that does
    not take x.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4
    >>> v, curvature = negative_curvature(f, torch.zeros(2, dtype=torch.float64), radius=1e-3, steps=100, lr=0.3)
    >>> round(abs(v[1].item()), 3), round(curvature.item(), 3)
    (1.0, -1.0)
    """
    _validate.float_tensor("x", x, 1)
    radius = _validate.real("radius", radius, 0, open_low=True)
    steps = _validate.positive_int("steps", steps)
    lr = _validate.real("lr", lr, 0, open_low=True)
    if x.shape[-1] == 0:
        raise ValueError(f"x must be (..., d) with d >= 1, got shape {tuple(x.shape)}")
    generator = _validate.random_source("generator", generator)
    _validate.function("fun", fun)
    here = _validate.answer("fun", lambda at: gradient(fun, at), x)
    u = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device)
    u = radius * u / u.norm(dim=-1, keepdim=True)
    for _ in range(steps):
        u = u - lr * (gradient(fun, x + u) - here)
        size = u.norm(dim=-1, keepdim=True)
        u = torch.where(size > radius, u * (radius / size), u)
    # On a strictly convex quadratic u shrinks: by its largest entry first, for its squares may be denormal, and where
    # it is zero any direction is as good. A trial that diverged has none.
    u = u / u.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(u.dtype).tiny)
    size = u.norm(dim=-1, keepdim=True)
    first = torch.zeros_like(u)
    first[..., 0] = 1.0
    v = torch.where(size == 0, first, u / size)
    return v, (v * hvp(fun, x, v)).sum(-1)


def newton_descent(
    fun: Fun,
    x0: torch.Tensor,
    steps: int,
    *,
    kind: str = "saddle-free",
    damping: float = 0.0,
    lr: float | torch.Tensor = 1.0,
    max_step: float | None = None,
) -> Path:
    """Newton's method with a dense Hessian, and the variant that saddles repel (Dauphin et al. 2014).

    With H = V diag(lambda) V': dx = -V diag(1/(|lambda| + damping)) V' g for ``"saddle-free"``, and
    sign(lambda) (|lambda| + damping) in the denominator for ``"newton"``, with sign(0) = 1.

    Parameters
    ----------
    fun, x0, steps
        As in ``descend``; x0 (..., d).
    damping
        >= 0. A zero eigenvalue without damping moves nothing along its eigenvector if the gradient has no part there.
    lr
        Positive number, or tensor over leading dimensions.
    max_step
        A trial's step lr dx longer than this is scaled to it, an infinite one too; None: no limit.

    Returns
    -------
    Path without events.

    Raises ``ValueError`` as ``descend``; for a ``fun`` that does not take x0, precision other than float32 and
    float64, an unknown kind, damping < 0 and max_step <= 0.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2  # a saddle at 0
    >>> x0 = torch.tensor([1.0, 0.5])
    >>> bool(newton_descent(f, x0, 1, kind="newton").x[-1].norm() < 1e-6)  # jumps onto the saddle
    True
    >>> bool((newton_descent(f, x0, 1).x[-1] - torch.tensor([0.0, 1.0])).norm() < 1e-6)  # leaves it
    True
    """
    x = check_start(fun, x0, steps, None, 1)
    if fun is None:
        raise ValueError("newton_descent needs fun: it differentiates it twice")
    _validate.function("fun", fun)
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"x0 must be float32 or float64, got {x.dtype}")
    _validate.choice("kind", kind, ("saddle-free", "newton"))
    damping = _validate.real("damping", damping, 0)
    if max_step is not None:
        max_step = _validate.real("max_step", max_step, 0, open_low=True)
    step_size = expand_lr(lr, x)
    limit = None if max_step is None else max_step / step_size
    record = Recorder(fun, steps, 1)
    _validate.answer("fun", lambda start: record(0, start), x)
    for t in range(1, steps + 1):
        step = step_size * _newton_step(fun, x, kind, damping, limit)
        if max_step is not None:
            size = length(step, keepdim=True)
            step = torch.where(size > max_step, step * (max_step / size), step)
        x = x + step
        record(t, x)
    return record.path()


def _newton_step(fun: Fun, x: torch.Tensor, kind: str, damping: float, limit: float | torch.Tensor | None):
    """The step (..., d); an infinite one is shortened to ``limit``, if that is given."""
    matrix = hessian(fun, x)
    # A trial that diverged must not stop the others: its eigenproblem is replaced, its step is nan.
    finite = torch.isfinite(matrix).flatten(-2).all(-1)
    identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    values, vectors = torch.linalg.eigh(torch.where(finite[..., None, None], matrix, identity))
    size = values.abs() + damping
    if kind == "newton":
        size = torch.where(values < 0, -size, size)
    slope = torch.einsum("...ji,...j->...i", vectors, gradient(fun, x))
    along = torch.where((size == 0) & (slope == 0), slope, slope / size)
    if limit is not None:
        # Infinite along some eigenvectors, a step goes along these alone, as far along each as the slopes say.
        endless = along.isinf()
        way = torch.where(endless, slope.abs().copysign(along), 0.0)
        way = way / length(way, keepdim=True) * limit
        along = torch.where(endless.any(-1, keepdim=True), way, along)
    step = -torch.einsum("...ij,...j->...i", vectors, along)
    return torch.where(finite[..., None], step, torch.nan)
