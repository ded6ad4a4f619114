"""Gradient descent for stacked two-layer networks on the squared loss or cross-entropy, its gradients written out.

``training.fit_ensemble`` computes the same. But networks as small as these spend nearly all of their time there on the
way to the kernels (``vmap``, autograd, the optimizer), and the curves of this room take tens of thousands of steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch.nn import functional

from litrepro.training import batches

NAMES = ("body.0.weight", "body.0.bias", "head.weight", "head.bias")  # of the weights of an ``mlp``
ROWS = 16_384  # of all members together, at a time, when errors are measured
KEPT_UP_TO = 1024  # examples whose orders are kept, at most 128 MiB in all
Weights = list[torch.Tensor]


def train_members(
    weights: Weights,
    x: torch.Tensor,
    hot: torch.Tensor,
    seeds: Sequence[int],
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    schedule: Callable[[float], float] | None,
    loss: str = "squares",
) -> Iterator[list[int]]:
    """Train ``weights``, (M, H, d), (M, H), (M, K, H) and (M, K), in place on x (n, d) and targets hot (n, K).

    Both may have a dimension M in front: every member has examples of its own then. The loss of an example is that of
    ``"squares"``, summed over the outputs, or ``"cross_entropy"``.

    Yields after every epoch the members whose batch loss was not finite for the first time. They keep the weights that
    they have then; after the epoch in which the last member stops there is no other.
    """
    n, count = x.shape[-2], len(seeds)
    # One long list of examples, so that an epoch is a single gather; members with their own begin n apart.
    starts = torch.arange(count, device=x.device)[:, None] * n if x.ndim == 3 else 0
    # A constant input carries the biases: every call of a kernel counts here. So the last hidden unit is one as well.
    x, hot = functional.pad(x.reshape(-1, x.shape[-1]), (0, 1), value=1.0), hot.reshape(-1, hot.shape[-1])
    layers = [torch.cat([weights[i], weights[i + 1][..., None]], -1) for i in (0, 2)]
    speeds = [torch.zeros_like(layer) for layer in layers]
    hidden = x.new_ones(count, min(batch_size, n), weights[0].shape[1] + 1)
    misses = x.new_empty(count, n, hot.shape[-1])
    steps = -(-n // batch_size)
    stopped = torch.zeros(count, dtype=torch.bool, device=x.device)
    for epoch in range(epochs):
        held = [layer[stopped] for layer in layers] if bool(stopped.any()) else []  # copies
        order = torch.stack([_order(n, seed, epoch) for seed in seeds]).to(x.device)
        rows = (order + starts).reshape(-1)
        mixed, wanted = (data.index_select(0, rows).view(count, n, -1) for data in (x, hot))
        for index, first in enumerate(range(0, n, batch_size)):
            factor = 1.0 if schedule is None else float(schedule((epoch * steps + index) / (epochs * steps)))
            parts = (each[:, first : first + batch_size] for each in (mixed, wanted, misses))
            _accelerate(speeds, layers, *parts, hidden[:, : n - first], momentum, loss)
            for layer, speed in zip(layers, speeds):
                layer.add_(speed, alpha=-lr * factor)
        for layer, kept in zip(layers, held):
            layer[stopped] = kept
        for i, layer in zip((0, 2), layers):
            weights[i].copy_(layer[..., :-1])
            weights[i + 1].copy_(layer[..., -1])
        new = ~misses.square().sum((1, 2)).isfinite() & ~stopped
        stopped |= new
        yield new.nonzero()[:, 0].tolist()
        if bool(stopped.all()):
            return


def _order(n: int, seed: int, epoch: int) -> torch.Tensor:
    """The order of the examples in an epoch; that of few examples is kept for the other widths of a curve."""
    return _kept_order(n, seed, epoch) if n <= KEPT_UP_TO else batches(n, n, seed, epoch)[0]


@functools.lru_cache(maxsize=16_384)
def _kept_order(n: int, seed: int, epoch: int) -> torch.Tensor:
    return batches(n, n, seed, epoch)[0]


def _accelerate(
    speeds: Weights,
    layers: Weights,
    x: torch.Tensor,
    hot: torch.Tensor,
    misses: torch.Tensor,
    hidden: torch.Tensor,
    momentum: float,
    loss: str,
) -> None:
    """Add the gradients of every member's mean loss to ``momentum`` times the speeds.

    Writes outputs or probabilities minus targets to misses (M, b, K), and to all but the last of the hidden units.
    """
    inner, outer = layers
    units = torch.clamp_min(torch.bmm(x, inner.mT), 0, out=hidden[..., :-1])
    scores = torch.bmm(hidden, outer.mT)
    torch.sub(scores if loss == "squares" else scores.softmax(-1), hot, out=misses)
    # ReLU's own backward pass: 0, and not infinity times 0, in members that diverge, and one fast kernel.
    below = torch.ops.aten.threshold_backward(torch.bmm(misses, outer[..., :-1]), units, 0)
    scale = (2 if loss == "squares" else 1) / x.shape[1]
    speeds[0].baddbmm_(below.mT, x, beta=momentum, alpha=scale)
    speeds[1].baddbmm_(misses.mT, hidden, beta=momentum, alpha=scale)


def errors(weights: Weights, x: torch.Tensor, hot: torch.Tensor) -> torch.Tensor:
    """Mean squared error, summed over classes, and share of wrong answers: (M, 2) float64; nan where outputs are."""
    inner, inner_bias, outer, outer_bias = weights
    labels, totals = hot.argmax(-1), 0
    size = max(32, ROWS // len(inner))
    for part, wanted, label in zip(x.split(size), hot.split(size), labels.split(size)):
        hidden = torch.baddbmm(inner_bias[:, None], part.expand(len(inner), -1, -1), inner.mT).relu_()
        scores = torch.baddbmm(outer_bias[:, None], hidden, outer.mT)
        missed = (scores.argmax(-1) != label).double()
        missed = missed.masked_fill(scores.isnan().any(-1), torch.nan)
        totals = totals + torch.stack([(scores - wanted).square().sum(-1).double().sum(1), missed.sum(1)], -1)
    return totals / len(x)
