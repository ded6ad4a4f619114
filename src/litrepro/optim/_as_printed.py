"""Formulas of the momentum review exactly as they are printed, for the checks that tell them from the right ones."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate


def adam_moment_as_printed(g: torch.Tensor, beta: float) -> torch.Tensor:
    """Section 3.2's recursion m_t = (beta m_{t-1} + (1 - beta) g_t)/(1 - beta^t), which divides at every step.

    ``g (t, ...)``, t >= 1; returns m_1 ... m_t, (t, ...). Raises ``ValueError`` for other g and a beta outside [0, 1).

    Examples
    --------
    >>> import torch
    >>> adam_moment_as_printed(torch.ones(3), 0.5)  # Adam's would be 1 throughout
    tensor([1.0000, 1.3333, 1.3333])
    """
    beta = _check(g, beta)
    m, moments = torch.zeros_like(g[0]), []
    for t in range(1, len(g) + 1):
        m = (beta * m + (1 - beta) * g[t - 1]) / (1 - beta**t)
        moments.append(m)
    return torch.stack(moments)


def average_as_printed(g: torch.Tensor, beta: float) -> torch.Tensor:
    """Section 4's sum over i of beta^(t-1) (1 - beta) g_i (exponent t - 1, not t - i) at the last step, g (t, ...).

    Raises ``ValueError`` as ``adam_moment_as_printed``.

    Examples
    --------
    >>> import torch
    >>> average_as_printed(torch.ones(3), 0.5).item()  # the weights add up to less than 1
    0.375
    """
    beta = _check(g, beta)
    return beta ** (len(g) - 1) * (1 - beta) * g.sum(0)


def nadam_as_printed(
    grad: Callable[[torch.Tensor], torch.Tensor],
    x0: torch.Tensor,
    lr: float,
    steps: int,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> torch.Tensor:
    """Section 3.3: Adam with its gradient taken at x - lr m/V (no root, no beta1): x (steps + 1, ..., d).

    ``eps`` is added to the denominators, as in Adam, so that the first step is defined.

    Examples
    --------
    >>> import torch
    >>> path = nadam_as_printed(lambda x: x, torch.ones(1), 0.1, 5)
    >>> path.shape, round(path[1].item(), 4)
    (torch.Size([6, 1]), 0.9)
    """
    steps = _validate.positive_int("steps", steps)
    _validate.function("grad", grad)
    _validate.float_tensor("x0", x0, 1)
    lr, eps = _validate.real("lr", lr, 0), _validate.real("eps", eps, 0)
    beta1, beta2 = (_validate.real("beta", beta, 0, 1, open_high=True) for beta in (beta1, beta2))
    x, path = x0.clone(), [x0.clone()]
    m = v = torch.zeros_like(x)
    for t in range(1, steps + 1):
        ahead = x - lr * (m / (1 - beta1 ** max(t - 1, 1))) / (v / (1 - beta2 ** max(t - 1, 1)) + eps)
        g = grad(ahead)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        x = x - lr * (m / (1 - beta1**t)) / (torch.sqrt(v / (1 - beta2**t)) + eps)
        path.append(x)
    return torch.stack(path)


def _check(g: torch.Tensor, beta: float) -> float:
    if not len(_validate.float_tensor("g", g, 1)):
        raise ValueError(f"g must have at least one step, got shape {tuple(g.shape)}")
    return _validate.real("beta", beta, 0, 1, open_high=True)
