"""Minimum-norm least squares for stacks of matrices."""

from __future__ import annotations

import torch


def minimum_norm(B: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """argmin |v| over the minimizers of |B v - y|, B (..., n, p) and y (..., n); float64 inside, (..., p) returned.

    A Cholesky factor of the smaller Gram matrix with one step of refinement where that is well conditioned, singular
    values for the other members of the batch (``torch.linalg.lstsq`` needs full rank on a GPU).
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
            return torch.cholesky_solve(wide.mT @ right, factor)
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
    finite = B.isfinite().all(-1).all(-1) & y.isfinite().all(-1).all(-1)
    left, singular, right = torch.linalg.svd(torch.where(finite[:, None, None], B, 0), full_matrices=False)
    cutoff = max(B.shape[-2:]) * torch.finfo(B.dtype).eps * singular.amax(-1, keepdim=True)
    inverse = torch.where(singular > cutoff, 1 / singular, 0)
    v = right.mT @ (inverse[..., None] * (left.mT @ torch.where(finite[:, None, None], y, 0)))
    return torch.where(finite[:, None, None], v, torch.nan)
