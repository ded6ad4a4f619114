"""Convex programs against cvxpy, brute force and the networks that they describe."""

import itertools
import math
from fractions import Fraction

import cvxpy as cp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import ConvergenceWarning
from litrepro import convexnets as cn

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def reference(X, y, beta, patterns):
    """The optimum by cvxpy and Clarabel."""
    D = patterns.double().numpy()
    v, u = cp.Variable((len(D), X.shape[1])), cp.Variable((len(D), X.shape[1]))
    fit = cp.sum(cp.multiply(D.T, X.numpy() @ (v - u).T), axis=1)
    signs = (2 * D - 1).T
    norms = cp.sum(cp.norm(v, axis=1)) + cp.sum(cp.norm(u, axis=1))
    cones = [cp.multiply(signs, X.numpy() @ part.T) >= 0 for part in (v, u)]
    problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fit - y.numpy()) + beta * norms), cones)
    return problem.solve(solver=cp.CLARABEL)


def reference3(X, y, beta, first, signs, second):
    """The three-layer program by cvxpy."""
    fit, norms, cones = 0, 0, []
    for s, k in itertools.product((1, -1), range(len(signs))):
        D2, inner = second[k].double().numpy(), 0
        for j in range(signs.shape[1]):
            w, D1 = cp.Variable(X.shape[1]), first[k, :, j].double().numpy()
            product = X.numpy() @ w
            cones.append(cp.multiply(2 * D1 - 1, product) >= 0)
            inner = inner + signs[k, j].item() * cp.multiply(D1, product)
            norms = norms + cp.norm(w)
        cones.append(cp.multiply(2 * D2 - 1, inner) >= 0)
        fit = fit + s * cp.multiply(D2, inner)
    return cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fit - y.numpy()) + beta * norms), cones).solve(
        solver=cp.CLARABEL
    )


@pytest.mark.parametrize(
    ("n", "d", "P", "beta"), [(12, 3, 20, 0.1), (30, 6, 40, 1.0), (15, 2, 8, 3.0), (25, 5, 30, 0.01)]
)
def test_program_against_cvxpy(n, d, P, beta):
    X, y = normal(n, d, seed=n), normal(n, seed=n + 1)
    patterns = cn.activation_patterns(X, P, generator=1)
    found = cn.convex_relu_program(X, y, beta, patterns)
    assert found.converged is True
    assert isinstance(found.objective, float)
    assert found.objective == pytest.approx(reference(X, y, beta, patterns), rel=3e-6)
    assert found.violation < 1e-5
    fit = (patterns.double() * ((found.v - found.u) @ X.T)).sum(0)
    norms = found.v.norm(dim=1).sum() + found.u.norm(dim=1).sum()
    assert found.objective == pytest.approx((fit - y).square().sum().item() / 2 + beta * norms.item(), rel=1e-12)
    signs = 2 * patterns.double() - 1
    worst = torch.minimum((signs * (found.v @ X.T)).min(), (signs * (found.u @ X.T)).min())
    assert found.violation == pytest.approx(max(0.0, -worst.item()), abs=1e-12)


def test_program_batch_is_loop_whoever_the_neighbours():
    X, y = normal(18, 3), normal(2, 18, seed=1)
    patterns = cn.activation_patterns(X)
    betas = torch.tensor([0.05, 0.5, 50.0], dtype=F64)[:, None]
    together = cn.convex_relu_program(X, y, betas, patterns)
    assert together.v.shape == (3, 2, len(patterns), 3)
    for i, j in itertools.product(range(3), range(2)):
        alone = cn.convex_relu_program(X, y[j], betas[i].item(), patterns)
        assert together.objective[i, j].item() == pytest.approx(alone.objective, rel=1e-9)
        assert together.iterations[i, j].item() == alone.iterations
        # Objectives agree to 1e-9. A solution within a gap of 1e-6 is itself only determined to about 1e-3, and how far
        # two of them lie apart depends on the number of threads that sum.
        torch.testing.assert_close(together.v[i, j], alone.v, rtol=1e-3, atol=1e-4)
    assert (together.v[2] == 0).all()
    batched = cn.convex_relu_program(torch.stack([X, 2 * X]), y, 0.5, patterns.expand(2, -1, -1))
    alone = cn.convex_relu_program(2 * X, y[1], 0.5, patterns)
    assert batched.objective[1].item() == pytest.approx(alone.objective, rel=1e-8)


def test_targets_may_be_integers():
    X, y = normal(6, 2), torch.tensor([1, -1, 2, 0, 1, -3])
    patterns = cn.activation_patterns(X)
    found, expected = (cn.convex_relu_program(X, targets, 0.1, patterns) for targets in (y, y.double()))
    assert found.objective == expected.objective
    assert torch.equal(found.v, expected.v)
    assert torch.equal(cn.dual_ball_projection(X, y, 0.1), cn.dual_ball_projection(X, y.double(), 0.1))
    with pytest.raises(ValueError, match="integer"):
        cn.convex_relu_program(X, y > 0, 0.1, patterns)


def test_zero_solutions_are_exactly_zero():
    X, y = normal(10, 3), normal(10, seed=1)
    patterns = cn.activation_patterns(X)
    largest = cn.relu_support(X, y, patterns, iterations=60).item()
    for beta, zero in ((1.001 * largest, True), (0.999 * largest, False)):
        found = cn.convex_relu_program(X, y, beta, patterns)
        assert found.converged
        assert bool((found.v == 0).all() and (found.u == 0).all()) is zero
        assert (len(cn.to_network(found.v, found.u)[1]) == 0) is zero
    null = cn.convex_relu_program(X, torch.zeros(10, dtype=F64), 0.1, patterns)
    assert null.converged
    assert null.objective == 0.0
    assert null.violation == 0.0


def test_network_of_a_solution_has_its_objective():
    X, y, beta = normal(20, 3), normal(20, seed=1), 0.1
    patterns = cn.activation_patterns(X)
    found = cn.convex_relu_program(X, y, beta, patterns, tol=1e-7)
    net = cn.to_network(found.v, found.u)
    (W, a), fit = net, (X @ net.W.T).clamp(min=0) @ net.a
    network = (fit - y).square().sum() / 2 + beta / 2 * (W.square().sum() + a.square().sum())
    assert network.item() == pytest.approx(found.objective, rel=1e-6)
    certificate = cn.optimality_gap(X, y, beta, W, a, patterns)
    assert 0 <= certificate.gap.item() < 0.01 * found.objective
    assert certificate.lower.item() <= found.objective + 1e-9


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), beta=st.floats(0.02, 2.0), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_no_network_beats_the_program(seed, beta, scale):
    X, y = scale * normal(8, 2, seed=seed), normal(8, seed=seed + 1)
    found = cn.convex_relu_program(X, y, beta * scale, cn.activation_patterns(X))
    assert found.converged
    W, a = normal(500, 3, 2, seed=seed + 2) / scale**0.5, normal(500, 3, seed=seed + 3)
    fit = ((X @ W.mT).clamp(min=0) @ a[..., None])[..., 0]
    values = (fit - y).square().sum(-1) / 2 + beta * scale * (W.norm(dim=-1) * a.abs()).sum(-1)
    assert found.objective <= min(values.min().item(), y.square().sum().item() / 2) * (1 + 1e-6)


def test_degenerate_data():
    X = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], dtype=F64)
    y = torch.tensor([1.0, 2.0, 0.5, -1.0, 1.0], dtype=F64)
    one = torch.tensor([[True, True, True, False, True]])
    found = cn.convex_relu_program(X, y, 0.1, one)
    assert found.objective == pytest.approx(reference(X, y, 0.1, one), rel=1e-5)
    impossible = torch.tensor([[True, True, True, True, True], [True, False, True, False, True]])
    with _quiet():
        found = cn.convex_relu_program(X, y, 0.1, impossible)
    assert found.objective == pytest.approx(reference(X, y, 0.1, impossible), rel=1e-3)
    assert found.violation < 1e-5


class _quiet:
    """An empty cone interior may keep the tolerance from being reached; the value must be right all the same."""

    def __enter__(self):
        import warnings

        self.context = warnings.catch_warnings()
        self.context.__enter__()
        warnings.simplefilter("ignore", ConvergenceWarning)

    def __exit__(self, *error):
        return self.context.__exit__(*error)


def test_programs_say_when_they_do_not_converge():
    X, y = normal(10, 2), normal(10, seed=1)
    with pytest.warns(ConvergenceWarning, match="relative gap"):
        found = cn.convex_relu_program(X, y, 0.1, cn.activation_patterns(X), max_iter=2)
    assert found.converged is False
    assert found.iterations == 2
    assert math.isfinite(found.objective)
    with pytest.warns(ConvergenceWarning):
        cn.convex_relu_program3(X, y, 0.1, *cn.subnetwork_patterns(X, 2, 20), max_iter=2)


@pytest.mark.parametrize(("n", "d", "hidden", "beta"), [(5, 2, 3, 0.05), (8, 3, 2, 0.3)])
def test_three_layers_against_cvxpy(n, d, hidden, beta):
    X, y = normal(n, d, seed=n), normal(n, seed=n + 1)
    first, signs, second = cn.subnetwork_patterns(X, hidden, 12, generator=0)
    found = cn.convex_relu_program3(X, y, beta, first, signs, second)
    assert found.W.shape == (2, len(signs), d, hidden)
    assert found.objective == pytest.approx(reference3(X, y, beta, first, signs, second), rel=1e-5)
    product = X @ found.W  # (2, P, n, m1)
    assert ((2 * first.double() - 1) * product).min() > -1e-6
    inner = (signs[:, None] * first * product).sum(-1)
    assert ((2 * second.double() - 1) * inner).min() > -1e-6
    fit = (second * inner)[0].sum(0) - (second * inner)[1].sum(0)
    objective = (fit - y).square().sum() / 2 + beta * found.W.norm(dim=-2).sum()
    assert objective.item() == pytest.approx(found.objective, rel=1e-9)


def test_gated_program_against_cvxpy():
    X, Y = normal(12, 4), normal(12, 3, seed=1)
    patterns = cn.activation_patterns(X, 6)
    betas = torch.tensor([0.3, 2.0], dtype=F64)
    found = cn.gated_relu_program(X, Y, betas, patterns, max_iter=5000, tol=1e-9)
    assert found.V.shape == (2, len(patterns), 4, 3)
    for beta, value in zip(betas.tolist(), found.objective.tolist()):
        V = [cp.Variable((4, 3)) for _ in patterns]
        fit = sum(cp.multiply(D.double().numpy()[:, None], X.numpy() @ W) for D, W in zip(patterns, V))
        problem = cp.Minimize(0.5 * cp.sum_squares(fit - Y.numpy()) + beta * sum(cp.norm(W, "fro") for W in V))
        assert value == pytest.approx(cp.Problem(problem).solve(solver=cp.CLARABEL), rel=1e-5)


def cells_by_sampling(X, draws=200_000):
    return cn.activation_patterns(X, draws, generator=5)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (6, 1), (9, 2), (20, 3), (8, 4), (3, 4), (2, 3)])
def test_number_of_patterns_in_general_position(n, d):
    patterns = cn.activation_patterns(normal(n, d, seed=n))
    assert len(patterns) == 2 * sum(math.comb(n - 1, k) for k in range(d))
    assert len(torch.unique(patterns, dim=0)) == len(patterns)
    assert patterns.dtype == torch.bool


@pytest.mark.parametrize("size", [1e-200, 1e-320, 1e200])
def test_patterns_do_not_depend_on_the_length_of_a_row(size):
    X = torch.tensor([[size, 2 * size], [1.0, 0.0], [0.0, 1.0]], dtype=F64)
    assert len(cn.activation_patterns(X)) == 6


@pytest.mark.parametrize("d", [2, 3, 4])
def test_patterns_in_special_position(d):
    base = torch.randint(-1, 2, (7, d), generator=torch.Generator().manual_seed(d), dtype=torch.int64).double()
    X = torch.cat([base, 2 * base[:2], -base[1:3], torch.zeros(1, d, dtype=F64)])
    exact, sampled = cn.activation_patterns(X), cells_by_sampling(X)
    assert {tuple(row) for row in exact.tolist()} == {tuple(row) for row in sampled.tolist()}


def exact_cells(X):
    """The open cells of an arrangement in three dimensions in rational arithmetic: those around every ray."""
    rows = [[Fraction(value) for value in row] for row in X.tolist()]

    def cross(a, b):
        return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]

    def signs(*directions):
        """1{X u >= 0} at the first direction plus a little of the second plus still less of the third."""
        products = ([sum(map(Fraction.__mul__, row, u)) for u in directions] for row in rows)
        return tuple(next((value for value in row if value), 0) >= 0 for row in products)

    found = set()
    for first, second in itertools.combinations(rows, 2):
        ray = cross(first, second)
        if not any(ray):
            continue
        for normal in (first, second):
            for along, across in itertools.product((1, -1), repeat=2):
                beside = [along * value for value in cross(ray, normal)]
                step = [across * value for value in normal]
                found |= {signs(ray, beside, step), signs([-value for value in ray], beside, step)}
    return found


def as_set(patterns):
    return {tuple(row) for row in patterns.tolist()}


@pytest.mark.parametrize("offset", [0.0, 7.3, 1e5, 1e6, 1e8])
def test_patterns_do_not_depend_on_the_basis_of_the_columns(offset):
    grid = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0)).double()
    for points, shift in ((grid, offset // 1), (normal(8, 2), offset)):
        X = torch.cat([points, torch.ones_like(points[:, :1])], 1)
        expected = cn.activation_patterns(X)
        assert as_set(expected) == exact_cells(X)
        moved = X + torch.tensor([shift, 0.0, 0.0], dtype=F64)
        assert torch.equal(cn.activation_patterns(moved), expected)
    X = torch.randint(-2, 3, (6, 3), generator=torch.Generator().manual_seed(1)).double()
    X[:, 0] += offset // 1 * X[:, 2]
    assert as_set(cn.activation_patterns(X)) == exact_cells(X)


def test_nearly_parallel_rows_are_resolved_or_parallel():
    X = torch.tensor([[1.0, 0.3, 0.2], [1.0, 0.30000001, 0.2], [0.0, 1.0, 0.5]], dtype=F64)
    assert len(cn.activation_patterns(X)) == 8
    single = normal(6, 3).float()
    single[5] = 2.3 * single[0]
    assert as_set(cn.activation_patterns(single)) == exact_cells(single)
    for digits in range(1, 17):
        X = normal(7, 3, seed=digits)
        X[5:] = 2.3 * X[:2] + 10.0**-digits * normal(2, 3, seed=1)
        found = cn.activation_patterns(X)
        if digits < 7:
            assert as_set(found) == exact_cells(X)
        elif digits > 10:  # in between planes may meet closer to a ray than 1e-10, which counts as on it
            assert as_set(found[:, :5]) == exact_cells(X[:5])
            assert torch.equal(found[:, 5:], found[:, :2])


@pytest.mark.parametrize("n", [10, 49, 50, 120])
def test_subnetworks_count_once_whatever_the_order_of_their_neurons(n):
    X = normal(n, 1)  # two patterns per neuron: every multiset of neurons is drawn
    first, signs, second = cn.subnetwork_patterns(X, 3, 2000, generator=0)
    kinds = [
        (tuple(sorted(zip(s.tolist(), map(tuple, D.T.tolist())))), tuple(out.tolist()))
        for D, s, out in zip(first, signs, second)
    ]
    assert len(set(kinds)) == len(kinds) > 20


def test_gated_path_is_a_loop():
    X, Y = normal(6, 3, seed=7), normal(6, 2, seed=8)
    patterns = cn.activation_patterns(X, 8, generator=1)
    betas = torch.tensor([1.0, 1e-4], dtype=F64)
    path = cn.gated_relu_program(X, Y, betas, patterns, max_iter=1000, tol=1e-5)
    alone = [cn.gated_relu_program(X, Y, beta.item(), patterns, max_iter=1000, tol=1e-5) for beta in betas]
    assert path.converged.all()
    assert alone[0].iterations != alone[1].iterations  # one goes on beside the other
    assert path.iterations == max(one.iterations for one in alone)
    torch.testing.assert_close(path.V, torch.stack([one.V for one in alone]), rtol=0, atol=1e-10)
    torch.testing.assert_close(path.objective, torch.stack([one.objective for one in alone]))


def test_sampled_patterns_are_nested_and_real():
    X = normal(15, 3)
    exact = {tuple(row) for row in cn.activation_patterns(X).tolist()}
    sampled = cn.activation_patterns(X, 50, generator=3)
    assert {tuple(row) for row in sampled.tolist()} <= exact
    assert len(sampled) <= 50
    first, signs, second = cn.subnetwork_patterns(X, 3, 40, generator=0)
    assert first.shape == (len(signs), 15, 3)
    assert second.shape == (len(signs), 15)
    assert {tuple(column) for k in range(5) for column in first[k].T.tolist()} <= exact


def test_support_against_brute_force():
    X, v = normal(12, 2), normal(3, 12, seed=1)
    angles = torch.linspace(0, 2 * math.pi, 40_001, dtype=F64)
    u = torch.stack([angles.cos(), angles.sin()])
    brute = (v @ (X @ u).clamp(min=0)).abs().amax(1)
    bound = cn.relu_support(X, v, cn.activation_patterns(X))
    assert (bound >= brute - 1e-9).all()
    torch.testing.assert_close(bound, brute, rtol=2e-4, atol=1e-4)


def test_certificates_of_bad_networks_are_valid():
    X, y = normal(10, 3), normal(10, seed=1)
    patterns = cn.activation_patterns(X)
    best = cn.convex_relu_program(X, y, 0.2, patterns).objective
    found = cn.optimality_gap(X, y, 0.2, normal(6, 4, 3, seed=2), normal(6, 4, seed=3), patterns)
    assert found.gap.shape == (6,)
    assert (found.lower <= best + 1e-9).all()
    assert (found.objective >= best - 1e-6).all()


X, Y, D = normal(6, 2), normal(6, seed=1), torch.ones(3, 6, dtype=torch.bool)


@pytest.mark.parametrize(
    "call",
    [
        lambda: cn.convex_relu_program(X, Y, 0.0, D),
        lambda: cn.convex_relu_program(X, Y, -1.0, D),
        lambda: cn.convex_relu_program(X, Y, torch.tensor([0.1, 0.0]), D),
        lambda: cn.convex_relu_program(X, Y[:5], 0.1, D),
        lambda: cn.convex_relu_program(X, Y, 0.1, D[:, :5]),
        lambda: cn.convex_relu_program(X, Y, 0.1, D.double()),
        lambda: cn.convex_relu_program(X, Y, 0.1, D[:0]),
        lambda: cn.convex_relu_program(X * torch.nan, Y, 0.1, D),
        lambda: cn.convex_relu_program(X, Y, 0.1, D, max_iter=0),
        lambda: cn.convex_relu_program(X, Y, 0.1, D, tol=0.0),
        lambda: cn.convex_relu_program3(X, Y, 0.0, D[:, :, None], torch.ones(3, 1, dtype=F64), D),
        lambda: cn.convex_relu_program3(X, Y, 0.1, D[:, :, None], torch.zeros(3, 1, dtype=F64), D),
        lambda: cn.convex_relu_program3(X, Y, 0.1, D[:, :5, None], torch.ones(3, 1, dtype=F64), D),
        lambda: cn.convex_relu_program3(X, Y, 0.1, D[:, :, None], torch.ones(3, 1, dtype=F64), D[:2]),
        lambda: cn.convex_relu_program3(X, Y[:4], 0.1, D[:, :, None], torch.ones(3, 1, dtype=F64), D),
        lambda: cn.gated_relu_program(X, Y, 0.1, D),
        lambda: cn.gated_relu_program(X, Y[:, None], 0.0, D),
        lambda: cn.activation_patterns(normal(6, 5)),
        lambda: cn.activation_patterns(X, 0),
        lambda: cn.activation_patterns(X[0]),
        lambda: cn.subnetwork_patterns(X, 0, 5),
        lambda: cn.to_network(X, X[:3]),
        lambda: cn.relu_support(X, Y, D[:, :4]),
        lambda: cn.optimality_gap(X, Y, 0.1, X, Y[:3], D),
        lambda: cn.optimality_gap(X, Y, 0.0, X, Y, D),
        lambda: cn.descend(lambda x: x, [X], steps=0, lr=0.1),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"got|must|pass"):
        call()


def test_the_certificate_of_the_zero_network_is_sharp_where_zero_is_optimal():
    X, y = normal(8, 2), normal(8, seed=1)
    patterns = cn.activation_patterns(X)
    beta = 3 * cn.relu_support(X, y, patterns).item()
    found = cn.optimality_gap(X, y, beta, torch.zeros(1, 2, dtype=F64), torch.zeros(1, dtype=F64), patterns)
    assert found.objective.item() == pytest.approx(y.square().sum().item() / 2)
    assert found.gap.item() == pytest.approx(0, abs=1e-12)


def test_gated_program_is_accelerated():
    """Far fewer iterations than proximal gradient steps of the same length until the same objective."""
    X, Y, beta = normal(20, 6) * torch.logspace(0, -1.5, 6, dtype=F64), normal(20, 1, seed=1), 1e-3
    every = torch.ones(1, 20, dtype=torch.bool)
    best = cn.gated_relu_program(X, Y, beta, every, max_iter=3000, tol=1e-9).objective

    V, step, count = torch.zeros(6, 1, dtype=F64), 1 / (1.01 * torch.linalg.matrix_norm(X, 2) ** 2), 0
    while (X @ V - Y).square().sum() / 2 + beta * V.norm() > best * (1 + 1e-4):
        V = V - step * X.T @ (X @ V - Y)
        V, count = V * (1 - step * beta / V.norm()).clamp(min=0), count + 1
    with _quiet():
        fast = cn.gated_relu_program(X, Y, beta, every, max_iter=count // 4, tol=1e-12)
    assert count > 200
    assert fast.objective <= best * (1 + 1e-4)
