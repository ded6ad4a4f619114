"""Full-batch descent on an ensemble of starts: what the closed forms and convex programs are compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from litrepro import _validate


def descend(
    objective: Callable[..., Tensor], parameters: Sequence[Tensor], *, steps: int, lr: float, floor: float = 1e-3
) -> tuple[list[Tensor], Tensor]:
    """Minimize ``objective(*parameters) -> (...)`` by Adam, all members of the leading batch dimensions at once.

    The rate falls from ``lr`` to ``lr * floor`` along a cosine, which lets the iterates settle. Adam works entry by
    entry, so members do not influence each other. Returns the parameters and the final objectives (...). Raises
    ``ValueError`` for steps < 1, lr <= 0, floor < 0, an objective without gradient.

    Examples
    --------
    >>> import torch
    >>> (x,), value = descend(lambda x: (x - 1).square().sum(-1), [torch.zeros(2, 3)], steps=300, lr=0.1)
    >>> value.shape, bool((value < 1e-4).all())
    (torch.Size([2]), True)
    """
    steps, lr = _validate.positive_int("steps", steps), _validate.real("lr", lr, 0, open_low=True)
    floor, objective = _validate.real("floor", floor, 0), _validate.function("objective", objective)
    try:
        parts = list(parameters)
    except TypeError:
        raise ValueError(f"parameters must be a sequence of tensors, got {type(parameters).__name__}") from None
    leaves = [_validate.float_tensor("parameters", part).detach().clone().requires_grad_() for part in parts]

    def slopes(*at: Tensor) -> Sequence[Tensor]:
        with torch.enable_grad():
            value = objective(*at)
            if not isinstance(value, Tensor) or not value.requires_grad:
                raise ValueError(f"objective must give a tensor that depends on the parameters, got {value!r}")
            return torch.autograd.grad(value.sum(), at, allow_unused=True, materialize_grads=True)

    leaves = adam(slopes, leaves, steps=steps, lr=lr, floor=floor)
    return leaves, objective(*leaves)


@torch.no_grad()
def adam(
    slopes: Callable[..., Sequence[Tensor]], leaves: list[Tensor], *, steps: int, lr: float, floor: float = 1e-3
) -> list[Tensor]:
    """The loop of ``descend`` on ``leaves``, in place, for gradients ``slopes(*leaves)``; the leaves, detached.

    ``torch.optim.Adam`` with betas 0.9 and 0.99 as in-place kernels on all leaves: they are so small that its
    bookkeeping takes longer than its arithmetic.
    """
    first, second = ([torch.zeros_like(leaf, requires_grad=False) for leaf in leaves] for _ in range(2))
    for step in range(steps):
        rate = lr * (floor + (1 - floor) * (1 + math.cos(math.pi * step / steps)) / 2)
        gradients = slopes(*leaves)
        torch._foreach_lerp_(first, gradients, 0.1)
        torch._foreach_mul_(second, 0.99)
        torch._foreach_addcmul_(second, gradients, gradients, value=0.01)
        roots = torch._foreach_sqrt(second)
        torch._foreach_div_(roots, math.sqrt(1 - 0.99 ** (step + 1)))
        torch._foreach_add_(roots, 1e-8)
        torch._foreach_addcdiv_(leaves, first, roots, value=-rate / (1 - 0.9 ** (step + 1)))
    return [leaf.detach() for leaf in leaves]
