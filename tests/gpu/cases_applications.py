"""Calls of gans, graphs and materials."""

from __future__ import annotations

import torch

from tests.gpu.cases import built, case, draws, f64, images, network, numbers, places, randn


def players(shape):
    """Makers of a generator and of a discriminator."""
    from litrepro.gans import MLPDiscriminator, MLPGenerator

    return lambda: built(lambda: MLPGenerator(2, 4, shape)), lambda: built(lambda: MLPDiscriminator(shape, 4))


@case
def gans(device):
    from litrepro.gans import Variant, train_gans

    data = randn(50, 3, dtype=torch.float32, device=device)
    variants = [Variant("Adam"), Variant("OAdam", optimism=1.0), Variant("SGD", optimizer="sgd", lr=0.01, gamma=0.1)]
    found = train_gans(*players((3,)), data, variants, steps=6, batch=8, critic_steps=2, snapshots=(3,))
    return found.snapshots[3], found.snapshots[6], found.history


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


@case
def train_gans(device):
    from litrepro.gans import Variant, game_field, train_gans

    data = randn(50, 3, dtype=torch.float32, device=device)
    variants = [Variant("a"), Variant("SGD", optimizer="sgd", lr=0.01), Variant("consensus", gamma=0.1)]
    variants += [Variant("W", loss="wasserstein", clip=0.1), Variant("zero sum", loss="saturating", optimism=1.0)]
    gans = train_gans(*players((3,)), data, variants, steps=6, batch=8, simultaneous=True, record=2, seeds=(0, 1))
    field, w = game_field(gans, 1, data[:8], randn(8, 2, dtype=torch.float32, seed=1, device=device))
    return gans.history, gans.snapshots[6], gans.discriminators, gans.finite, gans.sample(4), field(w)


@case
def gan_scores(device):
    from litrepro.gans import ScoreNet, Variant, score_course, thumbnail_images, thumbnails, train_gans

    data = randn(20, 1, 28, 28, dtype=torch.float32, device=device)
    net = built(lambda: torch.manual_seed(0) and ScoreNet(), device)
    shape = (1, 28, 28)
    gans = train_gans(*players(shape), data, [Variant("a"), Variant("b", lr=1e-3)], steps=2, batch=8, snapshots=(1,))
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
    makers = lambda: built(lambda: DCGenerator(4, 2)), lambda: built(lambda: DCDiscriminator(2))
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

    L = laplacian(randn(10, device=device).abs())
    X = sample_signals(L, 30, generator=torch.Generator("cpu").manual_seed(0))
    return X, sample_covariance(randn(2, 30, 5, device=device))


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
    return trials.weights, trials.degrees, *(numbers(error, f64) for error in errors)


@case
def tomography(device):
    from litrepro.materials import fbp, phantom, radon

    volume = phantom(16, 2, seed=0).to(device)
    angles = (torch.arange(8, device="cpu") * (torch.pi / 8)).to(device)
    sino = radon(volume, angles)
    filtered = tuple(fbp(sino, angles, filter=kind) for kind in (None, "ramp", "hann"))
    return (sino, *filtered, fbp(sino.double(), angles.double()))


@draws
def noisy_tomography(device):
    from litrepro.materials import measure_sinogram, phantom, reconstruct

    volume = phantom(16, 2, seed=0).to(device)
    angles = torch.zeros(3, device=device)
    return measure_sinogram(volume, angles, dose=100.0), reconstruct(volume, 6, dose=100.0)


@case
def density_clustering(device):
    from litrepro import materials as m

    points = randn(40, 3, device=device)
    needed = m.intensity_min_samples(points[:, 0], 3, 6, gamma=2.0)
    return *m.dbscan(points, 0.7, 4), *m.dbscan(points, 0.7, needed), needed


@case
def clustering_of_voxels(device):
    from litrepro import materials as m

    volume = randn(2, 6, 7, 7, device=device)
    truth = volume[0] > 0.3
    mask, needed = volume > 0.1, m.voxel_thresholds(volume, 0.1, 2.0, 2, 5)
    rules = {"cuts": [0.1], "radii": [1.0], "samples": [(2, 5, 1.0), (3, 3, 1.0)], "bright": 2.0}
    return (
        m.voxel_roles(mask, 1.5, 4),
        m.voxel_roles(mask, 1.0, needed),
        m.median_filter(volume, 3),
        *m.detection_scores(mask, truth).values(),
        numbers(m.density_sweep(volume[1], truth, **rules)["f1"]),
    )


@case
def rendering(device):
    from litrepro.materials import render_volume

    opacity = randn(5, 6, 6, device=device).sigmoid()
    colour = randn(3, 5, 6, 6, seed=1, device=device).sigmoid()
    flat = render_volume(opacity[:1], size=8)
    return render_volume(opacity, colour, size=12), render_volume(opacity, azimuth=10.0, size=12), flat


@case
def grains(device):
    from litrepro import materials as m

    seeds = m.clustered_seeds(12, 6, 2, generator=0)
    labels = m.voronoi_labels(12, 6, 2, seeds=seeds, device=device)
    return (
        labels,
        m.voronoi_labels(12, 6, 2, seed=0, periodic=False, device=device),
        m.boundaries(labels),
        m.boundary_energy(labels),
        m.grain_areas(labels, 6),
        m.grain_sides(labels, 6),
        m.grain_count(labels),
        m.mean_grain_area(labels),
    )


@case
def threshold_growth(device):
    from litrepro.materials import threshold_growth, voronoi_labels

    labels = voronoi_labels(16, 9, 2, seed=0, device=device)
    return threshold_growth(labels, 4, tau=3.0), threshold_growth(labels, 4, tau=3.0, record=2)


@draws
def potts_growth(device):
    from litrepro.materials import potts_growth, voronoi_labels

    labels = voronoi_labels(12, 6, 2, seed=0, device=device)
    return potts_growth(labels, 2, temperature=0.0), potts_growth(labels, 2, temperature=0.5, record=1)


@case
def grains_that_stay(device):
    from litrepro.materials import potts_growth

    labels = places(*[0, 1] * 2, device=device)[:, None, None].expand(-1, 8, 8)
    return potts_growth(labels, 3, record=1)  # whatever is drawn, an image of one grain has no other


@case
def laws_of_growth(device):
    from litrepro import materials as m

    t = torch.arange(6, dtype=f64, device="cpu").to(device)
    d = t + 1
    values = [*m.fit_growth_law(t, (4 + 3 * t).sqrt()).values(), *m.fit_hall_petch(d, 100 + 50 / d.sqrt()).values()]
    K, G = 100 + 10 * d, 60 + 3 * d
    found = torch.tensor([*values, *m.pile_up(4), m.within_share(K, G)], dtype=f64, device="cpu")
    return found, m.hall_petch(d, 100.0, 50.0), *m.moduli_to_young(K, G), m.vickers_chen(K, G)


@case
def lower_bounds(device):
    from litrepro.materials import conformal_lower, top_precision

    residual, predicted = randn(20, device=device), randn(5, seed=1, device=device)
    return conformal_lower(residual, predicted, 0.8), torch.tensor(top_precision(residual, -residual, 3), device="cpu")


@case
def out_of_fold(device):
    from litrepro.materials import grouped_folds, grouped_predictions

    x, y = randn(8, 2, device="cpu"), randn(8, seed=1, device="cpu")  # for models that know numpy alone
    folds = grouped_folds(["a", "a", "b", "c", "c", "d", "e", "f"], 3)
    predicted = grouped_predictions(lambda x, y: lambda new: 0 * new[:, 0] + y.mean(), x, y, folds)
    return folds, predicted


@case
def boundary_measurements(device):
    from litrepro.materials import best_cut, boundary_f1, boundary_sharpness

    z = randn(3, 8, 8, device=device)
    target = z + 0.5 * randn(3, 8, 8, seed=1, device=device) > 0
    cut = torch.tensor(best_cut(z, target), device="cpu")
    return cut, boundary_f1(z > 0.2, target), boundary_f1(z > 0.2, target, tolerance=1), boundary_sharpness(z.sigmoid())


@network
def train_surrogate(device):
    from litrepro.gans import gan_losses
    from litrepro.materials import GrainUNet, PatchDiscriminator, train_surrogate

    x, _ = images(8, 8, device)
    net, judge = GrainUNet(4, 2, generator=0).to(device), PatchDiscriminator(4, generator=1).to(device)

    def losses(real, fake):
        return gan_losses(real, fake, "nonsaturating")

    settings = {"iterations": 3, "batch": 4, "lr": 1e-3, "discriminator": judge, "adversarial": losses}
    table = train_surrogate(net, (x < 0.3).float(), (x < 0.2).float(), **settings)
    return numbers(table["value"]), net(x).detach()
