"""Regression of sine waves with features sampled plainly or by leverage: all seeds at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from litrepro import _validate
from litrepro.features._fourier import fourier_features, sample_frequencies
from litrepro.features._kernels import gaussian_kernel
from litrepro.features._leverage import (
    PoolScores,
    effective_dimension,
    leverage_resample,
    relative_norm,
    resample_by_scores,
    unscaled_features,
)
from litrepro.features._ridge import feature_ridge

if TYPE_CHECKING:
    import pandas as pd


def sine_grid(dtype: torch.dtype = torch.float64, device: torch.device | None = None) -> torch.Tensor:
    """400 noiseless test points on [-1, 1], (400, 1). Raises ``ValueError`` for a dtype that is not floating.

    Examples
    --------
    >>> grid = sine_grid()
    >>> grid.shape, grid.min().item(), grid.max().item()
    (torch.Size([400, 1]), -1.0, 1.0)
    """
    device = None if device is None else _validate.device("device", device)
    return torch.linspace(-1, 1, 400, dtype=_validate.floating_dtype("dtype", dtype), device=device)[:, None]


def leverage_trials(
    targets: Sequence[float],
    lams: Sequence[float],
    sizes: Sequence[int],
    *,
    seeds: int,
    n: int = 300,
    pool: int = 5000,
    sigma: float = 0.2,
    noise: float = 0.1,
    methods: Sequence[str] = ("plain", "leverage", "pool 4D"),
    generator: torch.Generator | int | None = None,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Fit y = sin(w x) + noise, x ~ U[-1, 1], by ridge regression on D phase features, for all combinations.

    Parameters
    ----------
    targets, lams, sizes
        Frequencies w of the target, values of lambda, numbers D of features.
    seeds
        Independent repetitions: points, noise, pools.
    n, pool, sigma, noise
        Points, size of the pool whose exact scores are used, width of the Gaussian kernel, standard deviation.
    methods
        ``"plain"``: the first D of the pool. ``"leverage"``: drawn by exact ridge leverage scores of the pool.
        ``"pool 4D"``: ``leverage_resample`` from the first 4 D of the pool.
    device
        Where to compute.

    Returns
    -------
    Tidy table ``method, target, lam, D, seed, metric, value``; metrics are ``rmse`` on ``sine_grid`` (noiseless),
    ``spectral error`` of the training Gram matrix, and ``effective dimension``.

    Raises
    ------
    ValueError
        seeds, n or pool < 1, an unknown method, nothing to do, targets, lams or sizes that are no numbers, a pool of
        fewer than D features for ``"plain"``, of fewer than 4 D for ``"pool 4D"``.

    Examples
    --------
    >>> table = leverage_trials([5.0], [1e-3], [10, 20], seeds=2, n=30, pool=100, methods=("plain", "leverage"))
    >>> table["metric"].unique().tolist(), table.query("metric == 'rmse'")["D"].unique().tolist()
    (['effective dimension', 'spectral error', 'rmse'], [10, 20])
    """
    seeds, n, pool = (_validate.positive_int(k, v) for k, v in (("seeds", seeds), ("n", n), ("pool", pool)))
    targets, lams, sizes = (
        _validate.sequence(k, v) for k, v in (("targets", targets), ("lams", lams), ("sizes", sizes))
    )
    for target in targets:
        _validate.real("targets", target)
    for lam in lams:
        _validate.real("lams", lam, 0, open_low=True)
    sizes, noise = [_validate.positive_int("sizes", size) for size in sizes], _validate.real("noise", noise, 0)
    methods = _validate.sequence("methods", methods)
    for method in methods:
        _validate.choice("method", method, ("plain", "leverage", "pool 4D"))
        needed = max(sizes) * {"plain": 1, "pool 4D": 4}.get(method, 0)
        if needed > pool:
            raise ValueError(f"pool must hold at least {needed} features for {method!r}, got {pool}")
    device = _validate.device("device", device)
    generator = _validate.random_source("generator", generator)
    draw = {"generator": generator, "device": generator.device, "dtype": torch.float64}
    x = (2 * torch.rand(seeds, n, 1, **draw) - 1).to(device)
    errors = (noise * torch.randn(seeds, n, 1, **draw)).to(device)
    omega, phase = (
        part.to(device) for part in sample_frequencies(1, pool, sigma=sigma, batch=(seeds,), generator=generator)
    )
    K, grid = gaussian_kernel(x, x, sigma=sigma), sine_grid(device=x.device)
    values, vectors = torch.linalg.eigh(K)
    pool_scores = PoolScores(x, omega, phase, values, vectors) if "leverage" in methods else None
    clean = torch.cat([torch.sin(target * x) for target in targets], -1)
    truth = torch.cat([torch.sin(target * grid) for target in targets], -1)
    rows: list[dict] = []

    def record(values: torch.Tensor, **labels) -> None:
        rows.extend({**labels, "seed": seed, "value": value} for seed, value in enumerate(values.tolist()))

    for lam in lams:
        record(effective_dimension(K, lam), method="exact", target=0.0, lam=lam, D=n, metric="effective dimension")
        shift = torch.full((1, 1), n * lam, dtype=K.dtype, device=K.device)
        scores = None if pool_scores is None else pool_scores.at(n * lam)
        for size in sizes:
            for method in methods:
                o, b, w = _choose(method, x, omega, phase, scores, size, lam, generator)
                z, z_grid = fourier_features(x, o, b, weights=w), fourier_features(grid, o, b, weights=w)
                labels = {"method": method, "lam": lam, "D": size}
                error = relative_norm(z @ z.mT - K, values, vectors, shift)
                record(error, **labels, target=0.0, metric="spectral error")
                fitted = z_grid @ feature_ridge(z, clean + errors, lam)
                rmse = (fitted - truth).square().mean(-2).sqrt()
                for column, target in enumerate(targets):
                    record(rmse[:, column], **labels, target=float(target), metric="rmse")
    return _table(rows)


def _choose(method, x, omega, phase, scores, size, lam, generator):
    """Frequencies, phases and weights of one method."""
    if method == "plain":
        return omega[:, :size], phase[:, :size], None
    if method == "leverage":
        draw = resample_by_scores(scores, size, generator=generator)
    else:
        first = unscaled_features(x, omega[:, : 4 * size], phase[:, : 4 * size])
        draw = leverage_resample(first, size, lam, generator=generator)
    return omega.gather(1, draw.index[..., None]), phase.gather(1, draw.index), draw.weights


def _table(rows: list[dict]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows)[["method", "target", "lam", "D", "seed", "metric", "value"]]
