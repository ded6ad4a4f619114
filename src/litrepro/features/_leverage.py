"""Ridge leverage scores of random features, and sampling features by them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.features import _arguments
from litrepro.features._ridge import inverse_forms, solve_shifted


class Resample(NamedTuple):
    """Draws from a pool: ``index`` (..., D'), ``weights`` (..., D'), ``probabilities`` (..., D) of the pool.

    Examples
    --------
    >>> import torch
    >>> draw = resample_by_scores(torch.tensor([1.0, 0.0, 3.0]), 5)
    >>> draw.probabilities, draw.index.shape, bool((draw.index != 1).all())
    (tensor([0.2500, 0.0000, 0.7500]), torch.Size([5]), True)
    """

    index: torch.Tensor
    weights: torch.Tensor
    probabilities: torch.Tensor


def ridge_leverage_scores(Z: torch.Tensor, K: torch.Tensor, lam: float | torch.Tensor) -> torch.Tensor:
    """Ridge leverage scores: l_lambda(omega_j) / p(omega_j) = z_j^T (K + n lambda I)^-1 z_j.

    Their mean over omega ~ p is the effective dimension.

    Parameters
    ----------
    Z
        Columns are unscaled features z_j = sqrt(2) cos(omega_j^T x + b_j), (..., n, D).
    K
        Gram matrix (..., n, n), symmetric.
    lam
        lambda > 0, per sample; a tensor of batch shape gives one per problem.

    Returns
    -------
    (..., D), at least 0, in the common dtype; solved in float64.

    Raises
    ------
    ValueError
        K not square or not symmetric, other numbers of rows, lam not positive.

    Source: Avron et al. 2017, definition 6; Li, Ton, Oglic and Sejdinovic 2021, equation 6.

    Examples
    --------
    >>> import torch
    >>> ridge_leverage_scores(torch.eye(2), torch.eye(2), 0.5)  # 1 / (1 + n lambda)
    tensor([0.5000, 0.5000])
    """
    _arguments.symmetric("K", K)
    _arguments.same_rows(Z=Z, K=K)
    Z, K = _arguments.matched(Z=Z, K=K)
    shift = K.shape[-1] * _arguments.regularization(lam, K)
    return inverse_forms(K.double(), Z.double(), shift).to(Z.dtype)


def effective_dimension(K: torch.Tensor, lam: float | torch.Tensor) -> torch.Tensor:
    """Effective degrees of freedom of kernel ridge regression: d = tr K (K + n lambda I)^-1.

    Parameters
    ----------
    K
        Gram matrix (..., n, n), symmetric.
    lam
        lambda > 0, per sample; a tensor of batch shape gives one per problem.

    Returns
    -------
    (...), between 0 and n for a positive semidefinite K.

    Raises
    ------
    ValueError
        K not square or not symmetric, lam not positive.

    Source: Alaoui and Mahoney 2015, section 2.

    Examples
    --------
    >>> import torch
    >>> effective_dimension(torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0])), 0.25)  # 2 directions, half of each
    tensor(1.)
    """
    _arguments.symmetric("K", K)
    _arguments.same_rows(K=K)
    wide = K.double()
    shift = K.shape[-1] * _arguments.regularization(lam, K)
    return solve_shifted(wide, wide, shift, inside=True).diagonal(dim1=-2, dim2=-1).sum(-1).to(K.dtype)


def leverage_resample(
    Z: torch.Tensor,
    n_features: int,
    lam: float | torch.Tensor,
    *,
    generator: torch.Generator | int | None = None,
) -> Resample:
    """Draw features from a pool by approximate ridge leverage scores.

    p_i = diag[Z^T Z (Z^T Z / D + n lambda I)^-1]_i, q = p / sum p; D' indices are drawn from q with replacement, with
    weights w = 1 / sqrt(D q_index). Then the features sqrt(2/D') w cos(...) reproduce the pool's kernel Z Z^T / D in
    expectation. O(n D^2 + D^3), or O(n^2 D + n^3) where the pool is larger than the data.

    Parameters
    ----------
    Z
        Pool of D unscaled features sqrt(2) cos(omega_j^T x + b_j) on n points, (..., n, D).
    n_features
        Number D' of draws.
    lam
        lambda > 0, per sample; a tensor of batch shape gives one per problem.
    generator
        Source of randomness, or a seed (0 if None); its device may differ from that of Z.

    Returns
    -------
    ``Resample(index (..., D'), weights (..., D'), probabilities (..., D))``. A pool whose scores are all zero is
    sampled uniformly.

    Raises
    ------
    ValueError
        n_features < 1, an empty pool, lam not positive.

    Source: Li, Ton, Oglic and Sejdinovic 2021, algorithm 1 (with the sums named as they are: sum p estimates
    D d_eff, not d_eff).

    Examples
    --------
    >>> import torch
    >>> Z = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # the first two features are the same
    >>> leverage_resample(Z, 10, 1e-6).probabilities.round(decimals=2)
    tensor([0.2500, 0.2500, 0.5000])
    """
    _arguments.same_rows(Z=Z)
    n_features = _validate.positive_int("n_features", n_features)
    if Z.shape[-1] < 1:
        raise ValueError(f"Z must hold at least one feature, got shape {tuple(Z.shape)}")
    lam = _arguments.regularization(lam, Z)
    scores = _pool_scores(Z.double(), Z.shape[-2] * lam).to(Z.dtype)
    return resample_by_scores(scores, n_features, generator=generator)


def resample_by_scores(
    scores: torch.Tensor, n_features: int, *, generator: torch.Generator | int | None = None
) -> Resample:
    """Draw features of a pool in proportion to their scores: q = s / sum s, weights 1 / sqrt(D q_index).

    ``scores (..., D)`` are at least 0; the rest, and the errors, are as in ``leverage_resample``. Scores that are not
    finite give nan to the probabilities and weights of their own problem.

    Examples
    --------
    >>> import torch
    >>> draw = resample_by_scores(torch.tensor([1.0, 0.0, 3.0]), 5)
    >>> draw.probabilities, bool((draw.index != 1).all())
    (tensor([0.2500, 0.0000, 0.7500]), True)
    """
    _validate.float_tensor("scores", scores, 1)
    n_features = _validate.positive_int("n_features", n_features)
    pool = scores.shape[-1]
    if pool < 1 or bool((scores < 0).any()):
        raise ValueError(f"scores must be at least 0 for at least one feature, got shape {tuple(scores.shape)}")
    generator = _validate.random_source("generator", generator)
    wide = scores.double()
    total = wide.sum(-1, keepdim=True)
    probabilities = torch.where(total > 0, wide / total, torch.full_like(wide, 1 / pool))
    probabilities = torch.where(total.isfinite(), probabilities, torch.nan)
    index = _draw(probabilities, n_features, generator)
    weights = (pool * probabilities.gather(-1, index)).rsqrt()
    return Resample(index, weights.to(scores.dtype), probabilities.to(scores.dtype))


def _pool_scores(Z: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """diag[Z^T Z (Z^T Z / D + shift I)^-1], in the smaller of its two forms."""
    n, pool = Z.shape[-2:]
    if pool > n:
        return inverse_forms(Z @ Z.mT / pool, Z, shift, inside=True)
    gram = Z.mT @ Z
    return solve_shifted(gram / pool, gram, shift, inside=True).diagonal(dim1=-2, dim2=-1).clamp(min=0)


def _draw(probabilities: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:
    """n indices per row with replacement, by inversion (batched, on any device, from any generator)."""
    shape = (*probabilities.shape[:-1], n)
    uniform = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
    ends = probabilities.cumsum(-1)
    level = uniform.to(ends.device) * ends[..., -1:]
    index = torch.searchsorted(ends.contiguous(), level.contiguous(), right=True)
    # Rounding may carry a level to the very end; the last feature that has any probability is meant.
    places = torch.arange(probabilities.shape[-1], device=ends.device)
    last = torch.where(probabilities > 0, places, 0).amax(-1, keepdim=True)
    return torch.minimum(index, last)


def spectral_error(approximation: torch.Tensor, K: torch.Tensor, lam: float) -> torch.Tensor:
    """|(K + n lambda)^-1/2 (Kz - K) (K + n lambda)^-1/2| in operator norm, for Gram matrices (..., n, n).

    Kz is a spectral approximation of K if this is at most Delta < 1; then ridge regression with Kz is near-optimal
    (Avron et al. 2017, definition 1 and lemma 2). nan for matrices that are not finite. Raises ``ValueError`` for
    matrices that are not square or of different sizes, a K that is not symmetric, lam not positive.

    Examples
    --------
    >>> import torch
    >>> K = torch.eye(2)
    >>> spectral_error(K, K, 0.1).item(), round(spectral_error(2 * K, K, 0.5).item(), 4)  # 1 / (1 + n lambda)
    (0.0, 0.5)
    """
    _arguments.symmetric("K", K)
    _arguments.square("approximation", approximation)
    _arguments.same_rows(approximation=approximation, K=K)
    approximation, K = approximation.double(), K.double()
    finite = (approximation - K).isfinite().all(-1).all(-1)
    # eigh refuses a whole batch because of one entry that is not finite
    approximation, K = (torch.where(finite[..., None, None], value, 0.0) for value in (approximation, K))
    error = relative_norm(approximation - K, *torch.linalg.eigh(K), K.shape[-1] * _arguments.regularization(lam, K))
    return torch.where(finite, error, torch.nan)


def relative_norm(
    difference: torch.Tensor, values: torch.Tensor, vectors: torch.Tensor, shift: torch.Tensor
) -> torch.Tensor:
    """|(K + shift)^-1/2 difference (K + shift)^-1/2| (...) by the eigenvalues (..., n) and eigenvectors of K."""
    root = vectors / (values.clamp(min=0) + shift[..., 0]).sqrt()[..., None, :]
    middle = root.mT @ difference @ root
    return torch.linalg.eigvalsh((middle + middle.mT) / 2).abs().amax(-1)


class PoolScores:
    """``ridge_leverage_scores`` of one pool at many lambda: the eigenvectors of K are found, and projected on, once.

    A smooth kernel has few eigenvalues above rounding. What a feature has outside their eigenvectors is divided by
    n lambda alone, whatever it is.

    Parameters
    ----------
    x, omega, phase
        Points (B, n, d), and a pool for each member of the batch as ``unscaled_features`` takes it.
    values, vectors
        Of K (B, n, n), as ``torch.linalg.eigh`` gives them.
    """

    def __init__(self, x, omega, phase, values, vectors):
        level = torch.finfo(values.dtype).eps * values.shape[-1] * values[..., -1:]
        kept = max(1, int((values > level).sum(-1).max()))
        self._values = values[..., -kept:].clamp(min=0)
        parts, rest = [], []
        for member in range(len(x)):  # all members of a large pool at once would fill the memory
            columns = unscaled_features(x[member], omega[member], phase[member])
            parts.append((vectors[member, :, -kept:].mT @ columns).square())
            rest.append((columns.square().sum(-2) - parts[-1].sum(-2)).clamp(min=0))
        self._parts, self._rest = torch.stack(parts), torch.stack(rest)

    def at(self, shift: float) -> torch.Tensor:
        """Scores (B, D) at n lambda = shift."""
        weights = 1 / (self._values + shift)
        return (weights[..., None, :] @ self._parts)[..., 0, :] + self._rest / shift


def unscaled_features(x: torch.Tensor, omega: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
    """sqrt(2) cos(omega_j^T x + b_j), (..., n, D): the columns whose leverage is measured.

    Arguments, all of them needed, and errors as ``fourier_features``.

    Examples
    --------
    >>> import torch
    >>> unscaled_features(torch.zeros(1, 2), torch.ones(3, 2), torch.zeros(3))  # sqrt(2)
    tensor([[1.4142, 1.4142, 1.4142]])
    """
    from litrepro.features._fourier import fourier_features

    _validate.float_tensor("phase", phase, 1)
    return fourier_features(x, omega, phase) * math.sqrt(omega.shape[-2])
