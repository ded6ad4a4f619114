"""The classic graphical lasso (Friedman, Hastie and Tibshirani 2008), batched, as the rival of the structured one."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.graphs import _arguments
from litrepro.solvers import soft_threshold


class ClassicLassoResult(NamedTuple):
    """Sparse precision (..., p, p); the larger residual and the flag (...); the number of iterations that were run.

    Examples
    --------
    >>> import torch
    >>> found = classic_graphical_lasso(torch.eye(2, dtype=torch.float64), 0.1)
    >>> found.precision.abs().round(decimals=2).tolist(), bool(found.converged)
    ([[1.0, 0.0], [0.0, 1.0]], True)
    """

    precision: torch.Tensor
    residual: torch.Tensor
    iterations: int
    converged: torch.Tensor


def classic_graphical_lasso(
    S: torch.Tensor, alpha: float | torch.Tensor, *, max_iter: int = 1000, tol: float = 1e-5
) -> ClassicLassoResult:
    """Minimize -log det Theta + tr(S Theta) + alpha sum_{i != j} |Theta_ij| over positive definite Theta.

    Alternating directions (Boyd et al. 2011, section 6.5) with one eigendecomposition per iteration and a step that
    follows the balance of the residuals, for a whole batch at once; problems that have converged leave the batch. The
    diagonal is not penalized, as in scikit-learn.

    Parameters
    ----------
    S
        Covariances (..., p, p), symmetric, with positive diagonal; scale them to a mean diagonal of about 1.
    alpha
        > 0: a number, or a tensor that broadcasts to the batch shape.
    tol
        Bound on the primal and the dual residual, each relative to the Frobenius norm of the precision.

    Raises ``ValueError`` for S or alpha out of these bounds, S neither float32 nor float64; warns
    ``ConvergenceWarning`` at ``max_iter``.

    Examples
    --------
    >>> import torch
    >>> S = torch.tensor([[1.0, 0.3], [0.3, 1.0]], dtype=torch.float64)
    >>> found = classic_graphical_lasso(S, torch.tensor([0.01, 0.5], dtype=torch.float64))
    >>> (found.precision[:, 0, 1].abs() > 1e-3).tolist()  # a penalty above 0.3 removes the edge
    [True, False]
    """
    _arguments.decomposed("S", S)
    if bool((S.diagonal(dim1=-2, dim2=-1) <= 0).any()):
        raise ValueError("S must have a positive diagonal")
    weight = _arguments.penalty("alpha", alpha, S, positive=True)
    max_iter, tol = _validate.positive_int("max_iter", max_iter), _validate.real("tol", tol, 0)
    shape, p = _validate.broadcast(S=S.shape[:-2], alpha=weight.shape), S.shape[-1]
    S, weight = S.expand(*shape, p, p).reshape(-1, p, p), weight.expand(shape).reshape(-1)
    result, residual, iterations = _alternate(S, weight, max_iter, tol)
    converged = residual <= tol
    if not bool(converged.all()):
        missed = int((~converged).sum())
        message = f"{missed} of {len(S)} problems did not reach tol = {tol:g} in {max_iter} iterations"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return ClassicLassoResult(
        result.reshape(*shape, p, p), residual.reshape(shape), iterations, converged.reshape(shape)
    )


def _alternate(S: torch.Tensor, weight: torch.Tensor, max_iter: int, tol: float):
    """ADMM on N problems; the sparse copy of Theta, its residuals, and the iterations."""
    count, p = S.shape[:2]
    off = 1 - torch.eye(p, dtype=S.dtype, device=S.device)
    which = torch.arange(count, device=S.device)
    Z = torch.diag_embed(1 / S.diagonal(dim1=-2, dim2=-1))
    dual, rho = torch.zeros_like(Z), S.new_ones(count, 1, 1)
    result, residual = Z.clone(), S.new_full((count,), torch.inf)
    iterations = 0
    while iterations < max_iter and len(which):
        iterations += 1
        values, vectors = torch.linalg.eigh(rho * (Z - dual) - S)
        roots = (values + (values.square() + 4 * rho[..., 0]).sqrt()) / (2 * rho[..., 0])
        theta = (vectors * roots[..., None, :]) @ vectors.mT
        old, Z = Z, soft_threshold(theta + dual, weight[:, None, None] * off / rho)
        dual = dual + theta - Z
        scale = Z.norm(dim=(-1, -2))
        primal, moved = (theta - Z).norm(dim=(-1, -2)) / scale, rho[:, 0, 0] * (Z - old).norm(dim=(-1, -2)) / scale
        result[which], residual[which] = Z, torch.maximum(primal, moved)
        factor = torch.where(primal > 10 * moved, 2.0, torch.where(moved > 10 * primal, 0.5, 1.0)).to(S)
        rho, dual = rho * factor[:, None, None], dual / factor[:, None, None]
        stay = (residual[which] > tol).nonzero()[:, 0]
        if len(stay) < len(which):
            which, S, weight, Z, dual, rho = (part[stay] for part in (which, S, weight, Z, dual, rho))
    return result, residual, iterations
