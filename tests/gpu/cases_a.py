"""Calls of asynchrony, convexnets and coresets."""

from __future__ import annotations

import torch

from tests.gpu.cases import case, on_cpu, randn


def problem(device, n=6, d=2, seed=0):
    """Inputs (n, d) and targets (n,)."""
    return randn(n, d, seed=seed, device=device), randn(n, seed=seed + 1, device=device)


def labelled(device, n=12, d=3):
    """Inputs (n, d) and labels (n,) of +-1."""
    x = randn(n, d, device=device)
    return x, torch.where(x[:, 0] + 0.3 * randn(n, seed=1, device=device) > 0, 1.0, -1.0).double()


def places(*numbers, device):
    """Integers on the device."""
    return torch.tensor(numbers, device="cpu").to(device)


def quadratic(w):
    """The gradient of a quadratic."""
    return w * torch.arange(1, w.shape[-1] + 1, dtype=w.dtype, device=w.device)


@case
def stale_descent(device):
    from litrepro.asynchrony import async_descent, expected_descent, momentum_recursion, worker_staleness

    w, lr = randn(2, 3, device=device), torch.tensor([0.05, 0.1], dtype=torch.float64, device=device)
    delays = worker_staleness(3, 12, trials=2, generator=0).to(device)
    law = torch.tensor([0.5, 0.3, 0.1], dtype=torch.float64, device=device)
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

    spectrum = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64, device=device)
    lr, mu = (torch.linspace(0.1, high, 5, dtype=torch.float64, device=device) for high in (2.0, 0.8))
    return (
        convergence_rate(spectrum, lr=lr, staleness=mu, momentum=0.2),
        best_momentum(spectrum, staleness=mu, momenta=lr - 0.5, lrs=lr).rate,  # that several step sizes reach
        polyak_momentum(1 / spectrum),
    )


@case
def mean_squares(device):
    from litrepro.asynchrony import mean_square_path, mean_square_rate, sampled_momentum_rate

    lr = torch.tensor([0.2, 0.7], dtype=torch.float64, device=device)
    spectrum = torch.tensor([0.1, 1.0], dtype=torch.float64, device=device)
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
def activation_patterns(device):
    from litrepro.convexnets import activation_patterns, subnetwork_patterns

    X = randn(6, 2, device=device)
    drawn = activation_patterns(randn(6, 4, device=device), 20, generator=0)
    return activation_patterns(X), activation_patterns(randn(5, 3, device=device)), drawn, *subnetwork_patterns(X, 2, 9)


@case
def convex_relu_program(device):
    from litrepro.convexnets import activation_patterns, convex_relu_program, optimality_gap, relu_support, to_network

    X, y = problem(device)
    patterns = activation_patterns(X)
    beta = torch.tensor([0.1, 0.5], dtype=torch.float64, device=device)
    path, one = convex_relu_program(X, y, beta, patterns), convex_relu_program(X, y, 0.1, patterns)
    W, a = to_network(one.v, one.u)
    return path.objective, path.v, *optimality_gap(X, y, 0.1, W, a, patterns), relu_support(X, y, patterns)


@case
def convex_relu_program3(device):
    from litrepro.convexnets import convex_relu_program3, subnetwork_patterns

    X, y = problem(device)
    return convex_relu_program3(X, y, 0.1, *subnetwork_patterns(X, 2, 6, generator=0)).W


@case
def gated_relu_program(device):
    from litrepro.convexnets import activation_patterns, gated_relu_program

    X = randn(6, 2, device=device)
    beta = torch.tensor([0.5, 1.0], dtype=torch.float64, device=device)
    found = gated_relu_program(X, randn(6, 2, seed=1, device=device), beta, activation_patterns(X), tol=1e-8)
    return found.V, found.objective, found.converged


@case
def convex_networks(device):
    from litrepro.convexnets import convex_nn, convex_nn_predict

    found = []
    X, y = labelled(device, d=2)
    for options in (
        {"oracle": "exact"},
        {"oracle": "logistic"},
        {"oracle": "svm"},
        {"oracle": "perceptron"},
        {"oracle": "logistic", "activation": "tanh", "tune": 5},
    ):
        net = convex_nn(X, y, 0.5, max_neurons=4, **options)
        found += [net.V, net.w, convex_nn_predict(net.V, net.w, X, options.get("activation", "sign"))]
    return tuple(found)


@case
def convex_network_parts(device):
    from litrepro.convexnets import best_halfplane, convex_nn_bound, fit_output_weights, sparsify_weights

    (X, y), H = labelled(device, d=2), randn(12, 4, seed=2, device=device)
    fit = fit_output_weights(H, y, 0.5)
    bound = torch.tensor(convex_nn_bound(X, y, 0.5, fit.dual), device="cpu")
    weights = sparsify_weights(randn(3, 6, device=device), randn(6, seed=1, device=device))
    return fit.w, fit.dual, best_halfplane(X, y * fit.dual).v, bound, weights


@case
def frank_wolfe(device):
    from litrepro.convexnets import frank_wolfe, project_gamma1, relu_lmo_search, relu_lmo_whitened

    A = torch.linalg.qr(randn(5, 5, device=device)).Q
    B, y = randn(6, 3, device=device), randn(2, 5, seed=1, device=device)
    delta = torch.tensor([1.0, 2.0], dtype=torch.float64, device=device)

    def search(A, g):
        return relu_lmo_search(A, g, restarts=4, iterations=10, generator=0)

    return (
        *frank_wolfe(A, y, delta, iterations=10),
        *frank_wolfe(B, randn(6, device=device), 1.0, iterations=4, lmo=search, batch_size=lambda t: 3 + t),
        *relu_lmo_whitened(A, y[0]),
        project_gamma1(y, delta),
    )


@case
def relu_regression(device):
    from litrepro.convexnets import descend_relu, modified_gradient, modified_loss, relaxed_loss, relu_loss

    (A, y), X = problem(device, n=5, d=3), randn(4, 2, 3, seed=5, device=device)
    return (
        *descend_relu(A, y, X, modified=True, lr=0.01, steps=20),
        *descend_relu(A, y, X, modified=False, lr=0.01, steps=20),
        modified_gradient(A, y, X),
        modified_loss(A, y, X),
        relaxed_loss(A, y, X[:, 0]),
        relu_loss(A, y, X),
    )


@case
def convex_duality(device):
    from litrepro.convexnets import deep_linear_optimum, dual_ball_projection, whitened_relu_optimum

    X, y = problem(device, n=6, d=3)
    beta = torch.tensor([0.1, 1.0], dtype=torch.float64, device=device)
    return (
        dual_ball_projection(X, y, beta),
        deep_linear_optimum(X, y, 3, 0.5).w,
        whitened_relu_optimum(places(4, 9, device=device), 2, 0.5).c,
    )


@case
def ensembles_of_networks(device):
    from litrepro.convexnets import deep_relu_networks, descend, linear_networks, relu_networks, subnetworks

    (X, y), Y = problem(device), randn(6, 2, seed=3, device=device)
    fun = lambda x: (x - 1).square().sum(-1)  # noqa: E731
    return (
        *relu_networks(X, y, 0.1, 3, 2, steps=8),
        subnetworks(X, y, 0.1, 2, 2, 2, steps=8),
        linear_networks(X, Y, 3, 0.1, 3, 2, steps=8)[1],
        deep_relu_networks(X, Y, 3, 0.1, 3, 2, steps=8)[1],
        descend(fun, [randn(2, 3, device=device)], steps=8, lr=0.1)[1],
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
def logistic_coresets(device):
    from litrepro.coresets import incremental_gradient, logistic_optimum

    x, y = labelled(device)
    weights = randn(12, seed=4, device=device).abs()
    table = incremental_gradient(x, y, weights, (x, y), ridge=0.1, step=1.0, epochs=3, generator=0)
    return logistic_optimum(x, y, weights, ridge=0.1), torch.tensor(table["excess"].to_numpy(), device="cpu")


def _mlp(device, **options):
    from litrepro.nets import mlp

    return on_cpu(lambda: mlp(3, [5], 3, **options)).to(device)


@case
def coreset_gradients(device):
    from litrepro.coresets import glister, last_layer_gradients, last_layer_refresh, per_sample_gradients

    x, y = randn(12, 3, dtype=torch.float32, device=device), places(*[0, 1, 2] * 4, device=device)
    model = _mlp(device)
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
        model = _mlp(device)
        options |= {"fraction": 0.5, "every": 2, "epochs": 3, "batch_size": 4}
        table, chosen = train_on_coresets(model, (x, y), evaluate_on={"test": (x, y)}, **options)
        found += [model.head.weight.detach(), torch.tensor(table["value"].to_numpy(), **like)]
        found.append(torch.tensor(chosen["gradient_error"].to_numpy(), **like))
    return tuple(found)
