"""Planted networks: what the algorithms of this package have to find."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate
from litrepro.shallow import _arguments


def relu_network(X: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """f(x) = sum_k relu(<w_k, x>).

    Parameters
    ----------
    X
        Inputs (..., n, d).
    W
        Neurons as rows, (..., K, d); its batch dimensions broadcast with those of ``X`` without copies of either.

    Returns
    -------
    (..., n). Raises ``ValueError`` for dimensions that do not match.

    Source: definition 2.1 of the review, noiseless.

    Examples
    --------
    >>> import torch
    >>> relu_network(torch.tensor([[1.0, -2.0], [0.0, 3.0]]), torch.eye(2))
    tensor([1., 3.])
    """
    _arguments.pair(X, W, ("X", "W"))
    return torch.einsum("...nd,...kd->...nk", X, W).relu_().sum(-1)


def planted_teacher(
    neurons: int,
    d: int,
    *,
    condition: float = 1.0,
    batch: tuple[int, ...] = (),
    generator: Any = None,
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Random neurons with singular values spaced geometrically from 1 down to 1/condition.

    Parameters
    ----------
    neurons, d
        K <= d neurons in d dimensions; condition 1 makes them orthonormal.
    condition
        sigma_1 / sigma_K >= 1 of the matrix of neurons.
    generator
        ``torch.Generator`` or seed.

    Returns
    -------
    (*batch, K, d), singular vectors uniform. Raises ``ValueError`` if K > d, condition < 1, batch is no shape,
    or dtype is none of floating-point numbers.

    Examples
    --------
    >>> import torch
    >>> W = planted_teacher(2, 4, condition=3.0)
    >>> torch.linalg.svdvals(W).round(decimals=4)
    tensor([1.0000, 0.3333], dtype=torch.float64)
    """
    d = _validate.positive_int("d", d)
    neurons = _validate.positive_int("neurons", neurons)
    if neurons > d:
        raise ValueError(f"neurons must be at most d = {d}, got {neurons}")
    condition = _validate.real("condition", condition, 1)
    if not isinstance(batch, tuple | list):
        raise ValueError(f"batch must be a tuple of integers >= 0, got {batch!r}")
    batch = tuple(_validate.positive_int("batch", size, 0) for size in batch)
    _validate.floating_dtype("dtype", dtype)
    source = _validate.random_source("generator", generator)
    left = torch.linalg.qr(
        torch.randn(*batch, neurons, neurons, generator=source, dtype=torch.float64, device=source.device)
    ).Q
    right = torch.linalg.qr(
        torch.randn(*batch, d, neurons, generator=source, dtype=torch.float64, device=source.device)
    ).Q
    singular = condition ** -torch.linspace(0, 1, neurons, dtype=torch.float64, device=source.device)
    return (left * singular @ right.mT).to(dtype)
