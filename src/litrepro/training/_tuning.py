"""Summaries of step-size sweeps: what a run was worth, and what tuning costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from litrepro import _validate

if TYPE_CHECKING:
    import pandas as pd


def expected_best(values: torch.Tensor, budget: int) -> torch.Tensor:
    """Expected best (smallest) value after trying 1 ... ``budget`` configurations at random, with replacement.

    With the n values sorted, the best of k draws is the i-th with probability ((n - i + 1)^k - (n - i)^k)/n^k
    (Dodge et al. 2019, arXiv 1909.03004).

    Parameters
    ----------
    values
        (..., n) finite results of the n configurations.

    Returns
    -------
    (..., budget), float64.

    Raises ``ValueError`` if there are no values, one is not finite, or budget < 1.

    Examples
    --------
    >>> import torch
    >>> expected_best(torch.tensor([4.0, 0.0]), 3)  # 4 times the chance that all draws are the 4
    tensor([2.0000, 1.0000, 0.5000], dtype=torch.float64)
    """
    budget = _validate.positive_int("budget", budget)
    _validate.float_tensor("values", values, 1)
    if values.shape[-1] == 0 or not bool(torch.isfinite(values).all()):
        raise ValueError(f"values must be finite, at least one of them, got shape {tuple(values.shape)}")
    ordered = values.double().sort(dim=-1).values
    n = values.shape[-1]
    rank = torch.arange(1, n + 1, dtype=torch.float64, device=values.device)
    k = torch.arange(1, budget + 1, dtype=torch.float64, device=values.device)[:, None]
    weights = ((n - rank + 1) / n) ** k - ((n - rank) / n) ** k
    return ordered @ weights.T


def summarize_runs(runs: pd.DataFrame, by: Sequence[str] = ("rule", "lr", "seed")) -> pd.DataFrame:
    """One row per run of ``train_stacked``: ``auc`` (mean training loss over the records), ``final``, and shapes.

    ``roughness`` is the mean absolute second difference of the sampled mini-batch loss, ``roughness_train`` that of the
    training loss at the same steps; ``turns`` the share of sign changes between its successive differences;
    ``late`` the mean training loss of the last four records; ``test_accuracy`` the last one. Where the training loss is
    not a number in some record, the run has diverged: ``auc``, ``final`` and ``late`` are inf, and never the best.

    Runs in which a column of ``by`` is missing (nan or None: a setting that their rule does not have) are kept.
    Raises ``ValueError`` for a table without the columns of ``by`` and of ``train_stacked``, and for no ``by``.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = {"batch_loss": [4.0, 2.0, 1.0], "train_loss": [3.0, 2.0, 1.0], "test_accuracy": [0.5, 0.75, 1.0]}
    >>> runs = pd.DataFrame({"rule": "sgd", "lr": 0.1, "seed": 0, "step": [0, 1, 2], **columns})
    >>> summarize_runs(runs)[["auc", "final", "test_accuracy"]].iloc[0].tolist()
    [2.0, 1.0, 1.0]
    """
    import pandas as pd

    by = _validate.sequence("by", by)
    _validate.table("runs", runs, by, ("step", "batch_loss", "train_loss", "test_accuracy"))
    groups = runs.sort_values("step").groupby(by, sort=False, dropna=False)
    columns = {
        "auc": groups["train_loss"].apply(lambda v: _reached(v, v)),
        "final": groups["train_loss"].apply(lambda v: _reached(v, v.iloc[-1:])),
        "late": groups["train_loss"].apply(lambda v: _reached(v, v.iloc[-4:])),
        "roughness": groups["batch_loss"].apply(_roughness),
        "roughness_train": groups["train_loss"].apply(_roughness),
        "turns": groups["batch_loss"].apply(_turns),
        "test_accuracy": groups["test_accuracy"].apply(lambda v: v.iloc[-1]),  # last() would pass over a nan
    }
    return pd.DataFrame(columns).reset_index()


def _reached(losses: pd.Series, part: pd.Series) -> float:
    """Mean over a part of the records, inf if a loss of the run is not a number."""
    return float("inf") if losses.isna().any() else float(part.mean())


def _roughness(values: pd.Series) -> float:
    return float(values.diff().diff().iloc[2:].abs().mean(skipna=False))


def _turns(values: pd.Series) -> float:
    steps = values.diff().dropna().to_numpy()
    return float((steps[1:] * steps[:-1] < 0).mean()) if len(steps) > 1 else float("nan")


def paired_difference(
    runs: pd.DataFrame, value: str, first: dict[str, object], second: dict[str, object]
) -> tuple[float, float]:
    """Mean over seeds of ``first`` minus ``second`` and its standard error, pairing runs with equal seed.

    ``first`` and ``second`` select rows by column values, e.g. ``{"rule": "sgd", "lr": 0.01}``. Raises ``ValueError``
    unless both select one row for each of the same seeds, two at least, and for a table without the columns
    that are named. A value that is not a number makes both results nan: no pair is left out.

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame({"rule": ["a", "b"] * 2, "seed": [0, 0, 1, 1], "loss": [2.0, 1.0, 6.0, 3.0]})
    >>> paired_difference(runs, "loss", {"rule": "a"}, {"rule": "b"})  # differences 1 and 3
    (2.0, 1.0)
    """
    for name, choice in (("first", first), ("second", second)):
        _validate.instance(name, choice, Mapping)
    _validate.table("runs", runs, (*first, *second, "seed"), (value,))
    sides = []
    for choice in (first, second):
        rows = runs
        for name, wanted in choice.items():
            rows = rows[rows[name] == wanted]
        sides.append(rows.set_index("seed")[value])
    left, right = sides
    if not left.index.is_unique or set(left.index) != set(right.index) or len(left) < 2:
        raise ValueError(f"{first} and {second} must select one row for each of the same seeds")
    difference = left - right.reindex(left.index)
    return float(difference.mean(skipna=False)), float(difference.std(skipna=False) / len(difference) ** 0.5)
