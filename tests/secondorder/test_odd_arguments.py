"""What does not fit a problem is refused before any work."""

import math

import pytest
import torch

import litrepro.secondorder as so

X, Y = torch.eye(3), torch.ones(3, 1)
W, SIGNS, RATES = torch.zeros(2, 3), torch.tensor([1.0, -1.0, 1.0]), torch.tensor([0.1, 0.2])
SURVEY = so.Survey(torch.rand(4, 8, 8) + 2, torch.rand(4, 1, 4, 8), 0.01)
PROBLEM = so.tomography_problem(SURVEY, 3, hidden=2)
START = PROBLEM.start([0, 1])


def model(w, x):
    return (x * w).sum(-1, keepdim=True)


def loss(outputs, y):
    return (outputs - y).square().mean()


TRAIN = {"model": model, "loss": loss, "w": W, "data": (X, Y)}
CHANGES = [
    {"model": None},
    {"model": lambda w, x: 3.0},
    {"loss": 5},
    {"loss": lambda outputs, y: outputs},
    {"w": W[:, :2]},
    {"w": W[:, :0]},
    {"data": None},
    {"data": (X,)},
    {"data": (X, Y[:2])},
]


@pytest.mark.parametrize("change", [*CHANGES, {"w": W[:0]}])
def test_trainings(change):
    model, loss, w, data = (TRAIN | change).values()
    with pytest.raises(ValueError, match="must"):
        so.train_flat("adamw", model, loss, w, data, lr=0.1, epochs=1)
    with pytest.raises(ValueError, match="must"):
        so.gauss_newton_cg(model, loss, w, data, cg_steps=1)
    with pytest.raises(ValueError, match="must"):
        so.pair_curvatures(model, loss, w[0] if len(w) else w[:, 0], data, draws=2)


@pytest.mark.parametrize("change", CHANGES)
def test_sqgn(change):
    model, loss, w, data = (TRAIN | change).values()
    with pytest.raises(ValueError, match="must"):
        so.sqgn(model, loss, w, data, epochs=1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: so.train_flat("sgd", model, loss, W, (X, Y), lr="fast", epochs=1),
        lambda: so.train_flat("sgd", model, loss, W, (X, Y), lr=0.1, epochs=1, on_epoch=3),
        lambda: so.train_flat("sqgn", model, loss, W, (X, Y), lr=0.1, epochs=1, weight_decay=0.1),
        lambda: so.hessian_split(None, loss, W[0]),
        lambda: so.gauss_newton_product(None, torch.sum, W[0], W[0]),
        lambda: so.gauss_newton_product(lambda w: 3.0, torch.sum, W[0], W[0]),
        lambda: so.hutchinson_diagonal(lambda z: X[:2, :2] * z, W[0]),
        lambda: so.neumann_solve(None, W[0], depth=0),
        lambda: so.conjugate_gradient(None, W[0], steps=1),
        lambda: so.lissa(None, W, (X, Y), s2=1, steps=1),
        lambda: so.lissa(so.logistic_loss(0.1), W[:, :2], (X, SIGNS), s2=1, steps=1),
        lambda: so.softmax_loss(X, X[:, :2]),
        lambda: so.softmax_loss(None, X),
        lambda: so.squared_loss(Y, Y[:, 0]),
        lambda: so.squared_loss(X, X * 1j),
        lambda: so.logistic_newton(X, SIGNS[:2], 0.1, steps=1),
        lambda: so.logistic_newton(X, 2 * SIGNS, 0.1, steps=1),
        lambda: so.logistic_newton(X, SIGNS, 0.1, steps=1, w0=W),
        lambda: so.logistic_descent(X, SIGNS, "x", lr=RATES, steps=1),
        lambda: so.logistic_descent(X, SIGNS, 0.1, lr=-RATES, steps=1),
        lambda: so.logistic_svrg(X, SIGNS.double(), 0.1, lr=RATES, epochs=1, seeds=[0]),
        lambda: so.logistic_svrg(X, SIGNS, 0.1, lr=RATES[0], epochs=1, seeds=[0]),
        lambda: so.logistic_svrg(X, SIGNS, 0.1, lr=RATES, epochs=1, seeds=["x"]),
        lambda: so.calls_to_distance(W[:0], 1, 0.1),
        lambda: so.calls_to_distance(W, math.nan, 0.1),
        lambda: so.crosstalk_leakage(5, calls=1, size=2, data=8),
        lambda: so.character_problem(None),
        lambda: so.inversion_convnet((2, 5), 8),
        lambda: so.inversion_convnet((2, 5, 8), "8"),
        lambda: so.ssim(SURVEY.velocity, SURVEY.velocity.double()),
        lambda: so.tomography_problem(None, 3),
        lambda: so.tomography_problem(SURVEY, 3, hidden=2.5),
        lambda: so.inversion_quality(None, SURVEY, 3, START),
        lambda: so.inversion_quality(PROBLEM, SURVEY, None, START),
        lambda: so.inversion_quality(PROBLEM, None, 3, START),
        lambda: so.inversion_quality(PROBLEM, SURVEY, 2, START),
        lambda: so.inversion_quality(PROBLEM, SURVEY, 3, START[:, :5]),
        lambda: so.inversion_quality(PROBLEM, SURVEY, 3, START.double()),
        lambda: so.predictions(PROBLEM, SURVEY, 3, START, [1]),
        lambda: so.sweep_rates("sgd", None, [0.1], [0], epochs=1, batch=2),
        lambda: so.sweep_rates("sgd", PROBLEM, 0.1, [0], epochs=1, batch=2),
        lambda: so.sweep_rates("sgd", PROBLEM, [0.1], ["x"], epochs=1, batch=2),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match=r"must|need"):
        call()


def test_the_squared_loss_of_half_precision_does_not_overflow():
    outputs = torch.ones(3000, 100, dtype=torch.float16)
    assert so.squared_loss(outputs, torch.zeros_like(outputs)).item() == pytest.approx(50, rel=1e-2)
