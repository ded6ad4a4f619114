"""Calls of convexnets, landscape and shallow."""

from __future__ import annotations

import torch

from tests.gpu.cases import case, f64, flat, labelled, network, places, randn, recent, saddle, signed, symmetric


def problem(device, n=6, d=2, seed=0):
    """Inputs (n, d) and targets (n,)."""
    return randn(n, d, seed=seed, device=device), randn(n, seed=seed + 1, device=device)


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
    beta = torch.tensor([0.1, 0.5], dtype=f64, device=device)
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
    beta = torch.tensor([0.5, 1.0], dtype=f64, device=device)
    found = gated_relu_program(X, randn(6, 2, seed=1, device=device), beta, activation_patterns(X), tol=1e-7)
    return found.V, found.objective, found.converged


@recent
def convex_networks(device):
    from litrepro.convexnets import convex_nn, convex_nn_predict

    found = []
    X, y = signed(12, 2, device)
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

    (X, y), H = signed(12, 2, device), randn(12, 4, seed=2, device=device)
    fit = fit_output_weights(H, y, 0.5)
    bound = torch.tensor(convex_nn_bound(X, y, 0.5, fit.dual), device="cpu")
    weights = sparsify_weights(randn(3, 6, device=device), randn(6, seed=1, device=device))
    return fit.w, fit.dual, best_halfplane(X, y * fit.dual).v, bound, weights


@case
def frank_wolfe(device):
    from litrepro.convexnets import frank_wolfe, project_gamma1, relu_lmo_search, relu_lmo_whitened

    A = torch.linalg.qr(randn(5, 5, device=device)).Q
    B, y = randn(6, 3, device=device), randn(2, 5, seed=1, device=device)
    delta = torch.tensor([1.0, 2.0], dtype=f64, device=device)

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
    beta = torch.tensor([0.1, 1.0], dtype=f64, device=device)
    return (
        dual_ball_projection(X, y, beta),
        deep_linear_optimum(X, y, 3, 0.5).w,
        whitened_relu_optimum(places(4, 9, device=device), 2, 0.5).c,
    )


@recent
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
def landscape_functions(device):
    from litrepro import landscape as ls

    x = randn(6, 2, device=device)
    return flat(
        ls.classify(randn(5, 3, device=device)),
        ls.cosine_wells(x, torch.tensor([1.0, 3.0], dtype=f64, device=device)),
        ls.fading_slope(x, 0.5),
        ls.gradient(saddle, x),
        ls.hessian(saddle, x),
        ls.monkey_saddle(x),
        ls.product_loss(x),
        ls.quadratic(x, [1.0, -2.0]),
        ls.quartic_saddle(x),
        ls.strict_saddle(saddle, x, eps=0.3, gamma=0.2, alpha=0.1, minima=x[:2], delta=0.5),
        ls.tensor_decomposition(x, torch.eye(2, dtype=f64, device=device)),
        ls.octopus(4 * x.abs()),
        ls.octopus_domain(4 * x.abs()),
        ls.sawtooth(x.sigmoid(), 3),
        ls.relu_interpolant(x),
    )


@case
def landscape_draws(device):
    from litrepro.landscape import fit_random_features, near_critical

    rotation, x = torch.linalg.qr(randn(3, 3, device=device)).Q, randn(20, 1, device=device).sigmoid()
    found = fit_random_features(x, x[:, 0] ** 2, 5, torch.relu, generator=0)
    return flat(near_critical(rotation, 4), near_critical(rotation, 4, flipped=1, generator=1), found(x))


@case
def landscape_networks(device):
    from litrepro.landscape import rescale_relu, segment

    weights, biases = (
        [randn(4, 3, device=device), randn(2, 4, device=device)],
        [randn(n, device=device) for n in (4, 2)],
    )
    x = randn(2, 3, seed=2, device=device)
    ts = torch.linspace(0, 1, 5, dtype=f64, device=device)
    return flat(
        rescale_relu(weights, biases, 2.0),
        segment(lambda w: w.norm(dim=-1), x[0], x[1], ts),
    )


@network
def interpolating_resnet(device):
    from litrepro.landscape import interpolating_resnet

    x, y = randn(6, 3, seed=2, device=device), (torch.arange(6, device="cpu") % 3).to(device)
    return interpolating_resnet(x, y, 3, hidden=6)(x).detach()


@case
def backpropagation(device):
    from litrepro.landscape import backprop

    W = [randn(4, 3, device=device), randn(2, 4, device=device)]
    b = [randn(n, seed=1, device=device) for n in (4, 2)]
    us, xs = backprop.forward(W, b, randn(5, 3, seed=2, device=device))
    dx = torch.ones_like(us[-1])
    return flat(us, xs, backprop.backward(W, us, xs, dx), backprop.backward_naive(W, us, xs, dx))


@case
def one_relu(device):
    from litrepro.shallow import relu_gram, relu_gram_expected, train_relu_output

    X = torch.nn.functional.normalize(randn(6, 4, device=device), dim=-1)
    W, signs = randn(10, 4, seed=1, device=device), torch.sign(randn(10, seed=2, device=device))
    lr, momentum = (torch.tensor(value, dtype=f64, device=device) for value in (0.05, 0.5))
    norms, _ = train_relu_output(X, randn(6, seed=3, device=device), W, signs, lr=lr, momentum=momentum, steps=20)
    return relu_gram(X, W), relu_gram_expected(X), norms


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
        sh.residual_linear(
            0.1 * randn(2, 3, 3, device=device), randn(3, 3, seed=2, device=device), symmetric(3, 3, device=device)
        ),
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
    return flat(
        study,
        table,
        train_relu_output(X, X[:, 0], W, W[:, 0].sign(), lr=0.05, momentum=0.5, steps=5),
        dtype=torch.float32,
    )
