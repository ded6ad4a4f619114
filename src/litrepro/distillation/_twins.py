"""Students that differ in nothing but their targets, as one wide network per seed."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from litrepro._warnings import ConvergenceWarning
from litrepro.nets import mlp
from litrepro.training import Ensemble, fit_ensemble

MANY = 8  # kinds of targets, from which on the wide network is clearly faster
_KNOWN = {
    "epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "schedule", "evaluate_on", "eval_every",
    "augment", "progress", "seed",
}  # fmt: skip


def train_twins(
    model_fn: Callable[..., nn.Module],
    seeds: Sequence[int],
    x: torch.Tensor,
    hard: torch.Tensor,
    linear: torch.Tensor,
    params: dict[str, torch.Tensor],
    own_sets: bool,
    names: Sequence[str],
    options: dict[str, Any],
) -> Ensemble | None:
    """What ``train_students`` trains, or None where that is not for twins, or a student's loss was not finite.

    Students of one seed start alike and see the same examples, so that the first layers of all are one matrix product.
    ``x`` is (n, ...), with ``own_sets`` (S, n, ...); ``hard`` (V S, n), ``linear`` (V S, n, K), ``params`` (V S,) and
    ``names`` are those of the members, variants in order and seeds within them.
    """
    count = len(seeds)
    variants = len(names) // count
    model = model_fn(seed=seeds[0])
    if variants < MANY or x.device.type != "cpu" or not set(options) <= _KNOWN or not _is_perceptron(model):
        return None
    plain, tempered, inverse = (params[name].unflatten(0, (variants, count))[:, 0] for name in params)

    def loss(outputs, y):
        normalizers = plain * outputs.logsumexp(-1) + tempered * (inverse[:, None] * outputs).logsumexp(-1)
        return (normalizers - (y[1] * outputs).sum(-1)).sum(-1)

    def accuracy(v):
        def right(outputs, y):
            return (outputs[:, v].argmax(-1) == (y[0][:, v] if isinstance(y, tuple) else y)).to(outputs.dtype)

        right.__name__ = str(v)
        return right

    targets = tuple(part.unflatten(0, (variants, count)).movedim(0, 2).contiguous() for part in (hard, linear))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            found = fit_ensemble(
                lambda seed: _Twins(model_fn(seed=seed), variants), seeds, (x, targets), loss=loss,
                metrics=[accuracy(v) for v in range(variants)], per_member=("x", "y") if own_sets else ("y",),
                **options,
            )  # fmt: skip
        except ConvergenceWarning:
            return None
    if not all(bool(value.isfinite().all()) for value in found.params.values()):
        return None
    history = found.history
    variant = history["metric"].astype(int)
    history = history.assign(member=variant * count + history["member"], metric="accuracy")
    history["variant"] = [names[m] for m in history["member"]]
    history["seed"] = [seeds[m % count] for m in history["member"]]
    history = history.sort_values(["member", "epoch"], kind="stable", ignore_index=True)
    stacks = (value.transpose(0, 1).flatten(0, 1) for value in found.params.values())
    own = {name: stack for (name, _), stack in zip(model.named_parameters(), stacks)}
    return Ensemble(copy.deepcopy(model).eval(), own, {}, history)


def _is_perceptron(model: nn.Module) -> bool:
    """Whether this is a network of ``nets.mlp`` with hidden layers of ReLU."""
    if type(model) is not type(mlp(1, (1,), 1)) or len(model.body) == 0:
        return False
    return all(isinstance(layer, nn.ReLU) for layer in model.body[1::2])


class _Twins(nn.Module):
    """V copies of a perceptron: (B, ...) -> (B, V, K)."""

    def __init__(self, model: nn.Module, count: int):
        super().__init__()
        copies = (value.detach().expand(count, *value.shape).clone() for value in model.parameters())
        self.stacks = nn.ParameterList(copies)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stacks = list(self.stacks)  # a slice of the parameter list itself would cut the graph
        (weight, bias), *rest = zip(stacks[::2], stacks[1::2])
        # Examples last: the weights' gradients then come as the weights lie, and are not copied at every step.
        values = torch.addmm(bias.flatten()[:, None], weight.flatten(0, 1), x.flatten(1).mT)  # (V width, B)
        values = values.unflatten(0, bias.shape)
        for weight, bias in rest:
            values = torch.baddbmm(bias[..., None], weight, values.relu())
        return values.permute(2, 0, 1)
