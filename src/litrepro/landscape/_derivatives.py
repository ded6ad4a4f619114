"""Gradients and dense Hessians of batched functions."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro._recording import recordable, recording

Fun = Callable[[torch.Tensor], torch.Tensor]


def gradient(fun: Fun, x: torch.Tensor) -> torch.Tensor:
    """Gradient of ``fun`` (..., d) -> (...), which acts on trials independently, at x: (..., d).

    It is taken inside ``torch.no_grad`` and ``torch.inference_mode`` too. A ``fun`` whose values carry no gradient is
    a constant.

    Raises ``ValueError`` if x is not floating point, ``fun`` cannot be called or does not return one value per trial.

    Examples
    --------
    >>> import torch
    >>> gradient(lambda x: x.pow(3).sum(-1), torch.tensor([[1.0, 2.0]]))
    tensor([[ 3., 12.]])
    """
    _validate.float_tensor("x", x, 1)
    with recording():
        at = recordable(x.detach()).requires_grad_(True)
        values = _values(fun, at)
        if not values.requires_grad:
            return torch.zeros_like(x)
        (found,) = torch.autograd.grad(values.sum(), at, materialize_grads=True)
    return found


def hessian(fun: Fun, x: torch.Tensor) -> torch.Tensor:
    """Hessian of ``fun`` (..., d) -> (...) at x: (..., d, d), symmetric.

    d backward passes over the whole batch (one per coordinate, vectorized): trials cost no loop. Raises ``ValueError``
    as ``gradient``.

    Examples
    --------
    >>> import torch
    >>> hessian(lambda x: x[..., 0] * x[..., 1], torch.zeros(2))
    tensor([[0., 1.],
            [1., 0.]])
    """
    _validate.float_tensor("x", x, 1)
    d = x.shape[-1]
    with recording():
        at = recordable(x.detach()).requires_grad_(True)
        values = _values(fun, at)
        zeros = torch.zeros(*x.shape, d, dtype=x.dtype, device=x.device)
        if not values.requires_grad:
            return zeros
        (first,) = torch.autograd.grad(values.sum(), at, create_graph=True, materialize_grads=True)
        if not first.requires_grad or d == 0:
            return zeros
        rows = torch.eye(d, dtype=x.dtype, device=x.device)
        rows = rows.reshape(d, *(1,) * (x.ndim - 1), d).expand(d, *x.shape)
        (found,) = torch.autograd.grad(first, at, rows, is_grads_batched=True, materialize_grads=True)
    found = found.movedim(0, -2)
    return (found + found.mT) / 2


def _values(fun: Fun, x: torch.Tensor) -> torch.Tensor:
    values = _validate.function("fun", fun)(x)
    if not isinstance(values, torch.Tensor) or values.shape != x.shape[:-1]:
        found = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
        raise ValueError(f"fun must map {tuple(x.shape)} to {tuple(x.shape[:-1])}, got {found}")
    return values
