"""The methods side by side: one feature map per method at equal output dimension, and their kernel estimates."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro.features import _arguments
from litrepro.features._fastfood import fastfood_project, sample_fastfood
from litrepro.features._fourier import (
    features_from_projection,
    fourier_features,
    normalize_features,
    orthogonal_frequencies,
    sample_frequencies,
)
from litrepro.features._kernels import gaussian_kernel
from litrepro.features._leverage import leverage_resample, unscaled_features

MAPS = ("phase", "paired", "normalized", "fastfood", "orthogonal", "leverage", "nystroem")

FeatureMap = Callable[[torch.Tensor], torch.Tensor]


def feature_map(
    method: str,
    x: torch.Tensor,
    n_features: int,
    *,
    sigma: float,
    lam: float = 1e-4,
    pool: int | None = None,
    batch: tuple[int, ...] = (),
    generator: torch.Generator | int | None = None,
) -> FeatureMap:
    """Draw a map x -> z(x) whose inner product estimates the Gaussian kernel, with D output coordinates.

    Parameters
    ----------
    method
        ``"phase"``: sqrt(2/D) cos(omega^T x + b). ``"paired"``: cosines and sines of D/2 frequencies. ``"normalized"``:
        phase features with rows of unit norm. ``"fastfood"``: phase features of Fastfood's frequencies.
        ``"orthogonal"``: the paired map of orthogonal frequencies. ``"leverage"``: phase features resampled from a
        pool by ridge leverage scores on x. ``"nystroem"``: K_xc K_cc^(-1/2) for D centres c drawn from x.
    x
        Training points (n, d): their dimension, dtype and device; the data for the two data-dependent methods.
    n_features
        Number D of output coordinates (even for ``"paired"`` and ``"orthogonal"``).
    sigma, lam
        Width of the kernel; lambda of the leverage scores.
    pool
        Size of the pool of ``"leverage"``, 4 D if None.
    batch
        Leading dimensions: independent draws (not for the data-dependent methods).
    generator
        Source of randomness, or a seed (0 if None).

    Returns
    -------
    A function from (..., n, d) to (..., n, D). The leading dimensions of the points broadcast with ``batch``, from the
    right: one set (n, d) goes through every draw and gives (*batch, n, D), sets (*batch, n, d) through one draw each.

    Raises
    ------
    ValueError
        An unknown method, an odd D where pairs are formed, more centres than points, batch dimensions of a
        data-dependent method, points for it that are not (n, d) and finite.

    Examples
    --------
    >>> import torch
    >>> from litrepro.features import gaussian_kernel
    >>> x = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None]
    >>> z = feature_map("nystroem", x, 10, sigma=1.0)(x)
    >>> bool((z @ z.mT - gaussian_kernel(x, x)).abs().max() < 1e-3)
    True
    """
    _validate.choice("method", method, MAPS)
    _validate.float_tensor("x", x, 2)
    n_features = _validate.positive_int("n_features", n_features)
    generator = _validate.random_source("generator", generator)
    batch = _arguments.batch_shape(batch)
    pool = 4 * n_features if pool is None else _validate.positive_int("pool", pool)
    options = {"sigma": sigma, "batch": batch, "generator": generator}
    if method in ("leverage", "nystroem"):
        if batch:
            raise ValueError(f"batch must be empty for the data-dependent method {method}, got {batch}")
        if x.ndim != 2:
            raise ValueError(f"x must be (n, d) for the data-dependent method {method}, got shape {tuple(x.shape)}")
        _validate.finite(x=x)
        if method == "leverage":
            return _leverage_map(x, n_features, sigma, lam, pool, generator)
        return _nystroem_map(x, n_features, sigma, generator)
    if method in ("paired", "orthogonal"):
        if n_features % 2:
            raise ValueError(f"n_features must be even for the {method} map, got {n_features}")
        draw = sample_frequencies if method == "paired" else orthogonal_frequencies
        omega = draw(x.shape[-1], n_features // 2, dtype=x.dtype, **options).omega.to(x.device)
        return lambda points: fourier_features(points, omega)
    omega, phase = sample_frequencies(1 if method == "fastfood" else x.shape[-1], n_features, dtype=x.dtype, **options)
    omega, phase = omega.to(x.device), phase.to(x.device)
    if method == "fastfood":
        f = sample_fastfood(x.shape[-1], n_features, **options)
        return lambda points: features_from_projection(fastfood_project(points, f), phase)
    if method == "normalized":
        return lambda points: normalize_features(fourier_features(points, omega, phase))
    return lambda points: fourier_features(points, omega, phase)


def kernel_estimates(
    method: str,
    x: torch.Tensor,
    y: torch.Tensor,
    n_features: int,
    draws: int,
    *,
    sigma: float = 1.0,
    generator: torch.Generator | int | None = None,
    chunk: int = 2048,
) -> torch.Tensor:
    """Independent estimates z(x)^T z(y_j) of the Gaussian kernel by a data-independent map.

    Parameters
    ----------
    method
        One of the data-independent methods of ``feature_map``.
    x, y
        One point (d,) and m points (m, d).
    n_features, draws
        Output coordinates D, number T of draws.
    chunk
        Draws held in memory at a time.

    Returns
    -------
    (T, m).

    Raises ``ValueError`` for x and y of other shapes or of different d, draws or chunk < 1, and as ``feature_map``.

    Examples
    --------
    >>> import torch
    >>> found = kernel_estimates("paired", torch.zeros(1), torch.tensor([[0.0], [1.0]]), 10, 1000)
    >>> found.shape, bool((found.mean(0) - torch.tensor([1.0, 0.6065])).abs().max() < 0.1)  # exp(-1/2)
    (torch.Size([1000, 2]), True)
    """
    draws, chunk = _validate.positive_int("draws", draws), _validate.positive_int("chunk", chunk)
    _validate.float_tensor("x", x, 1)
    _validate.float_tensor("y", y, 2)
    if x.ndim != 1 or y.ndim != 2:
        raise ValueError(f"x must be (d,) and y (m, d), got shapes {tuple(x.shape)} and {tuple(y.shape)}")
    centre, y = _arguments.points(x=x[None], y=y)
    generator = _validate.random_source("generator", generator)
    points = torch.cat([centre, y])
    parts = []
    for first in range(0, draws, chunk):
        batch = (min(chunk, draws - first),)
        z = feature_map(method, points, n_features, sigma=sigma, batch=batch, generator=generator)(points)
        parts.append((z[:, 1:] @ z[:, :1].mT)[..., 0])
    return torch.cat(parts)


def _leverage_map(
    x: torch.Tensor, n_features: int, sigma: float, lam: float, pool: int, generator: torch.Generator
) -> FeatureMap:
    omega, phase = sample_frequencies(x.shape[-1], pool, sigma=sigma, generator=generator, dtype=x.dtype)
    omega, phase = omega.to(x.device), phase.to(x.device)
    draw = leverage_resample(unscaled_features(x, omega, phase), n_features, lam, generator=generator)
    omega, phase = omega[draw.index], phase[draw.index]
    return lambda points: fourier_features(points, omega, phase, weights=draw.weights)


def _nystroem_map(x: torch.Tensor, n_features: int, sigma: float, generator: torch.Generator) -> FeatureMap:
    if n_features > len(x):
        raise ValueError(f"n_features must be at most the number {len(x)} of points for nystroem, got {n_features}")
    chosen = torch.randperm(len(x), generator=generator, device=generator.device)[:n_features]
    centres = x[chosen.to(x.device)]
    values, vectors = torch.linalg.eigh(gaussian_kernel(centres, centres, sigma=sigma).double())
    # Directions of rounding noise would be blown up by the inverse root.
    floor = values[-1] * 1e-10 if x.dtype == torch.float64 else values[-1] * 1e-6
    root = (vectors * torch.where(values > floor, values, torch.inf).rsqrt()) @ vectors.mT
    root = root.to(x.dtype)

    def features(points: torch.Tensor) -> torch.Tensor:
        K = gaussian_kernel(points, centres, sigma=sigma)
        return K @ root.to(K)

    return features
