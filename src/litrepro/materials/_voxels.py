"""Density clustering on a voxel grid, a median filter, and how well a mask agrees with the truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro.materials._dbscan import intensity_min_samples

if TYPE_CHECKING:
    import pandas as pd


_SWEPT = ("cut", "eps", "low", "high", "gamma", "keep", "f1", "precision", "recall")  # columns of a sweep
_BITS = 63  # masks that one integer holds


def ball_offsets(eps: float) -> list[tuple[int, int, int]]:
    """Integer offsets (z, y, x) of length at most ``eps`` > 0, the origin included.

    Examples
    --------
    >>> len(ball_offsets(1.0)), len(ball_offsets(1.5))  # a voxel with its faces; and its edges
    (7, 19)
    """
    eps = _validate.real("eps", eps, 0, open_low=True)
    reach = range(-math.floor(eps), math.floor(eps) + 1)
    return [offset for offset in itertools.product(reach, repeat=3) if math.hypot(*offset) <= eps]


def voxel_roles(mask: torch.Tensor, eps: float, min_samples: int | torch.Tensor) -> torch.Tensor:
    """The roles that ``dbscan`` gives to the True voxels of a mask, for many masks and thresholds at once.

    On a grid the neighbours of a voxel are a fixed set of shifts, so counting them is a sum of shifted masks.

    Parameters
    ----------
    mask
        (..., d, n, n) bool.
    eps
        Radius in voxels, > 0.
    min_samples
        An integer >= 1, or integers >= 1 that broadcast with the mask (their batch dimensions are trials).

    Returns
    -------
    (..., d, n, n) uint8 over the broadcast batch: 2 core, 1 reachable, 0 noise or outside the mask.

    Raises
    ------
    ValueError
        A mask that is not bool or has fewer than 3 dimensions, thresholds that are below 1, not integers or do not
        broadcast, eps <= 0.

    Examples
    --------
    >>> import torch
    >>> mask = torch.zeros(1, 1, 4, dtype=torch.bool)
    >>> mask[0, 0, :3] = True
    >>> voxel_roles(mask, 1.0, 3)  # only the middle one has three
    tensor([[[1, 2, 1, 0]]], dtype=torch.uint8)
    """
    _validate.boolean_tensor("mask", mask, 3)
    offsets = ball_offsets(eps)
    if isinstance(min_samples, torch.Tensor):
        _validate.integer_tensor("min_samples", min_samples)
        if min_samples.numel() and int(min_samples.min()) < 1:
            raise ValueError(f"min_samples must hold integers >= 1, got {int(min_samples.min())}")
        if _validate.broadcast(mask=mask.shape, min_samples=min_samples.shape)[-3:] != mask.shape[-3:]:
            got = f"{tuple(min_samples.shape)} and a volume {tuple(mask.shape[-3:])}"
            raise ValueError(f"min_samples must not enlarge the volume of the mask, got shape {got}")
    else:
        min_samples = _validate.positive_int("min_samples", min_samples)
    core = mask & (_neighbours(mask, offsets) >= min_samples)
    near = _dilated(core, offsets)
    return core.to(torch.uint8) + (near & mask).to(torch.uint8)


def density_sweep(
    volume: torch.Tensor,
    truth: torch.Tensor,
    *,
    cuts: Sequence[float],
    radii: Sequence[float],
    samples: Sequence[tuple[int, int, float]],
    bright: float,
) -> pd.DataFrame:
    """F1 of clustering the voxels above a cut, for every cut, radius and rule of neighbour thresholds.

    Parameters
    ----------
    volume, truth
        (d, n, n) intensities and bool.
    cuts
        Intensities above which a voxel is a point at all.
    radii
        In voxels.
    samples
        (low, high, gamma) of ``intensity_min_samples`` between the cut and ``bright``; low = high is plain DBSCAN.
        Rules that ask for more neighbours than the ball holds are skipped.
    bright
        Intensity at which the threshold reaches ``low``.

    Returns
    -------
    DataFrame ``cut, eps, low, high, gamma, keep, f1, precision, recall``; ``keep`` is ``"core"`` (core voxels only) or
    ``"clustered"`` (reachable ones too).

    Raises ``ValueError`` for shapes that do not fit, cuts that are not below ``bright``, rules that are none, or no
    rule that the largest ball can meet.

    Examples
    --------
    >>> import torch
    >>> volume = torch.zeros(4, 4, 4)
    >>> volume[1:3, 1:3, 1:3] = 1.0
    >>> table = density_sweep(volume, volume > 0, cuts=[0.5], radii=[1.0], samples=[(4, 4, 1.0)], bright=1.0)
    >>> table[["keep", "f1"]].values.tolist()
    [['core', 1.0], ['clustered', 1.0]]
    """
    import pandas as pd

    _validate.float_tensor("volume", volume, 3)
    if volume.shape != _validate.boolean_tensor("truth", truth, 3).shape or volume.ndim != 3:
        raise ValueError(f"volume and truth must be (d, n, n), got {tuple(volume.shape)} and {tuple(truth.shape)}")
    cuts, radii = _validate.sequence("cuts", cuts), _validate.sequence("radii", radii)
    bright = _validate.real("bright", bright)
    for cut in cuts:
        _validate.real("a cut", cut, high=bright, open_high=True)
    samples = [_rule(rule) for rule in _validate.sequence("samples", samples)]
    rows, real = [], truth.sum().double()
    for cut in cuts:
        mask = volume > cut
        points, of_truth = volume[mask], truth[mask]  # only these voxels can be found
        needed = [voxel_thresholds(points, cut, bright, *rule) for rule in samples]
        for eps in radii:
            offsets = ball_offsets(eps)
            fitting = [place for place, rule in enumerate(samples) if rule[1] <= len(offsets)]
            if not fitting:
                continue
            counts = _neighbours(mask, offsets)[mask]
            core = counts >= torch.stack([needed[place].to(counts.dtype) for place in fitting])
            for keep, found in (("core", core), ("clustered", _dilated_points(core, mask, offsets))):
                hits, claimed = (found & of_truth).sum(1).double(), found.sum(1).double()
                scores = _agreement(hits, claimed, real)
                columns = [scores[name].tolist() for name in ("f1", "precision", "recall")]
                rows += [
                    dict(zip(_SWEPT, (cut, eps, *samples[place], keep, *values)))
                    for place, *values in zip(fitting, *columns)
                ]
    if not rows:
        raise ValueError("no rule of samples fits into a ball of the given radii")
    return pd.DataFrame(rows)


def _rule(rule: Any) -> Any:
    """(low, high, gamma) as it came."""
    if not isinstance(rule, list | tuple) or len(rule) != 3:
        raise ValueError(f"samples must hold rules (low, high, gamma), got {rule!r}")
    _validate.positive_int("high", rule[1], _validate.positive_int("low", rule[0]))
    _validate.real("gamma", rule[2], 0, open_low=True)
    return rule


def voxel_thresholds(
    volume: torch.Tensor, cut: float, bright: float, low: int, high: int, gamma: float = 1.0
) -> torch.Tensor:
    """``intensity_min_samples`` on a scale that does not depend on the noisiest voxel: from ``cut`` to ``bright``.

    (..., d, n, n) -> int64 of the same shape: ``high`` at or below the cut, ``low`` at or above ``bright`` > ``cut``.

    Raises ``ValueError`` for a volume that is not floating, cut >= bright, and as ``intensity_min_samples``.

    Examples
    --------
    >>> import torch
    >>> voxel_thresholds(torch.tensor([[[0.0, 1.0, 2.0, 9.0]]]), 1.0, 3.0, 4, 10)
    tensor([[[10, 10,  7,  4]]])
    """
    _validate.float_tensor("volume", volume)
    cut, bright = _validate.real("cut", cut), _validate.real("bright", bright)
    if not cut < bright:
        raise ValueError(f"cut must lie below bright, got {cut} and {bright}")
    ends = volume.new_tensor([cut, bright])
    scaled = torch.cat([volume.clamp(cut, bright).flatten(), ends])
    return intensity_min_samples(scaled, low, high, gamma=gamma)[:-2].reshape(volume.shape)


def _neighbours(mask: torch.Tensor, offsets: list[tuple[int, int, int]]) -> torch.Tensor:
    """True voxels among the shifts of each voxel, itself included: (..., d, n, n) int16, int32 for large balls."""
    kind = torch.int16 if len(offsets) <= torch.iinfo(torch.int16).max else torch.int32
    reach = max(abs(step) for offset in offsets for step in offset)
    padded = functional.pad(mask.to(kind), (reach,) * 6)
    return sum(_shifted(padded, offset, reach, mask.shape) for offset in offsets)


def _dilated(mask: torch.Tensor, offsets: list[tuple[int, int, int]]) -> torch.Tensor:
    """Voxels with a True one among their shifts."""
    reach = max(abs(step) for offset in offsets for step in offset)
    padded = functional.pad(mask, (reach,) * 6)
    near = torch.zeros_like(mask)
    for offset in offsets:
        near |= _shifted(padded, offset, reach, mask.shape)
    return near


def _dilated_points(found: torch.Tensor, mask: torch.Tensor, offsets: list[tuple[int, int, int]]) -> torch.Tensor:
    """``_dilated`` of masks that are given, and wanted, at the True voxels of ``mask`` (d, n, n) alone: (r, points).

    The masks are the bits of one volume of integers, so that all are shifted at once.
    """
    reach = max(abs(step) for offset in offsets for step in offset)
    near = []
    for part in found.split(_BITS):
        packed = torch.zeros(found.shape[1], dtype=torch.int64, device=found.device)
        for bit, one in enumerate(part):
            packed |= one.long() << bit
        volume = torch.zeros(mask.shape, dtype=torch.int64, device=mask.device)
        volume[mask] = packed
        padded, spread = functional.pad(volume, (reach,) * 6), torch.zeros_like(volume)
        for offset in offsets:
            spread |= _shifted(padded, offset, reach, mask.shape)
        packed = spread[mask]
        near += [(packed >> bit) & 1 for bit in range(len(part))]
    return torch.stack(near).bool()


def _shifted(padded: torch.Tensor, offset: tuple[int, int, int], reach: int, shape: torch.Size) -> torch.Tensor:
    """The window of the padded volume that is moved by ``offset``."""
    for axis, step, size in zip((-3, -2, -1), offset, shape[-3:]):
        padded = padded.narrow(axis, reach + step, size)
    return padded


def median_filter(volume: torch.Tensor, size: int = 3) -> torch.Tensor:
    """Median over cubes of ``size`` (odd) voxels, edges repeated: (..., d, n, n) -> (..., d, n, n).

    Raises ``ValueError`` for an even size or a volume without three dimensions.

    Examples
    --------
    >>> import torch
    >>> volume = torch.zeros(3, 3, 3)
    >>> volume[1, 1, 1] = 5.0
    >>> median_filter(volume).max().item()  # a lone voxel is gone
    0.0
    """
    _validate.float_tensor("volume", volume, 3)
    size = _validate.positive_int("size", size)
    if size % 2 == 0:
        raise ValueError(f"size must be odd, got {size}")
    if not volume.numel():
        return volume.clone()
    flat = volume.reshape(-1, *volume.shape[-3:])
    padded = functional.pad(flat[:, None], (size // 2,) * 6, mode="replicate")[:, 0]
    filtered = [_cube_median(one, size) for one in padded]
    return torch.stack(filtered).reshape(volume.shape)


def _cube_median(padded: torch.Tensor, size: int) -> torch.Tensor:
    """Median of every cube of one padded volume, slice by slice (the cubes of all slices at once would be large)."""
    slices = []
    for first in range(padded.shape[0] - size + 1):
        slab = padded[first : first + size].unfold(1, size, 1).unfold(2, size, 1)  # (size, n, n, size, size)
        slices.append(slab.permute(1, 2, 0, 3, 4).flatten(2).median(-1).values)
    return torch.stack(slices)


def detection_scores(found: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
    """How well masks agree with the truth: ``precision``, ``recall``, ``f1`` and the number of ``false`` voxels.

    Parameters
    ----------
    found, truth
        bool (..., d, n, n), batch dimensions broadcast.

    Returns
    -------
    float64 tensors of the batch shape. An empty ``found`` has precision 1, an empty ``truth`` recall 1.

    Raises ``ValueError`` if either is not bool or the volumes differ in size.

    Examples
    --------
    >>> import torch
    >>> truth = torch.tensor([[[True, True, False, False]]])
    >>> found = torch.tensor([[[True, False, True, False]]])
    >>> {name: value.item() for name, value in detection_scores(found, truth).items()}
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'false': 1.0}
    """
    for name, value in (("found", found), ("truth", truth)):
        _validate.boolean_tensor(name, value, 3)
    if found.shape[-3:] != truth.shape[-3:]:
        raise ValueError(f"found and truth differ in size: {tuple(found.shape[-3:])} and {tuple(truth.shape[-3:])}")
    _validate.broadcast(found=found.shape[:-3], truth=truth.shape[:-3])
    axes = (-3, -2, -1)
    hits = (found & truth).sum(axes).double()
    claimed, real = found.sum(axes).double(), truth.sum(axes).double()
    return _agreement(hits, claimed, real)


def _agreement(hits: torch.Tensor, claimed: torch.Tensor, real: torch.Tensor) -> dict[str, torch.Tensor]:
    """``detection_scores`` from the numbers of voxels that are in both masks, in the first and in the second."""
    precision = torch.where(claimed > 0, hits / claimed.clamp(min=1), 1.0)
    recall = torch.where(real > 0, hits / real.clamp(min=1), 1.0)
    f1 = torch.where(claimed + real > 0, 2 * hits / (claimed + real).clamp(min=1), 1.0)
    return {"precision": precision, "recall": recall, "f1": f1, "false": claimed - hits}
