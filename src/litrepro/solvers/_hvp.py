"""Hessian-vector products by two backward passes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro._recording import recordable, recording


def hvp(fn: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Product of the Hessian of ``fn`` at x with v; no Hessian is formed (Pearlmutter 1994).

    Parameters
    ----------
    fn
        (..., d) -> (...), acting on each batch entry by itself, twice differentiable by torch.
    x, v
        (..., d), of one shape.

    Returns
    -------
    (..., d), dtype and device of x; zeros where the Hessian is zero. Inside ``torch.no_grad`` and
    ``torch.inference_mode`` it is the same.

    Raises ``ValueError`` if the shapes differ, x is not floating point, v is complex, ``fn`` cannot be called or
    does not return one value per entry.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x.pow(3).sum(-1)  # Hessian diag(6 x)
    >>> hvp(f, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
    tensor([ 6., 12.])
    """
    _validate.float_tensor("x", x, 1)
    if not isinstance(v, torch.Tensor) or v.shape != x.shape:
        found = tuple(v.shape) if isinstance(v, torch.Tensor) else type(v).__name__
        raise ValueError(f"v must have the shape of x, {tuple(x.shape)}; got {found}")
    if v.dtype.is_complex:
        raise ValueError(f"v must be real, got {v.dtype}")
    _validate.function("fn", fn)
    with recording():
        x = recordable(x.detach()).requires_grad_(True)
        values = fn(x)
        if not isinstance(values, torch.Tensor) or values.shape != x.shape[:-1]:
            found = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise ValueError(f"fn must map {tuple(x.shape)} to {tuple(x.shape[:-1])}, got {found}")
        if not values.requires_grad:
            return torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True, materialize_grads=True)
        if not gradient.requires_grad:  # a linear function
            return torch.zeros_like(x)
        (product,) = torch.autograd.grad(gradient, x, v.to(x.dtype), materialize_grads=True)
    return product.detach()
