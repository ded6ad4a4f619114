"""Exponents read off measurements: a straight line on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from litrepro import _validate


class PowerLaw(NamedTuple):
    """The law y = constant * x ** exponent: ``exponent`` (...) and ``constant`` (...), float64.

    Examples
    --------
    >>> law = power_law([1.0, 2.0, 4.0], [3.0, 6.0, 12.0])
    >>> round(law.exponent.item(), 6), round(law.constant.item(), 6)
    (1.0, 3.0)
    """

    exponent: torch.Tensor
    constant: torch.Tensor


def power_law(x: torch.Tensor | Sequence[float], y: torch.Tensor | Sequence[float]) -> PowerLaw:
    """Fit y = c x^p by least squares of log y on log x: all members of a batch at once.

    Parameters
    ----------
    x
        Positive places (n), at least two different ones: a tensor or a sequence of numbers.
    y
        Values (..., n), or a sequence of n numbers. A member with a value whose logarithm is not finite (zero,
        negative, inf, nan) gets a law that is not finite; its neighbours are not disturbed.

    Returns
    -------
    ``PowerLaw(exponent (...), constant (...))``, float64, on the device of ``y``.

    Raises
    ------
    ValueError
        Places that are not finite and positive, fewer than two different ones, or another number of values than places.

    Examples
    --------
    >>> import torch
    >>> steps = [0.1, 0.01, 0.001]
    >>> errors = torch.tensor([[2e-1, 2e-2, 2e-3], [3e-2, 3e-4, 3e-6]])
    >>> [round(p, 3) for p in power_law(steps, errors).exponent.tolist()]
    [1.0, 2.0]
    """
    y = _numbers("y", y)
    x = _numbers("x", x).to(y.device)
    if x.ndim != 1 or not bool((x.isfinite() & (x > 0)).all()) or len(x.unique()) < 2:
        raise ValueError(f"x must hold at least two different positive numbers, got {x.tolist()}")
    if y.ndim < 1 or y.shape[-1] != len(x):
        raise ValueError(f"y must have one value for each of the {len(x)} places, got shape {tuple(y.shape)}")
    log_x, log_y = x.log(), y.log()
    centred = log_x - log_x.mean()
    middle = log_y.mean(-1)
    exponent = (centred * (log_y - middle[..., None])).sum(-1) / centred.square().sum()
    return PowerLaw(exponent, (middle - exponent * log_x.mean()).exp())


def _numbers(name: str, value: Any) -> torch.Tensor:
    """Real numbers, which need not be finite, as a float64 tensor."""
    if isinstance(value, torch.Tensor):
        if value.is_complex() or value.dtype == torch.bool:
            raise ValueError(f"{name} must hold real numbers, got {value.dtype}")
        return value.double()
    items = _validate.sequence(name, value)
    try:
        return torch.tensor([float(item) for item in items], dtype=torch.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold real numbers, got {items!r}") from None
