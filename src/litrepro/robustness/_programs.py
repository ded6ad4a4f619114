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
from litrepro._scaling import binary_scale
from litrepro._warnings import ConvergenceWarning
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._arguments import Box
from litrepro.robustness._constraints import Example, binary, triangle
from litrepro.robustness._dual import dual_margins, hidden_bounds
from litrepro.robustness._intervals import Bounds, class_labels, ibp_margins, input_box
from litrepro.robustness._layers import Layers, affine_layers, run

GAP = 1e-9
SHARP = 2.0**10  # largest coefficient of an objective: HiGHS stops at a gap of 1e-6, which is GAP of this
NARROW = 2.0**-20  # of a unit's values: bounds that lie closer together may be rounding alone
SLACK = 1e-5  # of an objective's range: how far a solution may stand from what the network says of it


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
    (n, K) float64, 0 at j = y, accurate to about 1e-6 of what the last hidden layer can add, in whatever units the
    inputs and the hidden units are. Where HiGHS does not report an optimum, or reports one above the margin at its own
    minimizer or below the dual bound, the value is the dual bound with fixed slopes, with a ``ConvergenceWarning``.

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
        example = problem.example(i)
        program = triangle(example)
        for j in problem.others(i):
            goal = problem.goal(i, j, example, program.size)
            found = linprog(
                goal.cost, A_ub=program.A_ub, b_ub=program.b_ub, A_eq=program.A_eq, b_eq=program.b_eq,
                bounds=program.bounds, method="highs",
            )  # fmt: skip
            if found.status == 0:
                margins[i, j], points[i, j] = goal.value(found.fun), problem.point(i, example, found.x)
            if found.status or not problem.agrees(i, j, goal, margins[i, j], points[i, j]):
                failed += 1
                margins[i, j] = problem.dual[i, j]
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
        ``x_adv`` the incumbent or x, with a ``ConvergenceWarning``; at j = y margin 0, x_adv = x, optimal. Where the
        network's margin at ``x_adv`` is not the one that HiGHS reports, or the dual bound lies above it, the interval
        margin stands, not optimal, with the same warning.

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
    intervals = ibp_margins(problem.layers, problem.x, problem.y, eps, box=box)
    optimal = torch.nn.functional.one_hot(problem.y, margins.shape[1]).bool()
    unsolved = doubtful = 0
    for i in range(len(problem.low)):
        example = problem.example(i)
        program = binary(example)
        for j in problem.others(i):
            margins[i, j] = intervals[i, j]
            if wanted is not None and int(wanted[i]) != j:
                continue
            goal = problem.goal(i, j, example, program.size)
            with _silent():
                found = milp(
                goal.cost, constraints=program.constraints(), bounds=program.limits(), integrality=program.integrality,
                options=options,
            )  # fmt: skip
            if found.x is not None:
                points[i, j] = problem.point(i, example, found.x)
            if found.status == 0:
                value = goal.value(found.fun)
                if problem.agrees(i, j, goal, value, points[i, j], attained=True):
                    margins[i, j], optimal[i, j] = value, True
                else:
                    doubtful += 1
                continue
            unsolved += 1
            bound = getattr(found, "mip_dual_bound", None)
            if bound is not None and np.isfinite(bound):
                margins[i, j] = max(float(intervals[i, j]), goal.value(bound))
    for count, what in ((unsolved, "hit their limit"), (doubtful, "contradict the network")):
        if count:
            warnings.warn(f"{count} programs {what}: bounds stand in", ConvergenceWarning, stacklevel=2)
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


class _Goal(NamedTuple):
    """An objective in the program's variables: the margin is ``offset`` plus its value over ``factor``."""

    cost: np.ndarray
    factor: float
    offset: float

    def value(self, found: float) -> float:
        return found / self.factor + self.offset


class _Problem(NamedTuple):
    """Everything about a batch of examples that the programs need, in float64 on the CPU."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    x: torch.Tensor
    y: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    bounds: Bounds
    dual: torch.Tensor

    @classmethod
    def of(cls, layers, x, y, eps, box, bounds) -> _Problem:
        layers = [(w.detach().double(), b.detach().double()) for w, b in affine_layers(layers)]
        low, high = input_box(layers, x, eps, box)
        y = class_labels(y, low, layers)
        bounds = hidden_bounds(layers, low, high, bounds)
        dual = dual_margins(layers, x, y, eps, box=box, bounds=bounds).cpu()
        layers, bounds = ([tuple(part.cpu() for part in pair) for pair in group] for group in (layers, bounds))
        x = x.detach().flatten(1).double()
        return cls(layers, x.cpu(), y.cpu(), low.cpu(), high.cpu(), bounds, dual)

    def start(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Margins of zero and the inputs themselves, (n, K) and (n, K, d)."""
        classes = self.layers[-1][0].shape[0]
        margins = torch.zeros(len(self.low), classes, dtype=torch.float64, device="cpu")
        return margins, self.x[:, None].repeat(1, classes, 1)

    def others(self, i: int) -> list[int]:
        return [j for j in range(self.layers[-1][0].shape[0]) if j != int(self.y[i])]

    def example(self, i: int) -> Example:
        """One example, its inputs counted from their middle, its active units from their lower bound.

        For HiGHS a constraint that is missed by 1e-7 holds, however small its terms are: every variable is measured
        in the power of two below the width of its bounds, with which a ReLU commutes and which costs no digit.
        """
        low, high = self.low[i], self.high[i]
        first = shift, unit = (low + high) / 2, _power(high - low)
        box = [((end - shift) / unit).numpy() for end in (low, high)]
        hidden, bounds = [], []
        for (weight, bias), ends in zip(self.layers[:-1], self.bounds):
            lower, upper = (end[i] for end in ends)
            here = _power(torch.maximum(upper - lower, NARROW * torch.maximum(lower.abs(), upper.abs())))
            bias, scaled = bias + weight @ shift, weight * (unit / here[:, None])
            shift, unit = lower.clamp(min=0), here
            hidden.append((scaled.numpy(), ((bias - shift) / unit).numpy()))
            bounds.append(tuple(((end - shift) / unit).numpy() for end in (lower, upper)))
        return Example(hidden, bounds, *box, first, (shift, unit))

    def goal(self, i: int, j: int, example: Example, size: int) -> _Goal:
        """Objective of example i against class j: its coefficients sit on the last hidden layer (or the input)."""
        weight, bias = self.layers[-1]
        label, (shift, unit) = int(self.y[i]), example.last
        row = weight[label] - weight[j]
        terms = row * unit
        factor = SHARP / binary_scale(terms, 0)
        cost = np.zeros(size)
        start = self.low.shape[1] + sum(len(b) for _, b in self.layers[:-2]) if len(self.layers) > 1 else 0
        cost[start : start + len(row)] = (terms * factor).numpy()
        return _Goal(cost, float(factor), float(bias[label] - bias[j] + row @ shift))

    def point(self, i: int, example: Example, found: np.ndarray) -> torch.Tensor:
        """The input of a solution, inside its box."""
        shift, unit = example.first
        return (shift + unit * torch.from_numpy(found[: len(shift)])).clamp(self.low[i], self.high[i])

    def agrees(self, i: int, j: int, goal: _Goal, margin, point: torch.Tensor, *, attained: bool = False) -> bool:
        """Whether a minimum lies between the dual bound and the margin at its minimizer (and equals that one)."""
        logits = run(self.layers, point)
        there = float(logits[self.y[i]] - logits[j])
        slack = SLACK * np.abs(goal.cost).sum() / goal.factor + GAP * float(logits.abs().amax())
        return bool(self.dual[i, j] - slack <= margin <= there + slack and (margin >= there - slack or not attained))


def _power(widths: torch.Tensor) -> torch.Tensor:
    """The power of two just below every one of the widths >= 0, 1 for 0."""
    return binary_scale(widths[..., None], -1)[..., 0]
