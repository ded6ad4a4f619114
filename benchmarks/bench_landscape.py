"""Backpropagation by hand beside autograd, Hessians of many points, two-step trials, sharpness of an ensemble."""

from __future__ import annotations

import torch
from _timing import arguments, best_of, report
from torch.func import grad, vmap

from litrepro.landscape import hessian, product_loss
from litrepro.landscape.backprop import backward, forward
from litrepro.nets import StackedMLP
from litrepro.optim import two_step
from litrepro.training import flat_weights, mlp_objective, sharpness


def per_sample_gradients(batch: int, layers: int, width: int, device: str) -> tuple[float, float]:
    """Gradients of every sample by itself: the backward recursion against vmap(grad) of autograd."""
    W = [torch.randn(width, width, device=device) / width**0.5 for _ in range(layers)]
    b = [torch.zeros(width, device=device) for _ in range(layers)]
    x = torch.randn(batch, width, device=device)

    def loss(W: list, b: list, row: torch.Tensor) -> torch.Tensor:
        for weight, bias in zip(W, b):
            row = torch.tanh(weight @ row + bias)
        return row.square().sum() / 2

    def ours() -> None:
        us, xs = forward(W, b, x)
        backward(W, us, xs, xs[-1])

    peer = vmap(grad(loss, argnums=(0, 1)), in_dims=(None, None, 0))
    return best_of(ours, 3), best_of(lambda: peer(W, b, x), 3)


def one_sample(layers: int, width: int, device: str) -> tuple[float, float]:
    """The gradient of one sample: the recursion against ``torch.autograd.grad``."""
    W = [(torch.randn(width, width, device=device) / width**0.5).requires_grad_(True) for _ in range(layers)]
    b = [torch.zeros(width, device=device, requires_grad=True) for _ in range(layers)]
    x = torch.randn(width, device=device)
    plain_W, plain_b = [w.detach() for w in W], [v.detach() for v in b]

    def ours() -> None:
        us, xs = forward(plain_W, plain_b, x)
        backward(plain_W, us, xs, xs[-1])

    def peer() -> None:
        value = forward(W, b, x)[1][-1].square().sum() / 2
        torch.autograd.grad(value, (*W, *b))

    # In turns and often: whether 4 MiB of gradients come from fresh pages decides as much as the arithmetic.
    times = [(best_of(ours, 20), best_of(peer, 20)) for _ in range(10)]
    return min(a for a, _ in times), min(b for _, b in times)


def trials(count: int, sample: int, device: str) -> tuple[float, float]:
    """``count`` trials of 200 two-step Adam steps, d = 20, against a loop of torch.optim.Adam (scaled)."""
    x0 = torch.randn(count, 20, device=device)

    def quadratic(x: torch.Tensor) -> torch.Tensor:
        return (x**2).sum(-1)

    def loop() -> None:
        for row in x0[:sample]:
            x = row.clone().requires_grad_(True)
            optimizer = torch.optim.Adam([x], 0.1)
            for _ in range(200):
                optimizer.zero_grad()
                quadratic(x).backward()
                optimizer.step()

    ours = best_of(lambda: two_step(quadratic, x0, "adam", 0.1, 200), 3)
    return ours, best_of(loop, 1) * count / sample


def many_hessians(points: int, device: str) -> tuple[float, float]:
    """Hessian and eigenvalues of the product loss at many points: one batch against a loop (scaled)."""
    x = torch.randn(points, 2, dtype=torch.float64, device=device)
    ours = best_of(lambda: torch.linalg.eigvalsh(hessian(product_loss, x)), 3)
    sample = x[: points // 16]
    loop = best_of(
        lambda: [torch.linalg.eigvalsh(torch.autograd.functional.hessian(product_loss, p)) for p in sample], 1
    )
    return ours, loop * points / len(sample)


def ensemble_sharpness(members: int, device: str) -> tuple[float, float]:
    """Largest Hessian eigenvalue of small networks, 20 Lanczos steps: one stack against a loop."""
    widths = (64, 16, 10)
    x, y = torch.randn(200, 64, dtype=torch.float64, device=device), torch.randint(10, (200,), device=device)
    w = flat_weights(StackedMLP(widths, trials=members)).double().to(device)
    fun = mlp_objective(widths, x, y)
    generator = torch.Generator().manual_seed(0)
    ours = best_of(lambda: sharpness(fun, w, steps=20, generator=generator), 2)
    return ours, best_of(lambda: [sharpness(fun, row, steps=20, generator=generator) for row in w], 1)


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    batch, layers, width = (16, 8, 64) if args.quick else (128, 16, 256)
    rows = [
        (
            f"gradients of each of {batch} samples, k {layers}, H {width}",
            "vmap(grad)",
            *per_sample_gradients(batch, layers, width, args.device),
        ),
        (f"gradient of one sample, k {layers}, H {width}", "torch.autograd", *one_sample(layers, width, args.device)),
        (
            "256 trials x 200 two-step Adam steps, d = 20",
            "loop of torch.optim.Adam",
            *trials(256, 4 if args.quick else 32, args.device),
        ),
        ("Hessians and eigenvalues of 4,096 points", "loop over points", *many_hessians(4096, args.device)),
        ("sharpness of 12 networks", "loop over networks", *ensemble_sharpness(12, args.device)),
    ]
    report(rows)


if __name__ == "__main__":
    main()
