"""Orthogonal tensor decomposition as an optimization problem (Ge et al. 2015)."""

from __future__ import annotations

import torch

from litrepro import _validate


def tensor_decomposition(x: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Sum over ordered pairs i != j of T(u_i, u_i, u_j, u_j), T = sum_l a_l^(x4), (..., k d) -> (...).

    ``x`` holds k vectors u_1 ... u_k of length d one after another, ``basis`` (d, d) the orthonormal a_l as rows. On
    the product of unit spheres the minima (value 0 for k <= d) are k different basis vectors up to sign.

    Raises ``ValueError`` for a basis that is not square and orthonormal, and a length of x that d does not divide.

    Examples
    --------
    >>> import torch
    >>> different, equal = [1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]
    >>> tensor_decomposition(torch.tensor([different, equal]), torch.eye(2))
    tensor([0., 2.])
    """
    _validate.float_tensor("x", x, 1)
    _validate.float_tensor("basis", basis, 2)
    d = basis.shape[-1]
    if d < 1 or basis.shape != (d, d):
        raise ValueError(f"basis must be square, got {tuple(basis.shape)}")
    basis = basis.to(x)
    error = (basis @ basis.T - torch.eye(d, dtype=x.dtype, device=x.device)).abs().max()
    if not bool(error < 1e3 * torch.finfo(x.dtype).eps):
        raise ValueError(f"basis must be orthonormal, it is off by {float(error):.2g}")
    if x.shape[-1] == 0 or x.shape[-1] % d:
        raise ValueError(f"x must hold vectors of length {d}, got shape {tuple(x.shape)}")
    squares = torch.einsum("...kd,ld->...kl", x.unflatten(-1, (x.shape[-1] // d, d)), basis) ** 2
    # sum_{i != j} <a_l, u_i>^2 <a_l, u_j>^2 = (sum_i s_il)^2 - sum_i s_il^2
    return (squares.sum(-2) ** 2 - (squares**2).sum(-2)).sum(-1)
