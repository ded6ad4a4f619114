"""Students that differ in nothing but their targets: perceptrons side by side, with gradients in closed form."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from litrepro import _timing
from litrepro.data import random_shift
from litrepro.nets import mlp
from litrepro.training import Ensemble, batches, fit_ensemble

_KNOWN = {
    "epochs", "batch_size", "optimizer", "lr", "schedule", "evaluate_on", "eval_every", "augment", "callback", "seed",
}  # fmt: skip
_UNITS = 2**24  # numbers of a layer of all students, at a time
_COPIES = 2**25  # numbers of all shifted copies of the images, at most
Layers = list[tuple[torch.Tensor, torch.Tensor]]


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
    """What ``train_students`` trains, or None where that is not for twins, or a student's weights are not finite.

    Students of one seed start alike and see the same examples, so that the first layers of all are one matrix product.
    Small networks wait for Python most of their time: here a step is some twenty calls, without a graph.

    ``x`` is (n, ...), with ``own_sets`` (S, n, ...); ``hard`` (V S, n), ``linear`` (V S, n, K), ``params`` (V S,) and
    ``names`` are those of the members, variants in order and seeds within them.
    """
    count = len(seeds)
    model = model_fn(seed=seeds[0])
    if not _is_for_twins(model, x, own_sets, options):
        return None
    # Every argument is looked at there; the weights are those that all students of a seed start from.
    start = fit_ensemble(
        model_fn, seeds, (x, hard[:count]), metrics=["accuracy"], per_member=("x", "y") if own_sets else ("y",),
        **options | {"epochs": 0, "callback": None},
    )  # fmt: skip
    twins = _Twins(list(start.params.values()), len(names) // count, linear, params)
    examples = _Examples(x, own_sets, seeds, options.get("augment"))
    images = x if own_sets else x.expand(count, *x.shape)
    sets = {"train": (images, hard.unflatten(0, (-1, count)).movedim(0, 1))} | (options.get("evaluate_on") or {})
    clock, rows, callback = _timing.Stopwatch(_timing.wall_clock(x.device)), [], options.get("callback")
    steps = -(-hard.shape[1] // options.get("batch_size", 128))

    def ensemble(history: Any) -> Ensemble:
        stacks = (part.detach().transpose(0, 1).flatten(0, 1).clone() for layer in twins.layers for part in layer)
        return Ensemble(copy.deepcopy(model).eval(), dict(zip(start.params, stacks)), {}, history)

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds[0])
        for epoch in range(options["epochs"] + 1):
            if epoch > 0:
                with clock.running():
                    twins.epoch(epoch - 1, seeds, examples, options)
            if not twins.finite():
                return None
            if epoch % options.get("eval_every", 1) == 0 or epoch == options["epochs"]:
                found = {name: twins.accuracy(*data) for name, data in sets.items()}
                rows += [
                    (member, epoch, epoch * steps, name, "accuracy", value, clock.seconds)
                    for name, values in found.items()
                    for member, value in enumerate(values.T.flatten().tolist())
                ]
            if callback is not None:
                callback(epoch, ensemble(None))
        return ensemble(_history(rows, names, seeds))


def _is_for_twins(model: nn.Module, x: torch.Tensor, own_sets: bool, options: dict[str, Any]) -> bool:
    """Whether this is Adam on a perceptron, on a CPU, and options that are known here."""
    lr, sets = options.get("lr", 0.1), options.get("evaluate_on") or {}
    return (
        x.device.type == "cpu"
        and set(options) <= _KNOWN
        and options.get("optimizer") == "adam"
        and isinstance(lr, int | float)
        and callable(options.get("callback", print))
        and isinstance(sets, dict)
        and all(isinstance(data, tuple) and getattr(data[0], "ndim", 0) == x.ndim - own_sets for data in sets.values())
        and _is_perceptron(model)
    )


def _is_perceptron(model: nn.Module) -> bool:
    """Whether this is a network of ``nets.mlp`` with hidden layers of ReLU, all of it to be trained."""
    if type(model) is not type(mlp(1, (1,), 1)) or len(model.body) == 0:
        return False
    trained = all(value.requires_grad for value in model.parameters())
    return trained and all(isinstance(layer, nn.ReLU) for layer in model.body[1::2])


def _history(rows: list[tuple], names: Sequence[str], seeds: Sequence[int]) -> Any:
    """The rows in the order and with the columns of ``fit_ensemble``."""
    import pandas as pd

    history = pd.DataFrame(rows, columns=["member", "epoch", "step", "split", "metric", "value", "seconds"])
    history = history.sort_values(["member", "epoch"], kind="stable", ignore_index=True)
    history["variant"] = [names[m] for m in history["member"]]
    history["seed"] = [seeds[m % len(seeds)] for m in history["member"]]
    return history


class _Examples:
    """The examples of S seeds, with augmentation; every seed has a generator of its own for it.

    Small images shifted by a pixel are looked up among all nine copies: ``random_shift`` itself, called for every batch
    of every seed, takes longer than a step of small networks.
    """

    def __init__(self, x: torch.Tensor, own_sets: bool, seeds: Sequence[int], augment: Callable | None):
        self.n, self.shape = x.shape[own_sets], x.shape[1 + own_sets :]
        self.table = x.flatten(0, 1) if own_sets else x
        self.places = own_sets * self.n * torch.arange(len(seeds), device="cpu")[:, None]
        self.noises, self.augment = [torch.Generator().manual_seed(seed) for seed in seeds], augment
        self.looks_up = augment is random_shift and x.ndim == 4 + own_sets and 9 * x.numel() <= _COPIES
        if self.looks_up:
            padded = nn.functional.pad(self.table, (1,) * 4)
            copies = padded.unfold(2, self.shape[1], 1).unfold(3, self.shape[2], 1)
            self.table = copies.movedim(1, 3).flatten(0, 2)
        self.table = self.table.flatten(1)

    def take(self, chosen: torch.Tensor) -> torch.Tensor:
        """Inputs (S, B, d) of the examples ``chosen (S, B)``."""
        rows = chosen + self.places
        if self.looks_up:
            size = (2, rows.shape[1])
            shifts = [torch.randint(3, size, generator=noise, device="cpu") for noise in self.noises]
            down, right = torch.stack(shifts, 1)
            rows = 9 * rows + 3 * down + right
        inputs = self.table.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        if self.augment is None or self.looks_up:
            return inputs
        images = inputs.unflatten(-1, self.shape) if self.shape else inputs[..., 0]
        return torch.stack([self.augment(part, noise) for part, noise in zip(images, self.noises)]).flatten(2)


class _Twins:
    """V copies of S perceptrons: ``layers`` are pairs of weights (S, V, out, in) and biases (S, V, out).

    Examples come last within, so that the weights' gradients lie as the weights do.
    """

    def __init__(self, starts: list[torch.Tensor], variants: int, linear: torch.Tensor, params: dict):
        count = len(starts[0])
        own = [nn.Parameter(part[:, None].repeat(1, variants, *[1] * (part.ndim - 1))) for part in starts]
        for part in own:
            part.grad = torch.zeros_like(part)
        self.layers: Layers = list(zip(own[::2], own[1::2]))
        self.linear = linear.unflatten(0, (variants, count)).permute(1, 2, 0, 3).flatten(2).flatten(0, 1)  # (S n, V K)
        columns = (params[name].unflatten(0, (variants, count))[:, 0, None, None] for name in params)
        self.plain, self.tempered, self.inverse = columns  # (V, 1, 1)
        self.tempers = bool(self.tempered.any())

    @torch.no_grad()
    def epoch(self, epoch: int, seeds: Sequence[int], examples: _Examples, options: dict[str, Any]) -> None:
        """One pass of Adam, each seed in its order."""
        if epoch == 0:
            own = [part for layer in self.layers for part in layer]
            self.optimizer = torch.optim.Adam(own, lr=options.get("lr", 0.1), fused=True)
        size, schedule = options.get("batch_size", 128), options.get("schedule")
        order = torch.stack([torch.cat(batches(examples.n, size, seed, epoch)) for seed in seeds])
        parts = order.split(size, 1)
        places = examples.n * torch.arange(len(seeds), device="cpu")[:, None]
        for index, chosen in enumerate(parts):
            if schedule is not None:
                t = (epoch * len(parts) + index) / (options["epochs"] * len(parts))
                self.optimizer.param_groups[0]["lr"] = options.get("lr", 0.1) * float(schedule(t))
            linear = self.linear.index_select(0, (chosen + places).flatten()).unflatten(0, chosen.shape)
            self._gradients(examples.take(chosen), linear)
            self.optimizer.step()

    def finite(self) -> bool:
        """Whether all weights are."""
        return all(bool(part.isfinite().all()) for layer in self.layers for part in layer)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Values of the layers (S V, out, B) for inputs (S, B, d), after the ReLU but for the last."""
        weight, bias = self.layers[0]
        values = torch.baddbmm(bias.flatten(1)[..., None], weight.flatten(1, 2), x.mT)
        found = [values.view(-1, weight.shape[2], x.shape[1])]
        for weight, bias in self.layers[1:]:
            values = found[-1].relu_()
            found.append(torch.baddbmm(bias.flatten(0, 1)[..., None], weight.flatten(0, 1), values))
        return found

    def _gradients(self, x: torch.Tensor, linear: torch.Tensor) -> None:
        """Gradients of the mean losses on a batch: inputs (S, B, d), weights of the logits (S, B, V K)."""
        values = self.forward(x)
        (count, variants, classes), size = self.layers[-1][1].shape, x.shape[1]
        logits = values[-1].view(count, variants, classes, size)
        delta = self.plain * logits.softmax(-2)
        if self.tempers:
            delta.addcmul_(self.tempered * self.inverse, (logits * self.inverse).softmax(-2))
        delta.sub_(linear.mT.view(delta.shape)).div_(size)
        delta = delta.flatten(0, 1)
        for place in range(len(self.layers) - 1, 0, -1):
            (weight, bias), below = self.layers[place], values[place - 1]
            torch.bmm(delta, below.mT, out=weight.grad.flatten(0, 1))
            torch.sum(delta, -1, out=bias.grad.flatten(0, 1))
            delta = torch.bmm(weight.flatten(0, 1).mT, delta).masked_fill_(below == 0, 0.0)
        weight, bias = self.layers[0]
        delta = delta.view(count, -1, size)
        torch.bmm(delta, x, out=weight.grad.flatten(1, 2))
        torch.sum(delta, -1, out=bias.grad.flatten(1))

    @torch.no_grad()
    def accuracy(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Shares of right answers (S, V): inputs (S, n, ...) and labels (S, V, n), or (n, ...) and (n,) for all."""
        count, variants, classes = self.layers[-1][1].shape
        x = x.flatten(2) if y.ndim > 1 else x.flatten(1).expand(count, -1, -1)
        right = torch.zeros(count, variants, dtype=torch.int64, device="cpu")
        rows = max(32, _UNITS // max(bias.numel() for _, bias in self.layers))
        for part, labels in zip(x.split(rows, 1), y.split(rows, -1)):
            logits = self.forward(part)[-1].view(count, variants, classes, -1)
            right += (logits.argmax(-2) == labels).sum(-1)
        return right.double() / x.shape[1]
