"""Importance sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from litrepro import _validate

Elementwise = Callable[[torch.Tensor], torch.Tensor]


class Estimate(NamedTuple):
    """An expectation and its standard error, both (...).

    Examples
    --------
    >>> import torch
    >>> found = importance_estimate(lambda x: x, torch.tensor([1.0, 3.0]), torch.zeros_like, torch.zeros_like)
    >>> found.mean, found.stderr
    (tensor(2.), tensor(1.))
    """

    mean: torch.Tensor
    stderr: torch.Tensor


def importance_estimate(f: Elementwise, x: torch.Tensor, log_p: Elementwise, log_q: Elementwise) -> Estimate:
    """Estimate E_p[f] from samples of q: the mean of f(x) p(x) / q(x), with its standard error.

    Parameters
    ----------
    f
        Elementwise function of x; its values may be boolean.
    x
        Samples of q, (..., n): repetitions along the last axis.
    log_p, log_q
        Elementwise logarithms of the two densities, both up to the same constant.

    Returns
    -------
    ``Estimate(mean (...), stderr (...))``; the standard error is the sample standard deviation over sqrt(n), and
    infinite for n = 1, which says nothing about it.

    Raises
    ------
    ValueError
        x without samples, an argument that is not callable or does not accept x, values that are not real or do not
        match the shape of x.

    Source: Owen, Monte Carlo theory, methods and examples, chapter 9.

    Examples
    --------
    >>> import torch
    >>> x = (torch.arange(1000) + 0.5) / 1000  # evenly spread over [0, 1], where p(x) = 2 x
    >>> found = importance_estimate(lambda x: x, x, lambda x: (2 * x).log(), torch.zeros_like)
    >>> round(found.mean.item(), 3)  # E_p x = 2/3
    0.667
    """
    _validate.float_tensor("x", x, 1)
    if x.shape[-1] < 1:
        raise ValueError(f"x must hold at least one sample on its last axis, got shape {tuple(x.shape)}")
    for name, function in (("f", f), ("log_p", log_p), ("log_q", log_q)):
        if not callable(function):
            raise ValueError(f"{name} must be a callable of x, got {type(function).__name__}")
    ratio = torch.exp(_values("log_p", log_p, x) - _values("log_q", log_q, x))
    values = _values("f", f, x)
    terms = torch.where(values == 0, torch.zeros_like(values), values * ratio)  # 0 times an overflowing ratio is 0
    n = x.shape[-1]
    mean = terms.mean(-1)
    if n == 1:
        return Estimate(mean, torch.full_like(mean, math.inf))
    return Estimate(mean, terms.std(-1) / math.sqrt(n))


def _values(name: str, function: Elementwise, x: torch.Tensor) -> torch.Tensor:
    """The function's values in the dtype and shape of x; a constant is broadcast."""
    values = _validate.answer(name, function, x)
    try:
        values = torch.as_tensor(values, device=x.device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must map x to numbers, got {type(values).__name__}") from None
    if values.is_complex():
        raise ValueError(f"{name} must map x to real numbers, got {values.dtype}")
    values = values if values.dtype.is_floating_point else values.to(x.dtype)
    try:
        return values.expand(x.shape)
    except RuntimeError:
        raise ValueError(
            f"{name} must map x to values of its shape {tuple(x.shape)}, got shape {tuple(values.shape)}"
        ) from None
