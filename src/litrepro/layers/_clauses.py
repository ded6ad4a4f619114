"""MAXSAT instances: clauses as a matrix, counting, rounding, and the queens problem."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate


def check_signs(signs: Any, dims: int | None = None) -> torch.Tensor:
    """A tensor (..., m, n) with entries in {-1, 0, 1}."""
    if not isinstance(signs, torch.Tensor) or signs.ndim < 2 or (dims is not None and signs.ndim != dims):
        found = tuple(signs.shape) if isinstance(signs, torch.Tensor) else type(signs).__name__
        raise ValueError(f"signs must be a tensor {'(m, n)' if dims else '(..., m, n)'}, got {found}")
    if signs.dtype == torch.bool or signs.is_complex() or not bool(((signs == 0) | (signs.abs() == 1)).all()):
        raise ValueError("signs must lie in {-1, 0, 1}")
    return signs


def clauses_to_matrix(signs: torch.Tensor) -> torch.Tensor:
    """The matrix S of the relaxation min ||S V||_F^2 (Wang et al. 2019, equation 2).

    Parameters
    ----------
    signs
        (..., m, n) in {-1, 0, 1}: the sign of variable i in clause j, 0 where it does not occur.

    Returns
    -------
    (..., m, n + 1): column 0 is the truth variable with sign -1, row j is divided by sqrt(4 |s_j|) with |s_j|
    the number
    of literals of the clause. Dtype of the input; float64 for integers.

    Raises ``ValueError`` for other entries and for an empty clause.

    Examples
    --------
    >>> clauses_to_matrix(torch.tensor([[1, 0, -1, 1, 1]])).mul(4).tolist()
    [[-1.0, 1.0, 0.0, -1.0, 1.0, 1.0]]
    """
    check_signs(signs)
    literals = signs.abs().sum(-1, keepdim=True)
    if bool((literals == 0).any()):
        raise ValueError("every clause needs a literal, got an empty one")
    signs = signs if signs.dtype.is_floating_point else signs.double()
    truth = -torch.ones_like(signs[..., :1])
    return torch.cat([truth, signs], -1) / (4 * literals.to(signs.dtype)).sqrt()


def satisfied_clauses(signs: torch.Tensor, assignment: torch.Tensor) -> torch.Tensor:
    """How many clauses an assignment satisfies; a clause is an OR and counts once, however many literals are true.

    Parameters
    ----------
    signs
        (m, n) in {-1, 0, 1}.
    assignment
        (..., n) in {-1, 1}.

    Returns
    -------
    (...) int64. Raises ``ValueError`` for other entries or another n.

    Examples
    --------
    >>> satisfied_clauses(torch.tensor([[1, 1], [-1, 0]]), torch.tensor([1, 1])).item()
    1
    """
    check_signs(signs, 2)
    if not isinstance(assignment, torch.Tensor) or assignment.ndim < 1 or assignment.shape[-1] != signs.shape[1]:
        found = tuple(assignment.shape) if isinstance(assignment, torch.Tensor) else type(assignment).__name__
        raise ValueError(f"assignment must be a tensor (..., {signs.shape[1]}), got {found}")
    if assignment.dtype == torch.bool or assignment.is_complex() or not bool((assignment.abs() == 1).all()):
        raise ValueError("assignment must lie in {-1, 1}")
    # A clause of L literals has agreement -L when every literal is false, and more otherwise. Small integers are exact
    # in floating point, and a product of floats uses the fast matrix kernels.
    agreement = assignment.to(torch.float64) @ signs.to(torch.float64).T
    return (agreement > -signs.abs().sum(-1).to(torch.float64) + 0.5).sum(-1)


def randomized_rounding(V: torch.Tensor, trials: int, *, seed: int = 0) -> torch.Tensor:
    """Round unit vectors by random hyperplanes (Goemans and Williamson 1995): +1 iff on the side of the truth vector.

    Parameters
    ----------
    V
        (..., n + 1, k), row 0 the truth vector.
    trials
        Number of hyperplanes, drawn with ``seed`` and shared by the batch.

    Returns
    -------
    (..., trials, n) in {-1, 1}, dtype of V. P(+1) = arccos(-v_i . v_T) / pi.

    Raises ``ValueError`` for trials < 1, a V with fewer than two rows or not finite.

    Examples
    --------
    >>> V = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> randomized_rounding(V, 2).tolist()
    [[1.0, -1.0], [1.0, -1.0]]
    """
    _validate.float_tensor("V", V, 2)
    if V.shape[-2] < 2 or V.shape[-1] < 1:
        raise ValueError(f"V must have the truth row and at least one variable, got shape {tuple(V.shape)}")
    _validate.finite(V=V)
    trials = _validate.positive_int("trials", trials)
    generator = torch.Generator().manual_seed(_validate.seed("seed", seed))
    normals = torch.randn(trials, V.shape[-1], generator=generator, dtype=torch.float64, device="cpu").to(V)
    side = normals @ V.transpose(-1, -2) >= 0
    return torch.where(side[..., 1:] == side[..., :1], 1.0, -1.0).to(V.dtype)


def queens_clauses(n: int) -> torch.Tensor:
    """N queens as clauses over variables n row + column: a queen in every row, no two in a row, column or diagonal.

    Returns
    -------
    (m, n^2) float64 in {-1, 0, 1}: n clauses with n literals first, then one with two negative literals per attack.

    Raises ``ValueError`` for n < 1.

    Examples
    --------
    >>> queens_clauses(4).shape
    torch.Size([80, 16])
    """
    n = _validate.positive_int("n", n)
    cells = torch.arange(n * n, device="cpu")
    row, column = cells // n, cells % n
    attacks = (
        (row[:, None] == row)
        | (column[:, None] == column)
        | ((row[:, None] - row).abs() == (column[:, None] - column).abs())
    )
    first, second = torch.where(attacks.triu(1))
    rows = (row == torch.arange(n, device="cpu")[:, None]).double()
    pairs = torch.zeros(len(first), n * n, dtype=torch.float64, device="cpu")
    index = torch.arange(len(first), device="cpu")
    pairs[index, first] = pairs[index, second] = -1
    return torch.cat([rows, pairs])
