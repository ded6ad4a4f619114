"""The factored linear layer and the MNIST network."""

import pytest
import torch
from torch import nn

from litrepro.nets import FactoredLinear, mnist_convnet


def test_depth_one_is_a_linear_layer():
    torch.manual_seed(3)
    ours = FactoredLinear(7, 4, depth=1)
    torch.manual_seed(3)
    theirs = nn.Linear(7, 4)
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)
    x = torch.randn(2, 5, 7)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize(("depth", "hidden"), [(2, None), (3, 5), (4, 1)])
def test_factors_and_product(depth, hidden):
    layer = FactoredLinear(7, 4, depth, hidden, bias=False)
    width = 4 if hidden is None else hidden
    assert [tuple(f.shape) for f in layer.factors] == [(width, 7), *[(width, width)] * (depth - 2), (4, width)]
    assert layer.bias is None
    x = torch.randn(3, 7)
    expected = x
    for factor in layer.factors:
        expected = expected @ factor.T
    torch.testing.assert_close(layer(x), expected)
    layer(x).sum().backward()
    assert all(factor.grad is not None for factor in layer.factors)


@pytest.mark.parametrize("bad", [{"depth": 0}, {"depth": True}, {"hidden": 0}, {"in_features": 0}, {"out_features": 0}])
def test_bad_layers(bad):
    with pytest.raises(ValueError, match="must"):
        FactoredLinear(**({"in_features": 3, "out_features": 2} | bad))


@pytest.mark.parametrize("factored", [False, True])
def test_the_network(factored):
    state = torch.random.get_rng_state()
    model = mnist_convnet((4, 6), 16, factored=factored, in_channels=3, size=30, num_classes=7, seed=2)
    assert torch.equal(state, torch.random.get_rng_state())
    again = mnist_convnet((4, 6), 16, factored=factored, in_channels=3, size=30, num_classes=7, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    x = torch.randn(2, 3, 30, 30)
    model.eval()
    assert model.features(x).shape == (2, 16)
    torch.testing.assert_close(model(x), model.head(model.features(x)))
    assert model(x).shape == (2, 7)
    assert isinstance(model.head, FactoredLinear if factored else nn.Linear)


def test_start_of_the_network():
    plain, factored = mnist_convnet(seed=1), mnist_convnet(seed=1, factored=True)
    assert torch.equal(plain.dense.weight, factored.dense.factors[0])
    assert torch.equal(plain.head.weight, factored.head.factors[0])
    assert factored.dense.factors[1].shape == (512, 512)
    assert factored.head.factors[1].shape == (10, 10)
    for weight in (plain.conv2.weight, plain.dense.weight, factored.dense.factors[1]):
        assert weight.abs().max() <= 0.2
        assert weight.std().item() == pytest.approx(0.088, abs=0.002)
    assert plain.conv1.bias.abs().max() == 0
    for layer in (plain.conv2, plain.dense, factored.head):
        assert torch.all(layer.bias == 0.1)
    assert plain.dropout.p == 0.5


@pytest.mark.parametrize(
    "bad",
    [
        {"channels": (3,)},
        {"channels": (0, 2)},
        {"hidden": 0},
        {"size": 3},
        {"dropout": 1.0},
        {"num_classes": 0},
        {"seed": 2**64},
    ],
)
def test_bad_networks(bad):
    with pytest.raises(ValueError, match="must"):
        mnist_convnet(**bad)
