"""The end-to-end rule: losses, optimum, direction, preconditioner, emulation, circulation, chains."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import fractional_matrix_power
from scipy.optimize import minimize

from litrepro import ConvergenceWarning
from litrepro.data import DataUnavailableError, gas_sensor_ethanol
from litrepro.linearnets import (
    balanced_factors,
    circulation,
    emulate,
    induced_direction,
    optimal_power_loss,
    power_loss,
    power_loss_grad,
    preconditioner,
    steps_to,
    train_chains,
    train_factors,
)

DOUBLE = torch.float64


def draw(*shape, seed=0, dtype=DOUBLE):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE).to(dtype)


@pytest.mark.parametrize("p", [1.5, 2, 2.0, 3, 4, 6.5])
@pytest.mark.parametrize("batch", [(), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_loss_and_gradient(p, batch, dtype):
    w = draw(*batch, 2, 4, dtype=dtype).requires_grad_()
    x, y = draw(7, 4, seed=1, dtype=dtype), draw(2, 7, seed=2, dtype=dtype)
    loss = power_loss(w, x, y, p)
    expected = ((w @ x.T - y).abs() ** p).sum((-2, -1)) / (p * 7)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        power_loss_grad(w.detach(), x, y, p), torch.autograd.grad(loss.sum(), w)[0], rtol=1e-4, atol=1e-5
    )
    assert loss.shape == batch
    assert loss.dtype == dtype


def test_targets_in_a_batch():
    w, x, y = draw(3, 2, 4), draw(7, 4, seed=1), draw(3, 2, 7, seed=2)
    each = [power_loss(w[i], x, y[i], 4) for i in range(3)]
    torch.testing.assert_close(power_loss(w, x, y, 4), torch.stack(each))


@pytest.mark.parametrize("p", [1, 0.5, math.nan, math.inf, True, "2"])
def test_bad_power(p):
    for function in (power_loss, power_loss_grad):
        with pytest.raises(ValueError, match="p must"):
            function(torch.ones(1, 2), torch.ones(3, 2), torch.ones(1, 3), p)
    with pytest.raises(ValueError, match="p must"):
        optimal_power_loss(torch.ones(3, 2), torch.ones(1, 3), p)


@pytest.mark.parametrize(("w", "x", "y"), [((1, 2), (3, 4), (1, 3)), ((1, 2), (3, 2), (2, 3)), ((1, 2), (3, 2), (3,))])
def test_sizes_that_disagree(w, x, y):
    for function in (power_loss, power_loss_grad):
        with pytest.raises(ValueError, match="must"):
            function(torch.ones(w), torch.ones(x), torch.ones(y))


@pytest.mark.parametrize("p", [1.5, 2, 3, 4, 8])
@pytest.mark.parametrize("k", [1, 3])
def test_optimum_against_scipy(p, k):
    x, y = draw(40, 3, seed=1), draw(k, 40, seed=2)
    w, loss = optimal_power_loss(x, y, p)
    assert w.shape == (k, 3)
    assert loss.shape == ()
    for row in range(k):
        found = minimize(
            lambda v, row=row: float(np.mean(np.abs(x.numpy() @ v - y[row].numpy()) ** p) / p), np.zeros(3), tol=1e-12
        )
        torch.testing.assert_close(w[row], torch.tensor(found.x), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(loss, power_loss(w, x, y, p))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("p", [1.5, 2, 3, 4, 8])
@pytest.mark.parametrize("unit", [1e-8, 1e-4, 1e4])
def test_optimum_in_other_units(p, unit):
    x, y = draw(40, 3, seed=1), draw(2, 40, seed=2)
    w, loss = optimal_power_loss(x, y, p)
    for size in (1e-4, 1.0, 1e4):
        scaled, its_loss = optimal_power_loss(size * x, unit * y, p)
        torch.testing.assert_close(scaled * size / unit, w, rtol=1e-7, atol=1e-8)
        torch.testing.assert_close(its_loss / unit**p, loss, rtol=1e-9, atol=0)
    both, _ = optimal_power_loss(x, torch.stack([y[0], unit * y[1]]), p)  # outputs of very different sizes
    torch.testing.assert_close(both / torch.tensor([[1.0], [unit]]), w, rtol=1e-7, atol=1e-8)


def test_optimum_of_collinear_and_of_few_samples():
    x = draw(60, 4, seed=1)
    x = torch.cat([x, x + 1e-5 * draw(60, 4, seed=3)], 1)
    w, _ = optimal_power_loss(x.float(), draw(1, 60, seed=2).float(), 4)
    assert w.dtype == DOUBLE
    x, y = draw(3, 5, seed=1), draw(2, 3, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for p in (1.2, 2, 4):
            assert optimal_power_loss(x, y, p)[1] < 1e-15
        assert torch.equal(optimal_power_loss(x, 0 * y, 4)[0], torch.zeros(2, 5, dtype=DOUBLE))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("p", [3, 4, 5, 6, 7, 8, 10])
@pytest.mark.parametrize("k", [1, 2])
def test_optimum_is_found_to_rounding(p, k):
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(40, 4, generator=generator, dtype=DOUBLE)
        y = torch.randn(k, 40, generator=generator, dtype=DOUBLE)
        w, loss = optimal_power_loss(x, y, p)
        rows = torch.cat([optimal_power_loss(x, row, p)[0] for row in y.split(1)])
        torch.testing.assert_close(w, rows, rtol=1e-7, atol=1e-8)  # no output minds the others
        assert power_loss_grad(w, x, y, p).norm() < 1e-9 * (1 + loss)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("p", [6, 7, 10])
def test_optimum_of_the_gas_sensors(p):
    try:
        x, y = gas_sensor_ethanol(download=False)
    except DataUnavailableError as error:
        pytest.skip(str(error))
    w, loss = optimal_power_loss(x, y, p)
    assert power_loss_grad(w, x, y, p).norm() < 1e-9 * (1 + loss)


def test_optimum_says_when_it_stops_early():
    x, y = draw(60, 4, seed=1), draw(1, 60, seed=2)
    with pytest.warns(ConvergenceWarning, match="gradient norm"):
        optimal_power_loss(x, y, 8, steps=1)
    with pytest.raises(ValueError, match="steps"):
        optimal_power_loss(x, y, 4, steps=0)
    with pytest.raises(ValueError, match="finite"):
        optimal_power_loss(x * math.nan, y)


def by_powers(w, g, depth):
    """The defining sum with eigendecomposed powers whose null space is cleaned."""

    def power(m, exponent):
        values, vectors = np.linalg.eigh(m)
        values = np.where(values > 1e-12 * max(values.max(), 1e-300), values, 0.0)
        return np.eye(len(m)) if exponent == 0 else (vectors * values**exponent) @ vectors.T

    w, g = w.numpy(), g.numpy()
    terms = [power(w @ w.T, (j - 1) / depth) @ g @ power(w.T @ w, (depth - j) / depth) for j in range(1, depth + 1)]
    return torch.tensor(sum(terms))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (3, 3), (3, 5), (5, 2)])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7])
def test_direction_against_matrix_powers(shape, depth):
    w, g = draw(*shape), draw(*shape, seed=1)
    torch.testing.assert_close(induced_direction(w, g, depth), by_powers(w, g, depth), rtol=1e-9, atol=1e-10)


def test_direction_against_scipy_at_full_rank():
    w, g = draw(3, 3), draw(3, 3, seed=1)
    terms = [
        fractional_matrix_power((w @ w.T).numpy(), (j - 1) / 4)
        @ g.numpy()
        @ fractional_matrix_power((w.T @ w).numpy(), (4 - j) / 4)
        for j in range(1, 5)
    ]
    torch.testing.assert_close(induced_direction(w, g, 4), torch.tensor(sum(terms)).real, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("power", [-80, 80])
def test_one_output_whose_squares_leave_the_range(power):
    w, g, size = torch.tensor([[3.0, -4.0]]), torch.tensor([[2.0, 1.0]]), 2.0**power
    for depth in (2, 3):
        exact = by_powers(w.double() * size, g.double(), depth)
        torch.testing.assert_close(induced_direction(w * size, g, depth).double(), exact, rtol=1e-6, atol=0)
    path = emulate(lambda v: g.expand_as(v), (w * size).expand(2, 1, 2), depth=2, lr=0.5, steps=1)
    torch.testing.assert_close(path[1, 1].double(), (w - 2.5 * (g + 2 / 25 * w)).double() * size, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (4, 2), (3, 3)])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_derivatives_against_differences(shape, depth):
    w, g = draw(*shape).requires_grad_(), draw(*shape, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda w, g: induced_direction(w, g, depth), (w, g))
    assert torch.autograd.gradcheck(lambda w: preconditioner(w, depth), (w,))


def test_direction_of_rank_deficient_matrices():
    w, g = draw(4, 2) @ draw(2, 5, seed=2), draw(4, 5, seed=1)
    for depth in (2, 3, 5):
        torch.testing.assert_close(induced_direction(w, g, depth), by_powers(w, g, depth), rtol=1e-9, atol=1e-9)
    for shape in ((1, 5), (3, 4)):
        zero, g = torch.zeros(shape), torch.ones(shape)
        assert torch.equal(induced_direction(zero, g, 3), zero)
        assert torch.equal(induced_direction(zero, g, 1), g)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("shape", [(1, 4), (3, 4), (4, 3)])
def test_direction_in_batches(shape, dtype):
    w, g = draw(2, 3, *shape, dtype=dtype), draw(2, 3, *shape, seed=1, dtype=dtype)
    together = induced_direction(w, g, 3)
    assert together.dtype == dtype
    torch.testing.assert_close(together[1, 2], induced_direction(w[1, 2], g[1, 2], 3))
    assert induced_direction(w[:0], g[:0], 3).shape == (0, 3, *shape)
    spoiled = w.clone()
    spoiled[0, 1, 0, 0] = math.nan
    result = induced_direction(spoiled, g, 3)
    assert result[0, 1].isnan().all()
    assert torch.equal(result[1], together[1])
    assert torch.equal(result[0, 0], together[0, 0])


@settings(max_examples=40, deadline=None)
@given(k=st.integers(1, 4), d=st.integers(1, 4), depth=st.integers(1, 6), seed=st.integers(0, 1000))
def test_preconditioner(k, d, depth, seed):
    w, g = draw(k, d, seed=seed), draw(k, d, seed=seed + 5000)
    p = preconditioner(w, depth)
    moved = induced_direction(w, g, depth)
    torch.testing.assert_close(p @ g.T.flatten(), moved.T.flatten(), rtol=1e-9, atol=1e-9)
    assert torch.equal(p, p.T)
    assert torch.linalg.eigvalsh(p).min() > -1e-10
    assert (moved * g).sum() >= -1e-10
    factors = balanced_factors(w, depth)
    after = [f - 1e-7 * s for f, s in zip(factors, train_directions(factors, g))]
    product = after[0]
    for factor in after[1:]:
        product = factor @ product
    scale = 1 + moved.abs().max().item() + w.abs().max().item() ** 2
    torch.testing.assert_close((w - product) / 1e-7, moved, rtol=1e-4, atol=1e-4 * scale**2)


def train_directions(factors, g):
    factors = [factor.clone().requires_grad_() for factor in factors]
    product = factors[0]
    for factor in factors[1:]:
        product = factor @ product
    return torch.autograd.grad((product * g).sum(), factors)


def test_preconditioner_in_batches():
    w = draw(2, 3, 2, 4)
    p = preconditioner(w, 3)
    assert p.shape == (2, 3, 8, 8)
    torch.testing.assert_close(p[1, 2], preconditioner(w[1, 2], 3))
    assert torch.equal(preconditioner(w, 1), torch.eye(8, dtype=DOUBLE).expand(2, 3, 8, 8))
    w[0, 0] = math.inf
    spoiled = preconditioner(w, 3)
    assert spoiled[0, 0].isnan().all()
    assert torch.equal(spoiled[1], p[1])


def test_bad_directions():
    with pytest.raises(ValueError, match="one shape"):
        induced_direction(torch.ones(2, 3), torch.ones(3, 2), 2)
    with pytest.raises(ValueError, match="one shape"):
        induced_direction(torch.ones(2, 3), torch.ones(2, 3, dtype=DOUBLE), 2)
    with pytest.raises(ValueError, match="at least 2"):
        preconditioner(torch.ones(3), 2)
    for depth in (0, -1, 2.0, True):
        for call in (
            lambda n: induced_direction(torch.ones(2, 3), torch.ones(2, 3), n),
            lambda n: preconditioner(torch.ones(2, 3), n),
            lambda n: emulate(lambda w: w, torch.ones(2, 3), depth=n, lr=0.1, steps=1),
        ):
            with pytest.raises(ValueError, match="depth"):
                call(depth)


@pytest.mark.parametrize("shape", [(1, 4), (3, 4)])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_training_approaches_emulation(shape, decay):
    x, y = draw(30, 4, seed=1), draw(shape[0], 30, seed=2)
    start = 0.5 * draw(*shape)
    gaps = []
    for lr in (1e-2, 1e-3):
        steps = round(1 / lr)
        emulated = emulate(
            lambda w: power_loss_grad(w, x, y), start, depth=3, lr=lr, steps=steps, weight_decay=decay, every=steps
        )
        trained, _ = train_factors(
            lambda w: power_loss_grad(w, x, y),
            balanced_factors(start, 3),
            lr=lr,
            steps=steps,
            weight_decay=decay,
            every=steps,
        )
        assert emulated.shape == (2, *shape)
        gaps.append((emulated[-1] - trained[-1]).norm().item())
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.3)


def test_emulation_in_batches():
    x, y = draw(30, 4, seed=1), draw(1, 30, seed=2)
    w, lr = 0.5 * draw(2, 3, 1, 4), torch.linspace(0.001, 0.01, 6, dtype=DOUBLE).reshape(2, 3)
    run = emulate(lambda v: power_loss_grad(v, x, y, 4), w, depth=2, lr=lr, steps=7, every=3)
    assert run.shape == (3, 2, 3, 1, 4)
    alone = emulate(lambda v: power_loss_grad(v, x, y, 4), w[1, 0], depth=2, lr=lr[1, 0].item(), steps=6, every=6)
    torch.testing.assert_close(run[-1, 1, 0], alone[-1])
    lr[0, 0] = 1e9
    wild = emulate(lambda v: power_loss_grad(v, x, y, 4), w, depth=2, lr=lr, steps=30, every=3)
    assert not wild[-1, 0, 0].isfinite().all()
    assert torch.equal(wild[:3, 1], run[:, 1])
    for bad in ({"lr": -1.0}, {"lr": torch.ones(3, 2)}, {"steps": -1}, {"every": 0}, {"weight_decay": -1.0}):
        with pytest.raises(ValueError, match="must"):
            emulate(**({"grad": lambda v: v, "W": w, "depth": 2, "lr": 0.1, "steps": 1} | bad))


def square(side=1.0):
    return side * torch.tensor([[[1.0, 1.0]], [[2.0, 1.0]], [[2.0, 2.0]], [[1.0, 2.0]]], dtype=DOUBLE)


@pytest.mark.parametrize("points", [1, 7, 2000])
def test_circulation_of_a_rotation_is_twice_the_area(points):
    rotation = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=DOUBLE)
    assert circulation(lambda w: w @ rotation, square(3.0), points=points).item() == pytest.approx(18.0)
    assert circulation(lambda w: w @ rotation, square().flip(0), points=points).item() == pytest.approx(-2.0)


def test_circulation_of_gradients_vanishes():
    assert abs(circulation(lambda w: w.exp() * w.sum(-1, keepdim=True).cos() * 0 + w**3, square())) < 1e-10
    c = torch.tensor([[1.0, -2.0]], dtype=DOUBLE)
    loop = square() - 0.3
    assert abs(circulation(lambda w: induced_direction(w, c.expand_as(w), 2), loop)) < 1e-9
    value = circulation(lambda w: induced_direction(w, c.expand_as(w), 3), loop)
    assert value.shape == ()
    assert abs(value) > 1e-2


def test_circulation_around_half_an_annulus():
    """The closed form for a linear loss <c, W>, c = -e_1: 2 (N/(a+1) - 1)(R^{a+1} - r^{a+1}), a = 2 - 2/N."""
    low, high = 0.1, 0.5
    angles = torch.linspace(0, math.pi, 721, dtype=DOUBLE)
    arc = torch.stack([angles.cos(), angles.sin()], 1)[:, None]
    loop = torch.cat([low * arc, high * arc.flip(0)])
    c = torch.tensor([[1.0, 0.0]], dtype=DOUBLE)
    for depth in (2, 3, 5):
        a = 2 - 2 / depth
        expected = 2 * (depth / (a + 1) - 1) * (high ** (a + 1) - low ** (a + 1))
        value = circulation(lambda w, n=depth: induced_direction(w, c.expand_as(w), n), loop, points=20)
        assert abs(value.item()) == pytest.approx(abs(expected), abs=2e-5)


def test_bad_circulation():
    for vertices in (square()[:2], square()[:, 0], square() * math.nan):
        with pytest.raises(ValueError, match="vertices"):
            circulation(lambda w: w, vertices)
    with pytest.raises(ValueError, match="field"):
        circulation(lambda w: w[:1], square())
    with pytest.raises(ValueError, match="points"):
        circulation(lambda w: w, square(), points=0)


def test_chains_equal_factors():
    x, y = draw(30, 4, seed=1), draw(30, seed=2)
    w, scalars = draw(4, 4), draw(4, 3, seed=4)
    depths = torch.tensor([1, 2, 3, 4])
    run = train_chains(
        lambda v: power_loss_grad(v[..., None, :], x, y[None])[..., 0, :],
        lambda v: power_loss(v[..., None, :], x, y[None]),
        w,
        scalars,
        depths,
        lr=torch.full((4,), 0.02, dtype=DOUBLE),
        steps=20,
        every=5,
    )
    assert run.t.tolist() == [0, 5, 10, 15, 20]
    assert run.loss.shape == (5, 4)
    for i in range(4):
        factors = [w[i][None], *(s.reshape(1, 1) for s in scalars[i, :i])]
        record, _ = train_factors(lambda v: power_loss_grad(v, x, y[None]), factors, lr=0.02, steps=20, every=5)
        torch.testing.assert_close(run.W[i], record[-1, 0])
        torch.testing.assert_close(run.loss[:, i], power_loss(record, x, y[None]))
    with pytest.raises(ValueError, match="depths"):
        train_chains(run.W, None, w, scalars, depths + 1, lr=0.1, steps=1, every=1)
    with pytest.raises(ValueError, match="batch shape"):
        train_chains(run.W, None, w, scalars[:2], depths, lr=0.1, steps=1, every=1)


def test_steps_to():
    t = torch.tensor([0, 10, 20])
    loss = torch.tensor([[1.0, 1.0, math.nan], [0.5, 1.0, math.nan], [0.1, 1.0, math.nan]])
    assert steps_to(t, loss, 0.5).tolist() == [10.0, math.inf, math.inf]
    loss[2, 0] = 0.6
    assert steps_to(t, loss, 0.7).tolist()[0] == 10.0
    assert steps_to(t, loss, 0.5, stay=True).tolist() == [math.inf] * 3
    assert steps_to(t, loss, 0.7, stay=True).tolist()[0] == 10.0
    with pytest.raises(ValueError, match="must"):
        steps_to(t[:2], loss, 0.5)
