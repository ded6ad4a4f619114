"""Checks and broadcasts that the functions of spectra share."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale


def spectrum(eigs: Any, *, stable: bool = False, minimum_dims: int = 1) -> torch.Tensor:
    """eigs as a complex tensor, finite; with ``stable`` every real part must be positive."""
    if getattr(eigs, "dtype", None) in (torch.float16, torch.bfloat16):
        raise ValueError(f"eigenvalues must be float32 or float64, or complex ones of these, got {eigs.dtype}")
    if not isinstance(eigs, torch.Tensor):
        raise ValueError(f"eigenvalues must be a torch tensor, got {type(eigs).__name__}")
    if eigs.ndim < minimum_dims or (minimum_dims and eigs.shape[-1] == 0):
        raise ValueError(f"eigenvalues must have shape (..., m) with m >= 1, got {tuple(eigs.shape)}")
    if not eigs.dtype.is_complex:
        real = eigs if eigs.dtype.is_floating_point else eigs.to(torch.float64)
        eigs = torch.complex(real, torch.zeros_like(real))
    if not bool(torch.isfinite(torch.view_as_real(eigs)).all()):
        raise ValueError("eigenvalues must be finite")
    if stable and not bool((eigs.real > 0).all()):
        raise ValueError(f"eigenvalues must have positive real parts, got {float(eigs.real.min()):g} among them")
    return eigs


def in_double(eigs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues (..., m) as complex128 at an ordinary scale, and that scale (..., 1), a power of two.

    Rules that compare |lam|^2 with each other lose to single precision what tells the eigenvalues apart, or all.
    """
    eigs = eigs.to(torch.complex128)
    scale = binary_scale(eigs.abs(), -1)
    return torch.complex(eigs.real / scale, eigs.imag / scale), scale


def setting(name: str, value: Any, dtype: torch.dtype, device: Any) -> torch.Tensor:
    """A finite number, or a real tensor (...) or what torch makes one of, as a tensor of ``dtype``."""
    if isinstance(value, int | float) or value is None:
        value = _validate.real(name, value)
    if isinstance(value, torch.Tensor) and value.dtype.is_complex:
        raise ValueError(f"{name} must be real, got {value.dtype}")
    try:
        return torch.as_tensor(value, dtype=dtype, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be a number or a real tensor, got {type(value).__name__}") from None


def over_spectrum(value: Any, eigs: torch.Tensor, name: str) -> torch.Tensor:
    """A number or tensor (...) as (..., 1), to broadcast against eigenvalues (..., m)."""
    value = setting(name, value, eigs.real.dtype, eigs.device)
    if value.ndim == 0:
        return value
    try:
        torch.broadcast_shapes(value.shape, eigs.shape[:-1])
    except RuntimeError as error:
        shapes = f"{tuple(eigs.shape[:-1])}, got {tuple(value.shape)}"
        raise ValueError(f"{name} must broadcast against the leading dimensions {shapes}") from error
    return value[..., None]
