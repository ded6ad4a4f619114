"""Checks that every module of this package needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from litrepro import _validate


def nodes_of(edges: int) -> int | None:
    """The p with p (p - 1) / 2 = edges, or None."""
    p = (1 + math.isqrt(1 + 8 * edges)) // 2
    return p if edges >= 1 and p * (p - 1) // 2 == edges else None


def weights(name: str, value: Any) -> tuple[torch.Tensor, int]:
    """Edge weights (..., m) with m = p (p - 1) / 2, and p."""
    _validate.float_tensor(name, value, 1)
    p = nodes_of(value.shape[-1])
    if p is None:
        raise ValueError(
            f"{name} must have p (p - 1) / 2 entries in its last dimension (1, 3, 6, 10, ...), "
            f"got shape {tuple(value.shape)}"
        )
    return value, p


def square(name: str, value: Any) -> torch.Tensor:
    """A floating-point tensor (..., p, p) with p >= 2."""
    _validate.float_tensor(name, value, 2)
    if value.shape[-1] != value.shape[-2] or value.shape[-1] < 2:
        raise ValueError(f"{name} must be square (..., p, p) with p >= 2, got shape {tuple(value.shape)}")
    return value


def symmetric(name: str, value: Any, tolerance: float = 1e-8) -> torch.Tensor:
    """A finite symmetric tensor (..., p, p); the tolerance is relative to its largest entry, and above rounding."""
    square(name, value)
    if not value.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinite entries")
    tolerance = max(tolerance, 16 * torch.finfo(value.dtype).eps)
    gap, scale = (value - value.mT).abs().amax((-1, -2)), value.abs().amax((-1, -2))
    if (gap > tolerance * scale).any():
        raise ValueError(f"{name} must be symmetric, got entries that differ from their mirror by {gap.max():.3g}")
    return value


def decomposed(name: str, value: Any) -> torch.Tensor:
    """A finite ``symmetric`` tensor in float32 or float64, the precisions of eigendecompositions."""
    return _validate.decomposable(name, symmetric(name, value))


def rounding(tolerance: float, like: torch.Tensor) -> float:
    """``tolerance`` relative to the largest eigenvalue; for a matrix in float32 one above what its rounding does.

    Zero eigenvalues of a matrix stored in float32 lie within one unit of rounding when they are computed in float64.
    """
    return tolerance if like.dtype == torch.float64 else max(tolerance, 4 * torch.finfo(like.dtype).eps)


def covariances(name: str, value: Any, dims: int) -> torch.Tensor:
    """``decomposed`` with exactly ``dims`` dimensions and at least one matrix."""
    decomposed(name, value)
    if value.ndim != dims or value.numel() == 0:
        raise ValueError(f"{name} must have {dims} dimensions and not be empty, got shape {tuple(value.shape)}")
    return value


def positive(name: str, value: Any, minimum: int) -> list[Any]:
    """At least ``minimum`` numbers > 0, as they were given."""
    numbers = _validate.sequence(name, value, minimum)
    for number in numbers:
        _validate.real(name, number, 0, open_low=True)
    return numbers


def settings(
    name: str, value: Any, required: tuple[str, ...], groups: int, p: int, minimum: int
) -> list[dict[str, Any]]:
    """Mappings that have ``required``, a finite ``mu`` (p,) or (groups, p), and weights that are numbers."""
    found = []
    for k, each in enumerate(_validate.sequence(name, value, minimum)):
        here = f"{name}[{k}]"
        if not isinstance(each, Mapping) or not {*required, "mu"} <= set(each):
            got = list(each) if isinstance(each, Mapping) else type(each).__name__
            raise ValueError(f"{here} must be a mapping with {', '.join(required)} and mu, got {got}")
        mu = vector(f"mu of {here}", each["mu"], p)
        if mu.ndim > 2 or mu.shape[:-1] not in ((), (1,), (groups,)):
            raise ValueError(f"mu of {here} must be ({p},) or ({groups}, {p}), got {tuple(mu.shape)}")
        for weight in {"alpha", "beta", "gamma"} & set(each):
            _validate.real(f"{weight} of {here}", each[weight], 0, open_low=weight == "beta")
        found.append(dict(each))
    return found


def penalty(name: str, value: Any, like: torch.Tensor, *, positive: bool = False) -> torch.Tensor:
    """A weight of the objective: a number, or a tensor of batch shape; nonnegative, or positive where asked."""
    if isinstance(value, torch.Tensor):
        if value.is_complex() or value.dtype == torch.bool:
            raise ValueError(f"{name} must be real, got {value.dtype}")
    elif not isinstance(value, float):
        value = _validate.real(name, value, 0, open_low=positive)
    result = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if not result.isfinite().all() or (result < 0).any() or (positive and (result == 0).any()):
        raise ValueError(f"{name} must be finite and {'> 0' if positive else '>= 0'}, got {value!r}")
    return result


def penalties(alpha: Any, beta: Any, gamma: Any, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The three weights of the objective: alpha, gamma >= 0 and beta > 0."""
    return (
        penalty("alpha", alpha, like),
        penalty("beta", beta, like, positive=True),
        penalty("gamma", gamma, like),
    )


def vector(name: str, value: Any, p: int) -> torch.Tensor:
    """A finite floating-point tensor (..., p)."""
    _validate.float_tensor(name, value, 1)
    if value.shape[-1] != p:
        raise ValueError(f"{name} must have {p} entries in its last dimension, got shape {tuple(value.shape)}")
    if not value.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinite entries")
    return value
