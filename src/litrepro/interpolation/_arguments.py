"""Checks that the functions of this room share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from litrepro import _validate


def matrix(name: str, value: Any) -> torch.Tensor:
    """A real or complex tensor (..., n, p) of finite numbers in single or double precision."""
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if value.dtype not in (torch.float32, torch.float64, torch.complex64, torch.complex128):
        raise ValueError(f"{name} must be float32, float64, complex64 or complex128, got {value.dtype}")
    if value.ndim < 2:
        raise ValueError(f"{name} must have shape (..., n, p), got {tuple(value.shape)}")
    return finite(name, value)


def finite(name: str, value: torch.Tensor) -> torch.Tensor:
    """The tensor, if all of it is finite."""
    if not bool(value.isfinite().all()):
        raise ValueError(f"{name} must be finite, got {int((~value.isfinite()).sum())} entries that are not")
    return value


def integers(name: str, values: Any, minimum: int = 0) -> torch.Tensor:
    """A sequence or tensor of whole numbers as an int64 tensor (m,)."""
    if isinstance(values, torch.Tensor):
        if values.ndim != 1 or values.dtype == torch.bool or values.dtype.is_complex:
            raise ValueError(f"{name} must be a vector of integers, got {values.dtype} of shape {tuple(values.shape)}")
        values = values.tolist()
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise ValueError(f"{name} must be a sequence of integers, got {values!r}")
    return torch.tensor([_whole(name, value, minimum) for value in values], dtype=torch.int64, device="cpu")


def _whole(name: str, value: Any, minimum: int) -> int:
    if isinstance(value, float) and value.is_integer():  # 1e9 is how people write a billion
        value = int(value)
    return _validate.positive_int(name, value, minimum)


def precision(dtype: Any) -> torch.dtype:
    """float32 or float64."""
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {dtype!r}")
    return dtype


def labelled(name: str, data: Any, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(x (n, ...), labels (n,) int64 in 0..num_classes-1) of a data set that is not empty."""
    try:
        x, labels = data
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a pair (x, labels), got {type(data).__name__}") from None
    if not isinstance(x, torch.Tensor) or not isinstance(labels, torch.Tensor):
        raise ValueError(f"{name} must hold two tensors, got {type(x).__name__} and {type(labels).__name__}")
    if x.is_complex():
        raise ValueError(f"{name} must have real examples, got {x.dtype}")
    if x.ndim < 1 or labels.ndim != 1 or len(x) != len(labels) or not len(labels):
        raise ValueError(f"{name} must be x (n, ...) and labels (n,), got {tuple(x.shape)} and {tuple(labels.shape)}")
    if labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype == torch.bool:
        raise ValueError(f"{name} must have integer labels, got {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"labels of {name} must lie in 0..{num_classes - 1}, got {low} to {high}")
    return x, labels.long()


def widths(values: Sequence[int], *, increasing: bool = False) -> list[int]:
    """Widths >= 1, at least one; strictly increasing if asked for."""
    found = integers("widths", values, 1).tolist()
    if not found:
        raise ValueError("widths must name at least one width, got none")
    if increasing and any(after <= before for before, after in itertools.pairwise(found)):
        raise ValueError(f"widths must increase, got {found}")
    return found
