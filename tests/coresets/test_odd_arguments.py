"""Examples that a model does not take, and numbers that are not real, are refused before any work."""

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


def test_numbers_that_do_not_fit():
    with pytest.raises(ValueError, match="one dtype"):
        logistic_optimum(X, SIGNS.double(), SIGNS, ridge=1.0)
    with pytest.raises(ValueError, match="real"):
        rank_correlation(SIGNS, SIGNS * 1j)
