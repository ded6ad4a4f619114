"""Scales that lose no digit."""

from __future__ import annotations

import torch


def binary_scale(x: torch.Tensor, dim: int) -> torch.Tensor:
    """The power of two just below the largest magnitude along ``dim``, which stays with length 1; 1 for a zero fibre.

    Divided by it, squares neither overflow nor vanish, and no digit is lost.
    """
    if not x.numel():
        return torch.ones_like(x.sum(dim, keepdim=True))
    largest = x.detach().abs().amax(dim, keepdim=True)
    power = largest / (2 * torch.frexp(largest).mantissa)  # exact, and finite where 2^exponent is not
    return torch.where((largest > 0) & largest.isfinite(), power, 1.0)


def vanishes(value: float, dtype: torch.dtype) -> bool:
    """Whether ``dtype`` rounds a number >= 0 to 0: it is at most half the smallest number that is not."""
    info = torch.finfo(dtype)
    return value <= info.smallest_normal * info.eps / 2


def length(x: torch.Tensor, dim: int = -1, *, keepdim: bool = False) -> torch.Tensor:
    """|x| along ``dim``, also where the squares of the entries are 0 or inf; elsewhere ``x.norm`` to the last digit."""
    found = torch.linalg.vector_norm(x, dim=dim, keepdim=keepdim)
    if _ordinary(found):
        return found
    scale = binary_scale(x, dim)
    found = torch.linalg.vector_norm(x / scale, dim=dim, keepdim=True) * scale
    return found if keepdim else found.squeeze(dim)


def root(x: torch.Tensor) -> torch.Tensor:
    """The root of x >= 0 whose slope at 0 is 0, as that of a length: an infinite one, times 0, would be nan."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), x.detach())


def _ordinary(lengths: torch.Tensor) -> bool:
    """Whether no length can have lost digits to its squares: a look that costs less than a scale, in loops.

    Not taken on a GPU, which would have to be waited for: there the scale costs less.
    """
    if not lengths.numel():
        return True
    if lengths.device.type != "cpu":
        return False
    try:
        least, most = (each.item() for each in torch.aminmax(lengths.detach()))
    except RuntimeError:  # under vmap there are no values to look at
        return False
    limits = torch.finfo(lengths.dtype)
    return least > limits.tiny**0.5 / limits.eps and most < torch.inf
