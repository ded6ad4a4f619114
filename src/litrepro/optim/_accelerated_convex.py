"""Gradient descent, Nesterov's accelerated descent, and accelerated descent on almost convex functions.

The loops take a gradient and a mask of running trials, so that they nest: a trial that has finished is frozen, and its
gradients are no longer counted. Every public function checks its arguments and warns if a trial did not converge.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from litrepro import ConvergenceWarning, _validate
from litrepro._scaling import length
from litrepro.optim._descend import gradient_at
from litrepro.optim._steps import expand_lr

Fun = Callable[[torch.Tensor], torch.Tensor]


class DescentResult(NamedTuple):
    """Where a batch of runs ended.

    ``x (..., d)``; all others ``(...)``: ``grad_norm`` at x, ``steps`` taken, ``oracle_calls`` (gradients, those of the
    stopping rule included, and Hessian-vector products, while the trial was running), ``converged``.

    Examples
    --------
    >>> import torch
    >>> found = gradient_descent(lambda x: x.square().sum(-1) / 2, torch.tensor([[4.0], [0.0]]), lr=0.5, tol=0.1)
    >>> found.steps, found.converged
    (tensor([6, 0]), tensor([True, True]))
    """

    x: torch.Tensor
    grad_norm: torch.Tensor
    steps: torch.Tensor
    oracle_calls: torch.Tensor
    converged: torch.Tensor


def gradient_descent(
    fn: Fun, x: torch.Tensor, *, lr: float | torch.Tensor, tol: float, max_steps: int = 100_000
) -> DescentResult:
    """x <- x - lr grad f(x) until ||grad f(x)|| <= tol.

    Parameters
    ----------
    fn
        (..., d) -> (...), acting on each trial by itself; always called on the full batch.
    x
        (..., d), d >= 1.
    lr
        Step size, a positive number or a tensor over leading dimensions of x.

    Returns
    -------
    DescentResult; ``steps`` counts updates. Warns ``ConvergenceWarning`` if a trial met ``max_steps`` or diverged.

    Raises ``ValueError`` for x, lr, tol or max_steps out of range.

    Examples
    --------
    >>> import torch
    >>> gradient_descent(lambda x: (x - 3).square().sum(-1), torch.zeros(2), lr=0.5, tol=1e-6).x
    tensor([3., 3.])
    """
    x = start(x)
    _validate.function("fn", fn)
    lr = expand_lr(lr, x)
    tol, max_steps = positive("tol", tol), _validate.positive_int("max_steps", max_steps)
    steps, calls, norm, converged, running = counters(x)
    for step in range(max_steps + 1):
        g = gradient_at(fn, None, x, 0)
        calls += running
        norm, running = tested(g, norm, converged, running, tol)
        left = int(running.sum())
        if step == max_steps or not left:
            break
        x = moved(running, left, x - lr * g, x)
        steps += running
    return told(DescentResult(x, norm, steps, calls, converged), "gradient_descent")


def accelerated_gradient(
    fn: Fun, y: torch.Tensor, *, smoothness: float, strong_convexity: float, tol: float, max_steps: int = 100_000
) -> DescentResult:
    """Nesterov's method for strongly convex functions (Carmon et al. 2018, algorithm 2).

    y+ = z - grad f(z)/L, z+ = y+ + (sqrt k - 1)/(sqrt k + 1) (y+ - y), k = L/sigma; stops at ||grad f(y)|| <= tol.

    Parameters
    ----------
    fn, y
        As in ``gradient_descent``; y (..., d) is the start.
    smoothness, strong_convexity
        L >= sigma > 0.

    Returns
    -------
    DescentResult; x is the last y, ``steps`` counts its updates; every step takes two gradients, at z and at y.

    Raises ``ValueError`` for constants that are not positive and finite, and for sigma > L.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: (torch.tensor([1.0, 100.0]) * x.square()).sum(-1) / 2
    >>> slow = gradient_descent(f, torch.ones(2), lr=0.01, tol=1e-4)
    >>> fast = accelerated_gradient(f, torch.ones(2), smoothness=100.0, strong_convexity=1.0, tol=1e-4)
    >>> bool(fast.steps < slow.steps / 4)
    True
    """
    y = start(y, "y")
    smoothness, strong_convexity = ordered("strong_convexity", strong_convexity, smoothness)
    tol, max_steps = positive("tol", tol), _validate.positive_int("max_steps", max_steps)
    everyone = torch.ones(y.shape[:-1], dtype=torch.bool, device=y.device)
    found = run_agd(gradient_of(fn), y, everyone, smoothness, strong_convexity, tol, max_steps)
    return told(found, "accelerated_gradient")


def almost_convex_agd(
    fn: Fun,
    z: torch.Tensor,
    *,
    smoothness: float,
    gamma: float,
    tol: float,
    max_outer: int = 10_000,
    max_steps: int = 100_000,
) -> DescentResult:
    """Proximal point steps, each by accelerated descent, on a gamma-almost convex function (algorithm 3).

    z_{j+1} nearly minimizes g_j(z) = f(z) + gamma ||z - z_j||^2 (gamma-strongly convex by lemma 2.1), up to a gradient
    of tol sqrt(gamma/(50 (L + 2 gamma))). g_j is (L + 2 gamma)-smooth, which sets the step: with the step 1/L that is
    printed the method can diverge.

    Parameters
    ----------
    fn, z
        As in ``gradient_descent``; z (..., d) is the start.
    smoothness, gamma
        0 < gamma <= L.
    max_outer, max_steps
        Most proximal steps, and most steps of accelerated descent within one of them.

    Returns
    -------
    DescentResult; ``steps`` counts proximal steps, ``oracle_calls`` all gradients. Source: Carmon et al. 2018, lemma
    2.4.

    Raises ``ValueError`` for constants that are not positive and finite, and for gamma > L.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: (1 - x.cos()).sum(-1)  # its curvature goes down to -1
    >>> found = almost_convex_agd(f, torch.tensor([2.0]), smoothness=1.0, gamma=1.0, tol=1e-3)
    >>> bool(found.converged), bool(found.x.abs() < 2e-3)
    (True, True)
    """
    z = start(z, "z")
    smoothness, gamma = ordered("gamma", gamma, smoothness)
    tol, max_outer = positive("tol", tol), _validate.positive_int("max_outer", max_outer)
    max_steps = _validate.positive_int("max_steps", max_steps)
    everyone = torch.ones(z.shape[:-1], dtype=torch.bool, device=z.device)
    found = run_almost_convex(gradient_of(fn), z, everyone, smoothness, gamma, tol, max_outer, max_steps)
    return told(found, "almost_convex_agd")


def run_agd(grad: Fun, y, running, smoothness, strong_convexity, tol, max_steps) -> DescentResult:
    """``accelerated_gradient`` on the trials of ``running``, from their gradient."""
    root = math.sqrt(smoothness / strong_convexity)
    beta = (root - 1) / (root + 1)
    steps, calls, norm, converged, _ = counters(y)
    z = y
    for step in range(max_steps + 1):
        g = grad(y)
        calls += running
        norm, running = tested(g, norm, converged, running, tol)
        left = int(running.sum())
        if step == max_steps or not left:
            break
        ahead = z - grad(z) / smoothness
        calls += running
        steps += running
        z = moved(running, left, ahead + beta * (ahead - y), z)
        y = moved(running, left, ahead, y)
    return DescentResult(y, norm, steps, calls, converged)


def run_almost_convex(grad: Fun, z, running, smoothness, gamma, tol, max_outer, max_steps) -> DescentResult:
    """``almost_convex_agd`` on the trials of ``running``, from their gradient."""
    inner_smoothness = smoothness + 2 * gamma
    inner_tol = tol * math.sqrt(gamma / (50 * inner_smoothness))
    steps, calls, norm, converged, _ = counters(z)
    stuck = torch.zeros_like(converged)
    for outer in range(max_outer + 1):
        calls += running
        norm, running = tested(grad(z), norm, converged, running, tol)
        running = running & ~stuck
        if outer == max_outer or not bool(running.any()):
            break
        centre = z

        def proximal(v: torch.Tensor, centre: torch.Tensor = centre) -> torch.Tensor:
            return grad(v) + 2 * gamma * (v - centre)

        inner = run_agd(proximal, z, running, inner_smoothness, gamma, inner_tol, max_steps)
        z, calls, steps = inner.x, calls + inner.oracle_calls, steps + running
        stuck = running & ~inner.converged  # one more look at its gradient, then it stops
    return DescentResult(z, norm, steps, calls, converged)


# --- what the loops share ---------------------------------------------------------------------------------------


def start(x: Any, name: str = "x") -> torch.Tensor:
    """A private copy of the start (..., d), d >= 1."""
    _validate.float_tensor(name, x, 1)
    if x.shape[-1] < 1:
        raise ValueError(f"{name} must have d >= 1 coordinates, got shape {tuple(x.shape)}")
    return x.detach().clone(memory_format=torch.contiguous_format)


def curved_start(x: Any) -> torch.Tensor:
    """``start`` of a method that decomposes Hessians, which torch does in float32 and float64 alone."""
    x = start(x)
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"x must be float32 or float64, got {x.dtype}")
    return x


def positive(name: str, value: Any) -> float:
    """A finite number above 0."""
    return _validate.real(name, value, 0, open_low=True)


def ordered(name: str, low: Any, high: Any, high_name: str = "smoothness") -> tuple[float, float]:
    """(high, low) with 0 < low <= high."""
    high, low = positive(high_name, high), positive(name, low)
    if low > high:
        raise ValueError(f"{name} must be at most {high_name} = {high:g}, got {low!r}")
    return high, low


def gradient_of(fn: Fun) -> Fun:
    """The gradient of ``fn`` as a function of x."""
    _validate.function("fn", fn)
    return lambda x: gradient_at(fn, None, x, 0)


def counters(x: torch.Tensor):
    """(steps, oracle calls, gradient norm, converged, running) at the start of a run."""
    steps = torch.zeros(x.shape[:-1], dtype=torch.int64, device=x.device)
    norm = torch.full(x.shape[:-1], torch.nan, dtype=x.dtype, device=x.device)
    nobody = torch.zeros(x.shape[:-1], dtype=torch.bool, device=x.device)
    return steps, steps.clone(), norm, nobody, ~nobody


def tested(g, norm, converged, running, tol):
    """The stopping rule: new (norm, running); ``converged`` is updated in place. A gradient of nan or inf stops."""
    norm = torch.where(running, length(g), norm)
    converged |= running & (norm <= tol)
    return norm, running & (norm > tol) & (norm < torch.inf)


def moved(running, left, new, old):
    """``new`` (..., d) for the ``left`` trials of ``running``, ``old`` for the others; no choice to make if all run."""
    return new if left == running.numel() else torch.where(running[..., None], new, old)


def told(found: Any, name: str) -> Any:
    """``found``, after a ``ConvergenceWarning`` if a trial did not converge."""
    missed = int((~found.converged).sum())
    if missed:
        message = f"{name}: {missed} of {found.converged.numel()} trials stopped before they converged"
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    return found
