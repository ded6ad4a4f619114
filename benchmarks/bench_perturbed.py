"""Perturbed descent and Lanczos in batches beside loops and scipy; PSGD beside torch's SGD."""

from __future__ import annotations

import torch
from _timing import arguments, best_of, report, skip
from torch import nn

from litrepro.landscape import hessian, octopus, quartic_saddle
from litrepro.nets import StackedMLP
from litrepro.optim import PSGD, perturbed_gd
from litrepro.solvers import hvp, lanczos_extreme
from litrepro.training import flat_weights, mlp_objective


def octopus_trials(trials: int, device: str) -> tuple[float, float]:
    """100 steps on the octopus, d = 5: one batch against a loop over trials."""
    x0 = torch.rand(trials, 5, dtype=torch.float64, device=device)
    options = {"lr": 0.1, "steps": 100, "radius": 0.02, "g_thres": 0.02, "t_thres": 1, "record_every": 100}
    ours = best_of(lambda: perturbed_gd(octopus, x0, **options), 3)
    sample = x0[: max(1, trials // 8)]
    loop = best_of(lambda: [perturbed_gd(octopus, x, **options) for x in sample], 1)
    return ours, loop * trials / len(sample)


def lowest_eigenvalues(operators: int, d: int, device: str) -> tuple[float, float] | None:
    """Lowest eigenvalue of random symmetric operators by 60 Lanczos steps, against scipy's eigsh."""
    from scipy.sparse.linalg import eigsh

    a = torch.randn(operators, d, d, dtype=torch.float64, device=device)
    a = (a + a.mT) / 2
    v0 = torch.randn(operators, d, dtype=torch.float64, device=device)
    ours = best_of(lambda: lanczos_extreme(lambda v: torch.einsum("kij,kj->ki", a, v), v0, steps=60), 3)
    dense = a.cpu().numpy()
    return ours, best_of(lambda: [eigsh(m, k=1, which="SA", tol=1e-3) for m in dense], 1)


def small_networks(members: int, device: str) -> tuple[float, float]:
    """Extreme Hessian eigenvalues of small networks by 30 Lanczos steps: one stack against a loop of eigsh."""
    import numpy as np
    from scipy.sparse.linalg import LinearOperator, eigsh

    widths = (16, 8, 4)
    x, y = torch.randn(60, 16, dtype=torch.float64, device=device), torch.randint(4, (60,), device=device)
    w = flat_weights(StackedMLP(widths, trials=members, activation="tanh")).double().to(device)
    fun = mlp_objective(widths, x, y, activation="tanh")
    v0 = torch.randn(w.shape, dtype=torch.float64, device=device)
    ours = best_of(lambda: lanczos_extreme(lambda v: hvp(fun, w, v), v0, steps=30), 3)

    def loop() -> None:
        for row in w:
            size = (len(row), len(row))
            product = LinearOperator(
                size, lambda v, row=row: hvp(fun, row, torch.as_tensor(np.ravel(v)).to(row)).cpu().numpy(), dtype=float
            )
            eigsh(product, k=1, which="SA", tol=1e-3)

    return ours, best_of(loop, 1)


def ensembles(members: int, device: str) -> tuple[float, float]:
    """PSGD on perceptrons, 30 steps: one stack against a loop of torch networks with the noise drawn per parameter."""
    x, y = torch.randn(64, 196, device=device), torch.randint(10, (64,), device=device)
    stacked = StackedMLP((196, 64, 10), trials=members).to(device)
    optimizer = PSGD(stacked.parameters(), 0.1, torch.full((members,), 0.1, device=device), batch_dims=1)
    singles = [nn.Sequential(nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 10)).to(device) for _ in range(members)]
    labels = y.repeat(members)

    def ours() -> None:
        for _ in range(30):
            optimizer.zero_grad()
            nn.functional.cross_entropy(stacked(x).flatten(0, 1), labels, reduction="sum").div(64).backward()
            optimizer.step()

    def loop() -> None:
        for network in singles:
            own = PSGD(network.parameters(), 0.1, 0.1)
            for _ in range(30):
                own.zero_grad()
                nn.functional.cross_entropy(network(x), y).backward()
                own.step()

    return best_of(ours, 3), best_of(loop, 2)


def many_hessians(points: int, device: str) -> tuple[float, float]:
    """Dense Hessians and their eigenvalues at many points, d = 10: one batch against a loop."""
    x = torch.randn(points, 10, dtype=torch.float64, device=device)
    ours = best_of(lambda: torch.linalg.eigvalsh(hessian(quartic_saddle, x)), 3)
    sample = x[: points // 16]
    loop = best_of(
        lambda: [torch.linalg.eigvalsh(torch.autograd.functional.hessian(quartic_saddle, p)) for p in sample], 1
    )
    return ours, loop * points / len(sample)


def noise_cost(device: str) -> tuple[float, float]:
    """One step over 1,000,000 parameters: PSGD against torch's SGD."""
    parameters = [nn.Parameter(torch.randn(1000, 250, device=device)) for _ in range(4)]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    generator = torch.Generator(device).manual_seed(0)
    ours, theirs = PSGD(parameters, 1e-3, 0.1, generator=generator), torch.optim.SGD(parameters, 1e-3)
    return best_of(lambda: [ours.step() for _ in range(10)], 3) / 10, best_of(
        lambda: [theirs.step() for _ in range(10)], 3
    ) / 10


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    rows = [("perturbed_gd, octopus d = 5, 64 trials", "loop over trials", *octopus_trials(64, args.device))]
    rows.append(("Hessians and eigenvalues of 4,096 points", "loop over points", *many_hessians(4096, args.device)))
    rows.append(("PSGD, one model of 1M parameters", "torch.optim.SGD", *noise_cost(args.device)))
    members = 8 if args.quick else 30
    rows.append((f"PSGD, {members} perceptrons, 30 steps", "loop over networks", *ensembles(members, args.device)))
    try:
        count = 16 if args.quick else 64
        rows.append(
            (f"lowest eigenvalue of {count} networks", "loop of scipy eigsh", *small_networks(count, args.device))
        )
        d = 400 if args.quick else 3000
        rows.append(
            (f"lowest eigenvalue of 8 operators, d = {d}", "scipy eigsh", *lowest_eigenvalues(8, d, args.device))
        )
    except ImportError as error:
        skip("lowest eigenvalue of 8 operators", "scipy eigsh", error)
    report(rows)


if __name__ == "__main__":
    main()
