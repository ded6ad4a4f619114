"""Stopwatches that the rest of the machine disturbs as little as possible."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from litrepro import _validate

if TYPE_CHECKING:
    import torch


def clock(device: torch.device) -> Callable[[], float]:
    """Reads CPU seconds where a CPU computes, which neighbours disturb less; wall seconds of a GPU once it is idle."""
    if device.type != "cuda":
        return time.process_time
    return wall_clock(device)


def wall_clock(device: torch.device) -> Callable[[], float]:
    """Reads wall seconds; of a GPU once it has done what it was given."""
    if device.type != "cuda":
        return time.perf_counter
    import torch

    def now() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


class Stopwatch:
    """Cumulative ``seconds`` of a clock, counted only while it is ``running``."""

    def __init__(self, now: Callable[[], float]):
        self.seconds = 0.0
        self._now = now

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside."""
        started = self._now()
        yield
        self.seconds += self._now() - started


def race(functions: Mapping[str, Callable[[], Any]], now: Callable[[], float], repeats: int) -> dict[str, float]:
    """Seconds of a call of each function: the best of ``repeats`` after one that warms up.

    They take turns, so that a slow minute of the machine slows all of them and their ratios stay.
    """
    if not isinstance(functions, Mapping) or not functions:
        raise ValueError(f"functions must be a mapping of names to functions, got {functions!r}")
    for name, function in functions.items():
        _validate.function(str(name), function)
    repeats = _validate.positive_int("repeats", repeats)
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            started = now()
            function()
            times[name].append(now() - started)
    return {name: max(min(taken), 1e-9) for name, taken in times.items()}
