"""Calls of asynchrony and optim."""

from __future__ import annotations

import torch

from tests.gpu.cases import case, draws, f64, flat, randn, saddle, symmetric, times


def quadratic(w):
    """The gradient of a quadratic."""
    return w * torch.arange(1, w.shape[-1] + 1, dtype=w.dtype, device=w.device)


@case
def stale_descent(device):
    from litrepro.asynchrony import async_descent, expected_descent, momentum_recursion, worker_staleness

    w, lr = randn(2, 3, device=device), torch.tensor([0.05, 0.1], dtype=f64, device=device)
    delays = worker_staleness(3, 12, trials=2, generator=0).to(device)
    law = torch.tensor([0.5, 0.3, 0.1], dtype=f64, device=device)
    return (
        async_descent(quadratic, w, delays, lr=lr, momentum=0.3),
        async_descent(quadratic, w, delays, lr=0.1),
        expected_descent(quadratic, w, law, lr=lr, momentum=0.3, steps=12),
        momentum_recursion(quadratic, w, lr=lr, staleness=0.5, momentum=0.2, steps=12),
    )


@case
def staleness(device):
    from litrepro.asynchrony import staleness_law, worker_staleness

    exponential, constant = (worker_staleness(3, 20, trials=2, service=s) for s in ("exponential", "constant"))
    return exponential, constant, staleness_law(exponential.to(device), 4, skip=3)


@case
def momentum_rates(device):
    from litrepro.asynchrony import best_momentum, convergence_rate, polyak_momentum

    spectrum = torch.tensor([0.1, 0.5, 1.0], dtype=f64, device=device)
    lr, mu = (torch.linspace(0.1, high, 5, dtype=f64, device=device) for high in (2.0, 0.8))
    return (
        convergence_rate(spectrum, lr=lr, staleness=mu, momentum=0.2),
        best_momentum(spectrum, staleness=mu, momenta=lr - 0.5, lrs=lr).rate,  # that several step sizes reach
        polyak_momentum(1 / spectrum),
    )


@case
def mean_squares(device):
    from litrepro.asynchrony import mean_square_path, mean_square_rate, sampled_momentum_rate

    lr = torch.tensor([0.2, 0.7], dtype=f64, device=device)
    spectrum = torch.tensor([0.1, 1.0], dtype=f64, device=device)
    return (
        mean_square_path(3, lr, 10),
        mean_square_rate(3, lr),
        sampled_momentum_rate(spectrum, lr=lr, momentum=0.3, batch_size=4),
    )


@case
def mean_square_limit(device):
    from litrepro.asynchrony import mean_square_limit

    return torch.tensor(mean_square_limit(3), device="cpu")


@case
def descend(device):
    from litrepro.optim import RULES, descend, rule

    A = symmetric(3, 4, 4, device=device)
    A = A @ A + torch.eye(4, dtype=A.dtype, device=device)
    fun = lambda x: (x * (A @ x[..., None])[..., 0]).sum(-1) / 2  # noqa: E731
    made = [rule(name, **({"total_steps": 20} if name == "demon" else {})) for name in RULES]
    return tuple(descend(fun, randn(3, 4, seed=1, device=device), each, 0.01, 20).x for each in made)


@case
def accelerated_descent(device):
    from litrepro.optim import accelerated_gradient, gradient_descent

    scales = torch.linspace(1, 10, 6, dtype=f64, device=device)
    fun = lambda x: (scales * x.square()).sum(-1) / 2  # noqa: E731
    x = randn(3, 6, device=device)
    return (
        gradient_descent(fun, x, lr=0.05, tol=1e-6).x,
        accelerated_gradient(fun, x, smoothness=10.0, strong_convexity=1.0, tol=1e-6).x,
    )


def definite(*shape, seed=0, device="cpu"):
    """Symmetric matrices with eigenvalues of at least one."""
    A = randn(*shape, seed=seed, device=device)
    return A @ A.mT / shape[-1] + torch.eye(shape[-1], dtype=f64, device=device)


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
    constants = {"hessian_lipschitz": 6.0, "tol": 1e-2}
    wells = lambda z: (1 - z.cos()).sum(-1)  # noqa: E731
    found = (
        optim.almost_convex_agd(wells, 0.2 * x, smoothness=1.0, gamma=0.5, tol=1e-2),
        optim.accelerated_nonconvex(saddle, x, smoothness=10.0, gap=0.5, hessian_lipschitz=2.0, tol=1.0),
        optim.negative_curvature_descent(saddle, 0 * x, hessian_lipschitz=6.0, alpha=0.5, gap=0.25),
        optim.cubic_newton(saddle, x + 0.1, **constants),
        optim.guarded_agd(saddle, x + 0.1, smoothness=10.0, **constants),
    )
    return flat(
        [one.x.abs() for one in found],
        optim.ball_penalty(x, x.flip(0), smoothness=1.0, radius=0.5),
        optim.polyak_parameters(x.abs() + 0.1, x.abs() + 0.5),
        optim.polyak_bound_holds(x.abs(), 4.0),
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
        [games.play_matrix(J, eta=0.1, method=m, beta=0.1, gamma=0.2, split=2) for m in methods],
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
        torch.tensor(games.search_momentum(eigs[0], eta=(0.5, 0.4), beta=(0.0, 0.9), size=5), device="cpu"),
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
