"""Microstructures as images of grain labels, periodic in both directions."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.materials import _arguments

_DISTANCES = 1 << 24  # numbers held at a time


def voronoi_labels(
    n: int,
    grains: int,
    batch: int,
    *,
    seed: int | torch.Generator = 0,
    periodic: bool = True,
    seeds: torch.Tensor | None = None,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Voronoi tessellations of uniformly drawn seed points, as label images.

    Parameters
    ----------
    n, grains, batch
        Pixels across, seed points per image, images; each image has its own seeds.
    periodic
        Measure distances on the torus.
    seeds
        (batch, grains, 2) positions in pixels, [0, n], to use instead of uniform ones.

    Returns
    -------
    (batch, n, n) int64 in 0 .. grains - 1; a seed between pixels may own none of them.

    Raises
    ------
    ValueError
        Sizes that are not positive integers, seeds of another shape or outside the image.

    Examples
    --------
    >>> import torch
    >>> seeds = torch.tensor([[[0.0, 1.0], [0.0, 5.0]]])
    >>> voronoi_labels(8, 2, 1, seeds=seeds)[0, 0]  # on the torus: pixel 7 is near pixel 0
    tensor([0, 0, 0, 0, 1, 1, 1, 0])
    """
    n, grains, batch = (
        _validate.positive_int(name, value) for name, value in (("n", n), ("grains", grains), ("batch", batch))
    )
    device = _validate.device("device", device)
    if seeds is None:
        source = _validate.random_source("seed", seed)
        seeds = n * torch.rand(batch, grains, 2, generator=source, device=source.device)
    elif tuple(_validate.float_tensor("seeds", seeds).shape) != (batch, grains, 2):
        raise ValueError(f"seeds must have shape {(batch, grains, 2)}, got {tuple(seeds.shape)}")
    elif not bool(((seeds >= 0) & (seeds <= n)).all()):
        raise ValueError(f"seeds must lie in [0, {n}], got {float(seeds.min()):g} .. {float(seeds.max()):g}")
    seeds = seeds.to(device)
    gap = (torch.arange(n, device=device)[:, None, None, None] - seeds).abs()  # (n, b, g, 2)
    if periodic:
        gap = torch.minimum(gap, n - gap)
    square = gap.square_()
    rows, columns = square[..., 0].permute(1, 0, 2), square[..., 1].permute(1, 0, 2)  # (b, n, g) each
    labels = torch.empty(batch, n, n, dtype=torch.int64, device=device)
    step = max(1, _DISTANCES // (n * grains))
    for image in range(batch):
        for first in range(0, n, step):
            part = rows[image, first : first + step, None] + columns[image]
            labels[image, first : first + step] = part.argmin(-1)
    return labels


def clustered_seeds(
    n: int, grains: int, batch: int, *, share: float = 0.8, area: float = 0.25, generator=None
) -> torch.Tensor:
    """Seed points of which a ``share`` lies in one square of a relative ``area``: fine grains beside coarse ones.

    Returns (batch, grains, 2) positions in pixels for ``voronoi_labels``; the square's place is drawn per image. Raises
    ``ValueError`` for sizes that are not positive, a share outside [0, 1] or an area outside (0, 1].

    Examples
    --------
    >>> seeds = clustered_seeds(64, 100, 3)
    >>> seeds.shape, bool((seeds >= 0).all() & (seeds < 64).all())
    (torch.Size([3, 100, 2]), True)
    """
    n, grains, batch = (
        _validate.positive_int(name, value) for name, value in (("n", n), ("grains", grains), ("batch", batch))
    )
    share, area = _validate.real("share", share, 0, 1), _validate.real("area", area, 0, 1, open_low=True)
    source = _validate.random_source("generator", generator)
    positions = torch.rand(batch, grains, 2, generator=source, device=source.device)
    corner = torch.rand(batch, 1, 2, generator=source, device=source.device)
    fine = round(share * grains)
    positions[:, :fine] = (corner + area**0.5 * positions[:, :fine]) % 1
    return (n * positions) % n


def boundary_energy(labels: torch.Tensor) -> torch.Tensor:
    """Number of pairs of unlike neighbours over the 8-neighbourhood, each pair once: (..., n, n) -> (...) int64.

    Raises ``ValueError`` for labels that are not integers or images that are not square.

    Examples
    --------
    >>> import torch
    >>> labels = torch.zeros(4, 4, dtype=torch.int64)
    >>> labels[1, 1] = 1
    >>> boundary_energy(labels)  # one site with eight unlike neighbours
    tensor(8)
    """
    _arguments.label_images(labels)
    shifts = ((0, 1), (1, 0), (1, 1), (1, -1))
    return sum((labels != labels.roll(shift, (-2, -1))).sum((-2, -1)) for shift in shifts)


def boundaries(labels: torch.Tensor) -> torch.Tensor:
    """Where a pixel is unlike one of its 4 neighbours: (..., n, n) -> bool (..., n, n). Errors as
    ``boundary_energy``.

    Examples
    --------
    >>> import torch
    >>> labels = torch.zeros(4, 4, dtype=torch.int64)
    >>> labels[1, 1] = 1
    >>> boundaries(labels).int()
    tensor([[0, 1, 0, 0],
            [1, 1, 1, 0],
            [0, 1, 0, 0],
            [0, 0, 0, 0]], dtype=torch.int32)
    """
    _arguments.label_images(labels)
    unlike = torch.zeros_like(labels, dtype=torch.bool)
    for axis in (-2, -1):
        step = labels != labels.roll(1, axis)
        unlike |= step | step.roll(-1, axis)
    return unlike


def grain_count(labels: torch.Tensor) -> torch.Tensor:
    """Number of distinct labels: (..., n, n) -> (...) int64. Errors as ``boundary_energy``.

    Examples
    --------
    >>> import torch
    >>> grain_count(torch.tensor([[0, 0], [5, 7]]))
    tensor(3)
    """
    flat = _arguments.label_images(labels).flatten(-2).sort(-1).values
    return (flat[..., 1:] != flat[..., :-1]).sum(-1) + 1


def mean_grain_area(labels: torch.Tensor) -> torch.Tensor:
    """n^2 / grain_count, in pixels: (..., n, n) -> (...) float32. Errors as ``boundary_energy``.

    Examples
    --------
    >>> import torch
    >>> mean_grain_area(torch.tensor([[0, 0], [5, 5]]))
    tensor(2.)
    """
    count = grain_count(labels)
    return labels.shape[-1] ** 2 / count


def grain_areas(labels: torch.Tensor, grains: int) -> torch.Tensor:
    """Pixels of each label 0 .. grains - 1: (b, n, n) -> (b, grains) int64.

    Raises ``ValueError`` for labels outside that range or of another shape.

    Examples
    --------
    >>> import torch
    >>> grain_areas(torch.tensor([[[0, 0], [0, 2]]]), 3)
    tensor([[3, 0, 1]])
    """
    _arguments.label_images(labels, dims=3)
    grains = _validate.positive_int("grains", grains)
    if labels.numel() and (int(labels.min()) < 0 or int(labels.max()) >= grains):
        raise ValueError(f"labels must lie in 0 .. {grains - 1}, got {int(labels.min())} .. {int(labels.max())}")
    offset = torch.arange(len(labels), device=labels.device)[:, None, None] * grains
    return torch.bincount((labels + offset).flatten(), minlength=len(labels) * grains).reshape(-1, grains)


def grain_sides(labels: torch.Tensor, grains: int) -> torch.Tensor:
    """Number of distinct neighbours of each label 0 .. grains - 1 across pixel edges: (b, n, n) -> (b, grains) int64.

    That is the number of sides where no two grains meet twice. Errors as ``grain_areas``.

    Examples
    --------
    >>> import torch
    >>> quarters = torch.arange(4).reshape(2, 2).repeat_interleave(2, 0).repeat_interleave(2, 1)
    >>> grain_sides(quarters[None], 4)  # across the edges, not the corners
    tensor([[2, 2, 2, 2]])
    """
    grain_areas(labels, grains)
    batch = torch.arange(len(labels), device=labels.device)[:, None, None] * grains
    keys = []
    for axis in (-2, -1):
        other = labels.roll(1, axis)
        unlike = labels != other
        a, b, rows = labels[unlike], other[unlike], batch.expand_as(labels)[unlike]
        keys += [(rows + a) * grains + b, (rows + b) * grains + a]
    pairs = torch.unique(torch.cat(keys))
    return torch.bincount(pairs // grains, minlength=len(labels) * grains).reshape(-1, grains)
