"""Sudoku from images: boards of digits, and end-to-end training with or without the labels of given cells."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from litrepro import _validate
from litrepro._resume import check_same_run, summary, write_state
from litrepro.layers._completion import bits, completion_accuracy, completion_loss, right_digits
from litrepro.layers._composed import VisualSudoku
from litrepro.training._modules import eval_mode

SAVE_EVERY = 50  # steps


def visual_boards(z: torch.Tensor, n: int, labels: torch.Tensor, *, seed: int) -> torch.Tensor:
    """An image for every cell of boards, by its index: cell of digit d gets a random image with label d + 1.

    Parameters
    ----------
    z
        (N, n^3) one-hot solutions, from ``sudoku_puzzles``.
    labels
        (M,) labels of the images, each of 1..n at least once.

    Returns
    -------
    (N, n^2) int64 into the images. Raises ``ValueError`` for other shapes and for a label without an image.

    Examples
    --------
    >>> z = torch.eye(4)[:1].repeat(1, 16)
    >>> visual_boards(z, 4, torch.arange(1, 5), seed=0).unique().tolist()
    [0]
    """
    n = _validate.positive_int("n", n)
    if bits("z", z).ndim != 2 or z.shape[1] != n**3:
        raise ValueError(f"z must be (N, {n**3}), got shape {tuple(z.shape)}")
    if _validate.integer_tensor("labels", labels).ndim != 1:
        raise ValueError(f"labels must be (M,), got shape {tuple(labels.shape)}")
    generator = torch.Generator().manual_seed(_validate.seed("seed", seed))
    digits = z.reshape(len(z), n * n, n).to(torch.uint8 if z.dtype == torch.bool else z.dtype).argmax(-1)
    found = torch.zeros_like(digits)
    for digit in range(n):
        pool = torch.where(labels == digit + 1)[0]
        if not len(pool):
            raise ValueError(f"no image has the label {digit + 1}")
        where = digits == digit
        found[where] = pool[
            torch.randint(len(pool), (int(where.sum()),), generator=generator, device="cpu").to(pool.device)
        ]
    return found


def _check(model: Any, images: Any, boards: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boards (index, z, known) that fit each other and the images."""
    if not isinstance(model, VisualSudoku):
        raise ValueError(f"model must be a VisualSudoku, got {type(model).__name__}")
    _validate.float_tensor("images", images, 4)
    if not isinstance(boards, tuple | list) or len(boards) != 3:
        raise ValueError(f"boards must be (index, z, known), got {type(boards).__name__}")
    index, z, known = boards
    _validate.integer_tensor("index", index), bits("z", z), _validate.boolean_tensor("known", known)
    cells = index.shape[-1] if index.ndim == 2 else 0
    good = cells and len(index) and z.ndim == 2 and z.shape == known.shape and len(z) == len(index)
    if not good or z.shape[1] % cells:
        shapes = ", ".join(str(tuple(value.shape)) for value in (index, z, known))
        raise ValueError(f"boards must be (N, n^2), (N, n^3) and (N, n^3) with N >= 1, got {shapes}")
    if int(index.min()) < 0 or int(index.max()) >= len(images):
        raise ValueError(f"index must lie in 0..{len(images) - 1}, got {int(index.min())}..{int(index.max())}")
    return index, z, known


def fit_visual(
    model: VisualSudoku,
    images: torch.Tensor,
    boards: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    *,
    steps: int,
    label_givens: bool,
    batch_size: int = 40,
    lr: float = 2e-2,
    classifier_lr: float = 2e-3,
    seed: int = 0,
    schedule: Callable[[float], float] | None = None,
    checkpoint: Path | None = None,
    max_seconds: float | None = None,
    callback: Callable[[int, VisualSudoku], Any] | None = None,
) -> list[float]:
    """Train classifier and layer together on completed boards; returns the loss of every step.

    Parameters
    ----------
    images
        (M, 1, h, w).
    boards
        Indices (N, n^2) into the images, solutions z (N, n^3), known (N, n^3) bool.
    label_givens
        Whether the loss counts the bits of given cells, which the layer hands through from the classifier: with them,
        every given digit is labelled (Chang et al. 2020).
    lr, classifier_lr
        Of Adam, for the layer and for the classifier.
    schedule
        Factor of both rates as a function of the share of the steps done, e.g. ``training.step_decay({0.8: 0.1})``.
    checkpoint, max_seconds
        Continue from this file where it exists, and stop after so many seconds with the state in it; it is written
        every 50 steps. The other arguments and about a thousand boards are compared, not the initial parameters.
    callback
        ``callback(step, model)`` every 50 steps; if it returns True, training stops there.

    Raises ``ValueError`` for boards that do not fit each other or the images, sizes < 1, rates that are not positive, a
    checkpoint in no folder, and one that cannot be read or is of another run.
    """
    index, z, known = _check(model, images, boards)
    if max_seconds is not None:
        _validate.real("max_seconds", max_seconds, 0)
    steps, batch_size = _validate.positive_int("steps", steps), _validate.positive_int("batch_size", batch_size)
    rates = [_validate.real(name, r, 0, open_low=True) for name, r in (("lr", lr), ("classifier_lr", classifier_lr))]
    for name, function in (("schedule", schedule), ("callback", callback)):
        if function is not None:
            _validate.function(name, function)
    seed = _validate.seed("seed", seed)
    checkpoint = _validate.optional_path("checkpoint", checkpoint)
    if checkpoint is not None and (checkpoint.is_dir() or not checkpoint.parent.is_dir()):
        raise ValueError(f"checkpoint must be a file in a folder that exists, got {checkpoint}")
    generator = torch.Generator().manual_seed(seed)
    groups = zip((model.layer, model.classifier), rates, strict=True)
    optimizer = torch.optim.Adam([{"params": part.parameters(), "lr": rate} for part, rate in groups])
    cells = known.view(len(known), index.shape[1], -1)[..., 0]
    about = {"batch_size": batch_size, "rates": rates, "seed": seed, "label_givens": bool(label_givens)}
    if checkpoint is not None:
        about["boards"] = [summary(part) for part in boards]
    if schedule is not None:
        about["steps"] = steps
    started, losses = time.perf_counter(), _resume(checkpoint, about, model, optimizer, generator)
    while len(losses) < steps:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (1.0 if schedule is None else schedule(len(losses) / steps))
        chosen = torch.randperm(len(z), generator=generator, device="cpu")[:batch_size].to(z.device)
        output = model(images[index[chosen]], cells[chosen])
        counted = torch.ones_like(known[chosen]) if label_givens else ~known[chosen]
        loss = completion_loss(output, z[chosen], counted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        pause = len(losses) % SAVE_EVERY == 0
        ends = len(losses) == steps or (max_seconds is not None and time.perf_counter() - started > max_seconds)
        ends = ends or (pause and callback is not None and callback(len(losses), model) is True)
        if checkpoint is not None and (ends or pause):
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "losses": losses, "run": about}
            write_state(checkpoint, state | {"generator": generator.get_state()})
        if ends:
            break
    return losses


def _resume(checkpoint: Path | None, about: dict[str, Any], model, optimizer, generator) -> list[float]:
    """The losses so far; everything else is restored in place."""
    if checkpoint is None or not checkpoint.is_file():
        return []
    wrong = f"checkpoint must be of this model and these boards, got {checkpoint}"
    try:
        state = torch.load(checkpoint, weights_only=True, map_location=next(model.parameters()).device)
        run = state["run"]
    except Exception as error:  # torch, pickle and the archive each have their own
        raise ValueError(f"{wrong}: {error}") from error
    check_same_run(checkpoint, run, about)
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"].cpu())
        return list(state["losses"])
    except Exception as error:
        raise ValueError(f"{wrong}: {error}") from error


@torch.no_grad()
def visual_accuracy(
    model: VisualSudoku, images: torch.Tensor, boards: tuple[torch.Tensor, torch.Tensor, torch.Tensor], n: int
) -> dict[str, float]:
    """Share of boards completed without a mistake, of given digits read right, and of boards with all givens right.

    Errors as ``fit_visual``.
    """
    index, z, known = _check(model, images, boards)
    n = _validate.positive_int("n", n)
    if z.shape[1] != n * index.shape[1]:
        raise ValueError(f"n must be {z.shape[1] // index.shape[1]} for these boards, got {n}")
    rows = {"boards": [], "digits": [], "readable": []}
    for i, target, mask in zip(index.split(100), z.split(100), known.split(100), strict=True):
        given = mask.view(len(mask), -1, n)[..., 0]
        with eval_mode(model):
            output = model(images[i], given)
        rows["boards"].append(completion_accuracy(output, target, digits=n))
        read = right_digits(output, target, n) | ~given
        rows["digits"].append(read[given])
        rows["readable"].append(read.all(1))
    return {name: torch.cat(values).double().mean().item() for name, values in rows.items()}
