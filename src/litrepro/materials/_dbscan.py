"""Density clustering (DBSCAN) with a threshold per point; all neighbour pairs of a cell grid are found at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

from litrepro import _validate

_PAIRS = 1 << 21  # candidate pairs held at a time
_KEPT = 1 << 24  # pairs held between the two passes
_AXES = 3  # the cell grid uses at most so many coordinates; distances use all


def dbscan(points: torch.Tensor, eps: float, min_samples: int | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cluster points by density, with a neighbour threshold that may differ from point to point.

    A point is core if at least its own ``min_samples`` points, itself included, lie within ``eps`` (inclusive). Core
    points within ``eps`` of each other share a cluster; another point within ``eps`` of a core point is reachable and
    takes the cluster of the nearest one (the first of equally near ones); the rest is noise.

    Parameters
    ----------
    points
        (N, d) floating or integer (voxel indices), N >= 0.
    eps
        Radius > 0, in the unit of the points.
    min_samples
        An integer >= 1, or (N,) integers >= 1.

    Returns
    -------
    labels (N,) int64: 0, 1, ... in the order of each cluster's first core point, -1 for noise.
    kind (N,) int64: 2 core, 1 reachable, 0 noise.

    Raises
    ------
    ValueError
        ``points`` not of shape (N, d) or not finite, ``eps`` <= 0, thresholds below 1 or of the wrong length.

    Source: Ester, Kriegel, Sander and Xu 1996; the threshold per point is that of Hui and Liu 2018 (arXiv:1710.05994).

    Examples
    --------
    >>> import torch
    >>> points = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0], [30.0]])
    >>> labels, kind = dbscan(points, 1.0, 2)
    >>> labels, kind
    (tensor([ 0,  0,  0,  1,  1, -1]), tensor([2, 2, 2, 2, 2, 0]))
    """
    points = _points(points)
    eps = _validate.real("eps", eps, 0, open_low=True)
    needed = _thresholds(min_samples, points)
    count = len(points)
    if count == 0:
        empty = torch.zeros(0, dtype=torch.int64, device=points.device)
        return empty, empty.clone()
    grid = _Grid(points, eps)
    neighbours = torch.ones(count, dtype=torch.int64, device=points.device)
    for i, j, _ in grid.pairs(keep=True):
        neighbours += torch.bincount(i, minlength=count) + torch.bincount(j, minlength=count)
    core = neighbours >= needed
    root, nearest = _connect(grid, core)
    clustered = core.clone()
    reachable = nearest >= 0
    root[reachable] = root[nearest[reachable]]
    clustered |= reachable
    labels = torch.full_like(root, -1)
    # A root is its component's first core point, so sorted roots number the clusters in the order promised.
    labels[clustered] = torch.unique(root[clustered], return_inverse=True)[1]
    return labels, 2 * core.long() + (reachable & ~core).long()


def intensity_min_samples(intensity: torch.Tensor, low: int, high: int, *, gamma: float = 1.0) -> torch.Tensor:
    """Neighbour thresholds that fall with intensity: round(high - (high - low) x^gamma), x in [0, 1] min-max scaled.

    Bright points need few neighbours, dim ones many; a constant intensity gives ``low`` everywhere.

    Parameters
    ----------
    intensity
        (N,) floating or integer (counts).
    low, high
        Integers, 1 <= low <= high.
    gamma
        > 0; above 1 only the brightest points get low thresholds.

    Returns
    -------
    (N,) int64.

    Raises ``ValueError`` for low > high, low < 1, gamma <= 0, or intensities that are not a finite vector.

    Source: the idea is Hui and Liu 2018 (arXiv:1710.05994); the formula is ours.

    Examples
    --------
    >>> import torch
    >>> intensity_min_samples(torch.tensor([0.0, 0.5, 1.0]), 4, 10)
    tensor([10,  7,  4])
    """
    intensity = _numbers("intensity", intensity)
    if intensity.ndim != 1 or not bool(intensity.isfinite().all()):
        raise ValueError(f"intensity must be a finite vector (N,), got shape {tuple(intensity.shape)}")
    low, high = _validate.positive_int("low", low), _validate.positive_int("high", high)
    if low > high:
        raise ValueError(f"low must not exceed high, got low = {low}, high = {high}")
    gamma = _validate.real("gamma", gamma, 0, open_low=True)
    if intensity.numel() == 0 or bool(intensity.max() == intensity.min()):
        return torch.full_like(intensity, low, dtype=torch.int64)
    x = intensity / intensity.abs().max()  # the range of the largest numbers would be infinite
    x = (x - x.min()) / (x.max() - x.min())
    return (high - (high - low) * x**gamma).round().clamp(low, high).long()


def _points(points: torch.Tensor) -> torch.Tensor:
    points = _numbers("points", points)
    if points.ndim != 2 or points.shape[1] < 1:
        raise ValueError(f"points must have shape (N, d) with d >= 1, got {tuple(points.shape)}")
    if not bool(points.isfinite().all()):
        raise ValueError("points must be finite, got inf or nan")
    return points


def _numbers(name: str, value: torch.Tensor) -> torch.Tensor:
    """In float64; voxel indices and counts are integers."""
    if not isinstance(value, torch.Tensor) or value.dtype == torch.bool or value.is_complex():
        got = getattr(value, "dtype", type(value).__name__)
        raise ValueError(f"{name} must be a tensor of real numbers, got {got}")
    return value.double()


def _thresholds(min_samples: int | torch.Tensor, points: torch.Tensor) -> int | torch.Tensor:
    if not isinstance(min_samples, torch.Tensor) or min_samples.ndim == 0:
        return _validate.positive_int("min_samples, where it is no tensor (N,),", min_samples)
    _validate.integer_tensor("min_samples", min_samples)
    if tuple(min_samples.shape) != (len(points),):
        raise ValueError(f"min_samples must have shape ({len(points)},), got {tuple(min_samples.shape)}")
    if min_samples.numel() and int(min_samples.min()) < 1:
        raise ValueError(f"min_samples must be >= 1, got {int(min_samples.min())}")
    return min_samples.to(points.device)


class _Grid:
    """Points sorted by cells of width eps: neighbours lie in the same cell or an adjacent one."""

    def __init__(self, points: torch.Tensor, eps: float):
        axes = points[:, :_AXES]
        low = axes.min(0).values
        # Slightly wider than eps, so that rounding never puts a neighbour two cells away; not so fine that keys
        # overflow.
        width = torch.clamp((axes.max(0).values - low) / (1 << 19), min=eps * (1 + 1e-9))
        cells = ((axes - low) / width).floor().long() + 1
        size = cells.max(0).values + 2
        strides = torch.ones_like(size)
        for axis in range(len(size) - 2, -1, -1):
            strides[axis] = strides[axis + 1] * size[axis + 1]
        key, self.order = (cells * strides).sum(1).sort(stable=True)
        self.key, self.strides, self.eps = key, strides.tolist(), eps
        self.points = points[self.order]
        self._kept: list[tuple] | None = None

    def pairs(self, keep: bool = False) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """``_search``, which is not done again where an earlier call with ``keep`` found few enough pairs to hold."""
        if self._kept is not None:
            yield from self._kept
            return
        found, held = [], 0
        for piece in self._search():
            held += len(piece[0])
            keep = keep and held <= _KEPT
            if keep:
                found.append(piece)
            else:
                found.clear()
            yield piece
        self._kept = found if keep else None

    def _search(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Every unordered pair within eps once, in pieces: indices i, j of the points as given, and distances."""
        place = torch.arange(len(self.key), device=self.key.device)
        # The three cells along the last axis are adjacent in the order; half of the other offsets is enough.
        offsets = itertools.product((-1, 0, 1), repeat=len(self.strides) - 1)
        for offset in offsets:
            shift = sum(step * stride for step, stride in zip(offset, self.strides))
            if any(offset) and offset < tuple(-step for step in offset):
                continue
            stop = torch.searchsorted(self.key, self.key + shift + 1, right=True)
            if any(offset):
                start = torch.searchsorted(self.key, self.key + shift - 1)
            else:
                start = place + 1
            yield from self._within(place, start, (stop - start).clamp(min=0))

    def _within(self, place: torch.Tensor, start: torch.Tensor, length: torch.Tensor) -> Iterator[tuple]:
        """Pairs of ``place[p]`` with ``start[p] ... start[p] + length[p] - 1`` whose distance is at most eps."""
        ends = length.cumsum(0)
        first = 0
        while first < len(place):
            done = int(ends[first - 1]) if first else 0
            last = max(first + 1, int(torch.searchsorted(ends, done + _PAIRS, right=True)))
            part = length[first:last]
            i = place[first:last].repeat_interleave(part)
            if len(i):
                base = start[first:last] - (ends[first:last] - part - done)
                j = torch.arange(len(i), device=i.device) + base.repeat_interleave(part)
                square = torch.zeros(len(i), dtype=torch.float64, device=i.device)
                for column in self.points.unbind(1):
                    square += (column[i] - column[j]).square_()
                distance = square.sqrt_()
                near = distance <= self.eps
                yield self.order[i[near]], self.order[j[near]], distance[near]
            first = last


def _connect(grid: _Grid, core: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each core point's root (the first core point of its cluster), and the nearest core point of the others or -1."""
    count = len(core)
    parent = torch.arange(count, device=core.device)
    best = torch.full((count,), torch.inf, dtype=torch.float64, device=core.device)
    nearest = torch.full_like(parent, count)
    for i, j, distance in grid.pairs():
        both = core[i] & core[j]
        _union(parent, i[both], j[both])
        for a, b in ((i, j), (j, i)):
            mixed = ~core[a] & core[b]
            _keep_nearest(best, nearest, a[mixed], b[mixed], distance[mixed])
    return parent, torch.where(nearest < count, nearest, -1)


def _union(parent: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> None:
    """Merge the components of i and j in place; ``parent`` points to each component's smallest member before and
    after."""
    while len(i):
        i, j = parent[i], parent[j]
        apart = i != j
        i, j = i[apart], j[apart]
        if not len(i):
            return
        parent.scatter_reduce_(0, torch.maximum(i, j), torch.minimum(i, j), "amin")
        while True:
            grand = parent[parent]
            if torch.equal(grand, parent):
                break
            parent.copy_(grand)


def _keep_nearest(
    best: torch.Tensor, nearest: torch.Tensor, a: torch.Tensor, b: torch.Tensor, distance: torch.Tensor
) -> None:
    """Update the nearest core point of ``a`` by the pairs (a, b); of equally near ones the first stays."""
    if not len(a):
        return
    before = best.clone()
    best.scatter_reduce_(0, a, distance, "amin")
    nearest[best < before] = len(nearest)
    equal = distance == best[a]
    nearest.scatter_reduce_(0, a[equal], b[equal], "amin")
