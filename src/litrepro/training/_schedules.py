"""Schedules: the factor on the step size at the fraction t in [0, 1) of the training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from litrepro import _validate

Schedule = Callable[[float], float]


def constant(t: float) -> float:
    """1 throughout."""
    return 1.0


def cosine(t: float) -> float:
    """(1 + cos(pi t)) / 2: from 1 to 0 (Loshchilov and Hutter, arXiv:1608.03983, without restarts)."""
    return 0.5 * (1.0 + math.cos(math.pi * t))


def step_decay(factors: Mapping[float, float]) -> Schedule:
    """1, then the factor of the last time that has passed: ``{0.6: 0.1, 0.9: 0.01}`` is 0.1 from t = 0.6 to 0.9.

    Raises ``ValueError`` for times outside [0, 1) or factors that are negative or not finite.
    """
    steps = sorted(
        (_validate.real("time", time, 0, 1, open_high=True), _validate.real("factor", factor, 0))
        for time, factor in factors.items()
    )

    def schedule(t: float) -> float:
        passed = [factor for time, factor in steps if t >= time]
        return passed[-1] if passed else 1.0

    return schedule
