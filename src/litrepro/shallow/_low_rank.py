"""Networks with quadratic activations as low-rank matrices seen through rank-one measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from litrepro import _validate
from litrepro.shallow import _arguments

_POWERS, _OVERSAMPLING = 2, 2
Sample = Callable[[int], tuple[torch.Tensor, torch.Tensor]]
Product = Callable[[torch.Tensor], torch.Tensor]


class _Factors(NamedTuple):
    """A symmetric matrix: orthonormal columns (..., d, r) and eigenvalues (..., r)."""

    columns: torch.Tensor
    values: torch.Tensor

    def __matmul__(self, other: torch.Tensor) -> torch.Tensor:
        return self.columns @ (self.values[..., None] * (self.columns.mT @ other))

    def dense(self) -> torch.Tensor:
        """The matrix, exactly symmetric."""
        matrix = (self.columns * self.values[..., None, :]) @ self.columns.mT
        return (matrix + matrix.mT) / 2

    def measure(self, X: torch.Tensor) -> torch.Tensor:
        """x' L x for every row of X, (..., m)."""
        scores = torch.einsum("...md,...dr->...mr", X, self.columns)  # inputs that members share are not copied
        return (scores.square() * self.values[..., None, :]).sum(-1)


def keep_largest_eigenvalues(matrix: torch.Tensor, rank: int) -> torch.Tensor:
    """P_r: the symmetric matrix (..., d, d) with all but its ``rank`` eigenvalues largest in magnitude set to zero.

    Raises ``ValueError`` if the matrix is not square, of half precision, or the rank is outside [1, d]. Members
    that are not finite become nan.

    Examples
    --------
    >>> import torch
    >>> keep_largest_eigenvalues(torch.tensor([[2.0, -1.0], [-1.0, 2.0]]), 1).round(decimals=4)  # eigenvalues 3 and 1
    tensor([[ 1.5000, -1.5000],
            [-1.5000,  1.5000]])
    """
    _validate.float_tensor("matrix", matrix, 2)
    d = matrix.shape[-1]
    if matrix.shape[-2] != d:
        raise ValueError(f"matrix must be square (..., d, d), got {tuple(matrix.shape)}")
    _arguments.decomposable("matrix", matrix)
    return _eigen(matrix, _rank(rank, d)).dense()


def rank_one_recovery(
    sample: Sample,
    d: int,
    rank: int,
    *,
    iterations: int,
    projection: str = "exact",
    generator: Any = None,
    as_printed: bool = False,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Recover L* of rank r from y_i = x_i' L* x_i, x_i ~ N(0, I), by projected gradient steps.

    With r_i = x_i' L x_i - y_i,  L <- P_r(L - [(1/2m) sum_i r_i x_i x_i' - (1/2) mean(r) I]): the bracket estimates
    L - L* without bias.

    Parameters
    ----------
    sample
        ``sample(t)`` gives the inputs (..., m, d) and targets (..., m) of step t = 0, 1, ...: fresh ones, as the
        theorem wants, or always the same. The batch shape of the first X is that of the result, up to ``weights``.
    d, rank
        Input dimension, and number of hidden neurons, 1 <= rank <= d.
    projection
        ``"exact"`` (EP-ROM) takes eigenvalues of d x d matrices; ``"krylov"`` (AP-ROM), L <- P_r(L - H_2r(bracket)),
        takes both projections by block Krylov iteration (2 powers, oversampling 2), and needs only products with thin
        blocks: O(m d r) for a step.
    generator
        Seed or generator of the Krylov starts, drawn for a batch as a whole: with "krylov" a member's iterates depend
        on the batch as they do on the seed.
    as_printed
        Use the sign that the review prints in front of (1/2) mean(r) I, with which the bracket estimates
        L - L* + tr(L - L*) I.
    weights
        (..., m) in place of 1/m, at every step; a zero leaves a sample out, so that problems with different m fit into
        one batch. Leading dimensions broadcast with those of X: members may share their samples.

    Returns
    -------
    Path (iterations + 1, ..., d, d), L_0 = 0 included, symmetric.

    Raises
    ------
    ValueError
        Rank outside [1, d], unknown projection, samples or weights of other shapes, samples of changing dtypes.

    Source: Soltani and Hegde 2019, algorithms 1 and 2; algorithms 2 and 3 of the review.

    Examples
    --------
    >>> import torch
    >>> L = torch.diag(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    >>> X = torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> y = ((X @ L) * X).sum(-1)
    >>> path = rank_one_recovery(lambda t: (X, y), 3, 1, iterations=50)
    >>> bool((path[-1] - L).norm() < 1e-6)
    True
    """
    d = _validate.positive_int("d", d)
    rank = _rank(rank, d)
    iterations = _validate.positive_int("iterations", iterations, 0)
    _validate.choice("projection", projection, ("exact", "krylov"))
    if not callable(sample):
        raise ValueError(f"sample must be callable, t -> (X, y), got {type(sample).__name__}")
    source = _validate.random_source("generator", generator)
    sign = 1 if as_printed else -1
    X, y = _checked(sample(0), d, None)
    batch = X.shape[:-2]
    if weights is not None:
        _validate.float_tensor("weights", weights, 1)
        batch = _validate.broadcast(samples=batch, weights=weights.shape[:-1])
        weights = weights.detach()
    path = X.new_zeros(iterations + 1, *batch, d, d)
    current = _Factors(X.new_zeros(*batch, d, rank), X.new_zeros(*batch, rank))
    for t in range(iterations):
        if t:
            X, y = _checked(sample(t), d, X)
        residual = (current.measure(X) - y) * _scale(weights, X) / 2
        trace = sign * residual.sum(-1)[..., None, None]
        if projection == "exact":
            shift = trace * torch.eye(d, dtype=X.dtype, device=X.device)
            current = _eigen(path[t] - (X.mT @ (residual[..., None] * X) + shift), rank)
        else:
            current = _approximate_step(current, X, residual[..., None], trace, rank, source)
        path[t + 1] = current.dense()
    return path


def _scale(weights: torch.Tensor | None, X: torch.Tensor) -> float | torch.Tensor:
    """What multiplies the samples of a step: 1/m or the weights."""
    if weights is None:
        return 1 / X.shape[-2]
    if weights.shape[-1] != X.shape[-2]:
        raise ValueError(f"weights must have shape (..., {X.shape[-2]}), got {tuple(weights.shape)}")
    return weights.to(X)


def _approximate_step(
    current: _Factors, X: torch.Tensor, residual: torch.Tensor, trace: torch.Tensor, rank: int, source: torch.Generator
) -> _Factors:
    """P_r(L - H_2r(bracket)) from products alone; the bracket is never formed."""

    def bracket(block: torch.Tensor) -> torch.Tensor:
        scores = residual * torch.einsum("...md,...dk->...mk", X, block)
        return torch.einsum("...md,...mk->...dk", X, scores) + trace * block

    like = current.columns.mT  # its batch dimensions are those of the result, also where members share their inputs
    head = _krylov(bracket, min(2 * rank, X.shape[-1]), like, source)
    return _krylov(lambda block: current @ block - head @ block, rank, like, source)


def _krylov(product: Product, rank: int, like: torch.Tensor, source: torch.Generator) -> _Factors:
    """Leading eigenpairs by magnitude from the block Krylov space of a random block (Musco and Musco 2015)."""
    d, width = like.shape[-1], rank + _OVERSAMPLING
    if (_POWERS + 1) * width >= d:
        basis = torch.eye(d, dtype=like.dtype, device=like.device).expand(*like.shape[:-2], d, d)
    else:
        block = _arguments.normal((*like.shape[:-2], d, width), source, like)
        blocks = []
        for _ in range(_POWERS + 1):
            block = _orthonormal(product(block))
            blocks.append(block)
        basis = _orthonormal(torch.cat(blocks, dim=-1))
    small = basis.mT @ product(basis)
    ritz = _eigen(small, rank)
    return _Factors(basis @ ritz.columns, ritz.values)


def _orthonormal(block: torch.Tensor) -> torch.Tensor:
    return torch.linalg.qr(block).Q


def _eigen(matrix: torch.Tensor, rank: int) -> _Factors:
    """Eigenpairs of the ``rank`` eigenvalues largest in magnitude; nan where the matrix is not finite."""
    finite = matrix.isfinite().all(-1).all(-1)
    matrix = torch.where(finite[..., None, None], (matrix + matrix.mT) / 2, 0)
    values, vectors = torch.linalg.eigh(matrix)
    kept = values.abs().topk(rank, dim=-1).indices
    columns = vectors.gather(-1, kept[..., None, :].expand(*vectors.shape[:-1], rank))
    return _Factors(columns, torch.where(finite[..., None], values.gather(-1, kept), torch.nan))


def _checked(drawn: Any, d: int, first: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples of one step, like those of the ``first`` in batch shape, dtype and device."""
    if not isinstance(drawn, tuple | list) or len(drawn) != 2:
        raise ValueError(f"sample must give (X, y), got {type(drawn).__name__}")
    X, y = drawn
    batch = None if first is None else first.shape[:-2]
    common = _arguments.samples(X, y)
    _arguments.decomposable("X", X)
    if X.shape[-1] != d or X.shape[:-2] != common or (batch is not None and common != batch):
        wanted = "(..., m" if batch is None else f"({', '.join(map(str, (*batch, 'm')))}"
        raise ValueError(f"sample must give X {wanted}, {d}) and y {wanted}), got {tuple(X.shape)}, {tuple(y.shape)}")
    if first is not None:
        _validate.same_kind(**{"the samples of a step": X, "those of the first": first})
    return X.detach(), y.detach()


def _rank(rank: Any, d: int) -> int:
    rank = _validate.positive_int("rank", rank)
    if rank > d:
        raise ValueError(f"rank must be at most d = {d}, got {rank}")
    return rank
