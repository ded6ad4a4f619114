"""Masks: overlap, contours, the assignment-weighted sum, and the cost of matching them."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale


def check_masks(name: str, masks: Any, dims: int) -> torch.Tensor:
    if not isinstance(masks, torch.Tensor) or masks.is_complex() or masks.ndim < dims:
        got = f"{masks.dtype} {tuple(masks.shape)}" if isinstance(masks, torch.Tensor) else type(masks).__name__
        raise ValueError(f"{name} must be a real tensor of at least {dims} dimensions, got {got}")
    return masks if masks.dtype.is_floating_point else masks.float()


def _pair(a: Any, b: Any, dims: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two floating tensors of masks whose images have one size and whose batch dimensions broadcast."""
    floating = [m.dtype for m in (a, b) if isinstance(m, torch.Tensor) and m.dtype.is_floating_point]
    a, b = check_masks("a", a, dims), check_masks("b", b, dims)
    if len(floating) == 1:  # boolean masks follow the others
        a, b = a.to(floating[0]), b.to(floating[0])
    _validate.same_kind(a=a, b=b)
    if a.shape[-2:] != b.shape[-2:]:
        raise ValueError(f"masks must have one size, got {tuple(a.shape[-2:])} and {tuple(b.shape[-2:])}")
    _validate.broadcast(a=a.shape[:-dims], b=b.shape[:-dims])
    return a, b


def mask_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Intersection over union of every pair of masks; 1 for two empty ones.

    Parameters
    ----------
    a, b
        (..., n, H, W) and (..., m, H, W), boolean or in [0, 1].

    Returns
    -------
    (..., n, m), float32 for boolean masks, which follow the other's dtype where that is floating; half precision is
    summed in float32. Raises ``ValueError`` where the sides of the images differ, batch dimensions do not broadcast, or
    values lie outside [0, 1].

    Examples
    --------
    >>> mask_iou(torch.tensor([[[1.0, 1.0]]]), torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])).tolist()
    [[0.5, 0.0]]
    """
    given = {"a": a, "b": b}
    a, b = _pair(a, b, 3)
    for name, masks in given.items():
        if masks.dtype != torch.bool and not bool(((masks >= 0) & (masks <= 1)).all()):
            raise ValueError(f"{name} must be boolean or in [0, 1], got values outside")
    dtype, wide = a.dtype, torch.promote_types(a.dtype, torch.float32)
    a, b = a.flatten(-2).to(wide), b.flatten(-2).to(wide)
    shared = a @ b.mT
    union = a.sum(-1)[..., :, None] + b.sum(-1)[..., None, :] - shared
    return torch.where(union > 0, shared / union.clamp(min=1e-12), torch.ones_like(shared)).to(dtype)


def boundary_f(a: torch.Tensor, b: torch.Tensor, tolerance: int = 1) -> torch.Tensor:
    """F-measure of two contours (Pont-Tuset et al. 2017): precision and recall of contour pixels.

    Parameters
    ----------
    a, b
        (..., H, W), boolean or thresholded at 0.5.
    tolerance
        Pixels (Chebyshev distance) within which a contour pixel counts as found.

    Returns
    -------
    (...) float32: 1 for two empty masks, 0 where one is empty. A contour is the pixels of the mask with a 4-neighbour
    outside it; beyond the border of the image is outside.

    Raises ``ValueError`` for other shapes, a negative tolerance, and nan.

    Examples
    --------
    >>> boundary_f(torch.ones(4, 4), torch.ones(4, 4)).item()
    1.0
    """
    a, b = _pair(a, b, 2)
    for name, masks in (("a", a), ("b", b)):
        if bool(masks.isnan().any()):
            raise ValueError(f"{name} must hold no nan")
    a, b = a > 0.5, b > 0.5
    tolerance = min(_validate.positive_int("tolerance", tolerance, 0), max(a.shape[-2:]))
    first, second = torch.broadcast_tensors(_contour(a), _contour(b))
    hits_first = (first & _grown(second, tolerance)).sum((-2, -1)).float()
    hits_second = (second & _grown(first, tolerance)).sum((-2, -1)).float()
    size_first, size_second = first.sum((-2, -1)).float(), second.sum((-2, -1)).float()
    precision, recall = hits_first / size_first.clamp(min=1), hits_second / size_second.clamp(min=1)
    score = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return torch.where((size_first == 0) & (size_second == 0), torch.ones_like(score), score)


def _contour(mask: torch.Tensor) -> torch.Tensor:
    inner = torch.zeros_like(mask)
    if min(mask.shape[-2:]) > 2:
        centre = slice(1, -1)
        inner[..., centre, centre] = (
            mask[..., :-2, centre] & mask[..., 2:, centre] & mask[..., centre, :-2] & mask[..., centre, 2:]
        )
    return mask & ~inner


def _grown(mask: torch.Tensor, distance: int) -> torch.Tensor:
    if distance == 0 or mask.numel() == 0:
        return mask
    flat = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    return (torch.nn.functional.max_pool2d(flat, 2 * distance + 1, 1, distance) > 0).reshape(mask.shape)


def matched_masks(X: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """The masks that an assignment gives to the templates, sum_j X_ij P_j (Zeng et al. 2019, section 3.3).

    Parameters
    ----------
    X
        (..., n, m), an assignment, soft or not.
    masks
        (..., m, H, W).

    Returns
    -------
    (..., n, H, W). Raises ``ValueError`` where the counts m differ.

    Examples
    --------
    >>> matched_masks(torch.tensor([[0.5, 0.5]]), torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]])).tolist()
    [[[1.0, 0.5]]]
    """
    _validate.float_tensor("X", X, 2)
    masks = check_masks("masks", masks, 3).to(X.dtype)
    if masks.shape[-3] != X.shape[-1]:
        raise ValueError(f"X assigns {X.shape[-1]} proposals, got {masks.shape[-3]} masks")
    _validate.broadcast(X=X.shape[:-2], masks=masks.shape[:-3])
    return (X @ masks.flatten(-2)).unflatten(-1, masks.shape[-2:])


def matching_cost(
    proposal_features: torch.Tensor, template_features: torch.Tensor, iou: torch.Tensor, lam: float
) -> torch.Tensor:
    """C = (lam - 1) cos - lam IoU (Zeng et al. 2019, equation 1).

    Parameters
    ----------
    proposal_features, template_features
        (..., m, d) and (..., n, d).
    iou
        (..., n, m), template by proposal.
    lam
        Weight of the overlap, in [0, 1].

    Returns
    -------
    (..., n, m); the cosine of a zero vector is 0, its gradient that of a length 1. Raises ``ValueError`` for lam
    outside [0, 1], shapes that do not fit, and values that are not finite.

    Examples
    --------
    >>> matching_cost(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5]]), 0.5).item()
    -0.75
    """
    _validate.float_tensor("proposal_features", proposal_features, 2)
    _validate.float_tensor("template_features", template_features, 2)
    _validate.float_tensor("iou", iou, 2)
    lam = _validate.real("lam", lam, 0, 1)
    expected = (template_features.shape[-2], proposal_features.shape[-2])
    _validate.same_kind(proposal_features=proposal_features, template_features=template_features, iou=iou)
    if iou.shape[-2:] != expected or proposal_features.shape[-1] != template_features.shape[-1]:
        shapes = f"{tuple(proposal_features.shape)}, {tuple(template_features.shape)} and {tuple(iou.shape)}"
        raise ValueError(f"features must agree in d, iou must be (..., {expected[0]}, {expected[1]}), got {shapes}")
    _validate.broadcast(
        proposal_features=proposal_features.shape[:-2],
        template_features=template_features.shape[:-2],
        iou=iou.shape[:-2],
    )
    templates, proposals = _directions(template_features), _directions(proposal_features)
    found = (lam - 1) * (templates @ proposals.mT) - lam * iou
    # One look at the costs, which no nan or infinity leaves finite.
    if _validate.known(found.isfinite().all()) is False:
        _validate.finite(proposal_features=proposal_features, template_features=template_features, iou=iou)
    return found


def _directions(x: torch.Tensor) -> torch.Tensor:
    """x / |x| along the last axis, 0 for 0; there the gradient is as for a vector of length 1."""
    # Divided by a power of two first: the length of a tiny or a huge vector is not to vanish or overflow.
    x = x / binary_scale(x, -1)
    norm = x.norm(dim=-1, keepdim=True)
    return x / torch.where(norm > 0, norm, 1.0)
