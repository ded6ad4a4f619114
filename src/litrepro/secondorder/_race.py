"""A race of optimizers on logistic regression at equal numbers of oracle calls, every method at all its settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from litrepro import _validate, runtime
from litrepro.optim.curvature import neumann_solve
from litrepro.secondorder import _arguments
from litrepro.secondorder._logistic import (
    calls_to_distance,
    gradient,
    logistic_descent,
    logistic_newton,
    logistic_svrg,
)


class Racer(NamedTuple):
    """One setting of one method: ``distance (steps + 1, S)`` to the optimum, ``cost`` of a step in oracle calls.

    ``setting`` is the depth of LiSSA, (inner, lr) of SVRG, lr of gradient descent and SGD, None for Newton.

    Examples
    --------
    >>> import torch
    >>> Racer("SGD", 0.5, torch.tensor([[1.0], [0.1]]), 10).cost
    10
    """

    method: str
    setting: object
    distance: torch.Tensor
    cost: int


def logistic_race(
    x: torch.Tensor,
    y: torch.Tensor,
    decay: float,
    *,
    depths: Sequence[int],
    inner: Sequence[int],
    svrg_rates: torch.Tensor,
    descent_rates: torch.Tensor,
    sgd_rates: torch.Tensor,
    calls: int,
    seeds: int,
    seed: int = 0,
    steps: int = 11,
    descent_steps: int = 900,
    sgd_epochs: int = 40,
    newton_steps: int = 12,
) -> list[Racer]:
    """Run LiSSA, SVRG, gradient descent, SGD and Newton from zero, at every setting.

    Parameters
    ----------
    x, y, decay
        Rows (n, d), signs (n,), lambda > 0, as for ``logistic_newton``.
    depths
        S_2 of LiSSA, which runs ``steps`` steps of n + S_2 calls with S_1 = 1 and as scale the bound
        max ||x||^2 / 4 + decay on the Hessians of the samples.
    inner, svrg_rates
        Lengths of SVRG's epochs, of n + 2 inner calls each, and its step sizes (R,). It may spend ``calls`` in all.
    descent_rates, descent_steps
        Step sizes (R,) of gradient descent and its steps, of n calls each.
    sgd_rates, sgd_epochs
        First step sizes (R,) of SGD and its epochs, of n calls each; it runs with three seeds at most.
    calls
        Budget of a run of SVRG, at least that of one of its epochs.
    seeds
        Number S of repetitions of LiSSA and SVRG.
    seed
        Of LiSSA.
    steps, newton_steps
        Steps of LiSSA, and of Newton's method: n (1 + d) calls each.

    Returns
    -------
    All racers, in this order. Methods that draw nothing have a single column.

    Raises
    ------
    ValueError
        x and y that do not fit, decay that is not positive, sizes below 1, empty sequences, a budget below an epoch.

    Source: Agarwal, Bullins and Hazan 2017, section 5; Johnson and Zhang 2013 for SVRG.

    Examples
    --------
    >>> import torch
    >>> x, y, rates = torch.eye(3).double(), torch.tensor([1.0, -1.0, 1.0]).double(), torch.tensor([0.5, 1.0])
    >>> grids = {"svrg_rates": rates, "descent_rates": rates, "sgd_rates": rates}
    >>> racers = logistic_race(x, y, 0.5, depths=[2, 4], inner=[3], calls=90, seeds=4, **grids)
    >>> [(racer.method, racer.setting, racer.cost) for racer in racers][:3]
    [('LiSSA', 2, 5), ('LiSSA', 4, 7), ('SVRG', (3, 0.5), 9)]
    >>> racers[2].distance.shape, racers[-1].method, bool(racers[-1].distance[-1] < 1e-12)
    (torch.Size([11, 4]), 'Newton', True)
    """
    _arguments.signs(x, y)
    decay = _validate.real("decay", decay, 0, open_low=True)
    depths = [_validate.positive_int("depths", depth) for depth in _validate.sequence("depths", depths)]
    inner = [_validate.positive_int("inner", length) for length in _validate.sequence("inner", inner)]
    seeds = _validate.positive_int("seeds", seeds)
    n, d = x.shape
    calls = _validate.positive_int("calls", calls, n + 2 * max(inner))
    optimum = logistic_newton(x, y, decay, steps=20)[-1]

    def distance(path: torch.Tensor) -> torch.Tensor:
        return (path - optimum).norm(dim=-1)

    descended = distance(logistic_descent(x, y, decay, lr=descent_rates, steps=descent_steps))
    few = range(min(3, seeds))
    noisy = distance(logistic_svrg(x, y, decay, lr=sgd_rates, epochs=sgd_epochs, seeds=few, plain=True))
    scale = x.square().sum(1).max().item() / 4 + decay
    w0 = torch.zeros(seeds, d, dtype=x.dtype, device=x.device)
    racers = []
    for depth in depths:
        racers.append(Racer("LiSSA", depth, distance(_lissa(x, y, decay, w0, depth, steps, scale, seed)), n + depth))
    for length in inner:
        cost = n + 2 * length
        options = {"inner": length, "epochs": calls // cost, "seeds": range(seeds)}
        found = distance(logistic_svrg(x, y, decay, lr=svrg_rates, **options))
        racers += [Racer("SVRG", (length, lr), found[:, i], cost) for i, lr in enumerate(svrg_rates.tolist())]
    racers += [Racer("gradient descent", lr, descended[:, i, None], n) for i, lr in enumerate(descent_rates.tolist())]
    racers += [Racer("SGD", lr, noisy[:, i], n) for i, lr in enumerate(sgd_rates.tolist())]
    newton = distance(logistic_newton(x, y, decay, steps=newton_steps))[:, None]
    return [*racers, Racer("Newton", None, newton, n * (1 + d))]


def _lissa(x, y, decay, w, depth, steps, scale, seed) -> torch.Tensor:
    """The iterates of ``lissa`` with one direction and single samples, whose products have a closed form."""
    streams = runtime.streams(seed, len(w))
    path = [w]
    for _ in range(steps):
        rows = torch.stack([torch.randint(len(x), (depth,), generator=each, device="cpu") for each in streams], 1)
        samples = x[rows.to(x.device)]  # (depth, S, d)
        p = torch.sigmoid((samples * w).sum(-1, keepdim=True))
        weighted = p * (1 - p) * samples

        def product(v: torch.Tensor, j: int, samples=samples, weighted=weighted) -> torch.Tensor:
            return (samples[j - 1] * v).sum(-1, keepdim=True) * weighted[j - 1] + decay * v

        w = w - neumann_solve(product, gradient(w, x, y, decay), depth=depth, scale=scale)
        path.append(w)
    return torch.stack(path)


def best_racers(racers: Iterable[Racer], tolerance: float) -> dict[str, tuple[float, Racer]]:
    """For each method its best setting, with the median calls until the distance is at most ``tolerance``.

    The best is the first to arrive, or, where none arrives (calls of inf), the one with the smallest median distance at
    its end. Raises ``ValueError`` for no racers, or a tolerance that is not positive.

    Examples
    --------
    >>> import torch
    >>> slow, fast = torch.tensor([[1.0], [0.5], [0.1]]), torch.tensor([[1.0], [0.1], [0.1]])
    >>> best = best_racers([Racer("GD", 0.1, slow, 10), Racer("GD", 0.5, fast, 10)], 0.2)
    >>> best["GD"][0], best["GD"][1].setting
    (10.0, 0.5)
    """
    racers = [_validate.instance("racers", racer, Racer) for racer in _validate.sequence("racers", racers)]
    tolerance = _validate.real("tolerance", tolerance, 0, open_low=True)
    best: dict[str, tuple[tuple[float, float], Racer]] = {}
    for racer in racers:
        calls = calls_to_distance(racer.distance, racer.cost, tolerance).median().item()
        rank = (calls, racer.distance[-1].median().item())
        if racer.method not in best or rank < best[racer.method][0]:
            best[racer.method] = rank, racer
    return {method: (rank[0], racer) for method, (rank, racer) in best.items()}
