"""Negative-curvature descent and the accelerated method for non-convex functions that is built on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.optim._accelerated_convex import (
    Fun,
    counters,
    curved_start,
    gradient_of,
    positive,
    run_almost_convex,
    tested,
    told,
)
from litrepro.solvers import hvp
from litrepro.solvers._lanczos import extreme_pair


class CurvatureDescentResult(NamedTuple):
    """``x (..., d)``, and ``(...)``: last ``curvature`` v.Hv, ``steps`` (moves), ``oracle_calls``, ``converged``.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4
    >>> found = negative_curvature_descent(f, torch.zeros(2), hessian_lipschitz=6.0, alpha=0.5, gap=0.25)
    >>> bool(found.converged), bool(found.curvature > -0.25)
    (True, True)
    """

    x: torch.Tensor
    curvature: torch.Tensor
    steps: torch.Tensor
    oracle_calls: torch.Tensor
    converged: torch.Tensor


class AcceleratedResult(NamedTuple):
    """``x (..., d)``, and ``(...)``: ``grad_norm``, last ``curvature``, ``steps`` (calls of the almost convex method),
    ``oracle_calls``, ``converged``.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x.square().sum(-1) / 2
    >>> found = accelerated_nonconvex(f, torch.ones(3, 2), smoothness=1.0, hessian_lipschitz=1.0, gap=1.0, tol=0.01)
    >>> found.converged, bool((found.grad_norm <= 0.01).all())
    (tensor([True, True, True]), True)
    """

    x: torch.Tensor
    grad_norm: torch.Tensor
    curvature: torch.Tensor
    steps: torch.Tensor
    oracle_calls: torch.Tensor
    converged: torch.Tensor


def negative_curvature_descent(
    fn: Fun,
    x: torch.Tensor,
    *,
    hessian_lipschitz: float,
    alpha: float,
    gap: float,
    fail: float = 0.01,
    lanczos_steps: int | None = None,
    generator: torch.Generator | int | None = None,
) -> CurvatureDescentResult:
    """Move along negative curvature until there is none below -alpha/2 (Carmon et al. 2018, algorithm 1).

    v is the lowest Ritz vector of the Hessian at z, c = v.Hv. While c <= -alpha/2, z <- z - (2 |c|/L2) s v with s the
    sign of v.grad f(z). Where that slope is 0 up to rounding, as at a saddle, s makes the first of the largest entries
    of s v positive, so that a trial goes the same way whoever its neighbours are. Each move lowers f by at least
    2 |c|^3/(3 L2^2) >= alpha^3/(12 L2^2) (lemma 2.3), so that at most ceil(1 + 12 L2^2 gap/alpha^3) curvatures are
    looked at.

    Parameters
    ----------
    fn
        (..., d) -> (...), acting on each trial by itself, twice differentiable; always called on the full batch.
    x
        (..., d), d >= 1.
    hessian_lipschitz, alpha, gap
        L2, alpha > 0 and f(x) - min f > 0 (an upper bound of it).
    fail
        Probability in (0, 1) with which lambda_min >= -alpha may fail. It matters to a caller who caps Lanczos: about
        sqrt(L1/alpha) log(d/fail) steps reach the relative accuracy alpha/(4 L1) that is needed.
    lanczos_steps
        Most Hessian-vector products per move; None: d, and then ``curvature`` is the lowest eigenvalue.
    generator
        Draws the start of Lanczos for the whole batch at each move (one seeded with 0 if None). With fewer steps than
        dimensions, or where the lowest eigenvalue is a multiple one, the direction depends on that draw, and so on how
        many trials there are.

    Returns
    -------
    CurvatureDescentResult. Warns ``ConvergenceWarning`` if a trial met the cap or left the finite numbers.

    Raises ``ValueError`` for constants that are not positive and finite, an x that is not float32 or float64, fail
    outside (0, 1), lanczos_steps < 1.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4  # a saddle at 0
    >>> found = negative_curvature_descent(f, torch.zeros(2), hessian_lipschitz=6.0, alpha=0.5, gap=0.25)
    >>> bool(f(found.x) < 0), bool(found.steps > 0)
    (True, True)
    """
    x = curved_start(x)
    constants = [positive("hessian_lipschitz", hessian_lipschitz), positive("alpha", alpha), positive("gap", gap)]
    _check_fail(fail)
    if lanczos_steps is not None:
        lanczos_steps = _validate.positive_int("lanczos_steps", lanczos_steps)
    generator = _validate.random_source("generator", generator)
    everyone = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
    found = run_curvature_descent(fn, x, everyone, *constants, lanczos_steps, generator)
    return told(found, "negative_curvature_descent")


def default_alpha(*, smoothness: float, hessian_lipschitz: float, gap: float, tol: float) -> float:
    """Theorem 2.5's alpha = min(L1, max(tol^2/gap, sqrt(tol L2))). Raises ``ValueError`` unless all are positive.

    Examples
    --------
    >>> default_alpha(smoothness=1.0, hessian_lipschitz=4.0, gap=1.0, tol=0.0625)
    0.5
    """
    smoothness, hessian_lipschitz = positive("smoothness", smoothness), positive("hessian_lipschitz", hessian_lipschitz)
    gap, tol = positive("gap", gap), positive("tol", tol)
    return min(smoothness, max(tol**2 / gap, math.sqrt(tol * hessian_lipschitz)))


def ball_penalty(x: torch.Tensor, center: torch.Tensor, *, smoothness: float, radius: float) -> torch.Tensor:
    """L1 ([||x - c|| - r]_+)^2, (..., d) -> (...): convex, 2 L1-smooth, zero with its gradient inside the ball.

    The square is in algorithm 4; without it (as the review's text has it) the gradient jumps by L1 at the sphere.

    Raises ``ValueError`` for constants that are not positive and shapes that do not broadcast.

    Examples
    --------
    >>> import torch
    >>> ball_penalty(torch.tensor([[0.5, 0.0], [3.0, 0.0]]), torch.zeros(2), smoothness=1.0, radius=1.0)
    tensor([0., 4.])
    """
    _validate.float_tensor("x", x, 1)
    smoothness, radius = positive("smoothness", smoothness), positive("radius", radius)
    if not isinstance(center, torch.Tensor) or center.shape[-1:] != x.shape[-1:]:
        found = tuple(center.shape) if isinstance(center, torch.Tensor) else type(center).__name__
        raise ValueError(f"center must be (..., {x.shape[-1]}), got {found}")
    if center.is_complex() or center.dtype == torch.bool:
        raise ValueError(f"center must be real numbers, got {center.dtype}")
    _validate.broadcast(x=x.shape[:-1], center=center.shape[:-1])
    excess, _ = _excess(x - center, radius)
    return smoothness * excess**2


def accelerated_nonconvex(
    fn: Fun,
    x: torch.Tensor,
    *,
    smoothness: float,
    hessian_lipschitz: float,
    gap: float,
    tol: float,
    alpha: float | None = None,
    fail: float = 0.01,
    max_outer: int = 10_000,
    generator: torch.Generator | int | None = None,
) -> AcceleratedResult:
    """Second-order stationary points in about eps^(-7/4) gradients (Carmon et al. 2018, algorithm 4, theorem 2.5).

    Repeats: negative-curvature descent to x^; stop if ||grad f(x^)|| <= tol; ``almost_convex_agd`` from x^ on f plus
    ``ball_penalty`` of radius alpha/L2 around x^, with tolerance tol/2, gamma = min(3 alpha, 5 L1), smoothness 5 L1.

    Parameters
    ----------
    fn, x
        As in ``negative_curvature_descent``.
    smoothness, hessian_lipschitz, gap, tol
        L1, L2, f(x) - min f (an upper bound) and the tolerance, all positive.
    alpha
        None: ``default_alpha``. From L1 on there is nothing to do for negative-curvature descent, and it is left out.
    max_outer
        Most rounds; the theorem's ceil(1 + gap (12 L2^2/alpha^3 + sqrt(10) L2/(alpha tol))) if that is less.

    Returns
    -------
    AcceleratedResult. With high probability lambda_min >= -2 alpha at a converged x. ``curvature`` is nan if alpha
    >= L1. Warns ``ConvergenceWarning`` if a trial was stopped by a cap or left the finite numbers.

    Raises ``ValueError`` for constants that are not positive and finite, an x that is not float32 or float64, fail
    outside (0, 1), max_outer < 1.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4  # minima at (0, -1) and (0, 1)
    >>> start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    >>> found = accelerated_nonconvex(f, start, smoothness=8.0, hessian_lipschitz=8.0, gap=1.0, tol=0.01)
    >>> bool((found.x.abs() - torch.tensor([0.0, 1.0])).norm() < 0.05)
    True
    """
    x = curved_start(x)
    derived = default_alpha(smoothness=smoothness, hessian_lipschitz=hessian_lipschitz, gap=gap, tol=tol)
    alpha = derived if alpha is None else positive("alpha", alpha)
    l1, l2, gap, tol = float(smoothness), float(hessian_lipschitz), float(gap), float(tol)
    _check_fail(fail)
    bound = 1 + gap * (12 * l2**2 / alpha**3 + math.sqrt(10) * l2 / (alpha * tol))
    most = min(_validate.positive_int("max_outer", max_outer), math.ceil(min(bound, 1e18)))
    generator = _validate.random_source("generator", generator)
    # Every round has its own stream, so that a trial's draws do not depend on how long its neighbours need.
    base = int(torch.randint(2**62, (), generator=generator, device=generator.device))

    steps, calls, norm, converged, running = counters(x)
    curvature = torch.full_like(norm, torch.nan)
    grad = gradient_of(fn)
    for k in range(most):
        certified = running
        if alpha < l1:
            stream = torch.Generator().manual_seed((base + 1_000_003 * k) % 2**63)
            down = run_curvature_descent(fn, x, running, l2, alpha, gap, None, stream)
            x, calls, certified = down.x, calls + down.oracle_calls, down.converged
            curvature = torch.where(running, down.curvature, curvature)
            running = running & ~curvature.isnan()  # no curvature at all: it ends here, and is not certified
        calls += running
        small = torch.zeros_like(converged)
        norm, rest = tested(grad(x), norm, small, running, tol)
        converged |= small & certified
        running = rest | (small & ~certified)
        if not bool(running.any()):
            break
        inside = _with_penalty(grad, x, l1, alpha / l2)
        found = run_almost_convex(inside, x, running, 5 * l1, min(3 * alpha, 5 * l1), tol / 2, 10_000, 100_000)
        x, calls, steps = found.x, calls + found.oracle_calls, steps + running
    else:  # the cap: say where it stopped
        calls += running
        norm, _ = tested(grad(x), norm, torch.zeros_like(converged), running, tol)
    return told(AcceleratedResult(x, norm, curvature, steps, calls, converged), "accelerated_nonconvex")


def run_curvature_descent(fn: Fun, z, running, l2, alpha, gap, lanczos_steps, generator) -> CurvatureDescentResult:
    """``negative_curvature_descent`` on the trials of ``running``."""
    steps, calls, curvature, converged, _ = counters(z)
    grad = gradient_of(fn)
    for _ in range(math.ceil(min(1 + 12 * l2**2 * gap / alpha**3, 1e18))):
        v0 = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=generator.device).to(z.device)
        product, counted, broken = _counting_products(fn, z, running)
        found = extreme_pair(product, v0, steps=lanczos_steps, which="min")
        calls += counted()
        finite = torch.isfinite(z).all(-1) & ~broken
        curvature = torch.where(running, torch.where(finite, found.value, torch.nan), curvature)
        converged |= running & (curvature > -alpha / 2)
        running = running & (curvature <= -alpha / 2)
        if not bool(running.any()):
            break
        v = _uphill(found.vector, grad(z))
        calls += running
        steps += running
        move = (2 * found.value.abs() / l2)[..., None] * v
        z = torch.where(running[..., None], z - move, z)
    return CurvatureDescentResult(z, curvature, steps, calls, converged)


def _uphill(v: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """v with the sign along which f rises; where rounding would choose it, its first largest entry is positive.

    Lanczos returns either sign, by its random start, which depends on the whole batch.
    """
    slope = (v * gradient).sum(-1, keepdim=True)
    flat = slope.abs() <= 64 * torch.finfo(v.dtype).eps * gradient.abs().amax(-1, keepdim=True)
    size = v.abs()
    first = (size >= 0.999 * size.amax(-1, keepdim=True)).int().argmax(-1, keepdim=True)  # ties differ by rounding
    return torch.where(torch.where(flat, v.gather(-1, first), slope) < 0, -v, v)


def _counting_products(fn: Fun, z, running) -> tuple[Fun, Callable[[], torch.Tensor], torch.Tensor]:
    """Hessian-vector products at z for the trials of ``running`` (zero for the others), how many each one took, and
    which met one that was not finite."""
    counted = torch.zeros(z.shape[:-1], dtype=torch.int64, device=z.device)
    broken = torch.zeros_like(running)

    def product(v: torch.Tensor) -> torch.Tensor:
        # A trial whose Krylov space is exhausted is handed zeros: that product is not one it asked for.
        counted.add_(running & (v != 0).any(-1))
        found = hvp(fn, z, v)
        finite = torch.isfinite(found).all(-1)
        broken.logical_or_(running & ~finite)
        return torch.where((running & finite)[..., None], found, 0.0)

    return product, lambda: counted, broken


def _with_penalty(grad: Fun, center, l1: float, radius: float) -> Fun:
    """Gradient of f + ``ball_penalty``."""

    def penalized(x: torch.Tensor) -> torch.Tensor:
        offset = x - center
        excess, distance = _excess(offset, radius)
        return grad(x) + (2 * l1 * excess / distance)[..., None] * offset

    return penalized


def _excess(offset: torch.Tensor, radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    """[|offset| - r]_+ and max(|offset|, r): from squares, so that autograd meets no root of 0 at the centre."""
    square = offset.square().sum(-1)
    floor = max(radius**2, torch.finfo(offset.dtype).tiny)
    distance = square.clamp(min=floor).sqrt()
    return (square - floor).clamp(min=0) / (distance + math.sqrt(floor)), distance


def _check_fail(fail: float) -> None:
    _validate.real("fail", fail, 0, 1, open_low=True, open_high=True)
