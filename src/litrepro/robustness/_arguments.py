"""Checks and broadcasts that attacks and certificates share."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from litrepro import _validate

NORMS = ("linf", "l2", "l1")
LOSSES = ("ce", "margin")
Box = tuple[float, float] | None
SLACK = 1e-6  # rounding that an input may stand outside its box


def images(x: Any, box: Box) -> torch.Tensor:
    """x (n, *shape) detached, floating point, finite, inside the box."""
    _validate.float_tensor("x", x, 2)
    x = x.detach()
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x must be finite")
    if box is not None:
        low, high = check_box(box)
        if x.numel() and (float(x.min()) < low - SLACK or float(x.max()) > high + SLACK):
            found = f"[{float(x.min()):g}, {float(x.max()):g}]"
            raise ValueError(f"x must lie in its box [{low:g}, {high:g}], got values in {found}")
    return x


def check_box(box: Box) -> tuple[float, float]:
    """The two ends of a box, low < high."""
    try:
        low, high = (float(end) for end in box)
    except (TypeError, ValueError) as error:
        raise ValueError(f"box must be (low, high) or None, got {box!r}") from error
    if not low < high:
        raise ValueError(f"box must be (low, high) with low < high, got {box!r}")
    return low, high


def labels(y: Any, x: torch.Tensor, name: str = "x") -> torch.Tensor:
    """y (n,), one int64 label per example, on the device of x, which the caller knows as ``name``."""
    if not isinstance(y, torch.Tensor) or y.ndim != 1 or y.dtype.is_floating_point or y.dtype == torch.bool:
        raise ValueError("y must be a tensor (n,) of integer labels")
    if len(y) != len(x):
        raise ValueError(f"{name} and y must have the same length, got {len(x)} and {len(y)}")
    return y.to(device=x.device, dtype=torch.int64)


def radius(eps: Any, x: torch.Tensor) -> torch.Tensor:
    """eps as (n,), finite and non-negative, dtype and device of x."""
    value = numbers("eps", eps, len(x), x)
    if not bool((torch.isfinite(value) & (value >= 0)).all()):
        raise ValueError(f"eps must be finite and >= 0, got {eps!r}")
    return value.expand(len(x))


def numbers(name: str, value: Any, n: int, like: torch.Tensor) -> torch.Tensor:
    """A number or n of them, dtype and device of ``like``, detached."""
    try:
        found = torch.as_tensor(value, dtype=like.dtype, device=like.device).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be a number or ({n},), got {value!r}") from error
    if found.ndim > 1 or (found.ndim == 1 and len(found) != n):
        raise ValueError(f"{name} must be a number or ({n},), got shape {tuple(found.shape)}")
    return found


def optimizer(name: str) -> Any:
    """A solver of ``scipy.optimize``: HiGHS, which linear and mixed-integer programs need and nothing else does."""
    try:
        return getattr(importlib.import_module("scipy.optimize"), name)
    except ImportError as error:
        raise ImportError("linear and mixed-integer programs need scipy (HiGHS): pip install scipy") from error


def per_example(value: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(n,) as (n, 1, ..., 1), to broadcast against x."""
    return value.reshape(-1, *[1] * (x.ndim - 1))


def pair(name: str, data: Any) -> tuple[Any, Any]:
    """The examples and labels of a pair."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"{name} must be a pair (x, y), got {type(data).__name__}")
    return data[0], data[1]


def scores(model: Any, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
    """Logits (n, K) of the model, and labels that fit them."""
    logits = _validate.answer("the model", model, x)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(x):
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"the model must map ({len(x)}, ...) to ({len(x)}, K), got {found}")
    if y is not None and y.numel() and (int(y.min()) < 0 or int(y.max()) >= logits.shape[1]):
        raise ValueError(f"labels must lie in 0..{logits.shape[1] - 1}, got {int(y.min())}..{int(y.max())}")
    return logits


def gradient(values: torch.Tensor, x: torch.Tensor, *, retain: bool = False) -> torch.Tensor:
    """Gradient with respect to x of the sum of what was computed from logits; ``retain`` the graph for another one."""
    found = None
    if values.requires_grad:
        found = torch.autograd.grad(values.sum(), x, allow_unused=True, retain_graph=retain)[0]
    if found is None:
        raise ValueError("the model must be differentiable in x, its logits carry no gradient")
    return found


def margin(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """max_{j != y} f_j - f_y, (n,): positive where the example is misclassified."""
    true = logits.gather(1, y[:, None])[:, 0]
    return logits.scatter(1, y[:, None], -torch.inf).amax(1) - true


def losses(logits: torch.Tensor, y: torch.Tensor, loss: str) -> torch.Tensor:
    """Cross-entropy or margin, one value per example."""
    if loss == "margin":
        return margin(logits, y)
    return torch.nn.functional.cross_entropy(logits, y, reduction="none")
