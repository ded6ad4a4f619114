"""Checks that several modules of this package need."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate


def trials(w: Any, name: str = "w0") -> torch.Tensor:
    """Weights (..., d) of at least one trial, d >= 1."""
    if not _validate.float_tensor(name, w, 1).numel():
        raise ValueError(f"{name} must hold at least one trial and one weight, got shape {tuple(w.shape)}")
    return w


def task(model: Any, loss: Any, w: torch.Tensor, data: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y of one length, on the first of which the model and the loss were tried: the loss is one number."""
    x, y = _validate.examples("data", data)
    first = w.detach().reshape(-1, w.shape[-1])[0]
    with torch.no_grad():
        outputs = _validate.answer("model", lambda rows: model(first, rows), x[:1])
        value = _validate.answer("loss", lambda rows: loss(outputs, rows), y[:1])
    if not isinstance(outputs, torch.Tensor) or not isinstance(value, torch.Tensor) or value.ndim != 0:
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"model must return a tensor and loss a tensor of shape (), got {found}")
    return x, y


def signs(x: Any, y: Any) -> None:
    """x (n, d) and labels y (n,) of -1 and +1, of one dtype, n >= 1."""
    _validate.float_tensor("x", x, 2), _validate.float_tensor("y", y, 1)
    if x.ndim != 2 or y.shape != x.shape[:1] or not x.numel():
        raise ValueError(f"x and y must be (n, d) and (n,), n, d >= 1, got {tuple(x.shape)} and {tuple(y.shape)}")
    _validate.same_kind(x=x, y=y)
    _validate.finite(x=x)
    if not bool((y.abs() == 1).all()):
        raise ValueError("y must hold -1 and +1 only")
