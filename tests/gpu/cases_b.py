"""Cases of landscape, layers and linearnets, and helpers for those of the other packages in cases_b2 and cases_b3."""

from __future__ import annotations

import dataclasses

import torch

from tests.gpu.cases import case, draws, images, network, randn, symmetric

f64 = torch.float64


def flat(*found):
    """All tensors in nested results, as a tuple: tables by their numbers, complex numbers as pairs, nan as -1."""
    parts = []
    for one in found:
        if isinstance(one, torch.Tensor):
            one = torch.view_as_real(one.resolve_conj()) if one.is_complex() else one.detach()
            parts.append(one.nan_to_num(-1.0, torch.inf, -torch.inf) if one.is_floating_point() else one)
        elif isinstance(one, dict):
            parts.extend(flat(*one.values()))
        elif isinstance(one, list | tuple):
            parts.extend(flat(*one))
        elif dataclasses.is_dataclass(one):
            parts.extend(flat(*(getattr(one, field.name) for field in dataclasses.fields(one))))
        elif isinstance(one, int | float):
            parts.extend(flat(torch.tensor(float(one), dtype=f64, device="cpu")))
        elif hasattr(one, "select_dtypes"):
            parts.extend(flat(torch.tensor(one.select_dtypes("number").to_numpy(float), device="cpu")))
    return tuple(parts)


def built(make, device):
    """A module whose weights are drawn on the CPU, whatever the default device is, and moved to ``device``."""
    with torch.device("cpu"):
        made = make()
    return made.to(device)


def saddle(x):
    """A saddle at 0 with minima at (0, +-1)."""
    return x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4


def labelled(n, d, device, classes=3, dtype=torch.float32):
    """Features (n, d) and labels (n,) that depend on them."""
    x = randn(n, d, seed=5, dtype=dtype, device=device)
    return x, x[:, :classes].argmax(1)


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
def clauses(device):
    from litrepro.layers import clauses_to_matrix, maxsat_sdp, queens_clauses, randomized_rounding, satisfied_clauses

    signs = queens_clauses(3).to(device)
    S = clauses_to_matrix(signs)
    V, objective, _ = maxsat_sdp(S, max_iter=60, tol=1e-7)
    other, below, _ = maxsat_sdp(torch.stack([S, 2 * S]), method="block", max_iter=40, tol=1e-3)
    rounded = randomized_rounding(V, 5)
    return flat(S, V @ V.mT, objective, other @ other.mT, below, rounded, satisfied_clauses(signs, rounded))


@case
def satnet(device):
    from litrepro.layers import ConvNetSudoku, ParityChain, SATNet

    z = torch.rand(4, 8, generator=torch.Generator().manual_seed(0), dtype=f64, device="cpu").to(device)
    known = (torch.arange(8, device="cpu") % 3 > 0).expand(4, 8).to(device)
    found = []
    for method in ("block", "mixing"):
        layer = built(lambda method=method: SATNet(8, 6, 2, method=method, dtype=f64, max_iter=20), device)
        out = layer(z, known)
        out.sum().backward()
        found += [out, layer.S.grad]
    net = built(lambda: ConvNetSudoku(2, True, 4, 1), device)
    chain = built(lambda: ParityChain(4, 2), device)
    return flat(found, net(z.float(), known), chain(z[:, :3].float()))


@case
def fit_completion(device):
    from litrepro.layers import SATNet, completion_accuracy, completion_loss, fit_completion

    z = torch.eye(4, device="cpu")[torch.arange(12, device="cpu").reshape(6, 2) % 4].flatten(1).to(device)
    known = (torch.arange(8, device="cpu") < 4).expand(6, 8).to(device)
    model = built(lambda: SATNet(8, 6, 2, max_iter=10), device)
    options = {"steps": 3, "batch_size": 4, "digits": 4, "evaluate_on": {"all": (z, known)}}
    table = fit_completion(model, (z, known), order=torch.arange(8, device="cpu").to(device), **options)
    out = model(z, known)
    return flat(table["value"].tolist(), completion_loss(out, z, ~known), completion_accuracy(out, z, digits=4))


@case
def sudoku(device):
    from litrepro.layers import solve_sudoku, sudoku_grids, sudoku_puzzles, visual_boards

    grids = sudoku_grids(2, 3, seed=0)
    z, known = sudoku_puzzles(grids, 6, seed=0)
    labels = (torch.arange(12, device="cpu") % 4 + 1).to(device)
    moved = sudoku_puzzles(grids[:1].to(device), 4, seed=1)
    return flat(grids, z, known, moved, solve_sudoku(grids[0].to(device)), sudoku_grids(3, 2, seed=1)) + flat(
        visual_boards(z.to(device), 4, labels, seed=0)
    )


@case
def visual_sudoku(device):
    from litrepro.layers import (
        SATNet,
        VisualSudoku,
        fit_visual,
        sudoku_grids,
        sudoku_puzzles,
        visual_accuracy,
        visual_boards,
    )

    x, _ = images(12, 2, device)
    z, known = (part.to(device) for part in sudoku_puzzles(sudoku_grids(2, 4, seed=0), 6, seed=0))
    index = visual_boards(z, 4, (torch.arange(12, device="cpu") % 4 + 1).to(device), seed=0)
    digits = lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 4))  # noqa: E731
    model = built(lambda: VisualSudoku(digits(), SATNet(64, 20, max_iter=10)), device)
    for weights in model.classifier.parameters():
        weights.data = randn(*weights.shape, dtype=torch.float32, device=device)
    losses = fit_visual(model, x, (index, z, known), steps=2, label_givens=True, batch_size=4)
    return flat(losses, visual_accuracy(model, x, (index, z, known), 4))


@case
def matchings(device):
    from litrepro import layers

    C = randn(3, 3, 5, device=device).requires_grad_()
    found = []
    for method in (
        lambda: layers.matching(C, n_grad=10),
        lambda: layers.blackbox_matching(C),
        lambda: layers.implicit_matching(C, 1.0),
        lambda: layers.sinkhorn_matching(C, 0.5),
        lambda: layers.project_matching(C, 10),
    ):
        X = method()
        (gradient,) = torch.autograd.grad((X * C.detach().sin()).sum(), C)
        found += [X, gradient]
    u, v = layers.assignment_prices(C.detach())
    return flat(found, layers.hungarian(C.detach()), u.sum(-1) + v.sum(-1))


@case
def masks(device):
    from litrepro import layers

    a = (randn(2, 3, 6, 6, device=device) > 0).float()
    X = randn(2, 3, 3, seed=1, dtype=torch.float32, device=device).softmax(-1)
    frames = randn(2, 3, 6, 6, seed=2, dtype=torch.float32, device=device)
    iou = layers.mask_iou(a, layers.matched_masks(X, a))
    cost = layers.matching_cost(X, X, iou, 0.3)
    return flat(iou, cost, layers.boundary_f(a, a.flip(-1)), layers.proposal_patches(frames, a, 4))


@case
def tracker(device):
    from litrepro.data import moving_objects
    from litrepro.layers import MaskTracker, fit_tracker, track

    with torch.device("cpu"):
        video = moving_objects(2, 3, 2, 16, proposals=3, noise=0.1, seed=0)
    video = video.to(device) if hasattr(video, "to") else type(video)(*(part.to(device) for part in video))
    model = built(lambda: MaskTracker(4, 8, 4), device)
    return flat(
        fit_tracker(model, video, steps=2, batch_size=2), [track(video, model, m)[0] for m in ("soft", "greedy")]
    )


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
