"""Ensembles beside a loop of single runs; closed-form gradients of linear residual networks beside autograd."""

from __future__ import annotations

import time

import torch
from _timing import arguments, best_of, report
from torch import nn

from litrepro.linearnets import residual_gradient, residual_risk
from litrepro.nets import mlp
from litrepro.training import fit, fit_ensemble


def ensemble(members: int, epochs: int, device: str, optimizer: str = "sgd") -> tuple[float, float]:
    """Perceptrons 196-32-10 on 640 examples, batch 64: seconds of all members, and of a loop of ``fit``."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(640, 196, generator=generator).to(device)
    y = x[:, :10].argmax(1)
    common = {"epochs": epochs, "batch_size": 64, "lr": 1e-2, "optimizer": optimizer, "eval_every": epochs}

    def ours() -> None:
        fit_ensemble(lambda seed: mlp(196, [32], 10, seed=seed), range(members), (x, y), **common)

    few = min(members, 8)

    def loop() -> None:
        for seed in range(few):
            fit(mlp(196, [32], 10, seed=seed), (x, y), seed=seed, **common)

    return best_of(ours, 3), best_of(loop, 3) * members / few


def plain_torch(epochs: int, device: str) -> tuple[float, float]:
    """One perceptron through ``fit``, beside the shortest loop one would write."""
    x = torch.randn(640, 196, generator=torch.Generator().manual_seed(0)).to(device)
    y = x[:, :10].argmax(1)

    def ours() -> None:
        fit(mlp(196, [32], 10), (x, y), epochs=epochs, batch_size=64, lr=1e-2, momentum=0.9, eval_every=epochs)

    def loop() -> None:
        model = mlp(196, [32], 10).to(device)
        optimizer = torch.optim.SGD(model.parameters(), 1e-2, momentum=0.9)
        for _ in range(epochs):
            for chosen in torch.randperm(640).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
                optimizer.step()

    return best_of(ours, 3), best_of(loop, 3)


def gradient(device: str) -> tuple[float, float]:
    """2,000 networks of 10 blocks 5 x 5: closed form against autograd."""
    generator = torch.Generator().manual_seed(0)
    blocks = 0.1 * torch.randn(2000, 10, 5, 5, generator=generator, dtype=torch.float64).to(device)
    target = torch.randn(2000, 5, 5, generator=generator, dtype=torch.float64).to(device)
    leaf = blocks.clone().requires_grad_()
    return (
        best_of(lambda: residual_gradient(blocks, target), 10),
        best_of(lambda: torch.autograd.grad(residual_risk(leaf, target).sum(), leaf), 10),
    )


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    epochs = 5 if args.quick else 20
    started = time.perf_counter()
    rows = [
        (f"fit_ensemble, M = {m}, MLP 196-32-10, {name}", "loop of fit", *ensemble(m, epochs, args.device, name))
        for name in ("sgd", "adam")
        for m in (8, 32, 128)
    ]
    rows.append(("fit, MLP 196-32-10, batch 64", "loop over torch.optim.SGD", *plain_torch(epochs, args.device)))
    rows.append(("residual_gradient, 2,000 of (10, 5, 5)", "autograd", *gradient(args.device)))
    report(rows)
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
