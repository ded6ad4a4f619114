"""Convex recovery against cvxpy, closed forms and itself in other batches."""

import warnings

import numpy as np
import pytest
import torch

from litrepro import ConvergenceWarning
from litrepro.recovery import linear_measurements, measure, sparse_low_rank, structured_recovery


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def problems(batch, d, k, m, *, rank=1, psd=True, kind="gaussian", seed=0):
    g = seeded(seed)
    X0 = sparse_low_rank(d, k, rank, batch=batch, psd=psd, generator=g)
    A = linear_measurements(d, m, kind, batch=batch, generator=g)
    return A, X0, measure(A, X0)


def distance(X, Y):
    return torch.linalg.matrix_norm(X - Y)


def objective(X, weights):
    parts = {
        "l1": X.abs().sum((-2, -1)),
        "l12": X.norm(dim=-2).sum(-1),
        "l12_rows": X.norm(dim=-1).sum(-1),
        "nuclear": torch.linalg.svdvals(X).sum(-1),
    }
    return sum(weight * parts[name] for name, weight in weights.items())


def by_cvxpy(A, b, weights, psd):
    cp = pytest.importorskip("cvxpy")
    X = cp.Variable(tuple(A.shape[-2:]), PSD=psd)
    parts = {
        "l1": lambda: cp.sum(cp.abs(X)),
        "l12": lambda: cp.sum(cp.norm(X, 2, axis=0)),
        "l12_rows": lambda: cp.sum(cp.norm(X, 2, axis=1)),
        "nuclear": lambda: cp.trace(X) if psd else cp.normNuc(X),
    }
    cost = sum(float(weight) * parts[name]() for name, weight in weights.items())
    rows = A.flatten(-2).numpy()
    cp.Problem(cp.Minimize(cost), [rows @ cp.vec(X, order="C") == b.numpy()]).solve(solver="CLARABEL")
    return torch.from_numpy(np.array(X.value))


@pytest.mark.parametrize(
    ("psd", "m", "weights"),
    [
        (True, 12, {"l1": 1.0, "nuclear": 0.5}),
        (True, 20, {"l12": 1.0, "nuclear": 1.0}),
        (True, 10, {"l1": 1.0}),
        (False, 15, {"l12": 1.0, "l12_rows": 0.3, "nuclear": 2.0}),
        (False, 20, {"l1": 1.0, "l12_rows": 0.5}),
        (False, 15, {"nuclear": 1.0}),
    ],
)
def test_same_optimum_as_cvxpy(psd, m, weights):
    A, _, b = problems((2,), 7, 3, m, psd=psd, seed=m)
    found = structured_recovery(A, b, weights, psd=psd, tol=1e-8)
    assert found.converged.all()
    torch.testing.assert_close(measure(A, found.X), b, atol=1e-9, rtol=1e-9)
    for index in range(2):
        reference = by_cvxpy(A[index], b[index], weights, psd)
        assert objective(found.X[index], weights) == pytest.approx(float(objective(reference, weights)), rel=1e-5)
        assert distance(found.X[index], reference) < 2e-3
    if psd:
        assert torch.equal(found.X, found.X.mT)
        assert torch.linalg.eigvalsh(found.X).min() > -1e-6


def test_rectangular_matrices():
    A = torch.randn(12, 4, 6, generator=seeded(1), dtype=torch.float64)
    b = torch.randn(12, generator=seeded(2), dtype=torch.float64)
    weights = {"l12": 1.0, "nuclear": 0.5}
    found = structured_recovery(A, b, weights, tol=1e-8)
    reference = by_cvxpy(A, b, weights, False)
    assert objective(found.X, weights) == pytest.approx(float(objective(reference, weights)), rel=1e-6)


def test_recovers_with_enough_measurements_and_not_with_few():
    weights = {"l1": 0.6, "nuclear": 2.0}
    A, X0, b = problems((6,), 12, 4, 60)
    found = structured_recovery(A, b, weights, psd=True)
    assert found.converged.all()
    assert distance(found.X, X0).max() < 1e-4
    assert (found.residual < 1e-6).all()
    few = structured_recovery(A[:, :8], b[:, :8], weights, psd=True)
    assert (distance(few.X, X0) > 1e-2).all()
    assert (objective(few.X, weights) < objective(X0, weights)).all()


def test_psd_holds_without_the_nuclear_norm():
    A, X0, _ = problems((3,), 8, 8, 10, rank=8)
    b = measure(A, X0)
    loose = structured_recovery(A, b, {"l12": 1.0})
    tight = structured_recovery(A, b, {"l12": 1.0}, psd=True)
    assert torch.linalg.eigvalsh((loose.X + loose.X.mT) / 2).min() < -1e-3
    assert torch.linalg.eigvalsh(tight.X).min() > -1e-5
    zero = structured_recovery(A, b, {"nuclear": 0.0}, psd=True)
    assert torch.linalg.eigvalsh(zero.X).min() > -1e-5


def test_neighbours_padding_and_batch_shape_do_not_matter():
    weights = {"l12": 1.0, "nuclear": 1.0}
    small, _, b_small = problems((2,), 6, 3, 9, seed=3)
    large, _, b_large = problems((4,), 9, 3, 25, seed=4)
    A = torch.zeros(6, 25, 9, 9, dtype=torch.float64)
    b = torch.zeros(6, 25, dtype=torch.float64)
    A[:2, :9, :6, :6], b[:2, :9], A[2:], b[2:] = small, b_small, large, b_large
    for psd in (True, False):
        mixed = structured_recovery(A, b, weights, psd=psd, tol=1e-7)
        alone = structured_recovery(small, b_small, weights, psd=psd, tol=1e-7)
        torch.testing.assert_close(mixed.X[:2, :6, :6], alone.X, atol=1e-9, rtol=0)
        assert torch.equal(mixed.iterations[:2], alone.iterations)
        assert not mixed.X[:2, 6:].any()
        assert not mixed.X[:2, :, 6:].any()
        shaped = structured_recovery(A.reshape(2, 3, 25, 9, 9), b.reshape(2, 3, 25), weights, psd=psd, tol=1e-7)
        assert shaped.X.shape == (2, 3, 9, 9)
        assert shaped.converged.shape == shaped.iterations.shape == shaped.residual.shape == (2, 3)
        torch.testing.assert_close(shaped.X.reshape(6, 9, 9), mixed.X, atol=1e-12, rtol=0)
        one = structured_recovery(A[3], b[3], weights, psd=psd, tol=1e-7)
        assert one.converged.shape == ()
        torch.testing.assert_close(one.X, mixed.X[3], atol=1e-9, rtol=0)


def test_weights_and_penalty_per_problem():
    A, _, b = problems((1,), 6, 2, 24)
    A, b = A.expand(2, -1, -1, -1).contiguous(), b.expand(2, -1).contiguous()
    several = structured_recovery(A, b, {"l1": torch.tensor([1.0, 0.0]), "nuclear": torch.tensor([0.0, 1.0])}, tol=1e-8)
    for index, name in enumerate(("l1", "nuclear")):
        single = structured_recovery(A[index], b[index], {name: 3.0}, tol=1e-8)
        assert objective(several.X[index], {name: 1.0}) == pytest.approx(
            float(objective(single.X, {name: 1.0})), rel=1e-6
        )
    other = structured_recovery(A, b, {"l1": 1.0}, rho=torch.tensor([0.1, 10.0]), tol=1e-8)
    torch.testing.assert_close(other.X[0], other.X[1], atol=1e-5, rtol=0)


def test_scale_redundancy_and_zero():
    weights = {"l1": 1.0, "nuclear": 1.0}
    A, X0, b = problems((2,), 8, 3, 40, seed=5)
    plain = structured_recovery(A, b, weights, psd=True)
    scaled = structured_recovery(A, 1e4 * b, weights, psd=True)
    torch.testing.assert_close(scaled.X, 1e4 * plain.X, rtol=1e-8, atol=1e-4)
    assert torch.equal(scaled.iterations, plain.iterations)
    double = structured_recovery(
        torch.cat([A, 1e3 * A[:, :10]], 1), torch.cat([b, 1e3 * b[:, :10]], 1), weights, psd=True
    )
    torch.testing.assert_close(double.X, plain.X, rtol=0, atol=1e-5)
    assert double.converged.all()
    b[0] = 0
    mixed = structured_recovery(A, b, weights, psd=True)
    assert not mixed.X[0].any()
    assert mixed.converged.all()
    assert mixed.iterations[0] == 0
    assert distance(mixed.X[1], X0[1]) < 1e-4
    assert not structured_recovery(A, 0 * b, weights).X.any()
    determined = structured_recovery(
        linear_measurements(4, 20, generator=seeded(6)), torch.ones(20).double(), {"l1": 1.0}
    )
    assert determined.X.isfinite().all()
    nothing = structured_recovery(A[:0], b[:0], weights)
    assert nothing.X.shape == (0, 8, 8)
    assert nothing.converged.shape == nothing.residual.shape == (0,)


def test_rank_equal_to_k_and_quadratic_measurements():
    A, X0, b = problems((2,), 8, 2, 36, rank=2, kind="quadratic", seed=7)
    found = structured_recovery(A, b, {"l1": 0.3, "nuclear": 1.0}, psd=True)
    assert distance(found.X, X0).max() < 1e-3


def test_says_when_it_did_not_converge():
    A, _, b = problems((3,), 8, 3, 20)
    with pytest.warns(ConvergenceWarning, match="3 of 3 problems not converged after 7 iterations"):
        found = structured_recovery(A, b, {"l1": 1.0}, psd=True, max_iter=7)
    assert not found.converged.any()
    assert (found.iterations == 7).all()
    torch.testing.assert_close(measure(A, found.X), b)  # feasible all the same
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert structured_recovery(A, b, {"nuclear": 1.0}, psd=True).converged.all()


def test_float32_stays_float32():
    A, X0, b = problems((2,), 8, 3, 40)
    found = structured_recovery(A.float(), b.float(), {"nuclear": 1.0}, psd=True, tol=1e-4)
    assert found.X.dtype == torch.float32
    assert distance(found.X.double(), X0).max() < 1e-2


def test_float32_reaches_the_default_tolerance():
    A, _, b = problems((2,), 12, 4, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = structured_recovery(A.float(), b.float(), {"nuclear": 1.0}, psd=True)
    assert found.converged.all()
    assert found.residual.dtype == torch.float32
    assert (found.residual < 1e-6).all()
    exact = structured_recovery(A, b, {"nuclear": 1.0}, psd=True)
    assert distance(found.X.double(), exact.X).max() < 1e-5
    repeated = torch.cat([A, A[:, :10]], 1).float(), torch.cat([b, b[:, :10]], 1).float()
    again = structured_recovery(*repeated, {"nuclear": 1.0}, psd=True)
    torch.testing.assert_close(again.X, found.X, rtol=0, atol=1e-5)


def test_shared_arguments_broadcast():
    A, _, b = problems((2,), 6, 2, 18, psd=False)
    targets = torch.stack([b[0], 2 * b[0], b[1]])
    weights = {"l1": 0.7, "nuclear": torch.tensor([[1.0], [0.5]])}
    found = structured_recovery(A[:, None], targets, weights, tol=1e-3)
    assert found.X.shape == (2, 3, 6, 6)
    assert found.converged.shape == found.iterations.shape == found.residual.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            alone = structured_recovery(A[i], targets[j], {"l1": 0.7, "nuclear": (1.0, 0.5)[i]}, tol=1e-3)
            torch.testing.assert_close(found.X[i, j], alone.X, rtol=0, atol=1e-9)
            assert found.iterations[i, j] == alone.iterations
    rhos = torch.tensor([0.1, 10.0], dtype=torch.float64)
    penalties = structured_recovery(A[0], b[0], {"l1": 1.0}, rho=rhos, tol=1e-3)
    for k, rho in enumerate((0.1, 10.0)):
        alone = structured_recovery(A[0], b[0], {"l1": 1.0}, rho=rho, tol=1e-3)
        torch.testing.assert_close(penalties.X[k], alone.X, rtol=0, atol=1e-9)
    assert structured_recovery(A[0], b[:0], {"l1": 1.0}).X.shape == (0, 6, 6)


def test_bad_input():
    A, _, b = problems((2,), 5, 2, 6)
    good = {"l1": 1.0}
    nan = b.clone()
    nan[0, 0] = torch.nan
    for call in (
        lambda: structured_recovery(A, b[:, :5], good),
        lambda: structured_recovery(torch.cat([A, A[:1]]), b, good),
        lambda: structured_recovery(A, b, good, rho=torch.ones(3)),
        lambda: structured_recovery(A[:, :0], b[:, :0], good),
        lambda: structured_recovery(A[..., :4], b, good, psd=True),
        lambda: structured_recovery(A, b, {}),
        lambda: structured_recovery(A, b, {"l2": 1.0}),
        lambda: structured_recovery(A, b, [1.0]),
        lambda: structured_recovery(A, b, {"l1": -1.0}),
        lambda: structured_recovery(A, b, {"l1": float("nan")}),
        lambda: structured_recovery(A, b, {"l1": torch.ones(3)}),
        lambda: structured_recovery(A, b, {"l1": torch.tensor([1.0, -1.0])}),
        lambda: structured_recovery(A, nan, good),
        lambda: structured_recovery(A, b.float(), good),
        lambda: structured_recovery(A, b, good, max_iter=0),
        lambda: structured_recovery(A, b, good, tol=0.0),
        lambda: structured_recovery(A, b, good, rho=0.0),
        lambda: structured_recovery(A, b, good, rho=-1.0),
    ):
        with pytest.raises(ValueError):
            call()


def test_inconsistent_measurements_weigh_the_same():
    A = torch.zeros(3, 2, 2, dtype=torch.float64)
    A[0, 0, 0], A[1, 0, 0], A[2, 1, 1] = 1, 2, 5
    found = structured_recovery(A, torch.tensor([1.0, 4.0, 10.0], dtype=torch.float64), {"l1": 1.0})
    # X_11 is to be 1 and 2: the mean, not 9/5, which minimizes the sum of (A X - b)^2
    expected = torch.diag(torch.tensor([1.5, 2.0], dtype=torch.float64))
    torch.testing.assert_close(found.X, expected, rtol=0, atol=1e-5)


def test_a_point_that_hardly_moves_is_no_optimum():
    """A huge penalty holds the copies together from the first step on: only the dual residual sees the way to go."""
    A, _, b = problems((1,), 7, 3, 15, psd=False, seed=4)
    best = structured_recovery(A, b, {"l1": 1.0}, tol=1e-8).X
    found = structured_recovery(A, b, {"l1": 1.0}, tol=1e-4, rho=1e5)
    assert found.converged.all()
    assert distance(found.X, best).max() < 1e-2
    with pytest.warns(ConvergenceWarning):
        early = structured_recovery(A, b, {"l1": 1.0}, tol=1e-4, rho=1e5, max_iter=10)
    assert distance(early.X, best).max() > 0.1


def test_nearly_dependent_measurements_are_met():
    A = torch.zeros(2, 3, 2, 2, dtype=torch.float64)
    A[:, :2, 0, 0], A[:, 2, 1, 1] = 1, 1
    A[0, 1, 0, 1] = 1e-5  # in the second problem the first two rows are the same
    b = torch.tensor([[1.0, 1 + 5e-5, 0.0], [1.0, 2.0, 0.0]], dtype=torch.float64)
    found = structured_recovery(A, b, {"l1": 1.0})
    expected = torch.zeros(2, 2, 2, dtype=torch.float64)
    expected[0, 0], expected[1, 0, 0] = torch.tensor([1.0, 5.0]), 1.5
    torch.testing.assert_close(found.X, expected, rtol=0, atol=1e-4)
    assert found.converged.all()
    # Beside a row that is a sum of others up to rounding, in either precision.
    for dtype, small in ((torch.float64, 1e-7), (torch.float32, 1e-3)):
        rows = linear_measurements(4, 5, generator=seeded(1), dtype=dtype)
        rows = torch.cat([rows, rows.sum(0, keepdim=True) / 3, rows[:1] + small * rows[1:2]])
        X0 = sparse_low_rank(4, 2, generator=seeded(2), dtype=dtype)
        plain = structured_recovery(rows[:5], measure(rows[:5], X0), {"l1": 1.0})
        more = structured_recovery(rows, measure(rows, X0), {"l1": 1.0})
        torch.testing.assert_close(more.X, plain.X, rtol=0, atol=1e-4)
