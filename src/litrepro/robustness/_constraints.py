"""The rows of a program over a ReLU network: exact with a binary variable per unstable unit, or the triangle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch


class Example(NamedTuple):
    """One example as arrays: hidden layers, their bounds, the input box, each variable in units of its own.

    A value is ``shift + unit`` times its variable; kept are those of the input and of the last hidden layer.
    """

    hidden: list[tuple[np.ndarray, np.ndarray]]
    bounds: list[tuple[np.ndarray, np.ndarray]]
    low: np.ndarray
    high: np.ndarray
    first: tuple[torch.Tensor, torch.Tensor]
    last: tuple[torch.Tensor, torch.Tensor]


class Program:
    """Constraints over the inputs and post-activations of every hidden layer (and binaries behind them)."""

    def __init__(self, low: np.ndarray, high: np.ndarray, widths: list[int], binaries: int = 0):
        self.size = len(low) + sum(widths) + binaries
        self.lower = np.concatenate([low, np.zeros(sum(widths) + binaries)])
        self.upper = np.concatenate([high, np.full(sum(widths), np.inf), np.ones(binaries)])
        self.integrality = np.zeros(self.size)
        if binaries:
            self.integrality[-binaries:] = 1
        self.rows: dict[str, list] = {"ub": [], "eq": []}
        self.sides: dict[str, list] = {"ub": [], "eq": []}

    def add(self, kind: str, blocks: list[tuple[int, np.ndarray]], side: np.ndarray) -> None:
        """Rows sum_k A_k x[start_k : ...] <= (or =) side."""
        from scipy.sparse import csr_matrix, hstack

        if not len(side):
            return
        pieces, position = [], 0
        for start, block in sorted(blocks, key=lambda each: each[0]):
            pieces += [csr_matrix((len(side), start - position)), csr_matrix(block)]
            position = start + block.shape[1]
        pieces.append(csr_matrix((len(side), self.size - position)))
        self.rows[kind].append(hstack(pieces, format="csr"))
        self.sides[kind].append(side)

    def _matrix(self, kind: str):
        from scipy.sparse import vstack

        return vstack(self.rows[kind], format="csr") if self.rows[kind] else None

    def _side(self, kind: str):
        return np.concatenate(self.sides[kind]) if self.sides[kind] else None

    def close(self) -> Program:
        """Assemble the matrices once; the objective changes from class to class, they do not."""
        self.A_ub, self.b_ub = self._matrix("ub"), self._side("ub")
        self.A_eq, self.b_eq = self._matrix("eq"), self._side("eq")
        self.bounds = np.stack([self.lower, self.upper], 1)
        return self

    def constraints(self) -> list:
        from scipy.optimize import LinearConstraint

        found = []
        if self.A_ub is not None:
            found.append(LinearConstraint(self.A_ub, -np.inf, self.b_ub))
        if self.A_eq is not None:
            found.append(LinearConstraint(self.A_eq, self.b_eq, self.b_eq))
        return found

    def limits(self):
        from scipy.optimize import Bounds as Limits

        return Limits(self.lower, self.upper)


def _walk(program: Program, hidden, bounds):
    """Stable units of every layer as equalities and zero bounds; yields the unstable ones with their rows."""
    start = 0
    for (weight, bias), (lower, upper) in zip(hidden, bounds):
        here = start + weight.shape[1]
        active, dead = lower >= 0, upper <= 0
        dead &= ~active
        program.upper[here : here + len(bias)][dead] = 0.0
        program.lower[here : here + len(bias)][active] = -np.inf  # their equalities say it, to the last digit
        identity = np.eye(len(bias))
        program.add("eq", [(start, -weight[active]), (here, identity[active])], bias[active])
        mixed = ~active & ~dead
        rows = identity[mixed]
        program.add("ub", [(start, weight[mixed]), (here, -rows)], -bias[mixed])  # z >= W p + b
        yield start, here, weight[mixed], bias[mixed], rows, lower[mixed], upper[mixed]
        start = here


def triangle(example: Example) -> Program:
    """The convex hull of every unit by itself."""
    hidden, bounds, low, high, *_ = example
    program = Program(low, high, [len(b) for _, b in hidden])
    for start, here, weight, bias, rows, lower, upper in _walk(program, hidden, bounds):
        slope = upper / (upper - lower)
        program.add("ub", [(start, -slope[:, None] * weight), (here, rows)], slope * (bias - lower))
    return program.close()


def binary(example: Example) -> Program:
    """The network itself: a binary variable says on which side of its kink an unstable unit stands."""
    hidden, bounds, low, high, *_ = example
    binaries = sum(int(((lower < 0) & (upper > 0)).sum()) for lower, upper in bounds)
    program = Program(low, high, [len(b) for _, b in hidden], binaries)
    first = program.size - binaries
    for start, here, weight, bias, rows, lower, upper in _walk(program, hidden, bounds):
        count = len(bias)
        program.add("ub", [(here, rows), (first, -np.diag(upper))], np.zeros(count))  # z <= u v
        program.add("ub", [(start, -weight), (here, rows), (first, -np.diag(lower))], bias - lower)
        first += count
    return program.close()
