"""Random vectors of a given size, and the check of their radius."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from litrepro import _validate

KINDS = ("none", "sphere", "ball", "gaussian", "coordinate")


def noise(
    kind: str,
    shape: Sequence[int],
    radius: float | torch.Tensor,
    *,
    generator: torch.Generator | int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Random vectors of a given size.

    ``"none"`` zeros; ``"sphere"`` of norm r; ``"ball"`` uniform in the ball of radius r; ``"gaussian"`` N(0, r^2/d I);
    ``"coordinate"`` N(0, r^2 I).

    Parameters
    ----------
    shape
        (..., d), d >= 1.
    radius
        r >= 0, or a tensor over leading dimensions.
    generator
        Source of randomness (one seeded with 0 if None); drawn on its device, then moved to ``device``.
    dtype, device
        A floating-point dtype; torch's default device if None.

    Raises ``ValueError`` for an unknown kind, an empty shape or d < 1, a dtype or device that is none, and radii that
    are negative, complex, not finite or do not fit.

    Examples
    --------
    >>> import torch
    >>> xi = noise("sphere", (1000, 5), 2.0)
    >>> xi.shape, torch.allclose(xi.norm(dim=-1), torch.tensor(2.0))
    (torch.Size([1000, 5]), True)
    """
    _validate.choice("kind", kind, KINDS)
    shape = tuple(_validate.positive_int("shape", size, 0) for size in _validate.sequence("shape", shape))
    if not shape or shape[-1] < 1:
        raise ValueError(f"shape must be (..., d) with d >= 1, got {shape}")
    _validate.floating_dtype("dtype", dtype)
    device = torch.get_default_device() if device is None else _validate.device("device", device)
    generator = _validate.random_source("generator", generator)
    scale = check_radius(radius, shape, dtype, device)
    if kind == "none":
        return torch.zeros(shape, dtype=dtype, device=device)
    z = torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)
    if kind == "gaussian":
        z = z / shape[-1] ** 0.5
    elif kind in ("sphere", "ball"):
        z = z / z.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(dtype).tiny)
        if kind == "ball":
            uniform = torch.rand(*shape[:-1], 1, generator=generator, dtype=dtype, device=generator.device)
            z = z * uniform ** (1.0 / shape[-1])
    return z.to(device) * scale


def check_radius(radius: Any, shape: tuple[int, ...], dtype: torch.dtype, device: Any) -> float | torch.Tensor:
    """A radius that broadcasts against (..., d)."""
    if not isinstance(radius, torch.Tensor) or radius.ndim == 0:
        return _validate.real("radius", radius, 0)
    if radius.dtype.is_complex:
        raise ValueError(f"radius must be real, got {radius.dtype}")
    if radius.ndim >= len(shape) or any(a not in (1, b) for a, b in zip(radius.shape, shape)):
        raise ValueError(f"radius of shape {tuple(radius.shape)} must match the leading dimensions of {shape}")
    if not bool((torch.isfinite(radius) & (radius >= 0)).all()):
        raise ValueError("radius must be finite and >= 0 everywhere")
    return radius.to(dtype=dtype, device=device).reshape(radius.shape + (1,) * (len(shape) - radius.ndim))
