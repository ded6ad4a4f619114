"""Deep linear networks in batches beside autograd loops and scipy; the factored layer beside nn.Linear."""

from __future__ import annotations

import torch
from _timing import arguments, best_of, report, skip
from torch import nn

from litrepro.linearnets import emulate, induced_direction, power_loss_grad, train_factors
from litrepro.nets import FactoredLinear


def regression(device: str, n: int = 500, d: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    """Random data, x (n, d) and y (1, n)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return x.to(device), torch.randn(1, n, generator=generator, dtype=torch.float64).to(device)


def step_sizes(steps: int, device: str) -> tuple[float, float]:
    """Ten step sizes at depth 3 in one batch, against autograd and torch.optim.SGD one after the other."""
    x, y = regression(device)
    lrs = torch.logspace(-4, -2, 10, dtype=torch.float64, device=device)
    start = [0.1 * torch.ones(10, 1, n, dtype=torch.float64, device=device) for n in (128, 1, 1)]

    def loop() -> None:
        for lr in lrs.tolist():
            factors = [factor[0].clone().requires_grad_() for factor in start]
            optimizer = torch.optim.SGD(factors, lr)
            for _ in range(steps):
                optimizer.zero_grad()
                r = factors[2] @ factors[1] @ factors[0] @ x.T - y
                (r**4).sum().div(4 * len(x)).backward()
                optimizer.step()

    def ours() -> None:
        train_factors(lambda w: power_loss_grad(w, x, y, 4), start, lr=lrs, steps=steps, every=steps)

    return best_of(ours, 3), best_of(loop, 1)


def directions(device: str) -> tuple[float, float]:
    """Induced direction of 256 matrices 8 x 16 at depth 4, against scipy's fractional matrix powers."""
    from scipy.linalg import fractional_matrix_power

    w = torch.randn(256, 8, 16, dtype=torch.float64, device=device)
    g = torch.randn(256, 8, 16, dtype=torch.float64, device=device)
    pairs = list(zip(w.cpu().numpy()[:32], g.cpu().numpy()[:32]))

    def peer() -> None:
        for a, b in pairs:
            for j in range(1, 5):
                fractional_matrix_power(a @ a.T, (j - 1) / 4) @ b @ fractional_matrix_power(a.T @ a, (4 - j) / 4)

    return best_of(lambda: induced_direction(w, g, 4), 5), best_of(peer, 1) * 256 / len(pairs)


def emulation(steps: int, device: str) -> tuple[float, float]:
    """The end-to-end rule for ten step sizes, against the review's autograd loop for each."""
    x, y = regression(device)
    lrs = torch.logspace(-4, -2, 10, dtype=torch.float64, device=device)
    w0 = 0.01 * torch.ones(10, 1, 128, dtype=torch.float64, device=device)

    def peer() -> None:
        for lr in lrs.tolist():
            w = w0[0].clone().requires_grad_()
            for _ in range(steps):
                loss = torch.sum((torch.squeeze(torch.mm(x, w.t())) - y[0]) ** 4) / 4 / len(x)
                loss.backward()
                float(loss)
                grad, norm = w.grad.data, torch.norm(w)
                unit = w / norm
                w = w - lr * norm ** (2 - 2 / 3) * (grad + 2 * torch.mm(grad, unit.t()) * unit)
                w = w.clone().detach().requires_grad_()

    def ours() -> None:
        emulate(lambda w: power_loss_grad(w, x, y, 4), w0, depth=3, lr=lrs, steps=steps, every=steps)

    return best_of(ours, 3), best_of(peer, 1)


def layer(device: str) -> tuple[float, float]:
    """Forward pass at batch 64 through 512 -> 10, factored against plain."""
    x = torch.randn(64, 512, device=device)
    ours, theirs = FactoredLinear(512, 10).to(device), nn.Linear(512, 10).to(device)
    return (
        best_of(lambda: [ours(x) for _ in range(200)], 5) / 200,
        best_of(lambda: [theirs(x) for _ in range(200)], 5) / 200,
    )


def big_layer(device: str) -> tuple[float, float]:
    """Forward pass at batch 64 through 3136 -> 512, factored against plain."""
    x = torch.randn(64, 3136, device=device)
    ours, theirs = FactoredLinear(3136, 512).to(device), nn.Linear(3136, 512).to(device)
    return best_of(lambda: ours(x), 5), best_of(lambda: theirs(x), 5)


@torch.no_grad()
def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    steps = 200 if args.quick else 2000
    with torch.enable_grad():
        rows = [
            (
                "train_factors, 10 step sizes, depth 3, 500 x 128",
                "autograd, optim.SGD",
                *step_sizes(steps, args.device),
            ),
            ("emulate, 10 step sizes, depth 3, 500 x 128", "the review's loop", *emulation(steps, args.device)),
        ]
    rows.append(("FactoredLinear, 512 -> 10, batch 64", "nn.Linear", *layer(args.device)))
    rows.append(("FactoredLinear, 3136 -> 512, batch 64", "nn.Linear", *big_layer(args.device)))
    task, peer = "induced_direction, 256 of 8 x 16, N = 4", "scipy fractional powers"
    try:
        rows.append((task, peer, *directions(args.device)))
    except ImportError as error:
        skip(task, peer, error)
    report(rows)


if __name__ == "__main__":
    main()
