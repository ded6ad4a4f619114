"""Train a network on a coreset that is chosen anew every few epochs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from litrepro import _timing, _validate, runtime
from litrepro._warnings import ConvergenceWarning
from litrepro.coresets._coreset import Coreset, all_finite, check_k, equal_weights, gradient_error, total
from litrepro.coresets._glister import online_greedy
from litrepro.coresets._gradients import (
    check_range,
    forward,
    last_layer_refresh,
    outer,
    per_sample_gradients,
    residuals,
)
from litrepro.coresets._select import METHODS, check_options, check_per_class, class_quotas, select, select_batches
from litrepro.training import batches, cosine, evaluate
from litrepro.training._settings import own_randomness

if TYPE_CHECKING:
    import pandas as pd

Data = tuple[torch.Tensor, torch.Tensor]


def train_on_coresets(
    model: nn.Module,
    train: Data,
    *,
    method: str,
    fraction: float,
    every: int,
    epochs: int,
    batch_size: int = 20,
    lr: float = 0.05,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    warm_start: int = 0,
    per_class: bool = True,
    per_batch: bool = False,
    gradients: str = "last",
    evaluate_on: Mapping[str, Data] | None = None,
    eval_every: int = 1,
    seed: int = 0,
    **options: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stochastic gradient descent on a coreset, re-selected every few epochs on the model as it then is.

    Parameters
    ----------
    model
        Classifier with ``features`` and ``head``; trained in place, moved to the data's device, left in eval mode.
    train
        (x (n, ...), y (n,) int64).
    method
        One of ``select``'s; ``"glister-online"``, the online greedy over all examples against the gradient of all,
        renewed after every choice (option ``step=0.5``), class quotas respected with ``per_class``; or ``"full"``, all
        data in every epoch.
    fraction
        Of the examples in a coreset, in (0, 1].
    every
        Epochs between selections.
    epochs
        In all; one over a coreset has fewer steps than one over all data.
    batch_size, lr, momentum, weight_decay
        Of stochastic gradient descent; the step size falls to 0 along a cosine over all steps.
    warm_start
        Number of epochs on all data before the first selection.
    per_class
        As in ``select``.
    per_batch
        Choose whole batches instead, see ``select_batches``: every selection draws a new partition, and the chosen
        batches stay together in training. ``per_class`` is then without meaning.
    gradients
        ``"last"``: of the head, in closed form; ``"all"``: of all layers.
    evaluate_on
        Further data sets by name, recorded beside "train" (which is always all of the training data).
    eval_every
        Record at epoch 0, every so many epochs, and at the last.
    seed
        Of the order of examples and of random selection.
    options
        Of the method, e.g. ``ridge`` or ``similarity``.

    Returns
    -------
    history
        ``epoch, step, split, metric, value, seconds, selection_seconds``: seconds are cumulative (of the CPU
        where that computes, of a clock on the wall for a GPU), with selection and without evaluation.
    selections
        ``epoch`` (epochs completed), ``size``, ``gradient_error`` (relative to the norm of the full gradient, on the
        gradients that were selected from), ``seconds``; no rows for "full".

    Raises
    ------
    ValueError
        Unknown method, option or kind of gradients, labels outside 0..K-1, a model without features and head where the
        last layer's gradients are asked for, fraction outside (0, 1], every < 1, warm_start < 0, a coreset smaller than
        the number of classes with ``per_class``, "glister-online" on gradients of all layers or with ``per_batch``,
        sizes of data or coreset that are not multiples of batch_size with ``per_batch``, bad sizes,
        an ``evaluate_on`` that does not map names to pairs.

    Warns
    -----
    ConvergenceWarning
        A batch loss, the loss over all training data, or a gradient to select by was not finite: the run ends after
        that epoch, which is recorded.

    Notes
    -----
    The loss of a batch is the mean of :math:`w_j \\ell_j`, the coreset's weights rescaled to a mean of 1: the step size
    then means the same for every method. Source: the review, figure 1 and section 3.1.

    Examples
    --------
    >>> from litrepro.nets import mlp
    >>> x, y = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2
    >>> _, selections = train_on_coresets(
    ...     mlp(4, [5], 2), (x, y), method="craig", fraction=0.25, every=2, epochs=4, batch_size=5
    ... )
    >>> selections["epoch"].tolist(), selections["size"].tolist()
    ([0, 2], [10, 10])
    """
    import pandas as pd

    further = _further(evaluate_on)
    run = _Run(model, train, method, fraction, per_class, per_batch, gradients, seed, options)
    every = _validate.positive_int("every", every)
    epochs, warm = _validate.positive_int("epochs", epochs, 0), _validate.positive_int("warm_start", warm_start, 0)
    batch_size = _validate.positive_int("batch_size", batch_size)
    eval_every = _validate.positive_int("eval_every", eval_every)
    run.plan(epochs, warm if method != "full" else epochs, batch_size, every)
    sets = {"train": train} | {name: tuple(part.to(run.x.device) for part in data) for name, data in further.items()}
    # Ten small tensors, one by one, are a tenth of a step.
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in model.parameters())
    optimizer = torch.optim.SGD(
        model.parameters(), _validate.real("lr", lr, 0), _validate.real("momentum", momentum, 0),
        weight_decay=_validate.real("weight_decay", weight_decay, 0), fused=fused,
    )  # fmt: skip
    rows, recorded = run.rows(0, sets), 0
    for epoch in range(epochs):
        finite, done = not run.due(epoch) or run.choose(epoch), epoch
        if finite:
            finite, done = run.epoch(epoch, optimizer, lr), epoch + 1
        if recorded < done and (done % eval_every == 0 or done == epochs or not finite):
            found, recorded = run.rows(done, sets), done
            rows += found
            # What the last step has done shows in no loss of a batch.
            finite = finite and all(math.isfinite(row[4]) for row in found if row[2:4] == ("train", "loss"))
        if not finite:
            warnings.warn(f"the loss is not finite in epoch {done}: training stops", ConvergenceWarning, 2)
            break
    model.eval()
    columns = ["epoch", "step", "split", "metric", "value", "seconds", "selection_seconds"]
    kinds = {"epoch": "int64", "size": "int64", "gradient_error": "float64", "seconds": "float64"}
    # The types are those of a table with rows even where there are none, so that tables can be joined.
    chosen = pd.DataFrame(run.selections, columns=list(kinds)).astype(kinds)
    return pd.DataFrame(rows, columns=columns), chosen


class _Run:
    """One call of ``train_on_coresets``: the data, what is trained on now, clocks."""

    def __init__(
        self, model: nn.Module, train: Data, method: str, fraction: float, per_class: bool, per_batch: bool,
        gradients: str, seed: int, options: dict[str, Any],
    ):  # fmt: skip
        self.method = _validate.choice("method", method, (*METHODS, "glister-online", "full"))
        self.kind = _validate.choice("gradients", gradients, ("last", "all"))
        fraction = _validate.real("fraction", fraction, 0, 1, open_low=True)
        self.x, self.y = _pair("train", train)
        self.dtype = self.x.dtype if self.x.dtype.is_floating_point else torch.float32  # of weights; x may be words
        self.k = check_k(max(1, round(fraction * len(self.y))), len(self.y))
        if method == "glister-online" and gradients == "all":
            raise ValueError("glister-online knows the last layer's gradients only, got gradients='all'")
        if method == "glister-online" and per_batch:
            raise ValueError("glister-online chooses examples only, got per_batch=True")
        self.per_batch = bool(per_batch) and method != "full"
        if method != "full" and per_class and not per_batch:
            class_quotas(self.y, self.k)
        if not isinstance(model, nn.Module):
            raise ValueError(f"model must be a torch module, got {type(model).__name__}")
        self.model, self.per_class, self.options = model.to(self.x.device), per_class, dict(options)
        self.step_size = self.options.pop("step", 0.5) if method == "glister-online" else None
        if method in ("glister-online", "full") and self.options:
            raise ValueError(f"unknown options for {method}: {', '.join(self.options)}")
        if method == "glister-online":
            self.step_size = _validate.real("step", self.step_size, 0)
        elif method != "full":
            check_options(method, self.options)
            if per_class and not per_batch:
                check_per_class(self.options)
        self._check_model(method)
        # Activations that stay in a CPU's cache halve the time of a pass.
        self.chunk = 1024 if self.x.device.type == "cuda" else 256
        self.seed = _validate.seed("seed", seed)
        self.draws = torch.Generator("cpu").manual_seed(self.seed)
        everything = torch.arange(len(self.y), device=self.x.device)
        self.now = Coreset(everything, torch.ones(len(everything), dtype=self.dtype, device=self.x.device))
        now = _timing.clock(self.x.device)
        self.clock, self.selecting = _timing.Stopwatch(now), _timing.Stopwatch(now)
        self.seen: tuple[torch.Tensor, torch.Tensor, float] | None = None
        self.selections: list[tuple] = []
        self.steps = 0

    def _check_model(self, method: str) -> None:
        """Labels within the model's classes; features and head where gradients of the last layer are asked for."""
        if method != "full" and self.kind == "last":
            forward(self.model, self.x[:1], torch.zeros_like(self.y[:1]), 1)
        with torch.no_grad():
            classes = _validate.answer("model", self.model.eval(), self.x[:1]).shape[-1]
        check_range(self.y, classes)

    def plan(self, epochs: int, warm: int, batch_size: int, every: int) -> None:
        """How many steps there will be, for the cosine, and when to select."""
        self.epochs, self.warm, self.batch_size, self.every = epochs, min(warm, epochs), batch_size, every
        if self.per_batch and (len(self.y) % batch_size or self.k % batch_size):
            got = f"{len(self.y)} examples and {self.k} of a coreset"
            raise ValueError(f"with per_batch both must be multiples of batch_size {batch_size}, got {got}")
        per_epoch = [-(-size // batch_size) for size in (len(self.y), self.k)]
        self.total = self.warm * per_epoch[0] + (epochs - self.warm) * per_epoch[1]

    def due(self, epoch: int) -> bool:
        """Whether there is a selection before this epoch, counted from 0."""
        return self.warm <= epoch < self.epochs and (epoch - self.warm) % self.every == 0

    def choose(self, epoch: int) -> bool:
        """Select on the model as it is, unless it has diverged; the diagnosis of the error is not timed."""
        with self.clock.running(), self.selecting.running():
            before = self.selecting.seconds
            g = None if self.method == "random" else self.gradients(timed=True)
            if g is not None and self._diverged(epoch, g):
                return False
            self.now = self._select(g)
        seconds = self.selecting.seconds - before
        if g is None and self._diverged(epoch, g := self.gradients()):
            return False
        target = total(g)
        error = gradient_error(g, self.now, target=target) / target.norm().clamp_min(1e-300)
        self.selections.append((epoch, self.k, float(error), seconds))
        return True

    @staticmethod
    def _diverged(epoch: int, g: torch.Tensor) -> bool:
        """Whether training has led to gradients that are not finite; at the start they are bad input."""
        return epoch > 0 and not all_finite(g)

    def gradients(self, timed: bool = False) -> torch.Tensor:
        """Of the chosen kind, one row per example; what a pass made for the record took is added if it is timed."""
        if self.kind == "all":
            return per_sample_gradients(self.model, self.x, self.y, batch_size=self.chunk)
        if self.seen is None:
            features, scores = forward(self.model, self.x, self.y, self.chunk)
        else:
            features, scores, took = self.seen
            for clock in (self.clock, self.selecting) if timed else ():
                clock.seconds += took
        self.seen = None
        return outer(residuals(scores, self.y), features, bias=True)

    def _select(self, g: torch.Tensor | None) -> Coreset:
        if self.method != "glister-online":
            g = self.x.new_zeros(len(self.y), 1, dtype=self.dtype) if g is None else g
            if self.per_batch:
                return select_batches(
                    g, self.k, batch_size=self.batch_size, method=self.method, generator=self.draws, **self.options
                )
            return select(
                g, self.y, self.k, method=self.method, per_class=self.per_class, generator=self.draws, **self.options
            )
        refresh = last_layer_refresh(self.model, self.x, self.y, step=self.step_size)
        if not self.per_class:
            return equal_weights(online_greedy(g, self.k, g.sum(0), refresh), len(g), g)
        classes, quotas = class_quotas(self.y, self.k)
        labels = torch.searchsorted(classes, self.y)
        indices = online_greedy(g, self.k, g.sum(0), refresh, labels, quotas)
        sizes = labels.bincount(minlength=len(classes))
        return Coreset(indices, (sizes / quotas).to(g)[labels[indices]])

    def epoch(self, epoch: int, optimizer: torch.optim.SGD, lr: float) -> bool:
        """One pass over what is trained on now; whether all losses were finite."""
        self.model.train()
        indices, weights = self.now
        total = weights.sum()
        weights = torch.where(total > 0, weights * (len(weights) / total), torch.ones_like(weights))
        bad = torch.zeros((), dtype=torch.bool, device=self.x.device)
        # Dropout and the like draw from the global generator, which is left as it was.
        seed = runtime.stream_seed(self.seed, epoch)
        with own_randomness(self.x.device, seed), self.clock.running():
            for part in self._parts(epoch):
                part = part.to(indices.device)
                chosen = indices[part]
                for group in optimizer.param_groups:
                    group["lr"] = lr * cosine(self.steps / self.total)
                optimizer.zero_grad(set_to_none=True)
                losses = functional.cross_entropy(self.model(self.x[chosen]), self.y[chosen], reduction="none")
                value = (losses * weights[part]).mean()
                value.backward()
                optimizer.step()
                bad |= ~value.detach().isfinite()
                self.steps += 1
        self.model.eval()
        return not bool(bad)

    def _parts(self, epoch: int) -> tuple[torch.Tensor, ...]:
        """Positions of the epoch's batches in what is trained on now."""
        size, whole = self.batch_size, self.per_batch and epoch >= self.warm
        if not whole:
            return batches(len(self.now.indices), size, self.seed, epoch)
        return tuple(b * size + torch.arange(size, device="cpu") for b in batches(self.k // size, 1, self.seed, epoch))

    def rows(self, epoch: int, sets: Mapping[str, Data]) -> list[tuple]:
        """Metrics on all sets, with the clocks."""
        self.model.eval()
        times = (self.clock.seconds, self.selecting.seconds)
        return [
            (epoch, self.steps, name, metric, value, *times)
            for name, data in sets.items()
            for metric, value in self._measure(name, data, epoch).items()
        ]

    def _measure(self, name: str, data: Data, epoch: int) -> dict[str, float]:
        """Metrics on one set. The gradients of a selection that is due need the same pass over the training data."""
        if name != "train" or self.kind == "all" or not self.due(epoch):
            return evaluate(self.model, data, batch_size=self.chunk)
        clock = _timing.Stopwatch(_timing.clock(self.x.device))
        with clock.running():
            features, scores = forward(self.model, *data, self.chunk)
        self.seen = (features, scores, clock.seconds)
        return evaluate(nn.Identity(), (scores, data[1]))


def _further(sets: Any) -> dict[str, Data]:
    """The data sets of ``evaluate_on``."""
    if not isinstance(sets, Mapping | None):
        raise ValueError(f"evaluate_on must map names to pairs (x, y), got {type(sets).__name__}")
    if sets is not None and "train" in sets:
        raise ValueError("evaluate_on must not have the key 'train': that split is always recorded")
    return {name: _pair(f"evaluate_on[{name!r}]", data) for name, data in (sets or {}).items()}


def _pair(name: str, data: Any) -> Data:
    try:
        x, y = data
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a pair (x, y), got {type(data).__name__}") from None
    tensors = isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor)
    if not tensors or y.dtype != torch.int64 or y.ndim != 1 or x.shape[:1] != y.shape or len(y) < 1:
        raise ValueError(f"{name} must hold x (n, ...) and int64 labels (n,), n >= 1")
    return x, y
