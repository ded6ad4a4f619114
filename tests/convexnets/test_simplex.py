"""The package's linear programs against HiGHS."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from litrepro.convexnets import _simplex, fit_output_weights, sparsify_weights
from litrepro.convexnets._convex_nn import _start
from litrepro.convexnets._simplex import least_l1, minimize


@pytest.mark.parametrize("seed", range(12))
def test_support_vector_programs_have_the_value_and_the_dual_of_highs(seed):
    rng = np.random.default_rng(seed)
    n, m, lam = int(rng.integers(2, 60)), int(rng.integers(1, 30)), float(rng.choice([0.05, 0.3, 3.0]))
    H = rng.standard_normal((n, m)) if seed % 2 else np.sign(rng.standard_normal((n, m)))
    y = np.sign(rng.standard_normal(n))
    rows = y[:, None] * H
    cost = np.concatenate([np.full(2 * m, lam), np.ones(n)])
    reference = linprog(cost, A_ub=np.concatenate([-rows, rows, -np.eye(n)], 1), b_ub=-np.ones(n), method="highs").fun
    fit = fit_output_weights(torch.from_numpy(H), torch.from_numpy(y), lam)
    assert fit.objective == pytest.approx(reference, rel=1e-9, abs=1e-9)
    assert fit.dual.sum().item() == pytest.approx(reference, rel=1e-8, abs=1e-8)  # strong duality


def degenerate(kind):
    rng = np.random.default_rng(7)
    A = np.maximum(rng.standard_normal((12, 15)) @ rng.standard_normal((15, 80)), 0)
    if kind == "zero row":
        A[3] = 0
    elif kind == "ties":
        A = A.round(0)
    elif kind == "twin rows":
        A[5] = A[6]
    return A, A @ rng.standard_normal(80)


@pytest.mark.parametrize("kind", ["general", "zero row", "ties", "twin rows"])
def test_least_l1_is_a_vertex_with_the_value_of_highs(kind):
    A, b = degenerate(kind)
    x, optimal = least_l1(A, b)
    reference = linprog(np.ones(160), A_eq=np.concatenate([A, -A], 1), b_eq=b, method="highs-ds").fun
    assert optimal
    assert np.abs(x).sum() == pytest.approx(reference, rel=1e-8)
    np.testing.assert_allclose(A @ x, b, atol=1e-8)
    assert (x != 0).sum() <= 12


@pytest.mark.parametrize("apart", [1e-4, 1e-6])
def test_least_l1_keeps_the_product_where_columns_nearly_agree(apart):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        A = np.maximum(rng.normal(size=(11, 6)), 0).repeat(20, 1) + apart * rng.random((11, 120))
        weights = rng.exponential(size=120)
        x, optimal = least_l1(A, A @ weights)
        assert optimal
        assert np.abs(A @ x - A @ weights).max() < 1e-11 * np.abs(A @ weights).max()
        assert np.abs(x).sum() <= np.abs(weights).sum() * (1 + 1e-9)
        assert (x != 0).sum() <= 11


def test_what_cannot_be_solved_says_so():
    assert not least_l1(np.eye(3)[:, :2], np.array([1.0, 2.0, 3.0]))[1]
    A = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    assert not minimize(np.array([-1.0, 0.0, 0.0]), A, np.ones(2), np.array([1, 2]), max_pivots=1).optimal


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sparse_weights_keep_the_predictions(dtype):
    generator = torch.Generator().manual_seed(0)
    atoms = torch.randn(6, 40, generator=generator, dtype=dtype).clamp(min=0)
    weights = torch.randn(40, generator=generator, dtype=dtype)
    sparse = sparsify_weights(atoms, weights)
    assert sparse.dtype == dtype
    assert int((sparse != 0).sum()) <= 6
    torch.testing.assert_close(atoms @ sparse, atoms @ weights, rtol=1e-4, atol=1e-5)
    assert sparse.abs().sum() <= weights.abs().sum() + 1e-5


def test_bad_input():
    with pytest.raises(ValueError, match="expected"):
        sparsify_weights(torch.ones(2, 3), torch.ones(2))
    with pytest.raises(ValueError, match="finite"):
        sparsify_weights(torch.full((2, 3), torch.nan), torch.ones(3))


def test_a_combination_that_is_not_certified_warns(monkeypatch):
    from litrepro import ConvergenceWarning
    from litrepro.convexnets import _sparsify

    monkeypatch.setattr(_sparsify, "least_l1", lambda A, b: (np.zeros(A.shape[1]), False))
    with pytest.warns(ConvergenceWarning, match="not solved"):
        sparsify_weights(torch.ones(2, 3), torch.ones(3))


@pytest.mark.parametrize("careful", [False, True])
def test_a_pivot_that_is_mostly_rounding_is_passed_over(careful):
    column = np.array([2e-9, 1.0, -1.0])
    row, length = _simplex._leave(np.array([0.0, 1e-10, 0.5]), column, np.array([0, 4, 2]), careful)
    assert (row, length) == (1, 1e-10)
    row, _ = _simplex._leave(np.array([0.0, 1.0, 0.5]), np.array([0.5, 1.0, -1.0]), np.array([7, 4, 2]), careful)
    assert row == 0  # the first to block, where its pivot is a number


def test_a_basis_that_became_singular_is_given_back(monkeypatch):
    calls = []

    def inverse(matrix):
        calls.append(matrix)
        if len(calls) == 2:  # that of the last basis
            raise np.linalg.LinAlgError("Singular matrix")
        return np.linalg.solve(matrix, np.eye(len(matrix)))

    monkeypatch.setattr(np.linalg, "inv", inverse)
    A = np.array([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 0.5, 1.0]])
    found = minimize(np.array([1.0, 1.0, 0.1, 0.1]), A, np.ones(2), np.arange(2))
    assert len(calls) == 3
    assert not found.optimal
    assert found.basis.tolist() == [0, 1]
    assert found.x.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_a_warm_start_is_a_vertex_or_none():
    A = np.concatenate([np.eye(2), -np.eye(2), np.array([[1.0, 1.0, -1.0], [0.5, 0.5 + 1e-15, 0.5]])], 1)
    assert _start(A, None).tolist() == [0, 1]
    assert _start(A, np.array([4, 1])).tolist() == [4, 1]
    assert _start(A, np.array([4, 5])).tolist() == [0, 1]  # singular
    assert _start(A, np.array([6, 1])).tolist() == [0, 1]  # infeasible
