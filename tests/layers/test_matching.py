"""Matchings against linear and quadratic programs, scipy, and finite differences."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from litrepro import ConvergenceWarning
from litrepro.layers import (
    blackbox_matching,
    hungarian,
    implicit_matching,
    matching,
    project_matching,
    sinkhorn_matching,
)

D = torch.float64


def costs(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def feasible(X, tol):
    rows = (X.sum(-1) - 1).abs().max()
    return float(rows) < tol and float(X.sum(-2).max()) < 1 + tol and float(X.min()) > -tol


@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (1, 3), (1, 1)])
def test_projection_is_that_of_a_quadratic_program(shape):
    cvxpy = pytest.importorskip("cvxpy")
    Y = 2 * costs(*shape, seed=1) - 0.7
    X = cvxpy.Variable(shape)
    rules = [cvxpy.sum(X, axis=1) == 1, cvxpy.sum(X, axis=0) <= 1, X >= 0]
    cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(X - Y.numpy())), rules).solve(solver="CLARABEL")
    found = project_matching(Y, 4000)
    assert feasible(found, 1e-4)
    assert np.abs(found.numpy() - X.value).max() < 2e-4


def test_one_round_is_the_three_projections_in_order():
    Y = 2 * costs(2, 3, 4, seed=2) - 0.5
    X = Y + (1 - Y.sum(-1, keepdim=True)) / 4
    X = X - (X.sum(-2, keepdim=True) - 1).clamp(min=0) / 3
    assert torch.allclose(project_matching(Y, 1), X.clamp(min=0))


def test_the_printed_algorithm_with_three_corrections():
    Y = 2 * costs(3, 5, seed=4)
    X, q = Y, [torch.zeros_like(Y) for _ in range(3)]
    maps = (
        lambda x: x + (1 - x.sum(-1, keepdim=True)) / 5,
        lambda x: x - (x.sum(-2, keepdim=True) - 1).clamp(min=0) / 3,
        lambda x: x.clamp(min=0),
    )
    for _ in range(7):
        for i, f in enumerate(maps):
            shifted = X + q[i]
            X = f(shifted)
            q[i] = shifted - X
    assert torch.allclose(project_matching(Y, 7), X)


@pytest.mark.parametrize("average", [True, False])
def test_steps_descend_on_the_cost_and_project(average):
    C, start = costs(2, 3, 5, seed=5), project_matching(costs(2, 3, 5, seed=6), 200)
    for init in (None, start):
        X, path = torch.full_like(C, 0.2) if init is None else init, []
        for _ in range(6):
            X = project_matching(X - 0.35 * C, 4)
            path.append(X)
        expected = torch.stack(path).mean(0) if average else X
        torch.testing.assert_close(matching(C, step=0.35, n_grad=6, n_proj=4, average=average, init=init), expected)


def test_many_gradients_find_the_exact_matching():
    C = costs(50, 4, 7, seed=3)
    X = matching(C, step=0.5, n_grad=100, n_proj=20, average=False)
    same = (X.argmax(-1) == hungarian(C).argmax(-1)).all(-1).double().mean()
    assert float(same) >= 0.95
    assert torch.allclose(matching(C[7], step=0.5, n_grad=100, n_proj=20, average=False), X[7])


def test_average_is_the_mean_of_the_iterates():
    C = costs(3, 4)
    last = [matching(C, n_grad=i, average=False) for i in range(1, 6)]
    assert torch.allclose(matching(C, n_grad=5), torch.stack(last).mean(0))
    start = matching(C, n_grad=2, average=False)
    assert torch.allclose(matching(C, n_grad=3, average=False, init=start), last[4])


@pytest.mark.parametrize("function", [matching, lambda C: implicit_matching(C, 0.5), sinkhorn_matching])
def test_gradients_are_those_of_finite_differences(function):
    C = costs(3, 4, seed=6).requires_grad_(True)
    weights = costs(3, 4, seed=7) - 0.5
    (function(C) * weights).sum().backward()
    direction = costs(3, 4, seed=8) - 0.5
    with torch.no_grad():
        up, down = ((function(C + s * 1e-6 * direction) * weights).sum() for s in (1, -1))
    assert abs(float((up - down) / 2e-6 - (C.grad * direction).sum())) < 1e-5


def test_hungarian_is_scipys_and_batched():
    C = costs(2, 3, 4, 6, seed=9)
    X = hungarian(C)
    for i in range(2):
        for j in range(3):
            rows, columns = linear_sum_assignment(C[i, j].numpy())
            expected = torch.zeros(4, 6, dtype=D)
            expected[rows, columns] = 1
            assert torch.equal(X[i, j], expected)
    assert hungarian(C.float()).dtype == torch.float32


def test_blackbox_gradient_is_the_interpolation():
    C = costs(3, 4, seed=1).requires_grad_(True)
    weights = costs(3, 4, seed=2)
    X = blackbox_matching(C, 2.0)
    (X * weights).sum().backward()
    assert torch.equal(X.detach(), hungarian(C))
    assert torch.allclose(C.grad, (hungarian(C.detach() + 2 * weights) - hungarian(C.detach())) / 2)


def test_smoothed_matchings_are_feasible_and_near_the_exact_one_when_sharp():
    C = costs(6, 3, 5, seed=5)
    assert feasible(implicit_matching(C, 0.2, rounds=3000), 1e-3)
    X = sinkhorn_matching(C, 0.02, rounds=500)
    assert feasible(X, 1e-2)
    assert float(((X - hungarian(C)) * C).sum((-1, -2)).max()) < 0.1


@pytest.mark.parametrize("m", [6, 9])
def test_a_matching_that_is_not_one_says_so(m):
    C = costs(4, 6, m, seed=5)
    for call in (
        lambda: implicit_matching(C, 1e-3),
        lambda: implicit_matching(C[0].float(), 1e-3),
        lambda: sinkhorn_matching(C, 0.01, rounds=20),
    ):
        with pytest.warns(ConvergenceWarning, match="row or column sum"):
            X = call()
        assert not feasible(X, 1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sinkhorn_matching(C[:0]).shape == implicit_matching(C[:0]).shape == (0, 6, m)
        for X in (implicit_matching(C, 0.5), sinkhorn_matching(C, 0.2, rounds=200)):
            assert feasible(X, 1e-3)


def test_second_derivatives_of_the_quadratic_matching_are_those_of_finite_differences():
    C, weights = costs(3, 4, seed=6).requires_grad_(True), costs(3, 4, seed=7)
    direction = costs(3, 4, seed=8) - 0.5

    def slope(C):
        value = (implicit_matching(C, 0.5) ** 3 * weights).sum()
        return torch.autograd.grad(value, C, create_graph=True)[0]

    (found,) = torch.autograd.grad((slope(C) * weights).sum(), C)
    up, down = ((slope(C + s * 1e-6 * direction) * weights).sum().item() for s in (1, -1))
    assert abs((up - down) / 2e-6 - (found * direction).sum().item()) < 1e-4


def test_costs_too_large_for_so_many_projections_are_said():
    C = costs(4, 3, 5, seed=5)
    for call in (
        lambda: matching(1000 * C),
        lambda: matching(1000 * C[0].float()),
        lambda: project_matching(1000 * costs(10, 50)),
    ):
        with pytest.warns(ConvergenceWarning, match="row or column sum"):
            X = call()
        assert not feasible(X, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert matching(C[:0]).shape == (0, 3, 5)
        assert feasible(matching(C, step=0.5), 0.5)
        assert feasible(project_matching(C), 0.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: project_matching(torch.zeros(3, 2)),
        lambda: project_matching(torch.zeros(2, 2), 0),
        lambda: matching(torch.zeros(3, 2)),
        lambda: matching(torch.zeros(2, 2), step=0),
        lambda: matching(torch.full((2, 2), math.inf)),
        lambda: matching(torch.zeros(2, 2), init=torch.zeros(2, 3)),
        lambda: hungarian(torch.full((2, 2), math.inf)),
        lambda: hungarian(torch.zeros(3, 2)),
        lambda: blackbox_matching(torch.zeros(2, 2), 0),
        lambda: implicit_matching(torch.zeros(2, 2), 0),
        lambda: sinkhorn_matching(torch.zeros(2, 2), -1),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()
