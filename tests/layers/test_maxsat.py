"""The relaxation of MAXSAT against brute force, a convex solver, and the geometry of rounding."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import ConvergenceWarning
from litrepro.layers import clauses_to_matrix, maxsat_sdp, queens_clauses, randomized_rounding, satisfied_clauses


def two_sat(m, n, seed, batch=()):
    """Clauses of two different variables."""
    g = torch.Generator().manual_seed(seed)
    order = torch.rand(*batch, m, n, generator=g).argsort(-1)
    signs = torch.where(torch.rand(*batch, m, n, generator=g) < 0.5, -1.0, 1.0).double()
    return signs * (order < 2)


def test_matrix_has_the_truth_column_and_the_scale():
    S = clauses_to_matrix(torch.tensor([[1, -1, 0], [0, 0, -1]]))
    assert S.dtype == torch.float64
    assert torch.allclose(
        S, torch.tensor([[-1, 1, -1, 0], [-1, 0, 0, -1]]) / torch.tensor([[8.0], [4.0]]).sqrt().double()
    )
    assert clauses_to_matrix(torch.ones(2, 3, 4)).dtype == torch.float32


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 6))
def test_counting_is_an_or_within_a_clause(seed, n, m):
    g = torch.Generator().manual_seed(seed)
    signs = torch.randint(-1, 2, (m, n), generator=g)
    for values in itertools.product((-1, 1), repeat=n):
        expected = sum(any(s * v > 0 for s, v in zip(row, values, strict=True)) for row in signs.tolist())
        assert int(satisfied_clauses(signs, torch.tensor(values))) == expected


def test_relaxed_loss_of_a_two_literal_clause_is_exact_on_integers():
    signs = two_sat(30, 6, 0)
    S = clauses_to_matrix(signs)
    for values in itertools.product((-1.0, 1.0), repeat=6):
        x = torch.tensor([1.0, *values], dtype=torch.float64)
        unsatisfied = 30 - int(satisfied_clauses(signs, x[1:]))
        assert abs(float((S @ x).square().sum()) - 30 / 8 - unsatisfied) < 1e-9


@pytest.mark.parametrize("method", ["mixing", "block"])
def test_optimum_is_that_of_the_convex_program(method):
    cvxpy = pytest.importorskip("cvxpy")
    S = clauses_to_matrix(two_sat(24, 7, 3, (2,)))
    _, objective, converged = maxsat_sdp(S, method=method, max_iter=5000, tol=1e-12)
    assert converged
    for one, found in zip(S, objective, strict=True):
        X = cvxpy.Variable((8, 8), PSD=True)
        gram = (one.T @ one).numpy()
        value = cvxpy.Problem(cvxpy.Minimize(cvxpy.trace(gram @ X)), [cvxpy.diag(X) == 1]).solve(solver="CLARABEL")
        assert abs(float(found) - value) < 1e-5 * value


@pytest.mark.parametrize("method", ["mixing", "block"])
def test_a_batch_is_a_loop(method):
    S = clauses_to_matrix(two_sat(20, 6, 5, (2, 2)))
    V, objective, _ = maxsat_sdp(S, method=method, max_iter=3000)
    assert V.shape == (2, 2, 7, 5)
    assert objective.shape == (2, 2)
    assert torch.allclose(V.norm(dim=-1), torch.ones(2, 2, 7, dtype=torch.float64))
    alone = maxsat_sdp(S[1, 0], method=method, max_iter=3000)
    assert torch.allclose(alone[0], V[1, 0], atol=1e-9)
    assert abs(float(alone[1] - (S[1, 0] @ V[1, 0]).square().sum())) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["mixing", "block"])
def test_the_scale_of_an_instance_does_not_matter(method, dtype):
    signs = torch.randint(-1, 2, (2, 12, 5), generator=torch.Generator().manual_seed(3)).to(dtype)
    signs[..., 0] = 1
    S = clauses_to_matrix(signs)
    rows, objective, _ = maxsat_sdp(S, method=method, max_iter=2000)
    for exponent in (-40, 40):  # both at once: every instance has its own scale
        scale = torch.tensor([2.0**exponent, 1.0], dtype=dtype)
        found = maxsat_sdp(S * scale[:, None, None], method=method, max_iter=2000)
        assert found[2]
        torch.testing.assert_close(found[0], rows)
        torch.testing.assert_close(found[1] / scale**2, objective)


def test_a_short_run_says_so_and_rows_without_gradient_stay():
    S = clauses_to_matrix(two_sat(40, 12, 1))
    with pytest.warns(ConvergenceWarning):
        assert maxsat_sdp(S, max_iter=2)[2] is False
    V, objective, converged = maxsat_sdp(torch.zeros(3, 4))
    assert converged
    assert float(objective) == 0
    assert bool(torch.isfinite(V).all())
    assert maxsat_sdp(S.float(), max_iter=2000)[0].dtype == torch.float32


@pytest.mark.parametrize("compiled", ["1", "0"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["mixing", "block"])
@pytest.mark.parametrize("clauses", [[[1]], [[1], [1], [1]], [[-1, 0], [0, 1], [1, 1]]])
def test_an_optimum_near_zero_is_converged(monkeypatch, clauses, method, dtype, compiled):
    monkeypatch.setenv("LITREPRO_COMPILE", compiled)
    S = clauses_to_matrix(torch.tensor(clauses)).to(dtype)
    found = [maxsat_sdp(S, method=method, seed=seed) for seed in range(3)]
    assert all(converged for _, _, converged in found)
    if S.shape[1] == 2:  # clauses of one literal, which all hold
        assert all(float(objective) < 1e-9 for _, objective, _ in found)


@pytest.mark.parametrize("method", ["mixing", "block"])
def test_a_start_is_that_of_its_seed(method):
    S = clauses_to_matrix(two_sat(12, 6, 0))
    with pytest.warns(ConvergenceWarning):
        first, again, other = (maxsat_sdp(S, method=method, max_iter=1, seed=seed)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first[0], other[0])  # the truth's direction is drawn as well


@settings(max_examples=15, deadline=None)
@given(st.floats(0.0, math.pi), st.integers(0, 1000))
def test_rounding_probability_is_the_angle(angle, seed):
    V = torch.tensor([[1.0, 0.0, 0.0], [math.cos(angle), math.sin(angle), 0.0]], dtype=torch.float64)
    rounded = randomized_rounding(V, 4000, seed=seed)
    expected = math.acos(-math.cos(angle)) / math.pi
    assert set(rounded.unique().tolist()) <= {-1.0, 1.0}
    assert abs(float((rounded > 0).double().mean()) - expected) < 5 * math.sqrt(expected * (1 - expected) / 4000) + 1e-9


def test_queens_are_the_solutions_of_backtracking():
    signs = queens_clauses(5)
    boards = torch.full((120, 25), -1.0)
    for i, columns in enumerate(itertools.permutations(range(5))):
        boards[i, [5 * r + c for r, c in enumerate(columns)]] = 1
    right = [
        all(abs(a - b) != j - i for (i, a), (j, b) in itertools.combinations(enumerate(columns), 2))
        for columns in itertools.permutations(range(5))
    ]
    assert sum(right) == 10
    assert ((satisfied_clauses(signs, boards) == len(signs)).tolist()) == right
    assert int(satisfied_clauses(queens_clauses(1), torch.ones(1))) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: clauses_to_matrix(torch.tensor([[2.0, 0.0]])),
        lambda: clauses_to_matrix(torch.tensor([[0.0, 0.0]])),
        lambda: satisfied_clauses(torch.ones(1, 2), torch.tensor([0.0, 1.0])),
        lambda: satisfied_clauses(torch.ones(1, 2), torch.ones(3)),
        lambda: maxsat_sdp(torch.ones(2, 3), method="newton"),
        lambda: maxsat_sdp(torch.ones(2, 3), max_iter=0),
        lambda: maxsat_sdp(torch.full((2, 3), torch.inf)),
        lambda: randomized_rounding(torch.ones(3, 2), 0),
        lambda: queens_clauses(0),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()
