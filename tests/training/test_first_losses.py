"""The losses of the first steps."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from litrepro.nets import mlp
from litrepro.training import batches, first_losses

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(30, 4, generator=GENERATOR)
Y = torch.randint(3, (30,), generator=GENERATOR)


def test_they_are_those_of_gradient_descent_with_momentum_by_hand():
    parts = batches(30, 8, 0, 0)
    found = first_losses(mlp(4, [5], 3, seed=1), (X, Y), parts, lr=0.1, momentum=0.8)
    model, expected = mlp(4, [5], 3, seed=1), []
    speeds = [torch.zeros_like(p) for p in model.parameters()]
    for chosen in parts:
        loss = functional.cross_entropy(model(X[chosen]), Y[chosen])
        expected.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for p, v, g in zip(model.parameters(), speeds, gradients):
            v.mul_(0.8).add_(g)
            p.data.sub_(0.1 * v)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=0)


def test_they_end_with_the_first_that_is_no_number():
    found = first_losses(mlp(4, [5], 3, seed=1), (X, Y), [torch.arange(30)] * 50, lr=1e30)
    assert 2 <= len(found) < 50
    assert found[:-1].isfinite().all()
    assert math.isnan(found[-1])


@pytest.mark.parametrize(
    "change",
    [{"model": None}, {"train": (X, Y[:3])}, {"train": (X, Y.float())}, {"batches": []}, {"batches": [[0, 1]]},
     {"batches": 5}, {"lr": -1}, {"momentum": math.nan}],
)  # fmt: skip
def test_refuses(change):
    good = {"model": nn.Linear(4, 3), "train": (X, Y), "batches": [torch.arange(3)], "lr": 0.1}
    with pytest.raises(ValueError, match="must"):
        first_losses(**(good | change))
