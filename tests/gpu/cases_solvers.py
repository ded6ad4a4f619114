"""Calls of coresets, recovery, secondorder and solvers."""

from __future__ import annotations

import torch

from tests.gpu.cases import (
    TEXT,
    case,
    draws,
    f64,
    flat,
    network,
    perceptron,
    places,
    randn,
    recent,
    signed,
    symmetric,
    times,
)


@case
def coreset_selectors(device):
    from litrepro.coresets import (
        craig,
        facility_location,
        glister,
        grad_match,
        gradient_error,
        random,
        weighted_glister,
    )

    g = randn(2, 12, 3, device=device)
    wide, many = randn(6, 9, seed=1, device=device), randn(300, 3, seed=2, device=device)
    chosen = grad_match(g, 4, ridge=1e-3)
    return (
        *chosen,
        gradient_error(g, chosen),
        *grad_match(wide, 3, nonnegative=False),
        *grad_match(many.float(), 5),
        *craig(g, 4),
        *glister(g, 4),
        *weighted_glister(g, 4),
        *weighted_glister(g, 4, similarity="cosine"),
        *random(g, 4, generator=0),
        facility_location(many @ many.mT, 5, lazy=True),
    )


@case
def coresets_by_class(device):
    from litrepro.coresets import class_quotas, select, select_batches

    g, labels = randn(12, 3, device=device), places(*[0, 1, 2, 0] * 3, device=device)
    found = [part for m in ("craig", "grad-match", "random") for part in select(g, labels, 6, method=m, generator=0)]
    return (*found, *class_quotas(labels, 6), *select_batches(g, 6, batch_size=2, method="craig", generator=0))


@case
def coreset_measurements(device):
    from litrepro.coresets import importance_variance, rank_correlation

    g = randn(2, 8, 3, device=device)
    scores = g.norm(dim=-1)
    return (*importance_variance(g, scores), rank_correlation(scores, g[..., 0]))


@case
def agreement_of_gradients(device):
    from litrepro.coresets import class_gradient_errors, gradient_agreement, select

    g, labels = randn(12, 3, device=device), places(*[0, 1, 2, 0] * 3, device=device)
    errors = class_gradient_errors(g, labels, select(g, labels, 6, method="craig"))
    return errors, torch.tensor(gradient_agreement(g, g[:, :2], every=2), dtype=f64, device="cpu")


@case
def logistic_coresets(device):
    from litrepro.coresets import incremental_gradient, logistic_optimum

    x, y = signed(12, 3, device)
    weights = randn(12, seed=4, device=device).abs()
    table = incremental_gradient(x, y, weights, (x, y), ridge=0.1, step=1.0, epochs=3, generator=0)
    return logistic_optimum(x, y, weights, ridge=0.1), torch.tensor(table["excess"].to_numpy(), device="cpu")


@case
def coreset_gradients(device):
    from litrepro.coresets import glister, last_layer_gradients, last_layer_refresh, per_sample_gradients

    x, y = randn(12, 3, dtype=torch.float32, device=device), places(*[0, 1, 2] * 4, device=device)
    model = perceptron((3, 5, 3), device)
    g = last_layer_gradients(model, x, y, batch_size=5)
    refresh = last_layer_refresh(model, x, y, step=0.1)
    return g, per_sample_gradients(model, x, y, batch_size=5), *glister(g, 4, refresh=refresh)


@case
def train_on_coresets(device):
    from litrepro.coresets import train_on_coresets

    x, y = randn(24, 3, dtype=torch.float32, device=device), places(*[0, 1, 2] * 8, device=device)
    found, like = [], {"dtype": torch.float32, "device": "cpu"}
    for options in (
        {"method": "craig", "warm_start": 1, "momentum": 0.5},
        {"method": "grad-match", "per_batch": True},
        {"method": "glister-online"},
        {"method": "random", "gradients": "all"},
        {"method": "full"},
    ):
        model = perceptron((3, 5, 3), device)
        options |= {"fraction": 0.5, "every": 2, "epochs": 3, "batch_size": 4}
        table, chosen = train_on_coresets(model, (x, y), evaluate_on={"test": (x, y)}, **options)
        found += [model.head.weight.detach(), torch.tensor(table["value"].to_numpy(), **like)]
        found.append(torch.tensor(chosen["gradient_error"].to_numpy(), **like))
    return tuple(found)


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


@case
def gap_at_equal_loss(device):
    from litrepro.secondorder import gap_at_level

    return gap_at_level("sgd", linear_problem(device), [0, 1], level=1.0, lr=0.1, epochs=8, batch=5).nan_to_num(-1.0)


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


@recent
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
def lanczos_extreme(device):
    from litrepro.solvers import lanczos_extreme

    A = symmetric(4, 12, 12, device=device)
    found = lanczos_extreme(lambda v: (A @ v[..., None])[..., 0], randn(4, 12, seed=1, device=device))
    return found.value, found.converged


@case
def hvp(device):
    from litrepro.solvers import hvp

    A = symmetric(3, 5, 5, device=device)
    fn = lambda x: (x * (A @ x[..., None])[..., 0]).sum(-1) + x.pow(4).sum(-1)  # noqa: E731
    return hvp(fn, randn(3, 5, seed=1, device=device), randn(3, 5, seed=2, device=device))


@case
def proximal_maps(device):
    from litrepro import solvers

    x = randn(4, 6, device=device)
    return (
        solvers.soft_threshold(x, 0.3),
        solvers.project_l1_ball(x, 1.0),
        solvers.singular_value_threshold(randn(3, 5, 4, device=device), 0.5),
        solvers.least_squares(randn(2, 7, 3, device=device), randn(2, 7, seed=3, device=device)),
    )


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
