"""Sudoku from images: boards of digits, and end-to-end training with or without the labels of given cells."""

from __future__ import annotations

import time
from typing import Any

import torch

from litrepro import _validate
from litrepro.layers._completion import bits, completion_accuracy, completion_loss, right_digits
from litrepro.layers._composed import VisualSudoku


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
    generator = torch.Generator().manual_seed(_validate.positive_int("seed", seed, 0))
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
    max_seconds: float | None = None,
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
    max_seconds
        Stop after so many.

    Raises ``ValueError`` for boards that do not fit each other or the images, sizes < 1, rates that are not positive.
    """
    index, z, known = _check(model, images, boards)
    if max_seconds is not None:
        _validate.real("max_seconds", max_seconds, 0)
    steps, batch_size = _validate.positive_int("steps", steps), _validate.positive_int("batch_size", batch_size)
    rates = [_validate.real(name, r, 0, open_low=True) for name, r in (("lr", lr), ("classifier_lr", classifier_lr))]
    generator = torch.Generator().manual_seed(_validate.positive_int("seed", seed, 0))
    groups = zip((model.layer, model.classifier), rates, strict=True)
    optimizer = torch.optim.Adam([{"params": part.parameters(), "lr": rate} for part, rate in groups])
    cells = known.view(len(known), index.shape[1], -1)[..., 0]
    started, losses = time.perf_counter(), []
    for _ in range(steps):
        chosen = torch.randperm(len(z), generator=generator, device="cpu")[:batch_size].to(z.device)
        output = model(images[index[chosen]], cells[chosen])
        counted = torch.ones_like(known[chosen]) if label_givens else ~known[chosen]
        loss = completion_loss(output, z[chosen], counted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if max_seconds is not None and time.perf_counter() - started > max_seconds:
            break
    return losses


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
        output = model(images[i], given)
        rows["boards"].append(completion_accuracy(output, target, digits=n))
        read = right_digits(output, target, n) | ~given
        rows["digits"].append(read[given])
        rows["readable"].append(read.all(1))
    return {name: torch.cat(values).double().mean().item() for name, values in rows.items()}
