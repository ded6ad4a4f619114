"""What the optimizers refuse before any work."""

import math

import pytest
import torch

from litrepro import optim
from litrepro.optim import curvature, games

X = torch.ones(2)
ROOT = torch.ones(2, requires_grad=True)
SGD = optim.rule("sgd")
LAM = torch.tensor([1.0, 4.0])
PROBLEM = optim.LogisticProblem(torch.ones(1, 4, 2, dtype=torch.float64), torch.ones(1, 4, dtype=torch.float64))
NEON = {"radius": 0.1, "steps": 1, "lr": 0.1}
AGD = {"smoothness": 1.0, "tol": 0.1}
FAR = {"smoothness": 1.0, "hessian_lipschitz": 1.0, "dim": 2}


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
        lambda: optim.update("adam", optim.start("sgd", X), X, X, 0.1),
        lambda: optim.update("adam", optim.start("adam", torch.ones(3)), X, X, 0.1),
        lambda: optim.update("sgd", {"t": 0}, X, X, 0.1),
        lambda: optim.look_ahead("nag", optim.start("sgd", X), X, 0.1),
        lambda: optim.two_step(torch.sum, X, "sgd", 0.1, 1, coefficients=3),
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
        lambda: optim.ball_penalty(X, X > 0, smoothness=1.0, radius=1.0),
        lambda: curvature.lbfgs_direction(X.expand(3, 2), X[None], X[None], gamma=torch.ones(3) * 1j),
        lambda: curvature.AdaHessian([torch.nn.Parameter(torch.ones(2))], lr=torch.ones(2) * 1j),
        lambda: optim.negative_curvature_descent(
            torch.sum, X, hessian_lipschitz=1.0, alpha=1.0, gap=1.0, generator="x"
        ),
        lambda: optim.noise("ball", None, 1.0),
        lambda: optim.noise("ball", (2,), 1.0, generator=2.5),
        lambda: optim.noise("none", (2, 3), 1.0, dtype=torch.int64),
        lambda: optim.noise("ball", (2, 3), 1.0, dtype="float32"),
        lambda: optim.noise("ball", (2, 3), 1.0, device="nowhere"),
        lambda: optim.noise("ball", (2, 3), torch.ones(2) * 1j),
        lambda: optim.polyak_parameters(torch.ones(2), torch.ones(3)),
        lambda: optim.polyak_parameters(torch.ones(2), "x"),
        lambda: optim.polyak_parameters(torch.ones(2), 2j),
        lambda: optim.polyak_parameters(torch.ones(2) * 1j, torch.ones(2)),
        lambda: optim.pgd_constants(eps=1e-200, delta=0.1, gap=1.0, **FAR),
        lambda: optim.pgd_constants(eps=1e-160, delta=0.1, gap=1.0, **FAR),
        lambda: optim.pagd_constants(eps=1e-300, delta=1e-10, gap=1.0, **FAR),
        lambda: optim.psgd_constants(eps=1e-200, sigma=1.0, **FAR),
        lambda: optim.psgd_constants(eps=1.0, sigma=1e200, **FAR),
        lambda: curvature.hessian_power_step(torch.eye(2).half(), X.half(), power=0.5, lr=1.0),
        lambda: curvature.hessian_power_step(torch.ones(0, 0), X[:0], power=0.5, lr=1.0),
        lambda: curvature.hessian_power_step(torch.eye(2) * math.nan, X, power=0.5, lr=1.0),
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
        lambda: games.consensus_gradients([ROOT.sum()], [ROOT], 0.5),
        lambda: games.consensus_gradients([ROOT.sum()], [[torch.ones(1)]], 0.5),
        lambda: games.consensus_gradients([ROOT.sum()], [["a"]], 0.5),
        lambda: games.consensus_matrix(torch.eye(2).expand(3, 2, 2), torch.ones(2)),
        lambda: games.field_jacobian(lambda w: w[..., :1], torch.ones(3)),
        lambda: games.field_jacobian(lambda w: 3.0, torch.ones(3)),
        lambda: games.play(games.bilinear_game(torch.eye(1).double()), torch.ones(2), 1, eta=0.1),
        lambda: games.play(
            games.bilinear_game(torch.eye(2)), torch.ones(4), 1, eta=0.1, method="alternating", split=True
        ),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match=r"must|unequal"):
        call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: optim.accelerated_gradient(torch.sum, 3, strong_convexity=1.0, **AGD), "y must"),
        (lambda: optim.almost_convex_agd(torch.sum, X[:0], gamma=1.0, **AGD), "z must"),
        (
            lambda: optim.negative_curvature_descent(torch.sum, X.half(), hessian_lipschitz=1.0, alpha=1.0, gap=1.0),
            "x must be float32",
        ),
        (
            lambda: optim.accelerated_nonconvex(torch.sum, X.half(), hessian_lipschitz=1.0, gap=1.0, **AGD),
            "x must be float32",
        ),
        (lambda: optim.polyak_parameters(2.0, 1.0), "lmin must be at most lmax = 1"),
        (lambda: optim.polyak_parameters(1.0, -1.0), "lmax must"),
        (lambda: optim.noise("ball", (2,), 1.0, generator="x"), r"generator must .* torch\.Generator"),
    ],
)
def test_messages_name_the_argument(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_a_seed_is_a_source_of_noise():
    source = torch.Generator().manual_seed(3)
    assert torch.equal(
        optim.noise("ball", (5, 2), 1.0, generator=3), optim.noise("ball", (5, 2), 1.0, generator=source)
    )
