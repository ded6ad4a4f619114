"""Schedules: the factor on the step size at the fraction t in [0, 1) of the training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from litrepro import _validate

Schedule = Callable[[float], float]


def constant(t: float) -> float:
    """1 throughout; raises ``ValueError`` for t outside [0, 1].

    Examples
    --------
    >>> constant(0.0), constant(0.9)
    (1.0, 1.0)
    """
    _validate.real("t", t, 0, 1)
    return 1.0


def cosine(t: float) -> float:
    """(1 + cos(pi t)) / 2: from 1 to 0 (Loshchilov and Hutter, arXiv:1608.03983, without restarts).

    Raises ``ValueError`` for t outside [0, 1].

    Examples
    --------
    >>> cosine(0.0), round(cosine(0.5), 6), round(cosine(1 / 3), 6)
    (1.0, 0.5, 0.75)
    """
    _validate.real("t", t, 0, 1)
    return 0.5 * (1.0 + math.cos(math.pi * t))


def step_decay(factors: Mapping[float, float]) -> Schedule:
    """1, then the factor of the last time that has passed: ``{0.6: 0.1, 0.9: 0.01}`` is 0.1 from t = 0.6 to 0.9.

    Raises ``ValueError`` for factors that are no mapping, times outside [0, 1),
    or factors that are negative or not finite.

    Examples
    --------
    >>> schedule = step_decay({0.6: 0.1, 0.9: 0.01})
    >>> [schedule(t) for t in (0.0, 0.6, 0.95)]
    [1.0, 0.1, 0.01]
    """
    _validate.instance("factors", factors, Mapping)
    steps = sorted(
        (_validate.real("time", time, 0, 1, open_high=True), _validate.real("factor", factor, 0))
        for time, factor in factors.items()
    )

    def schedule(t: float) -> float:
        _validate.real("t", t, 0, 1)
        passed = [factor for time, factor in steps if t >= time]
        return passed[-1] if passed else 1.0

    return schedule
