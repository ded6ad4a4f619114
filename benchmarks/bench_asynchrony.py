"""Asynchronous descent in batches beside an event loop per run, rates beside numpy.roots, factors beside autograd."""

from __future__ import annotations

import heapq
import random

import torch
from _timing import arguments, best_of, report, skip

from litrepro.asynchrony import async_descent, convergence_rate, worker_staleness
from litrepro.linearnets import momentum_sweep, train_factors

Row = tuple[str, str, float, float]


def queues(trials: int, steps: int, device: str) -> Row:
    """Runs of eight workers on a quadratic in three dimensions, against a loop over events for each of them."""
    curvatures = torch.tensor([1.0, 0.3, 0.05], dtype=torch.float64, device=device)

    def ours() -> None:
        delays = worker_staleness(8, steps, trials=trials, generator=torch.Generator(device).manual_seed(0))
        async_descent(lambda w: curvatures * w, torch.ones_like(curvatures), delays, lr=0.3)

    sample, rng = max(trials // 50, 20), random.Random(0)

    def loop() -> None:
        for _ in range(sample):
            w = [1.0, 1.0, 1.0]
            events = [(rng.expovariate(1.0), worker, tuple(w)) for worker in range(8)]
            heapq.heapify(events)
            for _ in range(steps):
                now, worker, read = heapq.heappop(events)
                w = [a - 0.3 * c * b for a, b, c in zip(w, read, (1.0, 0.3, 0.05))]
                heapq.heappush(events, (now + rng.expovariate(1.0), worker, tuple(w)))

    task = f"{trials} queues of 8 workers, {steps} updates"
    return task, "heapq loop", best_of(ours, 3), best_of(loop, 1) * trials / sample


def rates(settings: int, device: str) -> Row:
    """Rates of asynchronous momentum, ten curvatures, against numpy.roots for every cubic."""
    import numpy as np

    generator = torch.Generator().manual_seed(0)
    mu, beta, lr = (v.to(device) for v in torch.rand(3, settings, generator=generator, dtype=torch.float64))
    lambdas = torch.logspace(-1, 0, 10, dtype=torch.float64, device=device)
    sample = list(zip(mu.tolist(), beta.tolist(), lr.tolist()))[: max(settings // 50, 50)]

    def loop() -> None:
        for m, b, e in sample:
            for lam in lambdas.tolist():
                abs(np.roots([1, -(1 + m + b - e * (1 - m) * lam), m + b + m * b, -m * b])).max()

    ours = best_of(lambda: convergence_rate(lambdas, lr=lr, staleness=mu, momentum=beta), 5)
    return f"convergence_rate, {settings} settings", "numpy.roots loop", ours, best_of(loop, 1) * settings / len(sample)


def factors(trials: int, steps: int, device: str) -> Row:
    """Depth-3 networks with heavy ball, d = 10, against autograd and torch.optim.SGD one after the other."""
    generator = torch.Generator().manual_seed(0)
    start = [0.3 * torch.randn(trials, 10, 10, generator=generator, dtype=torch.float64).to(device) for _ in range(3)]
    goal = torch.eye(10, dtype=torch.float64, device=device)

    def ours() -> None:
        train_factors(lambda w: w - goal, start, lr=0.01, momentum=0.5, steps=steps, every=steps)

    sample = max(trials // 8, 1)

    def loop() -> None:
        for trial in range(sample):
            leaves = [factor[trial].clone().requires_grad_() for factor in start]
            optimizer = torch.optim.SGD(leaves, 0.01, momentum=0.5)
            for _ in range(steps):
                optimizer.zero_grad()
                ((leaves[2] @ leaves[1] @ leaves[0] - goal).square().sum() / 2).backward()
                optimizer.step()

    task = f"train_factors, {trials} trials, depth 3, d = 10"
    return task, "autograd, optim.SGD", best_of(ours, 3), best_of(loop, 1) * trials / sample


def momenta(steps: int, device: str) -> Row:
    """A sweep of 2 x 8 x 8 x 21 settings at depth 2, against a loop over them with autograd."""
    lrs = torch.logspace(-2, -0.5, 8, dtype=torch.float64)
    betas = torch.linspace(-0.9, 0.9, 21, dtype=torch.float64)

    def ours() -> None:
        momentum_sweep(
            (10, 100), depths=(2,), lrs=lrs, momenta=betas, seeds=range(8), steps=steps, norm=2.0, device=device
        )

    h, goal = (
        torch.logspace(0, -1, 10, dtype=torch.float64, device=device),
        torch.ones(10, dtype=torch.float64).to(device),
    )

    def loop() -> None:
        for lr in lrs[:5].tolist():
            leaves = [
                torch.full((size,), 0.3, dtype=torch.float64, device=device, requires_grad=True) for size in (10, 1)
            ]
            optimizer = torch.optim.SGD(leaves, lr, momentum=0.3)
            for _ in range(steps):
                optimizer.zero_grad()
                loss = (h * (leaves[0] * leaves[1] - goal) ** 2).sum() / 2
                loss.backward()
                loss.item()
                optimizer.step()

    return "momentum_sweep, 2,688 runs of depth 2", "autograd, optim.SGD", best_of(ours, 3), best_of(loop, 1) * 2688 / 5


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    trials, steps = (2000, 50) if args.quick else (10_000, 100)
    rows = [queues(trials, steps, args.device)]
    try:
        rows.append(rates(2000 if args.quick else 10_000, args.device))
    except ImportError as error:
        skip("convergence_rate", "numpy.roots loop", error)
    rows.append(factors(64, 100 if args.quick else 400, args.device))
    rows.append(momenta(100 if args.quick else 400, args.device))
    report(rows)


if __name__ == "__main__":
    main()
