"""Convex programs of ReLU networks beside cvxpy with Clarabel at an equal certified gap; half planes by brute force.

pyscnn, the package of Mishkin, Sahiner and Pilanci, has a row where it is installed; it is no dependency of ours.
Well under a minute on one core, a row at a time. ``--device cuda`` adds the largest program, which takes Clarabel
minutes. Aims: parity on one program, 3x on a path of 12 betas, 10x at n = 500 on a GPU, 50x for half planes. Measured
on one core: 1.4x and 7.5x (n = 60 and 150), 2.6x on the path of the former (1.1x at n = 20, d = 3), 70x to 110x.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator

import torch
from _timing import arguments, best_of, report, skip

from litrepro.convexnets import activation_patterns, best_halfplane, convex_relu_program

Row = tuple[str, str, float, float]
F64 = torch.float64


def once(function: Callable[[], object]) -> float:
    """Seconds of one call, for a peer that was compiled before and is too slow to repeat."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def problem(n: int, d: int, draws: int, device: str):
    """Gaussian data and sampled patterns."""
    g = torch.Generator().manual_seed(0)
    X, y = torch.randn(n, d, generator=g, dtype=F64), torch.randn(n, generator=g, dtype=F64)
    return X.to(device), y.to(device), activation_patterns(X, draws, generator=g).to(device)


def clarabel(X, y, patterns):
    """The same program in cvxpy, with beta as a parameter: compiled once for a whole path."""
    import cvxpy as cp

    X, y, D = X.cpu().numpy(), y.cpu().numpy(), patterns.cpu().double().numpy()
    v, u = cp.Variable((len(D), X.shape[1])), cp.Variable((len(D), X.shape[1]))
    beta = cp.Parameter(nonneg=True)
    fit = cp.sum(cp.multiply(D.T, X @ (v - u).T), axis=1)
    cones = [cp.multiply((2 * D - 1).T, X @ part.T) >= 0 for part in (v, u)]
    norms = cp.sum(cp.norm(v, axis=1)) + cp.sum(cp.norm(u, axis=1))
    program = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fit - y) + beta * norms), cones)

    def solve(value: float) -> float:
        beta.value = value
        return program.solve(
            solver=cp.CLARABEL, tol_gap_rel=1e-6, tol_gap_abs=1e-6, tol_feas=1e-6, max_threads=torch.get_num_threads()
        )

    return solve


def one_problem(n: int, d: int, draws: int, device: str) -> Row:
    """One beta; both to a relative gap of 1e-6, values compared."""
    X, y, patterns = problem(n, d, draws, device)
    solve = clarabel(X, y, patterns)
    ours = best_of(lambda: convex_relu_program(X, y, 0.1, patterns), 3)
    found, value = convex_relu_program(X, y, 0.1, patterns), solve(0.1)
    if not found.converged or abs(found.objective / value - 1) > 1e-5:
        raise AssertionError(f"{found.objective} against {value}")
    return f"program, n = {n}, d = {d}, P = {len(patterns)}", "cvxpy, Clarabel", ours, once(lambda: solve(0.1))


def path(n: int, d: int, draws: int, count: int, device: str) -> Row:
    """A path of regularization strengths: one batch against a loop over a compiled cvxpy problem."""
    X, y, patterns = problem(n, d, draws, device)
    betas = torch.logspace(-2, 0.5, count, dtype=F64, device=device)
    solve = clarabel(X, y, patterns)
    solve(0.1)  # compiled before the clock starts
    ours = best_of(lambda: convex_relu_program(X, y, betas, patterns), 1)
    values = torch.zeros(count, dtype=F64)

    def loop() -> None:
        for k, beta in enumerate(betas.tolist()):
            values[k] = solve(beta)

    peer = once(loop)
    found = convex_relu_program(X, y, betas, patterns)
    # Ours is certified to 1e-6; at small betas Clarabel's own value lies up to about 1e-5 above the optimum.
    above = found.objective.cpu() / values - 1
    if not bool(found.converged.all()) or float(above.max()) > 2e-6 or float(above.min()) < -1e-4:
        raise AssertionError(f"{found.objective} against {values}")
    return f"path of {count}, n = {n}, d = {d}, P = {len(patterns)}", "cvxpy, Clarabel, loop", ours, peer


def augmented_lagrangian(n: int, d: int, draws: int) -> Row:
    """pyscnn's solver with its defaults in float64, far from 1e-6: it may leave its cones, and 1% of the optimum."""
    import numpy as np
    from scnn.activations import compute_activation_patterns
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    X, y, _ = problem(n, d, 1, "cpu")
    points, targets = X.numpy(), y.numpy()
    columns, gates = compute_activation_patterns(points, np.random.default_rng(0).standard_normal((d, draws)))
    patterns = torch.from_numpy(columns.T.copy()).bool()
    ours = best_of(lambda: convex_relu_program(X, y, 0.1, patterns), 3)
    objective = float(convex_relu_program(X, y, 0.1, patterns).objective)
    values = []

    def peer() -> None:  # it halves the mean of the squared errors, where we halve their sum
        model, options = ConvexReLU(gates), {"return_convex": True, "unitize_data": False, "dtype": "float64"}
        model, _ = optimize_model(
            model, AL(model), Metrics(), points, targets, regularizer=NeuronGL1(0.1 / n), **options
        )
        v, u = (part[0] for part in model.parameters)
        fit = (points @ (v - u).T * columns).sum(1)
        norms = np.linalg.norm(v, axis=1).sum() + np.linalg.norm(u, axis=1).sum()
        values.append(((fit - targets) ** 2).sum() / 2 + 0.1 * norms)

    seconds = once(peer)
    if abs(values[0] / objective - 1) > 0.01:
        raise AssertionError(f"{objective} against {values[0]}")
    return f"program, n = {n}, d = {d}, P = {len(patterns)}", "pyscnn, AL", ours, seconds


def half_planes(n: int) -> Row:
    """The exact half plane against a double loop over pairs of points."""
    g = torch.Generator().manual_seed(0)
    X, q = torch.randn(n, 2, generator=g, dtype=F64), torch.randn(n, generator=g, dtype=F64)
    points, weights = X.tolist(), q.tolist()

    def loop() -> float:
        best = abs(sum(weights))
        for i in range(n):
            for j in range(i):
                a, b = points[i], points[j]
                normal = (a[1] - b[1], b[0] - a[0])
                offset = normal[0] * a[0] + normal[1] * a[1]
                total = sum(
                    math.copysign(1.0, normal[0] * p[0] + normal[1] * p[1] - offset) * w if k not in (i, j) else 0.0
                    for k, (p, w) in enumerate(zip(points, weights))
                )
                ends = (abs(s * weights[i] + r * weights[j]) for s in (1, -1) for r in (1, -1))
                best = max(best, *(abs(total) + end for end in ends))
        return best

    return f"best_halfplane, n = {n}", "Python double loop", best_of(lambda: best_halfplane(X, q), 3), best_of(loop, 1)


def rows(quick: bool, device: str) -> Iterator[Row]:
    """One row after the other, the cheap ones first."""
    yield half_planes(80)
    try:
        import clarabel  # noqa: F401
        import cvxpy  # noqa: F401
    except ImportError as error:
        skip("convex programs", "cvxpy, Clarabel", error)
    else:
        yield path(20, 3, 100, 12, device)
        yield one_problem(60, 8, 60, device)
        if not quick:
            yield path(60, 8, 60, 12, device)
            yield one_problem(150, 10, 120, device)
        if device != "cpu":
            yield one_problem(500, 20, 300, device)
    try:
        import scnn.optimize  # noqa: F401
    except ImportError as error:
        skip("convex program", "pyscnn, AL", error)
    else:
        yield augmented_lagrangian(20, 3, 10)  # seconds already


def main() -> None:
    """Print one row per task as soon as it is timed."""
    args = arguments(__doc__)
    sys.stdout.reconfigure(line_buffering=True)
    report(rows(args.quick, args.device))


if __name__ == "__main__":
    main()
