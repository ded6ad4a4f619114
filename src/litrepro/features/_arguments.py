"""Checks and conversions that every module of this package needs."""

from __future__ import annotations

import math
from typing import Any

import torch

from litrepro import _validate


def matched(**tensors: torch.Tensor | None) -> list[torch.Tensor | None]:
    """The tensors in their common dtype, on the device of the first; None stays None."""
    given = [_validate.float_tensor(name, value) for name, value in tensors.items() if value is not None]
    dtype = given[0].dtype
    for tensor in given[1:]:
        dtype = torch.promote_types(dtype, tensor.dtype)
    device = given[0].device
    return [None if value is None else value.to(device=device, dtype=dtype) for value in tensors.values()]


def numbers(name: str, value: Any, like: Any = None) -> torch.Tensor:
    """A floating-point tensor; integers (bool is none) become what ``like`` is, or the default dtype."""
    dtype = like.dtype if isinstance(like, torch.Tensor) else torch.get_default_dtype()
    return _validate.float_tensor(name, _validate.integers_as(name, value, dtype))


def points(**tensors: torch.Tensor) -> list[torch.Tensor]:
    """Point sets (..., n, d) in a common dtype, checked for a common d >= 1 and batch dimensions that broadcast."""
    for name, value in tensors.items():
        _validate.float_tensor(name, value, 2)
    names, shapes = list(tensors), [tuple(value.shape) for value in tensors.values()]
    if len({shape[-1] for shape in shapes}) > 1 or shapes[0][-1] < 1:
        got = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes))
        raise ValueError(f"{' and '.join(names)} must have the same last dimension d >= 1, got {got}")
    _validate.broadcast(**{name: shape[:-2] for name, shape in zip(names, shapes)})
    return matched(**tensors)


def distances(**tensors: torch.Tensor) -> list[torch.Tensor]:
    """``points`` in float32 or float64, the precisions that distances are computed in."""
    found = points(**tensors)
    if found[0].dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{' and '.join(tensors)} must be float32 or float64, got {found[0].dtype}")
    return found


def square(name: str, value: Any) -> torch.Tensor:
    """A floating-point tensor (..., n, n)."""
    _validate.float_tensor(name, value, 2)
    if value.shape[-1] != value.shape[-2]:
        raise ValueError(f"{name} must be square (..., n, n), got shape {tuple(value.shape)}")
    return value


def same_rows(**tensors: torch.Tensor) -> None:
    """Matrices (..., n, .) with one n >= 1 and batch dimensions that broadcast."""
    for name, value in tensors.items():
        _validate.float_tensor(name, value, 2)
    if len({value.shape[-2] for value in tensors.values()}) > 1 or next(iter(tensors.values())).shape[-2] < 1:
        got = ", ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items())
        raise ValueError(f"{' and '.join(tensors)} must have the same number n >= 1 of rows, got {got}")
    _validate.broadcast(**{name: tuple(value.shape[:-2]) for name, value in tensors.items()})


def symmetric(name: str, value: torch.Tensor) -> torch.Tensor:
    """A square matrix that equals its transpose up to rounding."""
    square(name, value)
    if value.numel():
        gap, scale = (value - value.mT).abs().amax((-2, -1)), value.abs().amax((-2, -1))
        if bool((gap > 1e-3 * scale).any()):
            raise ValueError(f"{name} must be symmetric, got entries that differ by {gap.max().item():.3g}")
    return value


def regularization(lam: Any, like: torch.Tensor) -> torch.Tensor:
    """lambda > 0, a number or a tensor of batch shape, as a float64 tensor (..., 1, 1) on the device of ``like``."""
    if isinstance(lam, torch.Tensor) and lam.ndim > 0:
        _validate.float_tensor("lam", lam)
        if not bool(((lam > 0) & lam.isfinite()).all()):
            raise ValueError(f"lam must be finite and positive, got {lam.tolist()}")
        _validate.broadcast(lam=tuple(lam.shape), batch=tuple(like.shape[:-2]))
        return lam.to(device=like.device, dtype=torch.float64)[..., None, None]
    number = _validate.real("lam", lam, 0, open_low=True)
    return torch.full((1, 1), number, dtype=torch.float64, device=like.device)


def width(sigma: Any) -> float:
    """A kernel width sigma > 0."""
    return _validate.real("sigma", sigma, 0, open_low=True)


def batch_shape(batch: Any) -> tuple[int, ...]:
    """Batch dimensions: a tuple of integers >= 0, or one integer."""
    sizes = (batch,) if hasattr(batch, "__index__") and not isinstance(batch, bool) else batch
    if not isinstance(sizes, tuple | list):
        raise ValueError(f"batch must be a tuple of integers, got {batch!r}")
    return tuple(_validate.positive_int("batch", size, 0) for size in sizes)


def power_of_two(name: str, value: int) -> int:
    """The length of a Walsh-Hadamard transform."""
    if value < 1 or value & (value - 1):
        raise ValueError(f"{name} must be a power of two, got {value}")
    return value


def next_power_of_two(value: int) -> int:
    """The smallest power of two >= value."""
    return 1 << math.ceil(math.log2(value)) if value > 1 else 1
