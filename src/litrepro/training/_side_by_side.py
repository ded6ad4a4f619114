"""Convolutional networks side by side, each in an order of the examples and at a step size of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro.nets import grouped
from litrepro.training._arguments import seed_list
from litrepro.training._batches import batches
from litrepro.training._settings import own_randomness

MemberLoss = str | Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def train_side_by_side(
    models: Sequence[nn.Module],
    train: tuple[torch.Tensor, torch.Tensor],
    *,
    seeds: Sequence[int],
    lr: Sequence[float],
    epochs: int,
    batch_size: int = 32,
    momentum: float = 0.0,
    loss: MemberLoss = "cross_entropy",
    record_every: int = 1,
) -> torch.Tensor:
    """Train M networks by SGD as one network with grouped convolutions (``nets.grouped``); the models are not changed.

    Every member draws its own batches and has its own step size, as if it were trained alone: a sweep over step sizes
    takes little longer than one run. One that diverges becomes inf or nan without disturbing the others.

    Parameters
    ----------
    models
        M networks of one structure; parameters with ``requires_grad=False`` stay as they are. Dropout masks are drawn
        for all members together, from a stream of the first seed; the global generators are left as they were.
    train
        (x (n, C, H, W), y (n, ...)) on the device of the run.
    seeds, lr
        M each: of the order of the examples, and step sizes >= 0.
    epochs, batch_size
        Passes through the data; examples of a batch.
    momentum
        Heavy ball, >= 0.
    loss
        ``"cross_entropy"`` for classifiers with a linear head, whose scores are (B, M, K); or
        ``f(outputs, targets (B, M, ...)) -> (B, M)``, where outputs are what the merged networks return.
    record_every
        Record before the first epoch and after every so many.

    Returns
    -------
    (R, M): mean losses on all of the data, in eval mode.

    Raises
    ------
    ValueError
        Numbers of models, seeds and step sizes that differ, nothing to train, data that are no images with targets,
        sizes < 1, negative settings, a loss of another shape, and what ``nets.grouped`` raises.

    Examples
    --------
    >>> from litrepro.nets import mlp
    >>> x, y = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    >>> models = [mlp(64, [3], 2, seed=0) for _ in range(2)]
    >>> losses = train_side_by_side(models, (x, y), seeds=[0, 0], lr=[0.0, 0.1], epochs=3)
    >>> losses.shape, bool(losses[3, 0] == losses[0, 0])  # the first has a step size of zero
    (torch.Size([4, 2]), True)
    """
    x, y = _validate.examples("train", train)
    _validate.float_tensor("x of train", x, 4)
    models, seeds = _validate.sequence("models", models), seed_list(seeds)
    rates = [_validate.real("lr", value, 0) for value in _validate.sequence("lr", lr)]
    if not len(models) == len(seeds) == len(rates):
        got = f"{len(models)}, {len(seeds)} and {len(rates)}"
        raise ValueError(f"models, seeds and lr must be as many of each, got {got}")
    epochs, batch_size = _validate.positive_int("epochs", epochs, 0), _validate.positive_int("batch_size", batch_size)
    momentum, record_every = (
        _validate.real("momentum", momentum, 0),
        _validate.positive_int("record_every", record_every),
    )
    loss = cross_entropies if loss == "cross_entropy" else _validate.function("loss", loss)
    members, n = len(models), len(x)
    side = grouped(models).to(x.device, memory_format=torch.channels_last)
    weights = [weight for weight in side.parameters() if weight.requires_grad]
    if not weights:
        raise ValueError("models must have at least one trainable parameter, got none")
    steps = _steps(weights, rates, members, x)
    speeds = [torch.zeros_like(weight) for weight in weights]

    def means(chosen: torch.Tensor) -> torch.Tensor:
        """Mean loss (M,) of examples (B, M); a member's image is its group of channels."""
        found = loss(side.body(x[chosen].flatten(1, 2)), y[chosen])
        if getattr(found, "shape", None) != chosen.shape:
            raise ValueError(f"loss must return {tuple(chosen.shape)} values, got {getattr(found, 'shape', found)}")
        return found.mean(0)

    def learn(chosen: torch.Tensor) -> None:
        """One step. The sum's gradient is every member's own, and zero for weights that are not used."""
        gradient = torch.autograd.grad(means(chosen).sum(), weights, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            torch._foreach_mul_(speeds, momentum)
            torch._foreach_add_(speeds, gradient)
            torch._foreach_addcmul_(weights, speeds, steps, -1.0)

    found = []
    with own_randomness(x.device, seeds[0]):
        for epoch in range(epochs + 1):
            if epoch % record_every == 0:
                side.eval()
                with torch.no_grad():
                    found.append(means(torch.arange(n, device=x.device)[:, None].expand(-1, members)))
                side.train()
            for parts in zip(*(batches(n, batch_size, seed, epoch) for seed in seeds if epoch < epochs)):
                learn(torch.stack(parts, 1).to(x.device))
    return torch.stack(found)


def cross_entropies(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Loss (B, M) of scores (B, M, K)."""
    return functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)


def _steps(
    weights: Sequence[torch.Tensor], rates: Sequence[float], members: int, like: torch.Tensor
) -> list[torch.Tensor]:
    """Step sizes in the shapes of the weights, whose first dimension holds the members one behind the other."""
    each = torch.tensor(rates, dtype=like.dtype, device=like.device)
    return [each.repeat_interleave(len(p) // members).view(-1, *[1] * (p.ndim - 1)) for p in weights]
