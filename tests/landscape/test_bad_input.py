"""What the landscape's functions refuse before any work, and bounds at the edge of what a float holds."""

import math

import pytest
import torch

from litrepro import landscape as la
from litrepro.landscape import backprop

X, Y = torch.linspace(0, 1, 8)[:, None], torch.linspace(0, 1, 8)
LAYERS = [torch.ones(2, 1), torch.ones(1, 2)], [torch.ones(2), torch.zeros(1)]
US, XS = backprop.forward(*LAYERS, torch.ones(5, 1))
DX = torch.ones(5, 1)


def features(x=X, y=Y, activation=torch.relu, generator=0):
    return la.fit_random_features(x, y, 4, activation, generator=generator)


@pytest.mark.parametrize(
    "call",
    [
        lambda: features(x=X.double()),
        lambda: features(x=X * math.nan),
        lambda: features(y=Y.half()),
        lambda: features(activation=None),
        lambda: features(activation=lambda u: 3.0),
        lambda: features(activation=lambda u: u / 0),
        lambda: features(generator="x"),
        lambda: features(x=X[:0], y=Y[:0]),
        lambda: features()(Y),
        lambda: features()(torch.ones(3, 2)),
        lambda: features()(X.double()),
        lambda: features()(None),
        lambda: la.gradient(None, Y),
        lambda: la.hessian(5, Y),
        lambda: la.quadratic(Y, None),
        lambda: la.quadratic(torch.ones(2), torch.ones(2) * 1j),
        lambda: la.quartic_saddle(torch.ones(3, 0)),
        lambda: la.interpolating_resnet(X * 1j, torch.arange(8), 8),
        lambda: la.interpolating_resnet(torch.ones(1, 0), torch.tensor([0]), 1),
        lambda: la.rescale_relu(None, LAYERS[1], 2.0),
        lambda: la.rescale_relu([1, 1], LAYERS[1], 2.0),
        lambda: la.rescale_relu(LAYERS[0], [torch.ones(3), torch.zeros(1)], 2.0),
        lambda: la.rescale_relu([torch.ones(3, 2, 1), torch.ones(4, 1, 2)], [torch.ones(2), torch.ones(1)], 2.0),
        lambda: la.rescale_relu(LAYERS[0], [b.expand(k, -1) for b, k in zip(LAYERS[1], (3, 4))], 2.0),
        lambda: la.segment(5, Y, Y, Y),
        lambda: la.segment(lambda w: 3.0, Y, Y, Y),
        lambda: la.segment(lambda w: w @ torch.ones(3), Y, Y, Y),
        lambda: la.segment(lambda w: w.sum(-1), Y, Y.double(), Y),
        lambda: la.segment(lambda w: w.sum(-1), Y, Y, Y * 1j),
        lambda: la.strict_saddle(None, torch.ones(2), eps=1.0, gamma=1.0),
        lambda: la.strict_saddle(la.product_loss, torch.ones(2).half(), eps=1.0, gamma=1.0),
        lambda: la.strict_saddle(lambda x: x.sum(-1), torch.ones(0), eps=1.0, gamma=1.0),
        lambda: la.strict_saddle(la.product_loss, torch.ones(2), eps=1.0, gamma=1.0, minima=5),
        lambda: la.strict_saddle(lambda x: (x.sum(-1) - 2).abs().pow(1.5), torch.ones(2), eps=1.0, gamma=1.0),
        lambda: la.tensor_decomposition(torch.ones(2, 2), torch.ones(0, 0)),
        lambda: la.cosine_wells(torch.ones(2), None),
        lambda: la.cosine_wells(torch.ones(2), torch.ones(2) * 1j),
        lambda: la.cosine_wells(torch.ones(2), torch.ones(2), torch.eye(2).double()),
        lambda: la.near_critical(torch.ones(3, 2), 4),
        lambda: la.near_critical(torch.eye(2), 4, generator="x"),
        lambda: backprop.forward(None, LAYERS[1], torch.ones(1)),
        lambda: backprop.forward(LAYERS[0], [None, None], torch.ones(1)),
        lambda: backprop.forward(*LAYERS, torch.ones(5, 1).double()),
        lambda: backprop.backward(LAYERS[0], [Y], None, Y),
        lambda: backprop.backward(LAYERS[0], US, [XS[0][:1], *XS[1:]], DX),
        lambda: backprop.backward(LAYERS[0], US, [XS[0][:2], *XS[1:]], DX),
        lambda: backprop.backward(LAYERS[0], US, [*XS[:2], XS[2][:1]], DX),
        lambda: backprop.backward_naive(LAYERS[0], [US[0][:1], US[1]], XS, DX),
        lambda: backprop.backward_naive(LAYERS[0], US, XS, DX.double()),
        lambda: backprop.multiplications(5, "forward"),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_edges():
    assert la.sawtooth_lower_bound(10_000, 5) == 0.125
    assert la.tensor_decomposition(torch.ones(0, 4), torch.eye(2)).shape == (0,)
    assert la.gradient(lambda x: (x**4).sum(-1), torch.ones(3, 0)).shape == (3, 0)
    assert la.hessian(lambda x: (x**4).sum(-1), torch.ones(3, 0)).shape == (3, 0, 0)
    assert torch.equal(la.near_critical(torch.eye(2), 3, generator=0), la.near_critical(torch.eye(2), 3))
