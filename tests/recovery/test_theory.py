"""Norm geometry, the failure test and Gaussian distances against simulation and each other."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import ConvergenceWarning
from litrepro.recovery import (
    descent_dimension,
    deterministic_failure,
    gaussian_distance_sq,
    linear_measurements,
    measure,
    norm_geometry,
    random_subgradient,
    sparse_low_rank,
    statistical_dimension,
    structured_recovery,
    sufficient_measurements,
)

NORMS = ("l1", "l12", "l12_rows", "nuclear")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def norm(X, name):
    match name:
        case "l1":
            return X.abs().sum((-2, -1))
        case "l12":
            return X.norm(dim=-2).sum(-1)
        case "l12_rows":
            return X.norm(dim=-1).sum(-1)
        case "nuclear":
            return torch.linalg.svdvals(X).sum(-1)


@pytest.mark.parametrize("name", NORMS)
def test_geometry(name):
    X = randn(3, 4, 6)
    found = norm_geometry(5 * X, name)
    expected = {"l1": math.sqrt(24), "l12": math.sqrt(6), "l12_rows": 2.0, "nuclear": 2.0}[name]
    assert found.lipschitz == pytest.approx(expected)
    torch.testing.assert_close(found.value, norm(X, name) / torch.linalg.matrix_norm(X))
    torch.testing.assert_close(found.kappa, found.value / expected)
    assert (found.kappa <= 1 + 1e-12).all()
    ones = {"l1": torch.ones(4, 6), "nuclear": torch.eye(4, 6)}.get(name, torch.ones(4, 6))
    assert norm_geometry(ones, name).kappa == pytest.approx(1.0)


@pytest.mark.parametrize("name", NORMS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), extreme=st.booleans())
def test_subgradients_are_subgradients(name, seed, extreme):
    X = sparse_low_rank(6, 3, 2, batch=(2,), psd=False, generator=seeded(seed))
    g = random_subgradient(X, name, extreme=extreme, generator=seeded(seed + 1))
    torch.testing.assert_close((g * X).sum((-2, -1)), norm(X, name))
    others = randn(20, 2, 6, 6, seed=seed)
    for Y in (others, X + 1e-3 * others, g.expand_as(others)):
        assert (norm(Y, name) >= norm(X, name) + (g * (Y - X)).sum((-2, -1)) - 1e-10).all()
    assert (torch.linalg.matrix_norm(g) <= norm_geometry(X, name).lipschitz + 1e-10).all()
    if extreme:  # the longest there are
        torch.testing.assert_close(
            torch.linalg.matrix_norm(g), torch.full((2,), norm_geometry(X, name).lipschitz, dtype=torch.float64)
        )


def test_failure_test_by_hand():
    A, X0 = randn(2, 5, 4, 3), randn(2, 4, 3, seed=1)
    weights = {"l1": torch.tensor([1.0, 0.5]), "nuclear": 2.0}
    found = deterministic_failure(A, X0, weights)
    for i in range(2):
        x = X0[i] / X0[i].norm()
        lam = float(weights["l1"][i])
        correlation = (lam * norm(x, "l1") + 2 * norm(x, "nuclear")) / (lam * math.sqrt(12) + 2 * math.sqrt(3))
        ratio = measure(A[i], x).norm() / torch.linalg.svdvals(A[i].flatten(1).T).min()
        torch.testing.assert_close(found.correlation[i], correlation)
        torch.testing.assert_close(found.ratio[i], ratio)
        assert found.fails[i] == (correlation > ratio)
    padded = torch.cat([A, torch.zeros(2, 30, 4, 3, dtype=torch.float64)], 1)
    torch.testing.assert_close(deterministic_failure(padded, X0, weights).ratio, found.ratio)
    many = deterministic_failure(randn(2, 13, 4, 3), X0, weights)
    assert torch.isinf(many.ratio).all()
    assert not many.fails.any()
    assert torch.isinf(deterministic_failure(torch.cat([A, A], 1), X0, weights).ratio).all()


def test_shared_arguments_of_the_failure_test_broadcast():
    A, X0 = randn(2, 1, 5, 4, 3), randn(3, 4, 3, seed=1)
    weights = {"l1": torch.tensor([[1.0], [0.5]]), "nuclear": 2.0}
    found = deterministic_failure(A, X0, weights)
    assert found.correlation.shape == found.ratio.shape == found.fails.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            alone = deterministic_failure(A[i, 0], X0[j], {"l1": (1.0, 0.5)[i], "nuclear": 2.0})
            for one, all_ in zip(alone, found):
                torch.testing.assert_close(all_[i, j], one)
    assert deterministic_failure(A[0, 0], X0, {"l1": 1.0}).ratio.shape == (3,)
    several = {"l1": torch.ones(2), "nuclear": torch.tensor([0.0, 1.0])}
    dimensions = descent_dimension(X0[0], several, samples=400)
    assert dimensions.shape == (2,)
    assert 0.8 < dimensions[0] / descent_dimension(X0[0], {"l1": 1.0}, samples=400) < 1.25


@pytest.mark.parametrize("size", [2.0**-90, 2.0**70])
def test_a_factor_of_the_measurements_changes_no_failure(size):
    A, X0 = randn(3, 3, 3, seed=3).float(), randn(3, 3, seed=4).float()
    plain, scaled = (deterministic_failure(s * A, X0, {"l1": 1.0}) for s in (1.0, size))
    rows, x0 = A.flatten(1).double(), X0.flatten().double()
    expected = (rows @ (x0 / x0.norm())).norm() / torch.linalg.svdvals(rows)[-1]
    torch.testing.assert_close(plain.ratio.double(), expected, rtol=1e-5, atol=0)
    assert all(torch.equal(one, other) for one, other in zip(plain, scaled))
    A[2] *= 1e-25  # small, but no absent measurement
    assert deterministic_failure(A, X0, {"l1": 1.0}).ratio.isinf()


@pytest.mark.parametrize("size", [1e-200, 1e-310, 1e200])
def test_scales_play_no_part_in_geometry(size):
    A, X0 = randn(5, 4, 4), randn(4, 2, seed=1) @ randn(2, 4, seed=2)
    X0[0] = 0
    tiny = X0 * size
    tolerance = {"rtol": 1e-12 if size != 1e-310 else 1e-3, "atol": 1e-9 if size != 1e-310 else 1e-3}
    for name in NORMS:
        torch.testing.assert_close(norm_geometry(tiny, name).value, norm_geometry(X0, name).value, **tolerance)
        torch.testing.assert_close(random_subgradient(tiny, name), random_subgradient(X0, name), **tolerance)
    weights = {"l12": 1.0, "nuclear": 1.0}
    for one, other in zip(deterministic_failure(A, tiny, weights), deterministic_failure(A, X0, weights)):
        torch.testing.assert_close(one, other, **tolerance)
    even = X0 @ X0.mT
    expected = descent_dimension(even, weights, psd=True, samples=3)
    torch.testing.assert_close(
        descent_dimension(even * size, weights, psd=True, samples=3), expected, rtol=1e-2, atol=0
    )


def test_certified_failures_fail():
    X0 = sparse_low_rank(8, 4, psd=False, batch=(20,), generator=seeded(2))
    A = linear_measurements(8, 6, batch=(20,), generator=seeded(3))
    weights = {"l12": 1.0, "nuclear": 1.0}
    certified = deterministic_failure(A, X0, weights).fails
    assert certified.sum() > 5
    found = structured_recovery(A, measure(A, X0), weights)
    assert (torch.linalg.matrix_norm(found.X - X0)[certified] > 1e-3).all()


@pytest.mark.parametrize("name", ["l1", "l12", "l12_rows", "nuclear", "l1_vector"])
def test_distances_against_simulation(name):
    """The distance by its definition: subtract the fixed part on the structure, project on the dual ball off it."""
    d, k, r, t, count = 7, 3, 2, 1.3, 4000
    G = randn(count, d, d, seed=4)
    if name == "l1":
        on = (G[:, :k, :k] - t).square().sum((1, 2))
        off = (G.abs() - t).clamp(min=0).square()
        off[:, :k, :k] = 0
        simulated = on + off.sum((1, 2))
    elif name == "l1_vector":
        g = G[:, 0]
        simulated = (g[:, :k] - t).square().sum(1) + (g[:, k:].abs() - t).clamp(min=0).square().sum(1)
    elif name in ("l12", "l12_rows"):
        G = G if name == "l12" else G.mT
        unit = torch.full((d, 1), d**-0.5, dtype=torch.float64)
        simulated = (G[:, :, :k] - t * unit).square().sum((1, 2))
        simulated = simulated + (G[:, :, k:].norm(dim=1) - t).clamp(min=0).square().sum(1)
    else:
        fixed = torch.zeros(d, d, dtype=torch.float64)
        fixed[range(r), range(r)] = t
        simulated = (G - fixed).square().sum((1, 2)) - G[:, r:, r:].square().sum((1, 2))
        simulated = simulated + (torch.linalg.svdvals(G[:, r:, r:]) - t).clamp(min=0).square().sum(1)
    found = gaussian_distance_sq(name, d, t, k=k, rank=r, samples=2000, generator=seeded(5))
    error = simulated.std() / math.sqrt(count) * (2 if name == "nuclear" else 1)
    assert abs(found - simulated.mean()) < 5 * error
    assert gaussian_distance_sq(name, d, 0.0, k=k, rank=r) == pytest.approx(
        d if name == "l1_vector" else d * d, rel=0.05
    )


@pytest.mark.parametrize("name", ["l1", "l12", "l12_rows", "nuclear", "l1_vector"])
def test_statistical_dimension_is_the_minimum(name):
    d, k, r = 12, 3, 1
    found = statistical_dimension(name, d, k=k, rank=r, seed=7)
    grid = [gaussian_distance_sq(name, d, 0.02 * i, k=k, rank=r, generator=seeded(7)) for i in range(500)]
    assert found == pytest.approx(min(grid), rel=2e-3)
    assert found <= min(grid) + 1e-9
    freedom = {"l1": k * k, "l12": k * d, "l12_rows": k * d, "nuclear": r * (2 * d - r), "l1_vector": k}[name]
    assert freedom < found < (d if name == "l1_vector" else d * d)
    full = statistical_dimension(name, 5, k=5, rank=5)
    assert full == pytest.approx(5 if name == "l1_vector" else 25)


def test_sufficient_measurements():
    assert sufficient_measurements(16, 4, 1, 0.0, t=1.0) == pytest.approx((math.sqrt(128) + 1) ** 2 + 1)
    assert sufficient_measurements(16, 16, 1, 1.0, t=0.0) == pytest.approx(32**2 + 1)


def test_bad_input():
    A, X0 = randn(5, 3, 3), randn(3, 3)
    for call in (
        lambda: norm_geometry(X0, "l2"),
        lambda: norm_geometry(0 * X0, "l1"),
        lambda: norm_geometry(X0 / 0, "l1"),
        lambda: deterministic_failure(A * torch.nan, X0, {"l1": 1.0}),
        lambda: deterministic_failure(A[:0], X0, {"l1": 1.0}),
        lambda: descent_dimension(X0, {}),
        lambda: descent_dimension(X0, {"l1": 0.0}),
        lambda: descent_dimension(0 * X0, {"l1": 1.0}),
        lambda: descent_dimension(X0, {"l1": 1.0}, psd=True),
        lambda: descent_dimension(A[:, :2], {"l1": 1.0}, psd=True),
        lambda: descent_dimension(X0, {"l1": 1.0}, samples=0),
        lambda: random_subgradient(X0, "l2"),
        lambda: deterministic_failure(A, X0[:2], {"l1": 1.0}),
        lambda: deterministic_failure(A.expand(2, 5, 3, 3), X0.expand(3, 3, 3), {"l1": 1.0}),
        lambda: deterministic_failure(A.expand(2, 5, 3, 3), X0, {"l1": torch.ones(3)}),
        lambda: descent_dimension(X0.expand(2, 3, 3), {"l1": torch.ones(3)}),
        lambda: deterministic_failure(A, X0, {}),
        lambda: deterministic_failure(A, X0, {"l9": 1.0}),
        lambda: deterministic_failure(A, X0, {"l1": -1.0}),
        lambda: deterministic_failure(A, X0, {"l1": 0.0}),
        lambda: gaussian_distance_sq("l1", 5, -0.1, k=2),
        lambda: gaussian_distance_sq("l1", 5, 1.0),
        lambda: gaussian_distance_sq("l1", 5, 1.0, k=6),
        lambda: gaussian_distance_sq("nuclear", 5, 1.0, k=2),
        lambda: gaussian_distance_sq("spectral", 5, 1.0, k=2),
        lambda: statistical_dimension("l12", 5, k=0),
        lambda: statistical_dimension("nuclear", 5, rank=6),
        lambda: sufficient_measurements(5, 6, 1, 0.5),
        lambda: sufficient_measurements(5, 2, 1, 1.5),
    ):
        with pytest.raises(ValueError):
            call()


def tangent_dimension(G, X0, weights, psd):
    """The same number by its polar definition: the squared projection of G on the descent cone, by cvxpy."""
    cp = pytest.importorskip("cvxpy")
    x, d = X0.numpy(), len(X0)
    H = cp.Variable((d, d), symmetric=psd)
    u, s, vh = np.linalg.svd(x)
    r = int((s > 1e-10).sum())
    length = np.linalg.norm(x, axis=0)
    on, off = np.flatnonzero(length), np.flatnonzero(length == 0)
    slope = {
        "l1": lambda: cp.sum(cp.multiply(np.sign(x), H)) + cp.sum(cp.multiply((x == 0) * 1.0, cp.abs(H))),
        "l12": lambda: sum((x[:, j] / length[j]) @ H[:, j] for j in on) + sum(cp.norm(H[:, j]) for j in off),
        "nuclear": lambda: (
            cp.trace(H) if psd else cp.sum(cp.multiply(u[:, :r] @ vh[:r], H)) + cp.normNuc(u[:, r:].T @ H @ vh[r:].T)
        ),
    }
    constraints = [sum(weight * slope[name]() for name, weight in weights.items()) <= 0]
    if psd:
        constraints.append(u[:, r:].T @ H @ u[:, r:] >> 0)
    target = ((G + G.mT) / 2 if psd else G).numpy()
    cp.Problem(cp.Minimize(cp.sum_squares(H - target)), constraints).solve(solver="CLARABEL")
    return float((H.value**2).sum())


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@pytest.mark.parametrize("psd", [True, False])
@pytest.mark.parametrize("weights", [{"l1": 0.6, "nuclear": 1.5}, {"l12": 1.0, "nuclear": 1.0}, {"l1": 1.0}])
def test_descent_dimension_is_a_projection_on_the_descent_cone(psd, weights):
    X0 = sparse_low_rank(6, 3, psd=psd, generator=seeded(3))
    found = descent_dimension(X0, weights, psd=psd, samples=2, generator=seeded(4))
    G = torch.randn(1, 2, 6, 6, generator=seeded(4), dtype=torch.float64)[0]
    assert found.item() == pytest.approx(sum(tangent_dimension(g, X0, weights, psd) for g in G) / 2, rel=0.02)


def test_descent_dimension_of_single_norms_is_the_formula():
    X0 = sparse_low_rank(10, 3, psd=False, batch=(2, 10), generator=seeded(5))
    for name, size in (("l1", {"k": 3}), ("l12", {"k": 3}), ("l12_rows", {"k": 3}), ("nuclear", {"rank": 1})):
        found = descent_dimension(X0, {name: 2.0}, generator=seeded(6))
        assert found.shape == (2, 10)
        assert found.mean().item() == pytest.approx(statistical_dimension(name, 10, **size), rel=0.05)
    one = descent_dimension(X0[0, 0], {"l1": 1.0, "l12": torch.tensor(0.5)}, generator=seeded(6))
    assert one.shape == ()
    square = X0 @ X0.mT
    whole = descent_dimension(square, {"nuclear": 1.0}, psd=True, generator=seeded(7))
    assert (whole < descent_dimension(square, {"nuclear": 1.0}, generator=seeded(7))).all()
    with pytest.warns(ConvergenceWarning, match="still fall after 1 rounds"):
        descent_dimension(square, {"l1": 1.0, "nuclear": 1.0}, psd=True, max_iter=1)


@pytest.mark.parametrize("name", NORMS)
def test_free_parts_of_subgradients_have_a_uniform_dual_norm(name):
    X = sparse_low_rank(5, 2, 1, psd=False, generator=seeded(1)).expand(3000, 5, 5)
    g = random_subgradient(X, name, generator=seeded(2))
    if name == "l1":
        free = g[:, X[0] == 0].abs().amax(-1)
    elif name == "nuclear":
        free = torch.linalg.svdvals(g)[:, 1]  # the first belongs to the structure
    else:
        dim = -2 if name == "l12" else -1
        free = g.norm(dim=dim)[:, X[0].norm(dim=dim) == 0][:, 0]
    assert free.mean().item() == pytest.approx(0.5, abs=0.03)
    assert free.var().item() == pytest.approx(1 / 12, abs=0.01)
