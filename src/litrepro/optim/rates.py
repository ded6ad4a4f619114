"""Rates of convergence and the constants of theorems."""

from __future__ import annotations

import math

from litrepro import _validate


def sgd_gradient_bound(smoothness: float, gap: float, variance: float, steps: int) -> float:
    """Bound on the average squared gradient norm of SGD after N steps: (2 L gap + sigma^2)/sqrt(N).

    For an L-smooth objective, unbiased gradients of variance sigma^2, and step size 1/(L sqrt N). (The review of
    chapter 01 prints 2 L (gap + sigma^2), which fails for L < 1/4.) Source: Ghadimi and Lan 2013, in the form of
    Bernstein et al. 2018.

    Parameters
    ----------
    smoothness, gap, variance
        L > 0; f(x_0) - min f >= 0; sigma^2 >= 0.
    steps
        N >= 1.

    Raises ``ValueError`` for values outside these ranges.
    """
    smoothness = _validate.real("smoothness", smoothness, 0, open_low=True)
    gap = _validate.real("gap", gap, 0)
    variance = _validate.real("variance", variance, 0)
    steps = _validate.positive_int("steps", steps)
    return (2 * smoothness * gap + variance) / math.sqrt(steps)
