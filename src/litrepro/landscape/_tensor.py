"""Orthogonal tensor decomposition as an optimization problem (Ge et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate


def tensor_decomposition(x: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Sum over ordered pairs i != j of T(u_i, u_i, u_j, u_j), T = sum_l a_l^(x4), (..., k d) -> (...).

    ``x`` holds k vectors u_1 ... u_k of length d one after another, ``basis`` (d, d) the a_l as rows, orthonormal
    to the precision of the coarser of the two dtypes. On the product of unit spheres the minima (value 0 for k <= d)
    are k different basis vectors up to sign.

    Raises ``ValueError`` for a basis that is not square and orthonormal, and a length of x that d does not divide.

    Examples
    --------
    >>> import torch
    >>> different, equal = [1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]
    >>> tensor_decomposition(torch.tensor([different, equal]), torch.eye(2))
    tensor([0., 2.])
    """
    _validate.float_tensor("x", x, 1)
    basis = _orthonormal(basis, x.dtype).to(x)
    d = len(basis)
    if x.shape[-1] == 0 or x.shape[-1] % d:
        raise ValueError(f"x must hold vectors of length {d}, got shape {tuple(x.shape)}")
    squares = torch.einsum("...kd,ld->...kl", x.unflatten(-1, (x.shape[-1] // d, d)), basis) ** 2
    # Every vector with those before it: (sum_i s_il)^2 - sum_i s_il^2 is the same, but what is left of a difference of
    # large numbers is rounding where one vector is much longer than the others.
    return 2 * (squares[..., 1:, :] * squares.cumsum(-2)[..., :-1, :]).sum((-2, -1))


def sampled_tensor_gradient(
    basis: torch.Tensor, terms: int, *, generator: torch.Generator | int | None = None
) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """A stochastic gradient of the decomposition on unit spheres, as ``descend`` and ``noisy_descent`` take one.

    At x it normalizes the vectors, draws ``terms`` of the d terms of the tensor with replacement, for every trial by
    itself, and returns d / terms times their gradient, projected to the tangent space and divided by the lengths: an
    unbiased estimate of the gradient of ``tensor_decomposition`` at the normalized vectors with respect to x.

    Parameters
    ----------
    basis
        (d, d): the orthonormal a_l as rows.
    terms
        Number of terms per step and trial, >= 1.
    generator
        Source of randomness, or a seed (0 if None); it is advanced by every call.

    Returns
    -------
    ``(x, t) -> gradient``, both x and the gradient (..., k d) in any floating dtype; t, the step, is not used.

    Raises
    ------
    ValueError
        A basis that is not square and orthonormal, terms < 1; when called, a length of x that d does not divide.

    Source: Ge, Huang, Jin and Yuan 2015, section 4 (online tensor decomposition).

    Examples
    --------
    >>> import torch
    >>> grad = sampled_tensor_gradient(torch.eye(2), 1000)
    >>> x = torch.tensor([1.0, 0.0, 1.0, 1.0])  # the second vector has to give way, the first has nowhere to go
    >>> grad(x, 0).sign().tolist()
    [0.0, 0.0, 1.0, -1.0]
    """
    basis = _orthonormal(basis)
    d = len(basis)
    terms = _validate.positive_int("terms", terms)
    generator = _validate.random_source("generator", generator)

    def gradient(x: torch.Tensor, t: int) -> torch.Tensor:
        if x.shape[-1] == 0 or x.shape[-1] % d:
            raise ValueError(f"x must hold vectors of length {d}, got shape {tuple(x.shape)}")
        vectors = x.reshape(-1, x.shape[-1] // d, d)
        length = vectors.norm(dim=-1, keepdim=True)
        u = vectors / length
        drawn = torch.randint(d, (len(u), terms), generator=generator, device=generator.device)
        rows = basis.to(x)[drawn.to(x.device)]
        dots = torch.einsum("rkd,rld->rkl", u, rows)
        squares = dots**2
        others = squares.sum(1, keepdim=True) - squares
        g = 4 * torch.einsum("rkl,rld->rkd", dots * others, rows) * d / terms
        g = (g - (g * u).sum(-1, keepdim=True) * u) / length
        return g.reshape(x.shape)

    return gradient


def _orthonormal(basis: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """``basis`` as it is, checked to be square and orthonormal to its own precision, or that of ``dtype`` if less."""
    _validate.float_tensor("basis", basis, 2)
    d = basis.shape[-1]
    if d < 1 or basis.shape != (d, d):
        raise ValueError(f"basis must be square, got {tuple(basis.shape)}")
    rows = basis.to(torch.promote_types(basis.dtype, torch.float32))  # products in half precision round too much
    error = (rows @ rows.T - torch.eye(d, dtype=rows.dtype, device=rows.device)).abs().max()
    eps = max(torch.finfo(each).eps for each in (basis.dtype, dtype or basis.dtype))
    if not bool(error < min(1e3 * eps, 1e-2)):
        raise ValueError(f"basis must be orthonormal, it is off by {float(error):.2g}")
    return basis
