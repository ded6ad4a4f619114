"""The penalized likelihood of equation 1, its stationarity conditions, and the two closed-form block updates."""

from __future__ import annotations

from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.graphs import _arguments
from litrepro.graphs._operators import laplacian, laplacian_adjoint, laplacian_gram

Penalty = float | torch.Tensor


class KKTResiduals(NamedTuple):
    """How far a point is from stationarity in each block, all of batch shape (...).

    Examples
    --------
    >>> import torch
    >>> L, S = laplacian(torch.ones(3, dtype=torch.float64)), torch.eye(3, dtype=torch.float64)
    >>> lam, U = torch.linalg.eigh(L)
    >>> found = kkt_residuals(torch.ones(3).double(), U, lam, S, lam, alpha=0.0, beta=1.0, gamma=0.0)
    >>> bool(found.U < 1e-9), round(found.lam.item(), 4)  # U diagonalizes L; |-1/lam| is left
    (True, 0.3333)
    """

    w: torch.Tensor
    U: torch.Tensor
    lam: torch.Tensor


class Point(NamedTuple):
    """Checked arguments of the objective, the penalties of batch shape (...)."""

    w: torch.Tensor
    U: torch.Tensor
    lam: torch.Tensor
    S: torch.Tensor
    mu: torch.Tensor
    alpha: torch.Tensor
    beta: torch.Tensor
    gamma: torch.Tensor


def spectrum(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues (..., p) of L w and eigenvectors (..., p, p), ascending after the constant vector, which comes first.

    The constant vector belongs to the eigenvalue 0 of every L w. Where a graph is disconnected a plain ``eigh`` mixes
    it with the other null vectors; and at an extrapolated point, where weights are negative, it is not the smallest.
    Shifting its eigenvalue below all others (Gershgorin's bound) keeps it apart.
    """
    L = laplacian(w)
    p = L.shape[-1]
    below = 1 + L.abs().sum(-1).amax(-1)
    values, vectors = torch.linalg.eigh(L - (below / p)[..., None, None])
    values[..., 0] = 0.0
    return values, vectors


def eigenvalue_update(sigma: torch.Tensor, mu: torch.Tensor, beta: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    """The minimizing eigenvalues (..., p) of section 4.3, the first 0; beta and gamma (..., 1).

    The positive root of lambda^2 - d lambda - 1/(beta + gamma), written without cancellation for negative d.
    """
    d = (beta * sigma + gamma * mu) / (beta + gamma)
    root = (d.square() + 4 / (beta + gamma)).sqrt()
    lam = torch.where(d >= 0, (d + root) / 2, 2 / (beta + gamma) / (root - d))
    lam[..., 0] = 0.0
    return lam


def spectral_objective(
    w: torch.Tensor,
    U: torch.Tensor,
    lam: torch.Tensor,
    S: torch.Tensor,
    mu: torch.Tensor,
    *,
    alpha: Penalty,
    beta: Penalty,
    gamma: Penalty,
) -> torch.Tensor:
    """Objective (1) of batch shape (...), the l1 norm as sparsity penalty.

    -sum_{i>=2} log lam_i + tr(S Lw) + alpha 1'w + (beta/2)|Lw - U diag(lam) U'|_F^2
    + (gamma/2) sum_{i>=2} (lam_i - mu_i)^2

    Parameters
    ----------
    w, U, lam
        (..., m), (..., p, p), (..., p), finite; the first eigenvalue is the graph's zero and takes no part in the sums.
        The objective is inf where another is not positive.
    S, mu
        Covariance (..., p, p) and prior eigenvalues (..., p).
    alpha, beta, gamma
        Numbers or tensors of batch shape; alpha, gamma >= 0, beta > 0.

    Raises
    ------
    ValueError
        Sizes or dtypes that do not fit, values that are not finite, S not symmetric, penalties out of range.

    Examples
    --------
    >>> import torch
    >>> L, S = laplacian(torch.ones(3, dtype=torch.float64)), torch.eye(3, dtype=torch.float64)
    >>> lam, U = torch.linalg.eigh(L)
    >>> value = spectral_objective(torch.ones(3).double(), U, lam, S, lam, alpha=0.0, beta=1.0, gamma=1.0)
    >>> round(value.item(), 4)  # -2 log 3 + tr(L), the rest is zero
    3.8028
    """
    at = _point(w, U, lam, S, mu, alpha, beta, gamma)
    L = laplacian(at.w)
    fit = (L - (at.U * at.lam[..., None, :]) @ at.U.mT).square().sum((-1, -2))
    away = (at.lam - at.mu)[..., 1:].square().sum(-1)
    likelihood = (at.S * L).sum((-1, -2)) - at.lam[..., 1:].clamp(min=0).log().sum(-1)
    return likelihood + at.alpha * at.w.sum(-1) + at.beta / 2 * fit + at.gamma / 2 * away


def kkt_residuals(
    w: torch.Tensor,
    U: torch.Tensor,
    lam: torch.Tensor,
    S: torch.Tensor,
    mu: torch.Tensor,
    *,
    alpha: Penalty,
    beta: Penalty,
    gamma: Penalty,
) -> KKTResiduals:
    """Residuals of the stationarity conditions of (1) at a point; arguments and errors as in ``spectral_objective``.

    Returns
    -------
    ``w``: |min(w, L*Lw - c)|_inf with c = L*(U diag(lam) U' - S/beta) - alpha/beta (the printed conditions miss alpha);
    ``U``: Frobenius norm of the commutator [U'LwU, diag(lam)];
    ``lam``: max over i >= 2 of |-1/lam_i + beta (lam_i - u_i'Lw u_i) + gamma (lam_i - mu_i)|.

    Examples
    --------
    >>> import torch
    >>> from litrepro.graphs import spectral_graphical_lasso
    >>> S, mu = torch.eye(3, dtype=torch.float64), torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    >>> options = {"alpha": 0.0, "beta": 1.0, "gamma": 0.5}
    >>> found = spectral_graphical_lasso(S, mu, **options)
    >>> bool(kkt_residuals(found.w, found.U, found.lam, S, mu, **options).w < 1e-5)
    True
    """
    at = _point(w, U, lam, S, mu, alpha, beta, gamma)
    beta_, gamma_ = at.beta[..., None], at.gamma[..., None]
    pull = laplacian_adjoint((at.U * at.lam[..., None, :]) @ at.U.mT)
    gradient = laplacian_gram(at.w) - pull + (laplacian_adjoint(at.S) + at.alpha[..., None]) / beta_
    rotated = at.U.mT @ laplacian(at.w) @ at.U
    commutator = rotated * at.lam[..., None, :] - at.lam[..., :, None] * rotated
    quadratic = rotated.diagonal(dim1=-2, dim2=-1)
    slope = -1 / at.lam + beta_ * (at.lam - quadratic) + gamma_ * (at.lam - at.mu)
    return KKTResiduals(
        torch.minimum(at.w, gradient).abs().amax(-1),
        commutator.square().sum((-1, -2)).sqrt(),
        slope[..., 1:].abs().amax(-1),
    )


def _point(w, U, lam, S, mu, alpha, beta, gamma) -> Point:
    """All arguments checked, with batch dimensions that broadcast."""
    _, p = _arguments.weights("w", w)
    _arguments.square("U", U)
    _arguments.symmetric("S", S)
    lam, mu = _arguments.vector("lam", lam, p), _arguments.vector("mu", mu, p)
    for name, matrix in (("U", U), ("S", S)):
        if matrix.shape[-1] != p:
            raise ValueError(f"{name} must be {p} x {p} for w of length {w.shape[-1]}, got {tuple(matrix.shape)}")
    _validate.same_kind(w=w, U=U, lam=lam, S=S, mu=mu)
    _validate.finite(w=w, U=U)
    penalties = _arguments.penalties(alpha, beta, gamma, S)
    _validate.broadcast(
        w=w.shape[:-1],
        U=U.shape[:-2],
        lam=lam.shape[:-1],
        S=S.shape[:-2],
        mu=mu.shape[:-1],
        **{name: tuple(value.shape) for name, value in zip(("alpha", "beta", "gamma"), penalties)},
    )
    return Point(w, U, lam, S, mu, *penalties)
