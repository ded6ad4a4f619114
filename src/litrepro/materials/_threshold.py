"""Grain growth by threshold dynamics: blur the indicator of every grain, give each pixel to the largest."""

from __future__ import annotations

import math

import torch

from litrepro import _validate
from litrepro.materials import _arguments

_NUMBERS = 1 << 24  # pixels of indicators held at a time


def threshold_growth(labels: torch.Tensor, steps: int, *, tau: float = 8.0, record: int | None = None) -> torch.Tensor:
    """Deterministic motion by curvature of a network of boundaries, periodic.

    Each step convolves the grains' indicators with the heat kernel exp(-tau |k|^2) and takes the largest. Boundaries
    then move with speed equal to their curvature, junctions keep angles of 120 degrees: an isolated circle obeys
    dA/dt = -2 pi, a grain with m sides dA/dt = (pi / 3) (m - 6), in pixels^2 per unit of time.

    Parameters
    ----------
    labels
        (b, n, n) integers; not modified.
    steps
        >= 0; each advances the time by ``tau``.
    tau
        > 0, in pixels^2. A boundary moves only if tau times its curvature exceeds about half a pixel: take
        tau >= .3 R for structures of radius R, or they freeze.
    record
        Keep the state after steps record, 2 record, ...

    Returns
    -------
    (b, n, n), or (steps // record, b, n, n) with ``record``; in the dtype of the labels.

    Raises
    ------
    ValueError
        tau <= 0, labels of another shape or dtype.

    Source: Merriman, Bence and Osher 1992; for networks Esedoglu and Otto 2015, with equal surface tensions.

    Examples
    --------
    >>> import torch
    >>> y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    >>> circle = ((x - 16) ** 2 + (y - 16) ** 2 < 81).long()[None]
    >>> states = threshold_growth(circle, 12, tau=4.0, record=4)
    >>> states.sum((1, 2, 3)).diff().lt(0).all().item()  # a circle shrinks
    True
    """
    _arguments.label_images(labels, dims=3)
    tau = _validate.real("tau", tau, 0, open_low=True)
    steps, record = _arguments.frames(steps, record)
    n = labels.shape[-1]
    kernel = _heat(n, tau, labels.device)
    kept, state = [], labels.clone()
    for step in range(1, steps + 1):
        state = _step(state, kernel)
        if record is not None and step % record == 0:
            kept.append(state)
    if record is None:
        return state
    return torch.stack(kept) if kept else labels.new_empty(0, *labels.shape)


def _heat(n: int, tau: float, device: torch.device) -> torch.Tensor:
    """The heat kernel's transform on the grid of ``rfft2``."""
    rows = torch.fft.fftfreq(n, device=device, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(n, device=device, dtype=torch.float64)
    return (-tau * (2 * math.pi) ** 2 * (rows**2 + columns**2)).exp().float()


def _step(labels: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """One step: labels (b, n, n); grains in chunks, so that memory does not grow with their number."""
    compact, names = _compact(labels)
    most = names.shape[1]
    if most == 1:
        return labels
    b, n = labels.shape[0], labels.shape[-1]
    chunk = max(1, min(most, _NUMBERS // (b * n * n)))
    best = torch.full((b, n, n), -torch.inf, device=labels.device)
    winner = torch.zeros_like(compact)
    for first in range(0, most, chunk):
        grains = torch.arange(first, min(first + chunk, most), device=labels.device)
        indicator = (compact[:, None] == grains[:, None, None]).float()
        blurred = torch.fft.irfft2(torch.fft.rfft2(indicator) * kernel, s=(n, n))
        value, index = blurred.max(1)
        better = value > best
        best = torch.where(better, value, best)
        winner = torch.where(better, index + first, winner)
    return names.gather(1, winner.flatten(1)).reshape_as(labels)


def _compact(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels renumbered 0, 1, ... within each image, (b, n, n), and what the numbers stand for, (b, most)."""
    values, order = labels.flatten(1).sort(1)
    rank = torch.zeros_like(order)
    rank[:, 1:] = (values[:, 1:] != values[:, :-1]).cumsum(1)
    compact = torch.empty_like(order).scatter_(1, order, rank)
    most = int(rank.max()) + 1 if rank.numel() else 1
    names = torch.zeros(len(labels), most, dtype=labels.dtype, device=labels.device)
    names.scatter_(1, rank, values)
    return compact.reshape(labels.shape), names
