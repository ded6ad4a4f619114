"""Minimum-norm solutions of large systems: through Gram matrices where the singular values would take too long."""

from __future__ import annotations

import torch

from litrepro.interpolation._min_norm import apply_pseudoinverse, decompose

SVD_UP_TO = 2048  # the smaller side of the largest matrix that is decomposed directly
SAFE = 1e-9  # smallest ratio of squared pivots for which the Cholesky factor of a Gram matrix is trusted


def ridgeless(phi: torch.Tensor, y: torch.Tensor, rcond: float, *, svd_up_to: int = SVD_UP_TO) -> torch.Tensor:
    """phi^+ y (N, t) for phi (n, N), y (n, t).

    Up to ``svd_up_to`` by singular values, all those above ``rcond`` times the largest. Beyond: a square system by LU
    factors (squaring its condition number would blunt the peak), others by Cholesky factors of the smaller Gram matrix
    with one step of refinement, and by its eigenvalues where these are not safe.
    """
    n, width = phi.shape
    if min(n, width) <= svd_up_to:
        return apply_pseudoinverse(decompose(phi, rcond), y)
    if n == width:
        factors, swaps, failed = torch.linalg.lu_factor_ex(phi)
        pivots = factors.diagonal().abs()
        if not bool(failed) and bool(pivots.min() > max(rcond, n * torch.finfo(phi.dtype).eps) * pivots.max()):
            return torch.linalg.lu_solve(factors, swaps, y)
    gram = phi.mH @ phi if width < n else phi @ phi.mH
    factor, failed = torch.linalg.cholesky_ex(gram)
    pivots = factor.diagonal().real.square()
    if not bool(failed) and bool(pivots.min() > SAFE * pivots.max()):
        solve = lambda right: torch.cholesky_solve(right, factor)  # noqa: E731
    else:
        solve = _by_eigenvalues(gram, rcond)
    if width < n:
        solution = solve(phi.mH @ y)
        return solution + solve(phi.mH @ (y - phi @ solution))
    solution = phi.mH @ solve(y)
    return solution + phi.mH @ solve(y - phi @ solution)


def _by_eigenvalues(gram: torch.Tensor, rcond: float):
    """Right-hand sides to gram^+ times them; eigenvalues at rounding level count as zero."""
    values, vectors = torch.linalg.eigh(gram)
    level = max(rcond**2, len(values) * torch.finfo(values.dtype).eps) * values[-1]
    inverse = torch.where(values > level, 1 / torch.where(values > level, values, 1.0), 0.0)
    return lambda right: vectors @ (inverse[:, None] * (vectors.mH @ right))
