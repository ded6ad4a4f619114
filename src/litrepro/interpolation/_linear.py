"""Minimum-norm linear regression on Gaussian inputs: its risk in closed form, and simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from litrepro import _validate
from litrepro.interpolation import _arguments
from litrepro.interpolation._min_norm import min_norm

if TYPE_CHECKING:
    import pandas as pd


class Risk(NamedTuple):
    """Squared bias, variance and their sum, the expected excess risk; float64."""

    bias: torch.Tensor
    variance: torch.Tensor
    risk: torch.Tensor


def linear_risk(n: int | torch.Tensor, d: int, *, noise: float, signal: float = 1.0, asymptotic: bool = False) -> Risk:
    """Expected excess risk E|b - beta|^2 of b = X^+ y, for x ~ N(0, I_d) and y = <x, beta> + N(0, noise^2).

    With g = n / d. Fewer samples than dimensions: B = (1 - g)^2 |beta|^2 and V = g (1 - g) |beta|^2 + noise^2
    n / (d - n - 1). More: B = 0, V = noise^2 d / (n - d - 1). For |n - d| <= 1 the expectation is infinite
    (without noise that term is 0 everywhere; without samples the solution is 0).

    Parameters
    ----------
    n
        Number of samples >= 0: an integer, or an integer tensor of any shape.
    d
        Dimension >= 1.
    noise, signal
        Standard deviation of the noise, and |beta|; both >= 0.
    asymptotic
        The limit n, d -> infinity at fixed g, as printed in the review: noise^2 g / (1 - g) and noise^2 / (g - 1).

    Returns
    -------
    ``Risk(bias, variance, risk)``, float64 of the shape of n.

    Raises
    ------
    ValueError
        n < 0 or not an integer, d < 1, noise < 0, signal < 0.

    Source: Nakkiran 2019, arXiv:1912.07242; Hastie et al. 2019, arXiv:1903.08560. The exact denominators are those of
    the mean of an inverse Wishart matrix. Equations 2 to 5 of the review.

    Examples
    --------
    >>> round(linear_risk(25, 50, noise=0.1).risk.item(), 4)
    0.5104
    >>> linear_risk(50, 50, noise=0.1).risk.item()
    inf
    """
    if isinstance(n, torch.Tensor):
        if n.dtype.is_floating_point or n.dtype.is_complex or n.dtype == torch.bool:
            raise ValueError(f"n must be an integer or an integer tensor, got {n.dtype}")
        if n.numel() and int(n.min()) < 0:
            raise ValueError(f"n must be >= 0, got {int(n.min())}")
    else:
        n = torch.tensor(_validate.positive_int("n", n, 0))
    d = _validate.positive_int("d", d)
    noise, signal = _validate.real("noise", noise, 0), _validate.real("signal", signal, 0)
    samples = n.to(torch.float64)
    few, g = samples < d, samples / d
    bias = torch.where(few, (1 - g).square() * signal**2, 0.0)
    variance = torch.where(few, g * (1 - g) * signal**2, 0.0)
    if noise > 0:
        gap = (samples - d).abs() - (0 if asymptotic else 1)
        # Of the noise: n inverse eigenvalues on average below the threshold, d above.
        inverse = torch.where(few, samples, float(d)) / torch.where(gap > 0, gap, 1.0)
        variance = variance + torch.where(gap > 0, noise**2 * inverse, torch.inf)
        # No samples, no noise: not even in one dimension, where n = 0 is next to the threshold.
        variance = torch.where(samples == 0, 0.0, variance)
    return Risk(bias, variance, bias + variance)


def bias_variance(estimates: torch.Tensor, truth: torch.Tensor) -> Risk:
    """Squared bias and variance of estimates over trials: |mean - truth|^2 and mean |b - mean|^2 (divided by T).

    Parameters
    ----------
    estimates
        (T, ..., d), trials first.
    truth
        (d,).

    Returns
    -------
    ``Risk`` of shape (...), float64; ``risk`` is the mean squared distance to the truth.

    Raises
    ------
    ValueError
        No trials, or another dimension than d.

    Examples
    --------
    >>> [value.item() for value in bias_variance(torch.tensor([[0.0], [2.0]]), torch.tensor([3.0]))]
    [4.0, 1.0, 5.0]
    """
    _validate.float_tensor("estimates", estimates, 2)
    _validate.float_tensor("truth", truth, 1)
    if truth.ndim != 1 or estimates.shape[-1] != len(truth) or not len(estimates):
        raise ValueError(
            f"estimates must be (T, ..., d) and truth (d,), got {tuple(estimates.shape)} and {tuple(truth.shape)}"
        )
    estimates, truth = estimates.double(), truth.double()
    mean = estimates.mean(0)
    bias = (mean - truth).square().sum(-1)
    variance = (estimates - mean).square().sum(-1).mean(0)
    return Risk(bias, variance, bias + variance)


def sample_wise_curve(
    sample_sizes: Sequence[int],
    d: int,
    *,
    trials: int,
    noise: float,
    signal: float = 1.0,
    generator: torch.Generator | int | None,
    dtype: torch.dtype = torch.float64,
    ridge: float = 0.0,
) -> pd.DataFrame:
    """Simulate the excess risk of minimum-norm regression against the number of samples.

    beta is drawn once and scaled to |beta| = ``signal``; inputs and noise are drawn for every trial, all trials of one
    sample size in one batch.

    Parameters
    ----------
    sample_sizes
        Numbers n >= 0 of samples.
    d, trials
        Dimension and number of trials.
    noise, signal
        As in ``linear_risk``.
    generator
        Source of randomness, or a seed (0 if None); the simulation runs on its device.
    dtype
        float64 or float32.
    ridge
        lambda >= 0 in |X b - y|^2 + lambda |b|^2; d noise^2 / |beta|^2 is optimal on average, for every n.

    Returns
    -------
    DataFrame ``n, trial, excess_risk``, the last |b - beta|^2.

    Raises
    ------
    ValueError
        Sizes < 0, d or trials < 1, negative noise, signal or ridge, another dtype.

    Source: Nakkiran 2019, arXiv:1912.07242; for the ridge Nakkiran et al. 2021, arXiv:2003.01897.

    Examples
    --------
    >>> sample_wise_curve([2, 8], 4, trials=3, noise=0.1, generator=0).shape
    (6, 3)
    """
    import pandas as pd

    sizes = _arguments.integers("sample_sizes", sample_sizes).tolist()
    d, trials = _validate.positive_int("d", d), _validate.positive_int("trials", trials)
    noise, signal = _validate.real("noise", noise, 0), _validate.real("signal", signal, 0)
    ridge = _validate.real("ridge", ridge, 0)
    generator = _validate.random_source("generator", generator)
    _arguments.precision(dtype)
    draw = {"generator": generator, "device": generator.device, "dtype": dtype}
    beta = torch.randn(d, **draw)
    beta = beta * (signal / beta.norm())
    tables = []
    for n in sizes:
        x = torch.randn(trials, n, d, **draw)
        y = x @ beta + noise * torch.randn(trials, n, **draw)
        excess = (_solve(x, y, ridge) - beta).square().sum(-1)
        tables.append(pd.DataFrame({"n": n, "trial": range(trials), "excess_risk": excess.double().tolist()}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["n", "trial", "excess_risk"])


def _solve(x: torch.Tensor, y: torch.Tensor, ridge: float) -> torch.Tensor:
    """Minimum-norm or ridge solution: through the smaller Gram matrix where that is safe, which is far faster."""
    n, d = x.shape[-2:]
    apart = abs(n - d) >= max(4, d / 200)  # the condition number of the Gram matrix is then rarely above 10^7
    if min(n, d) and (ridge > 0 or (apart and x.dtype == torch.float64)):
        gram = x @ x.mT if n < d else x.mT @ x
        gram.diagonal(dim1=-2, dim2=-1).add_(ridge)
        factor, failed = torch.linalg.cholesky_ex(gram)
        if not bool(failed.any()):
            if n < d:
                return (x.mT @ torch.cholesky_solve(y[..., None], factor))[..., 0]
            return torch.cholesky_solve(x.mT @ y[..., None], factor)[..., 0]
    if ridge > 0 and min(n, d):
        return _augmented(x, y, ridge)
    solution = _by_qr(x, y) if min(n, d) else None
    return min_norm(x, y) if solution is None else solution


def _by_qr(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor | None:
    """Minimum-norm solution by QR factors, which do not square the condition number; None if a rank is in doubt."""
    n, d = x.shape[-2:]
    q, r = torch.linalg.qr(x.mT if n < d else x)
    pivots = r.diagonal(dim1=-2, dim2=-1).abs()
    if not bool((pivots.amin(-1) > 100 * max(n, d) * torch.finfo(x.dtype).eps * pivots.amax(-1)).all()):
        return None
    if n < d:
        return (q @ torch.linalg.solve_triangular(r.mT, y[..., None], upper=False))[..., 0]
    return torch.linalg.solve_triangular(r, q.mT @ y[..., None], upper=True)[..., 0]


def _augmented(x: torch.Tensor, y: torch.Tensor, ridge: float) -> torch.Tensor:
    """Ridge regression as least squares with d further rows, for Gram matrices that are numerically singular."""
    rows = ridge**0.5 * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
    return min_norm(torch.cat([x, rows], -2), torch.cat([y, torch.zeros_like(rows[..., 0])], -1))
