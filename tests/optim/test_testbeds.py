"""Test beds: their data, their gradients, and the misprints against what they should be."""

import pytest
import torch

from litrepro.optim import (
    adam_moment_as_printed,
    average_as_printed,
    descend,
    effective_rates,
    first_weights,
    logistic_problem,
    logistic_sweep,
    nadam_as_printed,
    rule,
)


def test_sparse_features_have_the_stated_frequencies():
    x, y, _ = logistic_problem(4000, 10, [0], sparse=True)
    torch.testing.assert_close(x[0].mean(0), 1 / torch.arange(1, 11).double(), atol=0.03, rtol=0)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert set(y.unique().tolist()) == {-1.0, 1.0}
    dense = logistic_problem(4000, 10, [0], sparse=False).x
    assert dense.square().sum(-1).mean().item() == pytest.approx(x.sum(-1).mean().item(), rel=0.05)


def test_problems_of_a_seed_do_not_depend_on_the_others():
    both, second = logistic_problem(20, 5, [3, 4], sparse=True), logistic_problem(20, 5, [4], sparse=True)
    assert torch.equal(both.x[1], second.x[0])


@pytest.mark.parametrize("decay", [False, True])
def test_a_sweep_equals_plain_loops(decay):
    problem = logistic_problem(30, 4, [0, 1], sparse=False, signal=1.0)
    table = logistic_sweep(problem, rule("sgdm"), [0.1, 1.0], steps=7, batch=30, decay=decay)
    for row in table.to_dict("records"):
        x, y = problem.x[int(row["seed"])], problem.y[int(row["seed"])]
        w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        m = torch.zeros(4, dtype=torch.float64)
        for t in range(1, 8):  # the batch is the whole data set, so its order does not matter
            loss = torch.nn.functional.softplus(-y * (x @ w)).mean()
            (g,) = torch.autograd.grad(loss, w)
            m = 0.9 * m + 0.1 * g
            w = (w - row["lr"] / (t**0.5 if decay else 1) * m).detach().requires_grad_(True)
        assert row["loss"] == pytest.approx(torch.nn.functional.softplus(-y * (x @ w)).mean().item(), rel=1e-10)


def test_effective_rates():
    g = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = 0.5 / (g.square().cumsum(0).sqrt() + 1e-10)
    torch.testing.assert_close(effective_rates(rule("adagrad"), g, lr=0.5), expected)
    with pytest.raises(ValueError, match="no second moment"):
        effective_rates(rule("sgdm"), g)


@pytest.mark.parametrize("name", ["adam", "nadam", "adamax", "rmsprop", "adadelta", "adagrad"])
def test_effective_rates_are_the_steps_of_a_gradient_that_stays_one(name):
    member = rule(name, beta1=0.0) if name in ("adam", "nadam", "adamax") else rule(name)
    ones = torch.ones(6, 2, dtype=torch.float64)
    path = descend(None, torch.zeros(2, dtype=torch.float64), member, 0.3, 6, grad=lambda x, t: ones[0]).x
    torch.testing.assert_close(effective_rates(member, ones, lr=0.3), -path.diff(dim=0))


def test_effective_rates_at_gradients_that_vanish():
    g = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    adagrad = effective_rates(rule("adagrad", eps=0.0), g)
    torch.testing.assert_close(adagrad, torch.tensor([[0.0, 1.0], [0.5, 1.0], [0.5, 1.0]], dtype=torch.float64))
    delta, eps = rule("adadelta"), rule("adadelta").eps
    v, d = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for row, rate in zip(g, effective_rates(delta, g)):
        v = delta.beta2 * v + (1 - delta.beta2) * row**2
        expected = ((d + eps) / (v + eps)).sqrt()
        torch.testing.assert_close(rate, expected)
        d = delta.beta2 * d + (1 - delta.beta2) * (expected * row) ** 2


def test_a_problem_keeps_its_seed():
    alone = logistic_sweep(logistic_problem(60, 5, [7], sparse=True), rule("sgd"), [0.5], steps=20)
    among = logistic_sweep(logistic_problem(60, 5, range(8), sparse=True), rule("sgd"), [0.5], steps=20)
    assert alone["seed"].tolist() == [7]
    assert alone["loss"].item() == pytest.approx(among.set_index("seed")["loss"][7], rel=1e-12)


def test_misprints_differ_from_the_right_formulas_only_where_they_should():
    g = torch.randn(20, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(adam_moment_as_printed(g, 0.9)[0], g[0])
    assert not torch.allclose(adam_moment_as_printed(g, 0.9)[1], first_weights(rule("adam"), 2) @ g[:2])
    torch.testing.assert_close(average_as_printed(g[:1], 0.9), first_weights(rule("sgdm"), 1) @ g[:1])


def test_printed_nadam_without_momentum_is_adam_without_momentum():
    # With lr -> 0 the look-ahead vanishes: the printed method becomes Adam.
    x0 = torch.tensor([1.0, -2.0], dtype=torch.float64)
    printed = nadam_as_printed(lambda x: x, x0, 1e-9, 5)[-1] - x0
    adam = descend(lambda x: 0.5 * x.square().sum(-1), x0, "adam", 1e-9, 5).x[-1] - x0
    torch.testing.assert_close(printed, adam, rtol=1e-5, atol=0)


def test_printed_nadam_looks_ahead_without_a_root():
    # Two steps by hand on f'(x) = x: the look-ahead of the second divides by v, not by its root.
    lr, one, two, eps, x = 0.3, 0.9, 0.99, 1e-2, 2.0
    m, v = (1 - one) * x, (1 - two) * x**2
    first = x - lr * (m / (1 - one)) / ((v / (1 - two)) ** 0.5 + eps)
    ahead = first - lr * (m / (1 - one)) / (v / (1 - two) + eps)
    m, v = one * m + (1 - one) * ahead, two * v + (1 - two) * ahead**2
    second = first - lr * (m / (1 - one**2)) / ((v / (1 - two**2)) ** 0.5 + eps)
    found = nadam_as_printed(lambda y: y, torch.tensor([x], dtype=torch.float64), lr, 3, beta1=one, beta2=two, eps=eps)
    torch.testing.assert_close(found[1:3, 0], torch.tensor([first, second], dtype=torch.float64))
    # The third step looks ahead with the debiased moments of the second.
    ahead = second - lr * (m / (1 - one**2)) / (v / (1 - two**2) + eps)
    m, v = one * m + (1 - one) * ahead, two * v + (1 - two) * ahead**2
    third = second - lr * (m / (1 - one**3)) / ((v / (1 - two**3)) ** 0.5 + eps)
    assert found[3, 0].item() == pytest.approx(third, rel=1e-12)


@pytest.mark.parametrize(("n", "d", "seeds"), [(1, 5, [0]), (5, 1, [0]), (5, 5, [])])
def test_bad_problems(n, d, seeds):
    with pytest.raises(ValueError):
        logistic_problem(n, d, seeds, sparse=True)
