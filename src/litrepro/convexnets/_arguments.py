"""Checks of arguments that every module of this package needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from litrepro import _validate


def double(name: str, value: Any, dims: int) -> Tensor:
    """A finite floating-point tensor with at least ``dims`` dimensions, in float64."""
    tensor = _validate.float_tensor(name, value, dims).to(torch.float64)
    if not bool(tensor.isfinite().all()):
        raise ValueError(f"{name} must be finite")
    return tensor


def signs(name: str, value: Any, dims: int) -> Tensor:
    """A tensor of +1 and -1 with at least ``dims`` dimensions, in float64; integers will do."""
    tensor = double(name, _validate.integers_as(name, value, torch.float64), dims)
    if not bool((tensor.abs() == 1).all()):
        raise ValueError(f"{name} must be +1 or -1, got {sorted(set(tensor.flatten().tolist()))[:5]}")
    return tensor


def data(X: Any, y: Any, *, names: tuple[str, str] = ("X", "y")) -> tuple[Tensor, Tensor]:
    """Inputs (..., n, d) and targets (..., n), integers too, with one n >= 1 and batch dimensions that broadcast."""
    X, y = double(names[0], X, 2), double(names[1], _validate.integers_as(names[1], y, torch.float64), 1)
    if X.shape[-2] != y.shape[-1] or X.shape[-2] < 1 or X.shape[-1] < 1:
        got = f"{names[0]} {tuple(X.shape)}, {names[1]} {tuple(y.shape)}"
        raise ValueError(f"{names[0]} (..., n, d) and {names[1]} (..., n) must share n >= 1, got {got}")
    _validate.broadcast(**{names[0]: X.shape[:-2], names[1]: y.shape[:-1]})
    return X, y


def positive(name: str, value: Any, like: Tensor, *, zero: bool = False) -> Tensor:
    """A positive (with ``zero``: non-negative) number or tensor of them, like ``like``; a tensor keeps its graph."""
    if isinstance(value, Tensor) and value.ndim > 0:
        value = double(name, value, 0).to(like.device)
        if not bool((value >= 0).all() if zero else (value > 0).all()):
            raise ValueError(f"{name} must be {'non-negative' if zero else 'positive'} everywhere")
        return value.to(like.dtype)
    if isinstance(value, Tensor):
        _validate.real(name, value.detach(), 0, open_low=not zero)
        return value.to(like)
    return torch.tensor(_validate.real(name, value, 0, open_low=not zero), dtype=like.dtype, device=like.device)


def program(X: Any, y: Any, beta: Any, patterns: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The arguments of the convex program of a two-layer network."""
    X, y = data(X, y)
    beta = positive("beta", beta, X)
    patterns = _validate.boolean_tensor("patterns", patterns, 2)
    if patterns.shape[-1] != X.shape[-2] or patterns.shape[-2] < 1:
        raise ValueError(f"patterns must have shape (..., P >= 1, {X.shape[-2]}), got {tuple(patterns.shape)}")
    shape = _validate.broadcast(X=X.shape[:-2], y=y.shape[:-1], beta=beta.shape, patterns=patterns.shape[:-2])
    if not shape.numel():
        raise ValueError(f"the batch must hold at least one problem, got batch shape {tuple(shape)}")
    return X, y, beta, patterns.to(X.device)


def budget(max_iter: Any, tol: Any) -> tuple[int, float]:
    """Iterations >= 1 and a positive tolerance."""
    return _validate.positive_int("max_iter", max_iter), _validate.real("tol", tol, 0, open_low=True)


def flatten(value: Tensor, shape: torch.Size, keep: int) -> Tensor:
    """One batch dimension before the last ``keep``: of length 1 where the batch only repeats the tensor."""
    if value.ndim == keep:
        return value[None]
    return value.expand(*shape, *value.shape[-keep:]).reshape(-1, *value.shape[-keep:])


def pair(first: str, a: Any, second: str, b: Any) -> tuple[Tensor, Tensor]:
    """Two finite floating-point matrices of one shape."""
    a, b = _validate.float_tensor(first, a, 2), _validate.float_tensor(second, b, 2)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"{first} and {second} must both be (P, d), got {tuple(a.shape)} and {tuple(b.shape)}")
    _validate.finite(**{first: a, second: b})
    return a, b


def within(shape: tuple[int, ...], **values: Tensor) -> None:
    """A ValueError for tensors that do not broadcast to ``shape``."""
    for name, value in values.items():
        if _validate.broadcast(**{name: value.shape, "ensemble": torch.Size(shape)}) != shape:
            raise ValueError(f"{name} must be one number or broadcast to {tuple(shape)}, got {tuple(value.shape)}")
