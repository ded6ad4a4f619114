"""Sparse low-rank recovery: one batch beside a loop over cvxpy, and beside our own loop over problems."""

from __future__ import annotations

import math
import warnings

import torch
from _timing import arguments, best_of, report, skip

from litrepro import ConvergenceWarning
from litrepro.recovery import (
    linear_measurements,
    measure,
    project_sparse_low_rank,
    sparse_low_rank,
    structured_iht,
    structured_recovery,
)

Row = tuple[str, str, float, float]
TOL = 1e-5


def problems(count: int, d: int, m: int, device: str) -> tuple[torch.Tensor, torch.Tensor, dict[str, float]]:
    """Measurements, data, and the weights of figure 2 (l1 and nuclear norm); k = 8, rank 1, positive semidefinite."""
    generator = torch.Generator(device).manual_seed(0)
    signals = sparse_low_rank(d, 8, batch=(count,), generator=generator)
    rows = linear_measurements(d, m, batch=(count,), generator=generator)
    weights = {"l1": 0.5 * math.sqrt(math.log(math.e * d / 8)), "nuclear": 0.5 * math.sqrt(d)}
    return rows, measure(rows, signals), weights


def against_cvxpy(count: int, d: int, m: int, device: str) -> list[Row]:
    """The same problems one after the other through cvxpy's compiler and its solvers, at comparable tolerances."""
    import cvxpy as cp

    rows, b, weights = problems(count, d, m, device)
    ours = best_of(lambda: structured_recovery(rows, b, weights, psd=True, tol=TOL), 3)
    flat, data = rows.flatten(-2).cpu().numpy(), b.cpu().numpy()

    def loop(solver: str, **options: float) -> None:
        for matrix, target in zip(flat, data):
            X = cp.Variable((d, d), PSD=True)
            cost = weights["l1"] * cp.sum(cp.abs(X)) + weights["nuclear"] * cp.trace(X)
            cp.Problem(cp.Minimize(cost), [matrix @ cp.vec(X, order="C") == target]).solve(solver=solver, **options)

    task = f"{count} problems, d = {d}, m = {m}, l1 + nuclear"
    peers = {"CLARABEL": {"tol_gap_rel": TOL, "tol_feas": TOL}, "SCS": {"eps_rel": TOL, "eps_abs": TOL}}
    return [
        (task, f"cvxpy loop, {name}", ours, best_of(lambda n=name, o=options: loop(n, **o), 1))
        for name, options in peers.items()
    ]


def against_own_loop(count: int, d: int, m: int, device: str) -> list[Row]:
    """The same solver called once per problem."""
    rows, b, weights = problems(count, d, m, device)
    task = f"{count} problems, d = {d}, m = {m}"
    few = min(count, 100)  # the loop is timed on part of the problems where there are many

    def convex() -> None:
        for A, y in zip(rows[:few], b[:few]):
            structured_recovery(A, y, weights, psd=True, tol=TOL)

    def greedy() -> None:
        for A, y in zip(rows[:few], b[:few]):
            structured_iht(A, y, 8, psd=True)

    share = count / few
    return [
        (
            f"{task}, l1 + nuclear",
            "structured_recovery, loop",
            best_of(lambda: structured_recovery(rows, b, weights, psd=True, tol=TOL), 2),
            share * best_of(convex, 1),
        ),
        (
            f"{task}, hard thresholding",
            "structured_iht, loop",
            best_of(lambda: structured_iht(rows, b, 8, psd=True), 2),
            share * best_of(greedy, 1),
        ),
    ]


def projections(count: int, d: int, device: str) -> Row:
    """The projection of hard thresholding, batched and in a loop."""
    X = torch.randn(count, d, d, dtype=torch.float64, device=device)

    def loop() -> None:
        for one in X:
            project_sparse_low_rank(one, 8, 1, psd=True)

    batched = best_of(lambda: project_sparse_low_rank(X, 8, 1, psd=True), 3)
    return f"{count} projections, d = {d}, k = 8, rank 1", "loop", batched, best_of(loop, 1)


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    warnings.simplefilter("ignore", ConvergenceWarning)
    on_gpu = args.device.startswith("cuda")
    count = 2000 if on_gpu else (12 if args.quick else 24)
    rows: list[Row] = []
    try:
        for d, m in ((20, 70), (25, 100)):
            rows += against_cvxpy(24 if on_gpu else count, d, m, args.device)
    except ImportError as error:
        skip("recovery", "cvxpy", error)
    rows += against_own_loop(count, 20, 70, args.device)
    rows.append(projections(10 * count, 24, args.device))
    report(rows)


if __name__ == "__main__":
    main()
