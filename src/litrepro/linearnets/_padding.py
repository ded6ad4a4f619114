"""Networks of several hidden widths in one batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments


def pad_factors(factors: Sequence[torch.Tensor], width: int) -> list[torch.Tensor]:
    """The same network with every hidden layer of size ``width``, so that networks of several widths can be stacked.

    The added units have no weights. Under gradient descent, with or without weight decay, they keep none: the gradient
    of what goes into a unit is proportional to what leaves it, and the other way round.

    Parameters
    ----------
    factors
        ``[W_1, ..., W_N]``, ``W_j (..., n_j, n_{j-1})``; not modified.
    width
        At least every hidden n_j.

    Returns
    -------
    Factors of the same product, (..., width, d), (..., width, width), ..., (..., k, width); one factor stays as it is.

    Raises
    ------
    ValueError
        What is no chain of factors, a width below that of a hidden layer.

    Examples
    --------
    >>> import torch
    >>> padded = pad_factors([torch.ones(2, 3), torch.ones(1, 2)], 4)
    >>> [tuple(factor.shape) for factor in padded], (padded[1] @ padded[0]).tolist()
    ([(4, 3), (1, 4)], [[2.0, 2.0, 2.0]])
    """
    factors = _arguments.chain(factors)
    width = _validate.positive_int("width", width)
    hidden = [factor.shape[-2] for factor in factors[:-1]]
    if hidden and max(hidden) > width:
        raise ValueError(f"width must be at least that of every hidden layer, {hidden}, got {width}")
    sizes = [factors[0].shape[-1], *[width] * len(hidden), factors[-1].shape[-2]]
    return [
        torch.nn.functional.pad(factor, (0, inputs - factor.shape[-1], 0, outputs - factor.shape[-2]))
        for factor, inputs, outputs in zip(factors, sizes, sizes[1:])
    ]
