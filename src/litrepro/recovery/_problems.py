"""Signals that are sparse and of low rank at once, and random linear measurements of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from litrepro import _validate

KINDS = ("gaussian", "quadratic")


def sparse_low_rank(
    d: int,
    k: int,
    rank: int = 1,
    *,
    batch: Sequence[int] = (),
    psd: bool = True,
    generator: torch.Generator | int | None = None,
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Random d x d matrices of a given rank that vanish outside a k x k block: (*batch, d, d), unit Frobenius norm.

    X0 is a multiple of U V' where U and V have Gaussian rows on a random k-subset of 1..d and zeros elsewhere. With
    ``psd`` V = U, so that X0 is positive semidefinite; otherwise V has a subset of its own. ``generator`` is the source
    of randomness, or its seed (0 if None); the result is on its device.

    Raises ``ValueError`` unless 1 <= rank <= k <= d, and for a dtype that is not floating.

    Examples
    --------
    >>> import torch
    >>> X = sparse_low_rank(10, 3, 2, batch=(4,))
    >>> X.shape, torch.linalg.matrix_rank(X).tolist(), (X != 0).any(-1).sum(-1).tolist()
    (torch.Size([4, 10, 10]), [2, 2, 2, 2], [3, 3, 3, 3])
    """
    d, k, rank = (_validate.positive_int(name, value) for name, value in (("d", d), ("k", k), ("rank", rank)))
    if not rank <= k <= d:
        raise ValueError(f"1 <= rank <= k <= d is required, got rank = {rank}, k = {k}, d = {d}")
    _validate.floating_dtype("dtype", dtype)
    generator, batch = _validate.random_source("generator", generator), _sizes(batch)
    u = _sparse_factor(d, k, rank, batch, generator, dtype)
    v = u if psd else _sparse_factor(d, k, rank, batch, generator, dtype)
    x = u @ v.mT
    return x / torch.linalg.matrix_norm(x)[..., None, None]


def linear_measurements(
    d: int,
    m: int,
    kind: str = "gaussian",
    *,
    batch: Sequence[int] = (),
    generator: torch.Generator | int | None = None,
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """m measurement matrices of size d x d: (*batch, m, d, d).

    ``"gaussian"``: independent standard Gaussian entries. ``"quadratic"``: z z' for a standard Gaussian z, so that the
    measurement of X is z' X z. ``generator`` is the source of randomness, or its seed (0 if None); the result is on its
    device. Raises ``ValueError`` for d or m below 1, another kind and a dtype that is not floating.

    Examples
    --------
    >>> import torch
    >>> A = linear_measurements(3, 5, "quadratic")
    >>> A.shape, torch.linalg.matrix_rank(A).tolist()
    (torch.Size([5, 3, 3]), [1, 1, 1, 1, 1])
    """
    d, m = _validate.positive_int("d", d), _validate.positive_int("m", m)
    _validate.choice("kind", kind, KINDS)
    _validate.floating_dtype("dtype", dtype)
    generator, batch = _validate.random_source("generator", generator), _sizes(batch)
    options = {"generator": generator, "dtype": dtype, "device": generator.device}
    if kind == "gaussian":
        return torch.randn(*batch, m, d, d, **options)
    z = torch.randn(*batch, m, d, **options)
    return z[..., :, None] * z[..., None, :]


def measure(A: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """Inner products <A_i, X>: (..., m) for ``A (..., m, p, q)`` and ``X (..., p, q)``; batch dimensions broadcast.

    Raises ``ValueError`` for shapes that do not fit and for another dtype or device.

    Examples
    --------
    >>> import torch
    >>> A = torch.eye(4).reshape(4, 2, 2)
    >>> measure(A, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 2., 3., 4.])
    """
    _validate.float_tensor("A", A, 3)
    _validate.float_tensor("X", X, 2)
    if A.shape[-2:] != X.shape[-2:]:
        raise ValueError(f"X must be {tuple(A.shape[-2:])} like the rows of A, got {tuple(X.shape[-2:])}")
    _validate.same_kind(A=A, X=X)
    _validate.broadcast(A=A.shape[:-3], X=X.shape[:-2])
    return (A.flatten(-2) @ X.flatten(-2)[..., None])[..., 0]


def _sizes(batch: Sequence[int]) -> tuple[int, ...]:
    return tuple(_validate.positive_int("batch", size, 0) for size in _validate.sequence("batch", batch, 0))


def _sparse_factor(
    d: int, k: int, rank: int, batch: Sequence[int], generator: torch.Generator, dtype: torch.dtype
) -> torch.Tensor:
    """Gaussian rows on a random k-subset: (*batch, d, rank)."""
    options = {"generator": generator, "dtype": dtype, "device": generator.device}
    support = torch.rand(*batch, d, **options).argsort(-1)[..., :k, None].expand(*batch, k, rank)
    factor = torch.zeros(*batch, d, rank, dtype=dtype, device=generator.device)
    return factor.scatter(-2, support, torch.randn(*batch, k, rank, **options))
