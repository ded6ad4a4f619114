"""Cases of optim, solvers and recovery."""

from __future__ import annotations

import torch

from tests.gpu.cases import case, draws, randn, symmetric
from tests.gpu.cases_b import f64, flat, saddle


def definite(*shape, seed=0, device="cpu"):
    """Symmetric matrices with eigenvalues of at least one."""
    A = randn(*shape, seed=seed, device=device)
    return A @ A.mT / shape[-1] + torch.eye(shape[-1], dtype=f64, device=device)


def times(A):
    """The product with A as a function of vectors (..., d)."""
    return lambda v: (A @ v[..., None])[..., 0]


@case
def lanczos_family(device):
    from litrepro import solvers

    A, v = symmetric(3, 8, 8, device=device), randn(3, 8, seed=1, device=device)
    alpha, beta, Q = solvers.lanczos(times(A), v, 5)
    nodes, weights = solvers.lanczos_quadrature(times(A), v, 4)
    top = solvers.lanczos_extreme(times(A), v, which="max")
    return flat(alpha, beta, Q, nodes, weights, top.value, solvers.extreme_eigenvalues(times(A), v, 6))


@case
def more_proximal_maps(device):
    from litrepro import solvers

    x, t = randn(4, 6, device=device), torch.full((4, 1), 0.3, dtype=f64, device=device)
    return flat(
        solvers.group_soft_threshold(x, t),
        solvers.hard_threshold(x, 2),
        solvers.soft_threshold(x, t),
        solvers.project_l1_ball(x, t[:, 0]),
        solvers.singular_value_threshold(randn(4, 5, 5, device=device), t[:, 0], psd=True),
        solvers.least_squares(randn(4, 7, 3, device=device), randn(4, 7, seed=3, device=device), ridge=0.1),
    )


@case
def multiblock_admm(device):
    from litrepro.solvers import multiblock_admm, multiblock_admm_operator

    blocks = [randn(2, 4, 2, seed=seed, device=device) for seed in range(3)]
    starts = [torch.zeros(2, 2, dtype=f64, device=device)] * 3
    trace = multiblock_admm(blocks, randn(2, 4, seed=3, device=device), starts, iterations=20)
    return flat(trace.x, trace.residuals, multiblock_admm_operator(blocks))


@case
def framework(device):
    from litrepro import optim

    g, x = randn(5, 2, 3, device=device), randn(2, 3, seed=1, device=device)
    fun = lambda z: z.square().sum(-1)  # noqa: E731
    lr = torch.tensor([0.1, 0.2], dtype=f64, device=device)
    nag = optim.rule("nag")
    moved, state = optim.update(nag, optim.start(nag, x), x, g[0], lr)
    return flat(
        moved,
        optim.look_ahead(nag, state, moved, lr),
        optim.descend(fun, x, "adam", lr, 6, record_every=2),
        optim.two_step(fun, x, "adam", 0.1, 6),
        optim.effective_rates(optim.rule("adam"), g),
        optim.adam_moment_as_printed(g, 0.5),
        optim.average_as_printed(g, 0.5),
        optim.nadam_as_printed(lambda z: 2 * z, x, 0.01, 5),
    )


@case
def weights_of_rules(device):
    from litrepro.optim import first_weights, rule, second_weights

    names = ("sgd", "sgdm", "heavy-ball", "adam", "nadam")
    second = [second_weights(rule(name), 5) for name in ("adam", "adagrad", "rmsprop")]
    return flat([first_weights(rule(name), 5) for name in names], second)


@case
def quadratic_dynamics(device):
    from litrepro import optim

    h = torch.tensor([0.5, 1.0, 2.0], dtype=f64, device=device)
    found = []
    for curvature, lr in ((h, 0.25), (1.0, h / 8), (h, h / 8), (1.0, 0.25)):
        dynamics = optim.quadratic_dynamics("nag", curvature, lr)
        found += [dynamics, optim.stationary_variance(dynamics), optim.steps_to_shrink(dynamics, 0.1, most=500)]
        found.append(optim.spectral_radius(dynamics.transition))
    return flat(found)


@case
def logistic_sweep(device):
    from litrepro.optim import LogisticProblem, logistic_problem, logistic_sweep, rule

    made = [logistic_problem(30, 3, [0, 1], sparse=sparse) for sparse in (True, False)]
    problem = LogisticProblem(made[0].x.to(device), made[0].y.to(device), made[0].seeds)
    tables = [logistic_sweep(problem, rule("adagrad"), [0.1, 0.2], steps=5, decay=decay) for decay in (True, False)]
    return flat([(one.x, one.y) for one in made], tables)


@case
def uniform_and_psgd(device):
    from litrepro.optim import PSGD, Uniform

    found = []
    radius = torch.tensor([0.0, 0.1, 0.2], dtype=f64, device=device)
    for make in (
        lambda p: Uniform([p], "adam", radius + 0.1, batch_dims=1),
        lambda p: Uniform([p], "nag", 0.1),
        lambda p: Uniform([p], "adadelta", 1.0),
        lambda p: PSGD([p], 0.1, radius, batch_dims=1, generator=1),
        lambda p: PSGD([p], radius + 0.1, radius, kind="coordinate", batch_dims=1, noise_groups=[0, 0, 1]),
    ):
        p = torch.nn.Parameter(randn(3, 4, device=device))
        optimizer = make(p)

        def closure(p=p, optimizer=optimizer):
            optimizer.zero_grad()
            loss = p.square().sum() / 2
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        found.append(p)
    return flat(found)


@case
def noise(device):
    from litrepro.optim import noise

    radius = torch.tensor([0.5, 1.0], dtype=f64, device=device)
    kinds = ("none", "sphere", "ball", "gaussian", "coordinate")
    found = [noise(kind, (2, 3), radius, generator=1, dtype=f64, device=device) for kind in kinds]
    return flat(found, noise("ball", (2, 3), 1.0, device=device))


@case
def perturbed(device):
    from litrepro.optim import noisy_descent, perturbed_agd, perturbed_gd

    x = torch.zeros(3, 2, dtype=f64, device=device)
    options = {"lr": 0.1, "steps": 30, "radius": 0.1, "g_thres": 0.02, "t_thres": 10}
    lr = torch.tensor([0.1, 0.2, 0.1], dtype=f64, device=device)
    return flat(
        perturbed_gd(saddle, x, **options, f_thres=0.01),
        perturbed_agd(saddle, x, **options, theta=0.2, gamma=0.1, s=0.1, generator=2),
        noisy_descent(saddle, x, lr=lr, steps=10, radius=lr, record_every=5),
        noisy_descent(saddle, x + 0.1, lr=0.1, steps=10, radius=0.1, normalize=True, every=3, kind="gaussian"),
    )


@case
def accelerated(device):
    from litrepro import optim

    x = randn(3, 2, device=device)
    constants = {"hessian_lipschitz": 6.0, "tol": 1e-3}
    wells = lambda z: (1 - z.cos()).sum(-1)  # noqa: E731
    found = (
        optim.almost_convex_agd(wells, 0.2 * x, smoothness=1.0, gamma=0.5, tol=1e-3),
        optim.accelerated_nonconvex(saddle, x, smoothness=10.0, gap=0.5, hessian_lipschitz=2.0, tol=0.3),
        optim.negative_curvature_descent(saddle, 0 * x, hessian_lipschitz=6.0, alpha=0.5, gap=0.25),
        optim.cubic_newton(saddle, x + 0.1, **constants),
        optim.guarded_agd(saddle, x + 0.1, smoothness=10.0, **constants),
    )
    return flat(
        [one.x.abs() for one in found],
        optim.ball_penalty(x, x.flip(0), smoothness=1.0, radius=0.5),
        optim.polyak_parameters(x.abs() + 0.1, x.abs() + 0.5),
    )


@case
def curvature(device):
    from litrepro.optim import curvature as cv

    H, g = definite(3, 4, 4, device=device), randn(3, 4, seed=1, device=device)
    s = randn(3, 2, 4, seed=2, device=device)
    y = (H[:, None] @ s[..., None])[..., 0]
    v, c = cv.negative_curvature(saddle, torch.zeros(3, 2, dtype=f64, device=device), radius=1e-3, steps=50, lr=0.3)
    model = lambda w: torch.sin(w @ H[0])  # noqa: E731
    return flat(
        v,
        c,
        [cv.newton_descent(saddle, g[:, :2], 3, kind=k, damping=0.1, max_step=0.5) for k in ("newton", "saddle-free")],
        cv.hessian_power_step(H, g, power=0.5, lr=0.1),
        cv.hutchinson_diagonal(times(H), g, samples=3, generator=1),
        cv.spatial_average(g, 2),
        cv.neumann_solve(lambda u, j: times(H)(u), g, depth=5, scale=8.0),
        cv.gauss_newton_product(model, lambda u: u.square().sum(), g[0], g[1]),
        cv.lbfgs_direction(g, s, y),
        cv.lbfgs_direction(g, s, y, gamma=0.5),
    )


@case
def stochastic_curvature(device):
    from litrepro.optim.curvature import lissa, sqgn

    x, y, w = randn(12, 4, device=device), randn(12, 2, seed=1, device=device), randn(2, 8, seed=2, device=device)
    model = lambda w, x: x @ w.reshape(4, 2)  # noqa: E731
    loss = lambda out, y: (out - y).square().mean()  # noqa: E731
    lr = torch.tensor([0.1, 0.05], dtype=f64, device=device)
    first = lissa(
        lambda w, x, y: loss(model(w, x), y), w, (x, y), s1=2, s2=3, batch=4, steps=2, scale=9.0, warm_start=1,
        warm_lr=0.1,
    )  # fmt: skip
    second = sqgn(model, loss, w, (x, y), lr=lr, epochs=3, batch=4, memory=2, every=2)
    return flat(first.w, second.w, second.losses, second.pairs)


@draws
def adahessian(device):
    from litrepro.optim.curvature import AdaHessian

    found = []
    lr = torch.tensor([0.1, 0.2], dtype=f64, device=device)
    for options in ({}, {"block": 2, "samples": 2, "update_every": 2, "weight_decay": 0.1}, {"lr": lr}):
        p = torch.nn.Parameter(randn(2, 4, device=device))
        optimizer = AdaHessian([p], **options)
        for _ in range(3):
            optimizer.step(lambda p=p: p.pow(4).sum())
        found.append(p)
    return flat(found)


@case
def games(device):
    from litrepro.optim import games

    A = randn(2, 3, seed=1, device=device)
    field = games.bilinear_game(A, 0.1)
    w, eta = randn(2, 5, device=device), torch.tensor([0.1, 0.2], dtype=f64, device=device)
    J = games.field_jacobian(field, w)
    eigs = torch.complex(randn(2, 3, device=device).exp(), randn(2, 3, seed=2, device=device))
    methods = ("simultaneous", "alternating", "optimistic", "extragradient", "consensus")
    return flat(
        [games.play(field, w, 6, eta=eta, method=m, beta=0.1, gamma=0.2, split=2) for m in methods],
        games.quadratic_game(J)(w),
        games.consensus_matrix(J, eta),
        games.gradient_rate(eigs, eta),
        games.momentum_eigenvalues(eigs, eta, -0.1),
        games.momentum_interval(eigs),
        games.momentum_rate(eigs, eta, eta),
        games.optimal_momentum(eigs),
        games.optimal_step_size(eigs),
        games.optimistic_eigenvalues(eigs, 0.1),
        games.step_size_bounds(eigs),
    )


@case
def game_optimizers(device):
    from litrepro.optim.games import GameAdam, GameSGD, consensus_gradients

    found = []
    for make in (
        lambda p: GameAdam(p, lr=0.1, betas=(-0.5, 0.99), optimism=1.0),
        lambda p: GameSGD(p, lr=0.1, momentum=-0.5, optimism=1.0),
    ):
        x, y = (torch.nn.Parameter(randn(3, seed=seed, device=device)) for seed in (0, 1))
        optimizer = make([x, y])
        for _ in range(3):
            energy = (x * y).sum()
            (x.grad,), (y.grad,) = consensus_gradients([energy, -energy], [[x], [y]], 0.1)
            optimizer.step()
        found += [x, y]
    return flat(found)


@case
def structured_recovery(device):
    from litrepro import recovery

    X = recovery.sparse_low_rank(5, 2, batch=(2,)).to(device)
    other = recovery.sparse_low_rank(5, 2, 2, psd=False, generator=3).to(device)
    A = recovery.linear_measurements(5, 18, batch=(2,), generator=1).to(device)
    b = recovery.measure(A, X)
    quadratic = recovery.linear_measurements(5, 6, "quadratic", generator=2)
    weight = torch.tensor([0.5, 1.0], dtype=f64, device=device)
    convex = [
        recovery.structured_recovery(A, b, {"l1": weight, "nuclear": 1.0}, psd=psd, max_iter=60, tol=1e-3).X
        for psd in (True, False)
    ]
    return flat(
        convex,
        recovery.structured_iht(A, b, 2, iterations=30, psd=True).X,
        recovery.project_sparse_low_rank(other + 0.01 * X, 2, 1),
        recovery.deterministic_failure(A[:, :4], X, {"l1": weight, "l12": 1.0}),
        quadratic,
    )


@case
def norms_and_cones(device):
    from litrepro import recovery

    X = recovery.sparse_low_rank(5, 2, batch=(2,)).to(device)
    found = []
    for norm in ("l1", "l12", "l12_rows", "nuclear"):
        found += [recovery.norm_geometry(X, norm), recovery.random_subgradient(X, norm, extreme=norm == "l1")]
    weights = {"l1": torch.tensor([0.5, 1.0], dtype=f64, device=device), "nuclear": 1.0}
    return flat(found, [recovery.descent_dimension(X, weights, psd=p, samples=3, max_iter=20) for p in (True, False)])


@case
def phase_diagram(device):
    from litrepro.recovery import gaussian_distance_sq, phase_diagram, statistical_dimension, success_threshold

    options = {"trials": 2, "max_iter": 40, "tol": 1e-3}
    found = [
        phase_diagram([3, 4], [4, 12], 2, weights=weights, **options)
        for weights in (lambda d: {"l1": 1.0, "nuclear": 0.5}, None)
    ]
    sizes = [statistical_dimension("nuclear", 4, rank=1, samples=5), gaussian_distance_sq("l12", 4, 1.0, k=2)]
    return flat(found, success_threshold(found[0]).tolist(), sizes)
