"""Accelerated methods for non-convex functions (Carmon et al. 2018), their baselines, and Polyak's parameters.

An objective ``fn`` maps (..., d) -> (...), is differentiable by torch and acts on each trial by itself. All trials
advance together; one that has finished is frozen. ``oracle_calls`` counts gradients and Hessian-vector products per
trial, until it finishes.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from litrepro import _validate
from litrepro.optim._accelerated_convex import (
    DescentResult,
    accelerated_gradient,
    almost_convex_agd,
    gradient_descent,
    ordered,
)
from litrepro.optim._accelerated_nonconvex import (
    AcceleratedResult,
    CurvatureDescentResult,
    accelerated_nonconvex,
    ball_penalty,
    default_alpha,
    negative_curvature_descent,
)
from litrepro.optim._cubic_newton import cubic_newton
from litrepro.optim._guilty import guarded_agd

__all__ = [
    "AcceleratedResult",
    "CurvatureDescentResult",
    "DescentResult",
    "accelerated_gradient",
    "accelerated_nonconvex",
    "almost_convex_agd",
    "ball_penalty",
    "cubic_newton",
    "default_alpha",
    "gradient_descent",
    "guarded_agd",
    "negative_curvature_descent",
    "polyak_bound_holds",
    "polyak_parameters",
]


def polyak_parameters(lmin: Any, lmax: Any) -> tuple[Any, Any]:
    """Polyak's (lr, momentum) = (1/lmax, (1 - sqrt(lmin/lmax)/2)^2) of Wang, Lin and Abernethy 2021, theorem 3.1.

    Parameters
    ----------
    lmin, lmax
        0 < lmin <= lmax: numbers, or tensors that broadcast (then tensors are returned). With them the heavy ball
        contracts at 1 - sqrt(lmin/lmax)/2 per step on a quadratic with that spectrum.

    Raises ``ValueError`` for values that are not positive and finite, for lmin > lmax, and for tensors that are complex
    or do not broadcast.

    Examples
    --------
    >>> polyak_parameters(1.0, 4.0)
    (0.25, 0.5625)
    """
    if not isinstance(lmin, torch.Tensor) and not isinstance(lmax, torch.Tensor):
        lmax, lmin = ordered("lmin", lmin, lmax, "lmax")
        return 1 / lmax, (1 - (lmin / lmax) ** 0.5 / 2) ** 2
    like = lmin if isinstance(lmin, torch.Tensor) else lmax
    lmin, lmax = (
        value if isinstance(value, torch.Tensor) else _validate.real(name, value, 0, open_low=True)
        for name, value in (("lmin", lmin), ("lmax", lmax))
    )
    dtype = torch.result_type(lmin, lmax)  # of an integer and a number: the number's
    dtype = dtype if dtype.is_floating_point or dtype.is_complex else torch.get_default_dtype()
    lmin, lmax = (torch.as_tensor(value, dtype=dtype, device=like.device) for value in (lmin, lmax))
    _validate.float_tensor("lmin and lmax", lmin)
    shape = _validate.broadcast(lmin=lmin.shape, lmax=lmax.shape)
    if not bool(((lmin > 0) & (lmin <= lmax) & torch.isfinite(lmax)).all()):
        raise ValueError(f"0 < lmin <= lmax must hold everywhere, got {lmin} and {lmax}")
    return 1 / lmax.expand(shape), (1 - (lmin / lmax).sqrt() / 2) ** 2


def polyak_bound_holds(residuals: torch.Tensor, kappa: float) -> torch.Tensor:
    """Whether the heavy ball stays below the bound of Wang, Lin and Abernethy 2021, theorem 3.1: (...) of booleans.

    |(xi_t, xi_{t-1})| <= (1 - 1/(4 sqrt kappa))^t 8 sqrt(kappa) |(xi_0, xi_{-1})| for every t, with xi_{-1} = xi_0.
    What comes after a residual has been below 1e-10 of its start counts as rounding and not against the bound.

    Parameters
    ----------
    residuals
        Norms |xi_t| over |xi_0|, (T + 1, ...); a nan before they reach 1e-10 breaks the bound.
    kappa
        Condition number, >= 1.

    Raises ``ValueError`` for residuals that are no floating-point tensor (T + 1, ...) with at least their start, and
    for kappa < 1.

    Examples
    --------
    >>> polyak_bound_holds(torch.tensor([[1.0, 1.0], [0.8, 20.0]]), 4.0)
    tensor([ True, False])
    """
    root = math.sqrt(_validate.real("kappa", kappa, 1))
    if not len(_validate.float_tensor("residuals", residuals, 1)):
        raise ValueError("residuals must hold at least their start, got none")
    both = (residuals.square() + torch.cat([residuals[:1], residuals[:-1]]).square()).sqrt() / math.sqrt(2)
    t = torch.arange(len(residuals), dtype=residuals.dtype, device=residuals.device)
    allowed = (1 - 1 / (4 * root)) ** t.view(-1, *[1] * (residuals.ndim - 1)) * 8 * root
    return ((both <= allowed) | ((residuals < 1e-10).cumsum(0) > 0)).all(0)
