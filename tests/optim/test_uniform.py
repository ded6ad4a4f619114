"""The uniform framework against plain loops written from the formulas, against torch.optim, and against itself."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro.optim import (
    RULES,
    Rule,
    beta1_at,
    descend,
    first_weights,
    look_ahead,
    rule,
    second_weights,
    start,
    update,
)

STEPS = 80
SCALES = torch.tensor([1.0, 10.0, 0.3], dtype=torch.float64)


def fun(x):
    return 0.5 * (SCALES.to(x) * x**2).sum(-1) + 0.1 * torch.cos(3 * x).sum(-1)


def gradient(x):
    return SCALES * x - 0.3 * torch.sin(3 * x)


def member(name, **overrides):
    return rule(name, **({"total_steps": STEPS} if name == "demon" else {}) | overrides)


def plain_loop(r: Rule, x, lr, steps):
    """The framework, line by line from its equations; one trial, no tricks."""
    m = v = d = torch.zeros_like(x)
    for t in range(1, steps + 1):
        b = r.beta1
        if r.total_steps:
            u = max(0.0, 1 - (t - 1) / r.total_steps)
            b = r.beta1 * u / (1 - r.beta1 + r.beta1 * u)
        g = gradient(x - lr * b * m if r.lookahead else x)
        m = {"gradient": g, "sum": b * m + g, "average": b * m + (1 - b) * g}[r.first]
        v = {
            "one": torch.ones_like(x),
            "sum": v + g**2,
            "average": r.beta2 * v + (1 - r.beta2) * g**2,
            "max": torch.maximum(r.beta2 * v, g.abs()),
        }[r.second]
        if r.delta:
            s = torch.sqrt(d + r.eps) / torch.sqrt(v + r.eps) * g
            d = r.beta2 * d + (1 - r.beta2) * s**2
            x = x - lr * s
            continue
        mhat = m / (1 - b**t) if r.debias and r.first == "average" else m
        vhat = v / (1 - r.beta2**t) if r.debias and r.second == "average" else v
        n = r.nu * mhat + (1 - r.nu) * g
        if r.nesterov:
            n = b * m / (1 - b ** (t + 1)) + (1 - b) * g / (1 - b**t)
        h = {"one": vhat, "max": v + r.eps}.get(r.second, torch.sqrt(vhat) + r.eps)
        x = x - lr * n / h
    return x


X0 = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.1, 4.0]], dtype=torch.float64)


@pytest.mark.parametrize("name", RULES)
def test_every_member_follows_its_equations(name):
    path = descend(fun, X0, member(name), 0.05, STEPS)
    for trial in range(2):
        expected = plain_loop(member(name), X0[trial], 0.05, STEPS)
        torch.testing.assert_close(path.x[-1, trial], expected, rtol=1e-9, atol=1e-9)


TORCH = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "heavy-ball": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-10),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.05, alpha=0.99, eps=1e-8),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.05, rho=0.9, eps=1e-6),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05),
}


@pytest.mark.parametrize("name", TORCH)
def test_agrees_with_torch_optim(name):
    x = X0.clone().requires_grad_(True)
    optimizer = TORCH[name]([x])
    for _ in range(STEPS):
        optimizer.zero_grad()
        fun(x).sum().backward()
        optimizer.step()
    torch.testing.assert_close(descend(fun, X0, name, 0.05, STEPS).x[-1], x.detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_equal_loops_and_neighbours_do_not_matter(name, dtype):
    x0 = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    lr = torch.tensor([[0.01, 0.02, 0.05], [0.03, 0.1, 0.2]])
    path = descend(fun, x0, member(name), lr, 20)
    assert path.x.dtype == dtype
    assert path.x.shape == (21, 2, 3, 3)
    assert path.f.shape == (21, 2, 3)
    for i in range(2):
        for j in range(3):
            alone = descend(fun, x0[i, j], member(name), float(lr[i, j]), 20)
            tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == torch.float32 else {}
            torch.testing.assert_close(alone.x, path.x[:, i, j], **tolerance)
    by_row = descend(fun, x0, member(name), lr[:, 0], 20)
    torch.testing.assert_close(by_row.x[:, 1], descend(fun, x0[1], member(name), 0.03, 20).x)


def test_a_diverging_trial_leaves_the_others_alone():
    x0 = torch.ones(3, 2)

    def steep(x):
        return (x**4).sum(-1)

    path = descend(steep, x0, "sgd", torch.tensor([0.01, 10.0, 0.02]), 50)
    assert not torch.isfinite(path.x[-1, 1]).any()
    torch.testing.assert_close(path.x[:, 0], descend(steep, x0[0], "sgd", 0.01, 50).x)
    torch.testing.assert_close(path.x[:, 2], descend(steep, x0[2], "sgd", 0.02, 50).x)


def test_records_first_every_and_last_and_leaves_x0_alone():
    x0 = X0.clone()
    path = descend(fun, x0, "adam", 0.1, 7, record_every=3)
    assert path.t.tolist() == [0, 3, 6, 7]
    assert torch.equal(path.x[0], X0)
    assert torch.equal(x0, X0)
    torch.testing.assert_close(path.f, fun(path.x))
    assert path.events == {}


def test_a_given_gradient_sees_zeta_and_the_step():
    calls = []

    def grad(x, t):
        calls.append((t, x.clone()))
        return gradient(x)

    path = descend(None, X0, "nag", 0.05, 3, grad=grad)
    assert path.f is None
    assert [t for t, _ in calls] == [1, 2, 3]
    torch.testing.assert_close(path.x, descend(fun, X0, "nag", 0.05, 3).x)
    m1 = 0.1 * gradient(X0)
    torch.testing.assert_close(calls[1][1], path.x[1] - 0.05 * 0.9 * m1)


def test_step_sizes_as_a_function_of_t():
    halved = descend(fun, X0, "sgd", lambda t: 0.1 / t, 2)
    x1 = X0 - 0.1 * gradient(X0)
    torch.testing.assert_close(halved.x[2], x1 - 0.05 * gradient(x1))


def test_a_schedule_may_come_to_zero():
    path = descend(fun, X0, "sgd", lambda t: 0.1 * (1 - t / 2), 2)
    torch.testing.assert_close(path.x[1], X0 - 0.05 * gradient(X0))
    assert torch.equal(path.x[2], path.x[1])
    per_trial = descend(fun, X0, "sgd", lambda t: torch.tensor([0.05, 0.0]), 1)
    torch.testing.assert_close(per_trial.x[1, 0], path.x[1, 0])
    assert torch.equal(per_trial.x[1, 1], X0[1])


@pytest.mark.parametrize("name", ["adam", "adagrad", "rmsprop", "adamax", "nadam"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_zero_gradients_do_not_move_where_the_dtype_rounds_eps_to_zero(name, dtype):
    x0 = torch.ones(3, 2, dtype=dtype)
    for lr in (0.5, torch.tensor([0.5, 0.25, 0.125])):
        path = descend(lambda x: x[..., 0] ** 2, x0, member(name, eps=1e-8 if dtype == torch.float16 else 1e-50), lr, 1)
        assert torch.equal(path.x[-1, :, 1], x0[:, 1])
        exact = descend(lambda x: x[..., 0] ** 2, x0, member(name, eps=0.0), lr, 1)
        assert torch.equal(path.x[-1], exact.x[-1])


def test_a_gradient_is_taken_in_the_dtype_of_x():
    adam, x = rule("adam"), torch.ones(2)
    new, state = update(adam, start(adam, x), x, torch.tensor([2.0, -4.0], dtype=torch.float64), 0.25)
    torch.testing.assert_close(new, torch.tensor([0.75, 1.25]))  # Adam's first step is lr times the sign
    assert state["m"].dtype == state["v"].dtype == torch.float32


@pytest.mark.parametrize("name", ["adam", "adagrad", "rmsprop", "adamax", "nadam", "adadelta"])
def test_zero_gradients_with_eps_zero_do_not_move(name):
    path = descend(lambda x: (x * 0).sum(-1), torch.ones(2, 1), member(name, eps=0.0), 0.1, 3)
    assert torch.equal(path.x[-1], torch.ones(2, 1))


def test_one_coordinate_and_a_scalar_batch():
    assert descend(lambda x: (x**2).sum(-1), torch.ones(1), "sgdm", 0.1, 2).f.shape == (3,)


@pytest.mark.parametrize("name", RULES)
def test_pure_steps_equal_a_run(name):
    r = member(name)
    x, state = X0, start(r, X0)
    for _ in range(5):
        zeta = look_ahead(r, state, x, 0.05)
        before = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in state.items()}
        new, following = update(r, state, x, gradient(zeta), 0.05)
        assert all(
            torch.equal(v, state[k]) if isinstance(v, torch.Tensor) else v == state[k] for k, v in before.items()
        )
        x, state = new, following
    torch.testing.assert_close(x, descend(fun, X0, r, 0.05, 5).x[-1])


# --- moments ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    first=st.sampled_from(["gradient", "sum", "average"]),
    second=st.sampled_from(["sum", "average"]),
    beta1=st.floats(0, 0.99),
    beta2=st.floats(0, 0.99),
    debias=st.booleans(),
    total=st.sampled_from([None, 5, 30]),
    t=st.integers(1, 30),
)
def test_weights_unroll_the_recursion(first, second, beta1, beta2, debias, total, t):
    r = Rule("x", first=first, second=second, beta1=beta1, beta2=beta2, eps=1.0, debias=debias, total_steps=total)
    g = torch.randn(t, generator=torch.Generator().manual_seed(t), dtype=torch.float64)
    m, v, product = 0.0, 0.0, 1.0
    for i in range(t):
        b = beta1_at(r, i + 1)
        product *= b
        m = g[i] if first == "gradient" else b * m + (g[i] if first == "sum" else (1 - b) * g[i])
        v = v + g[i] ** 2 if second == "sum" else beta2 * v + (1 - beta2) * g[i] ** 2
    if debias and first == "average":
        m = m / (1 - product)
    if debias and second == "average":
        v = v / (1 - beta2**t)
    torch.testing.assert_close(first_weights(r, t) @ g, torch.as_tensor(m), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(second_weights(r, t) @ g**2, torch.as_tensor(v), rtol=1e-9, atol=1e-12)


def test_debiased_weights_sum_to_one():
    for t in (1, 2, 50):
        assert math.isclose(first_weights(rule("adam"), t).sum(), 1.0, rel_tol=1e-12)
        assert math.isclose(second_weights(rule("adam"), t).sum(), 1.0, rel_tol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "heavy-ball", "adamax"])
def test_no_weights_where_there_is_no_weighted_sum(name):
    with pytest.raises(ValueError, match="no weighted sum"):
        second_weights(rule(name), 3)


def test_demon_decays_linearly_in_the_odds():
    r = rule("demon", beta1=0.95, total_steps=40)
    assert math.isclose(beta1_at(r, 1), 0.95, rel_tol=1e-15)
    assert beta1_at(r, 41) == beta1_at(r, 400) == 0.0
    odds = [beta1_at(r, t) / (1 - beta1_at(r, t)) for t in (1, 11, 21, 31)]
    assert odds == pytest.approx([19.0 * (1 - k / 4) for k in range(4)], rel=1e-12)
    undamped = rule("demon", first="sum", total_steps=40)
    torch.testing.assert_close(first_weights(undamped, 2), torch.tensor([beta1_at(undamped, 2), 1.0]).double())


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("sgdn", {}),
        ("sgd", {"beta3": 0.1}),
        ("sgd", {"name": "x"}),
        ("sgdm", {"beta1": 1.0}),
        ("sgdm", {"beta1": -0.1}),
        ("sgdm", {"beta1": float("nan")}),
        ("adam", {"beta2": 1.5}),
        ("qhm", {"nu": 1.1}),
        ("adam", {"eps": -1e-8}),
        ("adadelta", {"eps_delta": -1.0}),
        ("adam", {"debias": 1}),
        ("adam", {"first": "mean"}),
        ("adam", {"second": "mean"}),
        ("demon", {}),
        ("demon", {"total_steps": 0}),
        ("demon", {"total_steps": 2.5}),
        ("sgd", {"delta": True}),
    ],
)
def test_bad_rules(name, overrides):
    with pytest.raises(ValueError, match=r"got|options"):
        rule(name, **overrides)


@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf"), None, "0.1", torch.tensor([0.1, -0.1])])
def test_bad_step_sizes(lr):
    with pytest.raises(ValueError, match="lr must"):
        descend(fun, X0, "sgd", 0.0, 1)
    with pytest.raises(ValueError, match="lr must"):
        descend(fun, X0, "sgd", lr, 1)
    with pytest.raises(ValueError, match="lr must"):
        descend(fun, X0, "sgd", lambda t: lr, 1)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (2, 3, 1)])
def test_step_sizes_of_the_wrong_shape(shape):
    with pytest.raises(ValueError, match="leading dimensions"):
        descend(fun, X0, "sgd", torch.full(shape, 0.1), 1)


@pytest.mark.parametrize(
    "keywords",
    [
        {"steps": 0},
        {"steps": True},
        {"steps": 1.5},
        {"record_every": 0},
        {"fun": None},
        {"x0": torch.ones(2, dtype=torch.int64)},
        {"x0": torch.tensor(1.0)},
        {"x0": torch.ones(2, 0)},
        {"x0": [1.0, 2.0]},
        {"fun": lambda x: x},
        {"fun": lambda x: x.sum()},
        {"grad": lambda x, t: x[..., 0]},
        {"rule": "nothing"},
    ],
)
def test_bad_descents(keywords):
    arguments = {"fun": fun, "x0": X0, "rule": "sgd", "lr": 0.1, "steps": 1} | keywords
    with pytest.raises(ValueError):
        descend(**arguments)


@pytest.mark.parametrize("t", [0, -1, 1.5, True])
def test_steps_count_from_one(t):
    for function in (beta1_at, first_weights, second_weights):
        with pytest.raises(ValueError, match="t must be an integer"):
            function(rule("adam"), t)


def test_rules_are_immutable_values():
    assert rule("adam") == rule("adam")
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule("adam").beta1 = 0.5
