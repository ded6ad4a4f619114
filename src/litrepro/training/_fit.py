"""Train one model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from litrepro._warnings import ConvergenceWarning
from litrepro.training._batches import Targets, check_data, map_targets, permutation
from litrepro.training._evaluate import measure
from litrepro.training._losses import Loss, check_values, resolve_loss, resolve_metrics
from litrepro.training._optimizers import Scheduled, hyperparameter, make_optimizer
from litrepro.training._schedules import Schedule
from litrepro.training._settings import Clock, bar, check_settings, check_weights, own_randomness, tidy

if TYPE_CHECKING:
    import pandas as pd


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
        ``"loss"``, ``"accuracy"`` (left out where labels are not integers), functions ``f(outputs, y) -> (B,)``.
    eval_every
        Record at epoch 0, every so many epochs, and at the last.
    seed
        Of the order of the examples, of ``augment`` and ``objective``, and of dropout masks. The global generators are
        left as they were.
    augment
        ``augment(x, generator) -> x`` on every batch; the generator lies on the data's device.
    callback
        ``callback(epoch, model)`` before the first epoch (epoch 0) and after every one, model in eval mode.
    progress
        A progress bar over the epochs, or a function that wraps their range.
    objective
        ``objective(model, x, y, t, generator) -> ()`` replaces the mean loss of a batch (t as in ``schedule``);
        recorded metrics keep ``loss``.

    Returns
    -------
    DataFrame ``epoch, step, split, metric, value, seconds``: metrics are means over the data set in eval mode,
    ``seconds`` (cumulative) counts the training alone.

    Raises
    ------
    ValueError
        Lengths differ, epochs < 0, batch_size < 1, negative hyperparameters, unknown optimizer, loss or metric,
        nothing to train, a loss that does not return one value per example.

    Warns
    -----
    ConvergenceWarning
        A batch loss was not finite: the run ends after that epoch, which is recorded.
    """
    x, y, n = check_data("train", train)
    settings = check_settings(n, epochs, batch_size, eval_every, optimizer, schedule, evaluate_on)
    check_weights(weights, [(n,)], objective)
    sets = {"train": (x, y, n)}
    for name, data in (evaluate_on or {}).items():
        inputs, targets, count = check_data(name, data)
        sets[name] = (inputs.to(x.device), map_targets(lambda part: part.to(x.device), targets), count)
    compute = resolve_loss(loss)
    functions = {name: resolve_metrics(metrics, loss, part[1]) for name, part in sets.items()}
    hypers = [hyperparameter(*pair, 1) for pair in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay))]
    model.to(x.device)
    stepper = make_optimizer(optimizer, [p for p in model.parameters() if p.requires_grad], *hypers)
    rates = Scheduled(stepper, schedule)
    noise = torch.Generator(x.device).manual_seed(seed)
    weights = None if weights is None else weights.to(x.device)
    clock, rows = Clock(x.device), []

    def batch_loss(chosen: torch.Tensor, t: float) -> torch.Tensor:
        inputs, targets = x.index_select(0, chosen), map_targets(lambda part: part.index_select(0, chosen), y)
        if augment is not None:
            inputs = augment(inputs, noise)
        if objective is not None:
            return objective(model, inputs, targets, t, noise)
        values = check_values(compute(model(inputs), targets), len(chosen))
        return values.mean() if weights is None else (values * weights[chosen]).mean()

    def run(epoch: int) -> bool:
        """One epoch; whether all its losses were finite, asked once at the end so that a GPU never waits."""
        bad = torch.zeros((), dtype=torch.bool, device=x.device)
        order = permutation(n, seed, epoch).to(x.device)
        for index, chosen in enumerate(order.split(settings.batch_size)):
            t = (epoch * settings.steps_per_epoch + index) / settings.steps
            rates.set(t)
            stepper.zero_grad(set_to_none=True)
            value = batch_loss(chosen, t)
            value.backward()
            stepper.step()
            bad |= ~value.detach().isfinite()
        return not bool(bad)

    def record(epoch: int) -> None:
        for name, (inputs, targets, count) in sets.items():
            values = measure(model, inputs, targets, count, functions[name]).tolist()
            step = epoch * settings.steps_per_epoch
            rows.extend((epoch, step, name, key, value, clock.seconds) for key, value in zip(functions[name], values))

    with own_randomness(x.device, seed):
        finite = True
        for epoch in bar(range(settings.epochs + 1), progress):
            if epoch > 0:
                model.train()
                with clock.running():
                    finite = run(epoch - 1)
            model.eval()
            if settings.records(epoch) or not finite:
                record(epoch)
            if callback is not None:
                callback(epoch, model)
            if not finite:
                warnings.warn(f"the loss is not finite in epoch {epoch}: training stops", ConvergenceWarning, 2)
                break
    return tidy(rows)
