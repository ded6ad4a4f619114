"""Trials on sine waves and what the other tests leave open: options that are passed on, hard boxes, one dimension."""

import math
import warnings

import pytest
import torch
from scipy import stats

from litrepro import features as lf
from litrepro.features import _leverage, _trials

F64 = torch.float64


def mean(table, **chosen):
    for column, value in chosen.items():
        table = table[table[column] == value]
    assert len(table)
    return table["value"].mean()


def trials(lam=1e-2, **options):
    settings = {"seeds": 4, "n": 60, "pool": 800, "sigma": 0.5, "noise": 0.0, "generator": 3}
    return lf.leverage_trials([2.0, 12.0], [lam], [200], **{**settings, **options})


def test_trials_approach_the_kernel_of_their_width():
    for sigma in (0.5, 2.0):  # frequencies of another width would not
        table = trials(sigma=sigma)
        for method in ("plain", "leverage", "pool 4D"):
            assert mean(table, method=method, metric="spectral error") < 0.5, (sigma, method)
    wide, narrow = (mean(trials(sigma=sigma), metric="effective dimension") for sigma in (2.0, 0.5))
    assert wide < 3 < 4 < narrow < 60


def test_trials_recover_what_they_are_told_to():
    clean, noisy = trials(lam=1e-4), trials(lam=1e-4, noise=1.0)
    for method in ("plain", "leverage", "pool 4D"):
        slow, fast = (mean(clean, method=method, metric="rmse", target=target) for target in (2.0, 12.0))
        assert slow < 0.05 < 0.2 < fast < 1, method
        assert 0.2 < mean(noisy, method=method, metric="rmse", target=2.0) < 1, method
    assert clean[(clean.method == "plain") & (clean.metric == "spectral error")]["value"].nunique() == 4
    assert trials(lam=1e-4).equals(clean)
    assert not trials(lam=1e-4, generator=4).equals(clean)


def test_trials_draw_from_four_times_as_many_features(monkeypatch):
    pools = []

    def resample(Z, n_features, lam, *, generator):
        pools.append((Z.shape[-1], n_features))
        return lf.leverage_resample(Z, n_features, lam, generator=generator)

    monkeypatch.setattr(_trials, "leverage_resample", resample)
    lf.leverage_trials([2.0], [1e-3], [5, 10], seeds=2, n=20, pool=50, methods=("pool 4D",))
    assert pools == [(20, 5), (40, 10)]


@pytest.mark.parametrize("sigma", [0.5, 0.01])  # a kernel of low rank, and one of full rank
def test_scores_of_a_pool_are_those_of_its_features(sigma):
    x = 2 * torch.rand(3, 40, 1, generator=torch.Generator().manual_seed(0), dtype=F64) - 1
    omega, phase = lf.sample_frequencies(1, 200, sigma=sigma, batch=(3,), generator=1)
    Z, K = lf.unscaled_features(x, omega, phase), lf.gaussian_kernel(x, x, sigma=sigma)
    scores = _leverage.PoolScores(x, omega, phase, *torch.linalg.eigh(K))
    for lam in (1e-1, 1e-3, 1e-6):
        assert torch.allclose(scores.at(40 * lam), lf.ridge_leverage_scores(Z, K, lam), rtol=1e-6)


def test_leverage_map_draws_from_four_times_as_many_features_by_default():
    x = torch.linspace(-1, 1, 15, dtype=F64)[:, None]

    def features(pool):
        return lf.feature_map("leverage", x, 6, sigma=0.5, pool=pool, generator=2)(x)

    assert torch.equal(features(None), features(24))
    assert not torch.equal(features(None), features(12))


def test_orthogonal_frequencies_point_both_ways():
    omega = lf.orthogonal_frequencies(1, 2000, generator=1).omega  # a Q that is not uniform is always 1 here
    assert stats.kstest(omega.flatten().numpy(), stats.norm().cdf).pvalue > 1e-3


@pytest.mark.parametrize(("k", "bound"), [(10, 3.0), (10, 300.0), (30, 3.0), (30, 30.0)])
def test_kitchen_sinks_of_features_that_resemble_each_other(k, bound):
    x = torch.linspace(0, 1, 60, dtype=F64)[:, None]
    omega, phase = lf.sample_frequencies(1, k, sigma=0.3, generator=0)
    z, y = lf.fourier_features(x, omega, phase) * math.sqrt(k / 2), torch.sin(6 * x[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # gradient steps alone would take far more than the default allows
        found = lf.kitchen_sinks(z, y, bound=bound)
    assert bool(found.converged)
    gradient = 2 * z.T @ (z @ found.weights - y) / 60
    box = bound / k
    free = found.weights.abs() < box * (1 - 1e-9)
    scale = (2 * z.T @ y / 60).abs().max()
    assert (gradient[free].abs() < 1e-5 * scale).all()
    assert (gradient[~free] * found.weights[~free].sign() < 1e-5 * scale).all()
