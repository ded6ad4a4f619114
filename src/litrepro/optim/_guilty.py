"""Accelerated descent until proven guilty: negative curvature found in a failed run, without Lanczos.

Carmon, Duchi, Hinder and Sidford 2017, "Convex until proven guilty", arXiv 1705.02766.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._recording import recordable, recording
from litrepro.optim._accelerated_convex import (
    DescentResult,
    Fun,
    counters,
    gradient_of,
    ordered,
    positive,
    start,
    tested,
    told,
)


class _Guess(NamedTuple):
    """One run on f + alpha ||x - p||^2: the best iterate for f, and where convexity failed."""

    best: torch.Tensor  # (..., d)
    best_value: torch.Tensor  # (...): f there
    u: torch.Tensor  # (..., d): the pair that violates strong convexity
    v: torch.Tensor
    guilty: torch.Tensor  # (...)
    calls: torch.Tensor
    ok: torch.Tensor  # (...): converged or guilty


def guarded_agd(
    fn: Fun,
    x: torch.Tensor,
    *,
    smoothness: float,
    hessian_lipschitz: float,
    tol: float,
    alpha: float | None = None,
    max_outer: int = 10_000,
    max_steps: int = 10_000,
) -> DescentResult:
    """Accelerated descent on f + alpha ||x - p||^2 as if f were alpha-almost convex, until a certificate fails.

    If the progress of a strongly convex function is missing, two iterates u, v show negative curvature between them;
    then p moves to the lowest of the iterates and u +- (alpha/L2) (u - v)/||u - v||. Stops at ||grad f(p)|| <= tol.

    Parameters
    ----------
    fn, x
        (..., d) -> (...) and (..., d); ``fn`` is always called on the full batch.
    smoothness, hessian_lipschitz, tol
        L1, L2 and the tolerance, positive.
    alpha
        At most L1; None: min(L1, 2 sqrt(L2 tol)), theorem 1's choice.
    max_outer, max_steps
        Most proximal points, and most accelerated steps for one of them.

    Returns
    -------
    DescentResult; ``steps`` counts proximal points, ``oracle_calls`` gradients (function values come along).

    Raises ``ValueError`` for constants that are not positive and finite, and for alpha > L1.

    Source: arXiv 1705.02766, algorithms 1 to 3.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4  # minima at (0, -1) and (0, 1)
    >>> start = torch.tensor([1.0, 0.1], dtype=torch.float64)
    >>> found = guarded_agd(f, start, smoothness=8.0, hessian_lipschitz=8.0, tol=1e-4)
    >>> bool((found.x - torch.tensor([0.0, 1.0])).norm() < 1e-3)
    True
    """
    p = start(x)
    l2, tol = positive("hessian_lipschitz", hessian_lipschitz), positive("tol", tol)
    alpha = min(positive("smoothness", smoothness), 2 * math.sqrt(l2 * tol)) if alpha is None else alpha
    l1, alpha = ordered("alpha", alpha, smoothness)
    max_outer, max_steps = (
        _validate.positive_int(name, value) for name, value in (("max_outer", max_outer), ("max_steps", max_steps))
    )
    steps, calls, norm, converged, running = counters(p)
    grad, stuck = gradient_of(fn), torch.zeros_like(converged)
    for outer in range(max_outer + 1):
        calls += running
        norm, running = tested(grad(p), norm, converged, running, tol)
        running = running & ~stuck
        if outer == max_outer or not bool(running.any()):
            break
        guess = _until_guilty(fn, p, running, l1 + 2 * alpha, alpha, tol / 10, max_steps)
        moved = torch.where(guess.guilty[..., None], _exploit(fn, guess, alpha / l2), guess.best)
        p = torch.where(running[..., None], moved, p)
        steps, calls, stuck = steps + running, calls + guess.calls, running & ~guess.ok
    return told(DescentResult(p, norm, steps, calls, converged), "guarded_agd")


def _exploit(fn: Fun, guess: _Guess, step: float) -> torch.Tensor:
    """The lowest of the best iterate and u +- step (u - v)/||u - v||."""
    across = guess.u - guess.v
    unit = across / across.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(across.dtype).tiny)
    best, value = guess.best, guess.best_value
    for candidate in (guess.u + step * unit, guess.u - step * unit):
        with torch.no_grad():
            there = fn(candidate)
        best = torch.where((there < value)[..., None], candidate, best)
        value = torch.minimum(value, torch.where(torch.isnan(there), torch.inf, there))
    return best


def _until_guilty(fn: Fun, p, running, smoothness, alpha, tol, max_steps) -> _Guess:
    """Algorithm 1 on f^(x) = f(x) + alpha ||x - p||^2, strongly convex (constant alpha) if f is alpha-almost convex."""

    def proximal(at):
        with recording():
            at = recordable(at.detach()).requires_grad_(True)
            values = fn(at) + alpha * (at - p).square().sum(-1)
            (g,) = torch.autograd.grad(values.sum(), at)
        return values.detach(), g

    root = math.sqrt(smoothness / alpha)
    omega = (root - 1) / (root + 1)
    calls = torch.zeros_like(running, dtype=torch.int64)
    guilty, done = torch.zeros_like(running), ~running
    x = y = witness = p
    f_start, f_witness = proximal(p)[0], torch.zeros_like(p[..., 0])
    f_y, history = f_start, []
    last = torch.zeros_like(calls)
    for t in range(1, max_steps + 1):
        going = ~done
        f_x, g_x = proximal(x)
        calls += going
        history.append((x, f_x, g_x, y, f_y))
        y_next = torch.where(going[..., None], x - g_x / smoothness, y)
        x = torch.where(going[..., None], y_next + omega * (y_next - y), x)
        y, last = y_next, last + going
        f_y, g_y = proximal(y)
        calls += going
        z = y - g_y / smoothness
        with torch.no_grad():
            f_z = fn(z) + alpha * (z - p).square().sum(-1)
        square = g_y.square().sum(-1)
        psi = f_start - f_z + alpha / 2 * (z - p).square().sum(-1)
        rose = f_y > f_start
        failed = going & (rose | (square > 2 * smoothness * psi * math.exp(-t / root)))
        witness = torch.where(failed[..., None], torch.where(rose[..., None], p, z), witness)
        f_witness = torch.where(failed, torch.where(rose, f_start, f_z), f_witness)
        # What is converged needs no certificate: at the minimum rounding alone would break it.
        small = going & (square <= tol**2)
        guilty, done = guilty | (failed & ~small), done | failed | small | ~torch.isfinite(square)
        if bool(done.all()):
            break
    history.append((x, f_y, torch.zeros_like(x), y, f_y))
    u, v, violated = _pair(history, last, witness, f_witness, alpha)
    best, best_value = _best_iterate(history, p, last, alpha)
    settled = torch.where((guilty & violated)[..., None], best, y)
    ok = done & torch.isfinite(f_y)
    return _Guess(settled, best_value, u, v, guilty & violated, calls, ok)


def _pair(history, last, witness, f_witness, alpha):
    """The pair (u, v) of iterates that violates strong convexity most, relative to its distance, and whether any does.

    v = x_j, and u = y_j or the witness, for j before the end of the trial.
    """
    xs, f_x, g_x, ys, f_y = (torch.stack(part) for part in zip(*history[:-1]))
    index = torch.arange(len(xs), device=xs.device).reshape(-1, *(1,) * last.ndim)
    scores, candidates = [], []
    for u, f_u in ((ys, f_y), (witness.expand_as(xs), f_witness.expand_as(f_x))):
        offset = u - xs
        square = offset.square().sum(-1)
        excess = f_x + (g_x * offset).sum(-1) + alpha / 2 * square - f_u
        usable = (index < last) & (excess > 0) & (square > 0)
        scores.append(torch.where(usable, excess / torch.where(usable, square, 1.0), -torch.inf))
        candidates.append(u)
    score = torch.cat(scores)
    place = score.argmax(0)
    gather = place[None, ..., None].expand(1, *xs.shape[1:])
    u = torch.cat(candidates).gather(0, gather)[0]
    v = torch.cat([xs, xs]).gather(0, gather)[0]
    return u, v, score.amax(0) > 0


def _best_iterate(history, p, last, alpha):
    """The y_j with the lowest f, and f there."""
    ys, f_hat = torch.stack([part[3] for part in history]), torch.stack([part[4] for part in history])
    index = torch.arange(len(ys), device=ys.device).reshape(-1, *(1,) * last.ndim)
    values = f_hat - alpha * (ys - p).square().sum(-1)
    values = torch.where((index <= last) & ~torch.isnan(values), values, torch.inf)
    place = values.argmin(0)
    best = ys.gather(0, place[None, ..., None].expand(1, *ys.shape[1:]))[0]
    return best, values.amin(0)
