"""Calls of features, interpolation and linearnets."""

from __future__ import annotations

import torch

from tests.gpu.cases import built, case, draws, f64, flat, images, network, numbers, places, randn, symmetric


@case
def random_features(device):
    from litrepro.features import feature_ridge, fourier_features, gaussian_kernel, hadamard_transform, kernel_ridge

    x, omega = randn(10, 3, device=device), randn(16, 3, seed=1, device=device)
    z = fourier_features(x, omega, torch.zeros(16, dtype=f64, device=device))
    K = gaussian_kernel(x, x, sigma=1.0)
    return (
        z,
        feature_ridge(z, x[:, :1], 0.1),
        kernel_ridge(K, x[:, :1], 0.1),
        hadamard_transform(randn(2, 8, device=device)),
    )


@case
def kernels(device):
    from litrepro import features as f

    x, y = randn(2, 6, 3, device=device), randn(5, 3, seed=1, device=device)
    K = f.gaussian_kernel(x, x, sigma=1.5)
    return (
        K,
        f.laplace_kernel(x, y),
        f.polynomial_kernel(x, y, degree=3),
        f.is_positive_semidefinite(K),
        f.effective_dimension(K, 0.1),
        f.spectral_error(0.9 * K, K, 0.1),
        f.feature_variance(K.clamp(0, 1), 10, "phase"),
        f.feature_variance(K.clamp(0, 1), 10, "paired"),
        f.feature_variance(K.clamp(0, 1), 10, "normalized"),
    )


@case
def sampled_features(device):
    from litrepro import features as f

    x = randn(6, 3, device=device)
    omega, phase = f.sample_frequencies(3, 8, generator=0)
    heavy, _ = f.sample_frequencies(3, 8, kernel="laplace", generator=0)
    orthogonal, _ = f.orthogonal_frequencies(3, 8, generator=0)
    index, threshold = f.random_stumps(3, 7, low=-1.0, generator=0)
    return (
        *(f.fourier_features(x, part.to(device), phase.to(device)) for part in (omega, heavy, orthogonal)),
        f.normalize_features(f.fourier_features(x, omega)),
        f.features_from_projection(x @ omega.to(device).mT, phase),
        f.unscaled_features(x, omega, phase),
        f.stump_features(x, index, threshold),
    )


@case
def fastfood(device):
    from litrepro.features import fastfood_matrix, fastfood_project, hadamard_transform, sample_fastfood

    one, many = sample_fastfood(3, 10), sample_fastfood(5, 10, batch=(2,), generator=1)
    x, z = randn(2, 6, 3, device=device), randn(2, 6, 5, device=device)
    found = fastfood_project(x, one), fastfood_project(z, many), fastfood_matrix(many)
    return (*found, hadamard_transform(randn(3, 1024, device=device), normalized=True))


@case
def feature_maps(device):
    from litrepro.features import MAPS, feature_map, kernel_estimates

    x, y = randn(8, 3, device=device), randn(4, 3, seed=1, device=device)
    grams = []
    for name in MAPS:
        z = feature_map(name, x, 6, sigma=1.0, pool=40, generator=0)(y)
        grams.append(z @ z.mT)
    return (*grams, *(kernel_estimates(name, y[0], y, 4, 3) for name in ("phase", "paired", "orthogonal", "fastfood")))


@case
def leverage(device):
    from litrepro import features as f

    x = randn(2, 8, 3, device=device)
    Z = randn(2, 8, 20, seed=1, device=device)
    K, lam = f.gaussian_kernel(x, x), torch.tensor([0.1, 0.2], dtype=f64, device=device)
    scores = f.ridge_leverage_scores(Z, K, lam)
    return (
        scores,
        *f.resample_by_scores(scores, 5, generator=0),
        *f.leverage_resample(Z, 5, lam, generator=0),
        f.feature_ridge(Z, x, lam),
        f.kernel_ridge(K, x, lam),
    )


@case
def leverage_trials(device):
    from litrepro.features import leverage_trials, sine_grid

    table = leverage_trials([5.0], [1e-2], [6], seeds=2, n=20, pool=30, generator=0, device=device)
    return numbers(table["value"], f64), sine_grid(device=torch.device(device))


@case
def kitchen_sinks(device):
    from litrepro.features import importance_estimate, kitchen_sinks

    z, y = randn(2, 12, 5, device=device), randn(2, 12, seed=1, device=device)
    found = kitchen_sinks(z, y, bound=0.5)
    estimate = importance_estimate(torch.sin, y, lambda x: -x.square(), lambda x: -x.abs())
    return found.weights, found.objective, *estimate


@case
def least_norm(device):
    from litrepro import interpolation as i

    x, y = randn(2, 4, 7, device=device), randn(2, 4, seed=1, device=device)
    step = torch.tensor([0.01, 0.02], dtype=f64, device=device)
    scales = torch.tensor([1.0, 0.1], dtype=f64, device=device)
    sizes = places(2, 9, device=device)
    return (
        i.min_norm(x, y),
        i.gradient_descent_path(x, y, [0, 3, 1000]),
        i.gradient_descent_path(x, y, [0, 3], step=step),
        i.gradient_descent_risk(scales, scales, sizes, n=50, noise=0.3, step=0.5),
        *i.bias_variance(x, x[0, 0]),
        *i.linear_risk(sizes, 5, noise=0.3),
        *i.linear_risk(sizes, 5, noise=0.3, asymptotic=True),
        i.effective_model_complexity(y.abs(), [1, 2, 3, 4], epsilon=0.8),
    )


@case
def random_feature_regression(device):
    from litrepro.interpolation import fourier_features, random_feature_risk, rff_curve

    x, y = images(20, 3, device)
    spectrum = randn(30, device=device).square()
    features = torch.tensor([3.0, 9.0, torch.inf], dtype=f64, device=device)
    curve = rff_curve((x, y), (x, y), [4, 40], bandwidth=1.0, num_classes=3, kind="real")
    return (
        numbers(curve["test_mse"], f64),
        random_feature_risk(spectrum, spectrum, 6, features, noise=0.1),
        random_feature_risk(spectrum, spectrum, 6, 9),
        fourier_features(x.flatten(1), randn(5, 9, dtype=torch.float32, device=device)).abs(),
    )


@case
def sample_wise_curve(device):
    from litrepro.interpolation import sample_wise_curve

    found = [sample_wise_curve([3, 12], 6, trials=2, noise=0.1, generator=0, ridge=ridge) for ridge in (0.0, 0.1)]
    return tuple(numbers(table["excess_risk"], f64) for table in found)


@network
def two_layer_curve(device):
    from litrepro.interpolation import two_layer_curve

    x, y = images(18, 3, device)
    settings = {"reuse": True, "epochs": 2, "batch_size": 6, "num_classes": 3, "seeds": (0, 1)}
    return numbers(two_layer_curve((x, y), (x, y), [2, 4], **settings)["test_mse"])


@network
def two_layer_training_errors(device):
    from litrepro.interpolation import two_layer_training_errors

    x, y = images(18, 3, device)
    x, y = x.flatten(1).view(2, 9, -1), y.view(2, 9)
    return two_layer_training_errors(x, y, 4, [1, 3], seeds=[0, 1], batch_size=4, num_classes=3)


@case
def linear_networks(device):
    from litrepro.linearnets import balanced_factors, emulate, train_factors

    target = randn(3, 2, 4, seed=1, device=device)
    grad = lambda w: w - target  # noqa: E731
    start = 0.3 * randn(3, 2, 4, device=device)
    trained, _ = train_factors(grad, balanced_factors(start, 3), lr=0.02, steps=40)
    return trained, emulate(grad, start, depth=3, lr=0.02, steps=40)


@case
def factors(device):
    from litrepro import linearnets as ln

    W, G = randn(2, 2, 3, device=device), randn(2, 2, 3, seed=1, device=device)
    start = ln.balanced_factors(W, 3, 4)
    drawn = ln.orthogonal_factors(3, 2, 4, 3, generator=1, batch=(2,))
    return flat(
        ln.balance_gap([w + 0.1 for w in start]),
        ln.deficiency_margin(W, G),
        ln.end_to_end(start),
        ln.induced_direction(W, G, 3),
        ln.preconditioner(W, 2),
        ln.factor_gradients([w.to(device) for w in drawn], G),
        ln.circulation(lambda w: w.flip(-1) * w.square(), randn(4, 2, 2, seed=3, device=device), points=20),
        ln.usual_median(W, 0),
    )


@case
def factor_rules(device):
    from litrepro.linearnets import balanced_factors, emulate, train_factors

    target, start = randn(3, 2, 4, seed=1, device=device), randn(3, 2, 4, device=device)
    lr = torch.tensor([0.01, 0.02, 0.03], dtype=f64, device=device)
    rules = {"gd": {"momentum": 0.5}, "adagrad": {}, "adadelta": {}, "adam": {}}
    return flat(
        [train_factors(lambda w: w - target, balanced_factors(start, 2), lr=lr, steps=8, rule=r, **o)[0][-1]
         for r, o in rules.items()],
        emulate(lambda w: w - target, start, depth=2, lr=lr, steps=8, weight_decay=0.1),
    )  # fmt: skip


@case
def power_losses(device):
    from litrepro.linearnets import optimal_power_loss, power_loss, power_loss_grad

    W, x, y = randn(3, 2, 4, device=device), randn(9, 4, seed=1, device=device), randn(2, 9, seed=2, device=device)
    best = [optimal_power_loss(x, y, p) for p in (2.0, 4.0)]
    return flat(power_loss(W, x, y, 3.0), power_loss_grad(W, x, y, 3.0), best)


@case
def regression_sweeps(device):
    from litrepro import linearnets as ln

    problem = ln.regression(randn(9, 3, device=device), randn(1, 9, seed=1, device=device), 2.0)
    lrs = torch.tensor([0.05, 0.1], dtype=f64, device=device)
    sweep = ln.depth_sweep(problem, lrs, depths=(1, 2), seeds=[0, 1], steps=10, every=5)
    by_rule = ln.rule_sweep(problem, lrs, rule="adam", depth=2, seeds=[0], steps=10, every=5)
    table = ln.summarize_depths(sweep, lrs, (1, 2), {"level": 0.5})
    return flat(sweep, by_rule, table, ln.draw_starts(3, 2, [0, 1]), ln.steps_to(sweep.t, sweep.excess, 0.5))


@case
def chains(device):
    from litrepro.linearnets import chain_iterates, reparameterized_step, train_chains

    target = randn(3, 4, device=device)
    depths = torch.tensor([1, 2, 3], device=device)
    start = {"w": randn(3, 4, seed=1, device=device), "scalars": randn(3, 2, seed=2, device=device), "depths": depths}
    lr = torch.full((3,), 0.02, dtype=f64, device=device)
    run = train_chains(lambda w: w - target, lambda w: (w - target).square().sum(-1), **start, lr=lr, steps=10, every=5,
                       momentum=0.3)  # fmt: skip
    path = chain_iterates(lambda w: w - target, **start, lr=lr)
    w2 = torch.ones(3, dtype=f64, device=device)
    step = reparameterized_step(target, w2, target / 9, w2 / 9, lambda w: w, lr=0.1, momentum=0.5)
    return flat(run, [next(path) for _ in range(3)], step)


@case
def momentum_sweeps(device):
    from litrepro import linearnets as ln

    lrs, momenta = (torch.tensor(v, dtype=f64, device=device) for v in ([0.05, 0.1], [-0.2, 0.0, 0.5]))
    grids = {"conditions": [2.0, 5.0], "depths": (1, 2), "lrs": lrs, "momenta": momenta}
    sweep = ln.momentum_sweep(**grids, seeds=[0, 1], steps=60, d=3, level=0.1, device=device)
    noisy = ln.momentum_sweep(**grids, seeds=[0], steps=10, d=3, batch_size=4, device=device)
    return flat(
        sweep,
        noisy.final,
        ln.best_momenta(sweep, momenta),
        ln.summarize_momentum(sweep, **grids),
        ln.minimizer_curvature(momenta.abs(), randn(2, 3, device=device), 2),
    )


@case
def speedup_map(device):
    from litrepro.linearnets import speedup_map

    powers, conditions, lrs = (torch.tensor(v, dtype=f64, device=device) for v in ([2.0, 4.0], [1.0, 4.0], [0.1, 0.5]))
    return speedup_map(powers, conditions, depth=2, lrs=lrs, m=8, d=2, steps=60, every=20, level=0.2)


@case
def residual_networks(device):
    from litrepro import linearnets as ln

    blocks, target = 0.1 * randn(2, 3, 4, 4, device=device), torch.matrix_exp(0.2 * randn(4, 4, seed=1, device=device))
    S = symmetric(4, 4, seed=2, device=device)
    S = S @ S
    X, Y, A, B = (randn(*shape, seed=3, device=device) for shape in ((3, 8), (2, 8), (5, 3), (2, 5)))
    maps = {"input_map": A, "output_map": B}
    return flat(
        ln.residual_product(blocks),
        ln.residual_risk(blocks, target, S),
        ln.residual_gradient(blocks, target, S),
        ln.gradient_lower_bound(0.5 * blocks, target, S),
        ln.residual_product(ln.identity_factorization(torch.stack([target, target.mT]), 4)),
        ln.linear_resnet_descent(X, Y, 3, **maps, step=1e-4, iterations=5),
        ln.linear_resnet_descent(X, Y, 3, **maps, step=1e-4, iterations=5, batch_size=3, generator=2),
        ln.zou_rate(X, A, B, 3, 1e-4),
    )


@draws
@network
def train_convnets(device):
    from litrepro.linearnets import convnet_variant, train_convnets

    options = {"channels": (2, 3), "hidden": 4}
    x, y = images(12, 8, device)
    run = {"lr": 0.01, "seeds": [0, 1], "steps": 2, "every": 1, "batch": 4}
    model = built(lambda: convnet_variant("factored", seed=0, size=8, **options), device).eval()
    return flat(train_convnets("factored", (x, y), (x, y), **options, **run), model(x))
