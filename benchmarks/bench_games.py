"""Games and GANs: an ensemble against a loop with torch.optim, Frechet distances and step sizes against scipy.

On two cores the ensemble of 15 perceptrons is about twice as fast as the loop at batches of 8, short of the factor of
three aimed at, and 1.2 to 1.4 times at batches of 64, where both spend their time in matrix products. The factors
against scipy are 50 and more for step sizes, 3 to 4 for Frechet distances (d = 64 to 512, scipy 1.17, one thread).
"""

from __future__ import annotations

import numpy as np
import torch
from _timing import arguments, best_of, report
from scipy.linalg import sqrtm
from scipy.optimize import minimize_scalar

from litrepro.gans import MLPDiscriminator, MLPGenerator, Variant, frechet_distance, gan_losses, train_gans
from litrepro.optim import optimal_step_size

Row = tuple[str, str, float, float]
LATENT, WIDTH, SHAPE = 32, 64, (1, 28, 28)


def loop(data: torch.Tensor, members: int, steps: int, batch: int) -> None:
    """The same members one after another, as people write it."""
    for _ in range(members):
        G = MLPGenerator(LATENT, WIDTH, SHAPE).to(data.device)
        D = MLPDiscriminator(SHAPE, WIDTH).to(data.device)
        of_g = torch.optim.Adam(G.parameters(), 1e-3, (0.5, 0.999))
        of_d = torch.optim.Adam(D.parameters(), 1e-3, (0.5, 0.999))
        for _ in range(steps):
            real = data[torch.randint(len(data), (batch,), device=data.device)]
            with torch.no_grad():
                fake = G(torch.randn(batch, LATENT, device=data.device))
            of_d.zero_grad()
            gan_losses(D(real), D(fake), "nonsaturating")[0].backward()
            of_d.step()
            of_g.zero_grad()
            logits = D(G(torch.randn(batch, LATENT, device=data.device)))
            torch.nn.functional.softplus(-logits).mean().backward()
            of_g.step()


def ensemble(device: str, members: int, steps: int, batch: int) -> Row:
    """Seeds of one GAN under vmap."""
    data = torch.rand(5000, *SHAPE, device=device) * 2 - 1

    def ours():
        return train_gans(
            lambda: MLPGenerator(LATENT, WIDTH, SHAPE), lambda: MLPDiscriminator(SHAPE, WIDTH), data,
            [Variant("Adam", lr=1e-3)], steps=steps, batch=batch, seeds=range(members),
        )  # fmt: skip

    task = f"train_gans, {members} members, batch {batch}, {steps} steps"
    return task, "loop with torch.optim", best_of(ours, 1), best_of(lambda: loop(data, members, steps, batch), 1)


def frechet(d: int) -> Row:
    """Ten pairs of Gaussians; also checks that both agree."""
    generator = torch.Generator().manual_seed(d)
    a = torch.randn(10, 2 * d, d, generator=generator, dtype=torch.float64)
    b = 1.3 * torch.randn(10, 2 * d, d, generator=generator, dtype=torch.float64) + 0.2

    def theirs():
        values = []
        for x, y in zip(a.numpy(), b.numpy()):
            first, second = np.cov(x.T), np.cov(y.T)
            gap = x.mean(0) - y.mean(0)
            values.append(gap @ gap + np.trace(first + second - 2 * sqrtm(first @ second).real))
        return torch.tensor(np.array(values))

    torch.testing.assert_close(frechet_distance(a, b), theirs(), rtol=1e-5, atol=1e-5)
    return (
        f"frechet_distance, 10 pairs, d = {d}",
        "scipy sqrtm",
        best_of(lambda: frechet_distance(a, b), 1),
        best_of(theirs, 1),
    )


def steps(n: int) -> Row:
    """Optimal step sizes of n spectra of size 5."""
    generator = torch.Generator().manual_seed(0)
    size = torch.rand(n, 5, generator=generator, dtype=torch.float64) + 0.2
    eigs = torch.polar(size, (torch.rand(n, 5, generator=generator, dtype=torch.float64) - 0.5) * 3)

    def theirs():
        for row in eigs.numpy():
            bound = 2 * (row.real / abs(row) ** 2).min()
            minimize_scalar(lambda eta, row=row: abs(1 - eta * row).max(), bounds=(0, bound), method="bounded")

    ours = best_of(lambda: optimal_step_size(eigs), 3)
    return f"optimal_step_size, {n} spectra", "scipy minimize_scalar", ours, best_of(theirs, 1)


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    rows = [steps(200 if args.quick else 2000)]
    rows += [frechet(d) for d in ((64, 128) if args.quick else (64, 128, 256, 512))]
    rows += [ensemble(args.device, 15, 20 if args.quick else 200, batch) for batch in (8, 64)]
    report(rows)


if __name__ == "__main__":
    main()
