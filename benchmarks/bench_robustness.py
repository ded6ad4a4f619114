"""Robustness beside torchattacks and HiGHS: attacks on a batch, dual bounds against linear programs, exact solves.

The usual peer of the dual bounds is auto_LiRPA. Its one release on the package index (0.3) asks for torch below
1.13 and does not import with numpy 2, so that HiGHS, which solves the same relaxation to the end, is the reference for
both fixed and optimized slopes; the fixed ones are looser, and the mean of what they lose is printed.
"""

from __future__ import annotations

import torch
from _timing import arguments, best_of, report, skip

from litrepro.data import mnist
from litrepro.robustness import (
    carlini_wagner,
    deepfool,
    dual_bounds,
    dual_margins,
    exact_margins,
    lp_margins,
    member_layers,
    member_network,
    pgd,
    train_robust,
)

Row = tuple[str, str, float, float]


def programs(images: int) -> list[Row]:
    """Optimized dual against linear programs, and exact solves with interval and dual bounds; 196-24-24-10."""
    train, test = mnist("train", n=2000, balanced=True, size=14), mnist("test", size=14)
    stack = train_robust(
        (train.images.flatten(1), train.labels), (196, 24, 24, 10), method="standard", eps=[0.0], seeds=[0], epochs=10
    )
    net = member_layers(stack, 0)
    x, y = test.images.flatten(1)[:images].double(), test.labels[:images]
    dual = best_of(lambda: dual_margins(net, x, y, 0.05, steps=150), 1)
    linear = best_of(lambda: lp_margins(net, x, y, 0.05), 1)
    rows = [(f"dual_margins, 150 steps, {images} images", "lp_margins (HiGHS)", dual, linear)]
    fixed = best_of(lambda: dual_margins(net, x, y, 0.05), 3)
    rows.append((f"dual_margins, fixed slopes, {images} images", "lp_margins (HiGHS)", fixed, linear))
    loss = (lp_margins(net, x[:4], y[:4], 0.05) - dual_margins(net, x[:4], y[:4], 0.05)).mean().item()
    print(f"dual_margins, fixed slopes: margins {loss:.3f} below the linear program's on average")
    few, labels, other = x[:4], y[:4], (y[:4] + 1) % 10
    tight = best_of(lambda: exact_margins(net, few, labels, 0.05, bounds=dual_bounds(net, few, 0.05), classes=other), 1)
    loose = best_of(lambda: exact_margins(net, few, labels, 0.05, classes=other), 1)
    return [*rows, ("exact_margins, dual bounds, 4 images", "exact_margins, intervals", tight, loose)]


def attacks(n: int, device: str) -> list[Row]:
    """PGD, DeepFool and Carlini-Wagner against torchattacks, 784-256-10; prints what each attack leaves standing."""
    import torchattacks

    train, test = mnist("train"), mnist("test")
    x, y = train.images.flatten(1).to(device), train.labels.to(device)
    stack = train_robust((x, y), (784, 256, 10), method="standard", eps=[0.0], seeds=[0], epochs=5)
    model = member_network(stack, 0).eval()
    images, labels = test.images.flatten(1)[:n].to(device), test.labels[:n].to(device)
    few, few_labels = images[:50], labels[:50]
    cases = [  # task, peer, inputs, our attack, the peer's, repetitions of ours and of the peer's
        (f"pgd, 40 steps, n = {n}", "torchattacks PGD", (images, labels),
         lambda x, y: pgd(model, x, y, 0.1), torchattacks.PGD(model, eps=0.1, alpha=0.00625, steps=40), 3, 3),
        ("deepfool, n = 50", "torchattacks DeepFool", (few, few_labels),
         lambda x, y: deepfool(model, x), torchattacks.DeepFool(model), 3, 1),
        ("carlini_wagner, 200 steps, 1 value of c, n = 50", "torchattacks CW", (few, few_labels),
         lambda x, y: carlini_wagner(model, x, y, steps=200, binary_steps=1), torchattacks.CW(model, c=1, steps=200),
         1, 1),
    ]  # fmt: skip
    rows = []
    for task, peer, (points, target), ours, theirs, many, few_times in cases:
        left = [(model(attack(points, target)).argmax(1) == target).double().mean().item() for attack in (ours, theirs)]
        print(f"{task}: accuracy left {left[0]:.3f}, by {peer} {left[1]:.3f}")
        seconds = best_of(lambda a=ours, p=points, t=target: a(p, t), many)
        rows.append((task, peer, seconds, best_of(lambda a=theirs, p=points, t=target: a(p, t), few_times)))
    return rows


def minimal_with_bisection(device: str) -> list[Row]:
    """Carlini-Wagner with bisection over c against Foolbox, 50 images."""
    import foolbox

    train, test = mnist("train"), mnist("test")
    x, y = train.images.flatten(1).to(device), train.labels.to(device)
    stack = train_robust((x, y), (784, 256, 10), method="standard", eps=[0.0], seeds=[0], epochs=5)
    model = member_network(stack, 0).eval()
    images, labels = test.images.flatten(1)[:50].to(device), test.labels[:50].to(device)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=device)
    peer = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=6, steps=200)
    ours = best_of(lambda: carlini_wagner(model, images, labels, steps=200, binary_steps=6), 1)
    theirs = best_of(lambda: peer(wrapped, images, labels, epsilons=None), 1)
    return [("carlini_wagner, 200 steps, 6 values of c, n = 50", "foolbox CW", ours, theirs)]


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    torch.manual_seed(0)  # torchattacks draws its random starts from the global generator
    rows = programs(20 if args.quick else 200)
    peers = [
        ("attacks", "torchattacks", lambda: attacks(200 if args.quick else 1000, args.device)),
        ("carlini_wagner with bisection", "foolbox", lambda: minimal_with_bisection(args.device)),
    ]
    for task, peer, measure in peers:
        try:
            rows += measure()
        except ImportError as error:
            skip(task, peer, error)
    report(rows)


if __name__ == "__main__":
    main()
