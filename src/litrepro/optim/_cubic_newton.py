"""Cubic-regularized Newton steps with a dense Hessian (Nesterov and Polyak 2006)."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.landscape import hessian
from litrepro.optim._accelerated_convex import (
    DescentResult,
    Fun,
    counters,
    curved_start,
    gradient_of,
    positive,
    tested,
    told,
)


def cubic_newton(
    fn: Fun, x: torch.Tensor, *, hessian_lipschitz: float, tol: float, max_steps: int = 1000
) -> DescentResult:
    """x <- x + s with s the global minimizer of g.s + s.Hs/2 + (L2/6) ||s||^3, until ||grad f(x)|| <= tol.

    Needs about eps^(-3/2) steps, and only a Lipschitz Hessian. For small d: every step takes the dense Hessian.

    Parameters
    ----------
    fn
        (..., d) -> (...), acting on each trial by itself, twice differentiable; always called on the full batch.
    x
        (..., d), d >= 1.

    Returns
    -------
    DescentResult; ``oracle_calls`` counts d + 1 per step, and 1 for the last test.

    Raises ``ValueError`` for constants that are not positive and finite, an x that is not float32 or float64, and for
    max_steps < 1.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4  # minima at (0, -1) and (0, 1)
    >>> found = cubic_newton(f, torch.tensor([1.0, 0.1], dtype=torch.float64), hessian_lipschitz=6.0, tol=1e-6)
    >>> bool((found.x - torch.tensor([0.0, 1.0])).norm() < 1e-5), bool(found.steps < 20)
    (True, True)
    """
    x = curved_start(x)
    l2, tol = positive("hessian_lipschitz", hessian_lipschitz), positive("tol", tol)
    max_steps = _validate.positive_int("max_steps", max_steps)
    steps, calls, norm, converged, running = counters(x)
    grad = gradient_of(fn)
    for step in range(max_steps + 1):
        g = grad(x)
        calls += running
        norm, running = tested(g, norm, converged, running, tol)
        if step == max_steps or not bool(running.any()):
            break
        move = cubic_step(hessian(fn, x), g, l2)
        x = torch.where(running[..., None], x + move, x)
        steps += running
        calls += running * x.shape[-1]
    return told(DescentResult(x, norm, steps, calls, converged), "cubic_newton")


def cubic_step(matrix: torch.Tensor, g: torch.Tensor, l2: float) -> torch.Tensor:
    """Global minimizer of g.s + s.Hs/2 + (L2/6) ||s||^3, (..., d); nan for a trial that is not finite.

    It solves (H + (L2/2) r I) s = -g with r = ||s|| and H + (L2/2) r I >= 0. In the eigenbasis that is one equation for
    t = r - r_0 >= 0, where r_0 = 2 max(-lambda_min, 0)/L2. In the hard case (g without a part along the lowest
    eigenvector, and s too short at t = 0) the length is made up along that eigenvector.
    """
    finite = torch.isfinite(matrix).flatten(-2).all(-1) & torch.isfinite(g).all(-1)
    identity = torch.eye(g.shape[-1], dtype=g.dtype, device=g.device)
    values, vectors = torch.linalg.eigh(torch.where(finite[..., None, None], matrix, identity))
    along = torch.einsum("...ji,...j->...i", vectors, torch.where(finite[..., None], g, 0.0))
    lowest = values[..., :1].clamp(max=0)
    base, r0 = values - lowest, -2 * lowest[..., 0] / l2  # base + L2 t/2 are the eigenvalues of H + (L2/2) r I
    t = _secular_root(base, along, r0, l2)
    shifted = base + l2 * t[..., None] / 2
    s = torch.where(along == 0, 0.0, -along / torch.where(shifted > 0, shifted, 1.0))
    missing = ((r0 + t).square() - s.square().sum(-1)).clamp(min=0)
    # Only a hard case leaves a length that rounding in double precision does not explain. The first coordinate becomes
    # what makes the length right: where it was not zero, rounding moves it little.
    hard = (lowest[..., 0] < 0) & (missing > 1e-8 * (r0 + t).square())
    full = (s[..., 0].square() + missing).sqrt()
    first = torch.where(hard, torch.where(along[..., 0] > 0, -full, full), s[..., 0])
    s = torch.cat([first[..., None], s[..., 1:]], -1)
    step = torch.einsum("...ij,...j->...i", vectors, s)
    return torch.where(finite[..., None], step, torch.nan)


def _secular_root(base: torch.Tensor, along: torch.Tensor, r0: torch.Tensor, l2: float) -> torch.Tensor:
    """The t > 0 with ||along/(base + L2 t/2)|| = r0 + t, by Newton's method inside a bracket; 0 where g is 0.

    The left side falls and the right side rises, so the root is unique; it is at most sqrt(2 |g|/L2).
    """
    high = (2 * along.norm(dim=-1) / l2).sqrt()
    low = torch.zeros_like(high)
    t = high.clone()
    tiny = torch.finfo(t.dtype).tiny
    eps = torch.finfo(t.dtype).eps
    for _ in range(200):
        shifted = (base + l2 * t[..., None] / 2).clamp(min=tiny)
        terms = along / shifted
        length, radius = terms.norm(dim=-1), r0 + t
        above = length > radius  # t is too small
        low, high = torch.where(above, t, low), torch.where(above, high, t)
        if bool(((length - radius).abs() <= 4 * eps * radius).all() | (high - low <= 2 * eps * high).all()):
            break
        # Newton on 1/||s|| - 1/r, which is nearly linear (Conn, Gould and Toint 2000, section 7.3).
        growth = l2 / 2 * (terms.square() / shifted).sum(-1) / length.clamp(min=tiny) ** 3
        safe = radius.clamp(min=tiny)
        newton = t - (1 / length.clamp(min=tiny) - 1 / safe) / (growth + 1 / safe**2)
        middle = torch.where(low > 0, (low * high).sqrt(), high / 1024)
        t = torch.where((newton > low) & (newton < high), newton, middle)
    return t
