"""Losses and metrics: one value per example, fit for ``torch.func.vmap``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch

from litrepro import _validate
from litrepro.training._batches import Targets, labels_of

Loss = str | Callable[..., torch.Tensor]


def _with_classes(name: str, outputs: torch.Tensor) -> torch.Tensor:
    """Outputs (B, K): without K, the largest of them would be sought among the examples."""
    if outputs.ndim < 2:
        raise ValueError(f"{name} needs outputs of shape (B, K), got {tuple(outputs.shape)}")
    return outputs


def cross_entropy(outputs: torch.Tensor, y: Targets) -> torch.Tensor:
    """-log of the softmax (B, K) at the labels (B,), integers, or its mean under given distributions (B, K); (B,)."""
    labels = labels_of(y)
    scores = _with_classes("cross_entropy", outputs).log_softmax(-1)
    given = labels.dtype.is_floating_point
    expected = outputs.shape if given else outputs.shape[:-1]
    if labels.shape != expected:
        what = "distributions" if given else "labels"
        raise ValueError(f"cross_entropy needs {what} of shape {tuple(expected)}, got {tuple(labels.shape)}")
    if given:
        return -(labels * scores).sum(-1)
    return -scores.gather(-1, labels.to(torch.int64)[..., None])[..., 0]


def squared_error(outputs: torch.Tensor, y: Targets) -> torch.Tensor:
    """Mean over the outputs (B, K) of the squared difference to y: (B, K) or (B,) real, or one-hot of int64; (B,)."""
    labels = labels_of(y)
    _with_classes("mse", outputs)
    if not labels.dtype.is_floating_point:
        # Not one_hot, which does not work under vmap.
        labels = (labels[..., None] == torch.arange(outputs.shape[-1], device=outputs.device)).to(outputs.dtype)
    elif labels.ndim == outputs.ndim - 1 and outputs.shape[-1] == 1:
        labels = labels[..., None]
    if labels.shape != outputs.shape:
        raise ValueError(f"mse needs targets of shape {tuple(outputs.shape)}, got {tuple(labels.shape)}")
    return (outputs - labels).square().flatten(1).mean(1)


def correct(outputs: torch.Tensor, y: Targets) -> torch.Tensor:
    """Whether the largest output is the label's, (B,) float; nan where an output is."""
    right = (_with_classes("accuracy", outputs).argmax(-1) == labels_of(y)).to(outputs.dtype)
    return torch.where(outputs.isnan().any(-1), torch.nan, right)


LOSSES = {"cross_entropy": cross_entropy, "mse": squared_error}


def resolve_loss(loss: Loss) -> Callable[..., torch.Tensor]:
    """The function ``f(outputs, y) -> (B,)`` of a name; a function is returned as it is."""
    if callable(loss):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)} or a function of (outputs, y); got {loss!r}")
    return LOSSES[loss]


def resolve_metrics(
    metrics: Sequence, loss: Loss, y: Targets, stacked: bool = False
) -> dict[str, Callable[..., torch.Tensor]]:
    """Functions ``f(outputs, y) -> (B,)`` by name. Accuracy is left out where the labels are not integers (n,).

    ``stacked`` says that y has a dimension of members in front.
    """
    labels = labels_of(y)
    classes = not (labels.dtype.is_floating_point or labels.is_complex()) and labels.ndim == 1 + stacked
    found: dict[str, Callable[..., torch.Tensor]] = {}
    single = isinstance(metrics, str) or callable(metrics)
    for metric in (metrics,) if single else _validate.sequence("metrics", metrics, 0):
        name = getattr(metric, "__name__", "metric") if callable(metric) else metric
        if not callable(metric) and metric not in ("loss", "accuracy"):
            raise ValueError(f"metrics must be 'loss', 'accuracy' or functions of (outputs, y); got {metric!r}")
        if name in found:
            raise ValueError(f"metrics must have names of their own (__name__ of a function), got {name!r} twice")
        if callable(metric):
            found[name] = metric
        elif metric == "loss":
            found[name] = resolve_loss(loss)
        elif classes:
            found[name] = correct
    return found


def check_labels(y: Targets, outputs: torch.Tensor, functions: Iterable[Callable]) -> None:
    """Labels are classes of the outputs (B, K), where a loss or metric of this module takes them for such.

    Beyond them a one-hot target is zero and no prediction is right: nothing else would say so.
    """
    labels = labels_of(y)
    if labels.dtype.is_floating_point or not any(f in (cross_entropy, squared_error, correct) for f in functions):
        return
    if labels.is_complex():
        raise ValueError(f"labels must be integers or real numbers for this loss, got {labels.dtype}")
    low, high, classes = int(labels.min()), int(labels.max()), _with_classes("a loss by name", outputs).shape[-1]
    if low < 0 or high >= classes:
        raise ValueError(f"labels must be in 0..{classes - 1}, the model's outputs; got {low}..{high}")


def check_objective(value: torch.Tensor) -> torch.Tensor:
    """An objective must return a tensor (): what a step is taken on."""
    shape = getattr(value, "shape", None)
    if not isinstance(value, torch.Tensor) or shape != ():
        got = f"shape {tuple(shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"objective must return a tensor of shape (), got {got}")
    return value


def check_values(values: torch.Tensor, n: int) -> torch.Tensor:
    """A loss must return one value per example: a mean would be weighted wrongly in silence."""
    shape = getattr(values, "shape", None)
    if shape != (n,):
        got = type(values).__name__ if shape is None else tuple(shape)
        raise ValueError(f"loss must return one value per example, shape ({n},), got {got}")
    return values
