"""Calls of distillation, features, gans and graphs."""

from __future__ import annotations

import torch

from tests.gpu.cases import case, draws, images, network, on_cpu, randn
from tests.gpu.cases_a import places


def numbers(column, dtype=torch.float32):
    """A column of a table as a tensor, in the precision of the computation behind it."""
    return torch.tensor(column.to_numpy(), dtype=dtype, device="cpu")


def perceptron(widths, device, seed=0):
    """A network of one hidden layer on the device."""
    from litrepro.nets import mlp

    return on_cpu(lambda: mlp(widths[0], widths[1:-1], widths[-1], seed=seed)).to(device)


@case
def losses_of_soft_targets(device):
    from litrepro import distillation as d

    z, v, y = randn(5, 4, device=device), randn(5, 4, seed=1, device=device), places(0, 1, 2, 3, 0, device=device)
    q = v.softmax(-1)
    return (
        d.distillation_loss(z, y, v),
        d.kl_divergence(z, q, temperature=2.0),
        d.mimic_loss(z, v, center=True),
        d.regularized_loss(z, y, q),
        d.soft_cross_entropy(z, q),
        d.residual_distribution(z, y),
        d.SoftTargets.from_logits(v, 2.0).targets,
    )


@case
def soft_targets(device):
    from litrepro import distillation as d

    v, y = randn(5, 4, seed=1, device=device), places(0, 1, 2, 3, 0, device=device)
    q, prior = v.softmax(-1), v[0].softmax(-1)
    return (
        d.composite_optimum(y, q, alpha=0.5, temperature=2.0),
        d.ranked_targets(y, v, prior.sort(descending=True).values),
        d.smooth_labels(y, 4, epsilon=0.2, prior=prior),
        d.smooth_labels(y, 4, epsilon=0.2),
        d.uniform_targets(y, 4, peak=0.9),
        d.shuffle_wrong_classes(q, y, generator=torch.Generator("cpu").manual_seed(0)),
    )


@case
def adaptive_labels(device):
    from litrepro.distillation import AdaptiveLabels, adaptive_objective

    labels = on_cpu(lambda: AdaptiveLabels(3)).to(device)
    net = perceptron((4, 3), device)
    net.labels, net.net = labels, net.forward
    z, y = randn(5, 3, dtype=torch.float32, device=device), places(0, 1, 2, 0, 1, device=device)
    residual, update = labels(z, y)
    value = adaptive_objective(0.5)(net, randn(5, 4, dtype=torch.float32, device=device), y, 0.0, None)
    return residual.detach(), update.detach(), labels.matrix.detach(), value.detach()


@case
def representations(device):
    from litrepro.distillation import cluster_tightness, gradient_noise, logit_information, plane_through_means

    x, y = randn(9, 4, device=device), places(*[0, 1, 2] * 3, device=device)
    model = perceptron((4, 5, 3), device).double()
    noise = gradient_noise(model, x, (y,), lambda z, y: -z.log_softmax(-1).gather(-1, y[:, None])[:, 0])
    return (
        cluster_tightness(x, y),
        plane_through_means(x, y, (0, 1, 2)),
        logit_information(randn(2, 5, 3, device=device)),
        torch.tensor(noise, device="cpu"),
    )


@draws
def random_shift(device):
    from litrepro.distillation import random_shift

    return random_shift(images(6, 8, device)[0], 0, mirror=True)


@case
def shifts_by_nothing(device):
    from litrepro.distillation import random_shift

    return random_shift(images(6, 8, device)[0], 0, pixels=0)


@case
def distil(device):
    from litrepro.distillation import distill, distill_chain

    x, y = images(18, 4, device)
    options = {"alpha": 0.3, "temperature": 3.0, "epochs": 2, "batch_size": 6, "evaluate_on": {"test": (x, y)}}
    teacher, student = perceptron((16, 9, 3), device), perceptron((16, 4, 3), device, seed=1)
    first = distill(student, teacher, (x, y), **options)
    chain = [perceptron((16, width, 3), device, seed=width) for width in (9, 5, 3)]
    second = distill_chain(chain, (x, y), **options)
    return numbers(first["value"]), student.head.weight.detach(), numbers(second["value"])


@case
def train_students(device):
    from litrepro.distillation import SoftTargets, train_students

    x, y = images(18, 4, device)
    soft = randn(18, 3, device=device, dtype=torch.float32).softmax(-1)
    kinds = {
        "hard": SoftTargets(),
        "soft": SoftTargets(soft, alpha=0.5, temperature=2.0),
        "wrong": SoftTargets(labels=y.flip(0)),
    }
    build = lambda seed: perceptron((16, 4, 3), "cpu", seed)  # noqa: E731
    options = {"epochs": 2, "batch_size": 6, "lr": 0.05, "evaluate_on": {"test": (x, y)}}
    found = train_students(build, [0, 1], (x, y), kinds, **options)
    return numbers(found.history["value"]), found(x)


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
    K, lam = f.gaussian_kernel(x, x), torch.tensor([0.1, 0.2], dtype=torch.float64, device=device)
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
    return numbers(table["value"], torch.float64), sine_grid(device=torch.device(device))


@case
def kitchen_sinks(device):
    from litrepro.features import importance_estimate, kitchen_sinks

    z, y = randn(2, 12, 5, device=device), randn(2, 12, seed=1, device=device)
    found = kitchen_sinks(z, y, bound=0.5)
    estimate = importance_estimate(torch.sin, y, lambda x: -x.square(), lambda x: -x.abs())
    return found.weights, found.objective, *estimate


@case
def gan_measurements(device):
    from litrepro.gans import class_coverage, frechet_distance, gan_losses, inception_score, mode_coverage, ring_mixture

    a, b = randn(2, 30, 3, device=device), randn(20, 3, seed=1, device=device)
    probs = a.softmax(-1)
    samples, centers = ring_mixture(40, generator=0)
    kinds = ("saturating", "nonsaturating", "wasserstein")
    return (
        frechet_distance(a, b),
        frechet_distance(a[:, :3], b),
        *inception_score(probs, splits=3),
        class_coverage(probs, min_confidence=0.4),
        *mode_coverage(samples.to(device), centers.to(device), 0.02),
        *(part for kind in kinds for part in gan_losses(a[..., 0], a[..., 1], kind)),
    )


def _players(shape):
    from litrepro.gans import MLPDiscriminator, MLPGenerator

    return lambda: on_cpu(lambda: MLPGenerator(2, 4, shape)), lambda: on_cpu(lambda: MLPDiscriminator(shape, 4))


@case
def train_gans(device):
    from litrepro.gans import Variant, game_field, train_gans

    data = randn(50, 3, dtype=torch.float32, device=device)
    variants = [Variant("a"), Variant("SGD", optimizer="sgd", lr=0.01), Variant("consensus", gamma=0.1)]
    variants += [Variant("W", loss="wasserstein", clip=0.1), Variant("zero sum", loss="saturating", optimism=1.0)]
    gans = train_gans(*_players((3,)), data, variants, steps=6, batch=8, simultaneous=True, record=2, seeds=(0, 1))
    field, w = game_field(gans, 1, data[:8], randn(8, 2, dtype=torch.float32, seed=1, device=device))
    return gans.history, gans.snapshots[6], gans.discriminators, gans.finite, gans.sample(4), field(w)


@case
def gan_scores(device):
    from litrepro.gans import ScoreNet, Variant, score_course, thumbnail_images, thumbnails, train_gans

    data = randn(20, 1, 28, 28, dtype=torch.float32, device=device)
    net = on_cpu(lambda: torch.manual_seed(0) and ScoreNet()).to(device)
    shape = (1, 28, 28)
    gans = train_gans(*_players(shape), data, [Variant("a"), Variant("b", lr=1e-3)], steps=2, batch=8, snapshots=(1,))
    table = score_course(gans, net, net.embed(data), (1, 2), n=10)
    pictures = thumbnail_images(thumbnails(gans, 2))
    # A level of grey may be rounded to its neighbour.
    return *(numbers(table[name]) for name in ("IS", "FD", "classes")), pictures["a"].mean()


@network
def train_score_net(device):
    from litrepro.gans import train_score_net

    x = randn(12, 1, 28, 28, dtype=torch.float32, device=device)
    return train_score_net(x, places(*[0, 1, 2] * 4, device=device), epochs=1).probabilities(x[:3])


@case
def convolutional_gans(device):
    from litrepro.gans import DCDiscriminator, DCGenerator, Variant, train_gans

    data = randn(12, 1, 28, 28, dtype=torch.float32, device=device)
    makers = lambda: on_cpu(lambda: DCGenerator(4, 2)), lambda: on_cpu(lambda: DCDiscriminator(2))
    return train_gans(*makers, data, [Variant("a"), Variant("b", gamma=0.1)], steps=2, batch=4, record=1).history


@case
def graph_operators(device):
    from litrepro import graphs as g

    w, Y = randn(2, 10, device=device).abs(), randn(2, 5, 5, seed=1, device=device)
    L = g.laplacian(w)
    S = g.sample_covariance(randn(2, 20, 5, device=device))
    positive, support = w > 0.5, randn(2, 10, seed=3, device=device) > 0
    return (
        L,
        g.laplacian_adjoint(Y),
        g.laplacian_gram(w),
        g.edge_weights(L),
        g.log_gdet(L),
        g.relative_error(w, w + 1),
        g.contrast_loss(L, S),
        g.common_scale(S),
        g.nested_covariances([S[0], S[1]], [3, 5]),
        g.largest(w, positive.sum(-1)),
        g.support_f1(w, support),
        g.edge_average_precision(w, support),
        *g.edge_pairs(5),
    )


@case
def graphons(device):
    from litrepro import graphs as g

    x = randn(2, 6, device=device).sigmoid()
    kinds = (
        g.graphon("quadratic"),
        g.graphon("constant", prob=0.4),
        g.graphon("blocks", boundaries=[0.3], probs=[[0.9, 0.2], [0.2, 0.6]]),
        g.graphon("band", phi=2.0),
    )
    A = (g.sample_graph(kinds[0], 12, batch=(2,), generator=0).adjacency).to(device)
    found = [part for W in kinds for part in (W(x, x.flip(0)), g.degree_function(W, x, nodes=64))]
    return (*found, g.spectrum_distance(A, kinds[2]), g.sample_graph(kinds[2], 12, generator=1).adjacency)


@draws
def graphs_where_the_positions_lie(device):
    from litrepro.graphs import graphon, laplacian, sample_graph, sample_signals

    x = randn(6, device=device).sigmoid()
    return sample_graph(graphon("quadratic"), 6, latents=x).adjacency, sample_signals(laplacian(x), 5)


@case
def signals_on_a_graph(device):
    from litrepro.graphs import laplacian, sample_covariance, sample_signals

    X = sample_signals(laplacian(randn(10, device=device).abs()), 30, generator=torch.Generator("cpu").manual_seed(0))
    # The signs of eigenvectors, which devices choose, change the signals but not their number and their level.
    return X.sum(-1), 0 * sample_covariance(X)


@case
def graphical_lassos(device):
    from litrepro import graphs as g

    w = randn(2, 10, device=device).abs()
    L = g.laplacian(w)
    S, mu = torch.linalg.pinv(L), torch.linalg.eigvalsh(L)
    weights = {"alpha": 0.01, "beta": 1.0, "gamma": 0.1}
    found = []
    for method in ("accelerated", "mm"):
        result = g.spectral_graphical_lasso(S, mu, method=method, max_iter=30, tol=1e-12, history=True, **weights)
        found += [result.w, result.lam, result.objective, result.history]
    few = g.spectral_graphical_lasso(S, mu, edges=5, max_iter=30, tol=1e-12)
    classic = g.classic_graphical_lasso(S + 0.1 * torch.eye(5, dtype=S.dtype, device=device), 0.1)
    found += [g.spectral_objective(result.w, result.U, result.lam, S, mu, **weights), few.w, classic.precision]
    return (*found, *g.kkt_residuals(result.w, result.U, result.lam, S, mu, **weights))


@case
def recovery_of_graphs(device):
    from litrepro import graphs as g

    W = g.graphon("constant", prob=0.7)
    trials = g.recovery_trials(W, 5, 3, [10, 100], generator=0, device=device)
    # Signals depend on the signs of eigenvectors, which devices choose: these covariances do not.
    S = torch.linalg.pinv(g.laplacian(trials.weights))
    trials = trials._replace(covariances=torch.stack([S + 0.1 * S.abs(), S]))
    settings = [{"prior": "own", "mu": mu, "gamma": 0.1} for mu in (trials.eigenvalues, trials.degrees)]
    spectral = g.spectral_sweep(trials, settings, max_iter=20)
    classic = g.classic_sweep(trials, [0.1], level=1.0)
    mine = {"prior": "own", "mu": trials.degrees[0], "gamma": 0.1, "alpha": 0.0, "beta": 1.0}
    S = trials.covariances + 0.1 * torch.eye(5, dtype=S.dtype, device=device)
    held = g.held_out_sweep(S, [10, 100], {"test": S[1]}, [mine], classic=[0.1], max_iter=20)
    errors = spectral["error"], classic["error"], held["test"]
    return trials.weights, trials.degrees, *(numbers(error, torch.float64) for error in errors)
