"""What the completion layers take: numbers in [0, 1] for bits, and which of them are known."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate


def partly_known(z: Any, known: Any, n: int) -> torch.Tensor:
    """``known`` in the shape of z (..., n), once both are checked; unknown entries of z may be anything."""
    _validate.float_tensor("z", z, 1)
    if z.shape[-1] != n:
        raise ValueError(f"z must be (..., {n}), got shape {tuple(z.shape)}")
    if not isinstance(known, torch.Tensor) or known.dtype != torch.bool:
        raise ValueError(f"known must be a boolean tensor, got {getattr(known, 'dtype', type(known).__name__)}")
    fits = known.shape[-1:] == (n,) and known.ndim <= z.ndim
    if not fits or _validate.broadcast(known=known.shape, z=z.shape) != z.shape:
        raise ValueError(f"known must have the shape of z, {tuple(z.shape)}, got {tuple(known.shape)}")
    known = known.expand(z.shape)
    if _validate.known((~known | ((z >= 0) & (z <= 1))).all()) is False:
        raise ValueError("known entries of z must lie in [0, 1]")
    return known
