"""What the functions on linear networks refuse before any work, and trials that are not finite beside others."""

import math

import pytest
import torch

from litrepro import linearnets as ln

DOUBLE = torch.float64
W, X, Y = torch.ones(2, 3), torch.eye(3, dtype=DOUBLE), torch.ones(1, 3, dtype=DOUBLE)
GRID, PROBLEM = torch.tensor([0.1, 0.2]), ln.regression(X, Y, 2.0)
DEPTHS = ln.depth_sweep(PROBLEM, GRID, depths=(1, 2), seeds=[0], steps=2, every=1)
MOMENTA = ln.momentum_sweep([1.0], depths=(1,), lrs=GRID, momenta=GRID, seeds=[0], steps=2)
IMAGES = torch.zeros(4, 1, 8, 8), torch.arange(4)


def chains(grad=lambda w: w, loss=lambda w: w.sum(-1), scalars=GRID[:, None], depths=torch.tensor([1, 2])):  # noqa: B008
    return ln.train_chains(grad, loss, torch.ones(2, 3), scalars, depths, lr=0.1, steps=1, every=1)


def sweep(problem=PROBLEM, lrs=GRID, depths=(1,), seeds=(0,)):
    return ln.depth_sweep(problem, lrs, depths=depths, seeds=seeds, steps=1, every=1)


def momentum(conditions=(1.0,), lrs=GRID, **options):
    return ln.momentum_sweep(conditions, lrs=lrs, steps=1, **({"momenta": GRID, "seeds": [0]} | options))


def summary(**options):
    grids = {"conditions": [1.0], "depths": (1,), "lrs": GRID, "momenta": GRID}
    return ln.summarize_momentum(**({"sweep": MOMENTA} | grids | options))


def phase(powers=GRID + 2, conditions=GRID + 1, lrs=GRID, **options):
    return ln.speedup_map(powers, conditions, depth=2, lrs=lrs, steps=1, **options)


def convnets(train=IMAGES, test=IMAGES, **options):
    sizes = {"channels": (2, 3), "hidden": 4, "lr": 0.1, "seeds": [0], "steps": 1, "every": 1, "batch": 2}
    return ln.train_convnets("original", train, test, **(sizes | options))


@pytest.mark.parametrize(
    "call",
    [
        lambda: ln.balanced_factors(W.half(), 2),
        lambda: ln.preconditioner(W.half(), 2),
        lambda: ln.induced_direction(W.half(), W.half(), 2),
        lambda: ln.deficiency_margin(W.expand(2, 2, 3), W.expand(3, 2, 3)),
        lambda: ln.factor_gradients([W.expand(2, 2, 3)], W.expand(3, 2, 3)),
        lambda: ln.train_factors(None, [W], lr=0.1, steps=1),
        lambda: ln.emulate(5, W, depth=1, lr=0.1, steps=1),
        lambda: ln.emulate(lambda w: w, W.half(), depth=2, lr=0.1, steps=1),
        lambda: ln.circulation(None, torch.ones(3, 1, 2)),
        lambda: ln.circulation(lambda w: w[..., 5], torch.ones(3, 1, 2)),
        lambda: ln.circulation(lambda w: w, torch.ones(3, 1, 0)),
        lambda: ln.circulation(lambda w: w, torch.tensor([0.0, 1.0, math.nan])[:, None, None]),
        lambda: ln.gradient_lower_bound(torch.ones(2, 2, 2).half(), torch.ones(2, 2).half()),
        lambda: ln.zou_rate(W * math.nan, None, None, 2, 0.1),
        lambda: ln.zou_rate(W[:0], None, None, 2, 0.1),
        lambda: ln.zou_rate(W, None, None, 2, torch.tensor(0.1j)),
        lambda: ln.zou_rate(W, None, W[:, :2].double(), 2, 0.1),
        lambda: ln.linear_resnet_descent(W, W, 2, step=0.1, iterations=1, generator="x"),
        lambda: ln.orthogonal_factors(2, 2, 3, 2, generator="x"),
        lambda: ln.orthogonal_factors(2, 2, 3, 2, dtype=torch.float16),
        lambda: ln.minimizer_curvature(GRID, GRID.double(), 2),
        lambda: ln.minimizer_curvature(GRID, GRID / 0, 2),
        lambda: ln.reparameterized_step(GRID, GRID[0], GRID, GRID[0], None, lr=0.1, momentum=0.5),
        lambda: ln.reparameterized_step(GRID, GRID[0], GRID.double(), GRID[0], torch.neg, lr=0.1, momentum=0.5),
        lambda: ln.regression(X.float(), Y.float(), 2.0),
        lambda: ln.draw_starts(2.5, 1, [0]),
        lambda: ln.draw_starts(2, 1, []),
        lambda: ln.draw_starts(2, 1, 5),
        lambda: chains(grad=None),
        lambda: chains(grad=lambda w: 3.0),
        lambda: chains(loss=5),
        lambda: chains(loss=lambda w: w),
        lambda: chains(scalars=GRID[:, None].double()),
        lambda: chains(depths=[1, 2]),
        lambda: ln.steps_to([0, 1], GRID, 0.1),
        lambda: ln.steps_to(torch.arange(2), None, 0.1),
        lambda: ln.steps_to(torch.arange(2), GRID, math.nan),
        lambda: ln.steps_to(torch.arange(2), GRID, torch.ones(5, 1)),
        lambda: sweep(problem=None),
        lambda: sweep(lrs=[0.1]),
        lambda: sweep(lrs=GRID * 1j),
        lambda: sweep(lrs=GRID[0]),
        lambda: sweep(depths=5),
        lambda: sweep(seeds=()),
        lambda: ln.rule_sweep(PROBLEM, GRID, rule="gd", depth="x", seeds=[0], steps=1, every=1),
        lambda: ln.summarize_depths(DEPTHS, GRID[:1], (1, 2), {}),
        lambda: ln.summarize_depths(DEPTHS, GRID, (1, 2), None),
        lambda: ln.summarize_depths(None, GRID, (1, 2), {}),
        lambda: momentum(conditions=5),
        lambda: momentum(lrs=GRID[None]),
        lambda: momentum(seeds=None),
        lambda: momentum(device="nowhere"),
        lambda: ln.best_momenta(MOMENTA, GRID * 1j),
        lambda: ln.best_momenta("x", GRID),
        lambda: summary(sweep=None),
        lambda: summary(depths=5),
        lambda: summary(lrs=GRID * 1j),
        lambda: phase(powers=GRID / 0),
        lambda: phase(conditions=None),
        lambda: phase(lrs=GRID[:0]),
        lambda: phase(m=2),
        lambda: ln.convnet_variant("original", channels=5, hidden=4, seed=0),
        lambda: convnets(train=5),
        lambda: convnets(train=(IMAGES[0].double(), IMAGES[1])),
        lambda: convnets(test=(IMAGES[0], IMAGES[1] + 7)),
        lambda: convnets(test=(torch.zeros(4, 1, 12, 12), IMAGES[1])),
        lambda: convnets(lr=math.nan),
        lambda: convnets(batch=0),
        lambda: convnets(seeds=5),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match=r"must|expected"):
        call()


def test_a_trial_that_is_not_finite_has_no_bound_and_leaves_the_others_theirs():
    blocks = torch.stack([torch.zeros(2, 2, 2), torch.full((2, 2, 2), math.nan)])
    covariance = torch.stack([torch.eye(2), torch.full((2, 2), math.inf)])
    for bound in (
        ln.gradient_lower_bound(blocks, 2 * torch.eye(2)),
        ln.gradient_lower_bound(blocks[0], 2 * torch.eye(2), covariance),
    ):
        assert bound[0] == ln.gradient_lower_bound(blocks[0], 2 * torch.eye(2))
        assert bound[1].isnan()


def test_batches_of_no_trials():
    empty = torch.ones(0, 2, 2)
    assert ln.preconditioner(empty, 3).shape == (0, 4, 4)
    assert ln.zou_rate(empty, None, None, 2, 0.1).shape == (0,)
    assert ln.linear_resnet_descent(empty, empty, 3, step=0.1, iterations=2).loss.shape == (0, 3)


def test_labels_of_other_integers():
    assert len(convnets(train=(IMAGES[0], IMAGES[1].int()))) == 1
