"""What the optimizers refuse before any work."""

import math

import pytest
import torch

from litrepro import optim
from litrepro.optim import curvature, games

X = torch.ones(2)
SGD = optim.rule("sgd")
LAM = torch.tensor([1.0, 4.0])
PROBLEM = optim.LogisticProblem(torch.ones(1, 4, 2, dtype=torch.float64), torch.ones(1, 4, dtype=torch.float64))
NEON = {"radius": 0.1, "steps": 1, "lr": 0.1}
AGD = {"smoothness": 1.0, "tol": 0.1}


@pytest.mark.parametrize(
    "call",
    [
        # an eigenvalue routine that is handed nan ends the process
        lambda: optim.spectral_radius(torch.full((2, 2), math.nan)),
        lambda: optim.spectral_radius(torch.ones(2, 3)),
        lambda: optim.spectral_radius(torch.ones(2, 2).half()),
        lambda: optim.stationary_variance(None),
        lambda: optim.steps_to_shrink("x", 0.5),
        lambda: optim.quadratic_dynamics(None, 1.0, 0.5),
        lambda: optim.quadratic_dynamics(SGD, None, 0.5),
        lambda: optim.quadratic_dynamics(SGD, torch.ones(2), torch.ones(3)),
        lambda: optim.descend(5, X, "sgd", 0.1, 1),
        lambda: optim.descend(None, X, "sgd", 0.1, 1, grad=5),
        lambda: optim.descend(lambda x: x.sum(-1), X, "sgd", LAM * 1j, 1),
        lambda: optim.start(None, X),
        lambda: optim.look_ahead(SGD, None, X, 0.1),
        lambda: optim.update(SGD, optim.start(SGD, X), X, X * 1j, 0.1),
        lambda: optim.update(SGD, "x", X, X, 0.1),
        lambda: optim.first_weights(None, 2),
        lambda: optim.beta1_at(None, 2),
        lambda: optim.adam_moment_as_printed(torch.ones(0), 0.5),
        lambda: optim.average_as_printed(X, math.nan),
        lambda: optim.nadam_as_printed(None, X, 0.1, 2),
        lambda: optim.nadam_as_printed(torch.sin, X * 1j, 0.1, 2),
        lambda: optim.effective_rates("adagrad", torch.ones(0, 1)),
        lambda: optim.logistic_problem(4, 2, ["x"], sparse=True),
        lambda: optim.logistic_sweep(None, SGD, [0.1]),
        lambda: optim.logistic_sweep(PROBLEM, SGD, 5),
        lambda: optim.logistic_sweep(PROBLEM, SGD, [0.1], steps=2.5),
        lambda: optim.gradient_descent(None, X, lr=0.1, tol=0.1),
        lambda: optim.accelerated_gradient(5, X, strong_convexity=1.0, **AGD),
        lambda: optim.almost_convex_agd(None, X, gamma=1.0, **AGD),
        lambda: optim.cubic_newton(torch.sum, X.half(), hessian_lipschitz=1.0, tol=0.1),
        lambda: optim.ball_penalty(torch.ones(3, 2), torch.ones(2, 2), smoothness=1.0, radius=1.0),
        lambda: optim.ball_penalty(X, X * 1j, smoothness=1.0, radius=1.0),
        lambda: optim.negative_curvature_descent(
            torch.sum, X, hessian_lipschitz=1.0, alpha=1.0, gap=1.0, generator="x"
        ),
        lambda: optim.noise("ball", None, 1.0),
        lambda: optim.noise("ball", (2,), 1.0, generator=2.5),
        lambda: curvature.negative_curvature(None, X, **NEON),
        lambda: curvature.negative_curvature(lambda x: x[..., 2], X, **NEON),
        lambda: curvature.negative_curvature(lambda x: x.sum(-1), X[:0], **NEON),
        lambda: curvature.negative_curvature(lambda x: x.sum(-1), X, generator="x", **NEON),
        lambda: curvature.newton_descent(5, X, 1),
        lambda: curvature.newton_descent(lambda x: x[..., 2], X, 1),
        lambda: curvature.newton_descent(lambda x: x.sum(-1), X.half(), 1),
        lambda: games.gradient_rate(LAM, None),
        lambda: games.gradient_rate(LAM, LAM[0] * 1j),
        lambda: games.momentum_rate(LAM, math.nan, 0.5),
        lambda: games.momentum_eigenvalues(LAM.half(), 0.1, 0.5),
        lambda: games.optimistic_eigenvalues(LAM, "x"),
        lambda: games.consensus_matrix(torch.eye(2), "x"),
        lambda: games.field_jacobian(5, X),
        lambda: games.play(None, X, 1, eta=0.1),
        lambda: games.play(lambda w: 3.0, X, 1, eta=0.1),
        lambda: games.play(torch.sin, X, 1, eta=None),
        lambda: games.consensus_gradients(None, [[X]], 0.5),
        lambda: games.consensus_gradients([X.sum()], [5], 0.5),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match=r"must|unequal"):
        call()


def test_a_seed_is_a_source_of_noise():
    source = torch.Generator().manual_seed(3)
    assert torch.equal(
        optim.noise("ball", (5, 2), 1.0, generator=3), optim.noise("ball", (5, 2), 1.0, generator=source)
    )
