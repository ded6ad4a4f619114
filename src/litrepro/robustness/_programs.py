"""The worst case as a program: exact with a binary variable per unstable unit, or its linear relaxation (HiGHS)."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._arguments import Box
from litrepro.robustness._dual import hidden_bounds, lower_bounds
from litrepro.robustness._intervals import Bounds, class_labels, ibp_margins, input_box
from litrepro.robustness._layers import Layers, affine_layers

GAP = 1e-9


class ExactMargins(NamedTuple):
    """``margin (n, K)``, the attaining input ``x_adv (n, K, d)``, and whether it is ``optimal (n, K)``.

    Examples
    --------
    >>> import torch
    >>> layers = [(torch.eye(2), torch.zeros(2)), (torch.eye(2), torch.zeros(2))]
    >>> found = exact_margins(layers, torch.tensor([[0.75, 0.25]]), torch.tensor([0]), 0.125)
    >>> found.x_adv[0, 1].round(decimals=6), found.optimal  # the worst input for class 1
    (tensor([0.6250, 0.3750], dtype=torch.float64), tensor([[True, True]]))
    """

    margin: torch.Tensor
    x_adv: torch.Tensor
    optimal: torch.Tensor


def lp_margins(
    layers: Layers | nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    box: Box = (0.0, 1.0),
    bounds: Bounds | None = None,
    return_x: bool = False,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Lower bounds of f_y - f_j from the triangle relaxation as a linear program, solved by HiGHS.

    Parameters
    ----------
    layers, x, y, eps, box, bounds
        As ``dual_margins``.
    return_x
        Also return the programs' own minimizers, ``(margins, x_lp (n, K, d))``; at j = y that is x.

    Returns
    -------
    (n, K) float64, 0 at j = y, accurate to about 1e-6. Where HiGHS does not report an optimum the value is the dual
    bound with fixed slopes, with a ``ConvergenceWarning``.

    Raises
    ------
    ValueError
        As ``dual_margins``.

    Examples
    --------
    >>> import torch
    >>> layers = [(torch.eye(2), torch.zeros(2)), (torch.eye(2), torch.zeros(2))]
    >>> lp_margins(layers, torch.tensor([[0.75, 0.25]]), torch.tensor([0]), 0.125).round(decimals=6)
    tensor([[0.0000, 0.2500]], dtype=torch.float64)
    """
    linprog = arguments.optimizer("linprog")

    problem = _Problem.of(layers, x, y, eps, box, bounds)
    margins, points = problem.start()
    failed = 0
    for i in range(len(problem.low)):
        program = _triangle(problem.numpy(i))
        for j in problem.others(i):
            cost, offset = problem.cost(i, j, program.size)
            found = linprog(
                cost, A_ub=program.A_ub, b_ub=program.b_ub, A_eq=program.A_eq, b_eq=program.b_eq,
                bounds=program.bounds, method="highs",
            )  # fmt: skip
            if found.status == 0:
                margins[i, j] = found.fun + offset
                points[i, j] = torch.from_numpy(found.x[: points.shape[-1]])
            else:
                failed += 1
                margins[i, j] = problem.fallback(i, j)
    if failed:
        warnings.warn(
            f"{failed} linear programs were not solved: dual bounds stand in", ConvergenceWarning, stacklevel=2
        )
    device = x.device
    return (margins.to(device), points.to(device)) if return_x else margins.to(device)


def exact_margins(
    layers: Layers | nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    box: Box = (0.0, 1.0),
    bounds: Bounds | None = None,
    time_limit: float | None = None,
    classes: torch.Tensor | None = None,
) -> ExactMargins:
    """The exact minimum of f_y - f_j over the l_inf ball, by a mixed-integer linear program (Tjeng et al. 2017).

    Parameters
    ----------
    layers, x, y, eps, box, bounds
        As ``dual_margins``. Tighter bounds leave fewer unstable units and smaller big-M constants.
    time_limit
        Seconds for one program (one example and class), or None.
    classes
        (n,) one class j per example to solve for; None: all. For the others the interval margin stands, not optimal.

    Returns
    -------
    ExactMargins
        On a timeout ``margin`` is HiGHS's dual bound (the interval margin if it has none), ``optimal`` False and
        ``x_adv`` the incumbent or x, with a ``ConvergenceWarning``; at j = y margin 0, x_adv = x, optimal.

    Raises
    ------
    ValueError
        As ``dual_margins``; time_limit <= 0, classes that do not fit.

    Examples
    --------
    >>> import torch
    >>> layers = [(torch.eye(2), torch.zeros(2)), (torch.eye(2), torch.zeros(2))]
    >>> found = exact_margins(layers, torch.tensor([[0.75, 0.25]]), torch.tensor([0]), 0.125)
    >>> found.margin.round(decimals=6), bool(found.optimal.all())
    (tensor([[0.0000, 0.2500]], dtype=torch.float64), True)
    """
    milp = arguments.optimizer("milp")

    options: dict[str, Any] = {"mip_rel_gap": GAP}
    if time_limit is not None:
        options["time_limit"] = _validate.real("time_limit", time_limit, 0, open_low=True)
    problem = _Problem.of(layers, x, y, eps, box, bounds)
    wanted = None if classes is None else class_labels(classes, problem.low, problem.layers)
    margins, points = problem.start()
    intervals = ibp_margins(problem.layers, x, problem.y, eps, box=box).cpu()
    optimal = torch.nn.functional.one_hot(problem.y, margins.shape[1]).bool().cpu()
    unsolved = 0
    for i in range(len(problem.low)):
        program = _binary(problem.numpy(i))
        for j in problem.others(i):
            margins[i, j] = intervals[i, j]
            if wanted is not None and int(wanted[i]) != j:
                continue
            cost, offset = problem.cost(i, j, program.size)
            with _silent():
                found = milp(
                cost, constraints=program.constraints(), bounds=program.limits(), integrality=program.integrality,
                options=options,
            )  # fmt: skip
            if found.x is not None:
                points[i, j] = torch.from_numpy(found.x[: points.shape[-1]])
            if found.status == 0:
                margins[i, j], optimal[i, j] = found.fun + offset, True
                continue
            unsolved += 1
            bound = getattr(found, "mip_dual_bound", None)
            if bound is not None and np.isfinite(bound):
                margins[i, j] = max(float(intervals[i, j]), bound + offset)
    if unsolved:
        warnings.warn(f"{unsolved} programs hit their limit: bounds stand in", ConvergenceWarning, stacklevel=2)
    return ExactMargins(*(part.to(x.device) for part in (margins, points, optimal)))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """HiGHS leaves debugging lines on the process's standard output, whatever its options say."""
    with open(os.devnull, "w") as nowhere:
        try:
            kept = os.dup(1)
        except OSError:  # a process without standard output has nothing to silence
            yield
            return
        try:
            os.dup2(nowhere.fileno(), 1)
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


class _Problem(NamedTuple):
    """Everything about a batch of examples that the programs need, in float64."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    x: torch.Tensor
    y: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    bounds: Bounds

    @classmethod
    def of(cls, layers, x, y, eps, box, bounds) -> _Problem:
        layers = [(w.detach().double(), b.detach().double()) for w, b in affine_layers(layers)]
        low, high = input_box(layers, x, eps, box)
        y = class_labels(y, low, layers)
        return cls(layers, x.detach().flatten(1).double(), y, low, high, hidden_bounds(layers, low, high, bounds))

    def start(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Margins of zero and the inputs themselves, (n, K) and (n, K, d), on the CPU."""
        classes = self.layers[-1][0].shape[0]
        margins = torch.zeros(len(self.low), classes, dtype=torch.float64, device="cpu")
        return margins, self.x.cpu()[:, None].repeat(1, classes, 1)

    def others(self, i: int) -> list[int]:
        return [j for j in range(self.layers[-1][0].shape[0]) if j != int(self.y[i])]

    def cost(self, i: int, j: int, size: int) -> tuple[np.ndarray, float]:
        """Objective of example i against class j: its coefficients sit on the last hidden layer (or the input)."""
        weight, bias = self.layers[-1]
        label = int(self.y[i])
        cost = np.zeros(size)
        start = self.low.shape[1] + sum(len(b) for _, b in self.layers[:-2]) if len(self.layers) > 1 else 0
        cost[start : start + weight.shape[1]] = (weight[label] - weight[j]).cpu().numpy()
        return cost, float(bias[label] - bias[j])

    def numpy(self, i: int):
        """One example as arrays: hidden layers, their bounds, the input box."""
        hidden = [(w.cpu().numpy(), b.cpu().numpy()) for w, b in self.layers[:-1]]
        bounds = [(lower[i].cpu().numpy(), upper[i].cpu().numpy()) for lower, upper in self.bounds]
        return hidden, bounds, self.low[i].cpu().numpy(), self.high[i].cpu().numpy()

    def fallback(self, i: int, j: int) -> float:
        """The dual bound with fixed slopes, valid whatever a solver does."""
        weight, bias = self.layers[-1]
        label = int(self.y[i])
        nu, constant = (weight[label] - weight[j])[None, None], (bias[label] - bias[j])[None, None]
        bounds = [(lower[i : i + 1], upper[i : i + 1]) for lower, upper in self.bounds]
        one = slice(i, i + 1)
        return float(lower_bounds(self.layers[:-1], bounds, self.low[one], self.high[one], nu, constant, 0, 0.1))


class _Program:
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

    def close(self) -> _Program:
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


def _walk(program: _Program, hidden, bounds):
    """Stable units of every layer as equalities and zero bounds; yields the unstable ones with their rows."""
    start = 0
    for (weight, bias), (lower, upper) in zip(hidden, bounds):
        here = start + weight.shape[1]
        active, dead = lower >= 0, upper <= 0
        dead &= ~active
        program.upper[here : here + len(bias)][dead] = 0.0
        identity = np.eye(len(bias))
        program.add("eq", [(start, -weight[active]), (here, identity[active])], bias[active])
        mixed = ~active & ~dead
        rows = identity[mixed]
        program.add("ub", [(start, weight[mixed]), (here, -rows)], -bias[mixed])  # z >= W p + b
        yield start, here, weight[mixed], bias[mixed], rows, lower[mixed], upper[mixed]
        start = here


def _triangle(example) -> _Program:
    hidden, bounds, low, high = example
    program = _Program(low, high, [len(b) for _, b in hidden])
    for start, here, weight, bias, rows, lower, upper in _walk(program, hidden, bounds):
        slope = upper / (upper - lower)
        program.add("ub", [(start, -slope[:, None] * weight), (here, rows)], slope * (bias - lower))
    return program.close()


def _binary(example) -> _Program:
    hidden, bounds, low, high = example
    binaries = sum(int(((lower < 0) & (upper > 0)).sum()) for lower, upper in bounds)
    program = _Program(low, high, [len(b) for _, b in hidden], binaries)
    first = program.size - binaries
    for start, here, weight, bias, rows, lower, upper in _walk(program, hidden, bounds):
        count = len(bias)
        program.add("ub", [(here, rows), (first, -np.diag(upper))], np.zeros(count))  # z <= u v
        program.add("ub", [(start, -weight), (here, rows), (first, -np.diag(lower))], bias - lower)
        first += count
    return program.close()
