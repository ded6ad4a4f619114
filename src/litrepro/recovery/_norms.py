"""The norms that the recovery programs combine: value, Lipschitz constant, proximal map, random subgradients."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro.solvers import _proximal

NORMS = ("l1", "l12", "l12_rows", "nuclear")


def rank_tolerance(like: torch.Tensor) -> float:
    """Singular values and eigenvalues up to this share of the largest are rounding errors."""
    return max(1e-10, 100 * torch.finfo(like.dtype).eps)


def unit_scale(X: torch.Tensor) -> torch.Tensor:
    """Every matrix of ``X (..., p, q)`` over the power of two just below its largest entry: squares neither overflow
    nor vanish, and no digit is lost."""
    return X / binary_scale(X.flatten(-2), -1)[..., None]


class NormGeometry(NamedTuple):
    """``value (...)``: norm of the normalized matrix; ``lipschitz``: L, a float; ``kappa (...)`` = value / L.

    Examples
    --------
    >>> import torch
    >>> value, lipschitz, kappa = norm_geometry(torch.ones(2, 2), "l1")
    >>> round(value.item(), 4), lipschitz, round(kappa.item(), 4)
    (2.0, 2.0, 1.0)
    """

    value: torch.Tensor
    lipschitz: float
    kappa: torch.Tensor


def norm_geometry(X0: torch.Tensor, norm: str) -> NormGeometry:
    """How far a norm is from its largest possible value at ``X0 (..., p, q)``: kappa = ||X0 / ||X0||_F|| / L.

    L, the largest Euclidean norm of a subgradient anywhere, is sqrt(p q) for ``"l1"`` (entries), sqrt(q) for ``"l12"``
    (columns), sqrt(p) for ``"l12_rows"`` and sqrt(min(p, q)) for ``"nuclear"``. A small kappa means a pronounced
    structure: n kappa^2 is at most the number of nonzero entries, p times that of nonzero columns, max(p, q) times
    the rank (Oymak et al. 2015, section 2.2 and table II).

    Raises ``ValueError`` for another norm, for a matrix that is zero or not finite, and for half precision where the
    norm needs singular values.

    Examples
    --------
    >>> import torch
    >>> X = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    >>> norm_geometry(X, "l1").kappa.round(decimals=4)  # the first is sparse
    tensor([0.5000, 1.0000])
    >>> norm_geometry(X, "nuclear").kappa.round(decimals=4)  # both have rank one
    tensor([0.7071, 0.7071])
    """
    check_matrix("X0", X0, norm)
    X0 = unit_scale(X0)
    size = torch.linalg.matrix_norm(X0)
    if not bool(((size > 0) & torch.isfinite(size)).all()):
        raise ValueError("X0 must be finite, and non-zero everywhere in the batch")
    value = norm_value(X0 / size[..., None, None], norm)
    constant = lipschitz_constant(norm, *X0.shape[-2:])
    return NormGeometry(value, constant, value / constant)


def random_subgradient(
    X0: torch.Tensor, norm: str, *, extreme: bool = False, generator: torch.Generator | int | None = None
) -> torch.Tensor:
    """One random element of the subdifferential of ``norm`` at each ``X0 (..., p, q)``, of the shape of X0.

    A subgradient is fixed along the structure (signs, normalized columns or rows, U V') and free, within the dual unit
    ball, off it. There the draw has dual norm uniform on [0, 1], or 1 with ``extreme``: signs +-1, unit columns,
    partial isometries, the longest subgradients there are. ``generator`` is the source of randomness, or its seed (0 if
    None). Raises ``ValueError`` for another norm, a matrix that is empty or not finite, and for half precision where
    the norm needs singular values.

    Examples
    --------
    >>> import torch
    >>> X0 = torch.tensor([[3.0, 0.0], [0.0, -2.0]])
    >>> G = random_subgradient(X0, "l1")
    >>> G.diagonal(), bool(G.abs().max() <= 1)  # signs on the support
    (tensor([ 1., -1.]), True)
    """
    check_matrix("X0", X0, norm)
    _validate.finite(X0=X0)
    X0 = unit_scale(X0)  # a subgradient does not depend on the scale
    generator = _validate.random_source("generator", generator)
    noise = torch.randn(X0.shape, generator=generator, dtype=X0.dtype, device=generator.device).to(X0)
    scale = torch.rand(*X0.shape[:-2], 1, 1, generator=generator, dtype=X0.dtype, device=generator.device).to(X0)
    scale = torch.ones_like(scale) if extreme else scale
    if norm == "l1":
        free = noise.sign() if extreme else scale * noise / noise.abs().amax((-2, -1), keepdim=True)
        return torch.where(X0 != 0, X0.sign(), free)
    if norm in ("l12", "l12_rows"):
        dim = -2 if norm == "l12" else -1
        size = torch.linalg.vector_norm(X0, dim=dim, keepdim=True)
        free = scale * noise / torch.linalg.vector_norm(noise, dim=dim, keepdim=True)
        return torch.where(size > 0, X0 / torch.where(size > 0, size, 1.0), free)
    u, s, vh = torch.linalg.svd(X0, full_matrices=False)
    kept = (s > rank_tolerance(s) * s[..., :1]).to(X0)[..., None, :]
    u, v = u * kept, vh.mT * kept
    off = noise - u @ (u.mT @ noise)
    off = off - (off @ v) @ v.mT
    a, sizes, bh = torch.linalg.svd(off, full_matrices=False)
    top = sizes.amax(-1, keepdim=True)
    sizes = torch.where(sizes > rank_tolerance(s) * top, torch.ones_like(sizes) if extreme else sizes / top, 0.0)
    return u @ v.mT + scale * (a * sizes[..., None, :]) @ bh


def check_matrix(name: str, X: torch.Tensor, norm: str) -> None:
    """``X (..., p, q)`` with p, q >= 1 in a precision in which the norm can be computed."""
    _validate.choice("norm", norm, NORMS)
    _validate.float_tensor(name, X, 2)
    if 0 in X.shape[-2:]:
        raise ValueError(f"{name} must be (..., p, q) with p, q >= 1, got shape {tuple(X.shape)}")
    if norm == "nuclear" and X.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64 for the norm {norm!r}, got {X.dtype}")


def norm_value(X: torch.Tensor, norm: str) -> torch.Tensor:
    """The norm of every matrix of ``X (..., p, q)``: (...)."""
    if norm == "l1":
        return X.abs().sum((-2, -1))
    if norm in ("l12", "l12_rows"):
        return torch.linalg.vector_norm(X, dim=-2 if norm == "l12" else -1).sum(-1)
    return torch.linalg.svdvals(X).sum(-1)


def lipschitz_constant(norm: str, p: int, q: int) -> float:
    """Largest Euclidean norm of a subgradient of ``norm`` on p x q matrices."""
    return math.sqrt({"l1": p * q, "l12": q, "l12_rows": p, "nuclear": min(p, q)}[norm])


def proximal(X: torch.Tensor, norm: str, t: torch.Tensor, psd: bool) -> torch.Tensor:
    """Proximal map of t times the norm for ``X (B, p, q)``, ``t (B,)``; the nuclear norm's also enforces ``psd``."""
    if norm == "nuclear":
        return _proximal.shrink_eigenvalues(X, t[:, None]) if psd else _shrink_by_gram(X, t[:, None])
    t = t[:, None, None]
    if norm == "l1":
        return _proximal.shrink(X, t)
    return _proximal.shrink_groups(X, t, -2 if norm == "l12" else -1)


def _shrink_by_gram(X: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Singular values max(s - t, 0) for ``X (B, p, q)``, ``t (B, 1)``, from the smaller Gram matrix's eigenvectors.

    Several times faster than a singular value decomposition, and batched on every device. Squaring blurs singular
    values below 1e-8 of the largest; those are cut by any threshold of interest, and left alone by a threshold of 0.
    """
    wide = X.shape[-1] > X.shape[-2]
    Y = X.mT if wide else X
    w, v = torch.linalg.eigh(Y.mT @ Y)
    s = w.clamp(min=0).sqrt()
    factor = torch.where(s > t, 1 - t / torch.where(s > t, s, 1.0), 0.0)
    factor = torch.where(t > 0, factor, 1.0)
    Z = (Y @ v * factor[..., None, :]) @ v.mT
    return Z.mT if wide else Z
