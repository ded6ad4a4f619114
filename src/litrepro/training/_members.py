"""What belongs to the members of an ensemble: keywords of the loss, columns of the history."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from litrepro.training._settings import COLUMNS, tidy

if TYPE_CHECKING:
    import pandas as pd


def check_loss_params(params: Mapping[str, Any] | None, loss: Any, members: int, like: torch.Tensor) -> dict:
    """Keywords of the loss, (M,) each, on the device of ``like``."""
    if not params:
        return {}
    if not callable(loss):
        raise ValueError(f"loss_params need a loss that is a function, got {loss!r}")
    found = {name: torch.as_tensor(value, device=like.device) for name, value in params.items()}
    for name, value in found.items():
        if value.ndim != 1 or len(value) != members:
            raise ValueError(f"loss_params[{name!r}] must have shape ({members},), got {tuple(value.shape)}")
    floating = torch.get_default_dtype() if not like.dtype.is_floating_point else like.dtype
    return {name: value.to(floating) if value.dtype.is_floating_point else value for name, value in found.items()}


def takes_keywords(function: Callable, names: Mapping[str, Any]) -> bool:
    """Whether a function can be called with these keywords."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    given = signature.parameters
    return any(p.kind is p.VAR_KEYWORD for p in given.values()) or all(name in given for name in names)


def join_members(members: Any, count: int) -> Callable[[list[tuple]], pd.DataFrame]:
    """A function from rows to the history with the members' columns; raises ``ValueError`` before any training."""
    import pandas as pd

    table = pd.DataFrame() if members is None else pd.DataFrame(members).reset_index(drop=True)
    if members is not None and len(table) != count:
        raise ValueError(f"members must have one row per member ({count}), got {len(table)}")
    if "member" in table:
        if table["member"].tolist() != list(range(count)):
            raise ValueError("members must not have a column 'member' other than 0..M-1")
        table = table.drop(columns="member")
    taken = [name for name in table if name in COLUMNS]
    if taken:
        raise ValueError(f"members must not have the history's columns, got {', '.join(taken)}")

    def build(rows: list[tuple]) -> pd.DataFrame:
        history = tidy(rows, ("member", *COLUMNS))
        history = history.sort_values(["member", "epoch"], kind="stable", ignore_index=True)
        for name in table:
            history[name] = table[name].to_numpy()[history["member"].to_numpy()]
        return history

    return build
