"""Ridge, leverage scores, resampling and kitchen sinks against dense algebra, scikit-learn and scipy."""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import ConvergenceWarning
from litrepro import features as lf

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_ridge_against_sklearn(dtype):
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import Ridge

    x, y = normal(3, 15, 4, dtype=dtype), normal(3, 15, 2, seed=1, dtype=dtype)
    K, lam = lf.gaussian_kernel(x, x), 0.02
    alpha = lf.kernel_ridge(K, y, lam)
    assert alpha.dtype == dtype
    assert alpha.shape == (3, 15, 2)
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-10}
    for s in range(3):
        reference = KernelRidge(alpha=15 * lam, kernel="precomputed").fit(K[s].double().numpy(), y[s].double().numpy())
        torch.testing.assert_close(alpha[s], torch.from_numpy(reference.dual_coef_).to(dtype), **tolerance)
    for width in (4, 15, 40):  # primal, square, dual
        z = normal(3, 15, width, seed=2, dtype=dtype)
        w = lf.feature_ridge(z, y, lam)
        assert w.dtype == dtype
        assert w.shape == (3, width, 2)
        reference = Ridge(alpha=15 * lam, fit_intercept=False).fit(z[1].double().numpy(), y[1].double().numpy())
        torch.testing.assert_close(w[1], torch.from_numpy(reference.coef_.T.copy()).to(dtype), **tolerance)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 12), width=st.integers(1, 20), seed=st.integers(0, 50), lam=st.floats(1e-3, 10))
def test_primal_is_dual(n, width, seed, lam):
    z, y = normal(n, width, seed=seed), normal(n, 1, seed=seed + 1)
    torch.testing.assert_close(z @ lf.feature_ridge(z, y, lam), z @ z.mT @ lf.kernel_ridge(z @ z.mT, y, lam))


def test_ridge_broadcasts_and_isolates():
    z, y = normal(5, 8, 3), normal(8, 2, seed=1)
    lams = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=F64)
    together = lf.feature_ridge(z, y, lams)
    for s in range(5):
        torch.testing.assert_close(together[s], lf.feature_ridge(z[s], y, lams[s].item()))
    K = torch.stack([torch.eye(3, dtype=F64), torch.full((3, 3), torch.nan, dtype=F64), -torch.eye(3, dtype=F64)])
    solved = lf.kernel_ridge(K, torch.ones(3, 1, dtype=F64), 0.5)
    torch.testing.assert_close(solved[0], torch.full((3, 1), 1 / 2.5, dtype=F64))
    torch.testing.assert_close(solved[2], torch.full((3, 1), 1 / 0.5, dtype=F64))  # indefinite, but solvable
    assert solved[1].isnan().all()


def problem(pool=500, n=30, dtype=F64):
    x = torch.rand(n, 1, generator=generator(7), dtype=F64).to(dtype) * 2 - 1
    omega, phase = lf.sample_frequencies(1, pool, sigma=0.3, generator=generator(8), dtype=dtype)
    return x, omega, phase, lf.unscaled_features(x, omega, phase)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_leverage_by_the_inverse(dtype):
    x, omega, phase, Z = problem(dtype=dtype)
    torch.testing.assert_close(Z, math.sqrt(2) * torch.cos(x @ omega.mT + phase))
    K, lam = lf.gaussian_kernel(x, x, sigma=0.3), 1e-2
    inverse = torch.linalg.inv(K.double() + 30 * lam * torch.eye(30, dtype=F64))
    scores = lf.ridge_leverage_scores(Z, K, lam)
    assert scores.dtype == dtype
    assert scores.shape == (500,)
    expected = torch.einsum("ij,ik,kj->j", Z.double(), inverse, Z.double()).to(dtype)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)
    d_eff = lf.effective_dimension(K, lam)
    torch.testing.assert_close(d_eff, (K.double() @ inverse).trace().to(dtype), rtol=1e-4, atol=1e-5)
    # The mean score is the effective dimension (erratum 1): 500 draws of a bounded score.
    assert abs(scores.mean() - d_eff) < 5 * scores.std() / math.sqrt(500)
    stacked = lf.ridge_leverage_scores(Z.expand(2, -1, -1), K, torch.tensor([lam, 0.1], dtype=F64))
    torch.testing.assert_close(stacked[0], scores)
    torch.testing.assert_close(stacked[1], lf.ridge_leverage_scores(Z, K, 0.1))


@pytest.mark.parametrize("pool", [20, 100])
def test_resample_probabilities_and_weights(pool):
    _, _, _, Z = problem(pool)
    lam = 1e-2
    gram = Z.mT @ Z
    p = (gram @ torch.linalg.inv(gram / pool + 30 * lam * torch.eye(pool, dtype=F64))).diagonal()
    draw = lf.leverage_resample(Z, 50, lam, generator=generator(1))
    assert draw._fields == ("index", "weights", "probabilities")
    torch.testing.assert_close(draw.probabilities, p / p.sum())
    assert draw.index.shape == draw.weights.shape == (50,)
    assert draw.index.dtype == torch.int64
    torch.testing.assert_close(draw.weights, (pool * draw.probabilities[draw.index]).rsqrt())
    again = lf.leverage_resample(Z, 50, lam, generator=generator(1))
    assert torch.equal(again.index, draw.index)


def test_resample_reproduces_the_pool():
    x, omega, phase, Z = problem(60, n=10)
    draw = lf.leverage_resample(Z.expand(3000, -1, -1), 20, 1e-2, generator=generator(2))
    counts = torch.zeros(60, dtype=F64).scatter_add_(0, draw.index.flatten(), torch.ones(60_000, dtype=F64))
    deviation = counts - 60_000 * draw.probabilities[0]
    assert (deviation.square() / (60_000 * draw.probabilities[0])).sum() < 110  # chi-square with 59 degrees of freedom
    z = lf.fourier_features(x, omega[draw.index], phase[draw.index], weights=draw.weights)
    products = z @ z.mT
    error = (products.mean(0) - Z @ Z.mT / 60) / (products.std(0) / math.sqrt(3000))
    assert error.abs().max() < 5


def test_resample_edge_cases():
    zero = lf.leverage_resample(torch.zeros(4, 3, dtype=F64), 5, 0.1)
    torch.testing.assert_close(zero.probabilities, torch.full((3,), 1 / 3, dtype=F64))
    one = torch.zeros(1, 3)
    one[0, 1] = 1.0  # a single feature has all the probability
    draw = lf.leverage_resample(one, 200, 0.1)
    assert (draw.index == 1).all()
    assert draw.weights.isfinite().all()
    assert draw.weights.dtype == torch.float32


def test_spectral_error():
    x, omega, phase, _ = problem()
    K, lam = lf.gaussian_kernel(x, x, sigma=0.3), 1e-2
    z = lf.fourier_features(x, omega, phase)
    values, vectors = torch.linalg.eigh(K + 30 * lam * torch.eye(30, dtype=F64))
    root = vectors @ values.rsqrt().diag() @ vectors.mT
    expected = torch.linalg.matrix_norm(root @ (z @ z.mT - K) @ root, 2)
    torch.testing.assert_close(lf.spectral_error(z @ z.mT, K, lam), expected)
    assert lf.spectral_error(K, K, lam) < 1e-9


def test_stumps():
    index, threshold = lf.random_stumps(4, 3000, low=-1.0, high=3.0, batch=(2,), generator=generator())
    assert index.shape == threshold.shape == (2, 3000)
    assert index.dtype == torch.int64
    assert threshold.dtype == F64
    assert set(index.unique().tolist()) == {0, 1, 2, 3}
    assert threshold.min() >= -1
    assert threshold.max() <= 3
    assert abs(threshold.mean() - 1.0) < 0.1
    x = normal(5, 4, dtype=torch.float32)
    for i, t in ((index, threshold), (index[0], threshold[0])):
        z = lf.stump_features(x, i, t)
        assert z.shape == (*i.shape[:-1], 5, 3000)
        assert z.dtype == torch.float32
        expected = torch.where(x.double()[:, i[..., :9]] > t[..., :9], 1.0, -1.0)
        expected = expected.movedim(0, -2).float() if i.ndim == 2 else expected.float()
        assert torch.equal(z[..., :9], expected)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("bound", [0.5, 3.0, 1e4])
def test_kitchen_sinks_against_scipy(bound, dtype):
    from scipy.optimize import lsq_linear

    z, y = normal(3, 40, 12, dtype=dtype), normal(3, 40, seed=1, dtype=dtype)
    fit = lf.kitchen_sinks(z, y, bound=bound)
    assert fit._fields == ("weights", "objective", "converged")
    assert fit.weights.dtype == dtype
    assert fit.converged.tolist() == [True] * 3
    assert fit.weights.shape == (3, 12)
    assert fit.objective.shape == (3,)
    assert fit.weights.abs().max() <= bound / 12 * (1 + 1e-6)
    for s in range(3):
        box = bound / 12
        reference = lsq_linear(z[s].double().numpy(), y[s].double().numpy(), (-box, box), tol=1e-14)
        torch.testing.assert_close(fit.weights[s].double(), torch.from_numpy(reference.x), rtol=1e-4, atol=1e-5)
        assert fit.objective[s].item() == pytest.approx(2 * reference.cost / 40, rel=1e-5)


def test_kitchen_sinks_members_and_failure():
    z, y = normal(3, 20, 6), normal(20, seed=1)
    z[1] *= torch.logspace(0, 2, 6, dtype=F64)
    together = lf.kitchen_sinks(z, y, bound=2.0)
    for s in range(3):
        torch.testing.assert_close(together.weights[s], lf.kitchen_sinks(z[s], y, bound=2.0).weights)
    z[2, 0, 0] = math.nan
    with pytest.warns(ConvergenceWarning, match="1 of 3"):
        broken = lf.kitchen_sinks(z, y, bound=2.0)
    assert broken.converged.tolist() == [True, True, False]
    assert broken.weights[2].isnan().all()
    torch.testing.assert_close(broken.weights[:2], together.weights[:2])
    with pytest.warns(ConvergenceWarning):
        assert not lf.kitchen_sinks(normal(20, 6), y, bound=2.0, max_iter=1).converged
    flat = lf.kitchen_sinks(torch.zeros(4, 2), torch.ones(4), bound=1.0)
    assert flat.converged
    assert flat.objective == 1
    assert not flat.weights.any()


def test_kitchen_sinks_of_more_features_than_points_are_the_shortest_that_fit():
    z, y = normal(12, 3, 4), normal(12, 3, seed=1)
    fit = lf.kitchen_sinks(z, y, bound=1e4)
    assert fit.converged.all()
    shortest = (torch.linalg.pinv(z) @ y[..., None])[..., 0]
    torch.testing.assert_close(fit.weights, shortest, rtol=1e-6, atol=1e-6)
    for i in range(12):
        torch.testing.assert_close(fit.weights[i], lf.kitchen_sinks(z[i], y[i], bound=1e4).weights, rtol=0, atol=1e-6)


def test_kitchen_sinks_of_very_unequal_features():
    from scipy.optimize import lsq_linear

    z, y = normal(100, 30) * torch.logspace(0, -5, 30, dtype=F64), normal(100, seed=1)
    fit = lf.kitchen_sinks(z, y, bound=3e6)
    assert fit.converged
    reference = lsq_linear(z.numpy(), y.numpy(), (-1e5, 1e5), method="bvls", tol=1e-14)
    assert fit.objective.item() == pytest.approx(2 * reference.cost / 100, rel=1e-7)


def test_integer_targets():
    z, labels = normal(9, 3), torch.arange(9) % 3
    for kind in (z, z.float()):
        signs, hot = 2 * (labels > 0) - 1, torch.nn.functional.one_hot(labels)
        fit = lf.kitchen_sinks(kind, signs.long(), bound=5.0)
        assert fit.weights.dtype == kind.dtype
        assert torch.equal(fit.weights, lf.kitchen_sinks(kind, signs.to(kind.dtype), bound=5.0).weights)
        assert torch.equal(lf.feature_ridge(kind, hot, 0.1), lf.feature_ridge(kind, hot.to(kind.dtype), 0.1))
        K = kind @ kind.mT
        assert torch.equal(lf.kernel_ridge(K, hot, 0.1), lf.kernel_ridge(K, hot.to(kind.dtype), 0.1))


def test_kitchen_sinks_one_point_one_feature():
    fit = lf.kitchen_sinks(torch.full((1, 1), 2.0, dtype=F64), torch.ones(1, dtype=F64), bound=10.0)
    assert fit.weights.item() == pytest.approx(0.5)
    assert fit.objective.item() == pytest.approx(0, abs=1e-12)


K3, Y3 = torch.eye(3), torch.ones(3, 1)
BAD = [
    lambda: lf.kernel_ridge(K3, Y3, 0.0),
    lambda: lf.kernel_ridge(K3, Y3, math.nan),
    lambda: lf.kernel_ridge(K3, torch.ones(2, 1), 0.1),
    lambda: lf.kernel_ridge(torch.ones(3, 2), Y3, 0.1),
    lambda: lf.kernel_ridge(torch.triu(torch.ones(3, 3)), Y3, 0.1),
    lambda: lf.kernel_ridge(K3, Y3, torch.tensor([0.1, -1.0])),
    lambda: lf.feature_ridge(torch.ones(3, 2), torch.ones(4, 1), 0.1),
    lambda: lf.feature_ridge(torch.ones(3, 2), torch.ones(3), 0.1),
    lambda: lf.feature_ridge(torch.ones(3, 0), Y3, 0.1),
    lambda: lf.feature_ridge(torch.ones(3, 2), Y3, -1.0),
    lambda: lf.ridge_leverage_scores(torch.ones(2, 5), K3, 0.1),
    lambda: lf.ridge_leverage_scores(torch.ones(3, 5), K3, 0.0),
    lambda: lf.effective_dimension(torch.ones(2, 3), 0.1),
    lambda: lf.effective_dimension(K3, -0.1),
    lambda: lf.leverage_resample(torch.ones(3, 5), 0, 0.1),
    lambda: lf.leverage_resample(torch.ones(3, 5), 2, 0.0),
    lambda: lf.leverage_resample(torch.ones(3, 0), 2, 0.1),
    lambda: lf.random_stumps(2, 2, low=1.0, high=1.0),
    lambda: lf.random_stumps(0, 2),
    lambda: lf.stump_features(torch.ones(3, 2), torch.tensor([2]), torch.ones(1)),
    lambda: lf.stump_features(torch.ones(3, 2), torch.tensor([0.0]), torch.ones(1)),
    lambda: lf.stump_features(torch.ones(3, 2), torch.tensor([0, 1]), torch.ones(1)),
    lambda: lf.kitchen_sinks(torch.ones(3, 2), torch.ones(2), bound=1.0),
    lambda: lf.kitchen_sinks(torch.ones(3, 2), torch.ones(3), bound=0.0),
    lambda: lf.kitchen_sinks(torch.ones(3, 2), torch.ones(3), bound=1.0, max_iter=0),
    lambda: lf.kitchen_sinks(torch.ones(3, 2), torch.ones(3), bound=1.0, tol=-1.0),
    lambda: lf.kitchen_sinks(torch.ones(3, 0), torch.ones(3), bound=1.0),
    lambda: lf.kitchen_sinks(torch.ones(3, 2), torch.ones(3, dtype=torch.bool), bound=1.0),
    lambda: lf.kitchen_sinks(torch.ones(3, 2).long(), torch.ones(3).long(), bound=1.0),
    lambda: lf.feature_ridge(torch.ones(3, 2).long(), Y3.long(), 0.1),
]


@pytest.mark.parametrize("call", BAD)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must"):
        call()


def test_a_regularization_that_rounding_swallows():
    """Matrices of ones have rank one: the limits are known, and the shift of 1e-18 vanishes beside them."""
    ones, lam = torch.ones(3, 3, dtype=torch.float64), 1e-18
    close = functools.partial(torch.testing.assert_close, rtol=0, atol=1e-12)
    close(lf.feature_ridge(ones[:, :2], ones[:, :1], lam), torch.full((2, 1), 0.5, dtype=torch.float64))
    close(lf.feature_ridge(ones[:2], torch.tensor([[1.0], [3.0]]), lam), torch.full((3, 1), 2 / 3, dtype=torch.float64))
    close(lf.kernel_ridge(ones, ones[:, :1], lam), ones[:, :1] / 3)
    close(lf.effective_dimension(ones, lam), ones[0, 0])
    close(lf.ridge_leverage_scores(ones[:, :2], ones, lam), ones[0, :2])
    close(lf.leverage_resample(ones[:, :2], 4, lam).probabilities, ones[0, :2] / 2)
    beside = torch.stack([ones, torch.eye(3).double(), ones * torch.nan])
    close(lf.effective_dimension(beside, lam), torch.tensor([1.0, 3.0, torch.nan]).double(), equal_nan=True)
