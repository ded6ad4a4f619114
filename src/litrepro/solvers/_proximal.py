"""Proximal maps and projections: thresholds of entries, groups and singular values; the l1 ball.

The proximal map of a function f with step t takes x to the minimizer of t f(z) + ||z - x||^2 / 2. Everything is batched
over leading dimensions and follows the dtype and device of its input.
"""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale

FAR = 100.0  # an entry of so many times the radius would cost the projection on the l1 ball two digits


def soft_threshold(x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
    """Proximal map of t ||.||_1: sign(x) max(|x| - t, 0), of the shape of x.

    ``t >= 0`` is a number or a tensor that broadcasts against ``x (...)``. Raises ``ValueError`` for a negative or nan
    threshold and for shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> soft_threshold(torch.tensor([3.0, -0.5, -2.0]), 1.0)
    tensor([ 2.,  0., -1.])
    """
    _validate.float_tensor("x", x)
    return shrink(x, _threshold(t, x, x.shape))


def group_soft_threshold(x: torch.Tensor, t: float | torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Proximal map of t times the sum of Euclidean norms along ``dim``: every group is shortened by t, or becomes zero.

    Parameters
    ----------
    x
        (...); the groups are its fibres along ``dim``. A zero group stays zero.
    t
        ``>= 0``: a number, or a tensor that broadcasts against x with ``dim`` kept at length 1.

    Raises ``ValueError`` for a negative or nan threshold, a ``dim`` that x does not have, and shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> group_soft_threshold(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 2.5)  # groups of norm 5 and 0.5
    tensor([[1.5000, 2.0000],
            [0.0000, 0.0000]])
    """
    _validate.float_tensor("x", x, 1)
    if isinstance(dim, bool) or not isinstance(dim, int) or not -x.ndim <= dim < x.ndim:
        raise ValueError(f"dim must be an integer in [{-x.ndim}, {x.ndim - 1}], got {dim!r}")
    shape = list(x.shape)
    shape[dim] = 1
    scale = binary_scale(x, dim)
    return shrink_groups(x / scale, _threshold(t, x, tuple(shape)) / scale, dim) * scale


def singular_value_threshold(X: torch.Tensor, t: float | torch.Tensor, psd: bool = False) -> torch.Tensor:
    """Proximal map of t times the nuclear norm: the singular values of ``X (..., p, q)`` are shrunk by ``t (...)``.

    Batch dimensions of X and t broadcast. With ``psd`` the map is that of the nuclear norm restricted to positive
    semidefinite matrices: X is symmetrized and its eigenvalues w become max(w - t, 0). A matrix that is not finite
    becomes nan, without disturbing the others. Not differentiable where singular values (eigenvalues) repeat. Raises
    ``ValueError`` for a negative or nan threshold, batch dimensions that do not broadcast, matrices that are neither
    float32 nor float64, and some that are not square where ``psd`` asks for it.

    Examples
    --------
    >>> import torch
    >>> X = singular_value_threshold(torch.tensor([[0.0, 3.0], [1.0, 0.0]]), 2.0)  # singular values 3, 1 become 1, 0
    >>> X.abs().round(decimals=4)
    tensor([[0., 1.],
            [0., 0.]])
    """
    _validate.float_tensor("X", X, 2)
    if X.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"X must be float32 or float64, got {X.dtype}")
    if psd and X.shape[-1] != X.shape[-2]:
        raise ValueError(f"psd needs square matrices, got shape {tuple(X.shape)}")
    t = _threshold(t, X, X.shape[:-2], shared=True)[..., None]
    shrunk = shrink_eigenvalues if psd else shrink_singular_values
    finite = X.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
    if bool(finite.all()):
        return shrunk(X, t)
    return torch.where(finite, shrunk(torch.where(finite, X, 0.0), t), torch.nan)  # decompositions refuse the others


def hard_threshold(x: torch.Tensor, s: int) -> torch.Tensor:
    """The best s-term approximation of ``x (..., n)``: the s entries largest in magnitude stay, the rest is zero.

    Exactly s entries are kept (of tied ones any). Raises ``ValueError`` for s outside [1, n].

    Examples
    --------
    >>> import torch
    >>> hard_threshold(torch.tensor([3.0, -0.5, -2.0]), 2)
    tensor([ 3.,  0., -2.])
    """
    _validate.float_tensor("x", x, 1)
    s = _validate.positive_int("s", s)
    if s > x.shape[-1]:
        raise ValueError(f"s must be in [1, {x.shape[-1]}], got {s}")
    index = x.abs().topk(s, dim=-1).indices
    return torch.zeros_like(x).scatter(-1, index, x.gather(-1, index))


def project_l1_ball(x: torch.Tensor, radius: float | torch.Tensor) -> torch.Tensor:
    """Euclidean projection of ``x (..., n)`` on the ball of ||.||_1 with ``radius >= 0``, a number or (...).

    Batch dimensions of x and radius broadcast. Exact, by sorting: the threshold is theta = max_j (|x|_(1) + ... +
    |x|_(j) - radius) / j over the decreasing rearrangement (Duchi, Shalev-Shwartz, Singer and Chandra 2008), also
    where x is so large that theta and its entries agree in their digits. Points inside the ball are returned unchanged.
    Raises ``ValueError`` for a negative or nan radius and batch dimensions that do not broadcast.

    Examples
    --------
    >>> import torch
    >>> project_l1_ball(torch.tensor([[3.0, -1.0], [0.25, 0.25]]), 2.0)
    tensor([[2.0000, 0.0000],
            [0.2500, 0.2500]])
    """
    _validate.float_tensor("x", x, 1)
    if x.shape[-1] < 1:
        raise ValueError(f"x must have shape (..., n) with n >= 1, got {tuple(x.shape)}")
    radius = _threshold(radius, x, x.shape[:-1], "radius", shared=True)[..., None]
    magnitude = x.abs()
    largest_first = magnitude.sort(dim=-1, descending=True).values
    counts = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    # The projection only depends on how far the entries lie below the largest. Far outside the ball theta would round
    # that away, so that there it is counted from the largest; the differences are exact where they are small.
    largest = largest_first[..., :1].detach()
    level = torch.where(largest > FAR * radius, largest, 0.0)
    theta = (((largest_first - level).cumsum(-1) - radius) / counts).amax(-1, keepdim=True)
    excess = (magnitude - level) - torch.maximum(theta, -level)
    inside = magnitude.sum(-1, keepdim=True) <= radius
    return torch.where(inside, x, x.sign() * excess.clamp(min=0) + 0.0)  # 0.0: no zero is negative


# --- the same maps without checks, for inner loops ------------------------------------------------------------------


def shrink(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """``soft_threshold`` for a valid threshold: x minus its projection on the box [-t, t]."""
    return x - torch.minimum(torch.maximum(x, -t), t)


def shrink_groups(x: torch.Tensor, t: torch.Tensor, dim: int) -> torch.Tensor:
    """``group_soft_threshold`` for a valid threshold."""
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    # A zero group would divide by zero: its factor is zero whatever t is.
    return x * ((norm - t).clamp(min=0) / torch.where(norm > 0, norm, 1.0))


def shrink_eigenvalues(X: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Symmetric part of ``X (..., d, d)`` with eigenvalues max(w - t, 0); ``t (..., 1)``."""
    w, v = torch.linalg.eigh((X + X.mT) / 2)
    return (v * (w - t).clamp(min=0)[..., None, :]) @ v.mT


def shrink_singular_values(X: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """``X (..., p, q)`` with singular values max(s - t, 0); ``t (..., 1)``."""
    u, s, vh = torch.linalg.svd(X, full_matrices=False)
    return (u * (s - t).clamp(min=0)[..., None, :]) @ vh


def _threshold(
    t: float | torch.Tensor, like: torch.Tensor, shape: tuple[int, ...], name: str = "t", *, shared: bool = False
) -> torch.Tensor:
    """A threshold that is not negative, of the dtype and device of ``like``; it broadcasts to ``shape``, and where that
    may be ``shared`` by several thresholds with it."""
    if isinstance(t, torch.Tensor):
        if t.dtype.is_complex:
            raise ValueError(f"{name} must be real, got {t.dtype}")
        t = t.to(like)
        try:
            common = torch.broadcast_shapes(t.shape, shape)
        except RuntimeError:
            common = None
        if common is None or (common != torch.Size(shape) and not shared):
            to = "with" if shared else "to"
            raise ValueError(f"{name} must broadcast {to} {tuple(shape)}, got shape {tuple(t.shape)}")
        if not bool((t >= 0).all()):
            raise ValueError(f"{name} must be non-negative everywhere")
        return t
    return torch.tensor(_validate.real(name, t, 0), dtype=like.dtype, device=like.device)
