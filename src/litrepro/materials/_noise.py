"""What a detector counts, and the volume reconstructed from it."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.materials._radon import check_filter, fbp, radon


def measure_sinogram(
    volume: torch.Tensor,
    angles: torch.Tensor,
    *,
    dose: float,
    absorption: float = 0.05,
    readout: float = 0.4,
    generator: torch.Generator | int | None = None,
) -> torch.Tensor:
    """Line integrals as a counting detector sees them (Beer and Lambert): -log(counts / dose) / absorption.

    counts = Poisson(dose exp(-absorption p)) + N(0, readout^2), floored at half a count before the logarithm.

    Parameters
    ----------
    volume
        (..., n, n) densities; every slice is projected alone.
    dose
        Expected counts per detector bin without a sample, > 0.
    absorption
        Per unit of density and pixel, > 0; n times it is the order of the optical depth.
    readout
        Standard deviation of the electronic noise, in counts, >= 0.

    Returns
    -------
    (..., A, n).

    Raises
    ------
    ValueError
        Numbers out of range, a volume without two dimensions, densities or counts that are not finite.

    Examples
    --------
    >>> import torch
    >>> disk = torch.zeros(16, 16)
    >>> disk[6:10, 6:10] = 1.0
    >>> angles = torch.tensor([0.0, torch.pi / 2])
    >>> sino = measure_sinogram(disk, angles, dose=1e8, readout=0.0)
    >>> sino.shape, bool((sino[:, 8] - 4).abs().max() < 0.1)  # four pixels of density 1
    (torch.Size([2, 16]), True)
    """
    dose = _validate.real("dose", dose, 0, open_low=True)
    absorption = _validate.real("absorption", absorption, 0, open_low=True)
    readout = _validate.real("readout", readout, 0)
    source = _validate.random_source("generator", generator, _validate.float_tensor("volume", volume, 2).device)
    _validate.finite(volume=volume)
    clean = radon(volume, angles)
    expected = dose * (-absorption * clean).exp()
    _validate.finite(**{"the expected count": expected})
    counts = torch.poisson(expected, generator=source)
    counts += readout * torch.randn(counts.shape, generator=source, dtype=counts.dtype, device=counts.device)
    return -(counts.clamp(min=0.5) / dose).log() / absorption


def reconstruct(
    volume: torch.Tensor, projections: int, *, dose: float, filter: str | None = "hann", generator=None, **detector
) -> torch.Tensor:
    """Measure ``volume (..., n, n)`` from evenly spread angles and reconstruct it, (..., n, n).

    Arguments and errors are those of ``measure_sinogram`` and ``fbp``; ``projections`` is a positive integer.

    Examples
    --------
    >>> import torch
    >>> disk = torch.zeros(32, 32)
    >>> disk[12:20, 12:20] = 1.0
    >>> found = reconstruct(disk, 60, dose=1e6)
    >>> bool((found[14:18, 14:18] - 1).abs().max() < 0.2), bool(found[4:8, 4:8].abs().max() < 0.2)
    (True, True)
    """
    count = _validate.positive_int("projections", projections)
    _validate.float_tensor("volume", volume, 2), check_filter(filter)
    angles = torch.arange(count, dtype=volume.dtype, device=volume.device) * (torch.pi / count)
    return fbp(measure_sinogram(volume, angles, dose=dose, generator=generator, **detector), angles, filter=filter)
