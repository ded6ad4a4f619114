"""Checks that the functions of this package share."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from litrepro import _validate


def matrix(name: str, value: Any) -> torch.Tensor:
    """A floating-point ``(..., k, d)`` with k, d >= 1."""
    _validate.float_tensor(name, value, 2)
    if 0 in value.shape[-2:]:
        raise ValueError(f"{name} must be (..., k, d) with k, d >= 1, got shape {tuple(value.shape)}")
    return value


def decomposed(name: str, value: Any) -> torch.Tensor:
    """A ``matrix`` in float32 or float64, the precisions of LAPACK; trials may be non-finite (``split_finite``)."""
    if matrix(name, value).dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64, got {value.dtype}")
    return value


def grid(name: str, value: Any) -> torch.Tensor:
    """Finite floating-point values (E,), E >= 1."""
    _validate.float_tensor(name, value)
    if value.ndim != 1 or len(value) == 0:
        raise ValueError(f"{name} must be a vector of at least one value, got shape {tuple(value.shape)}")
    _validate.finite(**{name: value})
    return value


def integers(name: str, values: Any, minimum: int) -> list[int]:
    """A non-empty sequence of integers."""
    return [_validate.positive_int(name, value, minimum) for value in _validate.sequence(name, values)]


def chain(factors: Any) -> list[torch.Tensor]:
    """A non-empty sequence of factors W_1, ..., W_N whose sizes fit, of one dtype, with batches that broadcast."""
    if isinstance(factors, torch.Tensor) or not isinstance(factors, list | tuple) or len(factors) == 0:
        raise ValueError(f"factors must be a non-empty list of matrices, got {type(factors).__name__} {factors!r:.60}")
    factors = [matrix(f"factor {j}", factor) for j, factor in enumerate(factors, 1)]
    shapes = [tuple(factor.shape) for factor in factors]
    for below, above in itertools.pairwise(factors):
        if above.shape[-1] != below.shape[-2] or above.dtype != below.dtype:
            raise ValueError(f"factors W_1, ..., W_N must have fitting sizes and one dtype, got shapes {shapes}")
    _validate.same_kind(**{f"W_{j}": factor for j, factor in enumerate(factors, 1)})
    try:
        torch.broadcast_shapes(*(shape[:-2] for shape in shapes))
    except RuntimeError:
        raise ValueError(f"batch dimensions of the factors must broadcast, got shapes {shapes}") from None
    return factors


def per_trial(name: str, value: Any, like: torch.Tensor, *, signed: bool = False) -> float | torch.Tensor:
    """A number, or a tensor of the batch shape of ``like (..., k, d)``, to multiply it with; positive unless signed."""
    if not isinstance(value, torch.Tensor) or value.ndim == 0:
        return _validate.real(name, value) if signed else _validate.real(name, value, 0, open_low=True)
    batch = like.shape[:-2]
    try:
        fits = torch.broadcast_shapes(value.shape, batch) == batch
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"{name} must be a number or of the batch shape {tuple(batch)}, got {tuple(value.shape)}")
    if value.dtype == torch.bool or value.is_complex():
        raise ValueError(f"{name} must be real, got {value.dtype}")
    value = value.detach().to(like)
    good = torch.isfinite(value) if signed else torch.isfinite(value) & (value > 0)
    if not bool(good.all()):
        raise ValueError(f"{name} must be finite{'' if signed else ' and > 0'} everywhere, got {value}")
    return value[..., None, None]


def gradient_at(grad: Any, w: torch.Tensor) -> torch.Tensor:
    """``grad(w)`` without a graph; it must have the shape of ``w``."""
    g = grad(w)
    if not isinstance(g, torch.Tensor) or g.shape != w.shape:
        got = tuple(g.shape) if isinstance(g, torch.Tensor) else type(g).__name__
        raise ValueError(f"grad must return a tensor of shape {tuple(w.shape)}, got {got}")
    return g.detach().to(w)


def split_finite(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(w with non-finite trials set to zero, mask (..., 1, 1) of finite trials): LAPACK refuses a batch with a nan."""
    finite = torch.isfinite(w).all(-1).all(-1)[..., None, None]
    return torch.where(finite, w, 0.0), finite
