"""The simplex method for the small linear programs of this package: exact vertices, duals, warm starts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PRICE = 1e-10  # a reduced cost above minus this, relative to the costs, is none
PIVOT = 1e-9  # entries below this are no pivots
SLACK = 1e-9  # by which a variable may be negative, so that a larger pivot can be had (Harris' ratio test)
REFRESH = 64  # pivots between two inversions of the basis
STALL = 30  # pivots without progress after which Bland's rule takes over, which cannot cycle

Array = NDArray[np.float64]


class Solution(NamedTuple):
    """Primal x (N,), dual (n,), the basis (n,), and whether it is optimal."""

    x: Array
    dual: Array
    basis: NDArray[np.int64]
    optimal: bool


def minimize(cost: Array, A: Array, b: Array, basis: NDArray[np.int64], *, max_pivots: int | None = None) -> Solution:
    """Minimize cost'x over A x = b, x >= 0 from a feasible basis (revised simplex, explicit inverse).

    The steepest price enters, the largest pivot among near ties leaves; after a run of pivots without progress Bland's
    rule takes over until there is some. ``A (n, N)``; the basis lists n columns, in the order of the rows of the
    inverse. Columns that are nearly equal can still make a basis singular in floating point: then the last basis that
    was not is returned, as one that is not optimal.
    """
    basis = basis.copy()
    limit = 50 * sum(A.shape) if max_pivots is None else max_pivots
    tolerance = PRICE * max(1.0, float(np.abs(cost).max()))
    inverse, x = _refresh(A, b, basis)
    sound = basis.copy()
    stalled, optimal = 0, False
    for pivots in range(1, limit + 1):
        dual = cost[basis] @ inverse
        price = cost - dual @ A
        price[basis] = 0.0
        if price.min() >= -tolerance:
            optimal = True
            break
        careful = stalled > STALL
        enter = int((price < -tolerance).argmax()) if careful else int(price.argmin())
        column = inverse @ A[:, enter]
        row, length = _leave(x, column, basis, careful)
        if row < 0:  # unbounded below: not for the costs of this package
            break
        stalled = stalled + 1 if length <= 1e-12 else 0
        x -= length * column
        x[row] = length
        basis[row] = enter
        inverse[row] /= column[row]
        column[row] = 0.0
        inverse -= np.outer(column, inverse[row])
        if pivots % REFRESH == 0:
            try:
                inverse, x = _refresh(A, b, basis)
            except np.linalg.LinAlgError:
                break
            sound = basis.copy()
    try:
        inverse, x = _refresh(A, b, basis)
    except np.linalg.LinAlgError:
        basis, optimal = sound, False
        inverse, x = _refresh(A, b, basis)
    full = np.zeros(A.shape[1])
    full[basis] = np.maximum(x, 0.0)
    return Solution(full, cost[basis] @ inverse, basis, optimal)


def _refresh(A: Array, b: Array, basis: NDArray[np.int64]) -> tuple[Array, Array]:
    inverse = np.linalg.inv(A[:, basis])
    return inverse, inverse @ b


def _leave(x: Array, column: Array, basis: NDArray[np.int64], careful: bool) -> tuple[int, float]:
    """The row that blocks first and the step; -1 if none does."""
    candidates = np.flatnonzero(column > PIVOT)
    if not len(candidates):
        return -1, 0.0
    value = np.maximum(x[candidates], 0.0)
    bound = float(((value + SLACK) / column[candidates]).min())
    ties = candidates[value / column[candidates] <= bound]
    large = ties[column[ties] >= 0.1 * column[ties].max()]  # a tiny pivot is mostly rounding
    row = large[basis[large].argmin()] if careful else ties[column[ties].argmax()]
    return int(row), max(float(x[row]), 0.0) / float(column[row])


def least_l1(A: Array, b: Array) -> tuple[Array, bool]:
    """A basic solution of min ||w||_1 over A w = b, ``A (n, m)``: at most rank A nonzero weights; and whether optimal.

    Phase one finds a vertex from artificial variables, phase two keeps those that cannot leave, in redundant rows, at
    zero.
    """
    n, m = A.shape
    sign = np.where(b < 0, -1.0, 1.0)
    scale = max(float(np.abs(A).max(initial=0.0)), np.finfo(float).tiny)
    both = sign[:, None] * np.concatenate([A, -A], 1) / scale
    full = np.concatenate([both, np.eye(n)], 1)
    goal, size = sign * b, max(float(np.abs(b).max(initial=0.0)), np.finfo(float).tiny)
    start = np.arange(2 * m, 2 * m + n)
    phase1 = np.concatenate([np.zeros(2 * m), np.ones(n)])
    found = minimize(phase1, full, goal / size, start)
    feasible = found.optimal and float(found.x[2 * m :].sum()) <= 1e-9 * n
    basis = _drive_out(full, found.basis, 2 * m)
    kept = np.concatenate([np.ones(2 * m), np.zeros(n)])
    idle = np.setdiff1d(start, basis)  # artificial variables that left do not come back
    columns = np.setdiff1d(np.arange(2 * m + n), idle)
    place = np.full(2 * m + n, -1)
    place[columns] = np.arange(len(columns))
    found = minimize(kept[columns], full[:, columns], goal / size, place[basis])
    x = np.zeros(2 * m + n)
    x[columns] = found.x
    return _solved_anew(A / scale, b / size, x[:m] - x[m : 2 * m]) * size / scale, feasible and found.optimal


def _solved_anew(A: Array, b: Array, x: Array) -> Array:
    """x with its nonzero entries from the equations alone: the vertex lost those that were a little below zero."""
    support = np.flatnonzero(x)
    fitted = np.zeros_like(x)
    fitted[support] = np.linalg.lstsq(A[:, support], b, rcond=None)[0]
    worse = np.abs(A @ fitted - b).max(initial=0.0) > np.abs(A @ x - b).max(initial=0.0)
    return x if worse or np.abs(fitted).sum() > (1 + 1e-7) * np.abs(x).sum() else fitted


def _drive_out(full: Array, basis: NDArray[np.int64], artificial: int) -> NDArray[np.int64]:
    """Exchange artificial variables at zero for others where their row allows it."""
    basis = basis.copy()
    for row in np.flatnonzero(basis >= artificial):
        entries = np.linalg.inv(full[:, basis])[row] @ full[:, :artificial]
        entries[basis[basis < artificial]] = 0.0
        best = int(np.abs(entries).argmax())
        if abs(entries[best]) > 1e-7:
            basis[row] = best
    return basis
