"""Networks with orders and step sizes of their own, side by side and alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from litrepro.nets import cnn5
from litrepro.training import batches, fit, train_side_by_side

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


def plain(seed, *layers):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), *layers, nn.Flatten(), nn.Linear(72, 3)).double()


def test_frozen_and_unused_weights():
    def build(seed):
        model = plain(seed)
        model[0].requires_grad_(False)
        return model

    class Spare(nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.body, self.spare = build(seed), nn.Linear(2, 2).double()

        def forward(self, x):
            return self.body(x)

    found = train_side_by_side([Spare(s) for s in (3, 5)], (X, Y), seeds=[3, 5], lr=[0.5, 0.1], epochs=2, batch_size=7)
    for m, (seed, lr) in enumerate(((3, 0.5), (5, 0.1))):
        history = fit(build(seed), (X, Y), epochs=2, batch_size=7, lr=lr, seed=seed, metrics=("loss",))
        assert found[:, m].tolist() == pytest.approx(history.value.tolist(), abs=1e-9)
    with pytest.raises(ValueError, match="trainable"):
        train_side_by_side([plain(0).requires_grad_(False)], (X, Y), seeds=[0], lr=[0.1], epochs=1)


def test_dropout_follows_the_seeds_alone():
    def run(seed):
        models = [plain(s, nn.Dropout(0.5)) for s in range(2)]
        return train_side_by_side(models, (X, Y), seeds=[seed, 1], lr=[0.1, 0.1], epochs=2, batch_size=7)

    state = torch.random.get_rng_state()
    first = run(0)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(first, run(0))
    assert not torch.equal(first[:, 1], run(4)[:, 1])
