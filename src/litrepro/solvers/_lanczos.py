"""Lanczos tridiagonalization with full reorthogonalization, and the extreme eigenpairs that it finds.

All batch entries advance together and ``matvec`` always sees the full batch shape. An entry whose Krylov space is
exhausted stops: its further directions, diagonals and off-diagonals are zero, and they never supply an eigenvalue.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale, length
from litrepro._warnings import ConvergenceWarning

MatVec = Callable[[torch.Tensor], torch.Tensor]


class LanczosResult(NamedTuple):
    """An extreme Ritz pair.

    ``value (...)``, unit ``vector (..., d)``, ``residual (...)`` = ||H v - value v||, ``steps`` Lanczos steps taken,
    ``converged (...)``: residual <= tol max(1, largest |Ritz value|).

    Examples
    --------
    >>> import torch
    >>> h = torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64)
    >>> found = lanczos_extreme(lambda v: h * v, torch.ones(3, dtype=torch.float64))
    >>> round(found.value.item(), 6), found.steps, bool(found.converged)
    (-2.0, 3, True)
    """

    value: torch.Tensor
    vector: torch.Tensor
    residual: torch.Tensor
    steps: int
    converged: torch.Tensor


class Krylov(NamedTuple):
    alpha: torch.Tensor  # (..., k)
    beta: torch.Tensor  # (..., k - 1)
    q: torch.Tensor  # (..., k, d)
    hq: torch.Tensor  # (..., k, d)
    valid: torch.Tensor  # (..., k): directions before the breakdown
    steps: int


def lanczos(matvec: MatVec, v0: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """k steps of Lanczos from v0: ``(alpha (..., k), beta (..., k - 1), Q (..., k, d))`` with Q H Q' tridiagonal.

    Parameters
    ----------
    matvec
        (..., d) -> (..., d), symmetric; always called with the shape of v0.
    v0
        (..., d), non-zero and finite.
    k
        1 <= k <= d. After a breakdown (an invariant subspace was found) the rest is zero, never nan.

    Raises ``ValueError`` for k outside 1..d, a v0 that is zero or not finite anywhere in the batch or not float32 or
    float64, and a ``matvec`` that does not return tensors like v0. Where the products of an entry are not finite, its
    results are neither; the other entries do not notice.

    Examples
    --------
    >>> import torch
    >>> h = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    >>> alpha, beta, Q = lanczos(lambda v: h * v, torch.ones(3, dtype=torch.float64), 3)
    >>> T = torch.diag(alpha) + torch.diag(beta, 1) + torch.diag(beta, -1)
    >>> torch.allclose(Q @ torch.diag(h) @ Q.mT, T), torch.allclose(torch.linalg.eigvalsh(T), h)
    (True, True)
    """
    found = krylov(matvec, v0, k, stop_early=False)
    return found.alpha, found.beta, found.q


def krylov(matvec: MatVec, v0: torch.Tensor, k: int, *, stop_early: bool) -> Krylov:
    """All that ``lanczos`` finds, with its checks; ends early, if asked to, when all entries have broken down."""
    _check(matvec, v0)
    k = _validate.positive_int("k", k)
    if k > v0.shape[-1]:
        raise ValueError(f"k must be in 1..{v0.shape[-1]}, got {k}")
    return _iterate(matvec, v0, k, stop_early=stop_early)


def extreme_eigenvalues(matvec: MatVec, v0: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Smallest and largest Ritz value after k steps, each (...); arguments and errors as ``lanczos``.

    Examples
    --------
    >>> import torch
    >>> h = torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64)
    >>> low, high = extreme_eigenvalues(lambda v: h * v, torch.ones(3, dtype=torch.float64), 3)
    >>> round(low.item(), 6), round(high.item(), 6)
    (-2.0, 5.0)
    """
    found = krylov(matvec, v0, k, stop_early=True)
    low, _ = _ritz(found, "min")
    high, _ = _ritz(found, "max")
    return low[..., 0], high[..., -1]


def lanczos_extreme(
    matvec: MatVec, v0: torch.Tensor, *, steps: int | None = None, which: str = "min", tol: float = 1e-8
) -> LanczosResult:
    """Extreme eigenpair of a symmetric operator by Lanczos with full reorthogonalization, twice.

    Parameters
    ----------
    matvec
        (..., d) -> (..., d), symmetric; always called with the shape of v0.
    v0
        (..., d), non-zero and finite.
    steps
        At most min(steps, d) steps; d if None. Ends when every entry's Krylov space is exhausted.
    which
        ``"min"`` or ``"max"``.
    tol
        Relative tolerance of ``converged``.

    Raises ``ValueError`` for a v0 that is zero, not finite or not float32 or float64, steps < 1, tol < 0, another
    ``which``, and a ``matvec`` that does not return tensors like v0. An entry whose products are not finite gives nan.
    A ``ConvergenceWarning`` says how many entries have not converged, rounding apart.

    Examples
    --------
    >>> import torch
    >>> h = torch.linspace(-1.0, 1.0, 200, dtype=torch.float64)
    >>> found = lanczos_extreme(lambda v: h * v, torch.ones(200, dtype=torch.float64), steps=60, which="max", tol=1e-4)
    >>> round(found.value.item(), 4), bool((h * found.vector - found.vector).norm() < 1e-3)
    (1.0, True)
    """
    result, scale = _extreme(matvec, v0, steps, which, tol)
    # The default tolerance is out of reach of float32, which is no news.
    reach = 100 * torch.finfo(v0.dtype).eps * scale
    left = int((~result.converged & ~(result.residual <= reach)).sum())
    if left:
        count = result.converged.numel()
        message = f"lanczos_extreme: {left} of {count} eigenpairs have not converged in {result.steps} steps"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return result


def extreme_pair(
    matvec: MatVec, v0: torch.Tensor, *, steps: int | None = None, which: str = "min", tol: float = 1e-8
) -> LanczosResult:
    """``lanczos_extreme`` for callers to whom a few steps are enough: only the flag says what has not converged."""
    return _extreme(matvec, v0, steps, which, tol)[0]


def _extreme(
    matvec: MatVec, v0: torch.Tensor, steps: int | None, which: str, tol: float
) -> tuple[LanczosResult, torch.Tensor]:
    """The pair, and the scale (...) that its residual is compared with."""
    _check(matvec, v0)
    d = v0.shape[-1]
    steps = d if steps is None else min(_validate.positive_int("steps", steps), d)
    _validate.choice("which", which, ("min", "max"))
    tol = _validate.real("tol", tol, 0)
    found = _iterate(matvec, v0, steps, stop_early=True)
    values, vectors = _ritz(found, which)
    index = 0 if which == "min" else -1
    value, weights = values[..., index], vectors[..., :, index] * found.valid
    vector = torch.einsum("...k,...kd->...d", weights, found.q)
    product = torch.einsum("...k,...kd->...d", weights, found.hq)
    norm = vector.norm(dim=-1, keepdim=True)
    vector, product = vector / norm, product / norm
    residual = (product - value[..., None] * vector).norm(dim=-1)
    inside = found.valid if which == "min" else found.valid.flip(-1)  # padded ones are at the other end
    scale = torch.where(inside, values.abs(), 0.0).amax(-1).clamp(min=1.0)
    return LanczosResult(value, vector, residual, found.steps, residual <= tol * scale), scale


def _check(matvec: MatVec, v0: torch.Tensor) -> None:
    _validate.function("matvec", matvec)
    _validate.decomposable("v0", v0, 1)
    if v0.shape[-1] < 1 or not bool((v0 != 0).any(-1).all()):
        raise ValueError("v0 must be finite and non-zero in every batch entry")


def _unit(v0: torch.Tensor) -> torch.Tensor:
    """v0/|v0|, scaled by a power of two first, which rounds nothing: squares of tiny or huge entries are 0 or inf."""
    v0 = v0 / binary_scale(v0, -1)
    return v0 / v0.norm(dim=-1, keepdim=True)


@torch.no_grad()
def _iterate(matvec: MatVec, v0: torch.Tensor, k: int, *, stop_early: bool) -> Krylov:
    """The three-term recursion; a new direction below rounding relative to the operator's scale is a breakdown."""
    d = v0.shape[-1]
    eps = torch.finfo(v0.dtype).eps
    q = torch.zeros(*v0.shape[:-1], k, d, dtype=v0.dtype, device=v0.device)
    hq = torch.zeros_like(q)
    alpha = torch.zeros(*v0.shape[:-1], k, dtype=v0.dtype, device=v0.device)
    beta = torch.zeros_like(alpha)
    valid = torch.zeros(*v0.shape[:-1], k, dtype=torch.bool, device=v0.device)
    current = _unit(v0)
    alive = torch.ones(v0.shape[:-1], dtype=torch.bool, device=v0.device)
    scale = torch.zeros_like(alpha[..., 0])
    steps = 0
    for step in range(k):
        if stop_early and not bool(alive.any()):
            break
        steps = step + 1
        q[..., step, :], valid[..., step] = current, alive
        product = matvec(current)
        if step == 0:
            _check_product(product, v0)
        product = torch.where(alive[..., None], product, 0.0)
        hq[..., step, :] = product
        alpha[..., step] = (current * product).sum(-1)
        scale = torch.maximum(scale, length(product))
        known, rest = q[..., : step + 1, :], product
        for _ in range(2):  # once is not enough in floating point, twice is (Parlett)
            along = torch.matmul(known, rest[..., None])
            rest = rest - torch.matmul(known.mT, along)[..., 0]
        size = length(rest)
        alive = alive & (size > 10 * d**0.5 * eps * scale) & (step + 1 < k)
        beta[..., step] = torch.where(alive, size, 0.0)
        current = torch.where(alive[..., None], rest / torch.where(alive, size, 1.0)[..., None], 0.0)
    return Krylov(alpha, beta[..., : k - 1], q, hq, valid, steps)


def _check_product(product: torch.Tensor, v0: torch.Tensor) -> None:
    if not isinstance(product, torch.Tensor) or product.shape != v0.shape or product.dtype != v0.dtype:
        tensor = isinstance(product, torch.Tensor)
        found = f"{tuple(product.shape)} of {product.dtype}" if tensor else type(product).__name__
        raise ValueError(f"matvec must return {tuple(v0.shape)} of {v0.dtype}, got {found}")


def eigh_of_finite(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``torch.linalg.eigh``; a matrix that is not finite, at which LAPACK fails for the whole batch, gives nan."""
    finite = matrix.isfinite().all(-1).all(-1)
    values, vectors = torch.linalg.eigh(torch.where(finite[..., None, None], matrix, 0.0))
    return torch.where(finite[..., None], values, torch.nan), torch.where(finite[..., None, None], vectors, torch.nan)


def _ritz(found: Krylov, which: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenpairs of the tridiagonal matrix; padded directions are moved to the far end of the spectrum."""
    bound = found.alpha.abs().amax(-1, keepdim=True) + 2 * found.beta.abs().sum(-1, keepdim=True)
    bound = bound + (bound / 1024).clamp(min=1)  # beyond the rounding of huge values too
    far = bound if which == "min" else -bound
    diagonal = torch.where(found.valid, found.alpha, far)
    matrix = torch.diag_embed(diagonal) + torch.diag_embed(found.beta, 1) + torch.diag_embed(found.beta, -1)
    return eigh_of_finite(matrix)
