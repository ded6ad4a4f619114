"""The regressions of the depth experiments: starts, step sizes, depths and seeds in one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments
from litrepro.linearnets._chains import others, steps_to, train_separate
from litrepro.linearnets._factors import balanced_factors
from litrepro.linearnets._median import usual_median
from litrepro.linearnets._optimum import optimal_power_loss
from litrepro.linearnets._power import check, slope
from litrepro.linearnets._training import rule_of

if TYPE_CHECKING:
    import pandas as pd

STARTS = ("balanced", "random")


class DepthSweep(NamedTuple):
    """Steps ``t (K,)`` and excess loss ``excess (K, 2, D, S, E)``: start (balanced, random), depth, seed, step size.

    Examples
    --------
    >>> import torch
    >>> x = torch.eye(3, dtype=torch.float64)
    >>> problem = regression(x, torch.ones(1, 3, dtype=torch.float64), 2.0)
    >>> sweep = depth_sweep(problem, torch.tensor([0.1, 0.2]), depths=(1, 2), seeds=[0], steps=20, every=10)
    >>> sweep.t.tolist(), sweep.excess.shape
    ([0, 10, 20], torch.Size([3, 2, 2, 1, 2]))
    """

    t: torch.Tensor
    excess: torch.Tensor


class Regression(NamedTuple):
    """Single-output l_p regression: ``grad (..., d) -> (..., d)``, ``excess (..., d) -> (...)``, its optimum.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.ones(4, 1).double(), torch.tensor([[1.0, 2.0, 3.0, 6.0]]).double()
    >>> problem = regression(x, y, 2.0)
    >>> round(problem.best.item(), 6), round(problem.best_loss.item(), 6)
    (3.0, 1.75)
    """

    grad: Callable[[torch.Tensor], torch.Tensor]
    excess: Callable[[torch.Tensor], torch.Tensor]
    best: torch.Tensor
    best_loss: torch.Tensor


def regression(x: torch.Tensor, y: torch.Tensor, p: float) -> Regression:
    """Gradient of the l_p loss and excess over its optimum; for p = 2 through the d x d matrix of second moments.

    Parameters
    ----------
    x, y
        (m, d) and (1, m), float64.
    p
        Power, > 1.

    Returns
    -------
    Regression.

    Raises ``ValueError`` for sizes that do not fit, several outputs, another dtype, data that are not finite, p <= 1.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.ones(4, 1).double(), torch.tensor([[1.0, 2.0, 3.0, 6.0]]).double()
    >>> problem = regression(x, y, 2.0)
    >>> w = torch.tensor([1.0]).double()
    >>> round(problem.grad(w).item(), 6), round(problem.excess(w).item(), 6)  # 1 - 3, half its square
    (-2.0, 2.0)
    """
    _validate.float_tensor("x", x, 2)
    _validate.float_tensor("y", y, 2)
    if len(y) != 1:
        raise ValueError(f"y must be (1, m), got {tuple(y.shape)}")
    if x.dtype != torch.float64:
        raise ValueError(f"x must be float64, got {x.dtype}")
    _validate.same_kind(x=x, y=y)
    best, best_loss = optimal_power_loss(x, y, p)
    check(best, x, y, p)
    (m, d), best = x.shape, best[0]

    if p == 2:
        moments = x.mT @ x / m

        def grad(v: torch.Tensor) -> torch.Tensor:
            return ((v - best).reshape(-1, d) @ moments).reshape(v.shape)

        # The quadratic form does not cancel near the optimum.
        return Regression(grad, lambda v: ((v - best) * grad(v)).sum(-1) / 2, best, best_loss)

    shift, mean = -y, (x / m).mT.contiguous()

    def residual(v: torch.Tensor) -> torch.Tensor:
        return torch.addmm(shift, v.reshape(-1, d), x.mT)

    def power_grad(v: torch.Tensor) -> torch.Tensor:
        return (mean @ slope(residual(v), p).mT).mT.reshape(v.shape)

    def excess(v: torch.Tensor) -> torch.Tensor:
        r = residual(v)
        loss = (r.square().square_() if p == 4 else r.abs().pow(p)).sum(-1) / (p * m)
        return loss.reshape(v.shape[:-1]) - best_loss

    return Regression(power_grad, excess, best, best_loss)


def draw_starts(d: int, depth: int, seeds: Sequence[int], std: float = 0.01) -> list[torch.Tensor]:
    """First factors (2, S, 1, d) and numbers (2, S, 1, 1): a balanced start and a random one of width 1 per seed.

    Random: every entry N(0, std^2). Balanced: the balanced factors of a matrix with such entries. Raises ``ValueError``
    for sizes < 1, no seeds, std < 0.

    Examples
    --------
    >>> import torch
    >>> w, s = draw_starts(4, 2, seeds=[0, 1, 2])
    >>> w.shape, s.shape, torch.allclose(w[0].norm(dim=-1), s[0, ..., 0].abs())  # the first ones are balanced
    (torch.Size([2, 3, 1, 4]), torch.Size([2, 3, 1, 1]), True)
    """
    d, depth = _validate.positive_int("d", d), _validate.positive_int("depth", depth)
    seeds, std = _arguments.integers("seeds", seeds, 0), _validate.real("std", std, 0)
    size = [(d, *[1] * (depth - 1))] * len(seeds)
    random = [
        torch.randn(sum(n), generator=torch.Generator().manual_seed(int(s)), device="cpu") for n, s in zip(size, seeds)
    ]
    random = std * torch.stack(random).double()
    w = random[:, None, :d]
    balanced = balanced_factors(w, depth)
    numbers = [random[:, None, d + j, None] for j in range(depth - 1)]
    return [torch.stack(pair) for pair in zip(balanced, [w, *numbers])]


def depth_sweep(
    problem: Regression,
    lrs: torch.Tensor,
    *,
    depths: Sequence[int] = (1, 2, 3),
    seeds: Sequence[int],
    steps: int,
    every: int,
    std: float = 0.01,
    progress: Callable[[Iterable], Iterable] = iter,
) -> DepthSweep:
    """Gradient descent at every depth, step size and seed, from a balanced and a random start, in one batch.

    Parameters
    ----------
    problem
        From ``regression``.
    lrs
        (E,) step sizes.
    depths, seeds
        Depths N >= 1, and the seeds of the starts.
    steps, every
        Number of steps, and how often the excess is recorded.
    std
        Standard deviation of the starts' entries.
    progress
        Wraps the loop over steps.

    Returns
    -------
    DepthSweep; a run that diverges has excess inf.

    Raises ``ValueError`` for a problem that is no ``Regression``, empty grids, bad sizes or step sizes.

    Examples
    --------
    >>> import torch
    >>> x = torch.eye(3, dtype=torch.float64)
    >>> problem = regression(x, torch.ones(1, 3, dtype=torch.float64), 2.0)
    >>> sweep = depth_sweep(problem, torch.tensor([0.5]), depths=(1, 2), seeds=[0], steps=200, every=50)
    >>> bool((sweep.excess[-1] < 1e-6).all())  # both depths, both starts
    True
    """
    _validate.instance("problem", problem, Regression)
    _arguments.grid("lrs", lrs)
    depths, seeds = _arguments.integers("depths", depths, 1), _arguments.integers("seeds", seeds, 0)
    best, most = problem.best, max(depths)
    shape = (2, len(depths), len(seeds), len(lrs))
    w = best.new_zeros(*shape, len(best))
    scalars = best.new_ones(*shape, max(most - 1, 1))
    for index, depth in enumerate(depths):
        first, *numbers = draw_starts(len(best), depth, seeds, std)
        w[:, index] = first.to(best)
        for j, number in enumerate(numbers):
            scalars[:, index, ..., j] = number[..., 0].to(best)
    depth_of = torch.tensor(depths, device=best.device)[None, :, None, None].expand(shape)
    lr = lrs.to(best).expand(shape)
    # At depth 1 both starts are the same, and one is run.
    new = torch.ones(shape, dtype=torch.bool, device=best.device)
    new[1] = depth_of[1] > 1
    trials = [value[new] for value in (w, scalars, depth_of)]
    t, found = train_separate(
        problem.grad, problem.excess, trials, lr=lr[new], steps=steps, every=every, progress=progress
    )
    excess = found.new_empty(len(t), *shape)
    excess[:, new] = found
    excess = torch.where(new, excess, excess[:, :1])
    return DepthSweep(t, torch.nan_to_num(excess, nan=torch.inf, posinf=torch.inf))


def summarize_depths(
    sweep: DepthSweep, lrs: torch.Tensor, depths: Sequence[int], levels: dict[str, float | torch.Tensor]
) -> pd.DataFrame:
    """Tidy table ``start, depth, lr, final, <level>...``: medians over seeds of final excess and steps to levels.

    A level counts as reached when the excess stays there. Of an even number of seeds the median is the mean of the
    middle two, and inf where half of them diverge or do not get there.

    ``levels`` maps a column to the excess to be reached, a number or a tensor that broadcasts against (2, D, S, E).
    Raises ``ValueError`` if the grids are not those of the sweep.

    Examples
    --------
    >>> import torch
    >>> lrs = torch.tensor([0.5])
    >>> problem = regression(torch.eye(3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64), 2.0)
    >>> sweep = depth_sweep(problem, lrs, depths=(1, 2), seeds=[0], steps=200, every=50)
    >>> summarize_depths(sweep, lrs, (1, 2), {"to 1e-3": 1e-3}).columns.tolist()
    ['start', 'depth', 'lr', 'final', 'to 1e-3']
    """
    import pandas as pd

    _validate.instance("sweep", sweep, DepthSweep)
    _validate.instance("levels", levels, dict)
    depths, lrs = _arguments.integers("depths", depths, 1), _arguments.grid("lrs", lrs)
    _, _, d, _, e = sweep.excess.shape
    if (len(depths), len(lrs)) != (d, e):
        raise ValueError(f"depths and lrs must be those of a sweep {(d, e)}, got {(len(depths), len(lrs))} of them")
    columns = {"final": usual_median(sweep.excess[-1], 2)}
    for name, level in levels.items():
        columns[name] = usual_median(steps_to(sweep.t, sweep.excess, level, stay=True), 2)
    rows = []
    for i, start in enumerate(STARTS):
        for j, depth in enumerate(depths):
            for k, lr in enumerate(lrs.tolist()):
                values = {name: value[i, j, k].item() for name, value in columns.items()}
                rows.append({"start": start, "depth": int(depth), "lr": lr} | values)
    return pd.DataFrame(rows)


def rule_sweep(
    problem: Regression,
    lrs: torch.Tensor,
    *,
    rule: str,
    depth: int,
    seeds: Sequence[int],
    steps: int,
    every: int,
    eps: float = 1e-8,
) -> DepthSweep:
    """As ``depth_sweep`` for one depth and any rule of ``train_factors``; excess (K, 2, 1, S, E).

    At depth 1 both starts are the same run, made once. Raises ``ValueError`` as ``depth_sweep`` and ``train_factors``.

    Examples
    --------
    >>> import torch
    >>> problem = regression(torch.eye(3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64), 2.0)
    >>> sweep = rule_sweep(problem, torch.tensor([0.05]), rule="adam", depth=2, seeds=[0], steps=200, every=100)
    >>> sweep.excess.shape, bool((sweep.excess[-1] < sweep.excess[0] / 10).all())
    (torch.Size([3, 2, 1, 1, 1]), True)
    """
    _validate.instance("problem", problem, Regression)
    _arguments.grid("lrs", lrs)
    depth, seeds = _validate.positive_int("depth", depth), _arguments.integers("seeds", seeds, 0)
    steps, every = _validate.positive_int("steps", steps, 0), _validate.positive_int("every", every)
    if rule == "gd" and steps:  # which may diverge, and is spared the trials that have
        return depth_sweep(problem, lrs, depths=(depth,), seeds=seeds, steps=steps, every=every)
    d, kinds = len(problem.best), 1 if depth == 1 else 2
    shape = (kinds, len(seeds), len(lrs))
    starts = [factor[:kinds, :, None].to(problem.best) for factor in draw_starts(d, depth, seeds)]
    # All factors of a trial as one row: w, then the numbers that follow it.
    factors = torch.cat([factor.expand(*shape, *factor.shape[-2:]) for factor in starts], -1)
    update, state = rule_of(rule, factors, lrs.to(problem.best).expand(shape), eps=eps), {}
    losses = []
    for step in range(steps + 1):
        w, numbers = factors[..., 0, :d], factors[..., 0, d:]
        total = numbers.prod(-1, keepdim=True)
        product = total * w
        if step % every == 0:
            losses.append(problem.excess(product))
        if step == steps:
            break
        g = problem.grad(product)
        if depth > 1:
            g = torch.cat([total * g, (g * w).sum(-1, keepdim=True) * others(numbers)], -1)
        factors = factors - update(factors, g[..., None, :], state, step + 1)
    excess = torch.nan_to_num(torch.stack(losses), nan=torch.inf, posinf=torch.inf)
    t = torch.arange(0, steps + 1, every, device="cpu")
    return DepthSweep(t, excess[:, :, None].expand(-1, 2, -1, -1, -1))
