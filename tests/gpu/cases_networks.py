"""Calls of distillation, nets and training."""

from __future__ import annotations

import torch

from tests.gpu.cases import (
    TEXT,
    built,
    case,
    draws,
    f64,
    flat,
    images,
    labelled,
    numbers,
    perceptron,
    places,
    randn,
    recent,
)


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

    labels = built(lambda: AdaptiveLabels(3), device)
    net = perceptron((4, 3), device)
    net.labels, net.net = labels, net.forward
    z, y = randn(5, 3, dtype=torch.float32, device=device), places(0, 1, 2, 0, 1, device=device)
    residual, update = labels(z, y)
    value = adaptive_objective(0.5)(net, randn(5, 4, dtype=torch.float32, device=device), y, 0.0, None)
    return residual.detach(), update.detach(), labels.matrix.detach(), value.detach()


@case
def representations(device):
    from litrepro.distillation import (
        cluster_tightness,
        gradient_noise,
        logit_information,
        plane_through_means,
        target_information,
    )

    x, y = randn(9, 4, device=device), places(*[0, 1, 2] * 3, device=device)
    model = perceptron((4, 5, 3), device).double()
    noise = gradient_noise(model, x, (y,), lambda z, y: -z.log_softmax(-1).gather(-1, y[:, None])[:, 0])
    return (
        cluster_tightness(x, y),
        plane_through_means(x, y, (0, 1, 2)),
        logit_information(randn(2, 5, 3, device=device)),
        *target_information(randn(2, 9, 3, device=device).softmax(-1), y.expand(2, 9)),
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
def batch_norm_network(device):
    from litrepro.nets import allconv_resnet
    from litrepro.training import fit

    x, y = images(12, 8, device)
    model = built(
        lambda: allconv_resnet(1, widths=(4, 8), stem=4, in_channels=1, num_classes=3, batchnorm=True), device
    )
    fit(model, (x, y), epochs=1, batch_size=6, lr=0.05)
    return model(x).detach()


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
        model = built(lambda name=name, make=make: getattr(nets, name)(**make), device).eval()
        z = model(x)
        z.square().mean().backward()
        found += [z.detach(), max((p for p in model.parameters()), key=torch.numel).grad]
    fixed = built(lambda: nets.fixup_(nets.allconv_resnet(1, widths=(4, 8), stem=2, in_channels=1)), device)
    return (*found, fixed.features(x).detach())


@case
def stacked_networks(device):
    from litrepro.nets import FactoredLinear, StackedMLP, cnn5, grouped

    x = images(4, 8, device)[0]
    layer = built(lambda: torch.manual_seed(0) and FactoredLinear(64, 2, depth=3), device)
    stack = built(lambda: StackedMLP((64, 5, 3), trials=2, activation="tanh", init="glorot"), device)
    group = built(lambda: grouped([cnn5(2, in_channels=1, size=8, seed=s) for s in range(2)]), device)
    chosen = places(0, 3, 9, 63, device=device)[:, None]
    outputs = layer(x.flatten(1)), stack(x.flatten(1)), stack.from_ones(chosen), group(x), layer.weight
    return tuple(part.detach() for part in outputs)


@draws
def dropout(device):
    from litrepro.nets import StackedMLP

    model = built(lambda: StackedMLP((4, 5, 3), trials=3, dropout=0.5, mask_groups=(0, 0, 1)), device)
    return model(randn(6, 4, dtype=torch.float32, device=device)).detach()


@recent
def fit(device):
    from litrepro.training import fit

    x, y = images(30, 4, device)
    model = perceptron((16, 8, 3), device)
    history = fit(model, (x, y), epochs=2, batch_size=10, optimizer="adam", lr=0.01)
    return model.head.weight.detach(), numbers(history["value"])


@recent
def fit_grouped(device):
    from litrepro.nets import cnn5
    from litrepro.training import fit_grouped

    x, y = images(12, 8, device)
    models = built(lambda: torch.nn.ModuleList(cnn5(1, num_classes=3, in_channels=1, size=8, seed=s) for s in (0, 1)))
    labels = torch.stack([y, y.flip(0)], 1)
    table = fit_grouped(list(models), (x, labels), epochs=1, batch_size=6, lr=0.01)
    return numbers(table["train_error"])


@case
def side_by_side(device):
    from litrepro.nets import cnn5
    from litrepro.training import train_side_by_side

    x, y = images(12, 8, device)
    models = built(lambda: torch.nn.ModuleList(cnn5(1, num_classes=3, in_channels=1, size=8, seed=s) for s in (0, 1)))
    return train_side_by_side(list(models), (x, y), seeds=[0, 1], lr=[0.01, 0.1], epochs=1, batch_size=6)


@case
def first_losses(device):
    from litrepro.training import first_losses

    x, y = images(12, 4, device)
    model = perceptron((16, 8, 3), device)
    return first_losses(model, (x, y), list(torch.arange(12, device="cpu").to(device).split(4)), lr=0.1)


@case
def fit_ensemble(device):
    from litrepro.training import fit_ensemble

    x, y = images(30, 4, device)
    build = lambda seed: perceptron((16, 8, 3), "cpu", seed)  # noqa: E731
    return fit_ensemble(build, [0, 1], (x, y), epochs=2, batch_size=10, lr=[0.1, 0.2])(x)


@recent
def fit_recorded(device):
    from litrepro.nets import lenet
    from litrepro.training import cosine, fit

    # 21 examples in batches of 4: five full batches, three run and the others replayed, and a rest.
    x, y = images(21, 16, device)
    settings = {"epochs": 2, "batch_size": 4, "optimizer": "adam", "lr": 1e-3, "schedule": cosine, "cuda_graph": True}
    model = built(lambda: lenet(3, in_channels=1, size=16, seed=1))
    history = fit(model, (x, y), **settings)
    return numbers(history["value"]), model(x).detach()


@case
def objectives(device):
    from litrepro.nets import StackedMLP
    from litrepro.training import expected_best, flat_weights, mlp_objective, mlp_scores, sharpness

    model = built(lambda: StackedMLP((4, 5, 3), trials=2).double(), device)
    x, y = labelled(10, 4, device, dtype=f64)
    w, fun = flat_weights(model), mlp_objective((4, 5, 3), x, y, activation="tanh")
    squared = mlp_objective((4, 5, 3), x, y, loss="mse")
    scores = mlp_scores((4, 5, 3), w, x)
    return flat(w, fun(w), squared(w), scores, sharpness(fun, w, steps=40, generator=0), expected_best(scores[0].mT, 3))


@case
def stacked_training(device):
    from litrepro.nets import StackedMLP
    from litrepro.optim import rule
    from litrepro.training import draw_splits, train_stacked, train_to_level, train_widths

    x, y = labelled(20, 4, device)
    splits = draw_splits(20, [0, 1], train=16, batch=4, steps=4)
    table = train_stacked(x, y, splits, rule("adam"), [0.01, 0.1], (4, 5, 3), record_every=2)
    model = built(lambda: StackedMLP((4, 3), trials=2), device)
    lr = torch.tensor([0.5, 1.0], device=device)
    options = {"target": 0.5, "batch": 10, "max_steps": 200, "seeds": [0, 1], "check_every": 50}
    level = train_to_level(model, x, y, "sgd", lr, **options)
    widths = train_widths((x, y), (x, y), [2, 4], seeds=[0, 1], lr=lambda width: 0.1, batch=5, steps=4)
    return flat(table, level.weights, level.loss, level.reached, widths, dtype=torch.float32)


@case
def stacked_by_level(device):
    from litrepro.nets import StackedMLP
    from litrepro.training import train_to_level

    x, y = labelled(20, 4, device)
    model = built(lambda: StackedMLP((4, 3), trials=2), device)
    options = {"target": 0.5, "batch": 10, "max_steps": 200, "seeds": [0, 1], "check_every": 50}
    level = train_to_level(model, x, y, "adam", torch.tensor([0.05, 0.1], device=device), **options)
    return flat(level.weights, level.loss, level.reached)


@case
def characters(device):
    from litrepro.training import train_characters

    rules = {"Adam": ("adam", [0.01, 0.1]), "SGD": ("sgd", [0.1])}
    options = {"context": 2, "hidden": [4], "batch": 8, "steps": 4, "eval_every": 2}
    return flat(train_characters(TEXT, rules, **options, device=device), dtype=torch.float32)


@draws
def paired_psgd(device):
    from litrepro.training import train_paired_psgd

    data, kinds = labelled(20, 4, device), [("none", 0.0), ("gaussian", 0.1), ("coordinate", 0.1)]
    options = {"seeds": [0, 1], "hidden": [4, 4], "lr": 0.1, "batch": 5, "steps": 3, "eval_every": 2}
    return flat(train_paired_psgd(data, data, kinds, **options), dtype=torch.float32)


@case
def fit_by_sgd(device):
    from litrepro.training import cosine, evaluate, fit, fit_ensemble, step_decay

    x, y = images(20, 2, device)
    model = perceptron((4, 5, 3), device)
    weights = torch.linspace(0, 1, 20, device=device)
    options = {"epochs": 2, "batch_size": 8, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "weights": weights}
    history = fit(model, (x, y), **options, schedule=cosine, evaluate_on={"again": (x, y)})
    options |= {"lr": [0.1, 0.2], "schedule": step_decay({0.5: 0.1}), "loss": "mse"}
    ensemble = fit_ensemble(lambda seed: perceptron((4, 5, 3), "cpu", seed), [0, 1], (x, y), **options)
    scores = evaluate(model, (x, y), metrics=("loss", "accuracy"))
    values = [numbers(table["value"]) for table in (history, ensemble.history)]
    return flat(values, scores, ensemble(x), model(x), dtype=torch.float32)


@draws
def fit_with_augmentation(device):
    from litrepro.training import fit

    augment = lambda x, g: x + 0.1 * torch.randn(x.shape, generator=g, device=x.device)  # noqa: E731
    model = perceptron((4, 5, 3), device)
    x, y = images(20, 2, device)
    history = fit(model, (x, y), epochs=1, batch_size=8, augment=augment)
    return flat(numbers(history["value"]), model(x))


@case
def recorded_graph(device):
    from litrepro.training import CudaGraph

    total = torch.zeros(3, dtype=f64, device=device)
    step = CudaGraph(lambda x: total.add_(x.sum()))
    for seed in range(5):
        step(randn(4, seed=seed, device=device))
    return total


@draws
def rounded(device):
    from litrepro.nets import resnet18
    from litrepro.training import Rounded, half_precision

    net = built(lambda: Rounded(resnet18(2, seed=0)), device).eval()
    with half_precision(device):
        product = randn(3, 3, device=device) @ randn(3, 3, device=device)
    return flat(net(randn(1, 3, 8, 8, dtype=torch.float32, device=device)), product)
