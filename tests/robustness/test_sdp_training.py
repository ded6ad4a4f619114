"""Training on the semidefinite certificate: the loss by hand, the start, and what it is for."""

import math

import pytest
import torch

from litrepro.nets import mlp
from litrepro.robustness import CertifiedMLP, gradient_sdp_matrix, sdp_gradient_bound, sdp_objective
from litrepro.training import fit

X = torch.rand(40, 6, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 3).long()


def test_a_perceptron_with_gershgorins_point():
    model, plain = CertifiedMLP(6, 5, seed=3), mlp(6, [5], 2, seed=3)
    torch.testing.assert_close(model(X), plain(X))
    torch.testing.assert_close(model.features(X), plain.features(X))
    v, W = plain.head.weight[0] - plain.head.weight[1], plain.body[0].weight
    M = gradient_sdp_matrix(v, W)
    torch.testing.assert_close(model.c.detach(), M.abs().sum(1).detach())
    # At that point the matrix is dominated by its diagonal: the bound is a quarter of the sum.
    assert model.dual().item() == pytest.approx(model.c.sum().item() / 4, rel=1e-5)
    assert model.dual().item() >= sdp_gradient_bound(v.detach(), W.detach()).bound.item() - 1e-5


@pytest.mark.parametrize(("t", "share"), [(0.0, 0.0), (0.25, 0.5), (0.8, 1.0)])
def test_the_loss_by_hand(t, share):
    model = CertifiedMLP(6, 5)
    reach = 0.1 * share * model.dual().item()
    losses = [
        math.log1p(math.exp(-(scores[label] - scores[1 - label] - reach).item())) for scores, label in zip(model(X), Y)
    ]
    found = sdp_objective(0.1)(model, X, Y, t, None)
    assert found.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    if share:
        found.backward()
        assert model.c.grad.abs().sum() > 0


def test_training_lowers_the_bound_that_it_pays_for():
    ends = []
    for radius in (0.0, 0.1):
        model = CertifiedMLP(6, 5)
        fit(model, (X, Y), epochs=30, batch_size=20, optimizer="adam", lr=1e-2, objective=sdp_objective(radius))
        v, W = model.net.head.weight.detach().double(), model.net.body[0].weight.detach().double()
        ends.append(sdp_gradient_bound(v[0] - v[1], W).bound.item())
    assert ends[1] < 0.8 * ends[0]


@pytest.mark.parametrize("arguments", [(0, 3), (4, 0), (4.5, 3), ("4", 3)])
def test_sizes_that_are_none(arguments):
    with pytest.raises(ValueError, match="must be an integer"):
        CertifiedMLP(*arguments)


def test_bad_seed_radius_and_model():
    with pytest.raises(ValueError, match="seed"):
        CertifiedMLP(4, 3, seed=-1)
    for radius in (-0.1, math.inf, "0.1"):
        with pytest.raises(ValueError, match="radius"):
            sdp_objective(radius)
    with pytest.raises(ValueError, match="CertifiedMLP"):
        sdp_objective(0.1)(mlp(6, [5], 2), X, Y, 0.5, None)
