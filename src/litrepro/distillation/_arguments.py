"""Checks that losses and targets share. Ranges are checked on Python numbers alone: tensors may be under ``vmap``."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate


def weight(name: str, value: Any) -> Any:
    """A mixing weight in [0, 1]; a tensor is returned as it is."""
    return value if isinstance(value, torch.Tensor) else _validate.real(name, value, 0, 1)


def temperature(value: Any) -> Any:
    """A temperature > 0; a tensor is returned as it is."""
    return value if isinstance(value, torch.Tensor) else _validate.real("temperature", value, 0, open_low=True)


def per_example(name: str, value: Any, shape: torch.Size) -> Any:
    """A number or 0-dim tensor as it is, a tensor (...) or (..., 1) as one that broadcasts to the examples' shape."""
    if not isinstance(value, torch.Tensor) or value.ndim == 0:
        return value
    found = value[..., 0] if value.ndim == len(shape) + 1 and value.shape[-1] == 1 else value
    if found.ndim > len(shape) or any(a not in (1, b) for a, b in zip(reversed(found.shape), reversed(shape))):
        expected = f"a number or a tensor that broadcasts to the examples' shape {tuple(shape)}"
        raise ValueError(f"{name} must be {expected}, got {tuple(value.shape)}")
    return found


def along_classes(value: Any) -> Any:
    """What ``per_example`` gave, for tensors (..., K)."""
    return value[..., None] if isinstance(value, torch.Tensor) and value.ndim else value


def same_classes(logits: torch.Tensor, other: torch.Tensor, name: str) -> None:
    """``other`` must have the classes of the logits (..., K), and broadcast to their shape."""
    _validate.float_tensor("logits", logits, 1)
    if (
        not isinstance(other, torch.Tensor)
        or other.is_complex()
        or other.ndim < 1
        or other.shape[-1] != logits.shape[-1]
    ):
        got = f"{other.dtype} {tuple(other.shape)}" if isinstance(other, torch.Tensor) else type(other).__name__
        raise ValueError(
            f"{name} must have {logits.shape[-1]} classes in its last dimension, as logits, and be real; got {got}"
        )
    short = zip(reversed(other.shape), reversed(logits.shape))
    if other.ndim > logits.ndim or any(a not in (1, b) for a, b in short):
        raise ValueError(f"{name} must broadcast to the logits' shape {tuple(logits.shape)}, got {tuple(other.shape)}")


def matching_labels(logits: torch.Tensor, labels: torch.Tensor) -> None:
    """Integer labels (...) for logits (..., K), within 0..K-1 where their values can be looked at."""
    integer_labels(labels)
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"labels must have shape {tuple(logits.shape[:-1])}, got {tuple(labels.shape)}")
    if labels.device.type != "cpu" or not labels.numel():  # a GPU would have to be waited for in every step
        return
    if _validate.known(((labels >= 0) & (labels < logits.shape[-1])).all()) is False:
        raise ValueError(f"labels must be in 0..{logits.shape[-1] - 1}, got {int(labels.min())}..{int(labels.max())}")


def integer_labels(labels: Any, classes: int | None = None) -> None:
    """A tensor of integers, within 0..classes-1 if ``classes`` is given (its values are then looked at, if there)."""
    _validate.integer_tensor("labels", labels)
    if classes is not None and _validate.known(((labels >= 0) & (labels < classes)).all()) is False:
        raise ValueError(f"labels must be in 0..{classes - 1}, got {int(labels.min())}..{int(labels.max())}")


def one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """(..., K) bool; ``torch.nn.functional.one_hot`` does not work under vmap."""
    return labels[..., None] == torch.arange(classes, device=labels.device)
