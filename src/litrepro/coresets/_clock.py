"""A clock that runs only while asked to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch


class Clock:
    """Cumulative seconds: of the CPU where that computes, which neighbours disturb less; wall seconds of a GPU."""

    def __init__(self, device: torch.device):
        self.seconds = 0.0
        self._now = time.process_time if device.type == "cpu" else time.perf_counter
        self._cuda = device if device.type == "cuda" else None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside."""
        self._wait()
        started = self._now()
        yield
        self._wait()
        self.seconds += self._now() - started

    def _wait(self) -> None:
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
