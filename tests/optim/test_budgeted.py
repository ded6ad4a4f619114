"""Descent with a budget per trial, against torch.optim on every trial by itself."""

import pytest
import torch

from litrepro.optim import budgeted_descent

DOUBLE = torch.float64


def wells(x):
    return (1 - x.cos()).sum(-1) + x.square().prod(-1) / 10


def test_every_trial_takes_its_own_steps():
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    budget = torch.tensor([[0, 1, 7], [3, 20, 2]])
    lr = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], dtype=DOUBLE)
    found = budgeted_descent(wells, x, lr=lr, budget=budget)
    for i, j in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        alone = x[i, j].clone().requires_grad_()
        rival = torch.optim.SGD([alone], lr=lr[i, j].item())
        for _ in range(int(budget[i, j])):
            rival.zero_grad()
            wells(alone).backward()
            rival.step()
        assert torch.allclose(found[i, j], alone.detach(), atol=1e-12)
    assert torch.equal(found[0, 0], x[0, 0])
    assert not found.requires_grad


def test_a_trial_that_diverges_is_alone():
    cube = lambda x: x.abs().pow(3).sum(-1)  # noqa: E731
    x = torch.tensor([[1e3], [0.1]], dtype=DOUBLE)
    found = budgeted_descent(cube, x, lr=0.5, budget=torch.tensor([30, 30]))
    assert not found[0].isfinite().any()
    assert torch.equal(found[1:], budgeted_descent(cube, x[1:], lr=0.5, budget=torch.tensor([30])))
    assert budgeted_descent(cube, x[0], lr=0.1, budget=torch.tensor(0)).item() == 1e3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": torch.tensor([1, -1])}, "budget"),
        ({"budget": torch.tensor([1.0, 1.0])}, "budget"),
        ({"budget": torch.tensor([1])}, "budget"),
        ({"budget": 3}, "budget"),
        ({"lr": 0.0}, "lr"),
        ({"lr": torch.ones(3)}, "lr"),
        ({"fn": None}, "fn"),
        ({"x": torch.ones(2, 2, dtype=torch.int64)}, "x"),
    ],
)
def test_bad_input_is_refused(options, message):
    settings = {"fn": wells, "x": torch.ones(2, 2), "lr": 0.1, "budget": torch.tensor([1, 2])} | options
    with pytest.raises(ValueError, match=message):
        budgeted_descent(settings.pop("fn"), settings.pop("x"), **settings)
