"""Gauss-Newton products and the L-BFGS recursion against dense matrices; SQGN against its parts."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from litrepro import ConvergenceWarning
from litrepro.optim.curvature import gauss_newton_product, lbfgs_direction, sqgn
from litrepro.optim.curvature._memory import PairMemory

f64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=f64)


def model(w):
    return torch.tanh(w.reshape(2, 3) @ torch.arange(6, dtype=f64).reshape(3, 2) / 3)


def test_gauss_newton_product_against_dense_matrices():
    target = randn(2, 2, seed=1)
    for loss in (lambda u: ((u - target) ** 2).sum() / 2, lambda u: torch.logsumexp(u.flatten(), 0) - u[0, 0]):
        w, v = randn(6, seed=2), randn(6, seed=3)
        J = torch.func.jacrev(model)(w).reshape(4, 6)
        L = torch.func.hessian(loss)(model(w)).reshape(4, 4)
        torch.testing.assert_close(gauss_newton_product(model, loss, w, v), J.T @ L @ J @ v)
    w = randn(6, seed=2)
    H = torch.func.hessian(lambda a: ((model(a) - model(w)) ** 2).sum() / 2)(w)  # residual 0 at w
    exact = gauss_newton_product(model, lambda u: ((u - model(w)) ** 2).sum() / 2, w, v)
    torch.testing.assert_close(exact, H @ v)


def test_gauss_newton_product_under_vmap():
    w, v = randn(5, 6, seed=2), randn(5, 6, seed=3)
    shifts = randn(5, 2, 2, seed=4)

    def one(w, v, shift):
        return gauss_newton_product(model, lambda u: ((u - shift) ** 4).sum(), w, v)

    found = torch.func.vmap(one)(w, v, shifts)
    torch.testing.assert_close(found, torch.stack([one(*row) for row in zip(w, v, shifts)]))


def test_bad_gauss_newton():
    with pytest.raises(ValueError, match="v must"):
        gauss_newton_product(model, torch.sum, randn(6), randn(5))
    with pytest.raises(ValueError, match="loss"):
        gauss_newton_product(model, lambda u: u, randn(6), randn(6))
    with pytest.raises(ValueError, match="dtype"):
        gauss_newton_product(model, torch.sum, randn(6), randn(6).float())


def dense_bfgs(s, y, gamma):
    """Inverse Hessian by its rank-two updates."""
    d = s.shape[-1]
    eye = torch.eye(d, dtype=f64)
    H = gamma * eye
    for a, b in zip(s, y):
        rho = 1 / (a @ b)
        H = (eye - rho * torch.outer(a, b)) @ H @ (eye - rho * torch.outer(b, a)) + rho * torch.outer(a, a)
    return H


def pairs(*batch, m, d, seed=0):
    A = randn(d, d, seed=seed + 100)
    s = randn(*batch, m, d, seed=seed)
    return s, s @ (A @ A.T + 0.1 * torch.eye(d, dtype=f64))


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_lbfgs_against_rank_two_updates(m, d, seed):
    s, y = pairs(2, 3, m=m, d=d, seed=seed)
    g = randn(2, 3, d, seed=seed + 1)
    found = lbfgs_direction(g, s, y)
    gamma = (s[1, 2, -1] @ y[1, 2, -1]) / (y[1, 2, -1] @ y[1, 2, -1])
    torch.testing.assert_close(found[1, 2], dense_bfgs(s[1, 2], y[1, 2], gamma) @ g[1, 2], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(lbfgs_direction(g[1, 2], s[1, 2], y[1, 2], gamma=0.3),
                               dense_bfgs(s[1, 2], y[1, 2], 0.3) @ g[1, 2], rtol=1e-6, atol=1e-8)  # fmt: skip
    torch.testing.assert_close(lbfgs_direction(y[..., -1, :], s, y), s[..., -1, :])  # the secant equation
    assert ((found * g).sum(-1) > 0).all()


def test_a_memory_serves_several_gradients_and_a_gradient_several_memories():
    s, y = pairs(2, 3, m=4, d=5)
    g = randn(3, 5)
    expected = lbfgs_direction(g.expand(2, 3, 5), s, y)
    assert torch.equal(lbfgs_direction(g, s, y), expected)
    assert torch.equal(lbfgs_direction(g, s[0, 0], y[0, 0])[0], expected[0, 0])
    with pytest.raises(ValueError, match="need grad"):
        lbfgs_direction(g[:2], s, y)


@pytest.mark.parametrize(("s", "y"), [(2.0**-30, 2.0**70), (2.0**-20, 2.0**-84)])
def test_the_first_scale_of_pairs_whose_squares_leave_the_numbers(s, y):
    """Across the only pair H is gamma = s.y / y.y = s/y."""
    g = torch.tensor([0.0, 1.0]) * y
    assert lbfgs_direction(g, torch.tensor([[s, 0.0]]), torch.tensor([[y, 0.0]])).tolist() == [0.0, s]


def test_empty_memory_and_bad_pairs():
    g, none = randn(2, 3, 4), torch.zeros(2, 3, 0, 4, dtype=f64)
    assert torch.equal(lbfgs_direction(g, none, none), g)
    torch.testing.assert_close(lbfgs_direction(g, none, none, gamma=0.1), 0.1 * g)
    s, y = pairs(m=2, d=4)
    for bad in ((s, -y), (s, y[:1]), (s, 0 * y), (s[0], y[0])):
        with pytest.raises(ValueError):
            lbfgs_direction(g[0, 0], *bad)
    for gamma in (0.0, math.inf, "one", torch.ones(5), torch.tensor([-1.0])):
        with pytest.raises(ValueError, match="gamma"):
            lbfgs_direction(g[0, 0], s, y, gamma=gamma)
    for bad in ((s * math.inf, y), (s.float(), y.float())):
        with pytest.raises(ValueError):
            lbfgs_direction(g[0, 0], *bad)
    assert lbfgs_direction(torch.zeros(0, 4), torch.zeros(0, 2, 4), torch.zeros(0, 2, 4)).shape == (0, 4)


# --- SQGN ----------------------------------------------------------------------------------------------------------


def linear(w, x):
    return (x * w).sum(-1, keepdim=True)


def square(outputs, y):
    return ((outputs - y) ** 2).mean() / 2


def regression(n=23, d=4):
    x = randn(n, d, seed=7) * torch.tensor([1.0, 1.0, 3.0, 0.3], dtype=f64)
    return x, (x @ torch.ones(d, dtype=f64))[:, None]


def test_sqgn_solves_least_squares_faster_than_its_gradient():
    x, y = regression()
    slow = sqgn(linear, square, torch.zeros(4, dtype=f64), (x, y), epochs=30, batch=5, every=1000, first_step=1.0)
    fast = sqgn(linear, square, torch.zeros(4, dtype=f64), (x, y), epochs=30, batch=5, every=2, lr=0.3)
    assert slow.pairs == 0
    assert fast.pairs > 20
    assert isinstance(fast.pairs, int)
    assert fast.losses.shape == (31,)
    assert fast.losses[-1] < 1e-6 * fast.losses[0]
    assert fast.losses[-1] < slow.losses[-1] / 50
    torch.testing.assert_close(fast.losses[0], square(linear(torch.zeros(4, dtype=f64), x), y))
    torch.testing.assert_close(fast.losses[-1], square(linear(fast.w, x), y))
    steps = 30 * 5  # the partial batch counts
    products = (steps // 2 - 1) * 2
    assert fast.oracle_calls == 30 * 5 + 2 * steps + products
    plain = sqgn(
        linear, square, torch.zeros(4, dtype=f64), (x, y), epochs=30, batch=5, every=2, variance_reduction=False
    )
    assert plain.oracle_calls == steps + products


def test_sqgn_step_by_step():
    """One epoch with the whole set as batch: scaled gradients, then the quasi-Newton step of the first pair."""
    x, y = regression()
    lr, damping = 0.2, 0.01
    H = x.T @ x / len(x)
    gradient = lambda w: H @ w - x.T @ y[:, 0] / len(x)  # noqa: E731
    w, path = torch.zeros(4, dtype=f64), []
    for _ in range(2):
        w = w - lr * 0.1 * gradient(w)
        path.append(w)
    s = path[1] - path[0]
    w = w - lr * lbfgs_direction(gradient(w), s[None], ((H + damping * torch.eye(4)) @ s)[None])
    found = sqgn(
        linear, square, torch.zeros(4, dtype=f64), (x, y), epochs=3, batch=100, every=1, lr=lr, damping=damping
    )
    torch.testing.assert_close(found.w, w)


def test_sqgn_batch_equals_loop_and_divergence_stays_at_home():
    x, y = regression()
    w0 = randn(3, 4, seed=9)
    seen = []
    many = sqgn(linear, square, w0, (x, y), epochs=4, batch=10, every=2, lr=torch.tensor([0.1, 0.3, 0.1]),
                on_epoch=lambda epoch, w: seen.append((epoch, w.shape)))  # fmt: skip
    assert seen[0] == (0, (3, 4))
    assert len(seen) == 5
    alone = sqgn(linear, square, w0[0], (x, y), epochs=4, batch=10, every=2, lr=0.1)
    torch.testing.assert_close(many.w[0], alone.w)
    torch.testing.assert_close(many.losses[:, 0], alone.losses)
    assert many.pairs.tolist()[0] == alone.pairs
    with pytest.warns(ConvergenceWarning, match="not finite"):
        wild = sqgn(linear, square, w0, (x, y), epochs=40, batch=10, every=2, lr=torch.tensor([0.1, 1e30, 0.1]))
    assert torch.isinf(wild.losses[-1, 1])
    assert not torch.isnan(wild.losses).any()
    calm = sqgn(linear, square, w0[0], (x, y), epochs=40, batch=10, every=2, lr=0.1)
    torch.testing.assert_close(wild.losses[:, 0], calm.losses)
    with pytest.warns(ConvergenceWarning):
        lost = sqgn(linear, square, w0[0] * math.nan, (x, y), epochs=2)
    assert torch.isinf(lost.losses).all()
    assert lost.oracle_calls == 0


def test_memory_is_the_two_loop_recursion():
    """Against the recursion on lists, for trials that drop different pairs, before and after the oldest give way."""
    trials, d = 3, 7
    s, y = pairs(trials, m=9, d=d, seed=4)
    w, g = randn(trials, d, seed=5), randn(trials, d, seed=6)
    gamma, rate = torch.tensor([0.3, 1.0, 2.0], dtype=f64), torch.tensor([[0.1], [1.0], [0.5]], dtype=f64)
    memory, held = PairMemory(w, 4), [[], [], []]
    torch.testing.assert_close(memory.step(w, g, gamma, rate), w - rate * gamma[:, None] * g)
    for new in range(9):
        keep = torch.tensor([(new + t) % (t + 2) > 0 or t == 0 for t in range(trials)])
        broken = torch.where(keep[:, None], 0.0, torch.nan)  # what is not kept leaves no trace
        memory.add(s[:, new] + broken, y[:, new] + broken, (s * y).sum(-1)[:, new], keep, gamma)
        for t in range(trials):
            held[t] = [*held[t], new][-4:] if keep[t] else held[t]
        found = memory.step(w, g, gamma, rate)
        for t in range(trials):
            direction = lbfgs_direction(g[t], s[t, held[t]], y[t, held[t]], gamma=gamma[t])
            torch.testing.assert_close(found[t], w[t] - rate[t] * direction, rtol=1e-8, atol=1e-8)


def test_sqgn_keeps_the_pairs_of_a_trial_whose_new_pair_is_bad():
    """Without damping a ReLU unit that is off has no curvature: its pairs are bad while its neighbours' are good."""

    def rectified(w, x):
        return torch.relu((x * w[:2]).sum(-1, keepdim=True)) + 0.01 * (x * w[2:]).sum(-1, keepdim=True)

    def outputs_only(outputs, y):  # linear where the output is small: curvature 0 there
        return torch.relu((outputs - y).abs() - 0.5).square().mean() + 1e-3 * outputs.mean()

    x = randn(20, 2, seed=3).abs()
    data = (x, x.sum(1, keepdim=True))
    w0 = torch.tensor([[1.0, 1.0, 0.0, 0.0], [3.0, -1.0, 1.0, 1.0], [-1.0, -1.0, 0.0, 0.0]], dtype=f64)
    options = {"epochs": 8, "batch": 5, "every": 1, "memory": 3, "damping": 0.0, "lr": 0.5}
    accepted = []
    for t in range(3):  # alone a trial has the first stream of minibatches, so each takes its turn in the first place
        turned = w0.roll(-t, 0)
        many = sqgn(rectified, outputs_only, turned, data, **options)
        alone = sqgn(rectified, outputs_only, turned[0], data, **options)
        torch.testing.assert_close(many.w[0], alone.w)
        assert many.pairs[0] == alone.pairs
        accepted.append(alone.pairs)
    assert min(accepted) < max(accepted) - 3 > 0, accepted  # some were rejected, and more than the memory were kept


def test_sqgn_of_a_model_that_ignores_some_weights():
    x, y = regression()
    run = sqgn(lambda w, x: linear(w[:4], x), square, torch.zeros(2, 6, dtype=f64), (x, y), epochs=3, batch=10, every=2)
    short = sqgn(linear, square, torch.zeros(2, 4, dtype=f64), (x, y), epochs=3, batch=10, every=2)
    torch.testing.assert_close(run.w[:, :4], short.w)
    assert (run.w[:, 4:] == 0).all()


@pytest.mark.parametrize("shape", [(4,), (2, 4)])
def test_sqgn_in_inference_mode(shape):
    options = {"epochs": 2, "batch": 10, "every": 2}
    expected = sqgn(linear, square, torch.zeros(shape, dtype=f64), regression(), **options)
    with torch.inference_mode():
        found = sqgn(linear, square, torch.zeros(shape, dtype=f64), regression(), **options)
    assert torch.equal(found.w, expected.w)
    assert (expected.losses[-1] < expected.losses[0]).all()


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.0}, {"damping": -1.0}, {"epochs": 0}, {"batch": 0}, {"memory": 0}, {"every": 0}, {"first_step": 0.0},
     {"data": (torch.ones(3, 2), torch.ones(2, 1))}, {"lr": torch.ones(2)}, {"w0": torch.ones(2).long()}],
)  # fmt: skip
def test_bad_sqgn(change):
    def never(*_):
        raise AssertionError("work was done")

    arguments = {"w0": torch.zeros(2), "data": (torch.ones(3, 2), torch.ones(3, 1)), "epochs": 1} | change
    with pytest.raises(ValueError):
        sqgn(never, never, **arguments)


def test_odd_sqgn():
    x, y = regression()
    for data in (None, (x, y, y), ([1.0], [1.0]), (x[:0], y[:0])):
        with pytest.raises(ValueError, match="data must be"):
            sqgn(linear, square, torch.zeros(4, dtype=f64), data, epochs=1)
    with pytest.raises(ValueError, match="loss"):
        sqgn(linear, lambda u, y: u - y, torch.zeros(4, dtype=f64), (x, y), epochs=1)
    none = sqgn(linear, square, torch.zeros(2, 0, 4, dtype=f64), (x, y), epochs=3)
    assert (none.w.shape, none.losses.shape, none.pairs.shape) == ((2, 0, 4), (4, 2, 0), (2, 0))
