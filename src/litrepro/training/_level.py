"""Train a stack of perceptrons until each member reaches a level of the training loss: optimizers on equal terms."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.nets import StackedMLP
from litrepro.optim import Rule, Uniform
from litrepro.training._arguments import labelled, seed_list
from litrepro.training._objective import flat_weights


class Level(NamedTuple):
    """Where each member was when it reached the level, in the order of the stack.

    ``weights (trials, P)`` as ``flat_weights``; ``steps (trials,)`` int64; ``loss (trials,)`` of the training set at
    that point; ``reached (trials,)`` bool: False for members that ran out of steps or diverged, whose last weights are
    given.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import StackedMLP
    >>> from litrepro.training import train_to_level
    >>> x, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
    >>> options = {"target": 0.1, "batch": 2, "max_steps": 500, "seeds": [0, 1], "check_every": 5}
    >>> level = train_to_level(StackedMLP((1, 2), trials=2), x, y, "sgd", torch.tensor([0.5, 1.0]), **options)
    >>> level.weights.shape, level.reached, bool(level.steps[0] > level.steps[1])
    (torch.Size([2, 4]), tensor([True, True]), True)
    """

    weights: torch.Tensor
    steps: torch.Tensor
    loss: torch.Tensor
    reached: torch.Tensor


def train_to_level(
    model: StackedMLP,
    x: torch.Tensor,
    y: torch.Tensor,
    rule: Rule | str,
    lr: torch.Tensor,
    *,
    target: float,
    batch: int,
    max_steps: int,
    seeds: Sequence[int],
    check_every: int = 25,
    progress: Any = iter,
) -> Level:
    """Minimize the cross-entropy until the training loss of a member is at most ``target``; the member then stops.

    Minima can be compared at equal loss, not at equal time: a longer run is flatter or sharper for that reason alone.

    Parameters
    ----------
    model
        The stack at its start; it is not changed.
    x, y
        (n, d) inputs and (n,) int64 labels of the training set, or (trials, n, d) and (trials, n): one set per member.
    lr
        (trials,) step sizes.
    batch
        Samples per step, of one permutation after the other (the remainder of an epoch is left out).
    seeds
        One per member: members with equal seeds see the same batches.
    check_every
        Steps between looks at the training loss.

    Returns
    -------
    Level. Warns ``litrepro.ConvergenceWarning`` if a member did not reach the target.

    Raises ``ValueError`` for data, labels or step sizes that do not fit the model, target <= 0, and sizes < 1.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import StackedMLP
    >>> x, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
    >>> options = {"target": 0.1, "batch": 2, "max_steps": 500, "seeds": [0]}
    >>> level = train_to_level(StackedMLP((1, 2)), x, y, "sgd", torch.tensor([1.0]), **options)
    >>> bool(level.loss <= 0.1), int(level.steps) % 25
    (True, 0)
    """
    target = _validate.real("target", target, 0, open_low=True)
    batch = _validate.positive_int("batch", batch)
    max_steps, check_every = (
        _validate.positive_int("max_steps", max_steps),
        _validate.positive_int("check_every", check_every),
    )
    trials = _validate.instance("model", model, StackedMLP).trials
    x, y = labelled("(x, y)", (x, y), members=trials, features=model.widths[0], classes=model.widths[-1])
    _validate.same_kind(model=model.weights[0], x=x)
    if not isinstance(lr, torch.Tensor) or lr.dtype == torch.bool or lr.is_complex():
        raise ValueError(f"lr must be a tensor of {trials} numbers, got {getattr(lr, 'dtype', type(lr).__name__)}")
    seeds = seed_list(seeds)
    _validate.function("progress", progress)
    if batch > y.shape[-1] or lr.shape != (trials,) or len(seeds) != trials:
        raise ValueError(
            f"need n >= batch, lr and seeds for {trials} members; "
            f"got n {y.shape[-1]}, batch {batch}, lr {tuple(lr.shape)}, {len(seeds)} seeds"
        )
    run = _Run(model, rule, lr, seeds, batch, y.shape[-1])
    done = Level(
        flat_weights(model).clone(),
        torch.full((trials,), max_steps, device="cpu"),
        torch.full((trials,), torch.nan, device="cpu"),
        torch.zeros(trials, dtype=torch.bool, device="cpu"),
    )
    for step in progress(range(max_steps + 1)):
        if step % check_every == 0 or step == max_steps:
            losses = run.losses(x, y)
            stop = (losses <= target) | ~torch.isfinite(losses) | (step == max_steps)
            if bool(stop.any()):
                run.retire(stop, losses, target, step, done)
        if len(run.members) == 0:
            break
        run.step(x, y)
    if not bool(done.reached.all()):
        missed = int((~done.reached).sum())
        warnings.warn(
            f"{missed} of {trials} members did not reach a training loss of {target:g} in {max_steps} steps",
            ConvergenceWarning,
            stacklevel=2,
        )
    return done


def pick_rows(values: torch.Tensor, rows: torch.Tensor, members: torch.Tensor | None = None) -> torch.Tensor:
    """Rows (k, b) of each of k members from ``values``, shared or (by dtype of x and y) one set per member.

    Inputs are (n, d) or (trials, n, d), labels (n,) or (trials, n); ``members`` says which trials the k are.
    """
    shared = values.ndim == (2 if values.is_floating_point() else 1)
    if shared:
        return values[rows]
    members = torch.arange(len(values), device="cpu") if members is None else members
    return values[members.to(rows.device)[:, None], rows]


class _Run:
    """The members that still train, their optimizer and their batches."""

    def __init__(self, model: StackedMLP, rule: Rule | str, lr: torch.Tensor, seeds: Sequence[int], batch: int, n: int):
        self.members = torch.arange(model.trials, device="cpu")
        self._template, self._rule, self._lr = model, rule, lr
        self._groups = list(dict.fromkeys(seeds))
        self._row = torch.tensor([self._groups.index(seed) for seed in seeds], device="cpu")
        self._sources = [torch.Generator().manual_seed(seed) for seed in self._groups]
        self._batch, self._per_epoch, self._n, self._place = batch, n // batch, n, 0
        self._build([p.detach().clone() for p in model.parameters()], None)

    def _build(self, values: list[torch.Tensor], state: list[dict] | None) -> None:
        old = self._template
        self._model = StackedMLP(old.widths, trials=len(self.members), activation=old.activation).to(values[0])
        for parameter, value in zip(self._model.parameters(), values):
            parameter.data = value
        self._optimizer = Uniform(self._model.parameters(), self._rule, self._lr[self.members], batch_dims=1)
        for parameter, kept in zip(self._model.parameters(), state or ()):
            self._optimizer.state[parameter] = kept
        # Which members and which orders, where the data lie: looked up at every step.
        self._here, self._own = (part.to(values[0].device) for part in (self.members, self._row[self.members]))

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        if self._place % self._per_epoch == 0:
            orders = [torch.randperm(self._n, generator=source, device="cpu") for source in self._sources]
            self._order, self._place = torch.stack(orders).to(x.device), 0
        rows = self._order[:, self._place * self._batch : (self._place + 1) * self._batch]
        rows = rows[self._own]
        self._place += 1

        inputs, labels = pick_rows(x, rows, self._here), pick_rows(y, rows, self._here)

        def closure() -> torch.Tensor:
            self._optimizer.zero_grad()
            scores = self._model(inputs)
            total = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="sum") / self._batch
            total.backward()
            return total

        self._optimizer.step(closure)

    @torch.no_grad()
    def losses(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Training loss of the members that still run."""
        scores = self._model(x if x.ndim == 2 else x[self._here])
        labels = (y if y.ndim == 1 else y[self._here]).expand(scores.shape[:2])
        return (
            functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none")
            .view(labels.shape)
            .mean(1)
        )

    def retire(self, stop: torch.Tensor, losses: torch.Tensor, target: float, step: int, done: Level) -> None:
        """Write down the members that stop and go on with the others."""
        at = self.members[stop.cpu()]
        done.weights[at] = flat_weights(self._model)[stop]
        done.steps[at], done.loss[at] = step, losses[stop].cpu().to(done.loss)
        done.reached[at] = (losses[stop] <= target).cpu()
        keep = ~stop
        self.members = self.members[keep.cpu()]
        if len(self.members) == 0:
            return
        states = [
            {k: v[keep] if isinstance(v, torch.Tensor) and v.ndim else v for k, v in self._optimizer.state[p].items()}
            for p in self._model.parameters()
        ]
        self._build([p.detach()[keep].clone() for p in self._model.parameters()], states if step else None)
