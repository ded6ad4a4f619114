"""Interrupt the training of an ensemble of GANs, and go on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from litrepro._resume import check_same_run, summary, write_state

EVERY = 2000  # steps between two saves, a multiple of ASK
ASK = 20  # steps between two questions whether to stop
LAYOUT = 2  # of the states; a file of another one cannot be read


class Checkpoint:
    """The states of all cohorts in one file; without a path nothing is written.

    Raises ``ValueError`` if the file was written by another run.
    """

    def __init__(self, path: Path | None, about: dict[str, Any], stop: Callable[[], bool] | None):
        self.path, self.about, self.stop = path, about, stop
        self.states: dict[int, dict[str, Any]] = {}
        if self.path is not None and self.path.exists():
            saved = torch.load(self.path, weights_only=True, map_location="cpu")
            check_same_run(self.path, {"layout": 1} | saved["about"], about)  # the first layout did not say so
            self.states = saved["cohorts"]

    def due(self, step: int, steps: int) -> tuple[bool, bool]:
        """Whether to save after so many steps, and whether to stop there."""
        over = step == steps
        stop = self.stop is not None and not over and step % ASK == 0 and bool(self.stop())
        return self.path is not None and (stop or over or step % EVERY == 0), stop

    def save(self, cohort: int, state: dict[str, Any]) -> None:
        """Write the states of all cohorts, this one anew."""
        self.states[cohort] = state
        write_state(self.path, {"about": self.about, "cohorts": self.states})


def describe(
    variants: Sequence[Any], seeds: Sequence[int], sizes: dict[str, Any], players: Sequence[Any], data: torch.Tensor
) -> dict[str, Any]:
    """What two runs must share to be one run: of the data about a thousand rows, up to rounding; no initial weights."""
    return {
        "variants": [repr(variant) for variant in variants],
        "seeds": list(seeds),
        "layout": LAYOUT,
        "sizes": [[name, value] for name, value in sizes.items()],
        "shapes": [[name, *shape] for player in players for name, shape in player.shapes.items()],
        "shape": list(data.shape),
        "data": [summary(data)],
    }
