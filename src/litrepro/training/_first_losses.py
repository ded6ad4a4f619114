"""The first steps of a training, in which a step size that is too large shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro.training._batches import check_data


def first_losses(
    model: nn.Module,
    train: tuple[torch.Tensor, torch.Tensor],
    batches: Sequence[torch.Tensor],
    *,
    lr: float,
    momentum: float = 0.9,
) -> torch.Tensor:
    """Cross-entropy of a classifier before each step of SGD, up to the first that is not finite.

    Parameters
    ----------
    model
        ``(B, ...) -> (B, K)`` on the device of the data, trained in place.
    train
        (x (n, ...), labels (n,) int64).
    batches
        Indices of the examples of every step, such as the function ``batches`` returns them.
    lr, momentum
        Numbers >= 0.

    Returns
    -------
    (S,) float64 on the CPU, S at most the number of batches: the last one is nan where a loss is not finite, and no
    step follows.

    Raises ``ValueError`` for what is no module, data that do not fit, no batches, and negative settings.

    Examples
    --------
    >>> x, labels = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
    >>> both = torch.tensor([0, 1])
    >>> first_losses(nn.Linear(1, 2), (x, labels), [both, both, both], lr=1.0).diff().sign().tolist()
    [-1.0, -1.0]
    """
    _validate.instance("model", model, nn.Module)
    x, labels, _ = check_data("train", train)
    _validate.integer_tensor("labels", labels, 1)
    batches = [_validate.integer_tensor("batches", part, 1) for part in _validate.sequence("batches", batches)]
    lr, momentum = _validate.real("lr", lr, 0), _validate.real("momentum", momentum, 0)
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=momentum)
    losses: list[float] = []
    model.train()
    for chosen in batches:
        loss = functional.cross_entropy(model(x[chosen]).float(), labels[chosen])
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            losses[-1] = math.nan
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.tensor(losses, dtype=torch.float64, device="cpu")
