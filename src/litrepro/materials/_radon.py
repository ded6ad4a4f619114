"""The parallel-beam X-ray transform of a stack of slices, and its inverse by filtered backprojection.

Both maps are one sparse matrix per geometry applied to the whole stack: row by row a weighted sum of a few entries,
which ``embedding_bag`` computes without ever storing the gathered values.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from litrepro import _validate

_ENTRIES = 1 << 22  # indices held at a time


def radon(images: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Line integrals of square images, by bilinear interpolation along the rays.

    The ray of angle theta and detector position s is (x, y) = (s cos - t sin, s sin + t cos), x along the last axis
    and y along the last but one, both in pixels from the centre; t runs in steps of one pixel.

    Parameters
    ----------
    images
        (..., n, n), floating; pixels have width 1. What lies outside the inscribed disk may leave the rays.
    angles
        (A,) in radians, converted to the dtype and device of the images. Angle 0 sums over axis -2, so that the
        detector is axis -1.

    Returns
    -------
    (..., A, n).

    Raises
    ------
    ValueError
        Images that are not square or not finite, angles that are not a vector of floats.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(5, 5)
    >>> image[1:4, 2] = 1.0
    >>> radon(image, torch.tensor([0.0])).round(decimals=4)  # the sum of every column
    tensor([[0., 0., 3., 0., 0.]])
    """
    _validate.float_tensor("images", images, 2)
    angles = _angles(angles, images)
    n = images.shape[-1]
    if images.shape[-2] != n or n < 1:
        raise ValueError(f"images must be square (..., n, n), got shape {tuple(images.shape)}")
    _validate.finite(images=images)
    table = images.reshape(-1, n * n).mT.contiguous()
    pieces = [
        _weighted_sums(table, *_ray_weights(n, part, images.dtype))
        for part in angles.split(max(1, _ENTRIES // (4 * n * n)))
    ]
    return torch.cat(pieces).mT.reshape(*images.shape[:-2], len(angles), n)


def fbp(sino: torch.Tensor, angles: torch.Tensor, *, filter: str | None = "ramp") -> torch.Tensor:
    """Filtered backprojection of parallel-beam sinograms over half a turn.

    Parameters
    ----------
    sino
        (..., A, n) as ``radon`` makes them.
    angles
        (A,) in radians, evenly spread over [0, pi); converted to the dtype and device of ``sino``.
    filter
        ``"ramp"``: the band-limited ramp, h(0) = 1/4, h(k) = -1 / (pi k)^2 for odd k, 0 for other even k (Ramachandran
        and Lakshminarayanan 1971); ``"hann"``: that times a Hann window in frequency, which trades resolution for
        noise;
        ``None``: plain backprojection.

    Returns
    -------
    (..., n, n).

    Raises
    ------
    ValueError
        As many angles as sinogram rows are required; an unknown filter; half precision; values that are not finite.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(32, 32)
    >>> image[12:20, 12:20] = 1.0
    >>> angles = torch.arange(60) * torch.pi / 60
    >>> found = fbp(radon(image, angles), angles)
    >>> bool((found[14:18, 14:18] - 1).abs().max() < 0.2), bool(found[4:8, 4:8].abs().max() < 0.2)
    (True, True)
    """
    _validate.float_tensor("sino", sino, 2)
    angles = _angles(angles, sino)
    count, n = sino.shape[-2:]
    if count != len(angles):
        raise ValueError(f"sino must have one row per angle, got {count} rows and {len(angles)} angles")
    if sino.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"sino must be float32 or float64, got {sino.dtype}")
    if n < 1:
        raise ValueError(f"sino must have detector bins, got shape {tuple(sino.shape)}")
    check_filter(filter)
    _validate.finite(sino=sino)
    filtered = _ramp(sino, filter) if filter is not None and sino.numel() else sino
    table = filtered.reshape(-1, count * n).mT.contiguous()
    axis = torch.arange(n, dtype=sino.dtype, device=sino.device) - (n - 1) / 2
    rows = [
        _weighted_sums(table, *_pixel_weights(axis, part, angles, n))
        for part in axis.split(max(1, _ENTRIES // (2 * n * count)))
    ]
    return (torch.cat(rows).mT * (math.pi / count)).reshape(*sino.shape[:-2], n, n)


def check_filter(filter: Any) -> None:
    """One of the filters of ``fbp``."""
    if filter is not None:
        _validate.choice("filter", filter, ("ramp", "hann"))


def _angles(angles: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    _validate.float_tensor("angles", angles, 1)
    if angles.ndim != 1 or len(angles) < 1 or not bool(angles.isfinite().all()):
        raise ValueError(f"angles must be a vector (A,) of finite numbers, got shape {tuple(angles.shape)}")
    return angles.to(like)


def _weighted_sums(table: torch.Tensor, index: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Sums over the last axis of ``weight * table[index]``: table (m, B), index and weight (r, q) -> (r, B)."""
    return functional.embedding_bag(index, table, per_sample_weights=weight, mode="sum")


def _ray_weights(n: int, angles: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """For every ray (A n of them) the 4 n pixels that it touches and their bilinear weights, zero outside the image."""
    wide = torch.promote_types(dtype, torch.float32)  # half precision knows no pixel from 2048 on, and few parts of one
    angles = angles.to(wide)
    centred = torch.arange(n, dtype=wide, device=angles.device) - (n - 1) / 2
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    s, t = centred[:, None], centred[None, :]
    x, y = s * cos - t * sin + (n - 1) / 2, s * sin + t * cos + (n - 1) / 2
    x0, y0 = x.floor(), y.floor()
    index, weight = [], []
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = x0 + dx, y0 + dy
            share = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (column >= 0) & (column < n) & (row >= 0) & (row < n)
            # Integers before the product, which float32 holds up to images of 4096 x 4096 alone.
            index.append(row.clamp(0, n - 1).long() * n + column.clamp(0, n - 1).long())
            weight.append((share * inside).to(dtype))
    shape = (len(angles) * n, 4 * n)
    return torch.stack(index, -1).reshape(shape), torch.stack(weight, -1).reshape(shape)


def _pixel_weights(x: torch.Tensor, y: torch.Tensor, angles: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """For every pixel of the rows ``y`` the two detector bins per angle that it lies between, and their weights."""
    place = x[None, :, None] * angles.cos() + y[:, None, None] * angles.sin() + (n - 1) / 2
    first = place.floor()
    offset = torch.arange(len(angles), device=x.device) * n
    index, weight = [], []
    for step in (0, 1):
        bin_ = first + step
        inside = (bin_ >= 0) & (bin_ < n)
        index.append(bin_.clamp(0, n - 1).long() + offset)
        weight.append((1 - (place - bin_).abs()) * inside)
    shape = (len(x) * len(y), 2 * len(angles))
    return torch.stack(index, -1).reshape(shape), torch.stack(weight, -1).reshape(shape)


def _ramp(sino: torch.Tensor, window: str) -> torch.Tensor:
    """Convolve each row with the band-limited ramp; zero-padded so that the circular convolution is a linear one."""
    n = sino.shape[-1]
    length = 1 << max(6, math.ceil(math.log2(2 * n)))
    k = torch.arange(length, device=sino.device, dtype=torch.float64)
    k = torch.minimum(k, length - k)
    response = torch.where(k % 2 == 1, -1 / (math.pi * k.clamp(min=1)) ** 2, 0.0)
    response[0] = 0.25
    gain = torch.fft.rfft(response).real
    if window == "hann":
        gain = gain * (0.5 + 0.5 * torch.linspace(0, math.pi, len(gain), dtype=gain.dtype, device=gain.device).cos())
    spectrum = torch.fft.rfft(sino, length) * gain.to(sino.dtype)
    return torch.fft.irfft(spectrum, length)[..., :n]
