"""Provable shallow learning: all trials in one batch against a loop over trials, and against scipy and scikit-learn."""

from __future__ import annotations

import warnings

import torch
from _timing import arguments, best_of, report, skip

from litrepro.shallow import (
    alternating_minimization,
    convotron,
    extract_patches,
    planted_teacher,
    rank_one_recovery,
    relu_gradient_descent,
    relu_network,
    relu_projected_gradient,
)

Row = tuple[str, str, float, float]
f64 = torch.float64


def projected(trials: int, n: int, d: int, device: str) -> list[Row]:
    """One ReLU, 30 steps: the batch, and starts that share their inputs, against loops."""
    X = torch.randn(trials, n, d, device=device)
    w = torch.randn(trials, d, device=device)
    y = torch.einsum("tnd,td->tn", X, w).relu()
    ours = best_of(lambda: relu_projected_gradient(X, y, iterations=30), 3)
    loop = best_of(lambda: [relu_projected_gradient(X[t], y[t], iterations=30) for t in range(trials)], 2)
    shared = X[0], torch.einsum("nd,td->tn", X[0], w).relu()
    one = best_of(lambda: relu_projected_gradient(shared[0], shared[1], iterations=30), 3)
    several = best_of(lambda: [relu_projected_gradient(shared[0], each, iterations=30) for each in shared[1]], 2)
    return [
        (f"projected gradient, {trials} trials, n = {n}", "loop over trials", ours, loop),
        (f"the same, {trials} teachers on shared inputs", "loop over trials", one, several),
    ]


def alternating(trials: int, n: int, d: int, device: str) -> Row:
    """Ten alternations of K = 3 neurons against a loop over trials with torch.linalg.lstsq."""
    W = torch.randn(trials, 3, d, dtype=f64, device=device)
    X = torch.randn(trials, n, d, dtype=f64, device=device)
    W0, y = W + 0.1 * torch.randn_like(W), relu_network(X, W)

    def loop() -> None:
        for t in range(trials):
            current = W0[t]
            for _ in range(10):
                active = (X[t] @ current.T > 0)[:, :, None] * X[t][:, None, :]
                current = torch.linalg.lstsq(active.flatten(1), y[t, :, None]).solution.reshape(3, d)

    ours = best_of(lambda: alternating_minimization(X, y, W0, iterations=10), 3)
    return f"alternating minimization, {trials} trials, n = {n}", "loop over lstsq", ours, best_of(loop, 1)


def filters(trials: int, count: int, device: str) -> Row:
    """Convotron on T samples, all trials at once."""
    Z = extract_patches(torch.randn(trials, count, 16, device=device), 4, 2)
    y = torch.einsum("tnkr,tr->tnk", Z, torch.randn(trials, 4, device=device)).relu().mean(-1)
    ours = best_of(lambda: convotron(Z, y, step=0.01), 2)
    loop = best_of(lambda: [convotron(Z[t], y[t], step=0.01) for t in range(trials)], 1)
    return f"Convotron, {trials} trials, T = {count}", "loop over trials", ours, loop


def projections(sizes: list[int], device: str) -> list[Row]:
    """A step of AP-ROM (ours) against one of EP-ROM (peer); rank 5, m = 10 p r."""
    rows = []
    for p in sizes:
        X = torch.randn(10 * p * 5, p, dtype=f64, device=device)
        y = (X @ torch.randn(p, 5, dtype=f64, device=device) / p**0.5).square().sum(-1)

        def steps(projection: str, X=X, y=y, p=p) -> float:
            return best_of(lambda: rank_one_recovery(lambda t: (X, y), p, 5, iterations=3, projection=projection), 2)

        rows.append((f"AP-ROM, 3 steps, p = {p}", "EP-ROM", steps("krylov"), steps("exact")))
    return rows


def one_relu_scipy(trials: int) -> Row:
    """The one-ReLU fit against scipy's least_squares (n = 400, d = 20)."""
    from scipy.optimize import least_squares

    X = torch.randn(trials, 400, 20, dtype=f64)
    w = torch.randn(trials, 20, dtype=f64)
    y = torch.einsum("tnd,td->tn", X, w).relu()
    start = torch.einsum("tnd,tn->td", X, y) / 400  # scipy cannot leave w = 0, where the Jacobian is zero

    def loop() -> None:
        for t in range(trials):
            A, b = X[t].numpy(), y[t].numpy()
            least_squares(
                lambda v, A=A, b=b: (A @ v).clip(0) - b,
                start[t].numpy(),
                jac=lambda v, A=A: A * (A @ v > 0)[:, None],
                xtol=1e-8,
            )

    ours = best_of(lambda: relu_projected_gradient(X, y, iterations=30), 3)
    return f"one ReLU, {trials} trials to about 1e-6", "scipy least_squares, loop", ours, best_of(loop, 1)


def neurons_sklearn(trials: int) -> Row:
    """K = 3 neurons, 300 full-batch steps, against MLPRegressor (it also trains biases and output weights)."""
    from sklearn.neural_network import MLPRegressor

    X = torch.randn(trials, 500, 10, dtype=f64)
    teacher = planted_teacher(3, 10, batch=(trials,), generator=0)
    y = relu_network(X, teacher)
    W0 = teacher + 0.3 * torch.randn_like(teacher)
    settings = {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.0, "batch_size": 500, "max_iter": 300}

    def loop() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for t in range(trials):
                MLPRegressor(hidden_layer_sizes=(3,), tol=0.0, n_iter_no_change=300, random_state=0, **settings).fit(
                    X[t].numpy(), y[t].numpy()
                )

    ours = best_of(lambda: relu_gradient_descent(X, y, W0, step=0.5, iterations=300), 2)
    return f"gradient descent, K = 3, {trials} trials", "sklearn MLPRegressor, loop", ours, best_of(loop, 1)


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    quick = args.quick
    rows = projected(20 if quick else 100, 800, 100, args.device)
    rows.append(projected(20 if quick else 100, 80, 10, args.device)[0])
    rows.append(alternating(10 if quick else 50, 240, 20, args.device))
    rows.append(filters(16 if quick else 64, 300 if quick else 2000, args.device))
    rows += projections([50, 100] if quick else [50, 100, 200, 400], args.device)
    for task, measure in (("one ReLU", one_relu_scipy), ("gradient descent", neurons_sklearn)):
        try:
            rows.append(measure(5 if quick else 20))
        except ImportError as error:
            skip(task, "scipy or scikit-learn", error)
    report(rows)


if __name__ == "__main__":
    main()
