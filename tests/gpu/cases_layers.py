"""Calls of layers and robustness."""

from __future__ import annotations

import torch

from tests.gpu.cases import built, case, f64, flat, images, numbers, randn, recent


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


@recent
def fit_completion(device):
    from litrepro.layers import SATNet, completion_accuracy, completion_loss, fit_completion

    z = torch.eye(4, device="cpu")[torch.arange(12, device="cpu").reshape(6, 2) % 4].flatten(1).to(device)
    known = (torch.arange(8, device="cpu") < 4).expand(6, 8).to(device)
    # Its gradient is ill-conditioned here: in single precision rounding would decide.
    model = built(lambda: SATNet(8, 6, 2, max_iter=10, dtype=f64), device)
    options = {"steps": 3, "batch_size": 4, "digits": 4, "evaluate_on": {"all": (z, known)}}
    table = fit_completion(model, (z, known), order=torch.arange(8, device="cpu").to(device), **options)
    out = model(z, known)
    loss, accuracy = completion_loss(out, z, ~known), completion_accuracy(out, z, digits=4)
    return flat(numbers(table["value"]), loss, accuracy)


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


@recent
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
    model = built(lambda: VisualSudoku(digits(), SATNet(64, 20, max_iter=10, dtype=f64)), device)
    for weights in model.classifier.parameters():
        weights.data = randn(*weights.shape, dtype=torch.float32, device=device)
    losses = fit_visual(model, x, (index, z, known), steps=2, label_givens=True, batch_size=4)
    return flat(losses, visual_accuracy(model, x, (index, z, known), 4), dtype=torch.float32)


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


@recent
def tracker(device):
    from litrepro.data import moving_objects
    from litrepro.layers import MaskTracker, fit_tracker, track

    video = built(lambda: moving_objects(2, 3, 2, 16, proposals=3, noise=0.1, seed=0), device)
    model = built(lambda: MaskTracker(4, 8, 4), device)
    losses = fit_tracker(model, video, steps=2, batch_size=2)
    return flat(losses, [track(video, model, m)[0] for m in ("soft", "greedy")], dtype=torch.float32)


def affine(device):
    """Two affine layers, inputs in [0, 1] and labels."""
    layers = [
        (randn(4, 3, device=device), randn(4, seed=1, device=device)),
        (randn(3, 4, seed=2, device=device), randn(3, seed=3, device=device)),
    ]
    return layers, randn(2, 3, seed=4, device=device).sigmoid(), torch.tensor([0, 2], device=device)


@recent
def interval_and_dual_margins(device):
    from litrepro.robustness import dual_margins, ibp_margins, pgd, sdp_gradient_bound

    layers = [(randn(8, 6, device=device), randn(8, seed=1, device=device)), (randn(3, 8, seed=2, device=device),) * 1]
    layers[1] = (layers[1][0], torch.zeros(3, dtype=f64, device=device))
    x = randn(5, 6, seed=3, device=device).sigmoid()
    y = (torch.arange(5, device="cpu") % 3).to(device)
    model = lambda z: torch.relu(z @ layers[0][0].mT + layers[0][1]) @ layers[1][0].mT  # noqa: E731
    return (
        ibp_margins(layers, x, y, 0.05),
        dual_margins(layers, x, y, 0.05, steps=10),
        pgd(model, x, y, 0.1, steps=5),
        sdp_gradient_bound(randn(4, device=device), randn(4, 3, device=device), steps=30).bound,
    )


@recent
def carlini_wagner_and_deepfool(device):
    from litrepro.robustness import carlini_wagner, deepfool

    W = randn(3, 6, device=device)
    x = randn(5, 6, seed=3, device=device).sigmoid()
    model = lambda z: z @ W.mT  # noqa: E731
    y = model(x).argmax(1)
    return deepfool(model, x), carlini_wagner(model, x, y, steps=20, binary_steps=2, lr=0.05)


@recent
def train_robust(device):
    from litrepro.robustness import robust_accuracy, train_robust

    x, y = images(30, 4, device)
    data = x.flatten(1), y
    stack = train_robust(data, (16, 8, 3), method="ibp", eps=[0.02, 0.05], seeds=[0, 1], epochs=2, batch_size=10)
    values = robust_accuracy(stack, data, 0.02, metrics=("clean", "verified")).value
    return stack.weights[0].detach(), numbers(values)


@case
def attacks(device):
    from litrepro.robustness import fgsm, pgd, project_ball

    layers, x, y = affine(device)
    model = lambda z: torch.relu(z @ layers[0][0].mT + layers[0][1]) @ layers[1][0].mT  # noqa: E731
    eps = torch.tensor([0.1, 0.2], dtype=f64, device=device)
    options = {"steps": 4, "restarts": 2, "momentum": 0.5, "loss": "margin", "generator": 1}
    found = [(pgd(model, x, y, eps, norm=n, **options), project_ball(x, eps, n)) for n in ("linf", "l2", "l1")]
    return flat(fgsm(model, x, y, eps), fgsm(model, x, y, 0.1, targeted=True, loss="margin", box=None), found)


@case
def certificates(device):
    from litrepro import robustness as rb

    layers, x, y = affine(device)
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

    layers, x, y = affine(device)
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

    layers, x, y = affine(device)
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
def margins_under_attack(device):
    from litrepro import robustness as rb

    layers, x, y = affine(device)
    model = lambda z: rb.layer_logits(layers, z)  # noqa: E731
    eps = torch.tensor([0.05, 0.1], dtype=f64, device=device)
    return flat(
        model(x),
        rb.attack_margins(layers, x, y, eps, classes=(y + 1) % 2, steps=3, restarts=2),
        rb.linearized_margins(model, x, y, eps),
        rb.smallest_radius(model, x, y, steps=3, halvings=3),
    )


@case
def training_on_a_semidefinite_bound(device):
    from litrepro.robustness import CertifiedMLP, sdp_objective

    x, y = images(6, 2, device)
    model = built(lambda: CertifiedMLP(4, 3), device)
    loss = sdp_objective(0.1)(model, x.flatten(1), y % 2, 0.8, None)
    return flat(model.dual().detach(), loss.detach(), torch.autograd.grad(loss, model.c))


@recent
def adam_on_duals(device):
    from litrepro.robustness import dual_bounds, sdp_gradient_bound

    layers, x, _ = affine(device)
    bound = sdp_gradient_bound(layers[1][0][0], layers[0][0], steps=5, lr=0.1).bound
    return flat(dual_bounds(layers, x, 0.1, steps=3), bound)


@recent
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
    return flat(found, accuracy, member_layers(model, 1), member_network(model, 0).to(device)(x), dtype=torch.float32)
