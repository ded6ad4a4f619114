"""Checks of arguments that several functions of this room need: each returns its value, or says what is wrong."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate


def seed_list(value: Any) -> list[int]:
    """Seeds that torch takes, at least one."""
    return [_validate.seed("seeds", seed) for seed in _validate.sequence("seeds", value)]


def layer_widths(value: Any) -> tuple[int, ...]:
    """Input width, hidden widths, output width: at least two."""
    widths = tuple(_validate.positive_int("width", width) for width in _validate.sequence("widths", value, 0))
    if len(widths) < 2:
        raise ValueError(f"widths must name input and output at least, got {widths}")
    return widths


def labelled(
    name: str, data: Any, *, members: int | None = None, features: int | None = None, classes: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """x (n, d) and labels y (n,) of the classes 0, 1, ..., the latter as int64; n >= 1, on one device.

    With ``members``, x (members, n, d) and y (members, n) are fine too; ``features`` is d, ``classes`` the number of
    classes.
    """
    parts = _validate.sequence(name, data)
    if len(parts) != 2:
        raise ValueError(f"{name} must be a pair (x, y), got {len(parts)} item(s)")
    x = _validate.float_tensor(f"x of {name}", parts[0], 2)
    y = _validate.integer_tensor(f"y of {name}", parts[1], 1)
    stacked = x.ndim == 3 and members is not None and len(x) == members
    if y.shape != x.shape[:-1] or not (x.ndim == 2 or stacked) or y.numel() == 0:
        expected = "x (n, d) and y (n,)" + ("" if members is None else f" or one set per member ({members})")
        raise ValueError(f"{name} must be {expected}, n >= 1; got {tuple(x.shape)} and {tuple(y.shape)}")
    if x.shape[-1] == 0 or (features is not None and x.shape[-1] != features):
        raise ValueError(f"x of {name} must have {features or 'some'} features, got shape {tuple(x.shape)}")
    if x.device != y.device:
        raise ValueError(f"x and y of {name} must be on one device, got {x.device} and {y.device}")
    low, high = _ends(y)
    if low < 0 or (classes is not None and high >= classes):
        expected = ">= 0" if classes is None else f"in 0..{classes - 1}"
        raise ValueError(f"y of {name} must hold labels {expected}, got {low}..{high}")
    return x, y.to(torch.int64)


def _ends(labels: torch.Tensor) -> tuple[int, int]:
    """Smallest and largest label; (0, 0) under ``vmap``, where values cannot be looked at."""
    try:
        return int(labels.min()), int(labels.max())
    except RuntimeError as error:
        if "vmap" not in str(error):
            raise
        return 0, 0


def check_indices(name: str, value: Any, n: int, dims: int) -> torch.Tensor:
    """Integers in [0, n), of ``dims`` dimensions."""
    _validate.integer_tensor(name, value, dims)
    if value.ndim != dims or (value.numel() and not 0 <= int(value.min()) <= int(value.max()) < n):
        raise ValueError(f"{name} must hold integers in [0, {n}) in {dims} dimensions, got shape {tuple(value.shape)}")
    return value


def optional_function(name: str, value: Any) -> Any:
    """Something that can be called, or None."""
    return value if value is None else _validate.function(name, value)
