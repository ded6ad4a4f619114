"""Robustness beside torchattacks and HiGHS: attacks on a batch, dual bounds against linear programs, exact solves."""

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
    few, labels, other = x[:4], y[:4], (y[:4] + 1) % 10
    tight = best_of(lambda: exact_margins(net, few, labels, 0.05, bounds=dual_bounds(net, few, 0.05), classes=other), 1)
    loose = best_of(lambda: exact_margins(net, few, labels, 0.05, classes=other), 1)
    return [*rows, ("exact_margins, dual bounds, 4 images", "exact_margins, intervals", tight, loose)]


def attacks(n: int, device: str) -> list[Row]:
    """PGD, DeepFool and Carlini-Wagner against torchattacks, 784-256-10."""
    import torchattacks

    train, test = mnist("train"), mnist("test")
    x, y = train.images.flatten(1).to(device), train.labels.to(device)
    stack = train_robust((x, y), (784, 256, 10), method="standard", eps=[0.0], seeds=[0], epochs=5)
    model = member_network(stack, 0).eval()
    images, labels = test.images.flatten(1)[:n].to(device), test.labels[:n].to(device)
    few, few_labels = images[:50], labels[:50]
    peers = {
        "PGD": torchattacks.PGD(model, eps=0.1, alpha=0.00625, steps=40),
        "DeepFool": torchattacks.DeepFool(model),
        "CW": torchattacks.CW(model, c=1, steps=200),
    }
    return [
        (f"pgd, 40 steps, n = {n}", "torchattacks PGD", best_of(lambda: pgd(model, images, labels, 0.1), 3),
         best_of(lambda: peers["PGD"](images, labels), 3)),
        ("deepfool, n = 50", "torchattacks DeepFool", best_of(lambda: deepfool(model, few), 3),
         best_of(lambda: peers["DeepFool"](few, few_labels), 1)),
        ("carlini_wagner, 200 steps, 1 value of c, n = 50", "torchattacks CW",
         best_of(lambda: carlini_wagner(model, few, few_labels, steps=200, binary_steps=1), 1),
         best_of(lambda: peers["CW"](few, few_labels), 1)),
    ]  # fmt: skip


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    torch.manual_seed(0)  # torchattacks draws its random starts from the global generator
    rows = programs(20 if args.quick else 200)
    try:
        rows += attacks(200 if args.quick else 1000, args.device)
    except ImportError as error:
        skip("attacks", "torchattacks", error)
    report(rows)


if __name__ == "__main__":
    main()
