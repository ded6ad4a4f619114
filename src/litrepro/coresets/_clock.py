"""A clock that runs only while asked to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from litrepro import _timing


class Clock:
    """Cumulative seconds: of the CPU where that computes, which neighbours disturb less; wall seconds of a GPU."""

    def __init__(self, device: torch.device):
        self.seconds = 0.0
        self._now = _timing.clock(device)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside."""
        started = self._now()
        yield
        self.seconds += self._now() - started
