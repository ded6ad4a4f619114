"""Checks that several modules of this package need."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate


def label_images(labels: Any, *, dims: int | None = None) -> torch.Tensor:
    """Grain labels (..., n, n): an integer tensor of square images; exactly ``dims`` dimensions if given."""
    if not isinstance(labels, torch.Tensor) or labels.dtype.is_floating_point or labels.dtype == torch.bool:
        got = labels.dtype if isinstance(labels, torch.Tensor) else type(labels).__name__
        raise ValueError(f"labels must be an integer tensor, got {got}")
    expected = "(..., n, n)" if dims is None else "(b, n, n)"
    wrong_dims = labels.ndim < 2 if dims is None else labels.ndim != dims
    if wrong_dims or labels.shape[-1] != labels.shape[-2] or labels.shape[-1] < 1:
        raise ValueError(f"labels must have shape {expected}, got {tuple(labels.shape)}")
    return labels


def random_source(source: Any, device: Any = "cpu") -> torch.Generator:
    """The generator itself, or one with the given non-negative seed (0 for None)."""
    if isinstance(source, torch.Generator):
        return source
    seed = 0 if source is None else _validate.positive_int("seed", source, 0)
    return torch.Generator(device).manual_seed(seed)


def frames(steps: int, record: int | None) -> tuple[int, int | None]:
    """Number of steps (>= 0) and the recording interval (>= 1 or None)."""
    steps = _validate.positive_int("the number of steps", steps, 0)
    return steps, None if record is None else _validate.positive_int("record", record)
