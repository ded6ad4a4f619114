"""How wide is the interval of learning rates in which an optimizer does about as well as it can?"""

from __future__ import annotations

import math
from typing import Any

from litrepro import _validate


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

    rates, scores = np.asarray(rates, float), np.array(scores, float)
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
