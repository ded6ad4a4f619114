"""Minimum-norm least squares for stacks of matrices."""

from __future__ import annotations

import torch

from litrepro.solvers import least_squares


def minimum_norm(B: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """argmin |v| over the minimizers of |B v - y|, B (..., n, p) and y (..., n); float64 inside, (..., p) returned.

    A Cholesky factor of the smaller Gram matrix with one step of refinement where that is well conditioned,
    ``solvers.least_squares`` for the other members of the batch (``torch.linalg.lstsq`` needs full rank on a GPU).
    """
    wide, target = B.double(), y.double()[..., None]
    tall = B.shape[-2] >= B.shape[-1]
    gram = wide.mT @ wide if tall else wide @ wide.mT
    factor, info = torch.linalg.cholesky_ex(gram)
    pivots = factor.diagonal(dim1=-2, dim2=-1)
    # The pivots of an eliminated column are its distance from the others: their ratio bounds the condition from below.
    good = (info == 0) & (pivots.amin(-1) > 1e-5 * pivots.amax(-1))
    factor = torch.where(good[..., None, None], factor, torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device))

    def solve(right: torch.Tensor) -> torch.Tensor:
        if tall:
            return torch.cholesky_solve((right.mT @ wide).mT, factor)  # rows times a matrix: twice as fast
        return wide.mT @ torch.cholesky_solve(right, factor)

    v = solve(target)
    v = v + solve(target - wide @ v)
    if not bool(good.all()):
        flat, rest = v.reshape(-1, v.shape[-2], 1).clone(), ~good.reshape(-1)
        matrices, targets = wide.reshape(-1, *wide.shape[-2:])[rest], target.reshape(-1, target.shape[-2], 1)[rest]
        flat[rest] = _by_singular_values(matrices, targets)
        v = flat.reshape(v.shape)
    return v[..., 0].to(y.dtype)


def _by_singular_values(B: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Pseudo-inverse solution; members that are not finite give nan instead of an error."""
    finite = (B.isfinite().all(-1).all(-1) & y.isfinite().all(-1).all(-1))[:, None, None]
    v = least_squares(torch.where(finite, B, 0), torch.where(finite, y, 0)[..., 0])[..., None]
    return torch.where(finite, v, torch.nan)
