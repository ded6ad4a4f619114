"""The uniform framework beside torch.optim and its peers: many trials, an ensemble of networks, one large model."""

from __future__ import annotations

import torch
from _timing import arguments, best_of, report, skip
from torch import nn
from torch.nn import functional

from litrepro.nets import StackedMLP
from litrepro.optim import Uniform, descend


def quadratic(x: torch.Tensor) -> torch.Tensor:
    """(..., d) -> (...)."""
    return (x**2).sum(-1)


def trials(count: int, sample: int, device: str) -> tuple[float, float]:
    """``count`` trials of 200 Adam steps, d = 20: one batch against a loop (timed on ``sample`` trials, scaled)."""
    x0 = torch.randn(count, 20, device=device)

    def loop() -> None:
        for row in x0[:sample]:
            x = row.clone().requires_grad_(True)
            optimizer = torch.optim.Adam([x], 0.1)
            for _ in range(200):
                optimizer.zero_grad()
                quadratic(x).backward()
                optimizer.step()

    ours = best_of(lambda: descend(quadratic, x0, "adam", 0.1, 200, record_every=200), 3)
    return ours, best_of(loop, 1) * count / sample


def ensemble(members: int, device: str) -> tuple[float, float]:
    """``members`` iris networks, 40 Adam steps: one stacked network against a loop of torch networks."""
    x, y = torch.randn(members, 10, 4, device=device), torch.randint(3, (members, 10), device=device)
    stacked = StackedMLP((4, 200, 80, 3), trials=members).to(device)
    optimizer = Uniform(stacked.parameters(), "adam", torch.full((members,), 1e-3), batch_dims=1)
    single = [
        nn.Sequential(nn.Linear(4, 200), nn.ReLU(), nn.Linear(200, 80), nn.ReLU(), nn.Linear(80, 3)).to(device)
        for _ in range(members)
    ]

    def ours() -> None:
        for _ in range(40):
            optimizer.zero_grad()
            functional.cross_entropy(stacked(x).flatten(0, 1), y.flatten(), reduction="sum").div(10).backward()
            optimizer.step()

    def loop() -> None:
        for index, network in enumerate(single):
            adam = torch.optim.Adam(network.parameters(), 1e-3)
            for _ in range(40):
                adam.zero_grad()
                functional.cross_entropy(network(x[index]), y[index]).backward()
                adam.step()

    return best_of(ours, 3), best_of(loop, 1)


def one_model(peer, rule: str, device: str, **options: object) -> tuple[float, float]:
    """One step of an optimizer over 1,000,000 parameters."""
    parameters = [nn.Parameter(torch.randn(1000, 250, device=device)) for _ in range(4)]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    ours, theirs = Uniform(parameters, rule, 1e-3, **options), peer(parameters)
    times = [[], []]
    for _ in range(4):  # in turns: the allocator's state decides as much as the arithmetic
        for own, optimizer in zip(times, (ours, theirs)):
            own.append(best_of(lambda step=optimizer.step: [step() for _ in range(20)], 2) / 20)
    return min(times[0]), min(times[1])


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    rows = [
        (
            "256 trials x 200 Adam steps, d = 20",
            "loop of torch.optim.Adam",
            *trials(256, 8 if args.quick else 64, args.device),
        )
    ]
    rows.append(("30 iris networks x 40 Adam steps", "loop of torch networks", *ensemble(30, args.device)))
    adam = one_model(lambda p: torch.optim.Adam(p, 1e-3, foreach=True), "adam", args.device)
    rows.append(("Adam, one model of 1M parameters", "torch.optim.Adam (foreach)", *adam))
    try:
        from qhoptim.pyt import QHM

        pair = one_model(lambda p: QHM(p, lr=1e-3, nu=0.7, momentum=0.999), "qhm", args.device)
        rows.append(("QHM, one model of 1M parameters", "qhoptim", *pair))
    except ImportError as error:
        skip("QHM, one model of 1M parameters", "qhoptim", error)
    report(rows)


if __name__ == "__main__":
    main()
