"""Sweeps: one batch equals single runs; the phase map; networks with factored layers."""

import math
import statistics

import pytest
import torch

from litrepro.linearnets import (
    DepthSweep,
    balance_gap,
    balanced_factors,
    convnet_variant,
    depth_sweep,
    draw_starts,
    optimal_power_loss,
    power_loss,
    power_loss_grad,
    regression,
    rule_sweep,
    speedup_map,
    summarize_depths,
    train_convnets,
    train_factors,
)

DOUBLE = torch.float64


def data(m=40, d=4):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(n, m, generator=generator, dtype=DOUBLE) for n in (d, 1))


@pytest.mark.parametrize("p", [1.5, 2, 4])
def test_regression_is_the_power_loss(p):
    x, y = data()
    problem = regression(x.T, y, p)
    v = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    best, floor = optimal_power_loss(x.T, y, p)
    torch.testing.assert_close(problem.best, best[0])
    torch.testing.assert_close(problem.excess(v), power_loss(v[..., None, :], x.T, y, p) - floor)
    torch.testing.assert_close(problem.grad(v), power_loss_grad(v[..., None, :], x.T, y, p)[..., 0, :])
    with pytest.raises(ValueError, match="y must"):
        regression(x.T, torch.cat([y, y]), p)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_starts(depth):
    factors = draw_starts(5, depth, [3, 4])
    assert [tuple(f.shape) for f in factors] == [(2, 2, 1, 5), *[(2, 2, 1, 1)] * (depth - 1)]
    balanced, random = ([f[i] for f in factors] for i in (0, 1))
    assert balance_gap(balanced).max() < 1e-12
    assert depth == 1 or balance_gap(random).max() > 1e-6
    one = draw_starts(5, depth, [4])
    assert all(torch.equal(a[:, 1:], b) for a, b in zip(factors, one))


def test_a_sweep_equals_single_runs():
    x, y = data()
    problem, lrs = regression(x.T, y, 4), torch.tensor([0.02, 0.05], dtype=DOUBLE)
    settings = {"seeds": [0, 1], "steps": 30, "every": 10}
    sweep = depth_sweep(problem, lrs, depths=(1, 3), std=0.01, **settings)
    assert sweep.excess.shape == (4, 2, 2, 2, 2)
    by_rule = rule_sweep(problem, lrs, rule="gd", depth=3, **settings)
    torch.testing.assert_close(by_rule.excess[:, :, 0], sweep.excess[:, :, 1])
    shallow = rule_sweep(problem, lrs, rule="gd", depth=1, **settings)
    torch.testing.assert_close(shallow.excess[:, :, 0], sweep.excess[:, :, 0])
    factors = [f[1, 0] for f in draw_starts(4, 3, [1])]
    record, _ = train_factors(lambda w: power_loss_grad(w, x.T, y, 4), factors, lr=0.05, steps=30, every=10)
    torch.testing.assert_close(sweep.excess[:, 1, 1, 1, 1], problem.excess(record[:, 0]))
    table = summarize_depths(sweep, lrs, (1, 3), {"to 1": 1e9, "never": -1.0})
    assert len(table) == 8
    assert (table["to 1"] == 0).all()
    assert (table["never"] == math.inf).all()
    row = table[(table.start == "random") & (table.depth == 3) & (table.lr == 0.05)]
    assert row.final.item() == pytest.approx(sweep.excess[-1, 1, 1, :, 1].mean().item(), rel=1e-14)  # of two seeds


def test_the_median_of_half_diverged_seeds_is_inf():
    excess = torch.tensor([1.0, 3.0, math.inf, math.inf]).double().expand(1, 2, 1, 4).unsqueeze(-1)
    sweep, grid = DepthSweep(torch.zeros(1, dtype=torch.int64), excess), torch.ones(1)
    table = summarize_depths(sweep, grid, (1,), {"to 2": 2.0, "to 4": 4.0})
    assert table[["final", "to 2", "to 4"]].to_numpy().tolist() == [[math.inf] * 3] * 2
    table = summarize_depths(sweep._replace(excess=excess[:, :, :, :2]), grid, (1,), {"to 2": 2.0, "to 4": 4.0})
    assert table[["final", "to 2", "to 4"]].to_numpy().tolist() == [[2.0, math.inf, 0.0]] * 2


def test_a_diverging_step_size_has_excess_inf():
    x, y = data()
    lrs = torch.tensor([0.02, 1e6], dtype=DOUBLE)
    sweep = depth_sweep(regression(x.T, y, 4), lrs, depths=(1, 2), seeds=[0], steps=40, every=40)
    assert torch.isinf(sweep.excess[-1, ..., 1]).all()
    assert torch.isfinite(sweep.excess[..., 0]).all()


def test_the_map():
    powers, conditions = torch.tensor([2.0, 4.0]), torch.tensor([1.0, 30.0])
    lrs = torch.logspace(-1.5, 0.5, 9, dtype=DOUBLE)
    speedup = speedup_map(powers, conditions, depth=2, lrs=lrs, m=16, steps=300, every=2)
    assert speedup.shape == (2, 2)
    assert speedup[1, 1] > 1.5
    alone = speedup_map(powers[1:], conditions[1:], depth=2, lrs=lrs, m=16, steps=300, every=2)
    torch.testing.assert_close(speedup[1:, 1:], alone)
    for bad in ({"powers": torch.tensor([1.0])}, {"conditions": torch.tensor([0.5])}, {"depth": 1}):
        with pytest.raises(ValueError, match="must"):
            speedup_map(**({"powers": powers, "conditions": conditions, "depth": 2, "lrs": lrs} | bad))


@pytest.mark.parametrize("p", [1.5, 3.0])
def test_a_cell_of_the_map_is_two_descents(p):
    condition, m, d, lrs, every = 4.0, 8, 2, torch.tensor([0.05, 0.2], dtype=DOUBLE), 5
    generator = torch.Generator().manual_seed(3)
    z = torch.linalg.qr(torch.randn(m, d, generator=generator, dtype=DOUBLE))[0] * m**0.5
    w0 = 0.01 * torch.randn(1, d, generator=generator, dtype=DOUBLE)
    x, y = z * torch.tensor([1.0, condition**-0.5], dtype=DOUBLE), z.sum(1)[None] / d**0.5
    best = {}
    for depth in (1, 3):
        factors = [f.expand(2, *f.shape) for f in balanced_factors(w0, depth)]
        path, _ = train_factors(lambda w: power_loss_grad(w, x, y, p), factors, lr=lrs, steps=300, every=every)
        loss = power_loss(path, x, y, p)
        reached = loss <= 0.05 * loss[0]
        assert reached.any(0).any()
        best[depth] = every * min(column.nonzero()[0].item() for column in reached.T if column.any())
    assert best[1] != best[3]
    cell = {"depth": 3, "lrs": lrs, "m": m, "d": d, "steps": 300, "every": every, "level": 0.05, "seed": 3}
    found = speedup_map(torch.tensor([p]).double(), torch.tensor([condition]).double(), **cell)
    assert found.item() == pytest.approx(best[1] / best[3])


SMALL = {"channels": (2, 3), "hidden": 8}


def test_the_control_starts_from_the_same_function():
    factored, control = (convnet_variant(v, **SMALL, seed=1, size=8).eval() for v in ("factored", "control"))
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(factored(x), control(x))
    assert len(list(control.parameters())) < len(list(factored.parameters()))
    with pytest.raises(ValueError, match="variant"):
        convnet_variant("other", **SMALL, seed=1)


def test_training_of_networks():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 10
    x = torch.rand(60, 1, 8, 8, generator=generator) * 0.2
    x[torch.arange(60), 0, 0, y % 8] += 3.0
    settings = {"lr": 0.02, "steps": 60, "every": 20, "batch": 20} | SMALL
    state = torch.random.get_rng_state()
    frame = train_convnets("original", (x, y), (x, y), seeds=[0, 1], **settings)
    assert torch.equal(state, torch.random.get_rng_state())
    assert list(frame.columns) == ["variant", "lr", "seed", "step", "train_loss", "test_loss", "test_accuracy"]
    mean = frame.groupby("step")["train_loss"].mean()
    assert mean.index.tolist() == [20, 40, 60]
    assert mean[60] < mean[20]
    again = train_convnets("original", (x, y), (x, y), seeds=[0, 1], **settings)
    assert frame.equals(again)
    with pytest.raises(ValueError, match="steps"):
        train_convnets("original", (x, y), (x, y), seeds=[0], **(settings | {"steps": 0}))


@pytest.mark.parametrize("variant", ["original", "factored", "control"])
def test_a_network_trains_as_it_does_alone(variant, monkeypatch):
    reseeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeded.append)
    generator = torch.Generator().manual_seed(0)
    pairs = torch.rand(64, 1, 8, 8, generator=generator), torch.randint(0, 10, (64,), generator=generator)
    settings = {"lr": 0.05, "steps": 12, "every": 6, "batch": 16} | SMALL
    tables = [train_convnets(variant, pairs, pairs, seeds=seeds, **settings) for seeds in ([0, 1], [1], [1, 0])]
    columns = ["step", "train_loss", "test_loss", "test_accuracy"]
    first, alone, last = (torch.tensor(table[table.seed == 1][columns].to_numpy()) for table in tables)
    torch.testing.assert_close(first, alone, rtol=1e-5, atol=1e-6, equal_nan=True)
    torch.testing.assert_close(last, alone, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert not reseeded  # the generators of other devices are none of its business


class Given(torch.nn.Module):
    """Dropout with a mask from outside."""

    def forward(self, x):
        return x * self.mask if self.training else x


@pytest.mark.parametrize("variant", ["original", "factored"])
def test_training_is_that_of_torchs_heavy_ball(variant):
    generator = torch.Generator().manual_seed(0)
    train, test = (
        (torch.rand(n, 1, 8, 8, generator=generator), torch.randint(0, 10, (n,), generator=generator)) for n in (8, 20)
    )
    settings = {"lr": 0.1, "momentum": 0.8, "steps": 5, "every": 2, "batch": 8} | SMALL
    frame = train_convnets(variant, train, test, seeds=[3], **settings)
    model = convnet_variant(variant, **SMALL, seed=3, size=8).train()
    model.dropout, masks = Given(), torch.Generator().manual_seed(2_000_003 + 3)
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8), []
    order = torch.Generator().manual_seed(1_000_003 + 3)
    for _ in range(5):  # an epoch is one batch, whose masks belong to its rows
        chosen = torch.randperm(8, generator=order)
        model.dropout.mask = torch.empty(8, 8).bernoulli_(0.5, generator=masks) / 0.5
        loss = torch.nn.functional.cross_entropy(model(train[0][chosen]), train[1][chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    means = [statistics.mean(losses[:2]), statistics.mean(losses[2:4]), losses[4]]
    assert frame.step.tolist() == [2, 4, 5]
    assert frame.train_loss.tolist() == pytest.approx(means, rel=1e-4)
    scores = model.eval()(test[0])
    last = frame.iloc[-1]
    assert last.test_loss == pytest.approx(torch.nn.functional.cross_entropy(scores, test[1]).item(), rel=1e-4)
    assert last.test_accuracy == pytest.approx((scores.argmax(-1) == test[1]).double().mean().item())
    assert frame.test_loss[:-1].isna().all()


def test_masks_drop_half_of_the_units():
    # Images and seed at which dropout moves the loss by much more than the error, with the weights of either torch.
    pairs = torch.full((32, 1, 8, 8), 1000.0), torch.arange(32) % 10
    model = convnet_variant("original", **SMALL, seed=9, size=8).train()
    settings = {"lr": 1e-9, "seeds": [9], "steps": 150, "every": 150, "batch": 32} | SMALL
    loss = train_convnets("original", pairs, pairs, **settings).train_loss.item()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        expected = [torch.nn.functional.cross_entropy(model(pairs[0]), pairs[1]).item() for _ in range(150)]
    model.eval()
    plain = torch.nn.functional.cross_entropy(model(pairs[0]), pairs[1]).item()
    mean, spread = statistics.mean(expected), statistics.stdev(expected) / 150**0.5
    assert abs(loss - mean) < 6 * spread < 0.3 * (mean - plain)
