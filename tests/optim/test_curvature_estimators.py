"""Hutchinson's diagonal, fractional powers, Neumann series and LiSSA, each against linear algebra."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from litrepro.optim.curvature import (
    hessian_power_step,
    hutchinson_diagonal,
    lissa,
    neumann_solve,
    spatial_average,
)

f64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spd(*batch, d=4, low=0.2, high=1.8, seed=0):
    q = torch.linalg.qr(torch.randn(*batch, d, d, generator=generator(seed), dtype=f64)).Q
    values = torch.linspace(low, high, d, dtype=f64)
    return q @ torch.diag(values) @ q.mT


def times(H):
    return lambda v, j=0: torch.einsum("...ij,...j->...i", H, v)


def logistic(w, x, y):
    return torch.nn.functional.softplus(-y * (x @ w)).mean() + 0.05 * w @ w / 2


def logistic_data(n=40, d=5, seed=1):
    x = torch.randn(n, d, generator=generator(seed), dtype=f64)
    x = x / x.norm(dim=1).max()
    return x, torch.sign(x @ torch.ones(d, dtype=f64) + 0.1)


def test_hutchinson_mean_and_variance():
    H = spd(d=5)
    trials = 40_000
    draws = hutchinson_diagonal(times(H), torch.zeros(trials, 5, dtype=f64), generator=generator())
    exact = H.diagonal()
    variance = H.square().sum(1) - exact**2
    assert ((draws.mean(0) - exact).abs() < 5 * (variance / trials).sqrt()).all()
    torch.testing.assert_close(draws.var(0), variance, rtol=0.06, atol=0)
    many = hutchinson_diagonal(times(H), torch.zeros(2000, 5, dtype=f64), samples=16, generator=generator(1))
    torch.testing.assert_close(many.var(0), variance / 16, rtol=0.25, atol=0)


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_hutchinson_is_exact_for_diagonal_operators(d, samples, seed):
    diagonal = torch.randn(2, 3, d, generator=generator(seed), dtype=f64)
    found = hutchinson_diagonal(lambda z: diagonal * z, diagonal, samples=samples, generator=generator(seed))
    torch.testing.assert_close(found, diagonal)


def test_bad_hutchinson():
    like = torch.zeros(2, 3)
    for matvec in (lambda z: z[..., :1], lambda z: z.expand(5, 2, 3), lambda z: 1.0, torch.eye(3)):
        with pytest.raises(ValueError, match="matvec"):
            hutchinson_diagonal(matvec, like)
    for change in ({"samples": 0}, {"samples": True}, {"generator": "x"}, {"generator": -1}, {"like": like.long()}):
        with pytest.raises(ValueError):
            hutchinson_diagonal(lambda z: z, **({"like": like} | change))
    assert hutchinson_diagonal(lambda z: z, torch.zeros(0, 3)).shape == (0, 3)


def test_spatial_average_is_a_mean_of_blocks():
    D = torch.randn(2, 3, 6, generator=generator(), dtype=f64)
    for block in (1, 2, 3, 6):
        expected = torch.stack(
            [D[..., i // block * block : (i // block + 1) * block].abs().mean(-1) for i in range(6)], -1
        )
        torch.testing.assert_close(spatial_average(D, block), expected)
    for block in (4, 0, 1.5):
        with pytest.raises(ValueError, match="block"):
            spatial_average(D, block)


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5, 1.0])
def test_power_step_against_scipy(power):
    from scipy.linalg import fractional_matrix_power

    H, g = spd(2, 3), torch.randn(2, 3, 4, generator=generator(2), dtype=f64)
    step = hessian_power_step(H, g, power=power, lr=0.7)
    expected = -0.7 * torch.tensor(fractional_matrix_power(H[1, 2].numpy(), -power).real) @ g[1, 2]
    torch.testing.assert_close(step[1, 2], expected)
    # The bound (11) with alpha = 0.2, beta = 1.8.
    step = hessian_power_step(H, g, power=power, lr=0.2**power / 1.8)
    change = (g * step).sum(-1) + (step * times(H)(step)).sum(-1) / 2
    assert (change <= -(0.2**power) / (2 * 1.8 ** (1 + power)) * g.square().sum(-1) + 1e-12).all()


def test_bad_power_steps():
    H, g = spd(), torch.ones(4, dtype=f64)
    for change in ({"power": 1.1}, {"power": -0.1}, {"lr": 0.0}, {"H": -H}, {"H": H + torch.triu(H)}, {"g": g[:3]},
                   {"H": torch.zeros(4, 4, dtype=f64)}, {"g": g.float()},
                   {"H": H.expand(2, 4, 4), "g": g.expand(3, 4)}):  # fmt: skip
        with pytest.raises(ValueError):
            hessian_power_step(**({"H": H, "g": g, "power": 0.5, "lr": 1.0} | change))


def test_neumann_is_the_truncated_series_and_converges():
    H, b = spd(2, 3), torch.randn(2, 3, 4, generator=generator(3), dtype=f64)
    eye = torch.eye(4, dtype=f64)
    for depth in (0, 1, 7):
        series = sum(torch.linalg.matrix_power(eye - H / 1.5, j) for j in range(depth + 1)) / 1.5
        torch.testing.assert_close(neumann_solve(times(H), b, depth=depth, scale=1.5), times(series)(b))
    torch.testing.assert_close(neumann_solve(times(H), b, depth=200), torch.linalg.solve(H, b[..., None])[..., 0])
    far = neumann_solve(times(3 * eye), b[0, 0], depth=50)  # 3 is outside (0, 2)
    assert far.abs().max() > 1e10
    assert neumann_solve(lambda y, j: y, torch.ones(1, dtype=f64), depth=3).item() == 1.0
    with pytest.raises(ValueError, match="matvec"):
        neumann_solve(lambda y, j: y[:1], torch.ones(2, 3), depth=1)
    for bad in ({"depth": -1}, {"depth": 2, "scale": 0.0}, {"depth": 1.5}):
        with pytest.raises(ValueError):
            neumann_solve(times(H), b, **bad)


def test_independent_factors_are_unbiased_and_reused_ones_are_not():
    values = torch.tensor([0.1, 1.5], dtype=f64)  # one of two Hessians, each with probability one half
    trials, depth = 200_000, 6
    picks = values[torch.randint(2, (depth + 1, trials), generator=generator(4))]
    one = torch.ones(trials, 1, dtype=f64)
    fresh = neumann_solve(lambda y, j: picks[j][:, None] * y, one, depth=depth)
    reused = neumann_solve(lambda y, j: picks[0][:, None] * y, one, depth=depth)
    series = sum((1 - values.mean()) ** j for j in range(depth + 1))
    assert (fresh.mean() - series).abs() < 5 * fresh.std() / math.sqrt(trials)
    assert (reused.mean() - series).abs() > 20 * reused.std() / math.sqrt(trials)


def test_lissa_with_the_whole_set_is_inexact_newton():
    x, y = logistic_data()
    w0 = torch.randn(2, 3, 5, generator=generator(5), dtype=f64) * 0.1
    result = lissa(logistic, w0, (x[:1], y[:1]), s2=400, batch=1, steps=1)  # one row: no sampling noise
    g = torch.func.grad(logistic)(w0[1, 2], x[:1], y[:1])
    H = torch.func.hessian(logistic)(w0[1, 2], x[:1], y[:1])
    torch.testing.assert_close(result.w[1, 1, 2], w0[1, 2] - torch.linalg.solve(H, g), rtol=1e-6, atol=1e-6)
    assert result.oracle_calls == 1 + 400


def test_lissa_halves_the_error_and_trials_are_independent():
    x, y = logistic_data()
    w = torch.zeros(5, dtype=f64)
    for _ in range(20):
        g, H = torch.func.grad(logistic)(w, x, y), torch.func.hessian(logistic)(w, x, y)
        w = w - torch.linalg.solve(H, g)
    w0 = torch.zeros(4, 5, dtype=f64)
    result = lissa(logistic, w0, (x, y), s1=3, s2=60, batch=2, steps=4, warm_start=5, warm_lr=1.0, seed=3)
    assert result.w.shape == (10, 4, 5)
    assert result.oracle_calls == 5 * 40 + 4 * (40 + 3 * 60 * 2)
    error = (result.w[5:] - w).norm(dim=-1)
    assert (error[1:] <= 0.5 * error[:-1]).all()
    assert (error[-1].diff().abs() > 0).any()  # trials draw their own samples
    fewer = lissa(logistic, w0[:2], (x, y), s1=3, s2=60, batch=2, steps=4, warm_start=5, warm_lr=1.0, seed=3)
    torch.testing.assert_close(fewer.w, result.w[:, :2])
    torch.testing.assert_close(result.w[1, 0], -torch.func.grad(logistic)(w0[0], x, y))  # the warm start


@pytest.mark.parametrize(
    "change",
    [{"s1": 0}, {"s2": 0}, {"batch": 0}, {"steps": 0}, {"scale": 0.0}, {"warm_start": 2},
     {"data": (torch.ones(3, 2), torch.ones(2))},
     {"data": ()}, {"data": (torch.full((3, 2), math.nan), torch.ones(3))}, {"warm_start": 1, "warm_lr": 0.0}],
)  # fmt: skip
def test_bad_lissa(change):
    def never(*_):
        raise AssertionError("work was done")

    arguments = {"w0": torch.zeros(2), "data": (torch.ones(3, 2), torch.ones(3)), "s2": 2, "steps": 1} | change
    with pytest.raises(ValueError):
        lissa(never, **arguments)


def test_odd_lissa():
    x, y = torch.ones(3, 2), torch.ones(3)
    for data in (None, 3):
        with pytest.raises(ValueError, match="data"):
            lissa(lambda w, x, y: (x @ w - y).square().mean(), torch.zeros(2), data, s2=2, steps=1)
    with pytest.raises(ValueError, match="loss"):
        lissa(lambda w, x, y: x @ w - y, torch.zeros(2), (x, y), s2=2, steps=1)
    none = lissa(lambda w, x, y: (x @ w - y).square().mean(), torch.zeros(0, 2), (x, y), s2=2, steps=3)
    assert none.w.shape == (4, 0, 2)
    assert none.oracle_calls == 3 * (3 + 2)
