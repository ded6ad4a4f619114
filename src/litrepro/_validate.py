"""Checks of arguments that every room needs: each returns its value, or says what it got and what it expected."""

from __future__ import annotations

import math
from typing import Any


def positive_int(name: str, value: Any, minimum: int = 1) -> int:
    """An integer of at least ``minimum`` (numpy's and 0-dim torch's too; a bool is none)."""
    if not isinstance(value, bool) and hasattr(value, "__index__"):
        try:
            number = value.__index__()
        except TypeError:
            number = None
        if number is not None and number >= minimum:
            return number
    raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")


def real(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, open_low=False, open_high=False
) -> float:
    """A finite number between ``low`` and ``high``; the ends are excluded where they are open."""
    number = None
    if not isinstance(value, bool | str | complex):
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            number = None
    inside = (
        number is not None
        and math.isfinite(number)
        and (number > low if open_low else number >= low)
        and (number < high if open_high else number <= high)
    )
    if not inside:
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        raise ValueError(f"{name} must be a finite number in {interval}, got {value!r}")
    return number


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """One of ``options``."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}; got {value!r}")
    return value


def float_tensor(name: str, value: Any, minimum_dims: int = 0) -> Any:
    """A floating-point tensor with at least ``minimum_dims`` dimensions."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if not value.dtype.is_floating_point:
        raise ValueError(f"{name} must have a floating-point dtype, got {value.dtype}")
    if value.ndim < minimum_dims:
        raise ValueError(f"{name} must have at least {minimum_dims} dimension(s), got shape {tuple(value.shape)}")
    return value


def same_kind(**tensors: Any) -> None:
    """Tensors of one dtype on one device."""
    if len({(tensor.dtype, tensor.device) for tensor in tensors.values()}) > 1:
        got = ", ".join(f"{name} {tensor.dtype} on {tensor.device}" for name, tensor in tensors.items())
        raise ValueError(f"{' and '.join(tensors)} must have one dtype and one device, got {got}")
