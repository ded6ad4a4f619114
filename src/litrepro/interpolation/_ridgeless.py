"""Minimum-norm solutions of large systems: through triangular factors or Gram matrices where these lose nothing."""

from __future__ import annotations

import torch

from litrepro.interpolation._min_norm import apply_pseudoinverse, decompose

SVD_UP_TO = 2048  # the smaller side of the largest matrix that is decomposed directly
SAFE = 1e-9  # smallest ratio of squared pivots for which the Cholesky factor of a Gram matrix is trusted
MARGIN = 1e5  # by which the ratio of pivots may exceed that of singular values
NEGLIGIBLE = 1e-6  # largest rcond that cannot matter where such a factor is trusted


def ridgeless(phi: torch.Tensor, y: torch.Tensor, rcond: float, *, svd_up_to: int = SVD_UP_TO) -> torch.Tensor:
    """phi^+ y (N, t) for phi (n, N), y (n, t).

    Singular values up to ``rcond`` times the largest count as zero. Where the smaller side exceeds ``svd_up_to`` and
    there clearly are none, they are not computed: a square system is solved by LU factors (squaring its condition
    number would blunt the peak), others by Cholesky factors of the smaller Gram matrix with one step of refinement. Its
    eigenvalues serve for an ``rcond`` whose square is far above their rounding errors.
    """
    n, width = phi.shape
    if min(n, width) <= svd_up_to:
        return apply_pseudoinverse(decompose(phi, rcond), y)
    if n == width and rcond <= NEGLIGIBLE:
        factors, swaps, failed = torch.linalg.lu_factor_ex(phi)
        pivots = factors.diagonal().abs()
        if not bool(failed) and bool(pivots.min() > max(MARGIN * rcond, n * torch.finfo(phi.dtype).eps) * pivots.max()):
            return torch.linalg.lu_solve(factors, swaps, y)
    gram = phi.mH @ phi if width < n else phi @ phi.mH
    solve = _by_factor(gram) if rcond <= NEGLIGIBLE else None
    if solve is None and rcond**2 > 100 * len(gram) * torch.finfo(phi.dtype).eps:
        solve = _by_eigenvalues(gram, rcond)
    if solve is None:
        return apply_pseudoinverse(decompose(phi, rcond), y)
    if width < n:
        solution = solve(phi.mH @ y)
        return solution + solve(phi.mH @ (y - phi @ solution))
    solution = phi.mH @ solve(y)
    return solution + phi.mH @ solve(y - phi @ solution)


def _by_factor(gram: torch.Tensor):
    """Right-hand sides to gram^-1 times them; None where the Cholesky factor is not safe."""
    factor, failed = torch.linalg.cholesky_ex(gram)
    pivots = factor.diagonal().real.square()
    safe = max(SAFE, len(gram) * torch.finfo(gram.dtype).eps)
    if bool(failed) or not bool(pivots.min() > safe * pivots.max()):
        return None
    return lambda right: torch.cholesky_solve(right, factor)


def _by_eigenvalues(gram: torch.Tensor, rcond: float):
    """Right-hand sides to gram^+ times them; singular values up to ``rcond`` times the largest count as zero."""
    values, vectors = torch.linalg.eigh(gram)
    level = rcond**2 * values[-1]
    inverse = torch.where(values > level, 1 / torch.where(values > level, values, 1.0), 0.0)
    return lambda right: vectors @ (inverse[:, None] * (vectors.mH @ right))
