"""What ``fit`` and ``fit_ensemble`` have in common: checked settings, own randomness, the rows of a history."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from litrepro import _validate, runtime
from litrepro.training._optimizers import check_optimizer

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("epoch", "step", "split", "metric", "value", "seconds")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Length of a run, and when to record."""

    n: int
    epochs: int
    batch_size: int
    eval_every: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.n // self.batch_size)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.epochs

    def records(self, epoch: int) -> bool:
        """Whether a row belongs after this epoch."""
        return epoch % self.eval_every == 0 or epoch == self.epochs


def check_settings(
    n: int, epochs: int, batch_size: int, eval_every: int, optimizer: Any, schedule: Any, evaluate_on: Any
) -> Settings:
    """Validate what does not depend on the data; raises ``ValueError``."""
    check_optimizer(optimizer)
    if schedule is not None and not callable(schedule):
        raise ValueError(f"schedule must be a function of t in [0, 1), got {schedule!r}")
    if evaluate_on is not None and not isinstance(evaluate_on, Mapping):
        raise ValueError(f"evaluate_on must be data sets by name, got {type(evaluate_on).__name__}")
    if evaluate_on is not None and "train" in evaluate_on:
        raise ValueError("evaluate_on must not have the key 'train': that split is always recorded")
    return Settings(
        n,
        _validate.positive_int("epochs", epochs, 0),
        _validate.positive_int("batch_size", batch_size),
        _validate.positive_int("eval_every", eval_every),
    )


def check_weights(weights: torch.Tensor | None, shapes: Sequence[tuple[int, ...]], objective: Any) -> None:
    """Weights of the examples, in one of the shapes; none beside an objective, which has its own loss."""
    if weights is None:
        return
    if objective is not None:
        raise ValueError("weights must be None when an objective is given, which computes its own loss")
    if not isinstance(weights, torch.Tensor) or tuple(weights.shape) not in shapes:
        expected = " or ".join(map(str, shapes))
        raise ValueError(f"weights must have shape {expected}, got {getattr(weights, 'shape', type(weights).__name__)}")
    if weights.is_complex() or not bool((weights.isfinite() & (weights >= 0)).all()):
        raise ValueError("weights must be finite numbers >= 0")


@contextlib.contextmanager
def own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Global generators at ``seed`` (dropout draws from them), and back to what they were afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def bar(iterable: range, progress: bool | Callable) -> Any:
    """The epochs, with a progress bar if asked for (or through a given function)."""
    if callable(progress):
        return progress(iterable)
    if not progress or runtime.executed_by_build():
        return iterable
    return runtime.progress_bar(iterable, desc="epochs")


def tidy(rows: list[tuple], columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """The history as a table."""
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))
