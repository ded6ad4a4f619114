"""Calls of public solvers and training loops that must give the same on every device: name -> f(device) -> tensors."""

from __future__ import annotations

import torch

CASES = {}
NETWORKS = set()  # cases that build a network, or an optimizer of torch's, whose step count lies on the default device
DRAWS = set()  # cases whose random numbers are drawn on the device of the input, and differ from device to device


def case(function):
    """Register a call under its name."""
    if CASES.get(function.__name__, function) is not function:
        raise ValueError(f"there is a case {function.__name__} already")
    CASES[function.__name__] = function
    return function


def network(function):
    """Register a call that builds a network or uses torch.optim."""
    NETWORKS.add(function.__name__)
    return case(function)


def draws(function):
    """Register a call that draws where its input lies: only that it runs, and where, can be compared."""
    DRAWS.add(function.__name__)
    return case(function)


def on_cpu(build):
    """What ``build`` makes, whatever the default device: a network to be moved, in a case that the meta test runs."""
    with torch.device("cpu"):
        return build()


def randn(*shape, seed=0, dtype=torch.float64, device="cpu"):
    """The same numbers on every device."""
    return torch.randn(*shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=dtype, device="cpu").to(device)


def symmetric(*shape, seed=0, device="cpu"):
    """Symmetric matrices (..., n, n)."""
    A = randn(*shape, seed=seed, device=device)
    return (A + A.mT) / 2


def images(n, size, device, seed=0):
    """Random images (n, 1, size, size) in [0, 1] with labels of three classes."""
    x = torch.rand(n, 1, size, size, generator=torch.Generator("cpu").manual_seed(seed), device="cpu").to(device)
    y = (torch.arange(n, device="cpu") % 3).to(device)
    return x, y


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

    scales = torch.linspace(1, 10, 6, dtype=torch.float64, device=device)
    fun = lambda x: (scales * x.square()).sum(-1) / 2  # noqa: E731
    x = randn(3, 6, device=device)
    return (
        gradient_descent(fun, x, lr=0.05, tol=1e-6).x,
        accelerated_gradient(fun, x, smoothness=10.0, strong_convexity=1.0, tol=1e-6).x,
    )


@case
def linear_networks(device):
    from litrepro.linearnets import balanced_factors, emulate, train_factors

    target = randn(3, 2, 4, seed=1, device=device)
    grad = lambda w: w - target  # noqa: E731
    start = 0.3 * randn(3, 2, 4, device=device)
    trained, _ = train_factors(grad, balanced_factors(start, 3), lr=0.02, steps=40)
    return trained, emulate(grad, start, depth=3, lr=0.02, steps=40)


@case
def random_features(device):
    from litrepro.features import feature_ridge, fourier_features, gaussian_kernel, hadamard_transform, kernel_ridge

    x, omega = randn(10, 3, device=device), randn(16, 3, seed=1, device=device)
    z = fourier_features(x, omega, torch.zeros(16, dtype=torch.float64, device=device))
    K = gaussian_kernel(x, x, sigma=1.0)
    return (
        z,
        feature_ridge(z, x[:, :1], 0.1),
        kernel_ridge(K, x[:, :1], 0.1),
        hadamard_transform(randn(2, 8, device=device)),
    )


@network
def interval_and_dual_margins(device):
    from litrepro.robustness import dual_margins, ibp_margins, pgd, sdp_gradient_bound

    layers = [(randn(8, 6, device=device), randn(8, seed=1, device=device)), (randn(3, 8, seed=2, device=device),) * 1]
    layers[1] = (layers[1][0], torch.zeros(3, dtype=torch.float64, device=device))
    x = randn(5, 6, seed=3, device=device).sigmoid()
    y = (torch.arange(5, device="cpu") % 3).to(device)
    model = lambda z: torch.relu(z @ layers[0][0].mT + layers[0][1]) @ layers[1][0].mT  # noqa: E731
    return (
        ibp_margins(layers, x, y, 0.05),
        dual_margins(layers, x, y, 0.05, steps=10),
        pgd(model, x, y, 0.1, steps=5),
        sdp_gradient_bound(randn(4, device=device), randn(4, 3, device=device), steps=30).bound,
    )


@network
def carlini_wagner_and_deepfool(device):
    from litrepro.robustness import carlini_wagner, deepfool

    W = randn(3, 6, device=device)
    x = randn(5, 6, seed=3, device=device).sigmoid()
    model = lambda z: z @ W.mT  # noqa: E731
    y = model(x).argmax(1)
    return deepfool(model, x), carlini_wagner(model, x, y, steps=20, binary_steps=2, lr=0.05)


@network
def train_robust(device):
    from litrepro.robustness import robust_accuracy, train_robust

    x, y = images(30, 4, device)
    data = x.flatten(1), y
    stack = train_robust(data, (16, 8, 3), method="ibp", eps=[0.02, 0.05], seeds=[0, 1], epochs=2, batch_size=10)
    values = robust_accuracy(stack, data, 0.02, metrics=("clean", "verified")).value
    return stack.weights[0].detach(), torch.tensor(values.to_numpy(), device="cpu")


@network
def fit(device):
    from litrepro.nets import mlp
    from litrepro.training import fit

    x, y = images(30, 4, device)
    model = mlp(16, [8], 3).to(device)
    history = fit(model, (x, y), epochs=2, batch_size=10, optimizer="adam", lr=0.01)
    return model.head.weight.detach(), torch.tensor(history["value"].to_numpy(), device="cpu")


@network
def fit_ensemble(device):
    from litrepro.nets import mlp
    from litrepro.training import fit_ensemble

    x, y = images(30, 4, device)
    found = fit_ensemble(
        lambda seed: mlp(16, [8], 3, seed=seed), [0, 1], (x, y), epochs=2, batch_size=10, lr=[0.1, 0.2]
    )
    return found(x)


@network
def batch_norm_network(device):
    from litrepro.nets import allconv_resnet
    from litrepro.training import fit

    x, y = images(12, 8, device)
    model = allconv_resnet(1, widths=(4, 8), stem=4, in_channels=1, num_classes=3, batchnorm=True).to(device)
    fit(model, (x, y), epochs=1, batch_size=6, lr=0.05)
    return model(x).detach()


@case
def one_relu(device):
    from litrepro.shallow import relu_gram, relu_gram_expected, train_relu_output

    X = torch.nn.functional.normalize(randn(6, 4, device=device), dim=-1)
    W, signs = randn(10, 4, seed=1, device=device), torch.sign(randn(10, seed=2, device=device))
    lr, momentum = (torch.tensor(value, dtype=torch.float64, device=device) for value in (0.05, 0.5))
    norms, _ = train_relu_output(X, randn(6, seed=3, device=device), W, signs, lr=lr, momentum=momentum, steps=20)
    return relu_gram(X, W), relu_gram_expected(X), norms


@network
def fit_recorded(device):
    from litrepro.nets import lenet
    from litrepro.training import cosine, fit

    # 21 examples in batches of 4: five full batches, three run and the others replayed, and a rest.
    x, y = images(21, 16, device)
    settings = {"epochs": 2, "batch_size": 4, "optimizer": "adam", "lr": 1e-3, "schedule": cosine, "cuda_graph": True}
    model = lenet(3, in_channels=1, size=16, seed=1)
    history = fit(model, (x, y), **settings)
    return torch.tensor(history["value"].to_numpy(), device="cpu"), model(x).detach()


@network
def gans(device):
    from litrepro.gans import MLPDiscriminator, MLPGenerator, Variant, train_gans

    data = randn(50, 3, dtype=torch.float32, device=device)
    variants = [Variant("Adam"), Variant("OAdam", optimism=1.0), Variant("SGD", optimizer="sgd", lr=0.01, gamma=0.1)]
    makers = (lambda: MLPGenerator(2, 4, (3,)), lambda: MLPDiscriminator((3,), 4))
    found = train_gans(*makers, data, variants, steps=12, batch=8, critic_steps=2, snapshots=(5,))
    return found.snapshots[5], found.snapshots[12], found.history
