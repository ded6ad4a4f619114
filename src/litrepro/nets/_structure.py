"""Whether several networks are of one structure, so that their weights can be stacked or merged."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from torch import nn


def check_one_structure(name: str, models: Sequence[nn.Module]) -> None:
    """``ValueError`` unless modules, as these describe themselves, names, shapes and what is frozen are the same."""
    layout, described = _layout(models[0]), _description(models[0])
    for model in models[1:]:
        if _layout(model) != layout:
            raise ValueError(f"{name} of one structure: names, shapes and frozen parameters differ")
        for line, other in itertools.zip_longest(described, _description(model)):
            if line != other:
                raise ValueError(f"{name} of one structure, got {other} beside {line}")


def _layout(model: nn.Module) -> list[tuple]:
    """Names and shapes of parameters and buffers, and what is trained."""
    return [
        (name, value.shape, value.requires_grad) for name, value in (*model.named_parameters(), *model.named_buffers())
    ]


def _description(model: nn.Module) -> list[str]:
    """The modules and their settings, in lines; of a function among these the name, not where it lies in memory."""
    return [line.strip() for line in re.sub(r" at 0x[0-9a-fA-F]+", "", repr(model)).splitlines()]
