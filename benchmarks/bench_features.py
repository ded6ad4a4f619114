"""Random features beside scikit-learn and dense products: batched draws, Fastfood, Hadamard transforms, learning."""

from __future__ import annotations

import torch
from _timing import arguments, best_of, report, skip

from litrepro.features import (
    fastfood_project,
    feature_map,
    feature_ridge,
    fourier_features,
    gaussian_kernel,
    hadamard_transform,
    kernel_ridge,
    kitchen_sinks,
    sample_fastfood,
    sample_frequencies,
)

Row = tuple[str, str, float, float]


def batched_draws(seeds: int, device: str) -> Row:
    """Features of many draws at once against a loop over scikit-learn's RBFSampler; n = 500, d = 20, D = 256."""
    from sklearn.kernel_approximation import RBFSampler

    x = torch.randn(500, 20, device=device)

    def ours() -> None:
        for first in range(0, seeds, 20):  # 20 draws of (500, 256) stay in the cache's neighbourhood
            draw = sample_frequencies(20, 256, batch=(20,), generator=first, dtype=torch.float32)
            fourier_features(x, draw.omega.to(device), draw.phase.to(device))

    points = x.cpu().double().numpy()

    def loop() -> None:
        for seed in range(seeds):
            RBFSampler(gamma=0.5, n_components=256, random_state=seed).fit_transform(points)

    return f"{seeds} draws of Fourier features", "RBFSampler, loop", best_of(ours, 3), best_of(loop, 1)


def projections(dimensions: list[int], device: str) -> list[Row]:
    """Fastfood against a dense product, D = 4 d, 100 points."""
    rows = []
    for d in dimensions:
        x, omega = torch.randn(100, d, device=device), torch.randn(4 * d, d, device=device)
        f = sample_fastfood(d, 4 * d)
        ours, dense = best_of(lambda x=x, f=f: fastfood_project(x, f), 5), best_of(lambda x=x, o=omega: x @ o.mT, 5)
        rows.append((f"fastfood_project, d = {d}", "dense matmul", ours, dense))
    return rows


def transforms(sizes: list[int], device: str) -> list[Row]:
    """The Walsh-Hadamard transform against a product with scipy's matrix, and against an FFT."""
    from scipy.linalg import hadamard

    rows = []
    for n in sizes:
        x = torch.randn(200, n, device=device)
        ours = best_of(lambda x=x: hadamard_transform(x), 5)
        if n <= 4096:
            matrix = torch.from_numpy(hadamard(n)).to(x)
            dense = best_of(lambda x=x, m=matrix: x @ m, 5)
            rows.append((f"hadamard_transform, n = {n}", "scipy hadamard product", ours, dense))
        rows.append((f"hadamard_transform, n = {n}", "FFT (torch)", ours, best_of(lambda x=x: torch.fft.fft(x), 5)))
    return rows


def learning(n: int, device: str) -> list[Row]:
    """Nystroem features, kernel ridge regression, and kitchen sinks against AdaBoost; d = 50."""
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.kernel_approximation import Nystroem
    from sklearn.kernel_ridge import KernelRidge

    x = torch.randn(n, 50, dtype=torch.float64, device=device)
    y = torch.sign(x[:, 0] * x[:, 1] + x[:, 2])
    points, targets = x.cpu().numpy(), y.cpu().numpy()
    theirs = Nystroem(gamma=1 / 50, n_components=256, random_state=0)
    rows = [
        (
            f"Nystroem features, n = {n}, D = 256",
            "sklearn Nystroem",
            best_of(lambda: feature_map("nystroem", x, 256, sigma=5.0)(x), 3),
            best_of(lambda: theirs.fit_transform(points), 3),
        ),
        (
            f"kernel ridge, n = {n}",
            "sklearn KernelRidge",
            best_of(lambda: kernel_ridge(gaussian_kernel(x, x, sigma=5.0), y[:, None], 1e-3), 2),
            best_of(lambda: KernelRidge(alpha=n * 1e-3, kernel="rbf", gamma=1 / 50).fit(points, targets), 2),
        ),
    ]
    omega, phase = (part.to(device) for part in sample_frequencies(50, 256, sigma=5.0))
    ridge = best_of(lambda: feature_ridge(fourier_features(x, omega, phase), y[:, None], 1e-3), 3)
    exact = best_of(lambda: KernelRidge(alpha=n * 1e-3, kernel="rbf", gamma=1 / 50).fit(points, targets), 2)
    rows.append((f"Fourier features with ridge, n = {n}", "sklearn KernelRidge", ridge, exact))
    sinks = best_of(lambda: kitchen_sinks(torch.cos(x @ omega.mT + phase), y, bound=20.0, tol=1e-2), 2)
    boost = best_of(lambda: AdaBoostClassifier(n_estimators=50, random_state=0).fit(points, targets), 1)
    rows.append((f"kitchen sinks, 256 cosines, n = {n}", "AdaBoost, 50 stumps", sinks, boost))
    return rows


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    rows: list[Row] = []
    sizes = [64, 256, 512, 1024] if args.quick else [64, 128, 256, 512, 1024, 2048, 4096]
    rows += projections(sizes, args.device)
    peers = [
        ("batched draws", "scikit-learn", lambda: [batched_draws(40 if args.quick else 200, args.device)]),
        ("transforms", "scipy", lambda: transforms([1024] if args.quick else [1024, 4096, 32_768], args.device)),
        ("learning", "scikit-learn", lambda: learning(1000 if args.quick else 2000, args.device)),
    ]
    for task, peer, measure in peers:
        try:
            rows += measure()
        except ImportError as error:
            skip(task, peer, error)
    try:
        from sklearn_extra.kernel_approximation import Fastfood as PeerFastfood
    except (ImportError, ValueError, AttributeError) as error:  # its wheel was built for numpy 1
        skip("fastfood_project", "scikit-learn-extra Fastfood", error)
    else:
        x = torch.randn(100, 1024)
        f = sample_fastfood(1024, 4096)
        peer = PeerFastfood(n_components=4096, random_state=0, tradeoff_mem_accuracy="mem").fit(x.numpy())
        ours, theirs = best_of(lambda: fastfood_project(x, f), 3), best_of(lambda: peer.transform(x.numpy()), 3)
        rows.append(("fastfood_project, d = 1024", "scikit-learn-extra Fastfood", ours, theirs))
    report(rows)


if __name__ == "__main__":
    main()
