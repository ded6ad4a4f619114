"""Do factored dense layers train faster? Plain, factored, and plain from the product of the factors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional

from litrepro import _validate
from litrepro.linearnets import _arguments
from litrepro.nets import mnist_convnet

if TYPE_CHECKING:
    import pandas as pd

VARIANTS = ("original", "factored", "control")
CLASSES = 10


def convnet_variant(variant: str, *, channels: Sequence[int], hidden: int, seed: int, size: int = 28) -> nn.Module:
    """The MNIST network ``"original"``, ``"factored"``, or ``"control"``: plain, started from the factors' product.

    The control computes the same function as the factored network at the start; it tells depth from scale. Raises
    ``ValueError`` for an unknown variant and sizes that ``mnist_convnet`` refuses.

    Examples
    --------
    >>> import torch
    >>> x = torch.rand(2, 1, 8, 8)
    >>> options = {"channels": (2, 3), "hidden": 4, "seed": 0, "size": 8}
    >>> factored, control = (convnet_variant(name, **options).eval() for name in ("factored", "control"))
    >>> torch.allclose(factored(x), control(x), atol=1e-5)
    True
    """
    _validate.choice("variant", variant, VARIANTS)
    channels = _validate.sequence("channels", channels)
    plain = mnist_convnet(channels, hidden, size=size, seed=seed)
    if variant == "original":
        return plain
    factored = mnist_convnet(channels, hidden, factored=True, size=size, seed=seed)
    if variant == "factored":
        return factored
    with torch.no_grad():
        plain.dense.weight.copy_(factored.dense.weight)
        plain.head.weight.copy_(factored.head.weight)
    return plain


def train_convnets(
    variant: str,
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    *,
    channels: Sequence[int],
    hidden: int,
    lr: float,
    seeds: Sequence[int],
    steps: int,
    every: int,
    batch: int = 64,
    momentum: float = 0.9,
    progress: Callable[[Iterable], Iterable] = iter,
) -> pd.DataFrame:
    """Train one network per seed, all at once, with heavy-ball SGD on the cross-entropy.

    Parameters
    ----------
    variant
        See ``convnet_variant``.
    train, test
        (images (n, 1, s, s) float32, integer labels (n,) in 0 ... 9) on the device of the run.
    lr, momentum
        Step size > 0, and beta, any real number.
    seeds
        Weights, batches and dropout masks of a member derive from its seed alone, whichever members run beside it, and
        are shared between variants. No global generator is used.
    steps, every
        Number of steps; the loss of every mini-batch is averaged over windows of this length.

    Returns
    -------
    DataFrame ``variant, lr, seed, step, train_loss, test_loss, test_accuracy``: mini-batch loss (dropout active)
    averaged over the window that ends at ``step``; test columns are nan except at the last step.

    Raises ``ValueError`` for an unknown variant, sizes < 1, images and labels of other shapes or dtypes, no seeds.

    Examples
    --------
    >>> import torch
    >>> data = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 10
    >>> options = {"channels": (2, 3), "hidden": 4, "lr": 0.01, "seeds": [0, 1], "steps": 4, "every": 2, "batch": 8}
    >>> table = train_convnets("factored", data, data, **options)
    >>> table.groupby("seed")["step"].max().to_dict()
    {0: 4, 1: 4}
    """
    import pandas as pd

    steps, every = _validate.positive_int("steps", steps), _validate.positive_int("every", every)
    batch = _validate.positive_int("batch", batch)
    _validate.real("lr", lr, 0, open_low=True)
    _validate.real("momentum", momentum)
    _validate.function("progress", progress)
    seeds = _arguments.integers("seeds", seeds, 0)
    x, y = _images("train", train, CLASSES)
    test = _images("test", test, CLASSES)
    _validate.same_kind(train=x, test=test[0])
    if test[0].shape[1:] != x.shape[1:]:
        shapes = f"{tuple(x.shape)} and {tuple(test[0].shape)}"
        raise ValueError(f"images of train and test must have one size, got {shapes}")
    models = [convnet_variant(variant, channels=channels, hidden=hidden, seed=s, size=x.shape[-1]) for s in seeds]
    models = [model.to(x.device).train() for model in models]
    params, _ = stack_module_state(models)
    params = {name: value.detach() for name, value in params.items()}
    velocity = {name: torch.zeros_like(value) for name, value in params.items()}

    keep = 1 - models[0].dropout.p
    models[0].dropout = _Masked()

    def objective(p, mask, images, labels):
        return functional.cross_entropy(functional_call(models[0], p | {"dropout.mask": mask}, (images,)), labels)

    gradients = vmap(grad_and_value(objective))
    # Masks from outside: under one vmap all members would draw from one stream.
    streams = [torch.Generator(x.device).manual_seed(2_000_003 + seed) for seed in seeds]
    losses = []
    for chosen in progress(_batches(len(x), seeds, batch, steps, x.device)):
        masks = x.new_empty(*chosen.shape, hidden)
        for mask, stream in zip(masks, streams):
            mask.bernoulli_(keep, generator=stream)
        g, loss = gradients(params, masks.div_(keep), x[chosen], y[chosen])
        for name in params:
            velocity[name] = momentum * velocity[name] - lr * g[name]
            params[name] = params[name] + velocity[name]
        losses.append(loss.detach())
    windows = torch.stack(losses).split(every)
    ends = [min((i + 1) * every, steps) for i in range(len(windows))]
    frame = pd.DataFrame(
        [
            {"variant": variant, "lr": lr, "seed": int(seed), "step": end, "train_loss": value}
            for end, window in zip(ends, windows)
            for seed, value in zip(seeds, window.mean(0).tolist())
        ]
    )
    held_out = _evaluate(models[0], params, test)
    at_end = frame.step == steps
    for name, values in held_out.items():
        frame[name] = float("nan")
        frame.loc[at_end, name] = values
    return frame


class _Masked(nn.Module):
    """Dropout whose mask, 0 or 1/(1 - p), is given as a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask if self.training else x


def _images(name: str, data: Any, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, 1, s, s) in the networks' float32, and labels (n,) as cross-entropy takes them."""
    x, y = _validate.examples(name, data)
    if x.dtype != torch.float32 or x.ndim != 4 or x.shape[1] != 1 or x.shape[2] != x.shape[3]:
        raise ValueError(f"images of {name} must be float32 (n, 1, s, s), got {x.dtype} {tuple(x.shape)}")
    _validate.integer_tensor(f"labels of {name}", y)
    if y.ndim != 1 or y.device != x.device or not bool(((y >= 0) & (y < classes)).all()):
        got = f"{int(y.min())} ... {int(y.max())} of shape {tuple(y.shape)} on {y.device}"
        raise ValueError(f"labels of {name} must be (n,) in 0 ... {classes - 1} beside their images, got {got}")
    return x, y.long()


def _batches(n: int, seeds: Sequence[int], batch: int, steps: int, device: torch.device) -> Iterable[torch.Tensor]:
    """Indices (S, batch) of each step; every member draws its permutations from its own seed."""
    sources = [torch.Generator().manual_seed(1_000_003 + int(seed)) for seed in seeds]
    per_epoch = max(1, n // batch)
    for step in range(steps):
        place = step % per_epoch
        if place == 0:
            order = torch.stack([torch.randperm(n, generator=source, device="cpu") for source in sources]).to(device)
        yield order[:, place * batch : (place + 1) * batch]


@torch.no_grad()
def _evaluate(model: nn.Module, params: dict[str, torch.Tensor], test: tuple) -> dict[str, list[float]]:
    """Loss and accuracy per member, without dropout."""
    x, y = test
    model.eval()
    score = vmap(lambda p, images: functional_call(model, p, (images,)), in_dims=(0, None))
    scores = torch.cat([score(params, part) for part in x.split(500)], 1)
    loss = torch.stack([functional.cross_entropy(member, y) for member in scores])
    return {"test_loss": loss.tolist(), "test_accuracy": (scores.argmax(-1) == y).double().mean(1).tolist()}
