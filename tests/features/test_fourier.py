"""Kernels, frequencies, features and variances against closed forms, scikit-learn and simulation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import features as lf

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_kernels_against_sklearn(dtype):
    from sklearn.metrics import pairwise

    x, y = normal(2, 7, 3, dtype=dtype), normal(2, 5, 3, seed=1, dtype=dtype)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-13}
    cases = (
        (lf.gaussian_kernel(x, y, sigma=1.7), lambda a, b: pairwise.rbf_kernel(a, b, gamma=1 / (2 * 1.7**2))),
        (lf.laplace_kernel(x, y, sigma=1.7), lambda a, b: pairwise.laplacian_kernel(a, b, gamma=1 / 1.7)),
        (lf.polynomial_kernel(x, y, degree=3, c=0.5), lambda a, b: pairwise.polynomial_kernel(a, b, 3, 1, 0.5)),
    )
    for ours, reference in cases:
        assert ours.dtype == dtype
        assert ours.shape == (2, 7, 5)
        for member in range(2):
            expected = torch.from_numpy(reference(x[member].numpy(), y[member].numpy())).to(dtype)
            torch.testing.assert_close(ours[member], expected, **tolerance)


def test_gaussian_kernel_of_large_sets_and_offsets():
    x, y = normal(300, 200) + 1e4, normal(400, 200, seed=1) + 1e4
    expected = torch.exp(-(torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist") ** 2) / 800)
    torch.testing.assert_close(lf.gaussian_kernel(x, y, sigma=20.0), expected, rtol=1e-7, atol=1e-9)
    assert torch.equal(lf.gaussian_kernel(x[:5], x[:5]).diagonal(), torch.ones(5, dtype=F64))
    assert lf.gaussian_kernel(normal(3, 1, 4, 2), normal(5, 6, 2)).shape == (3, 5, 4, 6)


def test_gaussian_kernel_of_clusters_far_apart():
    x = normal(50, 2000)
    x[::2] += 1e5
    expected = (-((x[:, None] - x) ** 2).sum(-1) / 2000).exp()
    for points in (x, x.clone().requires_grad_()):
        torch.testing.assert_close(lf.gaussian_kernel(points, x, sigma=1000**0.5), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("by_norms", [False, True])
def test_second_derivatives_of_the_gaussian_kernel(by_norms, monkeypatch):
    if by_norms:
        monkeypatch.setattr("litrepro.features._kernels._DIRECT", 0)
    x, y = normal(2, 3, 2).requires_grad_(), normal(4, 2, seed=1).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda a, b: lf.gaussian_kernel(a, b, sigma=1.3), (x, y))
    assert torch.autograd.gradgradcheck(lambda a: lf.gaussian_kernel(a, a), x)  # the diagonal's points coincide
    # of k(x, 0) at x = 0: -I / sigma^2
    kernel = lambda a: lf.gaussian_kernel(a[None], torch.zeros(1, 2, dtype=F64), sigma=0.5).sum()  # noqa: E731
    hessian = torch.autograd.functional.hessian(kernel, torch.zeros(2, dtype=F64))
    torch.testing.assert_close(hessian, -4 * torch.eye(2, dtype=F64))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_gaussian_kernel_under_vmap():
    x, y = normal(2, 130, 200), normal(170, 200, seed=1)  # by norms and a product
    found = torch.func.vmap(lambda a: lf.gaussian_kernel(a, y, sigma=15.0))(x)
    torch.testing.assert_close(found, lf.gaussian_kernel(x, y, sigma=15.0))


def test_gradients_of_kernels_and_features():
    x, y = normal(3, 2), normal(4, 2, seed=1)
    omega, phase = lf.sample_frequencies(2, 5, generator=generator(2))
    weights = normal(5, seed=3)
    leaves = [t.requires_grad_(True) for t in (x, y, omega, phase, weights)]
    assert torch.autograd.gradcheck(lambda a, b: lf.gaussian_kernel(a, b), leaves[:2])
    assert torch.autograd.gradcheck(
        lambda a, o, p, w: lf.fourier_features(a, o, p, weights=w), leaves[0:1] + leaves[2:]
    )
    large = normal(130, 200).requires_grad_(True)  # by norms and a product
    (gradient,) = torch.autograd.grad(lf.gaussian_kernel(large, normal(170, 200, seed=1), sigma=15.0).sum(), large)
    with torch.no_grad():
        k = lf.gaussian_kernel(large, normal(170, 200, seed=1), sigma=15.0)
        expected = (k[..., None] * (normal(170, 200, seed=1) - large[:, None]) / 225).sum(1)
    torch.testing.assert_close(gradient, expected)


def test_positive_semidefinite():
    x = normal(3, 12, 2)
    for kernel in (lf.gaussian_kernel, lf.laplace_kernel, lf.polynomial_kernel):
        assert lf.is_positive_semidefinite(kernel(x, x)).tolist() == [True] * 3
    assert not lf.is_positive_semidefinite(-torch.cdist(x, x)).any()
    assert lf.is_positive_semidefinite(torch.tensor([[1.0, 1.0], [-1.0, 1.0]]))  # its symmetric part is I
    mixed = torch.stack([torch.eye(2), torch.full((2, 2), torch.nan), -torch.eye(2)])
    assert lf.is_positive_semidefinite(mixed).tolist() == [True, False, False]
    assert lf.is_positive_semidefinite(torch.diag(torch.tensor([1.0, -1e-9])))
    assert not lf.is_positive_semidefinite(torch.diag(torch.tensor([1.0, -1e-7])))
    assert lf.is_positive_semidefinite(torch.diag(torch.tensor([1e3, -9e-6])))


def test_frequencies_follow_the_spectral_density():
    from scipy import stats

    draw = lf.sample_frequencies(2, 4000, sigma=0.5, batch=(2,), generator=generator())
    assert draw._fields == ("omega", "phase")
    assert draw.omega.shape == (2, 4000, 2)
    assert draw.phase.shape == (2, 4000)
    assert draw.omega.dtype == draw.phase.dtype == F64
    assert stats.kstest(draw.omega.flatten().numpy(), stats.norm(scale=2.0).cdf).pvalue > 1e-3
    assert stats.kstest(draw.phase.flatten().numpy(), stats.uniform(0, 2 * math.pi).cdf).pvalue > 1e-3
    laplace = lf.sample_frequencies(2, 4000, kernel="laplace", sigma=0.5, generator=generator(1))
    assert stats.kstest(laplace.omega.flatten().numpy(), stats.cauchy(scale=2.0).cdf).pvalue > 1e-3
    again = lf.sample_frequencies(2, 4000, kernel="laplace", sigma=0.5, generator=generator(1))
    assert torch.equal(again.omega, laplace.omega)
    assert torch.equal(again.phase, laplace.phase)
    assert lf.sample_frequencies(1, 1, dtype=torch.float32).omega.dtype == torch.float32


def test_orthogonal_frequencies():
    from scipy import stats

    omega = lf.orthogonal_frequencies(6, 15, sigma=2.0, batch=(400,), generator=generator()).omega
    assert omega.shape == (400, 15, 6)
    block = omega[:, :6]
    gram = block @ block.mT
    off = gram - torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
    assert off.abs().max() < 1e-12
    assert stats.kstest(omega[:, 3, 2].numpy(), stats.norm(scale=0.5).cdf).pvalue > 1e-3
    assert stats.kstest(4 * omega[:, 14].square().sum(-1).numpy(), stats.chi2(6).cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_features_by_their_formula(dtype):
    x, weights = normal(4, 3, dtype=dtype), normal(2, 5, seed=3, dtype=dtype)
    omega, phase = lf.sample_frequencies(3, 5, batch=(2,), generator=generator(), dtype=dtype)
    z = lf.fourier_features(x, omega, phase, weights=weights)
    paired = lf.fourier_features(x, omega, weights=weights)
    assert z.shape == (2, 4, 5)
    assert paired.shape == (2, 4, 10)
    assert z.dtype == paired.dtype == dtype
    for s in range(2):
        for i in range(4):
            for j in range(5):
                angle = float(omega[s, j].double() @ x[i].double())
                w, b = float(weights[s, j]), float(phase[s, j])
                assert z[s, i, j].item() == pytest.approx(math.sqrt(2 / 5) * w * math.cos(angle + b), abs=2e-6)
                assert paired[s, i, j].item() == pytest.approx(w * math.cos(angle) / math.sqrt(5), abs=2e-6)
                assert paired[s, i, 5 + j].item() == pytest.approx(w * math.sin(angle) / math.sqrt(5), abs=2e-6)
    plain = lf.fourier_features(x, omega)
    torch.testing.assert_close(plain.norm(dim=-1), torch.ones(2, 4, dtype=dtype))
    torch.testing.assert_close(lf.features_from_projection(x @ omega.mT, phase, weights=weights), z)


def test_features_approach_both_kernels():
    x = normal(20, 3)
    for kernel, exact in (("gaussian", lf.gaussian_kernel), ("laplace", lf.laplace_kernel)):
        omega, phase = lf.sample_frequencies(3, 40_000, kernel=kernel, sigma=1.5, generator=generator(2))
        for z in (lf.fourier_features(x, omega, phase), lf.fourier_features(x, omega)):
            assert (z @ z.mT - exact(x, x, sigma=1.5)).abs().max() < 0.03


def test_normalize_features():
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0], [3e-200, 4e-200], [3e200, -4e200]], dtype=F64)
    expected = torch.tensor([[0.6, 0.8], [0, 0], [0.6, 0.8], [0.6, -0.8]], dtype=F64)
    torch.testing.assert_close(lf.normalize_features(z), expected)
    leaf = torch.zeros(1, 3, requires_grad=True)
    lf.normalize_features(leaf).sum().backward()
    assert leaf.grad.isfinite().all()


def test_variance_against_simulation():
    draws, distance = 40_000, 0.8
    x = torch.tensor([[0.0], [distance]], dtype=F64)
    k = math.exp(-(distance**2) / 2)
    omega, phase = lf.sample_frequencies(1, 64, batch=(draws,), generator=generator(5))
    phases = lf.fourier_features(x, omega, phase)
    pairs = lf.fourier_features(x, omega[:, :32])
    for z, kind, slack in (
        (phases, "phase", 0.04),
        (pairs, "paired", 0.04),
        (lf.normalize_features(phases), "normalized", 0.1),
    ):
        product = (z[:, 0] * z[:, 1]).sum(-1)
        expected = lf.feature_variance(k, 64, kind).item()
        assert product.var().item() == pytest.approx(expected, rel=slack)
        if kind != "normalized":
            assert abs(product.mean().item() - k) < 5 * math.sqrt(expected / draws)


@settings(max_examples=50, deadline=None)
@given(k=st.floats(0, 1), n=st.integers(1, 100))
def test_variance_properties(k, n):
    by_kind = {kind: lf.feature_variance(k, n, kind) for kind in ("phase", "paired", "normalized")}
    assert all(value.dtype == F64 and value.shape == () and value >= 0 for value in by_kind.values())
    gap = k**2 * (1 - k**2) ** 2 / (4 * n)
    assert (by_kind["normalized"] - by_kind["paired"]).item() == pytest.approx(gap, abs=1e-15)
    printed = (1 + k**4 / 2 - k**2 - k**2 * (3 - k**4) / 4) / n
    assert by_kind["normalized"].item() == pytest.approx(printed, abs=1e-14)
    assert by_kind["phase"].item() == pytest.approx((1 + k**4 / 2 - k**2) / n)


def test_variance_shapes():
    values = lf.feature_variance(torch.tensor([[0.0, 0.5, 1.0]]), 2, "paired")
    torch.testing.assert_close(values, torch.tensor([[0.5, 0.5 * 0.75**2, 0.0]], dtype=F64))
    assert lf.feature_variance(1, 4, "phase").item() == pytest.approx(0.125)


def test_importance_sampling():
    target, proposal = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(4.0, 1.0)
    x = 4 + normal(3, 50_000)
    estimate = lf.importance_estimate(lambda t: t > 4, x, target.log_prob, proposal.log_prob)
    exact = math.erfc(4 / math.sqrt(2)) / 2
    assert estimate._fields == ("mean", "stderr")
    assert estimate.mean.shape == estimate.stderr.shape == (3,)
    assert ((estimate.mean - exact).abs() < 4 * estimate.stderr).all()
    terms = (x > 4) * torch.exp(target.log_prob(x) - proposal.log_prob(x))
    torch.testing.assert_close(estimate.mean, terms.mean(-1))
    torch.testing.assert_close(estimate.stderr, terms.std(-1) / 50_000**0.5)
    shifted = lf.importance_estimate(
        lambda t: t > 4, x, lambda t: target.log_prob(t) + 7, lambda t: proposal.log_prob(t) + 7
    )
    torch.testing.assert_close(shifted.mean, estimate.mean)
    same = lf.importance_estimate(torch.square, x, lambda t: 0.0, lambda t: 0.0)
    torch.testing.assert_close(same.mean, x.square().mean(-1))
    single = lf.importance_estimate(torch.square, x[:, :1], lambda t: 0.0, lambda t: 0.0)
    assert single.mean.isfinite().all()
    assert single.stderr.isinf().all()


X, OMEGA = torch.ones(4, 3), torch.ones(5, 3)
BAD = [
    lambda: lf.gaussian_kernel(X, torch.ones(4, 2)),
    lambda: lf.gaussian_kernel(X, X, sigma=0.0),
    lambda: lf.gaussian_kernel(X, X, sigma=math.nan),
    lambda: lf.gaussian_kernel(X.long(), X),
    lambda: lf.gaussian_kernel(torch.ones(3), X),
    lambda: lf.gaussian_kernel(torch.ones(2, 4, 3), torch.ones(3, 4, 3)),
    lambda: lf.laplace_kernel(X, X, sigma=-1.0),
    lambda: lf.laplace_kernel(X, torch.ones(4, 2)),
    lambda: lf.polynomial_kernel(X, X, c=-0.1),
    lambda: lf.polynomial_kernel(X, X, degree=0),
    lambda: lf.polynomial_kernel(X, X, degree=1.5),
    lambda: lf.polynomial_kernel(X, X, degree=True),
    lambda: lf.is_positive_semidefinite(torch.ones(2, 3)),
    lambda: lf.is_positive_semidefinite(torch.eye(2), tol=-1.0),
    lambda: lf.sample_frequencies(0, 5),
    lambda: lf.sample_frequencies(3, 0),
    lambda: lf.sample_frequencies(3, True),
    lambda: lf.sample_frequencies(3, 5, kernel="matern"),
    lambda: lf.sample_frequencies(3, 5, sigma=math.inf),
    lambda: lf.sample_frequencies(3, 5, dtype=torch.int64),
    lambda: lf.sample_frequencies(3, 5, batch="2"),
    lambda: lf.orthogonal_frequencies(3, 5, sigma=0),
    lambda: lf.fourier_features(X, torch.ones(5, 2)),
    lambda: lf.fourier_features(X, OMEGA, torch.ones(4)),
    lambda: lf.fourier_features(X, OMEGA, weights=torch.ones(10)),
    lambda: lf.fourier_features(X, torch.ones(0, 3)),
    lambda: lf.features_from_projection(torch.ones(4)),
    lambda: lf.features_from_projection(X, torch.ones(2)),
    lambda: lf.normalize_features(torch.ones(3, dtype=torch.int64)),
    lambda: lf.feature_variance(0.5, 0, "phase"),
    lambda: lf.feature_variance(0.5, 8, "sine"),
    lambda: lf.feature_variance(1.5, 8, "phase"),
    lambda: lf.feature_variance(torch.tensor([0.5, math.nan]), 8, "phase"),
    lambda: lf.importance_estimate(torch.square, torch.ones(3, 0), torch.abs, torch.abs),
    lambda: lf.importance_estimate(torch.square, torch.ones(3), None, torch.abs),
    lambda: lf.importance_estimate(lambda t: t[:2], torch.ones(3), torch.abs, torch.abs),
]


@pytest.mark.parametrize("call", BAD)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must"):
        call()


def test_a_member_far_away_costs_no_memory_with_gradients(monkeypatch):
    from litrepro.features import _kernels

    monkeypatch.setattr(_kernels, "_KEPT", 100)
    monkeypatch.setattr(_kernels, "_by_differences", lambda *_: pytest.fail("all differences were kept"))
    x = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    x[0] *= 1e9
    x.requires_grad_()
    lf.gaussian_kernel(x, x, sigma=1.0).sum().backward()
    assert x.grad[1].isfinite().all()


@pytest.mark.parametrize(
    ("unit", "dtype"),
    [(1e-20, torch.float32), (1e20, torch.float32), (1e-170, torch.float64), (1e200, torch.float64)],
)
def test_the_gaussian_kernel_in_small_and_large_units(unit, dtype):
    x = torch.tensor([[0.0], [1.0], [2.0]], dtype=dtype)
    found = lf.gaussian_kernel(x * unit, x * unit, sigma=unit)
    assert found.dtype == dtype
    torch.testing.assert_close(found, torch.exp(-((x - x.mT) ** 2) / 2))
