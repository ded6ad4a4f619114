"""Bad input is a ValueError that says what was expected, never an error of torch."""

import pytest
import torch

from litrepro import convexnets as cn

f64 = torch.float64
X, y = torch.eye(3, 2, dtype=f64), torch.tensor([1.0, -1.0, 0.5], dtype=f64)
D = torch.ones(1, 3, dtype=torch.bool)
A, g = torch.eye(2, 3, dtype=f64), torch.tensor([1.0, -1.0], dtype=f64)  # whitened
V, w = torch.ones(2, 3, dtype=f64), torch.ones(2, dtype=f64)
NAN = torch.tensor([[float("nan")]], dtype=f64)
first, signs, second = torch.ones(1, 3, 2, dtype=torch.bool), torch.ones(1, 2, dtype=f64), D


def square(x):
    return x.square().sum(-1)


def program3(**options):
    return cn.convex_relu_program3(X, y, 0.1, first, signs, second, **options)


def gap(patterns):
    return cn.optimality_gap(X, y, 0.1, torch.ones(1, 2, dtype=f64), torch.ones(1, dtype=f64), patterns)


BAD = {
    "program3 max_iter": lambda: program3(max_iter=None),
    "program3 tol": lambda: program3(tol="small"),
    "program without problems": lambda: cn.convex_relu_program(X, y.expand(0, 3), 0.1, D),
    "program without beta": lambda: cn.convex_relu_program(X, y, torch.ones(0, dtype=f64), D),
    "gated nan": lambda: cn.gated_relu_program(X + NAN, y[:, None], 0.1, D),
    "gated target nan": lambda: cn.gated_relu_program(X, y[:, None] + NAN, 0.1, D),
    "gated no pattern": lambda: cn.gated_relu_program(X, y[:, None], 0.1, D[:0]),
    "support no pattern": lambda: cn.relu_support(X, y, D[:0]),
    "gap no pattern": lambda: gap(D[:0]),
    "gap beta": lambda: cn.optimality_gap(X, y, torch.ones(2), X.expand(3, 3, 2), y.expand(3, 3), D),
    "network nan": lambda: cn.to_network(V * NAN, V),
    "project nan": lambda: cn.project_gamma1(torch.full((2,), float("nan")), 1.0),
    "subnetwork patterns": lambda: cn.subnetwork_patterns(X[None], 2, 2),
    "infinite counts": lambda: cn.whitened_relu_optimum(torch.tensor([4.0, float("inf")]), 2, 0.5),
    "counts": lambda: cn.whitened_relu_optimum(None, 2, 0.1),
    "networks beta": lambda: cn.relu_networks(X, y, torch.ones(7, 3), 2, 2, steps=1),
    "networks beta batch": lambda: cn.relu_networks(X, y, torch.ones(5, 2), 2, 2, steps=1),
    "subnetworks X": lambda: cn.subnetworks(X.expand(5, 3, 2), y, 0.1, 2, 2, 2, steps=1),
    "subnetworks y": lambda: cn.subnetworks(X, y.expand(5, 3), 0.1, 2, 2, 2, steps=1),
    "subnetworks beta": lambda: cn.subnetworks(X, y, torch.ones(3), 2, 2, 2, steps=1),
    "linear scale": lambda: cn.linear_networks(X, X, 2, 0.1, 2, 2, steps=1, scale=None),
    "relu scale": lambda: cn.deep_relu_networks(X, X, 2, 0.1, 2, 2, steps=1, scale=[0.5]),
    "descend objective": lambda: cn.descend(3, [X], steps=1, lr=0.1),
    "descend no value": lambda: cn.descend(lambda x: None, [X], steps=1, lr=0.1),
    "descend no gradient": lambda: cn.descend(lambda x: y, [X], steps=1, lr=0.1),
    "descend parameters": lambda: cn.descend(square, None, steps=1, lr=0.1),
    "descend floor": lambda: cn.descend(square, [X], steps=1, lr=0.1, floor=1j),
    "predict dtypes": lambda: cn.convex_nn_predict(V, w.float(), X),
    "project": lambda: cn.project_gamma1([1.0, 2.0], 1.0),
    "frank-wolfe lmo": lambda: cn.frank_wolfe(A, g, 1.0, iterations=1, lmo=3),
    "frank-wolfe lmo's value": lambda: cn.frank_wolfe(A, g, 1.0, iterations=1, lmo=lambda A, g: None),
    "frank-wolfe lmo's theta": lambda: cn.frank_wolfe(A, g, 1.0, iterations=1, lmo=lambda A, g: (g, g[0])),
    "frank-wolfe lmo's sign": lambda: cn.frank_wolfe(A, g, 1.0, iterations=1, lmo=lambda A, g: (A[0], g)),
    "frank-wolfe lmo's words": lambda: cn.frank_wolfe(A, g, 1.0, iterations=1, lmo=lambda A, g: ("a", "b")),
    "frank-wolfe batch_size": lambda: cn.frank_wolfe(A, g, 1.0, iterations=1, batch_size=3),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD.keys())
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must|expected"):
        call()


def test_an_empty_batch_has_an_empty_result():
    none = A.expand(0, 2, 3)
    assert cn.relu_lmo_whitened(none, g).theta.shape == (0, 3)
    assert cn.frank_wolfe(none, g, 1.0, iterations=2).loss.shape == (0, 2)
    assert cn.frank_wolfe(A, g, torch.ones(0, dtype=f64), iterations=2).loss.shape == (0, 2)
    assert cn.relu_support(X, y.expand(0, 3), D).shape == (0,)


def test_no_weights_are_sparse():
    assert cn.sparsify_weights(torch.zeros(3, 0), torch.zeros(0)).shape == (0,)


def test_one_beta_per_start_trains_every_network_with_its_own():
    beta = torch.tensor([0.1, 0.5], dtype=f64)
    for train in (
        lambda b: cn.relu_networks(X, y, b, 2, 2, steps=3)[2],
        lambda b: cn.subnetworks(X, y, b, 2, 2, 2, steps=3),
    ):
        alone = torch.stack([train(each.item())[i] for i, each in enumerate(beta)])
        torch.testing.assert_close(train(beta), alone)
