"""Gradient descent for stacked two-layer networks on the squared loss or cross-entropy, its gradients written out.

``training.fit_ensemble`` computes the same. But networks as small as these spend nearly all of their time there on the
way to the kernels (``vmap``, autograd, the optimizer), and the curves of this room take tens of thousands of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from litrepro.training import batches

NAMES = ("body.0.weight", "body.0.bias", "head.weight", "head.bias")  # of the weights of an ``mlp``
ROWS = 16_384  # of all members together, at a time, when errors are measured
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
    # One long list of examples, so that a batch is a single gather; members with their own begin n apart.
    starts = torch.arange(count, device=x.device)[:, None] * n if x.ndim == 3 else 0
    x, hot = x.reshape(-1, x.shape[-1]), hot.reshape(-1, hot.shape[-1])
    steps = -(-n // batch_size)
    speeds = [torch.zeros_like(value) for value in weights]
    stopped = torch.zeros(count, dtype=torch.bool, device=x.device)
    for epoch in range(epochs):
        held = [value[stopped] for value in weights] if bool(stopped.any()) else []  # copies
        order = torch.stack([batches(n, n, seed, epoch)[0] for seed in seeds]).to(x.device)
        losses = torch.zeros(count, dtype=x.dtype, device=x.device)
        for index, chosen in enumerate(order.split(batch_size, dim=1)):
            factor = 1.0 if schedule is None else float(schedule((epoch * steps + index) / (epochs * steps)))
            rows = (chosen + starts).reshape(-1)
            part, wanted = (data.index_select(0, rows).view(*chosen.shape, -1) for data in (x, hot))
            misses, gradients = _gradients(weights, part, wanted, loss)
            losses += misses.square().sum((1, 2))
            torch._foreach_mul_(speeds, momentum)
            torch._foreach_add_(speeds, gradients)
            torch._foreach_add_(weights, speeds, alpha=-lr * factor)
        for value, kept in zip(weights, held):
            value[stopped] = kept
        new = ~losses.isfinite() & ~stopped
        stopped |= new
        yield new.nonzero()[:, 0].tolist()
        if bool(stopped.all()):
            return


def _gradients(weights: Weights, x: torch.Tensor, hot: torch.Tensor, loss: str) -> tuple[torch.Tensor, Weights]:
    """Outputs or probabilities minus targets, (M, b, K), and the gradients of every member's mean loss."""
    inner, inner_bias, outer, outer_bias = weights
    hidden = torch.baddbmm(inner_bias[:, None], x, inner.mT).relu_()
    scores = torch.baddbmm(outer_bias[:, None], hidden, outer.mT)
    if loss == "squares":
        misses = scores.sub_(hot)
        above = misses * (2 / x.shape[1])
    else:
        misses = scores.softmax(-1).sub_(hot)
        above = misses / x.shape[1]
    # ReLU's own backward pass: 0, and not infinity times 0, in members that diverge, and one fast kernel.
    below = torch.ops.aten.threshold_backward(torch.bmm(above, outer), hidden, 0)
    return misses, [torch.bmm(below.mT, x), below.sum(1), torch.bmm(above.mT, hidden), above.sum(1)]


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
