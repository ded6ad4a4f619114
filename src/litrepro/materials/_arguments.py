"""Checks that several modules of this package need."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from litrepro import _validate


def label_images(labels: Any, *, dims: int | None = None) -> torch.Tensor:
    """Grain labels (..., n, n): an integer tensor of square images; exactly ``dims`` dimensions if given."""
    _validate.integer_tensor("labels", labels)
    expected = "(..., n, n)" if dims is None else "(b, n, n)"
    wrong_dims = labels.ndim < 2 if dims is None else labels.ndim != dims
    if wrong_dims or labels.shape[-1] != labels.shape[-2] or labels.shape[-1] < 1:
        raise ValueError(f"labels must have shape {expected}, got {tuple(labels.shape)}")
    return labels


def numbers(name: str, value: Any) -> Any:
    """A real number, or a tensor, an array or a column of them."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    kind = str(getattr(value, "dtype", "")).removeprefix("torch.").lower()
    if not plain and not kind.startswith(("float", "bfloat", "int", "uint")):
        got = f"{type(value).__name__} {kind}".strip()
        raise ValueError(f"{name} must be a number, or a tensor, an array or a column of numbers, got {got}")
    return value


def listed(name: str, value: Any, beside: Any = None) -> Any:
    """A list or a tuple of numbers in float64, as an array beside an array or a column, else as a tensor on the device
    of the tensor beside it; anything else as it is."""
    if not isinstance(value, list | tuple):
        return value
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        found = None
    if found is None or found.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold numbers, got {value!r:.80}")
    found = found.astype(np.float64)
    if hasattr(beside, "dtype") and not isinstance(beside, torch.Tensor):
        return found
    return torch.as_tensor(found, device=getattr(beside, "device", "cpu"))


def vector(name: str, value: Any) -> torch.Tensor:
    """A vector (N,) of real numbers, none of them nan."""
    if not isinstance(value, torch.Tensor) or numbers(name, value).ndim != 1:
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"{name} must be a tensor (N,), got {got}")
    if bool(value.isnan().any()):
        raise ValueError(f"{name} must hold no nan")
    return value


def frames(steps: int, record: int | None) -> tuple[int, int | None]:
    """Number of steps (>= 0) and the recording interval (>= 1 or None)."""
    steps = _validate.positive_int("the number of steps", steps, 0)
    return steps, None if record is None else _validate.positive_int("record", record)
