"""Seeds times kinds of targets, trained as one ensemble, and their paired gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from litrepro import _validate
from litrepro.distillation import _arguments
from litrepro.distillation._distill import count_classes, on_labels_only, plain_pair
from litrepro.distillation._twins import train_twins
from litrepro.training import Ensemble, fit_ensemble, paired_difference

if TYPE_CHECKING:
    import pandas as pd


class SoftTargets(NamedTuple):
    """A kind of targets and how they enter ``regularized_loss``.

    Attributes
    ----------
    targets
        (n, K), or (S, n, K) with one for each seed. None: hard labels alone.
    alpha
        Weight of the soft term.
    temperature
        Of the student's softmax in the soft term.
    scale
        Factor on the soft term; None: T^2.
    labels
        (n,) or (S, n) labels of the hard term in place of the true ones (for noisy ones).

    Examples
    --------
    >>> import torch
    >>> SoftTargets.from_logits(torch.zeros(3, 4), 2.0).targets[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    targets: torch.Tensor | None = None
    alpha: float = 0.9
    temperature: float = 1.0
    scale: float | None = None
    labels: torch.Tensor | None = None

    @classmethod
    def from_logits(
        cls,
        logits: torch.Tensor,
        temperature: float = 4.0,
        alpha: float = 0.9,
        labels: torch.Tensor | None = None,
    ) -> SoftTargets:
        """Distillation: softmax(v/T) of a teacher's logits v (n, K) or (S, n, K), with the factor T^2.

        Raises ``ValueError`` for T <= 0 and alpha, the weight of the soft term, outside [0, 1].

        Examples
        --------
        >>> import torch
        >>> kind = SoftTargets.from_logits(torch.tensor([[0.0, 4.0]]), temperature=4.0)
        >>> kind.temperature, bool(torch.allclose(kind.targets, torch.tensor([[0.0, 1.0]]).softmax(-1)))
        (4.0, True)
        """
        alpha, temperature = _arguments.weight("alpha", alpha), _arguments.temperature(temperature)
        return cls((logits / temperature).softmax(-1), alpha, temperature, labels=labels)


def train_students(
    model_fn: Callable[..., nn.Module],
    seeds: Sequence[int],
    train: tuple[torch.Tensor, torch.Tensor],
    variants: Mapping[str, SoftTargets],
    **fit_options: Any,
) -> Ensemble:
    """Train a student for every kind of targets and seed, all in one batch; equal seeds mean equal weights and orders.

    Parameters
    ----------
    model_fn, seeds
        ``model_fn(seed=s)`` builds a student.
    train
        (x (n, ...), y (n,)), or (x (S, n, ...), y (S, n)) with a training set for each seed; every variant's targets
        belong to these examples.
    variants
        Kinds of targets by name.
    **fit_options
        Of ``training.fit_ensemble``; values of ``evaluate_on`` are plain (x, y).

    Returns
    -------
    Ensemble, variants in order and seeds within them; the history has the columns ``variant`` and ``seed``.

    Raises ``ValueError`` for targets of other shapes, variants that are none, labels outside 0..K-1, options that are
    set here (``loss``, ``loss_params``, ``members``, ``per_member``, ``objective``), and what ``fit_ensemble`` raises.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import mlp
    >>> x, y = torch.rand(20, 4), torch.arange(20) % 3
    >>> kinds = {"hard": SoftTargets(), "smooth": SoftTargets(torch.full((20, 3), 1 / 3), alpha=0.1)}
    >>> len(train_students(lambda seed: mlp(4, [2], 3, seed=seed), [0, 1], (x, y), kinds, epochs=1))
    4
    """
    seeds = [_validate.seed("seeds", seed) for seed in _validate.sequence("seeds", seeds)]
    x, y, own_sets = _examples(train, len(seeds))
    if not isinstance(variants, Mapping) or not variants:
        raise ValueError(f"variants must hold at least one kind of targets by name, got {variants!r}")
    for name, kind in variants.items():
        if not isinstance(kind, SoftTargets):
            raise ValueError(f"variants must be SoftTargets, got {type(kind).__name__} for {name}")
        if kind.scale is not None:
            _validate.real(f"scale of {name}", kind.scale, 0)
    for name in ("loss", "loss_params", "members", "per_member", "objective"):
        if fit_options.get(name) is not None:
            raise ValueError(f"train_students sets the {name} itself, got {fit_options[name]!r}")
    _validate.positive_int("epochs", fit_options.get("epochs"), 0)
    _validate.function("model_fn", model_fn)
    # Labels of some class may be absent, so that the classes are those of a network.
    classes = count_classes("model_fn's network", model_fn(seed=seeds[0]), x[0] if own_sets else x)
    _arguments.integer_labels(y, classes)
    soft = torch.cat([_per_seed(name, kind, len(seeds), y.shape[-1], classes, x) for name, kind in variants.items()])
    hard = torch.cat([_labels(name, kind, len(seeds), y, classes) for name, kind in variants.items()])
    names = [name for name in variants for _ in seeds]
    kinds = [variants[name] for name in names]
    weights = [0.0 if kind.targets is None else _arguments.weight("alpha", kind.alpha) for kind in kinds]
    temperatures = [float(_arguments.temperature(kind.temperature)) for kind in kinds]
    scales = [T**2 if kind.scale is None else kind.scale for kind, T in zip(kinds, temperatures)]
    like = {"dtype": soft.dtype, "device": "cpu"}
    alpha, T, scale = (torch.tensor(values, **like) for values in (weights, temperatures, scales))
    linear = _linear_part(hard, soft, alpha, scale / T)
    params = {"plain": 1 - alpha, "tempered": alpha * scale, "inverse": 1 / T}
    given = {name: value for name, value in fit_options.items() if value is not None}
    if callable(given.get("callback")):
        given["callback"] = _once(given["callback"])
    twins = train_twins(model_fn, seeds, x, hard, linear, params, own_sets, names, given)
    if twins is not None:
        return twins
    if own_sets:
        x = x.repeat(len(variants), *[1] * (x.ndim - 1))
    return fit_ensemble(
        model_fn,
        seeds * len(variants),
        (x, (hard, linear)),
        per_member=("x", "y") if own_sets else ("y",),
        loss=_loss,
        loss_params=params,
        members={"variant": names, "seed": seeds * len(variants)},
        **given | {"metrics": on_labels_only(given.get("metrics", ("accuracy",)))},
    )


def paired_gains(
    history: pd.DataFrame, baseline: str, *, metric: str = "accuracy", split: str = "test"
) -> pd.DataFrame:
    """Last value of every variant, and its gain over the baseline with equal seeds.

    Parameters
    ----------
    history
        Of ``train_students``, or any with columns ``variant, seed, epoch, split, metric, value``.
    baseline
        The variant to compare with.

    Returns
    -------
    DataFrame indexed by ``variant`` with columns ``mean, gain, error`` (standard error of the paired gain; 0 for the
    baseline itself). Raises ``ValueError`` for an unknown baseline, and fewer than two seeds.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(v, s, 1, "test", "accuracy", a) for v, s, a in
    ...         [("a", 0, 0.5), ("a", 1, 0.6), ("b", 0, 0.6), ("b", 1, 0.7)]]
    >>> table = paired_gains(pd.DataFrame(rows, columns=["variant", "seed", "epoch", "split", "metric", "value"]), "a")
    >>> round(float(table.gain["b"]), 6)
    0.1
    """
    import pandas as pd

    _validate.table("history", history, ("variant", "seed"))
    last = last_values(history, metric=metric, split=split)
    names = list(dict.fromkeys(last["variant"]))
    if baseline not in names:
        raise ValueError(f"baseline must be one of {', '.join(map(str, names))}; got {baseline!r}")
    found = {}
    for name in names:
        first, second = {"variant": name}, {"variant": baseline}
        gain, error = paired_difference(last, "value", first, second)
        found[name] = {"mean": last[last.variant == name]["value"].mean(skipna=False), "gain": gain, "error": error}
    return pd.DataFrame(found).T.rename_axis("variant")


def last_values(history: pd.DataFrame, *, metric: str = "accuracy", split: str = "test") -> pd.DataFrame:
    """The rows of a history that hold each member's last value of a metric.

    Parameters
    ----------
    history
        With columns ``epoch, split, metric, value`` and ``variant, seed``, or else ``member``.

    Returns
    -------
    DataFrame, one row per variant and seed (or member); empty if the history knows no such metric or split. Raises
    ``ValueError`` for what is no table or lacks a column.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(0, 1, 0.5), (1, 1, 0.6), (0, 2, 0.7), (1, 2, 0.8)]
    >>> table = pd.DataFrame(rows, columns=["member", "epoch", "value"]).assign(split="test", metric="accuracy")
    >>> last_values(table)["value"].tolist()
    [0.7, 0.8]
    """
    keys = ["variant", "seed"] if {"variant", "seed"} <= set(getattr(history, "columns", ())) else ["member"]
    _validate.table("history", history, (*keys, "epoch", "split", "metric", "value"))
    rows = history[(history.split == split) & (history.metric == metric)]
    return rows.sort_values("epoch", kind="stable").groupby(keys, sort=False).tail(1)


def _examples(train: Any, seeds: int) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """x, y, and whether they hold a training set for each seed."""
    y = train[1] if isinstance(train, tuple | list) and len(train) == 2 else None
    if getattr(y, "ndim", 1) != 2:
        return *plain_pair("train", train), False
    x = train[0]
    if not isinstance(x, torch.Tensor) or x.shape[:2] != y.shape or len(y) != seeds or y.shape[1] == 0:
        got = f"{tuple(getattr(x, 'shape', ()))} and {tuple(y.shape)}"
        raise ValueError(f"train must hold x ({seeds}, n, ...) and y ({seeds}, n) for {seeds} seeds, got {got}")
    return x, y, True


def _once(callback: Callable[..., Any]) -> Callable[..., None]:
    """The callback, called for every epoch once: where twins diverge, all of them are trained again as an ensemble."""
    seen = set()

    def first_time(epoch: int, ensemble: Ensemble) -> None:
        if epoch not in seen:
            seen.add(epoch)
            callback(epoch, ensemble)

    return first_time


def _linear_part(labels: torch.Tensor, soft: torch.Tensor, alpha: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    """What the logits are multiplied with in the loss, (M, n, K): (1 - alpha) e_y + alpha scale/T targets."""
    alpha, rate = (value.to(soft.device)[:, None, None] for value in (alpha, rate))
    return (1 - alpha) * _arguments.one_hot(labels, soft.shape[-1]) + alpha * rate * soft


def _loss(outputs, y, plain, tempered, inverse):
    """``regularized_loss`` up to the targets' entropy, which has no gradient: two log-sum-exps and a linear part.

    Losses are a third of a small student's step. The linear part is known before training, and on rows of ten classes
    logsumexp takes a third of log_softmax's time.
    """
    normalizers = plain * outputs.logsumexp(-1) + tempered * (inverse * outputs).logsumexp(-1)
    return normalizers - (y[1] * outputs).sum(-1)


def _per_seed(name: str, kind: SoftTargets, seeds: int, n: int, classes: int, like: torch.Tensor) -> torch.Tensor:
    """(S, n, K) targets."""
    if kind.targets is None:
        return torch.full((seeds, n, classes), 1 / classes, dtype=like.dtype, device=like.device)
    targets = kind.targets.to(like)
    if targets.shape not in ((n, classes), (seeds, n, classes)):
        expected = f"({n}, {classes}) or ({seeds}, {n}, {classes})"
        raise ValueError(f"targets of {name} must have shape {expected}, got {tuple(targets.shape)}")
    return targets.expand(seeds, n, classes)


def _labels(name: str, kind: SoftTargets, seeds: int, y: torch.Tensor, classes: int) -> torch.Tensor:
    """(S, n) labels."""
    labels = y if kind.labels is None else kind.labels
    _arguments.integer_labels(labels, classes)
    n = y.shape[-1]
    if labels.shape not in ((n,), (seeds, n)):
        raise ValueError(f"labels of {name} must have shape ({n},) or ({seeds}, {n}), got {tuple(labels.shape)}")
    return labels.to(y.device).expand(seeds, n)
