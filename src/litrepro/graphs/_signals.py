"""Gaussian signals on a graph and their covariance."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.graphs import _arguments


def sample_signals(L: torch.Tensor, n: int, *, generator: torch.Generator | None = None) -> torch.Tensor:
    """n draws (..., n, p) from N(0, pinv(L)) for Laplacians L (..., p, p); float dtype and device of L.

    Components along the null space (one per connected component of the graph) are zero.

    Raises ``ValueError`` where L is not square, symmetric and finite, or n < 1.
    """
    _arguments.symmetric("L", L)
    n = _validate.positive_int("n", n)
    values, vectors = torch.linalg.eigh(L)
    kept = values > 1e-9 * values[..., -1:].clamp_min(torch.finfo(L.dtype).tiny)
    scale = torch.where(kept, values, 1.0).rsqrt() * kept
    device = L.device if generator is None else generator.device
    noise = torch.randn(*L.shape[:-2], n, L.shape[-1], generator=generator, dtype=L.dtype, device=device).to(L.device)
    return (noise * scale[..., None, :]) @ vectors.mT


def sample_covariance(X: torch.Tensor) -> torch.Tensor:
    """X' X / n (..., p, p) of signals X (..., n, p) whose mean is known to be zero.

    Raises ``ValueError`` unless X is a floating-point tensor with at least two dimensions and n >= 1.
    """
    _validate.float_tensor("X", X, 2)
    if X.shape[-2] < 1:
        raise ValueError(f"X must have at least one row (..., n, p), got shape {tuple(X.shape)}")
    return X.mT @ X / X.shape[-2]
