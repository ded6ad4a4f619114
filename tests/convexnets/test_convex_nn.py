"""Half planes by brute force, output weights by linear programming identities, convex networks, Frank-Wolfe."""

import itertools
import math

import cvxpy as cp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import ConvergenceWarning
from litrepro import convexnets as cn
from litrepro.data import double_moon

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def dichotomies(X):
    """All separable labellings of points in the plane: the cells of the arrangement of [x, 1]."""
    return cn.activation_patterns(torch.cat([X, torch.ones_like(X[:, :1])], 1)).double() * 2 - 1


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 9), seed=st.integers(0, 10_000), grid=st.booleans())
def test_half_plane_is_the_best(n, seed, grid):
    X, q = normal(n, 2, seed=seed), normal(n, seed=seed + 1)
    if grid:  # collinear and coincident points
        X = (X * 1.2).round()
    found = cn.best_halfplane(X, q)
    products = torch.cat([X, torch.ones(n, 1, dtype=F64)], 1) @ found.v
    assert (products.abs() > 0).all()
    assert (q * products.sign()).sum().item() == pytest.approx(found.value)
    assert found.value == pytest.approx((dichotomies(X) @ q).max().item(), abs=1e-9)


def test_half_plane_edge_cases():
    one = cn.best_halfplane(torch.ones(3, 2), torch.tensor([1.0, -3.0, 1.0]))
    assert one.value == 1.0
    assert one.v.tolist() == [0.0, 0.0, -1.0]
    assert cn.best_halfplane(normal(4, 2), torch.zeros(4, dtype=F64)).value == 0.0


@settings(max_examples=15, deadline=None)
@given(n=st.integers(2, 12), m=st.integers(1, 6), lam=st.floats(0, 3), seed=st.integers(0, 1000))
def test_output_weights(n, m, lam, seed):
    H, y = normal(n, m, seed=seed), torch.where(normal(n, seed=seed + 1) > 0, 1.0, -1.0).double()
    fit = cn.fit_output_weights(H, y, lam)
    value = lam * fit.w.abs().sum() + (1 - y * (H @ fit.w)).clamp(min=0).sum()
    assert value.item() == pytest.approx(fit.objective, abs=1e-7)
    assert fit.dual.sum().item() == pytest.approx(fit.objective, abs=1e-7)
    assert (fit.dual >= 0).all()
    assert (fit.dual <= 1).all()
    assert (H.T @ (fit.dual * y)).abs().max() <= lam + 1e-7


def test_labels_and_signs_may_be_integers():
    X, y = double_moon(12, generator=torch.Generator().manual_seed(0))
    ints = y.to(torch.int64)
    assert torch.equal(cn.fit_output_weights(X, ints, 0.3).w, cn.fit_output_weights(X, y, 0.3).w)
    assert cn.convex_nn(X, ints, 0.3).objective == cn.convex_nn(X, y, 0.3).objective
    first, signs, second = cn.subnetwork_patterns(X, 2, 3)
    programs = [cn.convex_relu_program3(X, y, 0.1, first, kind, second) for kind in (signs, signs.long())]
    assert programs[0].objective == programs[1].objective
    with pytest.raises(ValueError, match="labels"):
        cn.fit_output_weights(X, ints * 2, 0.3)
    with pytest.raises(ValueError, match="labels"):
        cn.fit_output_weights(X, ints > 0, 0.3)


@pytest.mark.parametrize("lam", [0.3, 1.0])
def test_exact_oracle_reaches_the_program_over_all_half_planes(lam):
    X, y = double_moon(16, distance=0.3, generator=torch.Generator().manual_seed(3))
    X = X + 0.4 * normal(16, 2, seed=4)
    net = cn.convex_nn(X, y, lam)
    H = dichotomies(X).T
    w = cp.Variable(H.shape[1])
    loss = lam * cp.norm1(w) + cp.sum(cp.pos(1 - cp.multiply(y.numpy(), H.numpy() @ w)))
    optimum = cp.Problem(cp.Minimize(loss)).solve(solver=cp.CLARABEL)
    assert net.converged
    assert net.objective == pytest.approx(optimum, abs=1e-6)
    assert (net.history.diff() <= 1e-9).all()
    assert int((net.w.abs() > 1e-9).sum()) <= 17
    scores = cn.convex_nn_predict(net.V, net.w, X)
    assert lam * net.w.abs().sum() + (1 - y * scores).clamp(min=0).sum() == pytest.approx(net.objective, abs=1e-7)
    fit = cn.fit_output_weights((torch.cat([X, torch.ones(16, 1)], 1) @ net.V.T).sign(), y, lam)
    assert cn.convex_nn_bound(X, y, lam, fit.dual) == pytest.approx(optimum, rel=1e-5)
    assert cn.convex_nn_bound(X, y, lam, torch.rand(16, dtype=F64)) <= optimum + 1e-9
    with pytest.raises(ValueError, match="dual"):
        cn.convex_nn_bound(X, y, lam, torch.rand(1, dtype=F64))


@pytest.mark.parametrize("oracle", ["logistic", "svm", "perceptron"])
def test_approximate_oracles(oracle):
    X, y = double_moon(30, generator=torch.Generator().manual_seed(0))
    exact, found = cn.convex_nn(X, y, 0.5), cn.convex_nn(X, y, 0.5, oracle=oracle)
    assert found.objective >= exact.objective - 1e-9
    assert ((cn.convex_nn_predict(found.V, found.w, X) > 0) == (y > 0)).double().mean() > 0.8
    high = cn.convex_nn(normal(20, 4), torch.where(normal(20, 4)[:, 0] > 0, 1.0, -1.0), 0.5, oracle=oracle)
    assert high.V.shape[1] == 5


@pytest.mark.filterwarnings("ignore::litrepro.ConvergenceWarning")
@pytest.mark.parametrize("options", [{"oracle": "logistic"}, {"oracle": "perceptron", "activation": "tanh"}])
def test_networks_do_not_depend_on_the_unit_of_length(options):
    X, y = double_moon(16, generator=torch.Generator().manual_seed(0))
    X = X * 2.5 / X.abs().max()
    here = cn.convex_nn(X, y, 0.3, max_neurons=3, **options)
    for power in (-60, 20):
        there = cn.convex_nn(2.0**power * X, y, 0.3, max_neurons=3, **options)
        assert torch.equal(there.history, here.history)
        assert torch.equal(there.V * torch.tensor([2.0**power, 2.0**power, 1.0]), here.V)
    for size in (1e-6, 1e6):  # powers of two come near
        there = cn.convex_nn(size * X, y, 0.3, max_neurons=3, **options)
        assert there.objective < 2 * here.objective


def test_hinge_oracle_against_scipy():
    from scipy.optimize import minimize

    from litrepro.convexnets._oracles import RIDGE, _hinge, _logistic, _newton

    Z, labels = torch.cat([normal(25, 2), torch.ones(25, 1)], 1).double(), normal(25, seed=2).sign()
    weights = torch.full((25,), 1 / 25, dtype=F64)
    for loss in (_hinge, _logistic):
        v = _newton(Z, labels, weights, loss)

        def objective(x, loss=loss):
            x = torch.from_numpy(x)
            return ((weights * loss(labels * (Z @ x))[0]).sum() + RIDGE * x.square().sum() / 2).item()

        reference = minimize(
            objective,
            torch.zeros(3, dtype=F64).numpy(),
            method="Nelder-Mead",
            options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000},
        )
        assert objective(v.numpy()) <= reference.fun + 1e-7


def test_tanh_units_and_tuning():
    X, y = double_moon(24, generator=torch.Generator().manual_seed(1))
    plain = cn.convex_nn(X, y, 0.5, oracle="logistic", activation="tanh", max_neurons=4)
    tuned = cn.convex_nn(X, y, 0.5, oracle="logistic", activation="tanh", max_neurons=4, tune=50)
    for net in (plain, tuned):
        scores = cn.convex_nn_predict(net.V, net.w, X, "tanh")
        value = 0.5 * net.w.abs().sum() + (1 - y * scores).clamp(min=0).sum()
        assert value.item() == pytest.approx(net.objective, abs=1e-6)
    assert tuned.objective <= plain.objective + 1e-6


def test_unfinished_network_says_so():
    X, y = double_moon(30, generator=torch.Generator().manual_seed(0))
    with pytest.warns(ConvergenceWarning, match="units"):
        assert not cn.convex_nn(X, y, 0.01, max_neurons=1).converged


def whitened(n, d, seed=0):
    return torch.linalg.qr(normal(d, n, seed=seed)).Q.T.contiguous()


def test_whitened_oracle_is_the_best():
    A, g = whitened(5, 7), normal(5, seed=1)
    theta, sign = cn.relu_lmo_whitened(A, g)
    value = (g * (A @ theta).clamp(min=0)).sum()
    assert theta.norm().item() == pytest.approx(1.0)
    assert (sign * value).item() == pytest.approx(max(g.clamp(min=0).norm(), g.clamp(max=0).norm()).item())
    random = normal(20_000, 7, seed=2)
    values = ((A @ (random / random.norm(dim=1, keepdim=True)).T).clamp(min=0).T @ g).abs()
    assert value.abs() >= values.max() - 1e-12
    theta, _ = cn.relu_lmo_whitened(A, torch.zeros(5, dtype=F64))
    assert theta.isfinite().all()


def test_search_oracle_in_the_plane():
    angles = torch.linspace(0, 2 * math.pi, 20_001, dtype=F64)
    u = torch.stack([angles.cos(), angles.sin()])
    for seed in range(10):
        A, g = normal(12, 2, seed=seed), normal(12, seed=100 + seed)
        theta, sign = cn.relu_lmo_search(A, g, generator=0)
        value = (sign * g * (A @ theta).clamp(min=0)).sum()
        assert value >= 0.998 * (g @ (A @ u).clamp(min=0)).abs().max()
    theta, sign = cn.relu_lmo_search(torch.zeros(3, 2, dtype=F64), torch.zeros(3, dtype=F64))
    assert theta.isfinite().all()
    assert theta.norm().item() == pytest.approx(1.0)


def test_gamma1_projection_against_cvxpy():
    y = normal(4, 6)
    for delta in (0.3, 1.0, 50.0):
        found = cn.project_gamma1(y, delta)
        for row, point in zip(y, found):
            # z = a - b with the norms of two nonnegative parts: a convex set
            a, b = cp.Variable(6, nonneg=True), cp.Variable(6, nonneg=True)
            problem = cp.Problem(cp.Minimize(cp.sum_squares(a - b - row.numpy())), [cp.norm(a) + cp.norm(b) <= delta])
            problem.solve(solver=cp.CLARABEL)
            assert (point - row).square().sum().item() == pytest.approx(problem.value, abs=1e-5)
    assert (cn.project_gamma1(y, 0.0) == 0).all()
    deltas = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=F64)
    torch.testing.assert_close(cn.project_gamma1(y, deltas)[2], cn.project_gamma1(y[2], 0.3))


@pytest.mark.parametrize(("dtype", "large"), [(torch.float32, 1e20), (torch.float32, 3e38), (F64, 1e200)])
def test_gamma1_projection_of_large_numbers(dtype, large):
    y = torch.tensor([3.0, -4.0, 0.0], dtype=dtype)
    expected = torch.tensor([2.0, -3.0, 0.0], dtype=dtype) * (large / 4)
    found = cn.project_gamma1(y * (large / 4), 5 * (large / 4))
    torch.testing.assert_close(found, expected)


def test_single_precision_is_whitened_up_to_its_rounding():
    A = torch.linalg.qr(normal(2000, 300).float()).Q.T
    assert (A.double() @ A.double().T - torch.eye(300)).abs().max() > 1e-7
    scaled = A * (1 + 2e-6)  # off by four parts in a million, some 30 units in the last place
    assert cn.frank_wolfe(scaled, normal(300), 1.0, iterations=2).loss.isfinite().all()
    with pytest.raises(ValueError, match="must be whitened"):
        cn.frank_wolfe(scaled.double(), normal(300), 1.0, iterations=2)


def test_frank_wolfe_bounds_and_batch():
    A, y = whitened(6, 9), normal(6, seed=3)
    deltas = torch.tensor([0.5, 1.0, 4.0], dtype=F64)
    run = cn.frank_wolfe(A, y, deltas, iterations=200)
    assert run.theta.shape == (3, 200, 9)
    for k, delta in enumerate(deltas.tolist()):
        alone = cn.frank_wolfe(A, y, delta, iterations=200)
        torch.testing.assert_close(run.loss[k], alone.loss)
        optimum = (cn.project_gamma1(y, delta) - y).square().sum()
        t = torch.arange(1, 201)
        assert (alone.loss - optimum <= 16 * delta**2 / (t + 2) + 1e-12).all()
        start = torch.cat([y.square().sum()[None], alone.loss[:-1]])
        assert (alone.gap >= start - optimum - 1e-9).all()
        torch.testing.assert_close((A @ alone.theta.T).clamp(min=0) @ alone.weights, alone.prediction)
        assert alone.weights.abs().sum() <= delta + 1e-12
        assert (alone.prediction - y).square().sum().item() == pytest.approx(alone.loss[-1].item())


def test_stochastic_frank_wolfe():
    A, y = whitened(10, 12), normal(10, seed=3)
    full = cn.frank_wolfe(A, y, 1.0, iterations=30)
    same = cn.frank_wolfe(A, y, 1.0, iterations=30, batch_size=lambda t: 100, generator=4)
    torch.testing.assert_close(full.loss, same.loss)
    seen = []
    draws = [
        cn.frank_wolfe(A, y, 1.0, iterations=5, batch_size=lambda t: seen.append(t) or 3, generator=g)
        for g in (1, 1, 2)
    ]
    assert seen[:5] == [1, 2, 3, 4, 5]
    assert torch.equal(draws[0].loss, draws[1].loss)
    assert not torch.equal(draws[0].loss, draws[2].loss)
    searched = cn.frank_wolfe(A, y, 1.0, iterations=30, lmo=lambda a, g: cn.relu_lmo_search(a, g, generator=0))
    assert searched.loss[-1] <= full.loss[-1] * 1.05 + 1e-3


P, L = normal(5, 2), torch.ones(5, dtype=F64)


@pytest.mark.parametrize(
    "call",
    [
        lambda: cn.best_halfplane(normal(5, 3), L),
        lambda: cn.best_halfplane(P, L[:4]),
        lambda: cn.fit_output_weights(P, 0 * L, 1.0),
        lambda: cn.fit_output_weights(P, L, -1.0),
        lambda: cn.convex_nn(P, 2 * L, 1.0),
        lambda: cn.convex_nn(P, L, -0.1),
        lambda: cn.convex_nn(P, L, 1.0, oracle="tree"),
        lambda: cn.convex_nn(P, L, 1.0, activation="relu"),
        lambda: cn.convex_nn(normal(5, 3), L, 1.0),
        lambda: cn.convex_nn(P, L, 1.0, tune=3),
        lambda: cn.convex_nn(P, L, 1.0, max_neurons=0),
        lambda: cn.convex_nn_predict(P, L, P),
        lambda: cn.frank_wolfe(P, L, 1.0, iterations=3),
        lambda: cn.frank_wolfe(whitened(3, 4), L[:3], 0.0, iterations=3),
        lambda: cn.frank_wolfe(whitened(3, 4), L[:3], -1.0, iterations=3),
        lambda: cn.frank_wolfe(whitened(3, 4), L[:3], 1.0, iterations=0),
        lambda: cn.frank_wolfe(whitened(3, 4), L[:3], 1.0, iterations=3, batch_size=lambda t: 0),
        lambda: cn.relu_lmo_whitened(P, L),
        lambda: cn.relu_lmo_search(P, L, restarts=0),
        lambda: cn.project_gamma1(L, -1.0),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"got|must|needs"):
        call()


def test_all_dichotomies_are_counted():
    for labels in itertools.product((-1.0, 1.0), repeat=3):
        found = cn.best_halfplane(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor(labels))
        assert found.value == 3.0


def test_frank_wolfe_weights_and_gaps_are_those_of_the_written_steps():
    A, y = whitened(6, 9), normal(6, seed=3)
    runs = [cn.frank_wolfe(A, y, 1.5, iterations=T) for T in (1, 2, 3)]
    t = torch.arange(1, 4, dtype=F64)
    torch.testing.assert_close(runs[2].weights.abs(), 1.5 * 2 * t / 12)  # steps 2 / (t + 1): of T = 3, t over 6
    for before, z in enumerate((torch.zeros(6, dtype=F64), runs[0].prediction, runs[1].prediction)):
        run = runs[before]
        atom = run.weights[before].sign() * 1.5 * (A @ run.theta[before]).clamp(min=0)
        torch.testing.assert_close(run.gap[before], 2 * (z - y) @ (z - atom))


def test_an_oracle_on_a_sample_is_given_an_unbiased_gradient():
    A, y, seen = whitened(10, 12), normal(10, seed=3), []

    def oracle(part, g):
        seen.append((part, g))
        return cn.relu_lmo_search(part, g, generator=0)

    cn.frank_wolfe(A, y, 1.0, iterations=1, lmo=oracle, batch_size=lambda t: 4, generator=1)
    ((part, g),) = seen
    chosen = (part @ A.T).argmax(1)
    assert len(set(chosen.tolist())) == 4
    torch.testing.assert_close(part, A[chosen])
    torch.testing.assert_close(g, -2 * y[chosen] * 10 / 4)


@pytest.mark.parametrize("oracle", ["logistic", "svm", "perceptron"])
def test_oracles_listen_to_the_weights(oracle):
    from litrepro.convexnets import _oracles

    Z = torch.cat([torch.zeros(2, 2), torch.ones(2, 1)], 1).double()  # one place, two labels
    for q in ([3.0, -1.0], [1.0, -3.0]):
        q = torch.tensor(q, dtype=F64)
        assert ((Z @ _oracles.propose(oracle, Z, q)).sign() == q.sum().sign()).all()
    Z = torch.cat([normal(40, 2), torch.ones(40, 1)], 1).double()
    q = (Z @ torch.tensor([1.0, -2.0, 0.3], dtype=F64)).sign() * (normal(40, seed=1).abs() + 0.1)
    v = _oracles.propose(oracle, Z, q)
    if oracle == "perceptron":
        assert ((Z @ v).sign() == q.sign()).all()  # separable
    else:
        loss = {"logistic": _oracles._logistic, "svm": _oracles._hinge}[oracle]
        torch.testing.assert_close(v, _oracles._newton(Z, q.sign(), q.abs() / q.abs().sum(), loss))


def test_refined_units_agree_more():
    from litrepro.convexnets._oracles import refine_tanh

    Z, q = torch.cat([normal(30, 2), torch.ones(30, 1)], 1).double(), normal(30, seed=1)
    v = normal(3, seed=2)
    value, start = ((q * torch.tanh(Z @ u)).sum().abs() for u in (refine_tanh(Z, q, v), v / v.norm()))
    assert value > 1.2 * start


def test_tanh_units_are_what_the_oracle_says_refined():
    from litrepro.convexnets._oracles import propose, refine_tanh

    X, y = double_moon(24, generator=torch.Generator().manual_seed(1))
    Z = torch.cat([X, torch.ones(24, 1)], 1).double()
    q = cn.fit_output_weights(torch.tanh(Z[:, 2:]), y, 0.5).dual * y  # of the constant unit, which comes first
    with pytest.warns(ConvergenceWarning):
        net = cn.convex_nn(X, y, 0.5, oracle="logistic", activation="tanh", max_neurons=2)
    torch.testing.assert_close(net.V[1], refine_tanh(Z, q, propose("logistic", Z, q)))


@pytest.mark.parametrize("size", [1e-11, 1e15])
def test_output_weights_do_not_depend_on_the_size_of_the_units(size):
    H, y = torch.tensor([[1.0, 0.5], [-1.0, 0.2], [0.3, -1.0]], dtype=F64), torch.tensor([1.0, -1.0, 1.0])
    here, there = cn.fit_output_weights(H, y, 0.1), cn.fit_output_weights(size * H, y, 0.1 * size)
    assert here.objective == pytest.approx(0.1913043478)  # of scipy's HiGHS
    assert there.objective == pytest.approx(here.objective)
    torch.testing.assert_close(there.w * size, here.w)
    # Small units are too dear, and do not blunt the prices of the others.
    both = cn.fit_output_weights(torch.cat([1e-11 * H, H, 0 * H], 1), y, 0.1)
    assert both.objective == pytest.approx(here.objective)
    assert (both.w[[0, 1, 4, 5]] == 0).all()


@pytest.mark.parametrize("size", [2.0**-570, 2.0**-60, 2.0**570])
def test_oracles_do_not_depend_on_the_size_of_what_they_are_given(size):
    A, g = normal(12, 3), normal(12, seed=1)
    theta, sign = cn.relu_lmo_search(A, g, generator=0)
    for data in ((size * A, g), (A, size * g)):
        found = cn.relu_lmo_search(*data, generator=0)
        assert torch.equal(found.theta, theta)
        assert found.sign == sign
    A, y = whitened(6, 9), normal(6, seed=3)
    assert torch.equal(cn.relu_lmo_whitened(A, size * y).theta, cn.relu_lmo_whitened(A, y).theta)
    here, there = cn.frank_wolfe(A, y, 1.5, iterations=5), cn.frank_wolfe(A, size * y, 1.5 * size, iterations=5)
    assert torch.equal(there.theta, here.theta)
    assert torch.equal(there.weights, here.weights * size)
    assert torch.equal(there.prediction, here.prediction * size)
    for found, expected in ((there.loss, here.loss), (there.gap, here.gap)):
        assert torch.equal(found, expected * size * size)


def test_a_radius_has_a_gradient_in_any_shape():
    y = torch.tensor([3.0, -4.0], dtype=F64)
    for radius in (torch.tensor(2.0, dtype=F64), torch.full((1,), 2.0, dtype=F64)):
        radius.requires_grad_()
        z = cn.project_gamma1(y, radius)  # the norms 3 and 4 lose the same, half of 7 - delta
        u = cn.dual_ball_projection(torch.eye(2, dtype=F64), y, radius)
        for part, expected in ((z[..., 1], -0.5), (u[..., 1], -0.8)):
            (slope,) = torch.autograd.grad(part.sum(), radius)
            assert slope.item() == pytest.approx(expected)
