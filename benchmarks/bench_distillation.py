"""Distillation beside torch: a batch of students against a loop, losses against ``CrossEntropyLoss`` and ``kl_div``."""

from __future__ import annotations

import torch
from _timing import arguments, best_of, report
from torch.nn import functional as F

from litrepro.distillation import SoftTargets, kl_divergence, regularized_loss, train_students, uniform_targets
from litrepro.nets import mlp
from litrepro.training import fit

Row = tuple[str, str, float, float]
K = 10


def students(count: int, epochs: int, device: str) -> Row:
    """M students with soft targets, 196-20-10, n = 1000: one ensemble against M calls of ``fit`` with ``F.kl_div``."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1000, 196, generator=generator).to(device)
    y = torch.randint(K, (1000,), generator=generator).to(device)
    targets = uniform_targets(y, K, peak=0.9)
    options = {"epochs": epochs, "batch_size": 50, "optimizer": "adam", "lr": 2e-3, "eval_every": epochs}
    build = lambda seed: mlp(196, [20], K, seed=seed)  # noqa: E731

    def loss(z, pair):
        hard, soft = pair
        divergence = F.kl_div((z / 4).log_softmax(-1), soft, reduction="none").sum(-1)
        return 0.1 * F.cross_entropy(z, hard, reduction="none") + 0.9 * 16 * divergence

    def loop():
        for s in range(count):
            fit(build(s), (x, (y, targets)), loss=loss, seed=s, metrics=[], **options)

    kinds = {"soft": SoftTargets(targets, 0.9, 4.0)}
    together = best_of(lambda: train_students(build, range(count), (x, y), kinds, **options), 2)
    return f"train_students, M = {count}, {epochs} epochs", "loop of fit with F.kl_div", together, best_of(loop, 2)


def losses(device: str) -> list[Row]:
    """Label smoothing and the divergence at (4096, 100), forward and backward; values equal to 1e-6."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(4096, 100, generator=generator).to(device).requires_grad_()
    y = torch.randint(100, (4096,), generator=generator).to(device)
    soft = torch.randn(4096, 100, generator=generator).to(device).softmax(-1)
    even = torch.full((100,), 0.01, device=device)
    constant = 0.1 * torch.tensor(100.0).log().item()
    torch_loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    pairs = [
        ("regularized_loss, uniform targets", "CrossEntropyLoss(label_smoothing)",
         lambda: regularized_loss(z, y, even, alpha=0.1).mean() + constant, lambda: torch_loss(z, y)),
        ("kl_divergence, T = 4", "F.kl_div",
         lambda: kl_divergence(z, soft, temperature=4.0).mean(),
         lambda: F.kl_div((z / 4).log_softmax(-1), soft, reduction="batchmean")),
    ]  # fmt: skip
    rows = []
    for name, peer, ours, theirs in pairs:
        torch.testing.assert_close(ours(), theirs(), atol=1e-6, rtol=1e-6)
        seconds = [best_of(lambda f=f: torch.autograd.grad(f(), z), 30) for f in (ours, theirs)]
        rows.append((f"{name}, (4096, 100)", peer, *seconds))
    return rows


def main() -> None:
    """Print one row per task."""
    args = arguments(__doc__)
    epochs = 3 if args.quick else 20
    rows = [students(count, epochs, args.device) for count in (8, 32, 72)]
    report(rows + losses(args.device))


if __name__ == "__main__":
    main()
