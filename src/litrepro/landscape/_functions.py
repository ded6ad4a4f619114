"""Small functions whose stationary points are known."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from litrepro import _validate


def _plane(x: torch.Tensor) -> torch.Tensor:
    _validate.float_tensor("x", x, 1)
    if x.shape[-1] != 2:
        raise ValueError(f"x must have shape (..., 2), got {tuple(x.shape)}")
    return x


def product_loss(x: torch.Tensor) -> torch.Tensor:
    """(1 - x1 x2)^2, (..., 2) -> (...): the loss of a linear network with two weights.

    A saddle at 0 with Hessian eigenvalues -2 and 2, minima along the hyperbola x1 x2 = 1.

    Examples
    --------
    >>> import torch
    >>> product_loss(torch.tensor([[0.0, 0.0], [2.0, 0.5]]))
    tensor([1., 0.])
    """
    x = _plane(x)
    return (1 - x[..., 0] * x[..., 1]) ** 2


def monkey_saddle(x: torch.Tensor) -> torch.Tensor:
    """x1^3 - 3 x1 x2^2, (..., 2) -> (...): a degenerate saddle at 0, where the Hessian is zero.

    Examples
    --------
    >>> import torch
    >>> monkey_saddle(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0]]))
    tensor([ 1., -1., -2.])
    """
    x = _plane(x)
    return x[..., 0] ** 3 - 3 * x[..., 0] * x[..., 1] ** 2


def quadratic(x: torch.Tensor, eigenvalues: torch.Tensor | Sequence[float]) -> torch.Tensor:
    """1/2 sum_i e_i x_i^2, (..., d) -> (...), with ``eigenvalues`` (d,).

    Raises ``ValueError`` if the eigenvalues are not finite or not as many as coordinates.

    Examples
    --------
    >>> import torch
    >>> quadratic(torch.tensor([2.0, 1.0]), [1.0, -4.0])
    tensor(0.)
    """
    _validate.float_tensor("x", x, 1)
    if not isinstance(eigenvalues, torch.Tensor):
        numbers = _validate.sequence("eigenvalues", eigenvalues, 0)
        eigenvalues = torch.tensor(
            [_validate.real("eigenvalues", number) for number in numbers], dtype=torch.float64, device=x.device
        )
    if eigenvalues.dtype.is_complex:
        raise ValueError(f"eigenvalues must be real, got {eigenvalues.dtype}")
    e = eigenvalues.to(dtype=x.dtype, device=x.device)
    if e.shape != x.shape[-1:] or not bool(torch.isfinite(e).all()):
        raise ValueError(f"eigenvalues must be {x.shape[-1]} finite numbers, got {eigenvalues!r}")
    return 0.5 * (e * x**2).sum(-1)


def quartic_saddle(x: torch.Tensor, curvature: float = 1.0) -> torch.Tensor:
    """1/2 sum_{j<d} x_j^2 - c/2 x_d^2 + 1/4 x_d^4, (..., d) -> (...).

    A saddle at 0 whose lowest eigenvalue is -c; minima at x_d = +-sqrt(c), of value -c^2/4. Raises ``ValueError`` for
    c <= 0 and d < 1.

    Examples
    --------
    >>> import torch
    >>> quartic_saddle(torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
    tensor([ 0.0000, -0.2500])
    """
    _validate.float_tensor("x", x, 1)
    c = _validate.real("curvature", curvature, 0, open_low=True)
    if x.shape[-1] < 1:
        raise ValueError(f"x must have shape (..., d) with d >= 1, got {tuple(x.shape)}")
    last = x[..., -1].square()
    return 0.5 * x[..., :-1].square().sum(-1) + last * (last / 4 - c / 2)
