"""The gap between test and training loss of many trials, at equal training loss."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch.func import vmap

from litrepro import _validate
from litrepro.secondorder._flat import train_flat
from litrepro.secondorder._problems import FlatProblem


class _Reached(Exception):
    """Every run has got to the level."""


def gap_at_level(
    method: str, problem: FlatProblem, seeds: Sequence[int], *, level: float, lr: float, epochs: int, **options: Any
) -> torch.Tensor:
    """Test minus training loss at the epoch in which a run's training loss is first at most ``level``.

    At equal epochs the faster optimizer has overfitted more because it has fitted more; at equal training loss the gaps
    compare.

    Parameters
    ----------
    method, problem
        One of ``METHODS`` and a ``FlatProblem``.
    seeds
        S seeds of initial weights; all runs are one stack.
    level
        Training loss > 0.
    lr, epochs, options
        As ``train_flat``: at most so many epochs.

    Returns
    -------
    (S,), on the problem's device; nan for a run that does not get there.

    Raises ``ValueError`` for a level that is not positive, no seeds, and whatever ``train_flat`` raises.

    Examples
    --------
    >>> from litrepro.secondorder import digits_problem
    >>> options = {"level": 1.0, "lr": 0.1, "epochs": 10, "batch": 20}
    >>> gap_at_level("sgd", digits_problem(n=40, widths=(64, 10)), [0, 1], **options).shape
    torch.Size([2])
    """
    _validate.instance("problem", problem, FlatProblem)
    seeds = [_validate.seed("a seed", seed) for seed in _validate.sequence("seeds", seeds)]
    level = _validate.real("level", level, 0, open_low=True)
    x, y = problem.test
    held_out: list[torch.Tensor] = []
    losses: list[torch.Tensor] = []

    def look(_: int, w: torch.Tensor) -> None:
        seen, known = (part[: options.get("evaluate_rows")] for part in problem.train)
        with torch.no_grad():
            held_out.append(vmap(lambda each: problem.loss(problem.model(each, x), y))(w))
            losses.append(vmap(lambda each: problem.loss(problem.model(each, seen), known))(w))
        if bool((torch.stack(losses) <= level).any(0).all()):
            raise _Reached

    start, task = problem.start(seeds), (problem.model, problem.loss)
    with contextlib.suppress(_Reached):  # the rest of the run would not be looked at
        train_flat(
            method, *task, start, problem.train, lr=lr, epochs=epochs, every_epoch=False, on_epoch=look, **options
        )
    reached = torch.stack(losses) <= level  # (epochs + 1, S), or fewer
    first = reached.int().argmax(0)
    gaps = (torch.stack(held_out) - torch.stack(losses)).gather(0, first[None])[0]
    return torch.where(reached.any(0), gaps, torch.nan)
