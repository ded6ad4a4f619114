"""Networks with orders and step sizes of their own, side by side and alone."""

import pytest
import torch
from torch.nn import functional

from litrepro.nets import cnn5
from litrepro.training import batches, train_side_by_side

GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(20, 2, 8, 8, generator=GENERATOR, dtype=torch.float64)
Y = torch.randint(3, (20,), generator=GENERATOR)
SEEDS, LR = [3, 3, 5], [0.0, 0.05, 0.2]
SETTINGS = {"seeds": SEEDS, "lr": LR, "epochs": 3, "batch_size": 7, "momentum": 0.9}


def networks():
    return [cnn5(2, num_classes=3, in_channels=2, size=8, seed=s).double() for s in SEEDS]


def alone(model, seed, lr):
    """Losses before and after each epoch with torch's optimizer."""
    optimizer, found = torch.optim.SGD(model.parameters(), lr, momentum=0.9), []
    for epoch in range(4):
        model.eval()
        found.append(functional.cross_entropy(model(X), Y).item())
        model.train()
        for rows in batches(20, 7, seed, epoch) if epoch < 3 else ():
            optimizer.zero_grad()
            functional.cross_entropy(model(X[rows]), Y[rows]).backward()
            optimizer.step()
    return found


def test_every_member_trains_as_it_would_alone():
    found = train_side_by_side(networks(), (X, Y), **SETTINGS)
    expected = [alone(*member) for member in zip(networks(), SEEDS, LR)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64).mT)
    sparse = train_side_by_side(networks(), (X, Y), **SETTINGS | {"record_every": 3})
    torch.testing.assert_close(sparse, found[[0, 3]])
    with_function = train_side_by_side(
        networks(), (X, Y), **SETTINGS,
        loss=lambda scores, y: functional.cross_entropy(scores.movedim(-1, 1), y, reduction="none"),
    )  # fmt: skip
    torch.testing.assert_close(with_function, found)


def test_a_member_that_diverges_disturbs_nobody():
    found = train_side_by_side(networks(), (X, Y), **SETTINGS | {"lr": [0.0, 1e200, 0.2]})
    assert not found[-1, 1].isfinite()
    torch.testing.assert_close(found[:, [0, 2]], train_side_by_side(networks(), (X, Y), **SETTINGS)[:, [0, 2]])


@pytest.mark.parametrize(
    "change",
    [{"models": []}, {"models": [None] * 3}, {"train": (X, Y[:3])}, {"train": (X.flatten(1), Y)}, {"seeds": [0]},
     {"lr": [0.1]}, {"lr": [-1, 0, 0]}, {"epochs": -1}, {"batch_size": 0}, {"momentum": -1}, {"loss": "mse"},
     {"record_every": 0}, {"loss": lambda scores, y: scores}, {"train": None}],
)  # fmt: skip
def test_refuses(change):
    good = {"models": networks(), "train": (X, Y)} | SETTINGS
    with pytest.raises(ValueError, match="must"):
        train_side_by_side(**(good | change))
