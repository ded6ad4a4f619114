"""How far training and the end-to-end rule drift apart at finite step sizes, after one time of flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.linearnets._emulation import emulate
from litrepro.linearnets._factors import balance_gap, balanced_factors, end_to_end
from litrepro.linearnets._training import train_factors


class EmulationErrors(NamedTuple):
    """Per step size: ``gap (E, ...)``, ``distance (E, ...)``, ``trained (E, ..., k, d)``.

    Examples
    --------
    >>> import torch
    >>> start = torch.eye(2, dtype=torch.float64)
    >>> errors = emulation_errors(lambda W: W - 2, start, 2, lrs=[0.1, 0.05])
    >>> errors.gap.shape, errors.distance.shape, errors.trained.shape
    (torch.Size([2]), torch.Size([2]), torch.Size([2, 2, 2]))
    """

    gap: torch.Tensor
    distance: torch.Tensor
    trained: torch.Tensor


def emulation_errors(
    grad: Callable[[torch.Tensor], torch.Tensor],
    W: torch.Tensor,
    depth: int,
    *,
    lrs: Sequence[float],
    time: float = 1.0,
    weight_decay: float = 0.0,
) -> EmulationErrors:
    """Train balanced factors of ``W`` and iterate the end-to-end rule from it, at several step sizes to one flow time.

    For infinitesimal steps factors stay balanced and both products coincide; with finite ones both errors are
    proportional to the step.

    Parameters
    ----------
    grad
        ``(..., k, d) -> (..., k, d)``: gradient of the loss with respect to the end-to-end matrix.
    W
        (..., k, d): start; not modified.
    depth
        N >= 1.
    lrs
        E positive step sizes.
    time
        Step size times number of steps, in the units of the step size; the number is rounded, and at least 1.
    weight_decay
        lambda >= 0, of every factor.

    Returns
    -------
    ``EmulationErrors``: the ``balance_gap`` of the trained factors, the Frobenius distance of their product
    from the emulated matrix, and that product.

    Raises
    ------
    ValueError
        What ``emulate`` and ``train_factors`` refuse, no step sizes, a time that is not positive.

    Source: Arora, Cohen and Hazan 2018, theorem 1.

    Examples
    --------
    >>> import torch
    >>> start, target = torch.eye(2, dtype=torch.float64), torch.tensor([[1.0, 0.5], [0.0, 2.0]], dtype=torch.float64)
    >>> gap, distance, _ = emulation_errors(lambda W: W - target, start, 2, lrs=[1e-2, 1e-3])
    >>> [round((error[0] / error[1]).item()) for error in (gap, distance)]  # ten times the step, ten times the error
    [10, 10]
    """
    lrs = [_validate.real("lrs", lr, 0, open_low=True) for lr in _validate.sequence("lrs", lrs)]
    time = _validate.real("time", time, 0, open_low=True)
    factors = balanced_factors(W, depth)
    gaps, distances, ends = [], [], []
    for lr in lrs:
        steps = max(1, round(time / lr))
        settings = {"lr": lr, "steps": steps, "every": steps, "weight_decay": weight_decay}
        _, last = train_factors(grad, factors, **settings)
        ruled = emulate(grad, W, depth=depth, **settings)[-1]
        ends.append(end_to_end(last))
        gaps.append(balance_gap(last))
        distances.append(torch.linalg.matrix_norm(ends[-1] - ruled))
    return EmulationErrors(torch.stack(gaps), torch.stack(distances), torch.stack(ends))
