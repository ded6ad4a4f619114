"""Files that an interrupted run goes on from: whether they are its own, and how they are written."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

ROWS = 1000  # of every tensor that are looked at


def summary(value: torch.Tensor) -> list[float]:
    """Size and position of evenly spaced rows: what targets of a teacher keep that another machine computes again."""
    rows = torch.atleast_1d(value.detach())
    rows = rows[:: max(1, len(rows) // ROWS)].double().flatten().cpu()
    place = torch.arange(len(rows), dtype=torch.float64, device="cpu")
    return [rows.abs().mean().item(), (rows * place.cos()).mean().item(), (rows * place.sin()).mean().item()]


def check_same_run(path: Path, saved: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """``ValueError`` if a file says of its run (``saved``) other than ``about``; what it does not say is not asked.

    Lists of summaries agree up to rounding, everything else to the letter.
    """
    others = [name for name, value in about.items() if name in saved and not _alike(saved[name], value)]
    if others:
        raise ValueError(
            f"{path} must belong to this run, but was written by one with other {', '.join(others)}: "
            "delete it to start afresh"
        )


def write_state(path: Path, state: dict[str, Any]) -> None:
    """``torch.save`` to a temporary name, then renamed: a run that is killed here leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f"{path.suffix}.{os.getpid()}.part")  # two processes may share the folder
    torch.save(state, temporary)
    temporary.replace(path)


def _alike(saved: Any, value: Any) -> bool:
    summaries = isinstance(saved, list) and saved and isinstance(saved[0], list) and saved[0]
    if not (summaries and isinstance(saved[0][0], float)):
        return saved == value
    if [len(part) for part in saved] != [len(part) for part in value]:
        return False
    pairs = [(a, b, new[0]) for old, new in zip(saved, value) for a, b in zip(old, new)]
    return all(a == b or abs(a - b) <= 1e-5 * size or (math.isnan(a) and math.isnan(b)) for a, b, size in pairs)
