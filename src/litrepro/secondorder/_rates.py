"""Sweeps over learning rates, and how wide the interval is in which an optimizer does about as well as it can."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from litrepro import _validate
from litrepro.secondorder._flat import train_flat
from litrepro.secondorder._problems import FlatProblem


def sweep_rates(
    method: str,
    problem: FlatProblem,
    rates: Sequence[float],
    seeds: Sequence[int],
    *,
    epochs: int,
    batch: int,
    chunk: int | None = None,
    **options: Any,
) -> Any:
    """Train every rate with every seed, all as one stack, and score what comes out on the test set.

    Parameters
    ----------
    method, problem
        One of ``METHODS`` and a ``FlatProblem``.
    rates, seeds
        R positive numbers; S seeds of initial weights, the same ones for every rate.
    epochs, batch, options
        As ``train_flat``.
    chunk
        So many rates at a time (all if None): a smaller stack needs less memory, and on a CPU it fits its caches.
        Streams of minibatches belong to places in a stack, so the chunk is part of the configuration.

    Returns
    -------
    pandas.DataFrame with R x S rows and the columns ``problem, method, lr, seed, score, train_loss``.

    Raises ``ValueError`` without rates or seeds, for chunk < 1, and whatever ``train_flat`` raises.

    Examples
    --------
    >>> from litrepro.secondorder import digits_problem
    >>> frame = sweep_rates("sgd", digits_problem(n=40, widths=(64, 10)), [0.01, 0.1], [0, 1, 2], epochs=1, batch=20)
    >>> frame.shape
    (6, 6)
    """
    import pandas as pd

    if not isinstance(problem, FlatProblem):
        raise ValueError(f"problem must be a FlatProblem, got {type(problem).__name__}")
    rates = [_validate.real("a rate", rate, 0, open_low=True) for rate in _validate.sequence("rates", rates)]
    seeds = [_validate.seed("a seed", seed) for seed in _validate.sequence("seeds", seeds)]
    chunk = len(rates) if chunk is None else _validate.positive_int("chunk", chunk)
    start, rows = problem.start(seeds), []
    for first in range(0, len(rates), chunk):
        some = [float(rate) for rate in rates[first : first + chunk]]
        lr = torch.tensor(some, device="cpu").to(start)[:, None].expand(-1, len(seeds))
        w0 = start.expand(len(some), *start.shape)
        run = train_flat(
            method,
            problem.model,
            problem.loss,
            w0,
            problem.train,
            lr=lr,
            epochs=epochs,
            batch=batch,
            every_epoch=False,
            **options,
        )
        scores, losses = problem.score(run.w, *problem.test).tolist(), run.losses[-1].tolist()
        rows += [
            (problem.name, method, rate, seed, scores[r][s], losses[r][s])
            for r, rate in enumerate(some)
            for s, seed in enumerate(seeds)
        ]
    return pd.DataFrame(rows, columns=["problem", "method", "lr", "seed", "score", "train_loss"])


def rate_width(rates: Any, scores: Any, *, tolerance: float, bootstrap: int = 0, seed: int = 0) -> dict[str, float]:
    """Width, in decades, of the interval around the best rate where the mean score is within ``tolerance`` of the best.

    Means over repetitions are interpolated linearly in the logarithm of the rate. The interval ends where the curve
    first falls below the threshold on either side; where it does not, it ends with the grid and counts as ``censored``.

    Parameters
    ----------
    rates
        R positive increasing numbers.
    scores
        (R, S): repetitions in columns, larger is better; values that are not finite count as the worst seen.
    tolerance
        > 0, in the units of the score.
    bootstrap
        Number of resamples of the repetitions, for the 2.5% and 97.5% points ``low`` and ``high``.

    Returns
    -------
    Dictionary ``width, from, to, best_rate, best, censored`` (0 to 2 open ends), with ``bootstrap`` also ``low, high``.

    Raises ``ValueError`` for shapes that do not fit, rates that do not increase, and a tolerance that is not positive.

    Examples
    --------
    >>> found = rate_width([0.01, 0.1, 1.0], [[0.0], [1.0], [0.0]], tolerance=0.5)
    >>> round(found["width"], 6), found["censored"]
    (1.0, 0)
    """
    import numpy as np

    given = (part.detach().cpu().numpy() if isinstance(part, torch.Tensor) else part for part in (rates, scores))
    rates, scores = (np.array(part, float) for part in given)
    tolerance = _validate.real("tolerance", tolerance, 0, open_low=True)
    if rates.ndim != 1 or len(rates) < 2 or scores.ndim != 2 or scores.shape[0] != len(rates) or scores.shape[1] < 1:
        raise ValueError(f"need rates (R,) and scores (R, S), R >= 2, S >= 1; got {rates.shape} and {scores.shape}")
    if not (np.isfinite(rates).all() and (rates > 0).all() and (np.diff(rates) > 0).all()):
        raise ValueError("rates must be positive and increasing")
    finite = np.isfinite(scores)
    if not finite.any():
        raise ValueError("no score is finite")
    scores[~finite] = scores[finite].min()
    found = _interval(rates, scores.mean(1), tolerance)
    if _validate.positive_int("bootstrap", bootstrap, 0):
        draw = np.random.default_rng(seed)
        picks = draw.integers(scores.shape[1], size=(bootstrap, scores.shape[1]))
        widths = [_interval(rates, scores[:, pick].mean(1), tolerance)["width"] for pick in picks]
        found["low"], found["high"] = (float(value) for value in np.quantile(widths, [0.025, 0.975]))
    return found


def _interval(rates, means, tolerance: float) -> dict[str, float]:
    logs = [math.log10(rate) for rate in rates]
    best = int(means.argmax())
    threshold = float(means[best]) - tolerance
    ends, censored = [], 0
    for step in (-1, 1):
        at = best
        while 0 <= at + step < len(logs) and means[at + step] >= threshold:
            at += step
        if 0 <= at + step < len(logs):
            share = float((means[at] - threshold) / (means[at] - means[at + step]))
            ends.append(logs[at] + share * (logs[at + step] - logs[at]))
        else:
            ends.append(logs[at])
            censored += 1
    low, high = ends
    return {
        "width": high - low, "from": 10**low, "to": 10**high, "best_rate": float(rates[best]),
        "best": float(means[best]), "censored": censored,
    }  # fmt: skip
