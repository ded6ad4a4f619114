"""Calls of interpolation, materials and nets."""

from __future__ import annotations

import torch

from tests.gpu.cases import case, draws, images, network, on_cpu, randn
from tests.gpu.cases_a import places
from tests.gpu.cases_a2 import numbers


@case
def least_norm(device):
    from litrepro import interpolation as i

    x, y = randn(2, 4, 7, device=device), randn(2, 4, seed=1, device=device)
    step = torch.tensor([0.01, 0.02], dtype=torch.float64, device=device)
    scales = torch.tensor([1.0, 0.1], dtype=torch.float64, device=device)
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
    features = torch.tensor([3.0, 9.0, torch.inf], dtype=torch.float64, device=device)
    curve = rff_curve((x, y), (x, y), [4, 40], bandwidth=1.0, num_classes=3, kind="real")
    return (
        numbers(curve["test_mse"], torch.float64),
        random_feature_risk(spectrum, spectrum, 6, features, noise=0.1),
        random_feature_risk(spectrum, spectrum, 6, 9),
        fourier_features(x.flatten(1), randn(5, 9, dtype=torch.float32, device=device)).abs(),
    )


@case
def sample_wise_curve(device):
    from litrepro.interpolation import sample_wise_curve

    found = [sample_wise_curve([3, 12], 6, trials=2, noise=0.1, generator=0, ridge=ridge) for ridge in (0.0, 0.1)]
    return tuple(numbers(table["excess_risk"], torch.float64) for table in found)


@network
def two_layer_curve(device):
    from litrepro.interpolation import two_layer_curve

    x, y = images(18, 3, device)
    settings = {"reuse": True, "epochs": 2, "batch_size": 6, "num_classes": 3, "seeds": (0, 1)}
    return numbers(two_layer_curve((x, y), (x, y), [2, 4], **settings)["test_mse"])


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

    t = torch.arange(6, dtype=torch.float64, device="cpu").to(device)
    d = t + 1
    values = [*m.fit_growth_law(t, (4 + 3 * t).sqrt()).values(), *m.fit_hall_petch(d, 100 + 50 / d.sqrt()).values()]
    K, G = 100 + 10 * d, 60 + 3 * d
    found = torch.tensor([*values, *m.pile_up(4), m.within_share(K, G)], dtype=torch.float64, device="cpu")
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


NETS = {
    "allconv_resnet": {"blocks": 1, "widths": (4, 8), "stem": 2, "batchnorm": True},
    "cnn5": {"k": 2, "size": 16},
    "lenet": {"size": 16},
    "mnist_convnet": {"channels": (2, 3), "hidden": 4, "factored": True, "size": 16},
    "resnet18": {"k": 1, "size": 16},
    "shufflenetv2": {"width": 0.5},
    "vgg3": {"channels": (2, 3, 4), "size": 16},
}


@case
def architectures(device):
    """Output, and the slope of its square, in eval mode: dropout draws where the network lies."""
    from litrepro import nets

    found, x = [], images(3, 16, device)[0]
    for name, options in NETS.items():
        make = {"in_channels": 1, "num_classes": 3} | options
        model = on_cpu(lambda name=name, make=make: getattr(nets, name)(**make)).to(device).eval()
        z = model(x)
        z.square().mean().backward()
        found += [z.detach(), max((p for p in model.parameters()), key=torch.numel).grad]
    fixed = on_cpu(lambda: nets.fixup_(nets.allconv_resnet(1, widths=(4, 8), stem=2, in_channels=1))).to(device)
    return (*found, fixed.features(x).detach())


@case
def stacked_networks(device):
    from litrepro.nets import FactoredLinear, StackedMLP, cnn5, grouped

    x = images(4, 8, device)[0]
    layer = on_cpu(lambda: torch.manual_seed(0) and FactoredLinear(64, 2, depth=3)).to(device)
    stack = on_cpu(lambda: StackedMLP((64, 5, 3), trials=2, activation="tanh", init="glorot")).to(device)
    group = on_cpu(lambda: grouped([cnn5(2, in_channels=1, size=8, seed=s) for s in range(2)])).to(device)
    chosen = places(0, 3, 9, 63, device=device)[:, None]
    outputs = layer(x.flatten(1)), stack(x.flatten(1)), stack.from_ones(chosen), group(x), layer.weight
    return tuple(part.detach() for part in outputs)


@draws
def dropout(device):
    from litrepro.nets import StackedMLP

    model = on_cpu(lambda: StackedMLP((4, 5, 3), trials=3, dropout=0.5, mask_groups=(0, 0, 1))).to(device)
    return model(randn(6, 4, dtype=torch.float32, device=device)).detach()
