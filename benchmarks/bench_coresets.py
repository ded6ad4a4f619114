"""Coreset selection beside apricot, a loop over scipy's nnls, and gradients of single examples by vmap.

Against the loop over nnls the factor is about eight at the largest size. Both multiply the same matrix by the residual
in every step; ours reads it in float32, in which the gradients come.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from _timing import arguments, best_of, report, skip

from litrepro.coresets import facility_location, grad_match, last_layer_gradients, per_sample_gradients
from litrepro.nets import lenet

Row = tuple[str, str, float, float]


def similarity(n: int, batch: tuple[int, ...], device: str) -> torch.Tensor:
    """Minus the distances of n points in 20 dimensions, shifted to be >= 0."""
    points = torch.randn(*batch, n, 20, generator=torch.Generator().manual_seed(0)).to(device)
    apart = torch.cdist(points, points)
    return apart.amax((-2, -1), keepdim=True) - apart


def facilities(sizes: list[int], device: str) -> list[Row]:
    """Facility location of 10 % against apricot's lazy greedy, and ten problems in one batch."""
    from apricot import FacilityLocationSelection

    def peer(matrix: np.ndarray, k: int) -> None:
        FacilityLocationSelection(k, metric="precomputed", optimizer="lazy").fit(matrix)

    rows = []
    for n in sizes:
        s = similarity(n, (), device)
        matrix = s.cpu().double().numpy()
        repeats = 2 if n <= 1000 else 1
        ours = best_of(lambda s=s, n=n: facility_location(s, n // 10), repeats)
        theirs = best_of(lambda m=matrix, n=n: peer(m, n // 10), repeats)
        rows.append((f"facility_location, n = {n}, k = {n // 10}", "apricot, lazy", ours, theirs))
    batch = similarity(100, (10,), device)
    matrices = batch.cpu().double().numpy()
    ours = best_of(lambda: facility_location(batch, 10), 3)
    theirs = best_of(lambda: [peer(matrix, 10) for matrix in matrices], 2)
    return [*rows, ("facility_location, 10 classes of 100, k = 10", "apricot, loop", ours, theirs)]


def pursuit(n: int, p: int, k: int, device: str) -> Row:
    """GRAD-MATCH against matching pursuit that refits from the matrix with scipy's nnls."""
    from scipy.optimize import nnls

    g = (torch.randn(n, p, generator=torch.Generator().manual_seed(0)) + 0.1).to(device)
    matrix = g.cpu().double().numpy()

    def loop() -> None:
        b, residual, chosen = matrix.sum(0), matrix.sum(0), []
        for _ in range(k):
            scores = matrix @ residual
            scores[chosen] = -np.inf
            chosen.append(int(scores.argmax()))
            w = nnls(matrix[chosen].T, b)[0]
            residual = b - matrix[chosen].T @ w

    started = time.perf_counter()
    loop()
    theirs = time.perf_counter() - started
    return (
        f"grad_match, n = {n}, p = {p}, k = {k}",
        "numpy loop, scipy nnls",
        best_of(lambda: grad_match(g, k), 1),
        theirs,
    )


def gradients(n: int, device: str) -> Row:
    """The last layer's gradients in closed form against those of all layers."""
    model = lenet().to(device)
    x, y = torch.randn(n, 1, 28, 28, device=device), torch.arange(n, device=device) % 10
    ours = best_of(lambda: last_layer_gradients(model, x, y), 3)
    theirs = best_of(lambda: per_sample_gradients(model, x, y), 1)
    return f"last_layer_gradients, LeNet, n = {n}", "per_sample_gradients (vmap)", ours, theirs


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    rows: list[Row] = [gradients(500 if args.quick else 2000, args.device)]
    try:
        rows += facilities([1000] if args.quick else [1000, 4000], args.device)
    except ImportError as error:
        skip("facility_location", "apricot-select", error)
    try:
        rows.append(pursuit(*((1000, 850, 100) if args.quick else (4000, 850, 400)), args.device))
    except ImportError as error:
        skip("grad_match", "scipy", error)
    report(rows)


if __name__ == "__main__":
    main()
