"""Checks that every module of this package needs."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate


def random_source(generator: Any) -> torch.Generator:
    """The generator itself, one with the given seed, or one with seed 0 for None."""
    if isinstance(generator, torch.Generator):
        return generator
    seed = 0 if generator is None else _validate.positive_int("generator", generator, 0)
    return torch.Generator().manual_seed(seed)


def normal(shape: tuple[int, ...], generator: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers in the dtype and on the device of ``like``, drawn on the generator's device."""
    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=like.dtype)
    return drawn.to(like.device)


def broadcast(**shapes: Any) -> torch.Size:
    """The broadcast of batch shapes, or a ValueError that names them."""
    try:
        return torch.broadcast_shapes(*(tuple(shape) for shape in shapes.values()))
    except RuntimeError:
        got = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise ValueError(f"batch dimensions must broadcast, got {got}") from None


def samples(X: Any, y: Any) -> torch.Size:
    """Inputs (..., n, d) and targets (..., n) with one n >= 1, d >= 1; returns their common batch shape."""
    _validate.float_tensor("X", X, 2)
    _validate.float_tensor("y", y, 1)
    if X.shape[-2] != y.shape[-1] or X.shape[-2] < 1 or X.shape[-1] < 1:
        raise ValueError(
            f"X (..., n, d) and y (..., n) must share n >= 1 with d >= 1, got {tuple(X.shape)} and {tuple(y.shape)}"
        )
    _validate.same_kind(X=X, y=y)
    return broadcast(X=X.shape[:-2], y=y.shape[:-1])


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
    return broadcast(**{names[0]: W.shape[:-2], names[1]: W_star.shape[:-2]})


def step_size(name: str, value: Any, batch: torch.Size, like: torch.Tensor, trailing: int = 1) -> Any:
    """A number, or a tensor of batch shape with ``trailing`` more dimensions of size one."""
    if isinstance(value, torch.Tensor) and value.ndim > 0:
        if value.is_complex() or not bool(value.isfinite().all()):
            raise ValueError(f"{name} must be real and finite, got {value.tolist()}")
        if broadcast(**{name: value.shape, "batch": batch}) != batch:
            raise ValueError(f"{name} must broadcast to the batch shape {tuple(batch)}, got {tuple(value.shape)}")
        return value.to(like)[(...,) + (None,) * trailing]
    return _validate.real(name, value)


def finite(**tensors: torch.Tensor) -> None:
    """A ValueError for tensors with nan or inf."""
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} must be finite")


def decomposable(name: str, tensor: torch.Tensor) -> None:
    """A ValueError for the dtypes in which torch has no eigenvalues, singular values or distances."""
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64, got {tensor.dtype}")
