"""What several experiments on soft targets begin with: digits on a device, and perceptrons by their widths."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from litrepro import _validate
from litrepro.data import mnist
from litrepro.nets import mlp

Pair = tuple[torch.Tensor, torch.Tensor]
CLASSES = 10


def digit_sets(
    n: int,
    *,
    size: int = 14,
    source: str = "bundled",
    device: torch.device | str = "cpu",
    seed: int | Sequence[int] = 0,
) -> tuple[Pair, Pair]:
    """Training and test digits of MNIST as plain pairs of tensors on a device.

    Parameters
    ----------
    n
        Training digits, a multiple of ten: as many of every class, in an order drawn with ``seed``.
    size
        Side length in pixels.
    source
        Of ``litrepro.data.mnist``: ``"bundled"``, ``"full"`` or ``"auto"``.
    device
        Where the tensors go.
    seed
        Of the choice and order of the training digits. S seeds draw S training sets, one for each member of an
        ensemble, so that a spread over members is one over samples as well.

    Returns
    -------
    ((x (n, 1, size, size), y (n,)), (x, y)): n training digits, and the whole test set. With S seeds the training
    digits are x (S, n, 1, size, size) and y (S, n). Raises ``ValueError`` (no seeds among them) and
    ``DataUnavailableError`` as ``litrepro.data.mnist`` does.

    Examples
    --------
    >>> try:  # reading takes seconds, so this example stops before it; (x, y), test = digit_sets(2000) does not
    ...     digit_sets(2000, source="memory")
    ... except ValueError as error:
    ...     print("memory" in str(error))
    True
    """
    seeds = _validate.sequence("seed", seed) if isinstance(seed, Sequence) else None
    samples = [mnist("train", n=n, balanced=True, source=source, size=size, seed=s) for s in seeds or [seed]]
    test = mnist("test", source=source, size=size)
    pairs = [(part.images.to(device), part.labels.to(device)) for part in (*samples, test)]
    if seeds is None:
        return pairs[0], pairs[1]
    x, y = (torch.stack(parts) for parts in zip(*pairs[:-1]))
    return (x, y), pairs[-1]


def perceptrons(size: int, *hidden: int, shift: int = 0) -> Callable[..., nn.Module]:
    """Builder of perceptrons for digits, as ``training.fit_ensemble`` and ``train_students`` want it.

    Parameters
    ----------
    size
        Side length of the digits.
    *hidden
        Widths of the hidden layers, none for a linear model.
    shift
        Added to every seed: a student that must not start where another network of the same seed did.

    Returns
    -------
    ``build(seed=s)``: a network from (B, 1, size, size) to (B, 10). Raises ``ValueError`` for a size or width below 1
    and a negative shift.

    Examples
    --------
    >>> import torch
    >>> build = perceptrons(14, 30)
    >>> build(seed=3)(torch.zeros(2, 1, 14, 14)).shape
    torch.Size([2, 10])
    """
    size, shift = _validate.positive_int("size", size), _validate.positive_int("shift", shift, 0)
    widths = [_validate.positive_int("hidden", width) for width in hidden]

    def build(seed: int) -> nn.Module:
        return mlp(size**2, widths, CLASSES, seed=seed + shift)

    return build
