"""Minimum-norm regression, its risk and gradient descent, against numpy, closed forms, iteration and simulation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import interpolation as li

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7), st.booleans(), st.integers(0, 10**6))
def test_min_norm_is_the_pseudoinverse(n, p, rank, imaginary, seed):
    dtype = torch.complex128 if imaginary else F64
    rank = min(rank, n, p)
    x = normal(n, rank, seed=seed, dtype=dtype) @ normal(rank, p, seed=seed + 1, dtype=dtype)
    y = normal(n, seed=seed + 2)
    expected = np.linalg.pinv(x.numpy(), rcond=1e-10) @ y.numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    torch.testing.assert_close(
        li.min_norm(x, y, rcond=1e-10), torch.from_numpy(expected).to(dtype), atol=1e-8 * scale, rtol=1e-8
    )


@pytest.mark.parametrize("dtype", [F64, torch.complex128])
def test_min_norm_has_a_gradient_where_singular_values_repeat(dtype):
    x, y = 2 * torch.eye(2, 3, dtype=dtype), normal(2, seed=1, dtype=dtype)
    for matrix, targets in ((x, y.requires_grad_()), (x.mT, normal(3, seed=2, dtype=dtype))):
        matrix = matrix.clone().requires_grad_()
        assert torch.autograd.gradcheck(li.min_norm, (matrix, targets))
        torch.testing.assert_close(li.min_norm(matrix, targets), li.min_norm(matrix.detach(), targets))


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (6, 1)])
def test_min_norm_batched_and_with_several_targets(shape):
    x, y = normal(3, 2, *shape), normal(3, 2, shape[0], 4, seed=1)
    together = li.min_norm(x, y)
    assert together.shape == (3, 2, shape[1], 4)
    for i in range(3):
        for j in range(2):
            expected = torch.linalg.lstsq(x[i, j], y[i, j], driver="gelsd").solution
            torch.testing.assert_close(together[i, j], expected)
            torch.testing.assert_close(li.min_norm(x[i, j], y[i, j, :, 0]), expected[:, 0])


def test_min_norm_of_zeros_duplicates_and_no_rows():
    assert li.min_norm(torch.zeros(2, 3, 4), torch.ones(2, 3)).eq(0).all()
    x = normal(3, 5)
    doubled = li.min_norm(torch.cat([x, x]), torch.cat([torch.ones(3), torch.ones(3)]))
    torch.testing.assert_close(doubled, li.min_norm(x, torch.ones(3)))
    assert li.min_norm(torch.zeros(0, 4), torch.zeros(0)).tolist() == [0.0] * 4
    assert li.min_norm(torch.ones(2, 3), torch.tensor([1, 1])).dtype == torch.float32
    assert li.min_norm(torch.diag(torch.tensor([1.0, 1e-3])), torch.ones(2), rcond=1e-2).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("features", "targets"),
    [
        (torch.ones(3), torch.ones(3)),
        (torch.ones(3, 2), torch.ones(4)),
        (torch.ones(3, 2), torch.tensor(1.0)),
        (torch.full((3, 2), math.nan), torch.ones(3)),
        (torch.ones(3, 2), torch.full((3,), math.inf)),
        (torch.ones(3, 2, dtype=torch.int64), torch.ones(3)),
        (torch.ones(2, 3, 2), torch.ones(4, 3, 1)),
        ([[1.0]], torch.ones(1)),
    ],
)
def test_min_norm_refuses(features, targets):
    with pytest.raises(ValueError, match=r"features|targets|batch"):
        li.min_norm(features, targets)


def test_linear_risk_values():
    n = torch.tensor([0, 25, 48, 49, 50, 51, 60, 100])
    bias, variance, risk = li.linear_risk(n, 50, noise=0.1, signal=2.0)
    assert risk.dtype == F64
    assert risk.shape == n.shape
    torch.testing.assert_close(bias[:3], torch.tensor([4.0, 1.0, 4 * 0.04**2], dtype=F64))
    assert bias[4:].eq(0).all()
    assert bias[3] == pytest.approx(4 * 0.02**2)
    assert variance[0] == 0
    assert variance[1] == pytest.approx(1.0 + 0.01 * 25 / 24)
    assert variance[3:6].isinf().all()
    assert variance[6] == pytest.approx(0.01 * 50 / 9)
    assert variance[7] == pytest.approx(0.01 * 50 / 49)
    torch.testing.assert_close(risk, bias + variance)
    clean = li.linear_risk(n, 50, noise=0)
    assert clean.variance[4:].eq(0).all()
    assert clean.variance[3] == pytest.approx(0.98 * 0.02)
    limit = li.linear_risk(n, 50, noise=0.1, asymptotic=True)
    assert limit.variance[2] == pytest.approx(0.96 * 0.04 + 0.01 * 24)
    assert limit.variance[7] == pytest.approx(0.01)
    assert limit.variance[4].isinf()
    assert li.linear_risk(50, 50, noise=0, asymptotic=True).risk == 0
    assert li.linear_risk(0, 1, noise=1.0).risk == 1
    assert li.linear_risk(7, 3, noise=1.0).risk.shape == ()


@pytest.mark.parametrize("n", [10, 16, 24, 28, 60])
def test_linear_risk_against_simulation(n):
    trials, d = 3000, 20
    frame = li.sample_wise_curve([n], d, trials=trials, noise=0.3, signal=1.5, generator=generator(n))
    exact = li.linear_risk(n, d, noise=0.3, signal=1.5).risk.item()
    assert abs(frame.excess_risk.mean() - exact) < 4 * frame.excess_risk.sem()


def test_bias_variance():
    x, beta = normal(4000, 10, 20), normal(20, seed=1)
    y = x @ beta + 0.2 * normal(4000, 10, seed=2)
    found = li.bias_variance(li.min_norm(x, y), beta)
    exact = li.linear_risk(10, 20, noise=0.2, signal=beta.norm().item())
    for measured, expected in zip(found, exact):
        assert measured.item() == pytest.approx(expected.item(), rel=0.05)
    estimates = normal(5, 3, 4)
    each = li.bias_variance(estimates, torch.zeros(4))
    torch.testing.assert_close(each.risk, estimates.square().sum(-1).mean(0))
    torch.testing.assert_close(each.variance, estimates.var(0, correction=0).sum(-1))
    for bad in (torch.ones(4), torch.ones(0, 4), torch.ones(3, 5)):
        with pytest.raises(ValueError, match="estimates"):
            li.bias_variance(bad, torch.ones(4))


def test_sample_wise_curve():
    # 6 and 30 go through Gram matrices, 15 and 14 through singular values: all must agree with lstsq.
    sizes, d = [0, 6, 14, 15, 30], 15
    frame = li.sample_wise_curve(sizes, d, trials=4, noise=0.5, signal=2.0, generator=generator(3))
    assert frame.columns.tolist() == ["n", "trial", "excess_risk"]
    assert len(frame) == 20
    source = generator(3)
    beta = torch.randn(d, generator=source, dtype=F64)
    beta = 2 * beta / beta.norm()
    for n in sizes:
        x = torch.randn(4, n, d, generator=source, dtype=F64)
        y = x @ beta + 0.5 * torch.randn(4, n, generator=source, dtype=F64)
        for trial in range(4):
            expected = np.linalg.pinv(x[trial].numpy()) @ y[trial].numpy() if n else np.zeros(d)
            found = frame[(frame.n == n) & (frame.trial == trial)].excess_risk.item()
            assert found == pytest.approx(((expected - beta.numpy()) ** 2).sum(), rel=1e-8)
    again = li.sample_wise_curve([6], d, trials=2, noise=0.5, generator=5, dtype=torch.float32)
    assert again.equals(li.sample_wise_curve([6], d, trials=2, noise=0.5, generator=5, dtype=torch.float32))


def test_optimal_ridge_has_no_peak():
    frame = li.sample_wise_curve([5, 10, 20, 40], 20, trials=300, noise=0.5, generator=0, ridge=20 * 0.25)
    mean = frame.groupby("n").excess_risk.mean()
    assert mean.is_monotonic_decreasing
    from sklearn.linear_model import Ridge

    source = generator(1)
    beta = torch.randn(3, generator=source, dtype=F64)
    beta = beta / beta.norm()
    for n in (2, 5):
        x = torch.randn(1, n, 3, generator=source, dtype=F64)
        y = x @ beta + 0.1 * torch.randn(1, n, generator=source, dtype=F64)
        fitted = Ridge(alpha=0.7, fit_intercept=False).fit(x[0].numpy(), y[0].numpy()).coef_
        found = li.sample_wise_curve([2, 5], 3, trials=1, noise=0.1, generator=1, ridge=0.7)
        value = found[found.n == n].excess_risk.item()
        assert value == pytest.approx(((fitted - beta.numpy()) ** 2).sum(), rel=1e-8)


@pytest.mark.parametrize(
    "change",
    [{"sample_sizes": [-1]}, {"sample_sizes": 3}, {"d": 0}, {"trials": 0}, {"noise": -1}, {"signal": -1},
     {"ridge": -1}, {"dtype": torch.int64}, {"generator": "x"}],
)  # fmt: skip
def test_sample_wise_curve_refuses(change):
    good = {"sample_sizes": [3], "d": 2, "trials": 2, "noise": 0.1, "generator": 0}
    with pytest.raises(ValueError, match=next(iter(change))):
        li.sample_wise_curve(**(good | change))


@pytest.mark.parametrize(
    ("n", "d", "noise"), [(-1, 3, 0.1), (torch.tensor([3, -1]), 3, 0.1), (2.5, 3, 0.1), (2, 0, 0.1), (2, 3, -0.1),
                    (torch.tensor([1.0]), 3, 0.1), (True, 3, 0.1)],
)  # fmt: skip
def test_linear_risk_refuses(n, d, noise):
    with pytest.raises(ValueError, match="must be"):
        li.linear_risk(n, d, noise=noise)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5)])
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_path_equals_iterating(shape, factor):
    x, y = normal(3, *shape), normal(3, shape[0], seed=1)
    step = factor / torch.linalg.matrix_norm(x, 2).square()
    counts = [0, 1, 2, 7, 50, 3]
    path = li.gradient_descent_path(x, y, counts, step=step)
    assert path.shape == (3, 6, shape[1])
    beta = torch.zeros(3, shape[1], dtype=F64)
    seen = {}
    for t in range(51):
        seen[t] = beta
        beta = beta - step[:, None] * (x.mT @ (x @ beta[..., None] - y[..., None]))[..., 0]
    for index, t in enumerate(counts):
        torch.testing.assert_close(path[:, index], seen[t], rtol=1e-9, atol=1e-11)
    if factor == 1:
        torch.testing.assert_close(path, li.gradient_descent_path(x, y, torch.tensor(counts)))


def test_path_ends_at_the_minimum_norm_solution():
    x = normal(2, 6, 9)
    x = torch.cat([x, x[:, :2]], 1)  # duplicate rows: rank 6
    y = normal(2, 8, seed=1)
    end = li.gradient_descent_path(x, y, [10**9])[:, 0]
    torch.testing.assert_close(end, li.min_norm(x, y), rtol=1e-6, atol=1e-8)
    assert li.gradient_descent_path(torch.zeros(2, 3), torch.ones(2), [5, 1e9]).eq(0).all()
    assert li.gradient_descent_path(torch.ones(1, 1), torch.ones(1), [3], step=3.0).item() == pytest.approx(9.0)


@pytest.mark.parametrize(
    "change",
    [{"iterations": [-1]}, {"iterations": [1.5]}, {"iterations": 3}, {"step": 0.0}, {"step": torch.ones(2)},
     {"step": torch.tensor(-1.0)}, {"targets": torch.ones(4)}, {"features": torch.ones(3)},
     {"features": torch.full((3, 2), math.inf)}, {"targets": torch.full((3,), math.nan)}],
)  # fmt: skip
def test_path_refuses(change):
    good = {"features": torch.ones(3, 2), "targets": torch.ones(3), "iterations": [1], "step": None}
    with pytest.raises(ValueError, match=next(iter(change))):
        li.gradient_descent_path(**(good | change))


def test_descent_risk_against_simulation():
    d, n, noise, trials = 6, 3000, 2.0, 40
    scales = torch.tensor([1.0] * 3 + [0.3] * 3, dtype=F64)
    beta = torch.tensor([0.05, -0.02, 0.0, 0.2, -0.3, 0.1], dtype=F64)
    x = normal(trials, n, d) * scales
    y = x @ beta + noise * normal(trials, n, seed=1)
    counts = [0, 1, 3, 10, 100, 10_000]
    path = li.gradient_descent_path(x, y, counts, step=0.5 / n)
    measured = ((path - beta) * scales).square().sum(-1)
    theory = li.gradient_descent_risk(scales, beta, counts, n=n, noise=noise, step=0.5).sum(-1)
    error = measured.std(0) / trials**0.5
    assert ((measured.mean(0) - theory).abs() < 4 * error + 0.02 * theory).all()
    diverging = torch.tensor([3.0, 1.0], dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)  # nothing to diverge from
    assert li.gradient_descent_risk(*diverging, [2000], n=5, noise=0.0, step=0.5).isfinite().all()
    for bad in ({"n": 0}, {"noise": -1.0}, {"step": 0.0}, {"coefficients": torch.ones(2)}):
        good = {"scales": scales, "coefficients": beta, "iterations": [1], "n": 5, "noise": 1.0, "step": 0.1}
        with pytest.raises(ValueError, match=next(iter(bad))):
            li.gradient_descent_risk(**(good | bad))


def test_effective_model_complexity():
    errors = torch.tensor([[0.0, 0.0, 0.2, 0.0], [0.5, 0.5, 0.5, 0.5], [math.nan, 0.0, 1.0, 1.0]])
    assert li.effective_model_complexity(errors, [10, 20, 40, 30], epsilon=0.1).tolist() == [30, 0, 20]
    # float32(0.1) exceeds 0.1, and has to count as reached all the same.
    assert li.effective_model_complexity(torch.tensor([0.1]), [7], epsilon=0.1).item() == 7
    assert li.effective_model_complexity(torch.tensor([0.1], dtype=F64), torch.tensor([7]), epsilon=0.0).item() == 0
    with pytest.raises(ValueError, match="train_error"):
        li.effective_model_complexity(errors, [1, 2], epsilon=0.1)
    with pytest.raises(ValueError, match="epsilon"):
        li.effective_model_complexity(errors, [1, 2, 3, 4], epsilon=-0.1)
    with pytest.raises(ValueError, match="sample_sizes"):
        li.effective_model_complexity(errors, [0, 2, 3, 4], epsilon=0.1)


def test_min_norm_sees_the_rank_whatever_the_size_of_the_features():
    x = normal(6, 2) @ normal(2, 4, seed=1)
    y = normal(6, seed=2)
    expected = torch.linalg.pinv(x, rtol=1e-10) @ y
    for size in (1e-20, 1.0, 1e20):
        torch.testing.assert_close(li.min_norm(size * x, y) * size, expected)


def test_tiny_steps_add_up():
    """1 - (1 - step s^2)^t of a rate below rounding is t times the rate, not zero."""
    x, y = normal(4, 3), normal(4, seed=1)
    path = li.gradient_descent_path(x, y, [1, 1000], step=1e-20)
    torch.testing.assert_close(path, torch.tensor([[1e-20], [1e-17]], dtype=F64) * (x.T @ y), rtol=1e-9, atol=0)


def test_the_path_of_a_direction_without_a_target_stays_where_others_diverge():
    path = li.gradient_descent_path(torch.diag(torch.tensor([10.0, 1.0])), torch.tensor([0.0, 1.0]), [1000], step=0.5)
    assert path.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("size", [1e-160, 1e160])
def test_the_path_does_not_depend_on_the_unit_of_the_features(size):
    x, y = normal(4, 3), normal(4, seed=1)
    here, there = (li.gradient_descent_path(factor * x, y, [1, 10]) for factor in (1.0, size))
    torch.testing.assert_close(size * there, here)


def test_a_noise_whose_square_vanishes_still_is_infinite_at_the_threshold():
    assert li.linear_risk(torch.tensor([5, 8]), 5, noise=1e-170).risk.tolist() == [math.inf, 0.0]
