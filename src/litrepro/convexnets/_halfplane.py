"""The half plane that agrees best with signed weights, exactly."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from litrepro.convexnets import _arguments

SAME_ANGLE = 1e-12  # radians: points that a rotating line meets together


class HalfPlane(NamedTuple):
    """v (3,) and value = sum_t q_t sign(v.[x_t, 1])."""

    v: Tensor
    value: float


def unit_sign(x: Tensor) -> Tensor:
    """sign(x) with sign(0) = 1, in the dtype of x: the one place where the tie is resolved."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def extend(X: Tensor) -> Tensor:
    """[x, 1] for X (n, d)."""
    return torch.cat([X, torch.ones_like(X[:, :1])], 1)


def best_halfplane(X: Tensor, q: Tensor) -> HalfPlane:
    """The exact maximum over v of |sum_t q_t sign(v.[x_t, 1])| for points in the plane.

    A line that separates two sets of points can be moved until it touches one of them. So a line is rotated about every
    point: sorted angles and cumulative sums give the value between any two events, O(n^2 log n) in all (Bengio et al.
    2005 need the same maximization; the review counts O(n^3)). The constant classifier is a candidate. Exact as far as
    directions can be told apart: points that a line meets within 1e-12 radians of each other are met together.

    Parameters
    ----------
    X, q
        (n, 2) points and (n,) weights of either sign, floating point.

    Returns
    -------
    HalfPlane
        v attains +value, and no point lies on its line.

    Raises
    ------
    ValueError
        Points that are not in the plane, lengths that differ, values that are not finite.

    Examples
    --------
    >>> import torch
    >>> X = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> best_halfplane(X, torch.tensor([1.0, -1.0, -1.0, 1.0])).value
    2.0
    """
    X, q = _arguments.data(X, q, names=("X", "q"))
    if X.ndim != 2 or X.shape[1] != 2 or q.ndim != 1:
        raise ValueError(f"X must be (n, 2) and q (n,), got {tuple(X.shape)} and {tuple(q.shape)}")
    constant = torch.tensor([0.0, 0.0, 1.0 if q.sum() >= 0 else -1.0], dtype=X.dtype, device=X.device)
    best = HalfPlane(constant, q.sum().abs().item())
    difference = X[None, :, :] - X[:, None, :]  # from pivot i to point j
    here = (difference == 0).all(-1)
    if bool(here.all()):
        return best
    sums, angles, valid = _rotate(difference, here, q)
    pivot_weight = (here * q).sum(1)
    side = torch.tensor([1.0, -1.0], dtype=X.dtype, device=X.device)
    values = sums[:, :, None] + pivot_weight[:, None, None] * side
    values = torch.where(valid[:, :, None], values.abs(), -torch.inf)
    flat = int(values.argmax())
    i, k, s = flat // (2 * values.shape[1]), flat // 2 % values.shape[1], flat % 2
    normal = torch.stack([-angles[i, k].sin(), angles[i, k].cos()])
    margin = (difference[i][~here[i]] @ normal).abs().min() / 2
    v = torch.cat([normal, (side[s] * margin - normal @ X[i])[None]])
    value = (q * unit_sign(extend(X) @ v)).sum()
    if value < 0:
        v, value = -v, -value
    return HalfPlane(v, value.item()) if value > best.value else best


def _rotate(difference: Tensor, here: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For every pivot and every interval between two events: the sum over other points, an angle, whether it exists."""
    full = torch.atan2(difference[..., 1], difference[..., 0])
    above = (full >= 0) & (full < math.pi)
    angle = torch.where(above, full, torch.where(full < 0, full + math.pi, full - math.pi))
    signed = torch.where(above, q, -q).masked_fill(here, 0.0)
    angle = angle.masked_fill(here, torch.inf)
    angle, order = angle.sort(dim=1)
    signed = signed.gather(1, order)
    total = signed.sum(1, keepdim=True)
    passed = torch.cat([torch.zeros_like(total), signed.cumsum(1)[:, :-1]], 1)
    # Before the first event the line is where it is after the last one, half a turn earlier.
    last = angle.masked_fill(angle.isinf(), -torch.inf).amax(1, keepdim=True) - math.pi
    before = torch.cat([last, angle[:, :-1]], 1)
    valid = angle.isfinite() & (angle - before > SAME_ANGLE)
    middle = torch.where(valid, (angle + before) / 2, 0.0)
    return total - 2 * passed, middle, valid
