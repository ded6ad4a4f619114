"""Perturbed descent and Lanczos in batches beside loops and scipy; PSGD beside torch's SGD."""

from __future__ import annotations

import torch
from _timing import arguments, best_of, report, skip
from torch import nn

from litrepro.landscape import hessian, octopus, quartic_saddle
from litrepro.optim import PSGD, perturbed_gd
from litrepro.solvers import lanczos_extreme


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
    try:
        d = 400 if args.quick else 3000
        rows.append(
            (f"lowest eigenvalue of 8 operators, d = {d}", "scipy eigsh", *lowest_eigenvalues(8, d, args.device))
        )
    except ImportError as error:
        skip("lowest eigenvalue of 8 operators", "scipy eigsh", error)
    report(rows)


if __name__ == "__main__":
    main()
