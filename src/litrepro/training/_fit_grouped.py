"""Train several convolutional networks side by side as one network with grouped convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro.nets import grouped
from litrepro.training._fit import fit

if TYPE_CHECKING:
    import pandas as pd

Data = tuple[torch.Tensor, torch.Tensor]


def fit_grouped(
    models: Sequence[nn.Module], train: Data, *, evaluate_on: Mapping[str, Data] | None = None, **settings: Any
) -> pd.DataFrame:
    """Train M classifiers on the same images in the same order, each with labels of its own, by cross-entropy.

    They become one network (``nets.grouped``), and the loss is the sum over members: with an optimizer that works
    element by element every member trains as it would alone.

    Parameters
    ----------
    models
        M networks of one structure; they are not changed. Parameters with ``requires_grad=False`` are not trained.
    train
        (x (n, C, H, W), labels (n, M) int64), on the device of the run.
    evaluate_on
        Further data sets by name, of the same form.
    settings
        Of ``fit``: epochs, batch_size, optimizer, lr, momentum, weight_decay, schedule, eval_every, seed, augment,
        callback, progress, checkpoint, cuda_graph.

    Returns
    -------
    DataFrame ``epoch, member, train_error`` and a column ``{name}_error`` for every further data set: shares of wrong
    answers.

    Raises
    ------
    ValueError
        Labels that are not (n, M) integers within the outputs, and what ``nets.grouped`` and ``fit`` raise.

    Warns
    -----
    ConvergenceWarning
        As ``fit``: where one member diverges the run ends for all.

    Examples
    --------
    >>> from litrepro.nets import cnn5
    >>> x, labels = torch.rand(4, 1, 8, 8), torch.tensor([[0, 1], [1, 0], [0, 0], [1, 1]])
    >>> models = [cnn5(1, in_channels=1, size=8, seed=s) for s in range(2)]
    >>> table = fit_grouped(models, (x, labels), epochs=1, optimizer="adam", lr=0.01)
    >>> table.columns.tolist(), table.member.tolist()
    (['epoch', 'member', 'train_error'], [0, 1, 0, 1])
    """
    sets = {"train": train, **({} if evaluate_on is None else dict(evaluate_on))}
    models = _validate.sequence("models", models)
    for name, data in sets.items():
        _check(name, data, len(models))
    given = {"loss", "metrics", "weights", "objective"} & settings.keys()
    if given:
        raise ValueError(f"settings must leave {', '.join(sorted(given))} to this function")
    # With groups or without, convolutions are faster where the channels are innermost.
    network = grouped(models).to(train[0].device, memory_format=torch.channels_last)
    others = {name: data for name, data in sets.items() if name != "train"}
    metrics = [error_of(member) for member in range(len(models))]
    history = fit(network, train, loss=summed, metrics=metrics, evaluate_on=others, **settings)
    history["member"] = history.metric.astype(int)
    table = history.pivot(index=["epoch", "member"], columns="split", values="value")
    return table[list(sets)].add_suffix("_error").rename_axis(columns=None).reset_index()


def summed(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy (B,) of scores (B, M, K), summed over members: the gradient of each is its own."""
    each = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none")
    return each.view(labels.shape).sum(1)


def error_of(member: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The member's classification error as a metric of that name."""

    def metric(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (scores[:, member].argmax(-1) != labels[:, member]).float()

    metric.__name__ = str(member)
    return metric


def _check(name: str, data: Any, members: int) -> None:
    """Images and labels of every member."""
    x, labels = _validate.examples(name, data)
    _validate.float_tensor(f"x of {name}", x, 4)
    _validate.integer_tensor(f"labels of {name}", labels, 2)
    if tuple(labels.shape) != (len(x), members):
        raise ValueError(f"labels of {name} must be ({len(x)}, {members}), got {tuple(labels.shape)}")
