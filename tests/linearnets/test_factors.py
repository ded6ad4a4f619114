"""Factors: products, balancedness, gradients, training against autograd and torch.optim."""

import itertools
import math

import pytest
import torch

from litrepro.linearnets import (
    balance_gap,
    balanced_factors,
    deficiency_margin,
    emulate,
    end_to_end,
    factor_gradients,
    power_loss,
    power_loss_grad,
    train_factors,
)

DOUBLE = torch.float64


def draw(*shape, seed=0, dtype=DOUBLE):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE).to(dtype)


def network(sizes, batch=(), scale=1.0, dtype=DOUBLE):
    shapes = zip(sizes[1:], sizes)
    return [scale * draw(*batch, *shape, seed=j, dtype=dtype) for j, shape in enumerate(shapes)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (3, 4), (6, 2), (2, 3, 2, 5)])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("extra", [0, 3])
def test_balanced_factors(shape, depth, extra):
    w = draw(*shape)
    hidden = min(shape[-2:]) + extra
    factors = balanced_factors(w, depth, hidden)
    assert len(factors) == depth
    torch.testing.assert_close(end_to_end(factors), w, rtol=0, atol=1e-12)
    assert balance_gap(factors).shape == shape[:-2]
    assert balance_gap(factors).max() < 1e-12
    if depth > 1:
        assert factors[0].shape[-2:] == (hidden, shape[-1])
        assert factors[-1].shape[-2:] == (shape[-2], hidden)


def test_balanced_factors_of_special_matrices():
    for w in (torch.zeros(3, 4), torch.ones(3, 4), torch.zeros(0, 3, 4)):
        torch.testing.assert_close(end_to_end(balanced_factors(w, 3)), w, rtol=0, atol=1e-5)
    w = draw(3, 2, 4)
    expected = [factor.clone() for factor in balanced_factors(w, 3)]
    w[1, 0, 0] = math.nan
    got = balanced_factors(w, 3)
    for a, b in zip(got, expected):
        assert torch.equal(a[[0, 2]], b[[0, 2]])
    assert end_to_end(got)[1].isnan().all()


def test_balance_gap_by_hand():
    factors = network((4, 3, 5, 2), (6,))
    by_hand = [
        max(torch.linalg.norm(b.T @ b - a @ a.T) for a, b in itertools.pairwise(one))
        for one in zip(*factors, strict=True)
    ]
    torch.testing.assert_close(balance_gap(factors), torch.stack(by_hand))
    assert torch.equal(balance_gap(factors[:1]), torch.zeros(6, dtype=DOUBLE))


@pytest.mark.parametrize("sizes", [(4, 3), (4, 3, 2), (3, 5, 6, 2), (2, 1, 1, 1, 4), (1, 1, 1)])
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_gradients_equal_autograd(sizes, batch):
    factors = [factor.requires_grad_() for factor in network(sizes, batch)]
    g = draw(*batch, sizes[-1], sizes[0], seed=9)
    product = factors[0]
    for factor in factors[1:]:
        product = factor @ product
    torch.testing.assert_close(end_to_end(factors), product)
    expected = torch.autograd.grad((product * g).sum(), factors)
    for ours, theirs in zip(factor_gradients([f.detach() for f in factors], g), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_deficiency_margin():
    target, w = draw(5, 3, 4), draw(5, 3, 4, seed=1)
    expected = [torch.linalg.matrix_norm(t, -2) - (a - t).square().sum().sqrt() for a, t in zip(w, target)]
    torch.testing.assert_close(deficiency_margin(w, target), torch.stack(expected))
    assert deficiency_margin(target, target).min() > 0
    w[0] = math.nan
    assert deficiency_margin(w, target).isnan().tolist() == [True, False, False, False, False]


TORCH_RULES = {
    "gd": lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=0.1),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-8, weight_decay=0.1),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.05, rho=0.9, eps=1e-8, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.1),
}


def by_torch(make, factors, x, y, p, steps):
    parameters = [factor.clone().requires_grad_() for factor in factors]
    optimizer = make(parameters)
    for _ in range(steps):
        optimizer.zero_grad()
        product = parameters[0]
        for factor in parameters[1:]:
            product = factor @ product
        power_loss(product, x, y, p).backward()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


@pytest.mark.parametrize("rule", TORCH_RULES)
def test_training_equals_torch(rule):
    x, y = draw(20, 4, seed=5), draw(2, 20, seed=6)
    factors = network((4, 3, 3, 2), scale=0.5)
    kept = [factor.clone() for factor in factors]
    record, final = train_factors(
        lambda w: power_loss_grad(w, x, y, 4), factors, lr=0.05, steps=40, rule=rule, weight_decay=0.1, every=20
    )
    expected = by_torch(TORCH_RULES[rule], factors, x, y, 4, 40)
    for ours, theirs in zip(final, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    assert record.shape == (3, 2, 4)
    torch.testing.assert_close(record[0], end_to_end(factors))
    torch.testing.assert_close(record[-1], end_to_end(final))
    assert all(torch.equal(a, b) for a, b in zip(factors, kept))


def test_momentum_equals_torch_with_one_step_size():
    x, y = draw(20, 4, seed=5), draw(1, 20, seed=6)
    factors = network((4, 1, 1), scale=0.5)
    _, final = train_factors(lambda w: power_loss_grad(w, x, y), factors, lr=0.05, steps=30, momentum=0.9)
    expected = by_torch(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), factors, x, y, 2, 30)
    for ours, theirs in zip(final, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("rule", TORCH_RULES)
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_a_batch_equals_its_members(rule, dtype):
    x, y = draw(20, 4, seed=5, dtype=dtype), draw(2, 20, seed=6, dtype=dtype)
    factors = network((4, 3, 2), (2, 3), 0.5, dtype)
    lr = torch.linspace(0.01, 0.1, 6, dtype=dtype).reshape(2, 3)
    settings = {"steps": 25, "rule": rule, "every": 5}
    record, final = train_factors(lambda w: power_loss_grad(w, x, y), factors, lr=lr, **settings)
    assert record.shape == (6, 2, 3, 2, 4)
    assert record.dtype == dtype
    one = [factor[1, 2] for factor in factors]
    alone, last = train_factors(lambda w: power_loss_grad(w, x, y), one, lr=lr[1, 2].item(), **settings)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(record[:, 1, 2], alone, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(final[1][1, 2], last[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", ["adagrad", "adadelta", "adam"])
@pytest.mark.parametrize(("dtype", "eps"), [(torch.float32, 0.0), (torch.float32, 1e-50), (torch.float16, 1e-8)])
def test_zero_gradients_do_not_move_without_eps(rule, dtype, eps):
    factors = [torch.ones(2, 1, 2, dtype=dtype), torch.ones(2, 1, 1, dtype=dtype)]
    target = torch.tensor([[[1.0, 1.0]], [[2.0, 1.0]]], dtype=dtype)  # the first trial starts there
    path, (first, second) = train_factors(lambda w: w - target, factors, lr=0.25, steps=1, rule=rule, eps=eps)
    moved = 0.0 if rule == "adadelta" else 0.25  # a sign times lr; AdaDelta's first step is sqrt(eps)
    expected = torch.tensor([[[1.0, 1.0]], [[1 + moved, 1.0]]], dtype=dtype)
    torch.testing.assert_close(first, expected, rtol=0, atol=0.002)
    torch.testing.assert_close(second, expected[..., :1], rtol=0, atol=0.002)
    assert torch.equal(path[1, 0], path[0, 0])


def test_no_momentum_for_any_trial_goes_with_every_rule():
    factors, settings = [torch.ones(3, 1, 2), torch.ones(3, 1, 1)], {"lr": 0.1, "steps": 2, "rule": "adam"}
    path, _ = train_factors(lambda w: w - 4, factors, momentum=torch.zeros(3), **settings)
    assert torch.equal(path, train_factors(lambda w: w - 4, factors, **settings)[0])


def test_a_diverging_trial_is_alone():
    x, y = draw(20, 4, seed=5), draw(1, 20, seed=6)
    factors = network((4, 1, 1), (3,))
    lr = torch.tensor([0.01, 1e6, 0.02], dtype=DOUBLE)
    record, _ = train_factors(lambda w: power_loss_grad(w, x, y, 4), factors, lr=lr, steps=50)
    small, _ = train_factors(
        lambda w: power_loss_grad(w, x, y, 4), [f[[0, 2]] for f in factors], lr=lr[[0, 2]], steps=50
    )
    assert not record[-1, 1].isfinite().all()
    torch.testing.assert_close(record[:, [0, 2]], small, rtol=1e-12, atol=0)


def test_autograd_inside_the_gradient_and_no_steps():
    def grad(w):
        w = w.detach().requires_grad_()
        return torch.autograd.grad((w**4).sum() / 4, w)[0]

    w = draw(2, 3)
    assert torch.equal(train_factors(grad, [w], lr=0.1, steps=0)[0], w[None])
    record, _ = train_factors(grad, [w.requires_grad_()], lr=0.1, steps=3)
    torch.testing.assert_close(record, emulate(lambda v: v**3, w.detach(), depth=1, lr=0.1, steps=3))
    assert not record.requires_grad


GOOD = {"grad": lambda w: w, "factors": [torch.ones(3, 4), torch.ones(2, 3)], "lr": 0.1, "steps": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.0},
        {"lr": math.nan},
        {"lr": torch.ones(3)},
        {"lr": True},
        {"steps": -1},
        {"steps": 2.0},
        {"every": 0},
        {"rule": "sgd"},
        {"momentum": math.nan},
        {"momentum": torch.zeros(3)},
        {"rule": "adam", "momentum": 0.9},
        {"weight_decay": -1.0},
        {"betas": (0.9, 1.0)},
        {"betas": 0.9},
        {"rho": 1.5},
        {"eps": math.inf},
        {"factors": []},
        {"factors": torch.ones(2, 3, 4)},
        {"factors": [torch.ones(3, 4), torch.ones(2, 4)]},
        {"factors": [torch.ones(3, 4), torch.ones(2, 3, dtype=DOUBLE)]},
        {"factors": [torch.ones(2, 3, 4), torch.ones(5, 2, 3)]},
        {"factors": [torch.ones(3, 4, dtype=torch.int64)]},
        {"grad": lambda w: w[..., :1]},
        {"grad": lambda w: 0.0},
    ],
)
def test_bad_training(change):
    with pytest.raises(ValueError, match=r"must|belongs"):
        train_factors(**(GOOD | change))


def test_bad_factors():
    with pytest.raises(ValueError, match="hidden"):
        balanced_factors(torch.ones(3, 4), 2, 2)
    for depth in (0, True, 1.5):
        with pytest.raises(ValueError, match="depth"):
            balanced_factors(torch.ones(3, 4), depth)
    with pytest.raises(ValueError, match="G must"):
        factor_gradients([torch.ones(3, 4)], torch.ones(4, 3))
    with pytest.raises(ValueError, match="one shape"):
        deficiency_margin(torch.ones(3, 4), torch.ones(4, 3))
