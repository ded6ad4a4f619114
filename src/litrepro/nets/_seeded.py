"""Weights from a seed, with the global generator left as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from litrepro import _validate

T = TypeVar("T")


def build_seeded(build: Callable[[], T], seed: int) -> T:
    """Call ``build`` with the CPU's default generator at ``seed``, and put the generator back."""
    seed = _validate.seed("seed", seed)
    state = torch.default_generator.get_state()
    try:
        # Not torch.manual_seed: that would also reseed the generators of the GPUs.
        torch.default_generator.manual_seed(seed)
        return build()
    finally:
        torch.default_generator.set_state(state)


def check_sizes(**sizes: int) -> None:
    """Every keyword must be an integer of at least 1."""
    for name, value in sizes.items():
        _validate.positive_int(name, value)
