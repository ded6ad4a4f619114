"""Training errors of two-layer networks, each on its own examples."""

import pytest
import torch
from torch.nn import functional

from litrepro import ConvergenceWarning
from litrepro.interpolation import two_layer_training_errors
from litrepro.nets import mlp
from litrepro.training import batches

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(3, 40, 4, generator=GENERATOR)
LABELS = torch.randint(3, (3, 40), generator=GENERATOR)


def by_autograd(x, labels, lengths, seed, lr):
    """One network, one library optimizer."""
    model, found = mlp(4, [5], 3, seed=seed), []
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    for epoch in range(lengths[-1]):
        for rows in batches(len(x), 12, seed, epoch):
            optimizer.zero_grad()
            functional.cross_entropy(model(x[rows]), labels[rows]).backward()
            optimizer.step()
        if epoch + 1 in lengths:
            found.append((model(x).argmax(1) != labels).double().mean())
    return torch.stack(found)


def test_every_network_is_ordinary_training():
    settings = {"lr": 0.05, "batch_size": 12, "num_classes": 3}
    found = two_layer_training_errors(X, LABELS, 5, [1, 4, 9], seeds=[2, 7, 2], **settings)
    expected = [by_autograd(x, labels, [1, 4, 9], seed, 0.05) for x, labels, seed in zip(X, LABELS, (2, 7, 2))]
    torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=1e-12)
    assert found.shape == (3, 3)
    assert 0 < found[:, -1].max() < found[:, 0].max()  # they have learned something, not everything
    double = two_layer_training_errors(X.double(), LABELS.int(), 5, [9], seeds=[2, 7, 2], **settings)
    torch.testing.assert_close(double[:, 0], found[:, -1], rtol=0, atol=0.051)


def test_a_network_that_diverges_is_alone_in_it():
    x = X.clone()
    x[1] *= 1e20
    with pytest.warns(ConvergenceWarning, match="member 1 "):
        found = two_layer_training_errors(x, LABELS, 5, [2, 3], seeds=[2, 7, 2], num_classes=3)
    alone = two_layer_training_errors(x[[0, 2]], LABELS[[0, 2]], 5, [2, 3], seeds=[2, 2], num_classes=3)
    assert found[1].isnan().all()
    torch.testing.assert_close(found[[0, 2]], alone)


@pytest.mark.parametrize(
    "change",
    [
        {"x": X[0]}, {"x": X.long()}, {"x": X.half()}, {"x": X / 0}, {"x": X[:2]}, {"labels": LABELS.float()},
        {"labels": LABELS + 1}, {"labels": LABELS[:, :3]}, {"seeds": [1]}, {"seeds": 5}, {"seeds": [0, 1, -1]},
        {"epochs": []}, {"epochs": [3, 2]}, {"epochs": [0]}, {"hidden": 0}, {"lr": -1}, {"batch_size": 0},
    ],
)  # fmt: skip
def test_refuses(change):
    good = {"x": X, "labels": LABELS, "hidden": 5, "epochs": [1], "seeds": [0, 1, 2], "num_classes": 3}
    with pytest.raises(ValueError, match="must"):
        two_layer_training_errors(**(good | change))
