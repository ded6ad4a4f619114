"""The two-step form equals the moment form; the printed table does not."""

import math

import pytest
import torch

from litrepro.optim import descend, rule, sgd_gradient_bound, two_step, two_step_coefficients

NAMES = ["sgd", "heavy-ball", "sgdm", "adagrad", "rmsprop", "adam"]
X0 = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def fun(x):
    return 0.5 * (x**2 * torch.tensor([1.0, 5.0, 0.2, 2.0]).to(x)).sum(-1) + 0.1 * torch.cos(3 * x).sum(-1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lr", [0.05, lambda t: 0.1 / (1 + 0.1 * t)])
def test_equals_the_moment_form(name, lr):
    ours, theirs = two_step(fun, X0, name, lr, 200), descend(fun, X0, name, lr, 200)
    torch.testing.assert_close(ours.x, theirs.x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours.f, theirs.f, rtol=1e-9, atol=1e-9)
    assert torch.equal(ours.t, theirs.t)


def test_variants_of_the_members():
    for r in (rule("adam", debias=False), rule("rmsprop", first="sum", beta1=0.5), rule("adagrad", eps=0.0)):
        torch.testing.assert_close(
            two_step(fun, X0, r, 0.05, 50).x, descend(fun, X0, r, 0.05, 50).x, rtol=1e-9, atol=1e-9
        )


def test_adams_coefficients_at_the_first_steps():
    alpha, beta, a, b = two_step_coefficients("adam", 1, 0.1)
    assert (alpha, beta, a, b) == pytest.approx((0.1, 0.0, 0.0, 1.0))
    alpha, beta, a, b = two_step_coefficients("adam", 2, 0.1, 0.2)
    assert beta == pytest.approx(0.5 * 0.9 * 0.1 / 0.19)
    assert a == pytest.approx(0.999 * 0.001 / (1 - 0.999**2))
    assert two_step_coefficients("heavy-ball", 3, 0.1, 0.1) == pytest.approx((0.1, 0.9, 1.0, 0.0))


def test_the_printed_table_freezes_adam():
    def printed(r, t, lr, lr_prev):
        alpha, beta, _, b = two_step_coefficients(r, t, lr, lr_prev)
        return alpha, beta, r.beta2 / (1 - r.beta2**t), b

    x0 = torch.full((4,), 3.0, dtype=torch.float64)
    frozen, right = (two_step(fun, x0, "adam", 0.1, 200, coefficients=c).f for c in (printed, two_step_coefficients))
    assert frozen[-1] > 0.9 * frozen[0]
    assert right[-1] < 0.1 * right[0]


def test_zero_gradients_with_eps_zero_stay():
    path = two_step(lambda x: (0 * x).sum(-1), torch.ones(3), rule("adam", eps=0.0), 0.1, 3)
    assert torch.equal(path.x[-1], torch.ones(3))


@pytest.mark.parametrize("name", ["nag", "nadam", "adadelta", "qhm", "demon", "adamax"])
def test_rules_outside_the_table(name):
    r = rule(name, **({"total_steps": 5} if name == "demon" else {}))
    with pytest.raises(ValueError, match="no two-step form"):
        two_step_coefficients(r, 1, 0.1)
    with pytest.raises(ValueError, match="no two-step form"):
        two_step(fun, X0, r, 0.1, 5)


@pytest.mark.parametrize(("t", "lr", "before"), [(0, 0.1, None), (1, 0.0, None), (1, math.nan, None), (1, 0.1, -1.0)])
def test_bad_coefficients(t, lr, before):
    with pytest.raises(ValueError):
        two_step_coefficients("sgd", t, lr, before)


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"lr": -1.0}, {"fun": None}, {"x0": torch.ones(2, dtype=torch.int64)}, {"lr": lambda t: 0.0}],
)
def test_bad_runs(change):
    with pytest.raises(ValueError):
        two_step(**({"fun": fun, "x0": X0, "rule": "sgd", "lr": 0.1, "steps": 2} | change))


def test_sgd_bound():
    assert sgd_gradient_bound(0.05, 0.0, 1.0, 1600) == 0.025
    assert sgd_gradient_bound(smoothness=2.0, gap=3.0, variance=4.0, steps=16) == 4.0
    for bad in (
        (0.0, 1.0, 1.0, 1),
        (1.0, -1.0, 1.0, 1),
        (1.0, 1.0, -1.0, 1),
        (1.0, 1.0, 1.0, 0),
        (math.inf, 1.0, 1.0, 1),
    ):
        with pytest.raises(ValueError):
            sgd_gradient_bound(*bad)
