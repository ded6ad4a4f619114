"""Gaussian signals on a graph and their covariance."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.graphs import _arguments


def sample_signals(L: torch.Tensor, n: int, *, generator: torch.Generator | int | None = None) -> torch.Tensor:
    """n draws (..., n, p) from N(0, pinv(L)) for Laplacians L (..., p, p); float dtype and device of L.

    Components along the null space (one per connected component of the graph) are zero: eigenvalues up to 1e-9 of the
    largest, or 5e-7 for float32, whose rounding is as large; they are found in float64. ``generator`` is the source of
    randomness, or its seed (0 if None). No gradients are recorded.

    Raises ``ValueError`` where L is not square, symmetric and finite, neither float32 nor float64, or has an eigenvalue
    below minus that share of the largest magnitude, or n < 1.

    Examples
    --------
    >>> import torch
    >>> from litrepro.graphs import laplacian
    >>> X = sample_signals(laplacian(torch.ones(6, dtype=torch.float64)), 1000)
    >>> X.shape, bool(X.sum(-1).abs().max() < 1e-9), bool((X.var(0) - 0.1875).abs().max() < 0.05)  # pinv(L)_ii = 3/16
    (torch.Size([1000, 4]), True, True)
    """
    _arguments.decomposed("L", L)
    generator = _validate.random_source("generator", generator, L.device)
    n = _validate.positive_int("n", n)
    # Eigenvectors have no derivative where eigenvalues repeat, as those of a complete graph do.
    values, vectors = torch.linalg.eigh(L.detach().double())
    cut = _arguments.rounding(1e-9, L)
    if bool((values[..., 0] < -cut * values.abs().amax(-1)).any()):
        raise ValueError(f"L must be positive semidefinite, got an eigenvalue of {float(values.min()):.3g}")
    kept = values > cut * values[..., -1:].clamp_min(torch.finfo(values.dtype).tiny)
    scale = torch.where(kept, values, 1.0).rsqrt() * kept
    size = (*L.shape[:-2], n, L.shape[-1])
    noise = torch.randn(size, generator=generator, dtype=L.dtype, device=generator.device).to(L.device)
    # The symmetric root: eigenvectors have a sign, and bases of eigenspaces, that differ between machines.
    return noise @ ((vectors * scale[..., None, :]) @ vectors.mT).to(L.dtype)


def sample_covariance(X: torch.Tensor) -> torch.Tensor:
    """X' X / n (..., p, p) of signals X (..., n, p) whose mean is known to be zero.

    Raises ``ValueError`` unless X is a floating-point tensor with at least two dimensions and n >= 1.

    Examples
    --------
    >>> import torch
    >>> sample_covariance(torch.tensor([[1.0, 2.0], [1.0, 0.0]]))
    tensor([[1., 1.],
            [1., 2.]])
    """
    _validate.float_tensor("X", X, 2)
    if X.shape[-2] < 1:
        raise ValueError(f"X must have at least one row (..., n, p), got shape {tuple(X.shape)}")
    return X.mT @ X / X.shape[-2]


def contrast_loss(precision: torch.Tensor, S: torch.Tensor) -> torch.Tensor:
    """Twice the negative log-likelihood per sample, without constants, of the contrasts between variables: (...).

    The level (the component along the constant vector) is integrated out, so that Laplacians, which have none, and
    ordinary precision matrices are judged on the same p - 1 dimensions: tr(Q V'SV) - log det Q, where V is an
    orthonormal basis of the contrasts and Q the precision of V'x, a Schur complement. For a Laplacian L this is
    tr(S L) - log gdet L; it is infinite where the graph of L is disconnected. Computed in float64.

    Parameters
    ----------
    precision, S
        (..., p, p), symmetric, batch dimensions that broadcast; ``S`` is the covariance of the held-out samples.

    Raises ``ValueError`` for matrices that are not square, symmetric and finite float32 or float64, of different sizes
    or dtypes, or of batches that do not broadcast.

    Examples
    --------
    >>> import torch
    >>> from litrepro.graphs import laplacian
    >>> L = laplacian(torch.ones(3, dtype=torch.float64))
    >>> round(contrast_loss(L, torch.eye(3, dtype=torch.float64)).item(), 4)  # tr(L) - 2 log 3
    3.8028
    """
    _arguments.decomposed("precision", precision)
    _arguments.decomposed("S", S)
    p = S.shape[-1]
    if precision.shape[-1] != p:
        raise ValueError(f"precision and S must have one size, got {precision.shape[-1]} and {p}")
    _validate.same_kind(precision=precision, S=S)
    _validate.broadcast(precision=precision.shape[:-2], S=S.shape[:-2])
    dtype, level_cut, null = S.dtype, _arguments.rounding(1e-9, S), _arguments.rounding(1e-12, S)
    precision, S = precision.double(), S.double()
    ones = torch.full((p, 1), p**-0.5, dtype=S.dtype, device=S.device)
    V = torch.linalg.qr(torch.cat([ones, torch.eye(p, dtype=S.dtype, device=S.device)[:, 1:]], -1)).Q[:, 1:]
    cross = V.mT @ precision @ ones
    level = ones.mT @ precision @ ones
    tied = level > level_cut * precision.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    schur = torch.where(tied, cross @ cross.mT / torch.where(tied, level, 1.0), 0.0)
    Q = V.mT @ precision @ V - schur
    values = torch.linalg.eigvalsh(Q)
    cut = torch.where(tied[..., 0], 1e-12, null)  # only what has no level is a Laplacian, with a null space of its own
    log_det = torch.where((values > cut * values[..., -1:]).all(-1), values.clamp_min(1e-300).log().sum(-1), -torch.inf)
    return ((Q * (V.mT @ S @ V)).sum((-1, -2)) - log_det).to(dtype)
