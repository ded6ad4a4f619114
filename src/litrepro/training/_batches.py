"""Mini-batches, and the data that they are taken from."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate, runtime

UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)  # torch stores these, and computes next to nothing with them
Targets = torch.Tensor | tuple[torch.Tensor, ...]


def batches(n: int, batch_size: int, seed: int, epoch: int) -> tuple[torch.Tensor, ...]:
    """The mini-batches of one epoch: a random permutation of 0..n-1, cut; every training loop takes its order here.

    Parameters
    ----------
    n, batch_size
        Number of examples, and of those in a batch; the last batch may be smaller.
    seed, epoch
        Both >= 0; pairs have streams of their own for epoch < 1,000,003 and seed < 2^43.

    Returns
    -------
    ceil(n / batch_size) int64 index tensors on the CPU.

    Raises
    ------
    ValueError
        n < 1, batch_size < 1, a negative seed or epoch.

    Examples
    --------
    >>> import torch
    >>> first = batches(10, 4, seed=0, epoch=0)
    >>> [len(rows) for rows in first], sorted(torch.cat(first).tolist()) == list(range(10))
    ([4, 4, 2], True)
    """
    return permutation(n, seed, epoch).split(_validate.positive_int("batch_size", batch_size))


def permutation(n: int, seed: int, epoch: int) -> torch.Tensor:
    """The order of n examples in an epoch (counted from 0), (n,) int64."""
    n, seed = _validate.positive_int("n", n), _validate.seed("seed", seed)
    epoch = _validate.positive_int("epoch", epoch, 0)
    return torch.randperm(n, generator=runtime.stream(seed, epoch), device="cpu")


def pair(name: str, data: Any) -> tuple[Any, Any]:
    """x and y of a data set."""
    try:
        x, y = data
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a pair (x, y), got {type(data).__name__}") from None
    return x, y


def check_data(name: str, data: Any, leading: tuple[bool, bool] = (False, False)) -> tuple[torch.Tensor, Targets, int]:
    """(x, y) of a data set and its number n of examples.

    ``leading`` says whether x and y have a dimension of members before that of the examples. Raises ``ValueError``
    unless x and all of y are tensors with the same n >= 1. Without their graphs: training fits the weights alone. What
    of y is in unsigned integers of more than eight bits becomes int64.
    """
    x, y = pair(name, data)
    y = tuple(y) if isinstance(y, tuple | list) else y
    parts = [(x, leading[0]), *((part, leading[1]) for part in (y if isinstance(y, tuple) else (y,)))]
    for part, stacked in parts:
        if not isinstance(part, torch.Tensor) or part.ndim < 1 + stacked:
            expected = "tensors with a dimension of examples" + (" after that of members" if stacked else "")
            raise ValueError(f"{name} must hold {expected}, got {getattr(part, 'shape', type(part).__name__)}")
    lengths = [part.shape[int(stacked)] for part, stacked in parts]
    if len(parts) < 2 or len(set(lengths)) > 1 or lengths[0] < 1:
        raise ValueError(f"{name}: x and y must have the same number of examples, at least one; got {lengths}")
    y = map_targets(lambda part: part.to(torch.int64) if part.dtype in UNSIGNED else part.detach(), y)
    return x.detach(), y, lengths[0]


def map_targets(function, y: Targets) -> Targets:
    """Apply a function to the labels, and to every other tensor of y."""
    return tuple(function(part) for part in y) if isinstance(y, tuple) else function(y)


def labels_of(y: Targets) -> torch.Tensor:
    """The labels: y itself, or its first tensor."""
    return y[0] if isinstance(y, tuple) else y
