"""Settings of an optimizer's parameter groups: only those that count, as plain numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

# What torch and its schedulers write into a group: nothing that a step would have to follow.
_LABELS = {"params", "name", "param_names", "initial_lr"}


def known_settings(param_group: Any, names: Iterable[str], note: str = "") -> None:
    """``ValueError`` for a setting that is none of ``names``: a group with it would train as if it were not there."""
    unknown = set(param_group) - _LABELS - set(names) if isinstance(param_group, dict) else set()  # else torch refuses
    if unknown:
        found = sorted(map(str, unknown))
        raise ValueError(f"the settings of a group must be {' and '.join(names)}{note}, got {found}")


def plain(value: Any) -> Any:
    """Numbers of numpy as Python's, which a saved state can be read back with; tensors and all else as they are."""
    if isinstance(value, tuple | list):
        return type(value)(map(plain, value))
    return value if isinstance(value, torch.Tensor) or getattr(value, "ndim", None) != 0 else value.item()
