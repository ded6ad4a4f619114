"""Second-order tools beside what people use instead: AdaHessian, L-BFGS directions, Neumann series, acoustic shots."""

from __future__ import annotations

import numpy as np
import torch
from _timing import arguments, best_of, report, skip

from litrepro.data import acoustic_shots, layered_velocity
from litrepro.optim.curvature import AdaHessian, lbfgs_direction, neumann_solve

Row = tuple[str, str, float, float]


def neumann(trials: int, device: str) -> Row:
    """A truncated series with independent Hessian samples, batch against loop."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 20, generator=generator).to(device)
    rows = torch.randint(500, (11, trials), generator=generator).to(device)
    b = torch.randn(20, generator=generator).to(device)

    def series(pick: torch.Tensor) -> torch.Tensor:
        def matvec(y: torch.Tensor, j: int) -> torch.Tensor:
            a = x[pick[j]]
            return a * (a * y).sum(-1, keepdim=True) / 50

        return neumann_solve(matvec, b.expand(*pick.shape[1:], 20), depth=10)

    some = min(trials, 500)
    batched = best_of(lambda: series(rows), 3)
    loop = best_of(lambda: [series(rows[:, t]) for t in range(some)], 1) * trials / some
    return (f"neumann_solve, {trials} trials, depth 10", f"loop ({some} timed)", batched, loop)


def lbfgs(batch: int, device: str) -> list[Row]:
    """256 directions of ten pairs in one call, and one direction against the recursion of torch.optim.LBFGS."""
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(batch, 10, 10_000, generator=generator).to(device)
    y, g = s * torch.linspace(0.5, 2, 10_000, device=device), s[:, 0] + 1

    def recursion(g, s, y):
        """The two loops as torch.optim.LBFGS writes them, over lists."""
        al, ro = [None] * len(s), [1 / b.dot(a) for a, b in zip(s, y)]
        q = g.neg()
        for i in range(len(s) - 1, -1, -1):
            al[i] = s[i].dot(q) * ro[i]
            q.add_(y[i], alpha=-al[i])
        d = q * (s[-1].dot(y[-1]) / y[-1].dot(y[-1]))
        for i in range(len(s)):
            d.add_(s[i], alpha=al[i] - y[i].dot(d) * ro[i])
        return d

    torch.testing.assert_close(lbfgs_direction(g[0], s[0], y[0]), -recursion(g[0], s[0], y[0]), rtol=1e-3, atol=1e-3)
    together = best_of(lambda: lbfgs_direction(g, s, y), 3)
    loop = best_of(lambda: [lbfgs_direction(g[i], s[i], y[i]) for i in range(batch)], 1)
    one = best_of(lambda: lbfgs_direction(g[0], s[0], y[0]), 10)
    peer = best_of(lambda: recursion(g[0], s[0], y[0]), 10)
    return [
        (f"lbfgs_direction, {batch} x (10, 10^4)", "loop", together, loop),
        ("lbfgs_direction, one", "torch.optim.LBFGS's loops", one, peer),
    ]


def shots(models: int, device: str) -> Row:
    """One grouped convolution against a numpy loop over models and shots."""
    velocity = layered_velocity(models)
    moved = velocity.to(device)
    ours = best_of(lambda: acoustic_shots(moved), 1)
    some = min(models, 3)
    loop = best_of(lambda: [_numpy_shot(velocity[m].numpy(), c) for m in range(some) for c in (8, 15)], 1)
    return (f"acoustic_shots, {models} models x 2 shots", f"numpy loop ({some} timed)", ours, loop * models / some)


def _numpy_shot(velocity: np.ndarray, column: int, steps: int = 160) -> np.ndarray:
    """The same scheme for one model and one shot, written as people do (the sponge and the wavelet left out)."""
    v2 = (np.pad(velocity, 10, mode="edge") * 0.5 / 4.5) ** 2
    before, now = np.zeros_like(v2), np.zeros_like(v2)
    now[11, column + 10] = 1.0
    record = []
    for _ in range(steps):
        laplacian = np.zeros_like(now)
        inner = now[2:-2, 2:-2]
        laplacian[2:-2, 2:-2] = (
            16 * (now[1:-3, 2:-2] + now[3:-1, 2:-2] + now[2:-2, 1:-3] + now[2:-2, 3:-1])
            - (now[:-4, 2:-2] + now[4:, 2:-2] + now[2:-2, :-4] + now[2:-2, 4:]) - 60 * inner
        ) / 12  # fmt: skip
        before, now = now, 2 * now - before + v2 * laplacian
        record.append(now[10, 10:-10].copy())
    return np.stack(record)


def adahessian(steps: int, device: str) -> Row:
    """One training step of a 64-64-64-10 perceptron."""
    from pytorch_optimizer import AdaHessian as Peer

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 64, generator=generator).to(device)
    y = torch.randint(10, (64,), generator=generator).to(device)

    def run(make):
        layers = [torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh()]
        net = torch.nn.Sequential(*layers, torch.nn.Linear(64, 10)).to(device)
        return make(net, lambda: torch.nn.functional.cross_entropy(net(x), y))

    def ours(net, loss):
        optimizer = AdaHessian(net.parameters())
        return lambda: [optimizer.step(loss) for _ in range(steps)]

    def peer(net, loss):
        optimizer = Peer(net.parameters(), lr=0.15)

        def train():
            for _ in range(steps):
                optimizer.zero_grad()
                loss().backward(create_graph=True)
                optimizer.step()

        return train

    task = f"AdaHessian, {steps} steps, 64-64-64-10"
    return (task, "pytorch_optimizer", best_of(run(ours), 3), best_of(run(peer), 3))


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    torch.manual_seed(0)
    rows = [neumann(2_000 if args.quick else 20_000, args.device)]
    rows += lbfgs(32 if args.quick else 256, args.device)
    rows.append(shots(10 if args.quick else 100, args.device))
    try:
        rows.append(adahessian(20 if args.quick else 200, args.device))
    except ImportError as error:
        skip("AdaHessian", "pytorch_optimizer", error)
    report(rows)


if __name__ == "__main__":
    main()
