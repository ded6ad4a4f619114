"""Cases of robustness, secondorder, shallow and training."""

from __future__ import annotations

import torch

from tests.gpu.cases import case, draws, images, network, randn
from tests.gpu.cases_b import built, f64, flat, labelled

TEXT = "to be or not to be, that is the question " * 4


def perceptron(device):
    """Two affine layers, inputs in [0, 1] and labels."""
    layers = [
        (randn(4, 3, device=device), randn(4, seed=1, device=device)),
        (randn(3, 4, seed=2, device=device), randn(3, seed=3, device=device)),
    ]
    return layers, randn(2, 3, seed=4, device=device).sigmoid(), torch.tensor([0, 2], device=device)


def linear_problem(device):
    """A linear model of flat weights with one-hot labels, as the methods of secondorder take it."""
    from litrepro.secondorder import FlatProblem, softmax_loss

    x = randn(12, 4, device=device)
    y = torch.eye(3, dtype=f64, device=device)[x[:, :3].argmax(1)]
    model = lambda w, x: x @ w.reshape(4, 3)  # noqa: E731
    start = lambda seeds: torch.stack([0.1 * randn(12, seed=seed, device=device) for seed in seeds])  # noqa: E731
    score = lambda w, x, y: -(x @ w.unflatten(-1, (4, 3)) - y).square().mean((-2, -1))  # noqa: E731
    return FlatProblem("linear", model, softmax_loss, start, (x, y), (x, y), score)


@case
def attacks(device):
    from litrepro.robustness import fgsm, pgd, project_ball

    layers, x, y = perceptron(device)
    model = lambda z: torch.relu(z @ layers[0][0].mT + layers[0][1]) @ layers[1][0].mT  # noqa: E731
    eps = torch.tensor([0.1, 0.2], dtype=f64, device=device)
    options = {"steps": 4, "restarts": 2, "momentum": 0.5, "loss": "margin", "generator": 1}
    found = [(pgd(model, x, y, eps, norm=n, **options), project_ball(x, eps, n)) for n in ("linf", "l2", "l1")]
    return flat(fgsm(model, x, y, eps), fgsm(model, x, y, 0.1, targeted=True, loss="margin", box=None), found)


@case
def certificates(device):
    from litrepro import robustness as rb

    layers, x, y = perceptron(device)
    eps = torch.tensor([0.05, 0.1], dtype=f64, device=device)
    margins = rb.ibp_margins(layers, x, y, eps, merge_last=False)
    return flat(
        margins,
        rb.certified(margins, y),
        rb.interval_bounds(layers, x, eps),
        rb.ibp_loss(layers, x, y, eps, kappa=0.3),
        rb.dual_bounds(layers, x, eps),
        rb.dual_margins(layers, x, y, eps, bounds=rb.dual_bounds(layers, x, eps)),
        rb.affine_layers(layers),
    )


@case
def programs(device):
    from litrepro import robustness as rb

    layers, x, y = perceptron(device)
    exact = rb.exact_margins(layers, x, y, 0.1)
    return flat(
        exact.margin.float(),
        exact.optimal,
        rb.lp_margins(layers, x, y, torch.tensor([0.05, 0.1], dtype=f64, device=device)).float(),
        rb.activation_pattern_minimum(layers, x[0], 0, 1, 0.1),
    )


@case
def semidefinite_bounds(device):
    from litrepro import robustness as rb

    layers, x, y = perceptron(device)
    W, V = layers[0][0], layers[1][0]
    pairs = rb.pair_bounds(W, V, 20)
    pair = rb.lanczos_max(rb.gradient_sdp_matrix(V, W.expand(3, 4, 3)))
    return flat(
        pairs,
        rb.sdp_margins(layers, x, y, 0.1, bounds=pairs),
        rb.sdp_gradient_bound(V[0], W, steps=3).bound,
        rb.sdp_dual_value(V[0], W, torch.ones(8, dtype=f64, device=device)),
        pair.value,
        pair.vector.abs(),
    )


@case
def adam_on_duals(device):
    from litrepro.robustness import dual_bounds, sdp_gradient_bound

    layers, x, _ = perceptron(device)
    bound = sdp_gradient_bound(layers[1][0][0], layers[0][0], steps=5, lr=0.1).bound
    return flat(dual_bounds(layers, x, 0.1, steps=3), bound)


@case
def robust_stacks(device):
    from litrepro.nets import StackedMLP
    from litrepro.robustness import member_layers, member_network, robust_accuracy, train_robust

    x, y = images(20, 2, device)
    data, found = (x.flatten(1), y), []
    for method in ("standard", "fgsm", "pgd"):
        options = {"eps": [0.02, 0.05], "seeds": [0, 1], "epochs": 1, "batch_size": 10, "attack_steps": 2}
        found += list(train_robust(data, (4, 5, 3), method=method, **options).weights)
    model = built(lambda: StackedMLP((4, 5, 3), trials=2), device)
    accuracy = robust_accuracy(model, data, [0.02, 0.05], attack_steps=2)
    return flat(found, accuracy, member_layers(model, 1), member_network(model, 0).to(device)(x))


@case
def flat_training(device):
    from litrepro.secondorder import gauss_newton_cg, sweep_rates, train_flat

    p = linear_problem(device)
    w, lr = p.start([0, 1]), torch.tensor([0.05, 0.1], dtype=f64, device=device)
    found = []
    for method, options in (("sgd", {}), ("adamw", {"weight_decay": 0.1}), ("sqgn", {"memory": 2, "every": 2})):
        run = train_flat(method, p.model, p.loss, w, p.train, lr=lr, epochs=2, batch=5, **options)
        found += [run.w, run.losses]
    options = {"cg_steps": 3, "sample": 6, "outer": 2, "decay": 0.01}
    newton = gauss_newton_cg(p.model, p.loss, w, p.train, **options)
    return flat(found, newton.w, newton.gradients, sweep_rates("sgd", p, [0.05, 0.1], [0, 1], epochs=1, batch=5))


@draws
def flat_adahessian(device):
    from litrepro.secondorder import train_flat

    p = linear_problem(device)
    run = train_flat("adahessian", p.model, p.loss, p.start([0, 1]), p.train, lr=0.05, epochs=1, batch=5)
    return flat(run.w, run.losses)


@case
def logistic_methods(device):
    from litrepro import secondorder as so

    x = randn(8, 3, device=device)
    y, lr = x[:, 0].sign(), torch.tensor([0.5, 1.0], dtype=f64, device=device)
    path = so.logistic_descent(x, y, 0.1, lr=lr, steps=5)
    return flat(
        path,
        so.logistic_loss(0.1)(path, x, y),
        so.logistic_newton(x, y, 0.1, steps=4),
        [so.logistic_svrg(x, y, 0.1, lr=lr / 9, epochs=2, seeds=[0, 1], plain=plain) for plain in (True, False)],
        so.calls_to_distance(path.norm(dim=-1), 8, 0.5),
        so.conjugate_gradient(lambda v: v * (1 + x[0].square()), x[:3], steps=3),
        so.rate_width([0.1, 1.0, 10.0], randn(3, 4, device=device).abs(), tolerance=0.1, bootstrap=5),
    )


@case
def pairs_and_leakage(device):
    from litrepro import secondorder as so

    p = linear_problem(device)
    x, y = p.train
    w = p.start([0])[0]
    return flat(
        so.hessian_split(lambda w: torch.tanh(p.model(w, x)), lambda out: p.loss(out, y), w),
        so.pair_curvatures(p.model, p.loss, w, p.train, draws=3, batch=4),
        so.crosstalk_leakage([0, 1], calls=6, size=3, data=8),
        so.squared_loss(x, x.flip(0)),
    )


@case
def seismic_tomography(device):
    from litrepro import secondorder as so

    survey = so.seismic_survey(5, size=8, steps=32, device=device)
    found = []
    for model in ("perceptron", "convnet"):
        problem = so.tomography_problem(survey, 3, hidden=3, model=model)
        w = problem.start([0, 1])
        found += [so.inversion_quality(problem, survey, 3, w), so.predictions(problem, survey, 3, w, [0])]
        found += [problem.model(w[0], problem.train[0]), problem.score(w, *problem.test)]
    image = randn(2, 8, 8, device=device)
    return flat(survey, found, so.ssim(image, image.flip(-1)), so.total_variation(image))


@case
def character_problem(device):
    from litrepro import secondorder as so

    sizes = {"context": 4, "width": 4, "layers": 1, "heads": 2, "train": 3, "test": 2}
    p = so.character_problem(TEXT, **sizes, device=device)
    w = p.start([0, 1])
    return flat(w, p.train, p.loss(p.model(w[0], p.train[0]), p.train[1]), p.score(w, *p.test))


@network
def problems_of_data_sets(device):
    from litrepro import secondorder as so

    found = []
    for p in (so.digits_problem(n=10, widths=(64, 10), device=device), so.breast_cancer_problem(device=device)):
        w = p.start([0, 1])
        found += [p.loss(p.model(w[0], p.train[0]), p.train[1]), p.score(w, *p.test)]
    return flat(found)


@case
def teachers(device):
    from litrepro import shallow as sh

    W = sh.planted_teacher(2, 4, condition=3.0, batch=(3,), generator=1).to(device)
    X, V = randn(3, 30, 4, device=device), randn(3, 2, 4, seed=1, device=device)
    y, step = sh.relu_network(X, W), torch.tensor([0.1, 0.2, 0.3], dtype=f64, device=device)
    many = randn(3, 900, 4, seed=2, device=device)
    return flat(
        y,
        sh.permutation_distance(V, W),
        sh.state_matrix(X, W),
        sh.alternating_minimization(X, y, W + 0.1 * V, iterations=2),
        sh.relu_gradient_descent(X, y, V, step=step, iterations=3),
        sh.relu_projected_gradient(X, y, lambda w: w.clamp(-1, 1), iterations=3, step=step),
        sh.tensor_initialization(many, sh.relu_network(many, W), 2, iterations=30, restarts=3),
        sh.population_loss(V, W),
        sh.population_gradient(V, W),
        sh.population_descent(V, W, step=step, iterations=3),
        sh.relu_kernel(V, W),
        sh.residual_linear(0.1 * randn(2, 3, 3, device=device), *randn(2, 3, 3, seed=2, device=device)),
    )


@case
def low_rank_teachers(device):
    from litrepro.shallow import keep_largest_eigenvalues, rank_one_recovery

    X, L = randn(40, 4, device=device), torch.diag(torch.tensor([1.0, 0.5, 0, 0], dtype=f64, device=device))
    y = ((X @ L) * X).sum(-1)
    options = {"iterations": 3, "generator": 1}
    found = [rank_one_recovery(lambda t: (X, y), 4, 2, projection=p, **options) for p in ("exact", "krylov")]
    return flat(found, keep_largest_eigenvalues(L + L.flip(0) + L.flip(0).mT, 2))


@case
def patches(device):
    from litrepro import shallow as sh

    Z, w = randn(12, 3, 2, device=device), randn(2, 2, seed=1, device=device)
    y = (Z @ w[0]).relu().sum(-1)
    step = torch.tensor([0.05, 0.1], dtype=f64, device=device)
    return flat(
        sh.extract_patches(Z, (3, 1), (1, 1)),
        sh.patch_gram(4, 2, 1),
        sh.patch_gram((4, 3), (2, 2), (1, 1)),
        sh.convotron(Z, y, step=step, batch=3, leak=0.1),
        sh.cross_patch_moments(Z, w, w[0]),
        sh.patch_descent(Z, y, w, randn(2, 3, seed=2, device=device), step=0.01, iterations=3),
        sh.set_splitting_inputs(4, 2, seed=0),
    )


@case
def shallow_studies(device):
    from litrepro.shallow import depth_study, learnability_map, train_relu_output

    data = labelled(20, 4, device)
    members = [("he", True, 0.1, 0), ("xavier", False, 0.1, 0), ("zero", True, 0.1, 1)]
    study = depth_study(data, data, members, depth=4, width=4, epochs=1, batch_size=10, classes=3)
    table = learnability_map([12, 20], [1.0, 2.0], neurons=2, d=3, trials=2, iterations=5, device=device)
    X, W = randn(4, 3, device=device), randn(6, 3, seed=1, device=device)
    return flat(study, table, train_relu_output(X, X[:, 0], W, W[:, 0].sign(), lr=0.05, momentum=0.5, steps=5))


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
    return flat(table, level.weights, level.loss, level.reached, widths)


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
    return flat(train_characters(TEXT, rules, **options, device=device))


@draws
def paired_psgd(device):
    from litrepro.training import train_paired_psgd

    data, kinds = labelled(20, 4, device), [("none", 0.0), ("gaussian", 0.1), ("coordinate", 0.1)]
    options = {"seeds": [0, 1], "hidden": [4, 4], "lr": 0.1, "batch": 5, "steps": 3, "eval_every": 2}
    return flat(train_paired_psgd(data, data, kinds, **options))


@case
def fit_by_sgd(device):
    from litrepro.nets import mlp
    from litrepro.training import cosine, evaluate, fit, fit_ensemble, step_decay

    x, y = images(20, 2, device)
    model = built(lambda: mlp(4, [5], 3), device)
    weights = torch.linspace(0, 1, 20, device=device)
    options = {"epochs": 2, "batch_size": 8, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "weights": weights}
    history = fit(model, (x, y), **options, schedule=cosine, evaluate_on={"again": (x, y)})
    options |= {"lr": [0.1, 0.2], "schedule": step_decay({0.5: 0.1}), "loss": "mse"}
    with torch.device("cpu"):
        makers = [mlp(4, [5], 3, seed=seed) for seed in (0, 1)]
    ensemble = fit_ensemble(lambda seed: makers[seed], [0, 1], (x, y), **options)
    scores = evaluate(model, (x, y), metrics=("loss", "accuracy"))
    return flat(history["value"].tolist(), scores, ensemble(x), ensemble.history["value"].tolist(), model(x))


@draws
def fit_with_augmentation(device):
    from litrepro.nets import mlp
    from litrepro.training import fit

    augment = lambda x, g: x + 0.1 * torch.randn(x.shape, generator=g, device=x.device)  # noqa: E731
    model = built(lambda: mlp(4, [5], 3), device)
    x, y = images(20, 2, device)
    history = fit(model, (x, y), epochs=1, batch_size=8, augment=augment)
    return flat(history["value"].tolist(), model(x))


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
