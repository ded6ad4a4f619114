"""Metrics of a model on a data set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from litrepro import _validate
from litrepro.training._batches import Targets, check_data, map_targets
from litrepro.training._losses import Loss, check_labels, check_values, resolve_metrics
from litrepro.training._modules import eval_mode

CHUNK = 1024
CACHED = 2**19  # numbers of input that go through convolutions on a CPU without leaving its cache


def evaluate(
    model: nn.Module,
    data: tuple[torch.Tensor, Targets],
    *,
    loss: Loss = "cross_entropy",
    metrics: Sequence = ("loss", "accuracy"),
    batch_size: int = CHUNK,
) -> dict[str, float]:
    """Means over a data set, in eval mode and without gradients; every module's mode is put back.

    Parameters
    ----------
    model
        A classifier, ``(B, ...) -> (B, K)``.
    data
        (x, y) with n examples on the model's device; y a tensor or a tuple of tensors, labels first.
    loss
        ``"cross_entropy"``, ``"mse"`` or ``f(outputs, y) -> (B,)``.
    metrics
        ``"loss"``, ``"accuracy"`` (left out where labels are not integers (n,), nan where outputs are), functions
        ``f(outputs, y) -> (B,)`` with names of their own.
    batch_size
        Examples at a time; the result does not depend on it.

    Raises
    ------
    ValueError
        A model that is no module, lengths that differ, batch_size < 1, unknown loss or metric, metrics of one name,
        examples that the model does not take, labels beyond its outputs, a loss that does not return one value per
        example.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> scores, labels = torch.eye(3), torch.tensor([0, 1, 0])
    >>> round(evaluate(nn.Identity(), (scores, labels), metrics=("accuracy",))["accuracy"], 3)
    0.667
    """
    _validate.instance("model", model, nn.Module)
    x, y, n = check_data("data", data)
    batch_size = _validate.positive_int("batch_size", batch_size)
    functions = resolve_metrics(metrics, loss, y)
    with eval_mode(model):
        totals = measure(model, x, y, n, functions, batch_size, check=True)
    return dict(zip(functions, totals.tolist()))


def rows_at_a_time(model: nn.Module, x: torch.Tensor, most: int) -> int:
    """How many examples x (n, ...) go through the model at once: ``most``, for convolutions on a CPU perhaps fewer."""
    if x.device.type != "cpu" or not has_convolutions(model):
        return most
    return min(most, max(32, CACHED // max(1, x[0].numel())))


def has_convolutions(model: nn.Module) -> bool:
    """Whether any of the model's layers is one."""
    return any(isinstance(module, nn.modules.conv._ConvNd) for module in model.modules())


@torch.no_grad()
def measure(
    model, x: torch.Tensor, y: Targets, n: int, functions: dict, batch_size: int | None = None, check: bool = False
) -> torch.Tensor:
    """Means of the metrics, one float64 each, on the device: nothing waits for them, unless labels are checked."""
    batch_size = batch_size or rows_at_a_time(model, x, CHUNK)
    totals = torch.zeros(len(functions), dtype=torch.float64, device=x.device)
    for start in range(0, n, batch_size):
        part = slice(start, start + batch_size)
        targets = map_targets(lambda value, part=part: value[part], y)
        if check and start == 0:
            outputs = _validate.answer("model", model, x[part])
            check_labels(y, outputs, functions.values())
        else:
            outputs = model(x[part])
        values = [check_values(f(outputs, targets), len(outputs)).double().sum() for f in functions.values()]
        if values:
            totals += torch.stack(values)
    return totals / n
