"""Discrete layers beside what people would use: a convex solver, SciPy's assignment, sequential SATNet.

The row of the matching is a price, not a contest: ``matching`` computes gradients by 200 unrolled passes over all
entries, and SciPy's exact solver is some tens of times as fast on a CPU where only the assignment is wanted.
"""

from __future__ import annotations

import os

import torch
from _timing import arguments, best_of, report, skip

from litrepro.layers import SATNet, clauses_to_matrix, hungarian, matching, maxsat_sdp, sudoku_grids, sudoku_puzzles

Row = tuple[str, str, float, float]


def relaxations(sizes: list[int]) -> list[Row]:
    """maxsat_sdp against CVXPY with Clarabel on random instances of two-literal clauses, m = 4 n.

    The values agree to 1e-6 of the optimum; one instance alone, and 64 copies of it as one batch (time per instance).
    """
    import cvxpy

    rows = []
    for n in sizes:
        generator = torch.Generator().manual_seed(n)
        chosen = torch.rand(4 * n, n, generator=generator).argsort(1) < 2
        signs = torch.where(torch.rand(4 * n, n, generator=generator) < 0.5, -1.0, 1.0).double() * chosen
        S = clauses_to_matrix(signs)
        gram = (S.T @ S).numpy()
        X = cvxpy.Variable((n + 1, n + 1), PSD=True)
        problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.trace(gram @ X)), [cvxpy.diag(X) == 1])
        batch = S.expand(64, -1, -1).contiguous()
        ours = best_of(lambda S=S: maxsat_sdp(S, tol=1e-8, max_iter=3000), 3)
        together = best_of(lambda batch=batch: maxsat_sdp(batch, tol=1e-8, max_iter=3000), 2) / 64
        theirs = best_of(lambda problem=problem: problem.solve(solver="CLARABEL"), 2)
        error = abs(float(maxsat_sdp(S, tol=1e-8, max_iter=3000)[1]) / problem.value - 1)
        if error > 1e-6:
            raise RuntimeError(f"the values differ by {error:.1e} of the optimum")
        rows.append((f"maxsat_sdp, n = {n}, m = {4 * n}", "cvxpy + Clarabel", ours, theirs))
        rows.append((f"maxsat_sdp, n = {n}, one of 64", "cvxpy + Clarabel", together, theirs))
    return rows


def layer(box: int, batch: int, device: str) -> list[Row]:
    """One training step of SATNet, sequential sweeps against parallel iterations of the same accuracy."""
    n = box * box
    holes, m, aux = (6, 100, 50) if box == 2 else (36, 600, 300)
    z, known = (x.to(device) for x in sudoku_puzzles(sudoku_grids(box, batch, seed=0), holes, seed=0))

    def step(method: str, iterations: int):
        net = SATNet(n**3, m, aux, k=32, max_iter=iterations, tol=0, method=method, cg_iter=20).to(device)
        return lambda: net(z, known).sum().backward()

    block, mixing = best_of(step("block", 100), 3), best_of(step("mixing", 20), 3)
    return [(f"SATNet step, {n}x{n}, batch {batch}, 20 sweeps", "100 parallel iterations", mixing, block)]


def compiled(box: int, batch: int) -> list[Row]:
    """One training step by twenty sequential sweeps on a CPU: compiled, and the same operations in PyTorch."""
    n = box * box
    holes, m, aux = (6, 100, 50) if box == 2 else (36, 600, 300)
    z, known = sudoku_puzzles(sudoku_grids(box, batch, seed=0), holes, seed=0)
    net = SATNet(n**3, m, aux, k=32, max_iter=20, tol=0, method="mixing", cg_iter=10, damping=0.3)
    seconds = {}
    for flag, repeats in (("1", 3), ("0", 1)):
        os.environ["LITREPRO_COMPILE"] = flag
        seconds[flag] = best_of(lambda: net(z, known).sum().backward(), repeats)
    del os.environ["LITREPRO_COMPILE"]
    return [(f"SATNet step, {n}x{n}, batch {batch}, compiled", "PyTorch operations", seconds["1"], seconds["0"])]


def assignments(count: int, device: str) -> list[Row]:
    """The relaxed matching of a batch against a loop of linear_sum_assignment, 10 x 50."""
    C = torch.rand(count, 10, 50, generator=torch.Generator().manual_seed(0)).to(device)
    ours, theirs = best_of(lambda: matching(C), 2), best_of(lambda: hungarian(C), 2)
    return [(f"matching 40 x 5, {count} problems of 10 x 50", "scipy linear_sum_assignment", ours, theirs)]


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    rows: list[Row] = []
    try:
        rows += relaxations([10, 20] if args.quick else [10, 20, 40, 60])
    except ImportError as error:
        skip("maxsat_sdp", "cvxpy + Clarabel", error)
    rows += layer(2, 40, args.device)
    if args.device == "cpu":
        rows += compiled(2, 40)
        rows += [] if args.quick else compiled(3, 20)
    if not args.quick:
        rows += layer(3, 300 if args.device != "cpu" else 20, args.device)
    rows += assignments(512 if args.quick else 4096, args.device)
    report(rows)


if __name__ == "__main__":
    main()
