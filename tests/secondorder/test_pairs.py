"""The terms of a Hessian and the curvature of steps, where both are known in closed form."""

import pytest
import torch

from litrepro import secondorder
from litrepro.secondorder import hessian_split, pair_curvatures

f64 = torch.float64


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=f64)


def test_hessian_split_of_squares_of_a_quadratic_model():
    A, target, w = randn(3, 4, 4), randn(3, seed=1), randn(4, seed=2)
    A = A + A.mT

    def model(w):
        return torch.einsum("i,kij,j->k", w, A, w)[:, None] / 2  # outputs of two dimensions

    split = hessian_split(model, lambda u: (u[:, 0] - target).square().sum() / 2, w)
    J = A @ w
    torch.testing.assert_close(split.gauss_newton, J.T @ J)
    torch.testing.assert_close(split.second, torch.einsum("k,kij->ij", model(w)[:, 0] - target, A))
    torch.testing.assert_close(split.hessian, split.gauss_newton + split.second)
    curved = hessian_split(model, lambda u: torch.logsumexp(u.flatten(), 0), w)
    p = model(w)[:, 0].softmax(0)
    torch.testing.assert_close(curved.gauss_newton, J.T @ (torch.diag(p) - torch.outer(p, p)) @ J)
    torch.testing.assert_close(curved.hessian, curved.gauss_newton + curved.second)
    for bad in (w[None], w.long(), 3.0):
        with pytest.raises(ValueError, match="w must"):
            hessian_split(model, torch.sum, bad)
    with pytest.raises(ValueError, match="loss"):
        hessian_split(model, lambda u: u, w)


def linear(w, x):
    return (x * w).sum(-1, keepdim=True)


def test_pair_curvatures_of_least_squares():
    x = randn(30, 4)
    x[:] = x[:1]  # one row many times: every minibatch is the whole set
    data = (x, torch.ones(30, 1, dtype=f64))
    found = pair_curvatures(
        linear, secondorder.squared_loss, torch.zeros(4, dtype=f64), data, draws=6, batch=3, damping=0.1
    )
    curvature = x[0].square().sum().expand(6)  # the gradient points along the row
    torch.testing.assert_close(found["two minibatches"], curvature)
    torch.testing.assert_close(found["one minibatch"], curvature)
    torch.testing.assert_close(found["product"], curvature + 0.1)
    other = (randn(30, 4, seed=5), randn(30, 1, seed=6))
    # By hand: which minibatch has which part.
    w, options = randn(4, seed=7), {"draws": 3, "batch": 5, "step": 0.2, "damping": 0.3, "seed": 9}
    found = pair_curvatures(linear, secondorder.squared_loss, w, other, **options)
    rows = torch.randint(30, (2, 3, 5), generator=torch.Generator().manual_seed(9))
    for draw in range(3):
        (a, u), (b, v) = ((other[0][rows[k, draw]], other[1][rows[k, draw], 0]) for k in (0, 1))
        before = a.T @ (a @ w - u) / 5
        s = -0.2 * before
        changes = {
            "two minibatches": b.T @ (b @ (w + s) - v) / 5 - before,
            "one minibatch": a.T @ (a @ s) / 5,
            "product": b.T @ (b @ s) / 5 + 0.3 * s,
        }
        for name, change in changes.items():
            torch.testing.assert_close(found[name][draw], change @ s / (s @ s))
    spread = pair_curvatures(linear, secondorder.squared_loss, randn(4, seed=7), other, draws=200, batch=5)
    assert spread["product"].min() > 0
    assert spread["two minibatches"].var() > 10 * spread["product"].var()
    again = pair_curvatures(linear, secondorder.squared_loss, randn(4, seed=7), other, draws=200, batch=5)
    assert all(torch.equal(spread[name], again[name]) for name in spread)
    for bad in ({"draws": 0}, {"batch": 0}, {"step": 0.0}, {"damping": -1.0}, {"seed": -1}):
        with pytest.raises(ValueError):
            pair_curvatures(linear, secondorder.squared_loss, torch.zeros(4), other, **({"draws": 1} | bad))
    for w, data in ((torch.zeros(1, 4), other), (torch.zeros(4), (other[0], other[1][:3]))):
        with pytest.raises(ValueError):
            pair_curvatures(linear, secondorder.squared_loss, w, data, draws=1)
