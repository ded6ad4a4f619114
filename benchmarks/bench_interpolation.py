"""Double-descent curves beside loops over numpy, plain iteration and scikit-learn."""

from __future__ import annotations

import numpy as np
import torch
from _timing import arguments, best_of, report, skip

from litrepro.interpolation import fourier_features, gradient_descent_path, rff_curve, sample_wise_curve

Row = tuple[str, str, float, float]


def sample_wise(trials: int, sizes: list[int], device: str) -> list[Row]:
    """All trials of a sample size at once against a loop over numpy.linalg.lstsq, d = 50."""
    rng = np.random.default_rng(0)
    rows = []
    for n in sizes:
        source = torch.Generator(device).manual_seed(0)

        def ours(n=n, source=source) -> None:
            sample_wise_curve([n], 50, trials=trials, noise=0.1, generator=source)

        def loop(n=n) -> None:
            beta = rng.standard_normal(50)
            for _ in range(trials):
                x = rng.standard_normal((n, 50))
                y = x @ beta + 0.1 * rng.standard_normal(n)
                np.square(np.linalg.lstsq(x, y, rcond=None)[0] - beta).sum()

        task = f"sample_wise_curve, d = 50, n = {n}, {trials} trials"
        rows.append((task, "numpy lstsq, loop", best_of(ours, 3), best_of(loop, 2)))
    return rows


def descent(steps: int, device: str) -> Row:
    """The iterate after many steps in closed form against iterating; 20 problems of 50 x 50."""
    source = torch.Generator(device).manual_seed(0)
    x = torch.randn(20, 50, 50, generator=source, device=device, dtype=torch.float64)
    y = torch.randn(20, 50, generator=source, device=device, dtype=torch.float64)

    def iterate() -> None:
        step = 1 / torch.linalg.matrix_norm(x, 2)[:, None, None].square()
        beta = torch.zeros(20, 50, 1, device=device, dtype=torch.float64)
        for _ in range(steps):
            beta = beta - step * (x.mT @ (x @ beta - y[..., None]))

    closed = best_of(lambda: gradient_descent_path(x, y, [steps]), 5)
    return f"gradient_descent_path, {steps} steps", "iterating", closed, best_of(iterate, 1)


def features(n: int, widths: list[int], device: str) -> list[Row]:
    """One curve against scikit-learn's ridge without a ridge, width after width, on the same real features."""
    from sklearn.linear_model import Ridge

    source = torch.Generator().manual_seed(0)
    x, x_test = (torch.randn(m, 20, generator=source, dtype=torch.float64).to(device) for m in (n, 1000))
    labels, held = (torch.randint(10, (m,), generator=source).to(device) for m in (n, 1000))
    frequencies = torch.randn(max(widths), 20, generator=source, dtype=torch.float64).to(device) / 3
    hot = torch.nn.functional.one_hot(labels, 10).double().cpu().numpy()

    def ours() -> None:
        rff_curve((x, labels), (x_test, held), widths, bandwidth=3.0, kind="real")

    def theirs() -> None:
        for width in widths:
            parts = [fourier_features(part, frequencies[:width], kind="real").cpu().numpy() for part in (x, x_test)]
            fitted = Ridge(alpha=0, fit_intercept=False, solver="svd").fit(parts[0], hot)
            np.square(fitted.predict(parts[1])).sum()

    task = f"rff_curve, n = {n}, N = {widths[0]} to {widths[-1]}"
    return [(task, "sklearn Ridge(alpha=0), loop", best_of(ours, 3), best_of(theirs, 2))]


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    trials = 100 if args.quick else 400
    rows = sample_wise(trials, [25, 50, 100], args.device)
    rows.append(descent(10_000, args.device))
    try:
        rows += features(200, [20, 50, 100, 200, 400], args.device)
    except ImportError as error:
        skip("rff_curve", "scikit-learn", error)
    report(rows)


if __name__ == "__main__":
    main()
