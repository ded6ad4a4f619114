"""The nonconvex side: projection on sparse low-rank matrices, and iterative hard thresholding with it."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro._warnings import ConvergenceWarning
from litrepro.recovery._consensus import RecoveryResult, check_measurements

FITTED = 1e-4  # relative data residual below which a result counts as converged


class _Structured(NamedTuple):
    """A matrix U diag(s) V' supported on given rows and columns: factors (B, k, r), s (B, r), indices (B, k)."""

    u: torch.Tensor
    s: torch.Tensor
    v: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor

    def dense(self, p: int, q: int) -> torch.Tensor:
        block = (self.u * self.s[:, None, :]) @ self.v.mT
        X = torch.zeros(len(block), p, q, dtype=block.dtype, device=block.device)
        return X.index_put((_first(self.rows), self.rows[:, :, None], self.columns[:, None, :]), block)

    def tangent(self, G: torch.Tensor) -> torch.Tensor:
        """G restricted to the support and to the directions that keep the rank, as a dense matrix."""
        block = G[_first(self.rows), self.rows[:, :, None], self.columns[:, None, :]]
        used = (self.s > 0).to(G)[:, None, :]
        u, v = self.u * used, self.v * used
        left = u @ (u.mT @ block)
        block = left + ((block - left) @ v) @ v.mT
        out = torch.zeros_like(G)
        return out.index_put((_first(self.rows), self.rows[:, :, None], self.columns[:, None, :]), block)


@torch.no_grad()
def project_sparse_low_rank(X: torch.Tensor, k: int, rank: int, *, psd: bool = False) -> torch.Tensor:
    """A nearby matrix with at most k nonzero rows, k nonzero columns and the given rank, for every ``X (..., p, q)``.

    With ``psd`` rows and columns are the same set and the result is positive semidefinite. The nearest such matrix is
    NP-hard to find in general (sparse principal components are a case of it). This is a heuristic, exact on matrices
    that have the structure: truncate to the rank, keep the k rows and columns of largest energy, truncate the block;
    score rows and columns again by their products with the factors of the block; the block that captures more remains.
    The scale of X plays no part.

    Raises ``ValueError`` unless 1 <= rank <= k <= min(p, q) and X is finite, float32 or float64, and for matrices that
    are not square where ``psd`` asks.

    Examples
    --------
    >>> import torch
    >>> X = torch.tensor([[3.0, 0.0, 0.1], [0.0, 1.0, 0.0], [0.1, 0.0, 0.0]])
    >>> project_sparse_low_rank(X, 1, 1).round(decimals=3)
    tensor([[3., 0., 0.],
            [0., 0., 0.],
            [0., 0., 0.]])
    """
    _validate.decomposable("X", X)
    k, rank = _check_structure(X.shape[-2:], k, rank, psd)
    flat = X.reshape(-1, *X.shape[-2:])
    scale = binary_scale(flat.flatten(-2), -1)[..., None]
    return (_project(flat / scale, k, rank, psd).dense(*X.shape[-2:]) * scale).reshape(X.shape)


@torch.no_grad()
def structured_iht(
    A: torch.Tensor,
    b: torch.Tensor,
    k: int,
    rank: int = 1,
    *,
    psd: bool = False,
    iterations: int = 300,
    tol: float = 1e-7,
    init: torch.Tensor | None = None,
) -> RecoveryResult:
    """Iterative hard thresholding for k nonzero rows and columns and low rank: X <- P(X + mu A'(b - A(X))).

    P is ``project_sparse_low_rank``; the step mu = ||G||^2 / ||A(G)||^2 is exact for the gradient G restricted to the
    support and tangent space of the current X (normalized hard thresholding). No guarantee: the problem is nonconvex.

    Parameters
    ----------
    A, b
        (..., m, p, q) and (..., m), finite; batch dimensions of A, b and init broadcast. Zero rows are absent
        measurements.
    k, rank, psd
        The structure.
    iterations
        At most so many; a problem stops when its relative data residual, or the relative change of X, is below ``tol``.
    init
        Start (..., p, q), brought to the dtype of A and projected first; default: the projection of A'(b) / m, for A
        and b in units in which the entries of A are about 1.

    Returns
    -------
    ``residual``: ||b - A(X)|| / ||b||; ``converged``: it is below 1e-4. A ``ConvergenceWarning`` says if some are not.
    A problem that leaves the finite numbers is nan. The scales of A and b play no part.

    Raises ``ValueError`` for shapes or dtypes that do not fit, half precision and a structure that
    ``project_sparse_low_rank`` refuses.

    Examples
    --------
    >>> from litrepro.recovery import linear_measurements, measure, sparse_low_rank
    >>> X0, A = sparse_low_rank(6, 2), linear_measurements(6, 30)
    >>> found = structured_iht(A, measure(A, X0), 2, psd=True)
    >>> bool((found.X - X0).norm() < 1e-3), bool(found.converged)
    (True, True)
    """
    check_measurements(A, b, psd)
    shape = A.shape[-2:]
    k, rank = _check_structure(shape, k, rank, psd)
    iterations = _validate.positive_int("iterations", iterations)
    tol = _validate.real("tol", tol, 0)
    given = {"A": A.shape[:-3], "b": b.shape[:-1]}
    if init is not None:
        _validate.decomposable("init", init)
        if init.shape[-2:] != shape:
            raise ValueError(f"init must have shape (..., {shape[0]}, {shape[1]}), got {tuple(init.shape)}")
        given["init"] = init.shape[:-2]
    batch = _validate.broadcast(**given)
    rows = A.flatten(-2).expand(*batch, -1, -1).reshape(-1, A.shape[-3], shape[0] * shape[1])
    target = b.expand(*batch, -1).reshape(-1, b.shape[-1])
    rows, size = _unit_entries(rows)
    size_b = binary_scale(target, -1)
    target, unit = target / size_b, (size_b / size)[..., None]
    if init is None:
        count = (rows != 0).any(-1).sum(-1).clamp(min=1)
        start = _adjoint(rows, target, shape) / count[:, None, None]
    else:
        start = init.to(A).expand(*batch, *shape).reshape(-1, *shape) / unit
    X, steps, residual = _iterate(rows, target, start, (k, rank, psd), iterations, tol)
    converged = residual < FITTED
    if not bool(converged.all()):
        warnings.warn(
            f"structured_iht: {int((~converged).sum())} of {converged.numel()} problems do not fit their measurements "
            f"(relative residual up to {float(residual.max()):.1e})",
            ConvergenceWarning,
            stacklevel=3,  # past torch.no_grad's wrapper
        )
    parts = (X * unit, converged, steps, residual)
    return RecoveryResult(*(part.reshape((*batch, *part.shape[1:])) for part in parts))


def _iterate(
    rows: torch.Tensor,
    b: torch.Tensor,
    start: torch.Tensor,
    structure: tuple[int, int, bool],
    iterations: int,
    tol: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """X (B, p, q), steps (B,), residual (B,); problems that stop leave the batch."""
    shape, count = start.shape[-2:], len(start)
    size = torch.linalg.vector_norm(b, dim=-1)
    out = torch.zeros_like(start)
    steps = torch.zeros(count, dtype=torch.long, device=b.device)
    residual = torch.zeros(count, dtype=b.dtype, device=b.device)
    index = (size > 0).nonzero()[:, 0]  # b = 0: zero fits
    if len(index) < count:  # rows are what takes memory
        rows, b = rows[index], b[index]
    current, X = _project_finite(start[index], structure)
    change = torch.full_like(size[index], torch.inf)
    tiny = max(1e-300, torch.finfo(b.dtype).tiny)
    for step in range(iterations + 1):
        gap = b - _apply(rows, X)
        relative = torch.linalg.vector_norm(gap, dim=-1) / size[index]
        done = (relative < tol) | (change < tol) | ~relative.isfinite() | (step == iterations)
        if bool(done.any()):
            at = index[done]
            steps[at], residual[at] = step, relative[done]
            out[at] = torch.where(residual[at].isfinite()[:, None, None], X[done], torch.nan)
            rest = (~done).nonzero()[:, 0]
            if not len(rest):
                break
            index, rows, b, X, gap = index[rest], rows[rest], b[rest], X[rest], gap[rest]
            current = _Structured(*(part[rest] for part in current))
        G = _adjoint(rows, gap, shape)
        if structure[2]:
            G = (G + G.mT) / 2
        current, new = _project_finite(X + _step_size(rows, G, current)[:, None, None] * G, structure)
        change = torch.linalg.matrix_norm(new - X) / torch.linalg.matrix_norm(new).clamp(min=tiny)
        X = new
    return out, steps, residual


def _unit_entries(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Measurements (B, m, n) over the power of two (B, 1) nearest to the root mean square of their nonzero entries.

    It rounds nothing, keeps steps, in which entries occur to the fourth power, inside single precision, and makes the
    start A'(b) / m one of about the size of the solution.
    """
    size = binary_scale(rows.flatten(1), -1)
    rows = rows / size[..., None]
    count = (rows != 0).sum((-1, -2)).clamp(min=1)
    rms = torch.linalg.vector_norm(rows, dim=(-1, -2)) / count.to(rows).sqrt()
    nearest = binary_scale(2**0.5 * rms[:, None], -1)
    return rows.div_(nearest[..., None]), size * nearest


def _project_finite(X: torch.Tensor, structure: tuple[int, int, bool]) -> tuple[_Structured, torch.Tensor]:
    """The projection as factors and dense; a member that is not finite, which decompositions refuse, is nan."""
    finite = X.isfinite().all(-1).all(-1)[:, None, None]
    current = _project(torch.where(finite, X, 0.0), *structure)
    return current, torch.where(finite, current.dense(*X.shape[1:]), torch.nan)


def _step_size(rows: torch.Tensor, G: torch.Tensor, current: _Structured) -> torch.Tensor:
    """||G_T||^2 / ||A(G_T)||^2; along G itself where nothing of it is tangent (X = 0), 0 where that is zero, too."""
    tangent = current.tangent(G)
    tangent = torch.where((torch.linalg.matrix_norm(tangent) > 0)[:, None, None], tangent, G)
    length = tangent.square().sum((-2, -1))
    image = _apply(rows, tangent).square().sum(-1)
    return torch.where(image > 0, length / torch.where(image > 0, image, 1.0), 0.0)


def _project(X: torch.Tensor, k: int, rank: int, psd: bool) -> _Structured:
    """``project_sparse_low_rank`` for (B, p, q), as factors."""
    if psd:
        X = (X + X.mT) / 2
    u, s, v = _truncate(X, rank, psd)
    rows = _largest((u * s[:, None, :]).square().sum(-1), k)
    columns = rows if psd else _largest((v * s[:, None, :]).square().sum(-1), k)
    first = _block(X, rows, columns, rank, psd)
    across = X.gather(2, columns[:, None, :].expand(-1, X.shape[1], -1)) @ first.v  # (B, p, r)
    rows = _largest(across.square().sum(-1), k)
    if psd:
        columns = rows
    else:
        down = X.gather(1, first.rows[:, :, None].expand(-1, -1, X.shape[2])).mT @ first.u
        columns = _largest(down.square().sum(-1), k)
    second = _block(X, rows, columns, rank, psd)
    better = second.s.square().sum(-1) >= first.s.square().sum(-1)
    return _Structured(
        *(torch.where(better.view(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(first, second)),
    )


def _block(X: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, rank: int, psd: bool) -> _Structured:
    block = X[_first(rows), rows[:, :, None], columns[:, None, :]]
    return _Structured(*_truncate(block, rank, psd), rows, columns)


def _truncate(X: torch.Tensor, rank: int, psd: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Leading singular triples, or eigenpairs with non-negative eigenvalues: (B, p, r), (B, r), (B, q, r)."""
    if psd:
        w, v = torch.linalg.eigh(X)
        v = v[..., -rank:]
        return v, w[..., -rank:].clamp(min=0), v
    u, s, vh = torch.linalg.svd(X, full_matrices=False)
    return u[..., :rank], s[..., :rank], vh.mT[..., :rank]


def _largest(score: torch.Tensor, k: int) -> torch.Tensor:
    return score.topk(k, dim=-1).indices.sort(-1).values


def _first(index: torch.Tensor) -> torch.Tensor:
    return torch.arange(len(index), device=index.device)[:, None, None]


def _apply(rows: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    return (X.flatten(-2)[:, None, :] @ rows.mT)[:, 0]  # faster on a CPU than matrix times column


def _adjoint(rows: torch.Tensor, y: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return (y[:, None, :] @ rows)[:, 0].unflatten(-1, shape)


def _check_structure(shape: torch.Size, k: int, rank: int, psd: bool) -> tuple[int, int]:
    k, rank = _validate.positive_int("k", k), _validate.positive_int("rank", rank)
    if k > min(shape) or rank > k:
        raise ValueError(f"rank <= k <= {min(shape)} is required, got rank = {rank}, k = {k}")
    if psd and shape[0] != shape[1]:
        raise ValueError(f"psd needs square matrices, got {tuple(shape)}")
    return k, rank
