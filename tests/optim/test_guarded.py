"""Accelerated descent until proven guilty against its three algorithms, written out for one trial."""

import math

import pytest
import torch

from litrepro.optim.accelerated import guarded_agd

F64 = {"dtype": torch.float64}


def wells(x):
    """sum a_i (1 - cos x_i), a from 1/2 to 1."""
    return (torch.linspace(0.5, 1, x.shape[-1], **F64) * (1 - torch.cos(x))).sum(-1)


def gradient(fn, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(fn(x), x)[0]


def until_guilty(hat, p, smoothness, alpha, tol):
    """Algorithm 1 with its certificate: the x_j and y_j, the witness (None: converged), and the steps."""
    root = math.sqrt(smoothness / alpha)
    xs, ys = [p], [p]
    for t in range(1, 10_000):
        ys.append(xs[-1] - gradient(hat, xs[-1]) / smoothness)
        xs.append(ys[-1] + (root - 1) / (root + 1) * (ys[-1] - ys[-2]))
        g = gradient(hat, ys[-1])
        if g.norm() <= tol:
            return xs, ys, None, t
        if hat(ys[-1]) > hat(p):
            return xs, ys, p, t
        z = ys[-1] - g / smoothness
        psi = hat(p) - hat(z) + alpha / 2 * (z - p).square().sum()
        if g.square().sum() > 2 * smoothness * psi * math.exp(-t / root):
            return xs, ys, z, t
    raise AssertionError("neither converged nor guilty")


def by_hand(fn, p, smoothness, lipschitz, tol, alpha):
    calls, outer, exploited = 1, 0, 0
    while gradient(fn, p).norm() > tol:

        def hat(x, p=p):
            return fn(x) + alpha * (x - p).square().sum()

        xs, ys, witness, steps = until_guilty(hat, p, smoothness + 2 * alpha, alpha, tol / 10)
        pairs = []
        for x, y in zip(xs[:steps], ys) if witness is not None else ():
            for u in (y, witness):
                square = (u - x).square().sum()
                excess = hat(x) + gradient(hat, x) @ (u - x) + alpha / 2 * square - hat(u)
                pairs += [(excess / square, u, x)] if square > 0 and excess > 0 else []
        if pairs:
            _, u, v = max(pairs, key=lambda pair: pair[0])
            side = alpha / lipschitz * (u - v) / (u - v).norm()
            around = [u + side, u - side]
            p = min([*ys, *around], key=fn)
            exploited += any(p is point for point in around)
        else:
            p = ys[-1]
        calls, outer = calls + 2 * steps + 1, outer + 1
    return p, outer, calls, exploited


@pytest.mark.parametrize(("lipschitz", "alpha", "exploits"), [(4.0, 0.3, True), (0.5, 0.05, False)])
def test_guarded_descent_is_its_three_algorithms(lipschitz, alpha, exploits):
    start = 0.05 * torch.randn(3, 4, generator=torch.Generator().manual_seed(0), **F64)
    start[:, :2] += math.pi  # saddles, with two directions down
    found = guarded_agd(wells, start, smoothness=1.0, hessian_lipschitz=lipschitz, tol=1e-3, alpha=alpha)
    used = 0
    for trial, x in enumerate(start):
        end, outer, calls, exploited = by_hand(wells, x, 1.0, lipschitz, 1e-3, alpha)
        torch.testing.assert_close(found.x[trial], end, rtol=1e-6, atol=1e-8)
        assert (found.steps[trial], found.oracle_calls[trial]) == (outer, calls)
        used += exploited
    assert (used > 0) == exploits  # whether a step along the pair is ever the lowest point
