"""Density clustering (DBSCAN) with a threshold per point; all neighbour pairs of a cell grid are found at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

from litrepro import _validate

_PAIRS = 1 << 21  # candidate pairs held at a time
_KEPT = 1 << 24  # pairs held between the two passes
_AXES = 3  # the cell grid uses at most so many coordinates; distances use all
_CROWDED = 64  # points in a point's own cell, on average, from which on cells of neighbours are told without pairs


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
    parent = torch.arange(count, device=points.device)
    settled = _settle(points, eps, needed, parent) if grid.crowding() > _CROWDED else None
    if settled is None:
        neighbours = torch.ones_like(parent)
        for i, j, _ in grid.pairs(keep=True):
            neighbours += torch.bincount(i, minlength=count) + torch.bincount(j, minlength=count)
        core = neighbours >= needed
    else:
        grid.only = (~settled[grid.order]).nonzero()[:, 0]
        neighbours = torch.zeros_like(parent)
        for i, _, _ in grid.pairs(keep=True):
            neighbours += torch.bincount(i, minlength=count)
        core = settled | (neighbours >= needed)
    root, nearest = _connect(grid, core, parent)
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
    """Points sorted by cells of width eps: neighbours lie in the same cell or an adjacent one.

    ``fine`` cells have a diagonal of eps (in the grid's coordinates): neighbours lie at most two cells away.
    """

    def __init__(self, points: torch.Tensor, eps: float, fine: bool = False):
        axes = points[:, :_AXES]
        low = axes.min(0).values
        # Slightly wider than eps, so that rounding never puts a neighbour two cells away; not so fine that keys
        # overflow.
        narrow = eps * (1 - 1e-9) / axes.shape[1] ** 0.5 if fine else eps * (1 + 1e-9)
        width = torch.clamp((axes.max(0).values - low) / (1 << 19), min=narrow)
        self.reach = 2 if fine else 1
        cells = ((axes - low) / width).floor().long() + self.reach
        size = cells.max(0).values + 1 + self.reach
        strides = torch.ones_like(size)
        for axis in range(len(size) - 2, -1, -1):
            strides[axis] = strides[axis + 1] * size[axis + 1]
        key, self.order = (cells * strides).sum(1).sort(stable=True)
        self.key, self.strides, self.eps = key, strides.tolist(), eps
        self.points = points[self.order]
        self.only: torch.Tensor | None = None
        self._kept: list[tuple] | None = None

    def crowding(self) -> float:
        """Number of points in a point's own cell, on average."""
        return float(torch.unique_consecutive(self.key, return_counts=True)[1].double().square().sum()) / len(self.key)

    def shifts(self, both: bool = False) -> Iterator[int]:
        """Differences of keys to rows of cells along the last axis: 0, and of opposite ones one or both."""
        for offset in itertools.product(range(-self.reach, self.reach + 1), repeat=len(self.strides) - 1):
            if both or offset >= tuple(-step for step in offset):
                yield sum(step * stride for step, stride in zip(offset, self.strides))

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
        """Every unordered pair within eps once, in pieces: indices i, j of the points as given, and distances.

        With ``only``, places in the order: the pairs of these points i with all j, themselves included.
        """
        place = torch.arange(len(self.key), device=self.key.device) if self.only is None else self.only
        key = self.key if self.only is None else self.key[place]
        # The three cells along the last axis are adjacent in the order; half of the other offsets is enough.
        for shift in self.shifts(both=self.only is not None):
            stop = torch.searchsorted(self.key, key + shift + 1, right=True)
            if shift or self.only is not None:
                start = torch.searchsorted(self.key, key + shift - 1)
            else:
                start = place + 1
            yield from self.within(place, start, (stop - start).clamp(min=0))

    def within(self, place: torch.Tensor, start: torch.Tensor, length: torch.Tensor) -> Iterator[tuple]:
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


def _settle(points: torch.Tensor, eps: float, needed: int | torch.Tensor, parent: torch.Tensor) -> torch.Tensor | None:
    """Core points (N,) that are told without counting, and joined in ``parent``; None where these are the minority.

    The points of a cell whose diagonal is at most eps are neighbours: if they are as many as each of them needs, all
    are core and in one cluster. Two such cells are in one cluster if one pair of points is within eps.
    """
    grid = _Grid(points, eps, fine=True)
    key, cell, size = torch.unique_consecutive(grid.key, return_inverse=True, return_counts=True)
    first = size.cumsum(0) - size
    where = cell[:, None].expand_as(points)
    low = points.new_full((len(key), points.shape[1]), torch.inf).scatter_reduce(0, where, grid.points, "amin")
    high = torch.full_like(low, -torch.inf).scatter_reduce(0, where, grid.points, "amax")
    if isinstance(needed, torch.Tensor):
        needed = torch.zeros_like(size).scatter_reduce(0, cell, needed[grid.order].to(size.dtype), "amax")
    # A little less than eps: rounding must not make two of them miss each other.
    firm = ((high - low).norm(dim=1) <= eps * (1 - 1e-12)) & (size >= needed)
    settled = torch.zeros_like(parent, dtype=torch.bool)
    settled[grid.order] = firm[cell]
    if 2 * int(settled.sum()) < len(points):
        return None
    # The order is stable: the first of a cell has its smallest index.
    parent[grid.order] = torch.where(firm[cell], grid.order[first[cell]], grid.order)
    key, size, first, low, high = (value[firm] for value in (key, size, first, low, high))
    slack = eps * (1 + 1e-12)
    for shift in grid.shifts():
        stop = torch.searchsorted(key, key + shift + grid.reach, right=True)
        own = torch.arange(1, len(key) + 1, device=key.device)
        start = torch.searchsorted(key, key + shift - grid.reach) if shift else own
        a, b = _ranges(start, (stop - start).clamp(min=0))
        near = torch.maximum(low[a] - high[b], low[b] - high[a]).clamp(min=0).norm(dim=1) <= slack
        a, b = a[near], b[near]
        smaller = size[a] <= size[b]
        a, b = torch.where(smaller, a, b), torch.where(smaller, b, a)
        # Few points of one cell against all of the other join most; all are tried only where these do not.
        for some in (1, 16, len(points)):
            apart = parent[grid.order[first[a]]] != parent[grid.order[first[b]]]
            a, b = a[apart], b[apart]
            pair, place = _ranges(first[a], size[a].clamp(max=some))
            other, x = b[pair], grid.points[place]
            near = torch.maximum(low[other] - x, x - high[other]).clamp(min=0).norm(dim=1) <= slack
            for i, j, _ in grid.within(place[near], first[other[near]], size[other[near]]):
                _union(parent, i, j)
    return settled


def _ranges(start: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All numbers of the ranges ``start[r] ... start[r] + length[r] - 1``, one after the other, with their r first."""
    r = torch.arange(len(start), device=start.device).repeat_interleave(length)
    return r, torch.arange(len(r), device=start.device) + (start - length.cumsum(0) + length)[r]


def _connect(grid: _Grid, core: torch.Tensor, parent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each core point's root (the first core point of its cluster), and the nearest core point of the others or -1.

    Goes on from a ``parent`` in which some core points may be joined.
    """
    count = len(core)
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
