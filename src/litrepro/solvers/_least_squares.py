"""Least squares, batched: the shortest minimizer, or ridge regression."""

from __future__ import annotations

import math

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale


def least_squares(A: torch.Tensor, b: torch.Tensor, *, ridge: float = 0.0, rcond: float | None = None) -> torch.Tensor:
    """Minimizer x (..., n) of ||A x - b||^2 + ridge ||x||^2 for ``A (..., m, n)``, ``b (..., m)``.

    By singular value decomposition, so that any rank will do: with ``ridge = 0`` the result is the minimizer of least
    norm. Singular values up to ``rcond`` times the largest count as zero (default: max(m, n) times the precision).
    Each matrix of a batch may have a size of its own, whether or not its square can be represented.

    Raises ``ValueError`` for shapes, dtypes or devices that do not fit, tensors that are not float32 or float64 or not
    finite, a negative ridge or a negative rcond.

    Examples
    --------
    >>> import torch
    >>> least_squares(torch.ones(3, 1), torch.tensor([1.0, 2.0, 6.0])).round(decimals=4)  # the mean
    tensor([3.])
    >>> least_squares(torch.ones(1, 2), torch.tensor([2.0])).round(decimals=4)  # of all solutions the shortest
    tensor([1., 1.])
    """
    _validate.decomposable("A", A)
    _validate.decomposable("b", b, 1)
    _validate.same_kind(A=A, b=b)
    ridge = _validate.real("ridge", ridge, 0)
    if b.shape != A.shape[:-1]:
        raise ValueError(f"b must have shape {tuple(A.shape[:-1])} to go with A {tuple(A.shape)}, got {tuple(b.shape)}")
    if rcond is None:
        rcond = max(A.shape[-2:]) * torch.finfo(A.dtype).eps
    rcond = _validate.real("rcond", rcond, 0)
    if rcond >= torch.finfo(A.dtype).eps and _squares_are_safe(A):
        u, s, vh = torch.linalg.svd(A, full_matrices=False)
        kept = s > rcond * s[..., :1]
        weight = torch.where(kept, s / torch.where(kept, s.square() + ridge, 1.0), 0.0)
        return (vh.mT @ (weight[..., None] * (u.mT @ b[..., None])))[..., 0]
    scale = _unit(A, ridge)
    u, s, vh = torch.linalg.svd(A / scale[..., None], full_matrices=False)
    kept = s > rcond * s[..., :1]
    s, ridge = torch.where(kept, s, 1.0), ridge / scale / scale
    square = s.square() + ridge
    # Of one so small that its square vanishes the weight is taken in another way.
    weight = torch.where(square < torch.finfo(A.dtype).tiny, 1 / (s + ridge / s), s / square)
    weight = torch.where(kept, weight, 0.0)
    return (vh.mT @ (weight[..., None] * (u.mT @ b[..., None])))[..., 0] / scale


def _squares_are_safe(A: torch.Tensor) -> bool:
    """Whether singular values down to the precision of the largest can be squared, in every matrix of the batch."""
    if not A.numel():
        return True
    low, high = torch.aminmax(A.abs().amax((-2, -1)))
    kind = torch.finfo(A.dtype)
    edge = kind.tiny**0.5 / kind.eps
    return low.item() > edge and high.item() < 1 / edge


def _unit(A: torch.Tensor, ridge: float) -> torch.Tensor:
    """Powers of two (..., 1), in units of which the entries and the ridge are moderate: the same digits come out."""
    scale = binary_scale(A.flatten(-2), -1)
    return scale.clamp(min=2.0 ** (math.frexp(ridge)[1] // 2)) if ridge > 0 else scale
