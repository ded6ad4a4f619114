"""Backpropagation against autograd, and its cost against counting."""

import itertools

import pytest
import torch

from litrepro.landscape.backprop import backward, backward_naive, forward, multiplications

ACTIVATIONS = ["identity", "relu", "tanh", "sigmoid"]


def network(widths, seed=0):
    g = torch.Generator().manual_seed(seed)
    W = [torch.randn(b, a, generator=g, dtype=torch.float64) for a, b in itertools.pairwise(widths)]
    return W, [torch.randn(b, generator=g, dtype=torch.float64) for b in widths[1:]]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", [(3, 2), (3, 5, 4, 2), (2, 1, 1, 3, 2, 4, 1, 2, 3)])
@pytest.mark.parametrize("batch", [(), (6,), (2, 3)])
def test_gradients_by_autograd(activation, widths, batch):
    W, b = network(widths)
    x = torch.randn(*batch, widths[0], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    dx = torch.randn(*batch, widths[-1], generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    us, xs = forward(W, b, x, activation)
    assert (len(us), len(xs)) == (len(W), len(W) + 1)
    leaves = [t.clone().requires_grad_(True) for t in (*W, *b, x)]
    k = len(W)
    value = (forward(leaves[:k], leaves[k : 2 * k], leaves[-1], activation)[1][-1] * dx).sum()
    grads = torch.autograd.grad(value, leaves)
    for method in (backward, backward_naive):
        gW, gb, gx = method(W, us, xs, dx, activation)
        dims = tuple(range(len(batch)))
        for layer in range(k):
            torch.testing.assert_close(gW[layer].sum(dims) if dims else gW[layer], grads[layer])
            torch.testing.assert_close(gb[layer].sum(dims) if dims else gb[layer], grads[k + layer])
        torch.testing.assert_close(gx, grads[-1])


def test_costs_by_counting():
    assert multiplications((3, 5, 2), "forward") == 25
    assert multiplications((3, 5, 2), "backprop") == 25 + (5 + 30) + (2 + 20)
    assert multiplications((3, 5, 2), "naive") == 25 + (5 + 15 + 2 + 10) + (2 + 10) + (5 + 15 + 2 + 10)
    ratio = [
        multiplications([32] * (k + 1), "naive") / multiplications([32] * (k + 1), "backprop") for k in (8, 16, 32)
    ]
    assert ratio == pytest.approx([2.2, 3.5, 6.2], abs=0.1)


def test_bad_input():
    W, b = network((3, 4, 2))
    x = torch.ones(3, dtype=torch.float64)
    us, xs = forward(W, b, x)
    for call in (
        lambda: forward(W, b[:1], x),
        lambda: forward(W, b, torch.ones(2, dtype=torch.float64)),
        lambda: forward(W, b, x, "swish"),
        lambda: forward([], [], x),
        lambda: backward(W, us, xs[:-1], torch.ones(2, dtype=torch.float64)),
        lambda: backward(W, us, xs, torch.ones(3, dtype=torch.float64)),
        lambda: backward_naive(W, us, xs, torch.ones(2, dtype=torch.float64), "swish"),
        lambda: multiplications((3,), "forward"),
        lambda: multiplications((3, 0), "forward"),
        lambda: multiplications((3, 2), "magic"),
    ):
        with pytest.raises(ValueError):
            call()
