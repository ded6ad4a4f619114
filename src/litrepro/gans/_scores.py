"""What a sample is worth, seen through a classifier: Inception Score, Frechet distance, class coverage."""

from __future__ import annotations

import itertools

import torch

from litrepro import _validate


def inception_score(probs: torch.Tensor, splits: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """Inception Score ``exp(mean_i KL(p_i || pbar))`` (Salimans et al. 2016), between 1 and the number of classes.

    Parameters
    ----------
    probs
        (..., n, K), class probabilities of n samples; rows sum to 1.
    splits
        Number of contiguous parts, as equal as possible, each with its own mean ``pbar``.

    Returns
    -------
    (mean, std), each (...) float64: over the splits, std with divisor ``splits``. ``0 log 0`` is 0. With leading
    dimensions both are NaN for a member that is not finite.

    Raises
    ------
    ValueError
        Fewer samples than splits, entries outside [0, 1] or rows that do not sum to 1 within 1e-3, a single sample
        (n, K) that is not finite.

    Examples
    --------
    >>> import torch
    >>> mean, std = inception_score(torch.eye(4).repeat(10, 1), splits=2)
    >>> round(mean.item(), 4), round(std.item(), 4)
    (4.0, 0.0)
    """
    probs, finite = _probabilities(probs)
    splits = _validate.positive_int("splits", splits)
    n = probs.shape[-2]
    if n < splits:
        raise ValueError(f"inception_score needs at least one sample per split, got n = {n} and {splits} splits")
    edges = [part * n // splits for part in range(splits + 1)]
    scores = []
    for low, high in itertools.pairwise(edges):
        part = probs[..., low:high, :]
        center = part.mean(-2, keepdim=True)
        divergence = (torch.xlogy(part, part) - torch.xlogy(part, center)).sum(-1)
        scores.append(divergence.mean(-1).exp())
    scores = torch.stack(scores, -1)
    if finite is not None:
        scores = torch.where(finite[..., None], scores, torch.nan)
    return scores.mean(-1), scores.std(-1, correction=0)


def frechet_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared Frechet distance of two Gaussians fitted to features (Heusel et al. 2017), in float64.

    ``|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a^(1/2) C_b C_a^(1/2))^(1/2))`` with unbiased covariances. The
    eigenvalues are those of ``L^T C_b L`` for any ``C_a = L L^T``: L is the Cholesky factor, and comes from
    ``eigh`` where ``C_a`` is singular. Negative eigenvalues of rounding size are set to 0. Where ``C_a`` or ``C_b`` is
    singular, the trace of the root has kinks: its gradient is then the shortest one (eigenvalues of rounding size add
    nothing), and where ``C_a`` is, it has no second derivative by both arguments.

    Parameters
    ----------
    a, b
        (..., n, d) and (..., m, d), of any floating dtypes; leading dimensions broadcast, n and m are at least 2.

    Returns
    -------
    (...), float64, >= 0. Biased upwards by few samples: compare values of equal n only. NaN where a member of an
    argument with leading dimensions is not finite.

    Raises
    ------
    ValueError
        Feature dimensions that differ, batch dimensions that do not broadcast, fewer than 2 samples, a single sample
        (n, d) that is not finite.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> round(frechet_distance(x, x + 1).item(), 4)
    3.0
    """
    for name, value in (("a", a), ("b", b)):
        _validate.float_tensor(name, value, 2)
        if value.shape[-2] < 2:
            raise ValueError(f"{name} must have at least 2 samples, got shape {tuple(value.shape)}")
    _validate.broadcast(a=a.shape[:-2], b=b.shape[:-2])
    if a.shape[-1] != b.shape[-1] or not a.shape[-1]:
        raise ValueError(f"a and b must have the same feature dimension, got {a.shape[-1]} and {b.shape[-1]}")
    (a, finite_a), (b, finite_b) = _without_diverged("a", a), _without_diverged("b", b)
    (mean_a, cov_a), (mean_b, cov_b) = _moments(a.double()), _moments(b.double())
    root, singular = _factor(cov_a)
    cross = _cross(root, cov_b)
    if cov_a.requires_grad and bool(singular.any()):
        # The factor of a singular covariance has no gradient, the trace has: by symmetry that with a factor of C_b.
        swapped = _cross(_factor(cov_b.detach())[0], cov_a)
        cross = cross + torch.where(singular, swapped - swapped.detach(), 0.0)
    traces = cov_a.diagonal(dim1=-2, dim2=-1).sum(-1) + cov_b.diagonal(dim1=-2, dim2=-1).sum(-1)
    found = ((mean_a - mean_b).square().sum(-1) + traces - 2 * cross).clamp_min(0)
    for finite in (finite_a, finite_b):
        found = found if finite is None else torch.where(finite, found, torch.nan)
    return found


def _cross(root: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """tr (L^T C L)^(1/2) of (..., d, d); eigenvalues that rounding does not tell from 0 have no gradient."""
    values = torch.linalg.eigvalsh(root.mT @ covariance @ root)
    known = values > values.shape[-1] * torch.finfo(values.dtype).eps * values[..., -1:]
    roots = torch.where(known, torch.where(known, values, 1.0).sqrt(), values.detach().clamp_min(0).sqrt())
    return roots.sum(-1)


def _factor(covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """L (..., d, d) with L L^T the covariance, and whether that is singular (...): then L has no gradient."""
    fixed = covariance.detach()
    factor, failed = torch.linalg.cholesky_ex(fixed)
    if bool(failed.any()):
        values, vectors = torch.linalg.eigh(fixed)
        root = vectors * values.clamp_min(0).sqrt()[..., None, :]
        factor = torch.where((failed > 0)[..., None, None], root, factor)
    if not covariance.requires_grad:
        return factor, failed > 0
    rounding = fixed.shape[-1] * torch.finfo(fixed.dtype).eps * fixed.diagonal(dim1=-2, dim2=-1)
    pivots = factor.diagonal(dim1=-2, dim2=-1).square()
    singular = (failed > 0) | (pivots <= rounding).any(-1)
    mask = singular[..., None, None]
    eye = torch.eye(fixed.shape[-1], dtype=fixed.dtype, device=fixed.device)
    return torch.where(mask, factor, torch.linalg.cholesky(torch.where(mask, eye, covariance))), singular


def _moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean = x.mean(-2)
    centered = x - mean[..., None, :]
    return mean, centered.mT @ centered / (x.shape[-2] - 1)


def class_coverage(probs: torch.Tensor, min_share: float = 0.01, min_confidence: float = 0.0) -> torch.Tensor:
    """How many classes the samples reach.

    Parameters
    ----------
    probs
        (..., n, K), class probabilities.
    min_share
        A class counts if at least this share of the n samples is read as it; one without samples never does.
    min_confidence
        Samples whose largest probability is below it are read as no class; they stay in n.

    Returns
    -------
    (...), int64; with leading dimensions 0 for a member that is not finite. Raises ``ValueError`` for rows that are no
    probabilities, a single sample (n, K) that is not finite, and shares outside [0, 1].

    Examples
    --------
    >>> import torch
    >>> class_coverage(torch.eye(4)[[0, 0, 1]]).item()
    2
    """
    probs, finite = _probabilities(probs)
    min_share = _validate.real("min_share", min_share, 0, 1)
    min_confidence = _validate.real("min_confidence", min_confidence, 0, 1)
    top = probs.max(-1)
    chosen = torch.nn.functional.one_hot(top.indices, probs.shape[-1]).to(torch.float64)
    counts = (chosen * (top.values >= min_confidence)[..., None]).sum(-2)
    # Counts against shares: a rounding error must not decide whether exactly 1% is at least 1%.
    found = ((counts >= min_share * probs.shape[-2] - 1e-9) & (counts > 0)).sum(-1)
    return found if finite is None else torch.where(finite, found, 0)


def _without_diverged(name: str, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(..., n, d) with zeros for members that are not finite, and which are (...); None where all are."""
    finite = torch.isfinite(value).all(-1).all(-1)
    if bool(finite.all()):
        return value, None
    if value.ndim == 2:
        raise ValueError(f"{name} must be finite")
    return torch.where(finite[..., None, None], value, 0.0), finite


def _probabilities(probs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Distributions (..., n, K) in float64, uniform for members that are not finite, and which are or None."""
    _validate.float_tensor("probs", probs, 2)
    if probs.shape[-2] < 1 or probs.shape[-1] < 1:
        raise ValueError(f"probs must be (..., n, K) with n, K >= 1, got {tuple(probs.shape)}")
    probs, finite = _without_diverged("probs", probs.double())
    if finite is not None:
        probs = torch.where(finite[..., None, None], probs, 1 / probs.shape[-1])
    if bool((probs < 0).any()):
        raise ValueError(f"rows of probs must be distributions, got a negative entry, {float(probs.min()):.3g}")
    error = (probs.sum(-1) - 1).abs()
    if not bool((error <= 1e-3).all()):
        raise ValueError(f"rows of probs must be distributions, got sums off by up to {float(error.max()):.3g}")
    return probs, finite
