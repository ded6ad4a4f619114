"""Relaxations by finite differences and samples; closed forms from duality against optimizers."""

import math

import cvxpy as cp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import convexnets as cn

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_losses_and_gradients():
    A, X = normal(3, 6, 5), normal(4, 1, 2, 5, seed=1)
    y = normal(3, 6, seed=2)
    value = cn.relu_loss(A, y, X)
    assert value.shape == (4, 3)
    brute = sum(
        (sum(max(0.0, (A[1, i] @ X[2, 0, j]).item()) for j in range(2)) - y[1, i].item()) ** 2 for i in range(6)
    )
    assert value[2, 1].item() == pytest.approx(brute)
    leaf = X.clone().requires_grad_()
    for loss, modified in ((cn.relu_loss, False), (cn.modified_loss, True)):
        found = cn.modified_gradient(A, y, X, modified)
        assert found.shape == (4, 3, 2, 5)
        (expected,) = torch.autograd.grad(loss(A, y, leaf).sum(), leaf)
        torch.testing.assert_close(found.sum(1, keepdim=True), expected)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_relaxation_is_convex_and_lies_above(seed):
    A, y, x = normal(5, 3, seed=seed), normal(5, seed=seed + 1), normal(2, 3, seed=seed + 2)
    ends, middle = cn.relaxed_loss(A, y, x), cn.relaxed_loss(A, y, x.mean(0))
    assert middle <= ends.mean() + 1e-9
    difference = cn.relaxed_loss(A, y, x) - cn.relu_loss(A, y, x[:, None])
    torch.testing.assert_close(difference, 2 * ((-(x @ A.T)).clamp(min=0) @ y))
    single = cn.modified_loss(A, y, x[:, None])
    torch.testing.assert_close(single, cn.relaxed_loss(A, y, x))


def test_modified_gradient_loses_no_sample():
    A, X = normal(4, 6), torch.full((1, 6), -1.0, dtype=F64)
    A = A.abs()  # the neuron is off everywhere
    y = normal(4, seed=2)
    assert (cn.modified_gradient(A, y, X, modified=False) == 0).all()
    torch.testing.assert_close(cn.modified_gradient(A, y, X)[0], -2 * A.T @ y)


def test_descent_follows_the_gradient():
    A, y, X = normal(2, 5, 3), normal(2, 5, seed=1).abs(), normal(2, 1, 3, seed=2)
    found, history = cn.descend_relu(A, y, X, modified=True, lr=0.01, steps=2)
    middle = X - 0.01 * cn.modified_gradient(A, y, X)
    torch.testing.assert_close(found, middle - 0.01 * cn.modified_gradient(A, y, middle))
    torch.testing.assert_close(history[1], cn.relu_loss(A, y, middle))


def test_multi_neuron_relaxation_is_not_convex():
    one = torch.ones(1, 1, dtype=F64)
    ends = [torch.tensor(X, dtype=F64) for X in ([[-2.0], [0.0]], [[0.0], [-2.0]])]
    values = [cn.modified_loss(one, one[0], X).item() for X in ends]
    assert cn.modified_loss(one, one[0], sum(ends) / 2).item() - sum(values) / 2 == pytest.approx(4.0)


def test_ball_projection_against_cvxpy():
    for n, d in ((6, 4), (4, 6), (5, 5)):
        X, y = normal(n, d), normal(2, n, seed=1)
        for beta in (0.0, 0.1, 1.0, 100.0):
            found = cn.dual_ball_projection(X, y, beta)
            u = cp.Variable(n)
            problem = cp.Problem(cp.Minimize(cp.sum_squares(u - y[1].numpy())), [cp.norm(X.T.numpy() @ u) <= beta])
            if beta > 0:
                problem.solve(solver=cp.CLARABEL)
                assert (found[1] - y[1]).square().sum().item() == pytest.approx(problem.value, abs=1e-5)
            assert (found @ X).norm(dim=1).max() <= beta + 1e-9
    assert torch.equal(cn.dual_ball_projection(X, y, 100.0), y)
    betas = torch.tensor([0.2, 0.7], dtype=F64)
    torch.testing.assert_close(cn.dual_ball_projection(X, y, betas)[1], cn.dual_ball_projection(X, y[1], 0.7))
    low_rank = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=F64)
    found = cn.dual_ball_projection(low_rank, torch.tensor([1.0, 0.0], dtype=F64), 0.0)
    torch.testing.assert_close(found, torch.tensor([0.5, -0.5], dtype=F64))


def test_ball_projection_solves_the_two_layer_problem():
    X, y, beta = normal(8, 5), normal(8, seed=1), 0.7
    w = cp.Variable(5)
    value = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(X.numpy() @ w - y.numpy()) + beta * cp.norm(w))).solve()
    best = cn.deep_linear_optimum(X, y, 2, beta)
    assert best.objective == pytest.approx(value, rel=1e-6)
    u = cn.dual_ball_projection(X, y, beta)
    torch.testing.assert_close(X @ best.w, y - u)
    assert torch.nn.functional.cosine_similarity(X.T @ u, best.w, dim=0).item() == pytest.approx(1.0)


@pytest.mark.parametrize("layers", [2, 3, 4, 5])
@pytest.mark.parametrize("shape", [(7, 4), (4, 7)])
def test_deep_linear_optimum_against_search(layers, shape):
    X, y = normal(*shape, seed=layers), normal(shape[0], seed=1)
    for beta in (0.1, 0.4):
        best = cn.deep_linear_optimum(X, y, layers, beta)
        value = (X @ best.w - y).square().sum() / 2 + beta * layers / 2 * best.w.norm() ** (2 / layers)
        assert value.item() == pytest.approx(best.objective)
        assert best.layer_norm == pytest.approx(best.w.norm().item() ** (1 / layers))
        starts = [normal(40, shape[1], 3, seed=2)] + [normal(40, 3, 3, seed=k) / 2 for k in range(layers - 2)]
        starts.append(normal(40, 3, 1, seed=9))

        def network(*W, beta=beta):
            product = W[0]
            for part in W[1:]:
                product = product @ part
            fit = ((X @ product)[..., 0] - y).square().sum(-1) / 2
            return fit + beta / 2 * sum(part.square().sum((-1, -2)) for part in W)

        _, values = cn.descend(network, starts, steps=500, lr=0.03)
        assert values.min().item() >= best.objective - 1e-6
        assert values.min().item() == pytest.approx(best.objective, rel=2e-3)


def test_deep_linear_optimum_zero():
    X, y = normal(5, 3), normal(5, seed=1)
    for layers in (2, 3):
        best = cn.deep_linear_optimum(X, y, layers, 1e3)
        assert (best.w == 0).all()
        assert best.objective == pytest.approx(y.square().sum().item() / 2)
        assert best.layer_norm == 0.0
    assert cn.deep_linear_optimum(X, 0 * y, 3, 0.1).objective == 0.0
    assert cn.deep_linear_optimum(X, y, 2, (X.T @ y).norm().item() * 0.999).layer_norm > 0
    assert cn.deep_linear_optimum(X, y, 2, (X.T @ y).norm().item() * 1.001).layer_norm == 0


@settings(max_examples=40, deadline=None)
@given(n=st.integers(0, 50), layers=st.integers(2, 6), beta=st.floats(0.01, 3))
def test_whitened_optimum_against_a_grid(n, layers, beta):
    best = cn.whitened_relu_optimum(torch.tensor([n]), layers, beta)
    grid = torch.linspace(0, math.sqrt(n) + 1, 200_001, dtype=F64)
    values = (math.sqrt(n) - grid).square() / 2 + beta * layers / 2 * grid ** (2 / layers)
    assert best.objective <= values.min().item() + 1e-12
    assert best.objective == pytest.approx(values.min().item(), abs=1e-3)
    c = best.c[0].item()
    assert best.objective == pytest.approx((math.sqrt(n) - c) ** 2 / 2 + beta * layers / 2 * c ** (2 / layers))


def test_searches_carry_no_gradient():
    X, y = normal(5, 3).requires_grad_(), normal(5, seed=1).requires_grad_()
    assert not cn.deep_linear_optimum(X, y, 2, 0.3).w.requires_grad
    assert not cn.whitened_relu_optimum(torch.tensor([4.0, 9.0], requires_grad=True), 3, 0.1).c.requires_grad
    cells = cn.subnetwork_patterns(X.detach(), 2, 10, generator=0)
    assert not cn.convex_relu_program3(X, y, 0.1, *cells).W.requires_grad


def test_whitened_optimum_edge_cases():
    best = cn.whitened_relu_optimum(torch.tensor([4, 0, 1]), 2, 1.5)
    assert best.c.tolist() == pytest.approx([0.5, 0.0, 0.0], abs=1e-9)
    assert cn.whitened_relu_optimum(torch.tensor([0.01]), 3, 1.0).c.tolist() == [0.0]


X, Y = normal(5, 2), normal(5, seed=1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: cn.relu_loss(X, Y, normal(3, 3)),
        lambda: cn.relu_loss(X, Y[:4], X),
        lambda: cn.relaxed_loss(X, Y, Y),
        lambda: cn.modified_gradient(X, Y, Y),
        lambda: cn.modified_loss(X[0], Y, X),
        lambda: cn.descend_relu(X, Y, X, modified=True, lr=0.0, steps=3),
        lambda: cn.dual_ball_projection(X, Y, -0.1),
        lambda: cn.dual_ball_projection(X, Y[:3], 0.1),
        lambda: cn.deep_linear_optimum(X, Y, 1, 0.1),
        lambda: cn.deep_linear_optimum(X, Y, 2, 0.0),
        lambda: cn.deep_linear_optimum(X, X, 2, 0.1),
        lambda: cn.whitened_relu_optimum(torch.tensor([1, 2]), 1, 0.1),
        lambda: cn.whitened_relu_optimum(torch.tensor([1, 2]), 2, -0.1),
        lambda: cn.whitened_relu_optimum(torch.tensor([-1, 2]), 2, 0.1),
        lambda: cn.whitened_relu_optimum(torch.ones(2, 2), 2, 0.1),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"got|must"):
        call()


def test_a_neuron_at_its_kink_counts_as_active():
    A, y = normal(4, 3), normal(4, seed=1)
    found = cn.modified_gradient(A, y, torch.zeros(1, 3, dtype=F64), modified=False)
    torch.testing.assert_close(found[0], -2 * A.T @ y)


def test_ensembles_report_the_objective_of_the_networks_that_they_return():
    X, y, Y, beta = normal(6, 3), normal(6, seed=1), normal(6, 2, seed=2), 0.3
    W, a, value = cn.relu_networks(X, y, beta, 4, 5, steps=20, generator=0)
    fit = ((X @ W.mT).clamp(min=0) @ a[..., None])[..., 0]
    penalty = beta / 2 * (W.square().sum((-1, -2)) + a.square().sum(-1))
    torch.testing.assert_close(value, (fit - y).square().sum(-1) / 2 + penalty)
    for train, act in ((cn.linear_networks, lambda z: z), (cn.deep_relu_networks, lambda z: z.clamp(min=0))):
        layers, value = train(X, Y, 3, beta, 4, 5, steps=20, generator=0)
        z = act(act(X @ layers[0]) @ layers[1]) @ layers[2]
        penalty = beta / 2 * sum(part.square().sum((-1, -2)) for part in layers)
        torch.testing.assert_close(value, (z - Y).square().sum((-1, -2)) / 2 + penalty)


def test_subnetworks_start_from_their_draws():
    X, y, g = normal(6, 3), normal(6, seed=1), torch.Generator().manual_seed(4)
    value = cn.subnetworks(X, y, 0.3, 4, 2, 5, steps=1, lr=1e-12, generator=4)
    W1, w2, w3 = (torch.randn(5, 2, *shape, generator=g, dtype=F64) for shape in ((3, 4), (4,), (1,)))
    W1 = W1 / W1.square().sum((-1, -2), keepdim=True).sqrt()
    fit = sum(((X @ W1[:, k]).clamp(min=0) @ w2[:, k, :, None]).clamp(min=0)[..., 0] * w3[:, k] for k in range(2))
    penalty = 0.15 * (w2.square().sum((-1, -2)) + w3.square().sum((-1, -2)))
    torch.testing.assert_close(value, (fit - y).square().sum(-1) / 2 + penalty)


def test_deep_linear_optimum_of_dependent_features():
    X = torch.tensor([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]], dtype=F64)
    best = cn.deep_linear_optimum(X, torch.tensor([1.0, 2.0, -3.4], dtype=F64), 2, 1e-12)
    assert best.w.tolist() == pytest.approx([-3.8 / 12] * 2, rel=1e-9)  # of all fits the shortest: two equal weights


def test_the_objective_of_a_fit_without_residual_is_the_penalty():
    X, beta = normal(4, 4), 1e-13
    w = torch.linalg.solve(X, normal(4, seed=1))
    best = cn.deep_linear_optimum(X, X @ w, 2, beta)
    assert best.objective == pytest.approx(beta * w.norm().item(), rel=1e-6)
