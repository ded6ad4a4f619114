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
