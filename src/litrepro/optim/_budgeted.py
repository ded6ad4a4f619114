"""Gradient descent with a number of steps of its own for every trial: a rival that may spend as much as another."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro.optim._accelerated_convex import gradient_of, start
from litrepro.optim._steps import expand_lr


def budgeted_descent(
    fn: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, *, lr: float | torch.Tensor, budget: torch.Tensor
) -> torch.Tensor:
    """Gradient descent that does not stop early: trial i takes ``budget[i]`` steps, all side by side.

    Parameters
    ----------
    fn
        Objective ``(..., d) -> (...)``, differentiable by torch, each trial by itself.
    x
        (..., d): start; not modified.
    lr
        Step size: a positive number, or one per trial (...).
    budget
        (...) integers >= 0: numbers of steps, each of one gradient.

    Returns
    -------
    (..., d): where the trials are after their steps. One that diverges becomes inf or nan by itself.

    Raises
    ------
    ValueError
        A start or a step size as in ``gradient_descent``, a budget that is negative, not integer or of another shape.

    Examples
    --------
    >>> import torch
    >>> x = torch.full((3, 1), 8.0)
    >>> budgeted_descent(lambda x: x.square().sum(-1) / 2, x, lr=0.5, budget=torch.tensor([0, 1, 3]))[:, 0]
    tensor([8., 4., 1.])
    """
    x = start(x)
    gradient = gradient_of(fn)
    lr = expand_lr(lr, x)
    _validate.integer_tensor("budget", budget)
    if budget.shape != x.shape[:-1] or bool((budget < 0).any()):
        raise ValueError(f"budget must be integers >= 0 of shape {tuple(x.shape[:-1])}, got {budget}")
    budget = budget.to(x.device)
    for step in range(int(budget.max()) if budget.numel() else 0):
        x = torch.where((step < budget)[..., None], x - lr * gradient(x), x)
    return x
