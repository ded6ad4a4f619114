"""Checks that every module of this package needs."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate


def normal(shape: tuple[int, ...], generator: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers in the dtype and on the device of ``like``, drawn on the generator's device."""
    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=like.dtype)
    return drawn.to(like.device)


def samples(X: Any, y: Any) -> torch.Size:
    """Inputs (..., n, d) and targets (..., n) with one n >= 1, d >= 1; returns their common batch shape."""
    _validate.float_tensor("X", X, 2)
    _validate.float_tensor("y", y, 1)
    if X.shape[-2] != y.shape[-1] or X.shape[-2] < 1 or X.shape[-1] < 1:
        raise ValueError(
            f"X (..., n, d) and y (..., n) must share n >= 1 with d >= 1, got {tuple(X.shape)} and {tuple(y.shape)}"
        )
    _validate.same_kind(X=X, y=y)
    return _validate.broadcast(X=X.shape[:-2], y=y.shape[:-1])


def weights(name: str, W: Any, d: int | None = None) -> torch.Tensor:
    """Neurons as rows (..., K, d) with K >= 1."""
    _validate.float_tensor(name, W, 2)
    if W.shape[-2] < 1 or W.shape[-1] < 1 or (d is not None and W.shape[-1] != d):
        expected = "(..., K, d)" if d is None else f"(..., K, {d})"
        raise ValueError(f"{name} must have shape {expected} with K >= 1, got {tuple(W.shape)}")
    return W


def pair(W: Any, W_star: Any, names: tuple[str, str] = ("W", "W_star"), same_rows: bool = False) -> torch.Size:
    """Two sets of neurons in one dimension; returns their common batch shape."""
    weights(names[0], W)
    weights(names[1], W_star)
    if W.shape[-1] != W_star.shape[-1] or (same_rows and W.shape[-2] != W_star.shape[-2]):
        what = "shape (..., K, d)" if same_rows else "last dimension d"
        raise ValueError(
            f"{' and '.join(names)} must have the same {what}, got {tuple(W.shape)} and {tuple(W_star.shape)}"
        )
    _validate.same_kind(**{names[0]: W, names[1]: W_star})
    return _validate.broadcast(**{names[0]: W.shape[:-2], names[1]: W_star.shape[:-2]})


def step_size(name: str, value: Any, batch: torch.Size, like: torch.Tensor, trailing: int = 1) -> Any:
    """A number, or a tensor of batch shape with ``trailing`` more dimensions of size one."""
    if isinstance(value, torch.Tensor) and value.ndim > 0:
        if value.is_complex() or not bool((value.isfinite() & (value >= 0)).all()):
            raise ValueError(f"{name} must be real, finite and >= 0, got {value.tolist()}")
        if _validate.broadcast(**{name: value.shape, "batch": batch}) != batch:
            raise ValueError(f"{name} must broadcast to the batch shape {tuple(batch)}, got {tuple(value.shape)}")
        return value.to(like)[(...,) + (None,) * trailing]
    return _validate.real(name, value, 0)


def decomposable(name: str, tensor: torch.Tensor) -> None:
    """A ValueError for the dtypes in which torch has no eigenvalues, singular values or distances; nan may pass."""
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64, got {tensor.dtype}")
