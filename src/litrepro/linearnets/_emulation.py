"""The end-to-end update rule, iterated."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments
from litrepro.linearnets._induced import check_start, direction


def emulate(
    grad: Callable[[torch.Tensor], torch.Tensor],
    W: torch.Tensor,
    *,
    depth: int,
    lr: float | torch.Tensor,
    steps: int,
    weight_decay: float = 0.0,
    every: int = 1,
) -> torch.Tensor:
    """Iterate the end-to-end rule W <- (1 - lr lambda N) W - lr induced_direction(W, grad(W), N).

    Parameters
    ----------
    grad
        ``(..., k, d) -> (..., k, d)``: gradient of the loss with respect to the end-to-end matrix.
    W
        (..., k, d): start; not modified.
    depth
        N >= 1.
    lr
        Step size: a positive number, or a tensor of the batch shape (...).
    steps
        Number of steps, >= 0.
    weight_decay
        lambda >= 0, as applied to every factor.
    every
        Record every so many steps.

    Returns
    -------
    (steps//every + 1, ..., k, d), the start first. A trial that diverges becomes inf or nan by itself.

    Raises
    ------
    ValueError
        Bad sizes or hyperparameters, a ``grad`` that returns another shape; with several outputs another dtype than
        float32 and float64.

    Source: Arora, Cohen and Hazan 2018, theorem 1 (equation 10), discretized.

    Examples
    --------
    >>> import torch
    >>> target = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    >>> start = torch.tensor([[0.1, 0.1]], dtype=torch.float64)
    >>> path = emulate(lambda W: W - target, start, depth=2, lr=0.1, steps=200)
    >>> path.shape, bool((path[-1] - target).norm() < 1e-6)
    (torch.Size([201, 1, 2]), True)
    """
    _validate.function("grad", grad)
    depth = _validate.positive_int("depth", depth)
    check_start("W", W, depth)
    steps = _validate.positive_int("steps", steps, 0)
    every = _validate.positive_int("every", every)
    decay = _validate.real("weight_decay", weight_decay, 0)
    lr = _arguments.per_trial("lr", lr, W)
    w = W.detach()
    record = w.new_empty(steps // every + 1, *w.shape)
    record[0] = w
    for step in range(1, steps + 1):
        moved = lr * direction(w, _arguments.gradient_at(grad, w), depth)
        w = (w - lr * (decay * depth) * w if decay else w) - moved
        if step % every == 0:
            record[step // every] = w
    return record
