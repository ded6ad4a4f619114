"""How the error of a perceptron depends on its width: one stack of seeds per width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro.nets import StackedMLP
from litrepro.optim import Rule, Uniform
from litrepro.training._arguments import labelled, seed_list
from litrepro.training._level import pick_rows

if TYPE_CHECKING:
    import pandas as pd

Data = tuple[torch.Tensor, torch.Tensor]


def train_widths(
    train: Data,
    test: Data,
    widths: Sequence[int],
    *,
    seeds: Sequence[int],
    lr: Callable[[int], float],
    batch: int,
    steps: int,
    rule: Rule | str = "sgd",
    progress: Any = iter,
) -> pd.DataFrame:
    """Train networks with one hidden ReLU layer of several widths and report their errors.

    Parameters
    ----------
    train, test
        (x (n, d), y (n,)) on the device of the run, or (S, n, d) and (S, n): one set per seed.
    widths
        Hidden widths.
    seeds
        Initial weights and batches derive from these alone.
    lr
        Step size for a width: narrow networks want smaller ones.

    Returns
    -------
    DataFrame ``width, seed, parameters, train_loss, train_error, test_error`` after ``steps`` steps.

    Raises ``ValueError`` for data that do not fit, sizes < 1, no widths or seeds, and batches larger than the
    training set.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.tensor([[-1.0], [1.0]]).repeat(10, 1), torch.arange(20) % 2
    >>> table = train_widths((x, y), (x, y), [2, 8], seeds=[0], lr=lambda width: 0.5, batch=10, steps=100)
    >>> table["width"].tolist(), table["parameters"].tolist()
    ([2, 8], [10, 34])
    """
    import pandas as pd

    batch, steps = _validate.positive_int("batch", batch), _validate.positive_int("steps", steps)
    widths = [_validate.positive_int("width", width) for width in _validate.sequence("widths", widths)]
    seeds = seed_list(seeds)
    for name, value in (("lr", lr), ("progress", progress)):
        _validate.function(name, value)
    train = labelled("train", train, members=len(seeds))
    test = labelled("test", test, members=len(seeds), features=train[0].shape[-1])
    _validate.same_kind(train=train[0], test=test[0])
    n = train[1].shape[-1]
    if batch > n:
        raise ValueError(f"batch must be at most the {n} training examples, got {batch}")
    classes = int(max(train[1].max(), test[1].max())) + 1
    rows = []
    for width in progress(widths):
        shape = (train[0].shape[-1], width, classes)
        model = _stack(shape, seeds).to(train[0])
        _train(model, Uniform(model.parameters(), rule, lr(width)), train, seeds, batch, steps)
        loss, error = _evaluate(model, train)
        _, test_error = _evaluate(model, test)
        count = sum(parameter[0].numel() for parameter in model.parameters())
        rows += [
            {"width": width, "seed": seed, "parameters": count, "train_loss": a, "train_error": b, "test_error": c}
            for seed, a, b, c in zip(seeds, loss.tolist(), error.tolist(), test_error.tolist())
        ]
    return pd.DataFrame(rows)


def _stack(shape: tuple[int, ...], seeds: Sequence[int]) -> StackedMLP:
    """One member per seed, each drawn from its own generator."""
    model = StackedMLP(shape, trials=len(seeds))
    singles = [StackedMLP(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    for target, *sources in zip(model.parameters(), *(single.parameters() for single in singles)):
        target.data = torch.cat([source.data for source in sources])
    return model


def _train(model: StackedMLP, optimizer: Uniform, train: Data, seeds: Sequence[int], batch: int, steps: int) -> None:
    x, y = train
    sources = [torch.Generator().manual_seed(seed) for seed in seeds]
    n = y.shape[-1]
    per_epoch = n // batch
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.stack([torch.randperm(n, generator=source, device="cpu") for source in sources]).to(x.device)
        rows = order[:, step % per_epoch * batch : (step % per_epoch + 1) * batch]

        inputs, labels = pick_rows(x, rows), pick_rows(y, rows)

        def closure(inputs=inputs, labels=labels) -> torch.Tensor:
            optimizer.zero_grad()
            scores = model(inputs)
            total = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="sum") / batch
            total.backward()
            return total

        optimizer.step(closure)


@torch.no_grad()
def _evaluate(model: StackedMLP, data: Data, chunk: int = 5000) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss and share of errors per member, in pieces that fit."""
    loss = error = 0.0
    for x, y in zip(data[0].split(chunk, -2), data[1].split(chunk, -1)):
        scores = model(x)
        labels = y.expand(scores.shape[:2])
        each = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
        loss = loss + each.sum(1)
        error = error + (scores.argmax(-1) != labels).sum(1)
    return loss / data[1].shape[-1], error / data[1].shape[-1]
