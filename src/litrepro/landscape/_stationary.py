"""What kind of stationary point is it? Eigenvalues of the Hessian, and Ge et al.'s strict-saddle conditions."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro._scaling import length
from litrepro.landscape._derivatives import gradient, hessian

KINDS = ("minimum", "maximum", "saddle", "degenerate saddle", "inconclusive")


def classify(eigenvalues: torch.Tensor, tol: float = 1e-8) -> torch.Tensor:
    """Index into ``KINDS`` of a stationary point with Hessian eigenvalues (..., d): (...) int64.

    With s = tol max(1, max |lambda|): all above s a minimum, all below -s a maximum; both signs a saddle, degenerate if
    an eigenvalue is within s of zero (it is a saddle all the same); otherwise, with a zero, inconclusive.

    Raises ``ValueError`` for eigenvalues that are not finite, d < 1, and tol < 0.

    Examples
    --------
    >>> import torch
    >>> [KINDS[i] for i in classify(torch.tensor([[1.0, 2.0], [-1.0, 2.0], [0.0, 2.0]]))]
    ['minimum', 'saddle', 'inconclusive']
    """
    if isinstance(eigenvalues, torch.Tensor) and eigenvalues.dtype in (torch.int32, torch.int64):
        eigenvalues = eigenvalues.double()
    _validate.float_tensor("eigenvalues", eigenvalues, 1)
    tol = _validate.real("tol", tol, 0)
    if eigenvalues.shape[-1] < 1 or not bool(torch.isfinite(eigenvalues).all()):
        raise ValueError("eigenvalues must be finite, at least one per point")
    s = tol * eigenvalues.abs().amax(-1, keepdim=True).clamp(min=1.0)
    up, down = eigenvalues > s, eigenvalues < -s
    flat = ~(up | down)
    both = up.any(-1) & down.any(-1)
    kind = torch.full(eigenvalues.shape[:-1], KINDS.index("inconclusive"), dtype=torch.int64, device=eigenvalues.device)
    kind = kind.masked_fill(up.all(-1), KINDS.index("minimum"))
    kind = kind.masked_fill(down.all(-1), KINDS.index("maximum"))
    kind = kind.masked_fill(both & ~flat.any(-1), KINDS.index("saddle"))
    return kind.masked_fill(both & flat.any(-1), KINDS.index("degenerate saddle"))


def strict_saddle(
    fun: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    *,
    eps: float,
    gamma: float,
    alpha: float = 0.0,
    minima: torch.Tensor | None = None,
    delta: float = 0.0,
) -> torch.Tensor:
    """Ge et al. 2015's three conditions at x (..., d): (..., 3) bool; a strict-saddle function meets one everywhere.

    |grad f| >= eps; lambda_min <= -gamma; within ``delta`` of one of ``minima`` (k, d) and lambda_min(x) >= alpha
    (False without minima).

    Raises ``ValueError`` for eps, gamma <= 0, alpha or delta < 0, an x without coordinates or not float32 or float64,
    minima of the wrong shape, and a Hessian that is not finite.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: (x[..., 0] ** 2 - x[..., 1] ** 2) / 2
    >>> strict_saddle(f, torch.tensor([[0.0, 0.0], [3.0, 0.0]]), eps=0.1, gamma=0.5)
    tensor([[False,  True, False],
            [ True,  True, False]])
    """
    if _validate.decomposable("x", x, 1).shape[-1] < 1:
        raise ValueError(f"x must have shape (..., d) with d >= 1, got {tuple(x.shape)}")
    eps = _validate.real("eps", eps, 0, open_low=True)
    gamma = _validate.real("gamma", gamma, 0, open_low=True)
    alpha, delta = _validate.real("alpha", alpha, 0), _validate.real("delta", delta, 0)
    if minima is not None:
        _validate.float_tensor("minima", minima)
        if minima.ndim != 2 or minima.shape[-1] != x.shape[-1]:
            raise ValueError(f"minima must have shape (k, {x.shape[-1]}), got {tuple(minima.shape)}")
    lowest = torch.linalg.eigvalsh(_validate.decomposable("hessian of fun", hessian(fun, x)))[..., 0]
    near = torch.zeros_like(lowest, dtype=torch.bool)
    if minima is not None:
        distance = length(x[..., None, :] - minima.to(x))
        near = (distance <= delta).any(-1) & (lowest >= alpha)
    return torch.stack([length(gradient(fun, x)) >= eps, lowest <= -gamma, near], -1)
