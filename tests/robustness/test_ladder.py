"""Logits of layers, margins under attack, first-order margins and smallest radii, against what is known exactly."""

import itertools

import pytest
import torch

from litrepro.nets import mlp
from litrepro.robustness import (
    affine_layers,
    attack_margins,
    deepfool,
    exact_margins,
    ibp_margins,
    layer_logits,
    linearized_margins,
    pgd,
    smallest_radius,
)

F64 = torch.float64
GENERATOR = torch.Generator().manual_seed(0)
NET = mlp(6, [7, 5], 3, seed=1)
LAYERS = [(W.detach().double(), b.detach().double()) for W, b in affine_layers(NET)]
X, Y = torch.rand(8, 6, generator=GENERATOR, dtype=F64), torch.randint(3, (8,), generator=GENERATOR)
W = torch.randn(3, 6, generator=GENERATOR, dtype=F64)


def affine(z):
    return z @ W.T


def test_logits_are_the_networks():
    torch.testing.assert_close(layer_logits(LAYERS, X.float()), NET(X.float()).double(), rtol=1e-5, atol=1e-6)
    assert layer_logits(LAYERS, X.reshape(2, 4, 6)).shape == (2, 4, 3)
    torch.testing.assert_close(layer_logits(NET, X), NET(X.float()))


def test_margins_lie_above_the_exact_ones_and_below_the_clean_ones():
    pytest.importorskip("scipy")
    exact = exact_margins(LAYERS, X, Y, 0.1).margin
    assert (ibp_margins(LAYERS, X, Y, 0.1) <= exact + 1e-9).all()
    clean = layer_logits(LAYERS, X)
    clean = clean.gather(1, Y[:, None]) - clean
    rival = clean.scatter(1, Y[:, None], torch.inf).argmin(1)
    plain = attack_margins(LAYERS, X, Y, 0.1, restarts=2)
    aimed = attack_margins(LAYERS, X, Y, 0.1, restarts=2, classes=rival)
    for found in (plain, aimed):
        assert (found >= exact - 1e-7).all()
        assert (found.gather(1, Y[:, None]) == 0).all()
    assert (aimed <= torch.minimum(plain, clean)).all()
    worst = plain.scatter(1, Y[:, None], torch.inf).amin(1)
    assert (worst <= clean.scatter(1, Y[:, None], torch.inf).amin(1)).all()
    assert (worst - exact.scatter(1, Y[:, None], torch.inf).amin(1)).max() < 0.05


def test_margins_are_those_at_the_point_of_pgd():
    point = pgd(lambda z: layer_logits(LAYERS, z), X, Y, 0.2, steps=5, loss="margin")
    logits = layer_logits(LAYERS, point)
    found = attack_margins(LAYERS, X, Y, 0.2, steps=5)
    torch.testing.assert_close(found, logits.gather(1, Y[:, None]) - logits)


@pytest.mark.parametrize("box", [None, (0.0, 1.0)])
def test_first_order_is_exact_for_an_affine_model(box):
    eps = 0.3
    expected = torch.full((8,), -torch.inf, dtype=F64)
    for signs in itertools.product((-eps, eps), repeat=6):  # the maximum lies in a corner of the box within the ball
        corner = X + torch.tensor(signs, dtype=F64)
        logits = affine(corner if box is None else corner.clamp(*box))
        margin = logits.scatter(1, Y[:, None], -torch.inf).amax(1) - logits.gather(1, Y[:, None])[:, 0]
        expected = torch.maximum(expected, margin)
    torch.testing.assert_close(linearized_margins(affine, X, Y, eps, box=box), expected)


def test_first_order_at_radius_zero_is_the_margin():
    logits = layer_logits(LAYERS, X)
    margin = logits.scatter(1, Y[:, None], -torch.inf).amax(1) - logits.gather(1, Y[:, None])[:, 0]
    torch.testing.assert_close(linearized_margins(lambda z: layer_logits(LAYERS, z), X, Y, 0.0), margin)


def test_smallest_radius_of_an_affine_model():
    labels = affine(X).argmax(1)
    found = smallest_radius(affine, X, labels, largest=4.0, box=None, halvings=12)
    exact = (deepfool(affine, X) - X).norm(dim=1) / 1.02  # exact up to its overshoot on affine models
    torch.testing.assert_close(found, exact, rtol=0.02, atol=4 / 2**12)
    assert (found >= exact - 1e-9).all()
    assert (smallest_radius(affine, X, labels, largest=1e-6, box=None) == 1e-6).all()


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: layer_logits(LAYERS, X[:, :5]), "must have shape"),
        (lambda: layer_logits([], X), "at least one"),
        (lambda: layer_logits(LAYERS, X.long()), "floating"),
        (lambda: attack_margins(LAYERS, X, Y, -0.1), "eps"),
        (lambda: attack_margins(LAYERS, X + 1, Y, 0.1), "box"),
        (lambda: attack_margins(LAYERS, X, Y[:3], 0.1), "length"),
        (lambda: linearized_margins(affine, X, Y + 3, 0.1), "labels"),
        (lambda: linearized_margins(affine, X, Y, "wide"), "eps"),
        (lambda: smallest_radius(affine, X, Y, largest=0.0), "largest"),
        (lambda: smallest_radius(affine, X, Y, halvings=0), "halvings"),
        (lambda: smallest_radius(affine, X, Y, norm="l3"), "norm"),
    ],
)
def test_bad_arguments(call, what):
    with pytest.raises(ValueError, match=what):
        call()
