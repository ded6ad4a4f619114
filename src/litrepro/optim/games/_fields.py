"""Vector fields of games in descent convention, w <- w - eta v(w), and their Jacobians."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from litrepro import _validate
from litrepro.optim.games._arguments import setting

Field = Callable[[torch.Tensor], torch.Tensor]


def bilinear_game(A: torch.Tensor, mu: float = 0.0) -> Field:
    """The field of min over x, max over y of ``x^T A y + mu/2 |x|^2 - mu/2 |y|^2``.

    Parameters
    ----------
    A
        (..., p, q).
    mu
        Curvature of both players, finite; 0 is the bilinear game.

    Returns
    -------
    ``field(w (..., p + q)) -> (..., p + q)``, ``(A y + mu x, -A^T x + mu y)`` for ``w = (x, y)``; it raises
    ``ValueError`` if the last dimension of w is not p + q, its leading dimensions do not broadcast with A's, or its
    dtype is another.

    Raises
    ------
    ValueError
        A that is not a floating-point (..., p, q), mu that is not finite.

    Examples
    --------
    >>> import torch
    >>> bilinear_game(torch.eye(1))(torch.tensor([1.0, 2.0])).tolist()
    [2.0, -1.0]
    """
    _validate.float_tensor("A", A, 2)
    mu = _validate.real("mu", mu)
    p, q = A.shape[-2:]

    def field(w: torch.Tensor) -> torch.Tensor:
        if w.ndim < 1 or w.shape[-1] != p + q:
            raise ValueError(f"w must have shape (..., {p + q}) for A {tuple(A.shape)}, got {tuple(w.shape)}")
        _check_point("A", A, w)
        x, y = w[..., :p], w[..., p:]
        first = (A @ y[..., None])[..., 0] + mu * x
        second = mu * y - (A.mT @ x[..., None])[..., 0]
        return torch.cat((first, second), -1)

    return field


def quadratic_game(M: torch.Tensor) -> Field:
    """The linear field ``v(w) = M w`` of a game with quadratic losses.

    Parameters
    ----------
    M
        (..., d, d), the Jacobian of the field.

    Returns
    -------
    ``field(w (..., d)) -> (..., d)``.

    Raises
    ------
    ValueError
        M that is not square; in the field a w of another last dimension or dtype, or whose leading dimensions do
        not broadcast with M's.

    Examples
    --------
    >>> import torch
    >>> quadratic_game(torch.tensor([[1.0, 1.0], [-1.0, 1.0]]))(torch.tensor([1.0, 0.0])).tolist()
    [1.0, -1.0]
    """
    _square("M", M)
    d = M.shape[-1]

    def field(w: torch.Tensor) -> torch.Tensor:
        if w.ndim < 1 or w.shape[-1] != d:
            raise ValueError(f"w must have shape (..., {d}), got {tuple(w.shape)}")
        _check_point("M", M, w)
        return (M @ w[..., None])[..., 0]

    return field


def field_jacobian(field: Field, w: torch.Tensor) -> torch.Tensor:
    """The Jacobian ``v'(w)`` of a vector field, by reverse-mode differentiation.

    Parameters
    ----------
    field
        ``(..., d) -> (..., d)``; at a batch of points row i of the result may depend on row i of w alone.
    w
        (d,) or (n, d).

    Returns
    -------
    (..., d, d): entry ``[..., i, k]`` is the derivative of ``v_i`` by ``w_k``.

    Raises
    ------
    ValueError
        w with another number of dimensions, a field that does not take it, returns no tensor or changes its shape.

    Examples
    --------
    >>> import torch
    >>> field_jacobian(bilinear_game(torch.eye(1)), torch.zeros(2)).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    _validate.float_tensor("w", w, 1)
    _validate.function("field", field)
    if w.ndim > 2:
        raise ValueError(f"w must be (d,) or (n, d), got {tuple(w.shape)}")
    value, pull = _validate.answer("field", functools.partial(torch.func.vjp, field), w)
    if value.shape != w.shape:
        raise ValueError(f"the field must map {tuple(w.shape)} to itself, got {tuple(value.shape)}")
    # One cotangent per coordinate, the same for all points: rows of the batch do not interact.
    basis = torch.eye(w.shape[-1], dtype=w.dtype, device=w.device)
    rows = torch.func.vmap(lambda e: pull(e.expand_as(w))[0])(basis)
    return rows.movedim(0, -2)


def consensus_matrix(J: torch.Tensor, gamma: Any) -> torch.Tensor:
    """Jacobian of consensus optimization at an equilibrium, ``J + gamma J^T J`` (Mescheder et al. 2017).

    Parameters
    ----------
    J
        (..., d, d), Jacobian of the game's field.
    gamma
        Weight of the consensus term, a number or a tensor that broadcasts against the leading dimensions.

    Returns
    -------
    (..., d, d). Raises ``ValueError`` if J is not square or gamma does not broadcast.

    Examples
    --------
    >>> import torch
    >>> consensus_matrix(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), 0.5).tolist()
    [[0.5, 1.0], [-1.0, 0.5]]
    """
    _square("J", J)
    gamma = setting("gamma", gamma, J.dtype, J.device)
    _validate.broadcast(J=J.shape[:-2], gamma=gamma.shape)
    return J + (gamma[..., None, None] if gamma.ndim else gamma) * (J.mT @ J)


def _check_point(name: str, matrix: torch.Tensor, w: torch.Tensor) -> None:
    """One dtype, leading dimensions that broadcast: of a matrix and a point. No call, as a field is evaluated often."""
    if matrix.dtype != w.dtype:
        raise ValueError(f"{name} and w must have one dtype, got {matrix.dtype} and {w.dtype}")
    if any(a != b and 1 not in (a, b) for a, b in zip(matrix.shape[-3::-1], w.shape[-2::-1])):
        raise ValueError(
            f"leading dimensions of {name} and w must broadcast, got {tuple(matrix.shape)} and {tuple(w.shape)}"
        )


def _square(name: str, matrix: torch.Tensor) -> None:
    _validate.float_tensor(name, matrix, 2)
    if matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"{name} must be square, (..., d, d), got {tuple(matrix.shape)}")
