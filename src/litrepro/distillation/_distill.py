"""Train a student on a teacher's cached logits; a chain of them for teacher assistants."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from litrepro import _validate
from litrepro.distillation import _arguments
from litrepro.distillation._losses import distillation_loss, hard_cross_entropy
from litrepro.training import fit

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1024
Data = tuple[torch.Tensor, torch.Tensor]


def distill(
    student: nn.Module, teacher: nn.Module, train: Data, *, alpha: float, temperature: float, **fit_options: Any
) -> pd.DataFrame:
    """Train a student with ``distillation_loss`` on the logits of a trained teacher.

    The teacher runs once over the training set, in eval mode and without gradients; with ``augment`` the student still
    sees the logits of the images as they are.

    Parameters
    ----------
    student, teacher
        ``(B, ...) -> (B, K)``. The student is trained in place, the teacher is left as it was.
    train
        (x (n, ...), y (n,)) with int64 labels, and so are the values of ``evaluate_on``.
    alpha, temperature
        Weight of the hard labels in [0, 1]; T > 0.
    **fit_options
        Of ``training.fit`` (epochs, optimizer, lr, seed, evaluate_on, ...), except ``loss`` and ``objective``.

    Returns
    -------
    The history of ``training.fit``; its ``loss`` and ``accuracy`` are those against y, on every split.

    Raises ``ValueError`` for values and labels out of range, models that do not take x or give no logits (B, K),
    teacher and student with different K, a given loss, data that are no plain (x, y), and what ``fit`` raises.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import mlp
    >>> x, y = torch.rand(20, 4), torch.arange(20) % 3
    >>> history = distill(mlp(4, [2], 3), mlp(4, [9], 3), (x, y), alpha=0.1, temperature=4.0, epochs=1)
    >>> sorted(history.metric.unique())
    ['accuracy', 'loss']
    """
    alpha, temperature = (
        _validate.real("alpha", alpha, 0, 1),
        _validate.real("temperature", temperature, 0, open_low=True),
    )
    for name in ("loss", "objective"):
        if fit_options.get(name) is not None:
            raise ValueError(f"distill sets the {name} itself, got {fit_options[name]!r}")
    x, y = plain_pair("train", train)
    sets = fit_options.get("evaluate_on")
    sets = {} if sets is None else sets
    if not isinstance(sets, Mapping):
        raise ValueError(f"evaluate_on must map names to pairs (x, y), got {type(sets).__name__}")
    for name, data in sets.items():
        plain_pair(name, data)
    own = count_classes("student", student, x)
    _arguments.integer_labels(y, own)
    if not isinstance(teacher, nn.Module):
        raise ValueError(f"teacher must be a torch module, got {type(teacher).__name__}")
    logits = _cached_logits("teacher", teacher, x)
    if own != logits.shape[-1]:
        raise ValueError(f"student and teacher must have the same classes, got {own} and {logits.shape[-1]}")

    def loss(outputs: torch.Tensor, targets: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return distillation_loss(outputs, *targets, alpha=alpha, temperature=temperature)

    # A checkpoint knows functions by their names.
    loss.__qualname__ = f"distillation_loss with alpha {alpha:g} and temperature {temperature:g}"
    options = {name: value for name, value in fit_options.items() if name not in ("loss", "objective")}
    options["metrics"] = on_labels_only(options.get("metrics", ("loss", "accuracy")))
    return fit(student, (x, (y, logits)), loss=loss, **options)


def distill_chain(
    models: Iterable[nn.Module], train: Data, *, alpha: float, temperature: float, **fit_options: Any
) -> pd.DataFrame:
    """Distil along a chain: every model from its predecessor, as with teacher assistants.

    Source: Mirzadeh et al., arXiv:1902.03393, section 3.

    Parameters
    ----------
    models
        From the teacher (already trained) over the assistants to the student; trained in place but for the first.
    train, alpha, temperature, **fit_options
        Of ``distill``, the same at every stage, but for ``checkpoint``: stage 1 keeps ``chain.pt`` as ``chain-1.pt``,
        stage 2 as ``chain-2.pt``. A chain that was interrupted, called again, goes on in the stage where it was. (A
        ``callback`` that returns True interrupts nothing: it ends one stage, and the next begins.)

    Returns
    -------
    The histories of the stages with a column ``stage`` = 1, 2, ...

    Raises ``ValueError`` for fewer than two models, and what ``distill`` raises.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import mlp
    >>> x, y = torch.rand(20, 4), torch.arange(20) % 3
    >>> chain = [mlp(4, [width], 3) for width in (9, 5, 2)]
    >>> distill_chain(chain, (x, y), alpha=0.1, temperature=4.0, epochs=1).stage.unique()
    array([1, 2])
    """
    import pandas as pd

    one = isinstance(models, nn.Module) and not isinstance(models, nn.ModuleList)
    models = [models] if one else _validate.sequence("models", models, 0)
    if len(models) < 2:
        raise ValueError(f"models must hold a teacher and a student at least, got {len(models)}")
    x, _ = plain_pair("train", train)
    # The teacher, who sees the data once, is asked in the first stage.
    classes = [count_classes(f"model {i}", model, x) for i, model in enumerate(models[1:], 1)]
    if len(set(classes)) > 1:
        raise ValueError(f"models must have the same classes, got {classes}")
    file = _validate.optional_path("checkpoint", fit_options.pop("checkpoint", None))
    stages = []
    for number, (teacher, student) in enumerate(itertools.pairwise(models), 1):
        own = None if file is None else file.with_stem(f"{file.stem}-{number}")  # two stages are two runs of fit
        history = distill(student, teacher, train, alpha=alpha, temperature=temperature, checkpoint=own, **fit_options)
        stages.append(history.assign(stage=number))
    return pd.concat(stages, ignore_index=True)


def plain_pair(name: str, train: Data) -> Data:
    try:
        x, y = train
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a pair (x, y), got {type(train).__name__}") from None
    _arguments.integer_labels(y)
    if not isinstance(x, torch.Tensor) or y.ndim != 1 or x.ndim < 1 or len(x) != len(y) or len(x) == 0:
        raise ValueError(f"{name} must hold x (n, ...) and y (n,), got {getattr(x, 'shape', type(x))} and {y.shape}")
    return x, y


@torch.no_grad()
def count_classes(name: str, model: nn.Module, x: torch.Tensor) -> int:
    """How many outputs a model has on the device of x; its mode and device stay as they were."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"{name} must be a torch module, got {type(model).__name__}")
    return _cached_logits(name, model, x[:1]).shape[-1]


@torch.no_grad()
def _cached_logits(name: str, model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(n, K) on the device of x; the mode of every part of the model is put back."""
    modes = [(module, module.training) for module in model.modules()]
    where = next((parameter.device for parameter in model.parameters()), x.device)
    model.eval()
    try:
        parts = [_logits(name, model, part.to(where)).to(x.device) for part in x.split(CHUNK)]
    finally:
        for module, training in modes:
            module.training = training
    return torch.cat(parts)


def _logits(name: str, model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    logits = _validate.answer(name, model, x)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(x):
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"{name} must give logits ({len(x)}, K) for {len(x)} examples, got {got}")
    return logits


def on_labels_only(metrics: Any) -> list:
    """Metrics that see the labels alone on every split, "loss" being the cross-entropy against them."""

    def wrap(metric):
        function = hard_cross_entropy if metric == "loss" else metric

        def on_labels(outputs, y):
            return function(outputs, y[0] if isinstance(y, tuple) else y)

        on_labels.__name__ = "loss" if metric == "loss" else getattr(metric, "__name__", "metric")
        return on_labels

    given = (metrics,) if isinstance(metrics, str) or callable(metrics) else metrics
    return [wrap(metric) if metric == "loss" or callable(metric) else metric for metric in given]
