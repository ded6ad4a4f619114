"""Training a layer to complete partly known bits, and measuring it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from litrepro import _validate
from litrepro._resume import check_same_run, summary, write_state
from litrepro.training._modules import eval_mode

if TYPE_CHECKING:
    import pandas as pd

Puzzles = tuple[torch.Tensor, torch.Tensor]
CLAMP = 1e-6


def bits(name: str, value: Any, dims: int = 0) -> torch.Tensor:
    """A tensor of bits or of numbers that stand for them, bool or real."""
    if not isinstance(value, torch.Tensor) or value.is_complex() or value.ndim < dims:
        got = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"{name} must be a tensor of bits with at least {dims} dimension(s), got {got}")
    return value


def completion_loss(output: torch.Tensor, target: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy of the counted bits (...): scalar. Outputs are clamped to [1e-6, 1 - 1e-6] here.

    Raises ``ValueError`` for shapes that differ, outputs that are not floating or nan, targets
    outside [0, 1] and counts that are not bool.

    Examples
    --------
    >>> round(completion_loss(torch.tensor([0.5, 0.1]), torch.ones(2), torch.tensor([True, False])).item(), 4)
    0.6931
    """
    _validate.float_tensor("output", output), _validate.boolean_tensor("counted", counted)
    if bits("target", target).shape != output.shape or counted.shape != output.shape:
        shapes = ", ".join(str(tuple(value.shape)) for value in (output, target, counted))
        raise ValueError(f"output, target and counted must have one shape, got {shapes}")
    target = target.to(output.dtype)
    try:
        loss = nn.functional.binary_cross_entropy(output.clamp(CLAMP, 1 - CLAMP), target, reduction="none")
    except RuntimeError as error:  # torch looks at the values anyway
        raise ValueError(f"output and target must lie in [0, 1] and not be nan, got otherwise ({error})") from error
    return torch.where(counted, loss, 0.0).sum() / counted.sum().clamp(min=1)


def right_digits(output: torch.Tensor, target: torch.Tensor, digits: int) -> torch.Tensor:
    """Whether the largest output of every group of bits is at its set bit: (N, n) -> (N, n / digits) bool."""
    output, target = (x.to(torch.uint8) if x.dtype == torch.bool else x for x in (output, target))
    output, target = (x.reshape(len(x), x.shape[1] // digits, digits) for x in (output, target))
    return (output.argmax(-1) == target.argmax(-1)) & ~output.isnan().any(-1)


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
        bit is rounded. An output that is nan is wrong.
    order
        (n,) bits of the groups in order, where they are permuted.

    Raises ``ValueError`` for other shapes, and for an order that is no permutation of the bits.

    Examples
    --------
    >>> completion_accuracy(torch.tensor([[0.2, 0.3]]), torch.tensor([[0.0, 1.0]]), digits=2).tolist()
    [True]
    """
    if bits("output", output).shape != bits("target", target).shape or output.ndim != 2:
        raise ValueError(f"output and target must be (N, n), got {tuple(output.shape)} and {tuple(target.shape)}")
    if digits is None:
        return (((output > 0.5) == (target > 0.5)) & ~output.isnan()).all(1)
    digits = _validate.positive_int("digits", digits)
    if output.shape[1] % digits:
        raise ValueError(f"{output.shape[1]} bits do not come in groups of {digits}")
    if order is not None:
        _order(order, output.shape[1])
        output, target = output[:, order], target[:, order]
    return right_digits(output, target, digits).all(1)


def _order(order: Any, n: int) -> None:
    """A permutation of n bits."""
    if _validate.integer_tensor("order", order).shape != (n,) or order.sort().values.tolist() != list(range(n)):
        raise ValueError(f"order must be a permutation of 0..{n - 1}, got shape {tuple(order.shape)}")


def _puzzles(name: str, value: Any) -> Puzzles:
    """z (N, n) and known (N, n) bool, N >= 1."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name} must be a pair (z, known), got {type(value).__name__}")
    z, known = bits(f"z of {name}", value[0]), _validate.boolean_tensor(f"known of {name}", value[1])
    if z.shape != known.shape or z.ndim != 2 or not len(z):
        got = f"{tuple(z.shape)} and {tuple(known.shape)}"
        raise ValueError(f"{name} must be z (N, n) and known (N, n) bool, N >= 1, got {got}")
    return z, known


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
    schedule: Callable[[float], float] | None = None,
    checkpoint: Path | None = None,
    max_seconds: float | None = None,
    callback: Callable[[int, nn.Module], Any] | None = None,
) -> pd.DataFrame:
    """Train ``model(z, known)`` by Adam on the cross-entropy of the unknown bits.

    Parameters
    ----------
    model
        ``SATNet``, ``ConvNetSudoku``, or anything with their call; trained in place.
    train
        z (N, n), the solutions, and known (N, n) bool.
    steps, batch_size, lr, seed
        Of Adam; batches are drawn without repetition until all samples were seen, the last of a pass may be smaller.
    digits, order
        As in ``completion_accuracy``.
    evaluate_on
        From a split to (z, known); the share of samples without a mistake is recorded every ``eval_every`` steps and at
        the end.
    schedule
        Factor of ``lr`` as a function of the share of the steps done, e.g. ``training.step_decay({0.8: 0.1})``.
    checkpoint, max_seconds
        Continue from this file where it exists, in the order of samples that it was in, and stop after so many seconds
        with the state in it. ``batch_size``, ``lr`` and ``seed`` are compared, with a schedule ``steps`` too, the shape
        of ``train``, and about a thousand of its rows up to rounding; not the initial parameters.
    callback
        ``callback(step, model)`` every ``eval_every`` steps, after the checkpoint; if it returns True, training stops.

    Returns
    -------
    Tidy table: member, epoch, step, split, metric, value, seconds. Raises ``ValueError`` for bad arguments, a
    checkpoint in no folder, and one that cannot be read or is not of this model, training set,
    ``batch_size``, ``lr`` and ``seed``.

    Examples
    --------
    >>> from litrepro.layers import SATNet
    >>> z, known = torch.ones(4, 3), torch.tensor([[True, True, False]] * 4)
    >>> fit_completion(SATNet(3, 8), (z, known), steps=2, batch_size=2).metric.tolist()
    ['loss']
    """
    import pandas as pd

    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch module, got {type(model).__name__}")
    z, known = _puzzles("train", train)
    if not isinstance(evaluate_on, Mapping | None):
        raise ValueError(f"evaluate_on must map splits to pairs (z, known), got {type(evaluate_on).__name__}")
    for split, puzzles in (evaluate_on or {}).items():
        if _puzzles(f"evaluate_on[{split!r}]", puzzles)[0].shape[1] != z.shape[1]:
            raise ValueError(f"evaluate_on[{split!r}] must have {z.shape[1]} bits, got {puzzles[0].shape[1]}")
    if digits is not None and z.shape[1] % _validate.positive_int("digits", digits):
        raise ValueError(f"digits must divide the number of bits {z.shape[1]}, got {digits}")
    if order is not None:
        _order(order, z.shape[1])
    if max_seconds is not None:
        _validate.real("max_seconds", max_seconds, 0)
    checkpoint = _validate.optional_path("checkpoint", checkpoint)
    if checkpoint is not None and (checkpoint.is_dir() or not checkpoint.parent.is_dir()):
        raise ValueError(f"checkpoint must be a file in a folder that exists, got {checkpoint}")
    steps, batch_size = _validate.positive_int("steps", steps), _validate.positive_int("batch_size", batch_size)
    lr, seed = _validate.real("lr", lr, 0, open_low=True), _validate.seed("seed", seed)
    eval_every = steps if eval_every is None else _validate.positive_int("eval_every", eval_every)
    for name, function in (("schedule", schedule), ("callback", callback)):
        if function is not None:
            _validate.function(name, function)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    rows: list[dict] = []
    order_of_samples: list[torch.Tensor] = []
    about = {} if checkpoint is None else _describe(z, known, batch_size, lr, seed)
    if checkpoint is not None and schedule is not None:
        about["steps"] = steps
    first, before = _resume(checkpoint, about, model, optimizer, generator, rows, order_of_samples, len(z))
    per_pass, losses, started = -(-len(z) // batch_size), [], time.perf_counter()

    def note(split: str, metric: str, value: float, step: int) -> None:
        seconds = before + time.perf_counter() - started
        rows.append({"member": 0, "epoch": step / per_pass, "step": step, "split": split, "metric": metric}
                    | {"value": value, "seconds": seconds})  # fmt: skip

    step = first
    while step < steps:
        if not order_of_samples:
            order_of_samples = _one_pass(len(z), batch_size, generator)
        chosen = order_of_samples.pop().to(z.device)
        optimizer.param_groups[0]["lr"] = lr * (1.0 if schedule is None else schedule(step / steps))
        optimizer.zero_grad()
        loss = completion_loss(model(z[chosen], known[chosen]), z[chosen], ~known[chosen])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        step += 1
        ends = max_seconds is not None and time.perf_counter() - started > max_seconds
        pause = step % eval_every == 0 or step == steps
        if pause or ends:
            note("train", "loss", torch.stack(losses).mean().item(), step)
            losses = []
            for split, (target, mask) in (evaluate_on or {}).items():
                right = completion_accuracy(predict(model, target, mask), target, digits=digits, order=order)
                note(split, "accuracy", right.double().mean().item(), step)
            if checkpoint is not None:
                state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
                state |= {"generator": generator.get_state(), "rows": rows, "samples": order_of_samples, "run": about}
                write_state(checkpoint, state)
        if ends or (pause and callback is not None and callback(step, model) is True):
            break
    return pd.DataFrame(rows)


@torch.no_grad()
def predict(model: nn.Module, z: torch.Tensor, known: torch.Tensor, batch_size: int = 500) -> torch.Tensor:
    """Completed bits (N, n), in batches."""
    # Normalizing layers use their averages, so that a sample is judged whoever its neighbours are.
    with eval_mode(model):
        return torch.cat([model(a, b) for a, b in zip(z.split(batch_size), known.split(batch_size), strict=True)])


def _one_pass(n: int, batch_size: int, generator: torch.Generator) -> list[torch.Tensor]:
    """The batches of one pass, the last one first; it is the smaller one where n is no multiple."""
    parts = list(torch.randperm(n, generator=generator, device="cpu").split(batch_size))
    whole = n // batch_size
    return parts[whole:] + parts[:whole]


def _describe(z: torch.Tensor, known: torch.Tensor, batch_size: int, lr: float, seed: int) -> dict[str, Any]:
    """What two runs must share to be one run."""
    data = [summary(z), summary(known)]
    return {"batch_size": batch_size, "lr": lr, "seed": seed, "shape of train": list(z.shape), "train": data}


def _resume(checkpoint, about, model, optimizer, generator, rows, samples, count) -> tuple[int, float]:
    """Step and seconds so far; everything else is restored in place."""
    if checkpoint is None or not checkpoint.is_file():
        return 0, 0.0
    wrong = f"checkpoint must be of this model and training set, got {checkpoint}"
    try:
        state = torch.load(checkpoint, weights_only=True, map_location=next(model.parameters()).device)
        run = state.get("run", {})  # older files say nothing of their run
    except Exception as error:  # torch, pickle and the archive each have their own
        raise ValueError(f"{wrong}: {error}") from error
    check_same_run(checkpoint, run, about)
    try:
        left = [part.cpu() for part in state["samples"]]
        if any(int(part.max()) >= count for part in left):
            raise ValueError(f"it knows samples beyond {count}")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"].cpu())
        step, seconds = state["step"], state["rows"][-1]["seconds"]
    except Exception as error:
        raise ValueError(f"{wrong}: {error}") from error
    rows += state["rows"]
    samples += left
    return step, seconds
