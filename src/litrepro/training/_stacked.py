"""Train stacked perceptrons over a grid of step sizes and seeds: one run per optimizer, all trials at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from litrepro import _timing, _validate
from litrepro.nets import StackedMLP
from litrepro.optim import Rule, Uniform
from litrepro.training._arguments import check_indices, labelled, layer_widths, seed_list

if TYPE_CHECKING:
    import pandas as pd


class Splits(NamedTuple):
    """Who sees which samples when: indices into a data set, for S seeds.

    ``train (S, n_train)``, ``test (S, n_test)``, ``batches (S, steps, batch)``.

    Examples
    --------
    >>> splits = draw_splits(10, [0, 1], train=8, batch=4, steps=3)
    >>> splits.train.shape, splits.test.shape, splits.batches.shape
    (torch.Size([2, 8]), torch.Size([2, 2]), torch.Size([2, 3, 4]))
    """

    train: torch.Tensor
    test: torch.Tensor
    batches: torch.Tensor


def draw_splits(n: int, seeds: Sequence[int], *, train: int, batch: int, steps: int) -> Splits:
    """Shuffle n samples, take the first ``train`` for training, and draw mini-batches epoch by epoch, per seed.

    Raises ``ValueError`` unless 1 <= batch <= train <= n, steps >= 1 and there is a seed.

    Examples
    --------
    >>> splits = draw_splits(10, [0], train=8, batch=4, steps=3)
    >>> epoch = splits.batches[0, :2].flatten()  # two batches are one pass over the training samples
    >>> sorted(epoch.tolist()) == sorted(splits.train[0].tolist())
    True
    """
    n, train = _validate.positive_int("n", n), _validate.positive_int("train", train)
    batch, steps = _validate.positive_int("batch", batch), _validate.positive_int("steps", steps)
    seeds = seed_list(seeds)
    if not batch <= train <= n:
        raise ValueError(f"need batch <= train <= n, got batch {batch}, train {train}, n {n}")
    per_epoch = train // batch
    parts: tuple[list, list, list] = ([], [], [])
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(n, generator=generator, device="cpu")
        epochs = [torch.randperm(train, generator=generator, device="cpu") for _ in range(-(-steps // per_epoch))]
        rows = torch.stack(epochs)[:, : per_epoch * batch].reshape(-1, batch)[:steps]
        for part, indices in zip(parts, (order[:train], order[train:], order[rows])):
            part.append(indices)
    return Splits(*(torch.stack(part) for part in parts))


def train_stacked(
    x: torch.Tensor,
    y: torch.Tensor,
    splits: Splits,
    rule: Rule,
    step_sizes: Sequence[float],
    widths: Sequence[int],
    *,
    record_every: int = 20,
    init_seed: int = 0,
    progress: Any = iter,
) -> pd.DataFrame:
    """Train classifiers for every pair of seed and step size as one stacked network (cross-entropy, ReLU).

    The initial weights and the order of samples depend on the seed alone, so that optimizers and step sizes compare on
    equal terms.

    Parameters
    ----------
    x, y
        (n, d) features and (n,) int64 labels; device of the run.
    splits
        Samples per seed, see ``draw_splits``.
    rule
        Optimizer, a ``litrepro.optim.Rule``.
    step_sizes
        L positive numbers.
    widths
        d, hidden widths, number of classes.
    record_every
        Record at step 0, every so many steps, and after the last.
    init_seed
        Seed of the initial weights (of all members; each draws its own).
    progress
        Wraps the iteration over steps, e.g. a progress bar.

    Returns
    -------
    DataFrame ``lr, seed, step, batch_loss, train_loss, test_accuracy``: ``seed`` counts the rows of the splits;
    ``batch_loss`` is the loss of the next mini-batch (of the last one at the end) before it is used.

    Raises
    ------
    ValueError
        Data, splits, labels or widths that do not fit each other, step sizes that are not positive, record_every < 1.

    Examples
    --------
    >>> import torch
    >>> from litrepro.optim import rule
    >>> x, y = torch.tensor([[-1.0], [1.0]]).repeat(10, 1), torch.arange(20) % 2
    >>> splits = draw_splits(20, [0, 1], train=16, batch=4, steps=20)
    >>> table = train_stacked(x, y, splits, rule("sgd"), [0.5, 1.0], (1, 2))
    >>> len(table), bool((table.query("step == 20")["test_accuracy"] == 1).all())  # 2 seeds, 2 step sizes, 2 records
    (8, True)
    """
    x, y, widths = _check(x, y, splits, widths)
    step_sizes = [_validate.real("step_sizes", value) for value in _validate.sequence("step_sizes", step_sizes)]
    record_every = _validate.positive_int("record_every", record_every)
    init_seed = _validate.seed("init_seed", init_seed)
    _validate.function("progress", progress)
    count = len(splits.train)
    lr = torch.tensor(step_sizes, dtype=x.dtype, device=x.device)
    model = _members(widths, count, len(lr), init_seed).to(x)
    optimizer = Uniform(model.parameters(), rule, lr.repeat(count), batch_dims=1)
    steps = splits.batches.shape[1]
    batches = splits.batches.to(x.device)
    sets = {name: _gather(x, y, getattr(splits, name).to(x.device), len(lr)) for name in ("train", "test")}
    rows: list[dict[str, torch.Tensor]] = []
    for step in progress(range(steps + 1)):
        inputs, labels = _gather(x, y, batches[:, min(step, steps - 1)], len(lr))
        if step % record_every == 0 or step == steps:
            rows.append(
                _measure(model, inputs, labels, sets) | {"step": torch.full((count * len(lr),), step, device="cpu")}
            )
        if step < steps:
            optimizer.step(_closure(model, optimizer, inputs, labels))
    return _tidy(rows, step_sizes, count)


def seconds_per_step(
    x: torch.Tensor, y: torch.Tensor, splits: Splits, rule: Rule, lr: float, widths: Sequence[int], *, repeats: int = 3
) -> float:
    """Time of one training step of one network: the fastest of several repetitions, recording excluded.

    Raises ``ValueError`` as ``train_stacked``, and for repeats < 1.

    Examples
    --------
    >>> import torch
    >>> from litrepro.optim import rule
    >>> splits = draw_splits(20, [0], train=16, batch=4, steps=5)
    >>> seconds_per_step(torch.rand(20, 3), torch.arange(20) % 2, splits, rule("sgd"), 0.1, (3, 2)) > 0
    True
    """
    x, y, widths = _check(x, y, splits, widths)
    lr, repeats = _validate.real("lr", lr), _validate.positive_int("repeats", repeats)
    model = _members(widths, 1, 1, 0).to(x)
    optimizer = Uniform(model.parameters(), rule, lr)
    best, now = float("inf"), _timing.clock(x.device)
    steps = splits.batches.shape[1]
    for _ in range(repeats):
        started = now()
        for step in range(steps):
            inputs, labels = _gather(x, y, splits.batches[:1, step], 1)
            optimizer.step(_closure(model, optimizer, inputs, labels))
        best = min(best, (now() - started) / steps)
    return best


def _check(x, y, splits: Splits, widths) -> tuple[torch.Tensor, torch.Tensor, tuple[int, ...]]:
    """Data, labels and widths that fit each other and the splits."""
    widths = layer_widths(widths)
    x, y = labelled("(x, y)", (x, y), features=widths[0], classes=widths[-1])
    _validate.instance("splits", splits, Splits)
    parts = [
        check_indices(f"splits.{name}", value, len(x), dims)
        for name, value, dims in zip(splits._fields, splits, (2, 2, 3))
    ]
    if len({len(part) for part in parts}) > 1 or parts[0].numel() == 0 or parts[2].numel() == 0:
        shapes = [tuple(part.shape) for part in parts]
        raise ValueError(f"splits must be (S, n_train), (S, n_test), (S, steps, batch), none of them 0, got {shapes}")
    return x, y, widths


def _members(widths: Sequence[int], seeds: int, copies: int, init_seed: int) -> StackedMLP:
    """A stacked network whose member (seed s, copy c) starts like every other copy of seed s."""
    generator = torch.Generator().manual_seed(init_seed)
    base = StackedMLP(widths, trials=seeds, generator=generator)
    model = StackedMLP(widths, trials=seeds * copies) if copies > 1 else base
    for target, source in zip(model.parameters(), base.parameters()):
        target.data = source.data.repeat_interleave(copies, 0)
    return model


def _gather(x: torch.Tensor, y: torch.Tensor, indices: torch.Tensor, copies: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples (S, k) for every copy: (S copies, k, d) and (S copies, k)."""
    return x[indices].repeat_interleave(copies, 0), y[indices].repeat_interleave(copies, 0)


def _losses(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy per member, (M,)."""
    scores = model(inputs)
    each = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none")
    return each.reshape(labels.shape).mean(1)


def _closure(model: nn.Module, optimizer: Uniform, inputs: torch.Tensor, labels: torch.Tensor):
    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = _losses(model, inputs, labels).sum()  # members share no parameter: the sum's gradient is each one's
        loss.backward()
        return loss

    return closure


@torch.no_grad()
def _measure(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, sets: dict) -> dict[str, torch.Tensor]:
    test_x, test_y = sets["test"]
    return {
        "batch_loss": _losses(model, inputs, labels),
        "train_loss": _losses(model, *sets["train"]),
        "test_accuracy": (model(test_x).argmax(-1) == test_y).to(inputs.dtype).mean(1),
    }


def _tidy(rows: list[dict[str, torch.Tensor]], step_sizes: list[float], seeds: int) -> pd.DataFrame:
    import pandas as pd

    keys = {
        "lr": step_sizes * (seeds * len(rows)),
        "seed": torch.arange(seeds, device="cpu").repeat_interleave(len(step_sizes)).repeat(len(rows)).numpy(),
    }
    columns = ("step", "batch_loss", "train_loss", "test_accuracy")
    return pd.DataFrame(keys | {name: torch.cat([row[name].cpu() for row in rows]).numpy() for name in columns})
