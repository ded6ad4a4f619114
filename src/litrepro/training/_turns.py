"""Long runs one by one, as far as a command's time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from litrepro import _validate

Run = TypeVar("Run")
Found = TypeVar("Found")


def train_in_turn(
    runs: Iterable[Run],
    train: Callable[[Run], Found | None],
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[list[Run]], Iterable[Run]] = iter,
) -> tuple[list[Found], bool]:
    """``train`` every run until one is not finished, or ``stop`` says so before it begins.

    Parameters
    ----------
    runs
        In the order of the questions: the most wanted first, and one that needs another's result after it.
    train
        Returns what is kept of a run, or None where it was interrupted and a later command goes on with it.
    stop
        Asked before every run, as ``Chapter.out_of_time``.
    progress
        Wraps the list of runs, as ``Chapter.progress`` or tqdm.

    Returns
    -------
    What was kept of the finished runs, in order, and whether these are all of them. What ``train`` raises is raised.

    Raises ``ValueError`` for no runs and for what is no function.

    Examples
    --------
    >>> train_in_turn([1, 2, 3], lambda run: 10 * run if run < 3 else None)
    ([10, 20], False)
    """
    runs = _validate.sequence("runs", runs)
    for name, function in (("train", train), ("stop", stop), ("progress", progress)):
        _validate.function(name, function)
    finished: list[Found] = []
    for run in progress(runs):
        found = None if stop() else train(run)
        if found is None:
            break
        finished.append(found)
    return finished, len(finished) == len(runs)
