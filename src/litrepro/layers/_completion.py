"""Training a layer to complete partly known bits, and measuring it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from litrepro import _validate

if TYPE_CHECKING:
    import pandas as pd

Puzzles = tuple[torch.Tensor, torch.Tensor]
CLAMP = 1e-6


def completion_loss(output: torch.Tensor, target: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy of the counted bits (...): scalar. Outputs are clamped to [1e-6, 1 - 1e-6] here.

    Examples
    --------
    >>> round(completion_loss(torch.tensor([0.5, 0.1]), torch.ones(2), torch.tensor([True, False])).item(), 4)
    0.6931
    """
    if output.shape != target.shape or counted.shape != output.shape or counted.dtype != torch.bool:
        raise ValueError("output, target and counted (bool) must have one shape")
    loss = nn.functional.binary_cross_entropy(output.clamp(CLAMP, 1 - CLAMP), target.to(output.dtype), reduction="none")
    return torch.where(counted, loss, 0.0).sum() / counted.sum().clamp(min=1)


def completion_accuracy(
    output: torch.Tensor, target: torch.Tensor, *, digits: int | None = None, order: torch.Tensor | None = None
) -> torch.Tensor:
    """Which samples are completed without a mistake, (N,) bool.

    Parameters
    ----------
    output, target
        (N, n).
    digits
        Bits come in groups of so many, one of which is set: the largest output of every group is compared. None: every
        bit is rounded.
    order
        (n,) bits of the groups in order, where they are permuted.

    Raises ``ValueError`` for other shapes.

    Examples
    --------
    >>> completion_accuracy(torch.tensor([[0.2, 0.3]]), torch.tensor([[0.0, 1.0]]), digits=2).tolist()
    [True]
    """
    if output.shape != target.shape or output.ndim != 2:
        raise ValueError(f"output and target must be (N, n), got {tuple(output.shape)} and {tuple(target.shape)}")
    if digits is None:
        return ((output > 0.5) == (target > 0.5)).all(1)
    digits = _validate.positive_int("digits", digits)
    if output.shape[1] % digits:
        raise ValueError(f"{output.shape[1]} bits do not come in groups of {digits}")
    if order is not None:
        output, target = output[:, order], target[:, order]
    chosen, wanted = (x.reshape(len(x), -1, digits).argmax(-1) for x in (output, target))
    return (chosen == wanted).all(1)


def fit_completion(
    model: nn.Module,
    train: Puzzles,
    *,
    steps: int,
    batch_size: int = 40,
    lr: float = 2e-2,
    digits: int | None = None,
    order: torch.Tensor | None = None,
    evaluate_on: Mapping[str, Puzzles] | None = None,
    eval_every: int | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    max_seconds: float | None = None,
) -> pd.DataFrame:
    """Train ``model(z, known)`` by Adam on the cross-entropy of the unknown bits.

    Parameters
    ----------
    model
        ``SATNet``, ``ConvNetSudoku``, or anything with their call; trained in place.
    train
        z (N, n), the solutions, and known (N, n) bool.
    steps, batch_size, lr, seed
        Of Adam; batches are drawn without repetition until all samples were seen.
    digits, order
        As in ``completion_accuracy``.
    evaluate_on
        From a split to (z, known); the share of samples without a mistake is recorded every ``eval_every`` steps and at
        the end.
    checkpoint, max_seconds
        Continue from this file where it exists, and stop after so many seconds with the state in it.

    Returns
    -------
    Tidy table: member, epoch, step, split, metric, value, seconds. Raises ``ValueError`` for bad arguments.

    Examples
    --------
    >>> from litrepro.layers import SATNet
    >>> z, known = torch.ones(4, 3), torch.tensor([[True, True, False]] * 4)
    >>> fit_completion(SATNet(3, 8), (z, known), steps=2, batch_size=2).metric.tolist()
    ['loss']
    """
    import pandas as pd

    z, known = train
    if z.shape != known.shape or known.dtype != torch.bool or z.ndim != 2 or not len(z):
        raise ValueError("train must be z (N, n) and known (N, n) bool, N >= 1")
    steps, batch_size = _validate.positive_int("steps", steps), _validate.positive_int("batch_size", batch_size)
    lr, seed = _validate.real("lr", lr, 0, open_low=True), _validate.positive_int("seed", seed, 0)
    eval_every = steps if eval_every is None else _validate.positive_int("eval_every", eval_every)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    rows: list[dict] = []
    first, before = _resume(checkpoint, model, optimizer, generator, rows)
    per_pass, losses, started = max(1, len(z) // batch_size), [], time.perf_counter()
    order_of_samples: list[torch.Tensor] = []

    def note(split: str, metric: str, value: float, step: int) -> None:
        seconds = before + time.perf_counter() - started
        rows.append({"member": 0, "epoch": step / per_pass, "step": step, "split": split, "metric": metric}
                    | {"value": value, "seconds": seconds})  # fmt: skip

    step = first
    while step < steps:
        if not order_of_samples:
            order_of_samples = list(torch.randperm(len(z), generator=generator).split(batch_size)[:per_pass])
        chosen = order_of_samples.pop().to(z.device)
        optimizer.zero_grad()
        loss = completion_loss(model(z[chosen], known[chosen]), z[chosen], ~known[chosen])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        step += 1
        out_of_time = max_seconds is not None and time.perf_counter() - started > max_seconds
        if step % eval_every == 0 or step == steps or out_of_time:
            note("train", "loss", torch.stack(losses).mean().item(), step)
            losses = []
            for split, (target, mask) in (evaluate_on or {}).items():
                right = completion_accuracy(predict(model, target, mask), target, digits=digits, order=order)
                note(split, "accuracy", right.double().mean().item(), step)
            if checkpoint is not None:
                state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save(state | {"generator": generator.get_state(), "rows": rows}, checkpoint)
        if out_of_time:
            break
    return pd.DataFrame(rows)


@torch.no_grad()
def predict(model: nn.Module, z: torch.Tensor, known: torch.Tensor, batch_size: int = 500) -> torch.Tensor:
    """Completed bits (N, n), in batches."""
    return torch.cat([model(a, b) for a, b in zip(z.split(batch_size), known.split(batch_size), strict=True)])


def _resume(checkpoint, model, optimizer, generator, rows) -> tuple[int, float]:
    """Step and seconds so far; everything else is restored in place."""
    if checkpoint is None or not checkpoint.is_file():
        return 0, 0.0
    state = torch.load(checkpoint, weights_only=True, map_location=next(model.parameters()).device)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"].cpu())
    rows += state["rows"]
    return state["step"], rows[-1]["seconds"] if rows else 0.0
