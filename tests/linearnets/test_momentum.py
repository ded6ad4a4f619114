"""Heavy ball on factors: chains, the reparameterized step and its expansions, the sweep over momentum."""

import math
import statistics

import numpy as np
import pytest
import torch

from litrepro.linearnets import (
    MomentumSweep,
    best_momenta,
    minimizer_curvature,
    momentum_sweep,
    reparameterized_step,
    summarize_momentum,
    train_chains,
    train_factors,
    usual_median,
)
from litrepro.linearnets._momentum import _sampler

DOUBLE = torch.float64


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


@pytest.mark.parametrize("beta", [-0.4, 0.6])
def test_chains_with_momentum_equal_factors(beta):
    goal, w, scalars = draw(4, 3), draw(4, 3, seed=1), draw(4, 2, seed=2)
    depths = torch.tensor([1, 2, 3, 3])
    run = train_chains(
        lambda v: v - goal, lambda v: ((v - goal) ** 2).sum(-1), w, scalars, depths,
        lr=torch.full((4,), 0.02), steps=30, every=10, momentum=torch.full((4,), beta),
    )  # fmt: skip
    assert run.t.tolist() == [0, 10, 20, 30]
    for i, depth in enumerate(depths.tolist()):
        factors = [w[i, None], *(scalars[i, j].reshape(1, 1) for j in range(depth - 1))]
        path, _ = train_factors(lambda v, i=i: v - goal[i], factors, lr=0.02, steps=30, momentum=beta)
        torch.testing.assert_close(run.W[i], path[-1, 0])


def test_negative_momentum_by_hand():
    w = draw(1, 3)
    velocity, expected = torch.zeros(1, 3, dtype=DOUBLE), w.clone()
    for _ in range(10):
        velocity = -0.3 * velocity - 0.1 * expected
        expected = expected + velocity
    path, _ = train_factors(lambda v: v, [w], lr=0.1, steps=10, momentum=-0.3)
    torch.testing.assert_close(path[-1], expected)


def step(lr=0.01, beta=0.7, batch=(5,), scale=0.1):
    w1, v1 = draw(*batch, 4), scale * draw(*batch, 4, seed=1)
    w2, v2 = 1.5 + draw(*batch, seed=2).abs(), scale * draw(*batch, seed=3)
    grad = lambda w: w**3 - 0.5  # noqa: E731
    return (w1, w2, v1, v2), grad, reparameterized_step(w1, w2, v1, v2, grad, lr=lr, momentum=beta)


@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.7])
@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_expansions_have_their_remainders(beta, batch):
    lr = 0.05
    (w1, w2, v1, v2), grad, got = step(lr, beta, batch)
    w = w2[..., None] * w1
    g = grad(w)
    g2 = (g * w1).sum(-1)
    # The exact step through autograd on both factors.
    a, b = w1.clone().requires_grad_(), w2.clone().requires_grad_()
    ((b[..., None] * a) ** 4 / 4 - 0.5 * b[..., None] * a).sum().backward()
    new1, new2 = w1 - lr * a.grad + beta * v1, w2 - lr * b.grad + beta * v2
    torch.testing.assert_close(got.exact, new2[..., None] * new1)
    torch.testing.assert_close(got.exact - got.eq44, lr**2 * (w2 * g2)[..., None] * g)
    torch.testing.assert_close(got.eq44 - got.eq52, beta * (1 + beta) * v2[..., None] * v1)
    assert got.momentum_eff.shape == got.alpha.shape == got.lr_eff.shape == batch
    if beta == 0:
        torch.testing.assert_close(got.first_order, got.eq44)
        torch.testing.assert_close(got.lr_eff, lr * w2**2)


def test_momentum_shift_is_first_order_in_the_step():
    shifts = [(step(lr)[2].momentum_eff - 0.7).abs().mean().item() for lr in (1e-2, 1e-3)]
    assert shifts[0] / shifts[1] == pytest.approx(10, rel=1e-6)


def loop_sweep(condition, depth, lr, beta, seed, steps, d, norm, start, level):
    z = torch.randn(2, d, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    z = z / z.norm(dim=1, keepdim=True)
    h, goal = torch.logspace(0, -math.log10(condition), d, dtype=DOUBLE), norm * z[0]
    root = start ** (1 / depth)
    factors = [root * z[1, None], *(torch.full((1, 1), root, dtype=DOUBLE) for _ in range(depth - 1))]
    path, _ = train_factors(lambda w: h * (w - goal), factors, lr=lr, steps=steps, momentum=beta)
    f = (h * (path[:, 0] - goal) ** 2).sum(-1)
    above = (~(f <= level * f[0])).nonzero()[-1].item()
    return above + 1 if above < steps else math.inf, (f[-1] / f[0]).item()


def test_sweep_against_a_loop():
    keep = {"steps": 60, "d": 4, "norm": 1.5, "start": 0.2, "level": 1e-3}
    lrs, momenta = torch.tensor([0.1, 0.5, 3.0]).double(), torch.tensor([-0.3, 0.0, 0.5]).double()
    sweep = momentum_sweep((5, 20), depths=(1, 3), lrs=lrs, momenta=momenta, seeds=(3, 8), **keep)
    assert sweep.steps.shape == sweep.final.shape == (2, 2, 2, 3, 3)
    for c, condition in enumerate((5, 20)):
        for n, depth in enumerate((1, 3)):
            for e, lr in enumerate(lrs.tolist()):
                for b, beta in enumerate(momenta.tolist()):
                    steps, final = loop_sweep(condition, depth, lr, beta, 8, **keep)
                    assert sweep.steps[c, n, 1, e, b].item() == steps
                    got = sweep.final[c, n, 1, e, b].item()
                    assert got == pytest.approx(final, rel=1e-6) or (got == math.inf and not final < 1e12)


def test_sweep_with_samples_uses_common_samples():
    lrs, momenta = torch.tensor([0.05, 0.1]).double(), torch.tensor([0.0, 0.4]).double()
    keep = {"lrs": lrs, "momenta": momenta, "steps": 40, "d": 3, "batch_size": 2}
    both = momentum_sweep((10,), seeds=(0, 1), depths=(1, 2), **keep)
    one = momentum_sweep((10,), seeds=(1,), depths=(2,), **keep)
    torch.testing.assert_close(both.final[:, 1:, 1:], one.final)
    large = momentum_sweep((10,), seeds=(0,), depths=(1, 2), **keep | {"batch_size": 20_000})
    full = momentum_sweep((10,), seeds=(0,), depths=(1, 2), **keep | {"batch_size": None})
    torch.testing.assert_close(large.final, full.final, rtol=0.1, atol=0)


@pytest.mark.parametrize("m", [2, 20, 21, 100])  # beyond 4 d the gradient goes through the second moments
def test_sampled_gradients_are_those_of_the_rows(m):
    g = torch.Generator().manual_seed(5)
    h, error = (torch.rand(*shape, generator=g, dtype=DOUBLE) for shape in ((5, 3, 1, 1), (5, 3, 2, 7)))
    found = _sampler(h, (0, 1), m)()(error)
    for s in (0, 1):
        rows = torch.randn(m, 5, generator=torch.Generator().manual_seed(s + 1_000_003), dtype=DOUBLE)
        for c in range(3):
            x = rows * h[:, c, 0, 0].sqrt()
            torch.testing.assert_close(found[:, c, s], x.T @ (x @ error[:, c, s]) / m)


def test_best_and_table():
    steps = torch.tensor([[[[[9.0, 4, 4, math.inf], [math.inf] * 4], [[8.0, 5, 5, math.inf], [7.0, math.inf, 2, 1]]]]])
    sweep = MomentumSweep(steps.to(DOUBLE), torch.zeros_like(steps))
    momenta, lrs = torch.tensor([-0.5, 0.0, 0.5, 0.9]).double(), torch.tensor([0.1, 0.2]).double()
    best = best_momenta(sweep, momenta)
    assert best[0, 0, 0] == 0.5
    assert best[0, 0, 1].isnan()  # one of two seeds never arrives: so does the median
    nothing = MomentumSweep(steps[:, :, :1].to(DOUBLE), steps[:, :, :1])
    assert best_momenta(nothing, momenta)[0, 0, 0] == 0.5
    assert best_momenta(nothing, momenta)[0, 0, 1].isnan()
    table = summarize_momentum(sweep, conditions=(10,), depths=(2,), lrs=lrs, momenta=momenta)
    assert list(table.columns) == ["condition", "depth", "lr", "beta", "steps", "failed"]
    assert table.steps.tolist() == [8.5, 4.5, 4.5, *[math.inf] * 5]
    row = table[(table.lr > 0.15) & (table.beta == 0.5)].iloc[0]
    assert (row.steps, row.failed) == (math.inf, 0.5)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("never", [0, 3, 4, 8])
def test_median_of_seeds_is_the_usual_one(count, never):
    steps = draw(1, 2, count, 1, 3).abs()
    steps[:, :, : min(never, count)] = math.inf
    sweep = MomentumSweep(steps, steps)
    grids = {"conditions": (10,), "depths": (1, 2), "lrs": torch.ones(1), "momenta": torch.arange(3.0)}
    table = summarize_momentum(sweep, **grids)
    expected = [statistics.median(column) for column in steps.movedim(2, -1).reshape(-1, count).tolist()]
    assert table.steps.tolist() == pytest.approx(expected, rel=1e-14)
    best = best_momenta(sweep, grids["momenta"])
    found = torch.tensor(expected).reshape(1, 2, 1, 3)
    assert torch.equal(best.isnan(), found.isinf().all(-1))
    if 2 * never < count:
        assert torch.equal(best, found.argmin(-1).double())


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_curvature_is_the_hessian_of_the_factors(depth):
    h, w = torch.tensor([1.0, 0.5, 0.0, 0.1]).double(), 3 * draw(4)
    root = w.norm() ** (1 / depth)
    factors = torch.cat([w / w.norm() * root, root.expand(depth - 1)])

    def loss(z):
        return (h * (z[:4] * z[4:].prod() - w) ** 2).sum() / 2

    expected = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, factors))[-4:]
    torch.testing.assert_close(minimizer_curvature(h, w, depth), expected, rtol=1e-10, atol=1e-10)
    batch = minimizer_curvature(h, torch.stack([w, 2 * w]), depth)
    torch.testing.assert_close(batch[0], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: reparameterized_step(draw(3), draw(), draw(3), draw(2), torch.sin, lr=0.1, momentum=0.5),
        lambda: reparameterized_step(
            draw(3), torch.tensor(0.0).double(), draw(3), draw(), torch.sin, lr=0.1, momentum=0
        ),
        lambda: reparameterized_step(draw(3), draw(), draw(3), draw(), torch.sin, lr=0.1, momentum=0.5),  # w2 = v2
        lambda: reparameterized_step(draw(3), draw(), draw(3), 0.1 * draw(), torch.sin, lr=0.0, momentum=0.5),
        lambda: reparameterized_step(draw(3), draw(), draw(3), 0.1 * draw(), torch.sum, lr=0.1, momentum=0.5),
        lambda: momentum_sweep((0.5,), lrs=draw(2).abs(), momenta=draw(2), seeds=(0,), steps=5),
        lambda: momentum_sweep((5,), lrs=-draw(2).abs(), momenta=draw(2), seeds=(0,), steps=5),
        lambda: momentum_sweep((5,), lrs=draw(2).abs(), momenta=draw(2), seeds=(0,), steps=5, depths=(0,)),
        lambda: momentum_sweep((5,), lrs=draw(2).abs(), momenta=draw(2), seeds=(0,), steps=5, batch_size=0),
        lambda: momentum_sweep((5,), lrs=draw(2).abs(), momenta=draw(2), seeds=(0,), steps=0),
        lambda: minimizer_curvature(torch.ones(3).double(), draw(4), 2),
        lambda: minimizer_curvature(-torch.ones(4).double(), draw(4), 2),
        lambda: minimizer_curvature(torch.ones(4).double(), 0 * draw(4), 2),
        lambda: minimizer_curvature(torch.ones(4).double(), draw(4), 0),
        lambda: best_momenta(MomentumSweep(draw(1, 1, 1, 1, 3), draw(1, 1, 1, 1, 3)), torch.tensor([0.0, -1.0, 1.0])),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"."):
        call()


def test_usual_median_is_numpys_and_inf_counts_as_last():
    values = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values[0, 0, :2], values[1, :2, 0], values[2, 3, 4] = math.inf, math.inf, math.nan
    for dim in (0, 1, 2, -1):
        with np.errstate(invalid="ignore"):
            expected = np.median(values.numpy(), axis=dim)
        np.testing.assert_allclose(usual_median(values, dim).numpy(), expected)
    for bad in (lambda: usual_median(torch.ones(2, dtype=torch.long), 0),
                lambda: usual_median(values, 3), lambda: usual_median(values[:0], 0)):  # fmt: skip
        with pytest.raises(ValueError, match="must"):
            bad()
