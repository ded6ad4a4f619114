"""Train one model."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from litrepro import _timing, _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.training import _checkpoint
from litrepro.training._arguments import optional_function
from litrepro.training._batches import Targets, check_data, map_targets, permutation
from litrepro.training._evaluate import measure
from litrepro.training._graph import CudaGraph, make_recordable
from litrepro.training._losses import Loss, check_objective, check_values, resolve_loss, resolve_metrics
from litrepro.training._modules import has_sparse_gradients
from litrepro.training._optimizers import Scheduled, hyperparameter, make_optimizer
from litrepro.training._schedules import Schedule
from litrepro.training._settings import bar, check_settings, check_weights, own_randomness, tidy

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINT_SECONDS = 5.0  # between two: writing a large network takes longer than an epoch on a few images


def fit(
    model: nn.Module,
    train: tuple[torch.Tensor, Targets],
    *,
    epochs: int,
    batch_size: int = 128,
    optimizer: str | Callable[[list], torch.optim.Optimizer] = "sgd",
    lr: float = 0.1,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: Schedule | None = None,
    loss: Loss = "cross_entropy",
    weights: torch.Tensor | None = None,
    evaluate_on: Mapping[str, tuple[torch.Tensor, Targets]] | None = None,
    metrics: Sequence = ("loss", "accuracy"),
    eval_every: int = 1,
    seed: int = 0,
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None,
    callback: Callable[[int, nn.Module], Any] | None = None,
    progress: bool | Callable = False,
    objective: Callable[..., torch.Tensor] | None = None,
    checkpoint: Path | None = None,
    cuda_graph: bool = False,
) -> pd.DataFrame:
    """Train a model in place, and record its metrics; it moves to the data's device and is left in eval mode.

    Parameters
    ----------
    model
        ``(B, ...) -> (B, K)``. Parameters with ``requires_grad=False`` stay as they are.
    train
        (x (n, ...), y): y a tensor or a tuple of tensors (labels first), each with leading n.
    epochs
        Passes through the data; 0 records the model as it is.
    batch_size
        Of the batches, see ``batches``; the last one may be smaller.
    optimizer
        ``"sgd"``, ``"adam"`` (torch's, weight decay added to the gradient), or a function of the trainable parameters;
        lr, momentum and weight_decay are then its own affair.
    lr, momentum, weight_decay
        Numbers >= 0; momentum is that of "sgd".
    schedule
        Factor on the step size as a function of t = step / steps in [0, 1), e.g. ``cosine``. None: constant.
    loss
        ``"cross_entropy"`` (labels int64, or distributions over the classes), ``"mse"`` (mean over the outputs; int64
        labels mean one-hot targets), or ``f(outputs, y) -> (B,)``.
    weights
        (n,): the batch loss is mean(w * loss).
    evaluate_on
        Further data sets by name, recorded beside "train".
    metrics
        ``"loss"``, ``"accuracy"`` (left out where labels are not integers (n,), nan where outputs are), functions
        ``f(outputs, y) -> (B,)`` with names of their own.
    eval_every
        Record at epoch 0, every so many epochs, and at the last.
    seed
        Of the order of the examples, of ``augment`` and ``objective``, and of dropout masks. The global generators are
        left as they were.
    augment
        ``augment(x, generator) -> x`` on every batch; the generator lies on the data's device.
    callback
        ``callback(epoch, model)`` before the first epoch (epoch 0) and after every one, model in eval mode; if it
        returns True (numpy's or torch's too) the run stops there, and that epoch is recorded.
    progress
        A progress bar over the epochs, or a function that wraps their range.
    objective
        ``objective(model, x, y, t, generator) -> ()`` replaces the mean loss of a batch (t as in ``schedule``);
        recorded metrics keep ``loss``.
    checkpoint
        A file that is written after an epoch, at most every five seconds, and read back if it exists: a run that was
        stopped goes on where it was, a finished one returns at once. The call must be the same: settings are compared,
        metrics and other functions by their names, about a thousand rows of every data set up to rounding; not the
        initial parameters. One that a callback has stopped is not finished.
    cuda_graph
        On a CUDA device record the step of a full batch and replay it, which helps small networks. The model must not
        wait for the device; the optimizer must be "sgd" or "adam". Elsewhere nothing changes.

    Returns
    -------
    DataFrame ``epoch, step, split, metric, value, seconds``: metrics are means over the data set in eval mode,
    ``seconds`` (cumulative) counts the training alone.

    Raises
    ------
    ValueError
        A model that is no module, lengths that differ, epochs < 0, batch_size < 1, negative hyperparameters, unknown
        optimizer, loss or metric, an optimizer that steps with a closure alone, nothing to train, labels beyond the
        model's outputs, outputs without K for a loss by name or for accuracy, a loss that does not return one value per
        example, examples that the model does not take, metrics of one name, weights that are negative or not finite,
        another run's checkpoint, ``cuda_graph`` with an objective or an optimizer of one's own.

    Warns
    -----
    ConvergenceWarning
        A batch loss was not finite: the run ends after that epoch, which is recorded. Or the last training loss that is
        recorded is not finite.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import mlp
    >>> x = torch.tensor([[-1.0], [1.0]])
    >>> model = mlp(1, (), 2)
    >>> table = fit(model, (x, torch.tensor([0, 1])), epochs=50, lr=1.0)
    >>> model(x).argmax(-1), int(table["epoch"].max())
    (tensor([0, 1]), 50)
    """
    optional_function("callback", callback)
    checkpoint = _validate.optional_path("checkpoint", checkpoint)
    run = _Run(
        model, train, epochs, batch_size, optimizer, (lr, momentum, weight_decay), schedule, loss, weights,
        evaluate_on, metrics, eval_every, seed, augment, objective, cuda_graph,
    )  # fmt: skip
    with own_randomness(run.x.device, run.seed), torch.enable_grad():
        finite, stop, saved = True, False, time.monotonic()
        for epoch in bar(range(_checkpoint.resume(checkpoint, run), run.settings.epochs + 1), progress):
            finite = epoch == 0 or run.epoch(epoch - 1)
            model.eval()
            recorded = run.settings.records(epoch) or not finite
            if recorded:
                run.record(epoch)
            if callback is not None:
                stop = _is_true(callback(epoch, model))
            over = not finite or epoch == run.settings.epochs
            if checkpoint is not None and (over or stop or time.monotonic() - saved >= CHECKPOINT_SECONDS):
                _checkpoint.save(checkpoint, run, epoch, over)
                saved = time.monotonic()
            if not finite:
                warnings.warn(f"the loss is not finite in epoch {epoch}: training stops", ConvergenceWarning, 2)
            if stop and not recorded:  # after the checkpoint: the run that goes on from there has no such row
                run.record(epoch)
            if stop or not finite:
                break
    model.eval()
    losses = [row[4] for row in run.rows if row[2:4] == ("train", "loss")]
    if finite and losses and not math.isfinite(losses[-1]):  # the last step of all may be the one that diverges
        warnings.warn("the training loss is not finite at the end", ConvergenceWarning, 2)
    return tidy(run.rows)


def _is_true(answer: Any) -> bool:
    """True itself, or a single bool of numpy or torch; anything else that a callback returns means nothing."""
    single = str(getattr(answer, "dtype", "")) in ("bool", "torch.bool") and answer.ndim == 0
    return answer is True or (single and bool(answer))


class _Run:
    """One call of ``fit``: data, optimizer, clock, rows of the history."""

    def __init__(
        self, model, train, epochs, batch_size, optimizer, hypers, schedule, loss, weights,
        evaluate_on, metrics, eval_every, seed, augment, objective, cuda_graph=False,
    ):  # fmt: skip
        _validate.instance("model", model, nn.Module)
        seed = _validate.seed("seed", seed)
        for name, value in (("augment", augment), ("objective", objective)):
            optional_function(name, value)
        self.x, self.y, self.n = check_data("train", train)
        self.settings = check_settings(self.n, epochs, batch_size, eval_every, optimizer, schedule, evaluate_on)
        check_weights(weights, [(self.n,)], objective)
        self.model, self.augment, self.objective, self.seed = model, augment, objective, seed
        self.loss, self.device = resolve_loss(loss), self.x.device
        self.functions = {
            "optimizer": optimizer, "loss": loss, "schedule": schedule, "augment": augment, "objective": objective
        }  # fmt: skip
        self.sets = {"train": (self.x, self.y, self.n, resolve_metrics(metrics, loss, self.y))}
        for name, data in (evaluate_on or {}).items():
            x, y, n = check_data(name, data)
            y = map_targets(lambda part: part.to(self.device), y)
            self.sets[name] = (x.to(self.device), y, n, resolve_metrics(metrics, loss, y))
        self.hypers = [
            hyperparameter(name, value, 1) for name, value in zip(("lr", "momentum", "weight_decay"), hypers)
        ]
        self.noise = torch.Generator(self.device).manual_seed(seed)
        model.to(self.device)
        trained = [p for p in model.parameters() if p.requires_grad]
        self.stepper = make_optimizer(optimizer, trained, *self.hypers, sparse=has_sparse_gradients(model))
        self.rates = Scheduled(self.stepper, schedule)
        self.weights = None if weights is None else weights.to(self.device)
        self.clock, self.rows = _timing.Stopwatch(_timing.wall_clock(self.device)), []
        if cuda_graph and (objective is not None or callable(optimizer)):
            raise ValueError("cuda_graph needs a loss and an optimizer by name, got a function for one of them")
        self.recorded = bool(cuda_graph) and self.device.type == "cuda"
        self.step: Callable | None = None
        # Asked once, at the end of an epoch: a GPU never waits within it.
        self.bad = torch.zeros((), dtype=torch.bool, device=self.device)

    def epoch(self, epoch: int) -> bool:
        """Train one epoch (counted from 0); whether all its losses were finite."""
        self.model.train()
        if self.step is None:
            if self.recorded:
                make_recordable(self.stepper, self.device)
            self.step = CudaGraph(self._learn) if self.recorded else self._learn
        self.bad.zero_()
        with self.clock.running():
            order = permutation(self.n, self.seed, epoch).to(self.device)
            for index, chosen in enumerate(order.split(self.settings.batch_size)):
                t = (epoch * self.settings.steps_per_epoch + index) / self.settings.steps
                self.rates.set(t)
                self.step(*self._batch(chosen, t))
        return not bool(self.bad)

    def _batch(self, chosen: torch.Tensor, t: float) -> tuple:
        """What ``_learn`` gets of some examples: augmented x, all of y, weights where there are any; or, for an
        objective, x, y and t.
        """
        x = self.x.index_select(0, chosen)
        y = map_targets(lambda part: part.index_select(0, chosen), self.y)
        if self.augment is not None:
            x = self.augment(x, self.noise)
        if self.objective is not None:
            return x, y, t
        parts = y if isinstance(y, tuple) else (y,)
        return x, *parts, *(() if self.weights is None else (self.weights[chosen],))

    def _learn(self, x: torch.Tensor, *rest: Any) -> None:
        """One step."""
        self.stepper.zero_grad(set_to_none=True)
        value = self._batch_loss(x, *rest)
        value.backward()
        self.stepper.step()
        self.bad |= ~value.detach().isfinite()

    def _batch_loss(self, x: torch.Tensor, *rest: Any) -> torch.Tensor:
        if self.objective is not None:
            y, t = rest
            return check_objective(self.objective(self.model, x, y, t, self.noise))
        parts, weights = (rest, None) if self.weights is None else (rest[:-1], rest[-1])
        values = check_values(self.loss(self.model(x), parts if isinstance(self.y, tuple) else parts[0]), len(x))
        return values.mean() if weights is None else (values * weights).mean()

    def record(self, epoch: int) -> None:
        """Append the metrics on all sets."""
        step, seconds = epoch * self.settings.steps_per_epoch, self.clock.seconds
        for name, (x, y, n, functions) in self.sets.items():
            values = measure(self.model, x, y, n, functions, check=epoch == 0).tolist()
            self.rows.extend((epoch, step, name, key, value, seconds) for key, value in zip(functions, values))
