"""Examples that a model does not take, and numbers that are not real, are refused before any work."""

import warnings

import pytest
import torch

from litrepro.coresets import (
    last_layer_gradients,
    last_layer_refresh,
    logistic_optimum,
    per_sample_gradients,
    rank_correlation,
)
from litrepro.nets import mlp

NET, X, Y = mlp(4, [5], 3), torch.ones(2, 4), torch.tensor([0, 2])
SIGNS = torch.ones(2)


@pytest.mark.parametrize("gradients", [last_layer_gradients, per_sample_gradients, last_layer_refresh])
@pytest.mark.parametrize("x", [X.double(), X.long(), X[:, :3], X[:, :0], X[0, 0]])
def test_examples_that_do_not_fit(gradients, x):
    keywords = {"step": 0.1} if gradients is last_layer_refresh else {}
    with pytest.raises(ValueError, match="must"):
        gradients(NET, x, Y, **keywords)


def test_a_head_that_is_not_linear():
    net = mlp(4, [5], 3)
    net.head = torch.nn.Sequential(net.head, torch.nn.Tanh())
    with pytest.raises(ValueError, match="head"):
        last_layer_gradients(net, X, Y)


def test_newtons_method_reaches_its_tolerance_in_single_precision():
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    y = torch.sign(x[:, 0] + 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = logistic_optimum(x, y, torch.ones(200), ridge=0.1)
    exact = logistic_optimum(x.double(), y.double(), torch.ones(200, dtype=torch.float64), ridge=0.1)
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-4)


def test_numbers_that_do_not_fit():
    with pytest.raises(ValueError, match="one dtype"):
        logistic_optimum(X, SIGNS.double(), SIGNS, ridge=1.0)
    with pytest.raises(ValueError, match="real"):
        rank_correlation(SIGNS, SIGNS * 1j)
