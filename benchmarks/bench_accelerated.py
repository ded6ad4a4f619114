"""Lanczos and Hessian-vector products in batches beside scipy and torch; training in one batch beside a loop."""

from __future__ import annotations

import functools

import torch
from _timing import arguments, best_of, report, skip

from litrepro.landscape import cosine_wells
from litrepro.shallow import train_relu_output
from litrepro.solvers import hvp, lanczos_extreme


def lowest_pairs(count: int, d: int, steps: int, device: str) -> tuple[float, float]:
    """Lowest eigenpair of dense random matrices by 40 Lanczos steps, against scipy's eigsh to a tolerance of 1e-3."""
    from scipy.sparse.linalg import eigsh

    a = torch.randn(count, d, d, dtype=torch.float64, device=device)
    a = (a + a.mT) / 2
    v0 = torch.randn(count, d, dtype=torch.float64, device=device)
    ours = best_of(lambda: lanczos_extreme(lambda v: (a @ v[..., None])[..., 0], v0, steps=steps), 3)
    dense = a.cpu().numpy()
    return ours, best_of(lambda: [eigsh(m, k=1, which="SA", tol=1e-3) for m in dense], 2)


def lowest_curvatures(count: int, d: int, steps: int, device: str) -> tuple[float, float]:
    """The same for Hessians that are known by their products only, at many points: what negative curvature asks for."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    fn = functools.partial(cosine_wells, weights=torch.linspace(0.5, 1, d, dtype=torch.float64, device=device))
    x, v0 = (torch.randn(count, d, dtype=torch.float64, device=device) for _ in range(2))
    ours = best_of(lambda: lanczos_extreme(lambda v: hvp(fn, x, v), v0, steps=steps), 3)

    def lowest(point: torch.Tensor) -> None:
        def product(v):
            return hvp(fn, point, torch.as_tensor(v, device=device).reshape(d)).cpu().numpy()

        eigsh(LinearOperator((d, d), matvec=product, dtype="float64"), k=1, which="SA", tol=1e-2)

    some = x[: max(1, count // 16)]
    return ours, best_of(lambda: [lowest(point) for point in some], 1) * count / len(some)


def products(count: int, d: int, device: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Hessian-vector products: one against torch's, and a batch against its loop."""
    fn = functools.partial(cosine_wells, weights=torch.linspace(0.5, 1, d, dtype=torch.float64, device=device))
    x, v = (torch.randn(count, d, dtype=torch.float64, device=device) for _ in range(2))
    one = best_of(lambda: [hvp(fn, x[0], v[0]) for _ in range(100)], 3)
    torchs = best_of(lambda: [torch.autograd.functional.hvp(fn, x[0], v[0]) for _ in range(100)], 3)
    batch = best_of(lambda: [hvp(fn, x, v) for _ in range(10)], 3) / 10
    loop = best_of(lambda: [hvp(fn, a, b) for a, b in zip(x, v)], 1)
    return (one / 100, torchs / 100), (batch, loop)


def settings(width: int, steps: int, device: str) -> tuple[float, float]:
    """16 combinations of step size and momentum on one ReLU network: one batch against 16 runs."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(20, 20, generator=g, dtype=torch.float64).to(device)
    y, w = torch.randn(20, generator=g, dtype=torch.float64), torch.randn(width, 20, generator=g, dtype=torch.float64)
    a = torch.where(torch.rand(width, generator=g) < 0.5, -1.0, 1.0).to(torch.float64)
    lr, beta = (
        torch.linspace(0.01, 0.1, 4, dtype=torch.float64)[:, None],
        torch.linspace(0, 0.9, 4, dtype=torch.float64),
    )
    y, w, a, lr, beta = (t.to(device) for t in (y, w, a, lr, beta))
    ours = best_of(lambda: train_relu_output(x, y, w, a, lr=lr, momentum=beta, steps=steps), 3)
    loop = best_of(
        lambda: [train_relu_output(x, y, w, a, lr=float(s), momentum=float(b), steps=steps) for s in lr for b in beta],
        1,
    )
    return ours, loop


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    count = 64 if args.quick else 256
    rows = []
    try:
        rows.append((f"lanczos_extreme, {count} x d = 200, 40 steps", "scipy eigsh, loop",
                     *lowest_pairs(count, 200, 40, args.device)))  # fmt: skip
        rows.append(("lanczos_extreme, one, d = 200, 40 steps", "scipy eigsh", *lowest_pairs(1, 200, 40, args.device)))
        rows.append((f"lanczos_extreme on Hessians at {count} points", "scipy eigsh, loop",
                     *lowest_curvatures(count, 200, 40, args.device)))  # fmt: skip
    except ImportError as error:
        skip("lanczos_extreme", "scipy eigsh", error)
    single, batch = products(256, 50, args.device)
    rows.append(("hvp, d = 50", "torch.autograd.functional.hvp", *single))
    rows.append(("hvp, 256 x d = 50", "loop over trials", *batch))
    for width in (64, 1000):
        rows.append((f"train_relu_output, 16 settings, width {width}", "loop over settings",
                     *settings(width, 50 if args.quick else 200, args.device)))  # fmt: skip
    report(rows)


if __name__ == "__main__":
    main()
