"""Tracking masks through a video by matching proposals to templates, and learning the features it matches by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from litrepro import _validate
from litrepro.layers._assignment import blackbox_matching, hungarian, matching
from litrepro.layers._masks import check_masks, mask_iou, matched_masks, matching_cost
from litrepro.nets._seeded import build_seeded

if TYPE_CHECKING:
    from litrepro.data import MovingObjects

MATCHERS = ("soft", "hungarian", "greedy", "blackbox")
SOFT = {"step": 0.5, "n_grad": 30, "n_proj": 5, "average": False}


def proposal_patches(frames: torch.Tensor, masks: torch.Tensor, side: int = 8) -> torch.Tensor:
    """What a mask shows: its image and itself, cut out around its centre and resampled.

    Parameters
    ----------
    frames
        (..., 3, S, S).
    masks
        (..., m, S, S).
    side
        Of the patch, which covers twice the square root of the mask's area.

    Returns
    -------
    (..., m, 4, side, side) in the dtype of the frames: colours, zero outside the mask, and the mask. Raises
    ``ValueError`` for other shapes.

    Examples
    --------
    >>> proposal_patches(torch.rand(3, 16, 16), torch.ones(2, 16, 16)).shape
    torch.Size([2, 4, 8, 8])
    """
    _validate.float_tensor("frames", frames, 3), check_masks("masks", masks, 3)
    lead, size = masks.shape[:-2], masks.shape[-1]
    if frames.shape[-3:] != (3, size, size) or masks.shape[-2] != size or not size:
        got = f"{tuple(frames.shape)} and {tuple(masks.shape)}"
        raise ValueError(f"frames and masks must be (..., 3, S, S) and (..., m, S, S), got {got}")
    if _validate.broadcast(frames=frames.shape[:-3], masks=lead[:-1]) != lead[:-1]:
        raise ValueError(f"frames must not have more batch dimensions than masks, got {tuple(frames.shape)}")
    side = _validate.positive_int("side", side)
    if not masks.numel():
        return frames.new_zeros(*lead, 4, side, side)
    frames = frames.expand(*lead[:-1], 3, size, size)
    weight = masks.to(frames.dtype)
    image = torch.cat([frames[..., None, :, :, :] * weight[..., None, :, :], weight[..., None, :, :]], -3)
    pixel = (2 * torch.arange(size, device=frames.device, dtype=frames.dtype) + 1) / size - 1
    area = weight.sum((-2, -1))
    cx = (weight.sum(-2) @ pixel) / area.clamp(min=1)
    cy = (weight.sum(-1) @ pixel) / area.clamp(min=1)
    half = (2 * area.sqrt() / size).clamp(min=2 / size)
    steps = (2 * torch.arange(side, device=frames.device, dtype=frames.dtype) + 1) / side - 1
    x = (cx[..., None] + half[..., None] * steps).reshape(-1, 1, side).expand(-1, side, -1)
    y = (cy[..., None] + half[..., None] * steps).reshape(-1, side, 1).expand(-1, -1, side)
    flat = image.reshape(-1, 4, size, size)
    cut = torch.nn.functional.grid_sample(flat, torch.stack([x, y], -1), align_corners=False)
    return cut.reshape(*lead, 4, side, side)


class MaskTracker(nn.Module):
    """The two-layer network whose features are compared by their cosine.

    Parameters
    ----------
    side, hidden, features
        Of the patch, units, dimension of the features.
    lam
        Weight of the overlap in the matching cost, in [0, 1].
    seed
        Of the weights.

    Notes
    -----
    ``forward(patches (..., 4, side, side)) -> (..., features)``, in the dtype of the weights.

    Examples
    --------
    >>> MaskTracker()(torch.zeros(2, 5, 4, 8, 8)).shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, side: int = 8, hidden: int = 64, features: int = 16, *, lam: float = 0.3, seed: int = 0):
        super().__init__()
        self.side = _validate.positive_int("side", side)
        self.lam = _validate.real("lam", lam, 0, 1)
        hidden, features = _validate.positive_int("hidden", hidden), _validate.positive_int("features", features)
        self.net = build_seeded(
            lambda: nn.Sequential(nn.Linear(4 * side**2, hidden), nn.ReLU(), nn.Linear(hidden, features)),
            _validate.seed("seed", seed),
        )

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(..., 4, side, side) -> (..., features)."""
        if _validate.float_tensor("patches", patches, 3).shape[-3:] != (4, self.side, self.side):
            raise ValueError(f"patches must be (..., 4, {self.side}, {self.side}), got shape {tuple(patches.shape)}")
        return self.net(patches.flatten(-3).to(self.net[0].weight.dtype))

    def cost(self, frames: torch.Tensor, proposals: torch.Tensor, templates: torch.Tensor, iou: torch.Tensor):
        """Costs (..., O, P) of proposals (..., P, S, S) in frames against template features (..., O, features)."""
        return matching_cost(self(proposal_patches(frames, proposals, self.side)), templates, iou, self.lam)

    def templates(self, video: MovingObjects) -> torch.Tensor:
        """Features (B, O, features) of the objects in frame 0."""
        return self(proposal_patches(video.frames[:, 0], video.templates, self.side))


def _check(tracker: Any, video: Any, frames: int = 1) -> None:
    """A tracker, and videos of at least so many frames with as many proposals as objects."""
    from litrepro.data import MovingObjects

    if not isinstance(tracker, MaskTracker):
        raise ValueError(f"tracker must be a MaskTracker, got {type(tracker).__name__}")
    if not isinstance(video, MovingObjects):
        raise ValueError(f"video must be MovingObjects, got {type(video).__name__}")
    if not len(video) or video.frames.shape[1] < frames:
        raise ValueError(f"video must hold videos of at least {frames} frame(s), got {tuple(video.frames.shape[:2])}")


def _assign(C: torch.Tensor, method: str, lam: float) -> torch.Tensor:
    if method == "soft":
        return matching(C, **SOFT)
    if method == "blackbox":
        return blackbox_matching(C, lam)
    if method == "hungarian":
        return hungarian(C)
    return torch.nn.functional.one_hot(C.argmin(-1), C.shape[-1]).to(C.dtype)


@torch.no_grad()
def track(video: MovingObjects, tracker: MaskTracker, method: str = "soft") -> tuple[torch.Tensor, torch.Tensor]:
    """Follow every object from frame to frame: the features of frame 0 and the overlap with the last mask.

    Parameters
    ----------
    video
        From ``litrepro.data.moving_objects``.
    tracker
        Features and weight of the overlap.
    method
        ``"soft"`` (projected gradients), ``"hungarian"``, ``"blackbox"`` (forward the same), or ``"greedy"``:
        every template takes
        its cheapest proposal, even one that another took.

    Returns
    -------
    Masks (B, T, O, S, S) in [0, 1], frame 0 the templates, and assignments (B, T - 1, O, P). Raises
    ``ValueError`` for another
    method, and for what is no tracker or no video.

    Examples
    --------
    >>> from litrepro.data import moving_objects
    >>> masks, X = track(moving_objects(1, 3, 2, 16, proposals=3, noise=0.1, seed=0), MaskTracker())
    >>> masks.shape, X.shape
    (torch.Size([1, 3, 2, 16, 16]), torch.Size([1, 2, 2, 3]))
    """
    _validate.choice("method", method, MATCHERS)
    _check(tracker, video)
    templates = tracker.templates(video)
    masks, found = [video.templates.float()], []
    for t in range(1, video.frames.shape[1]):
        proposals = video.proposals[:, t]
        iou = mask_iou(masks[-1] > 0.5, proposals)
        X = _assign(tracker.cost(video.frames[:, t], proposals, templates, iou), method, 10.0)
        masks.append(matched_masks(X, proposals).clamp(max=1))  # rows of a soft X sum to 1 only nearly
        found.append(X)
    return torch.stack(masks, 1), torch.stack(found, 1) if found else templates.new_zeros(len(video), 0, 0, 0)


def fit_tracker(
    tracker: MaskTracker,
    video: MovingObjects,
    *,
    steps: int,
    lr: float = 3e-3,
    batch_size: int = 20,
    method: str = "soft",
    lam: float = 10.0,
    seed: int = 0,
) -> list[float]:
    """Train the features through the matching: 1 - soft IoU of matched and true masks, all frames at once.

    In training the overlap is taken with the true mask of the frame before.

    Parameters
    ----------
    method
        ``"soft"`` or ``"blackbox"``, the latter with ``lam`` as its interpolation.

    Returns
    -------
    The loss of every step. Raises ``ValueError`` for a method without a gradient, videos of one frame, bad sizes.

    Examples
    --------
    >>> from litrepro.data import moving_objects
    >>> len(fit_tracker(MaskTracker(), moving_objects(2, 3, 2, 16, proposals=3, noise=0.1, seed=0), steps=2))
    2
    """
    _validate.choice("method", method, ("soft", "blackbox"))
    _check(tracker, video, frames=2)
    lam = _validate.real("lam", lam, 0, open_low=True)
    steps, batch_size = _validate.positive_int("steps", steps), _validate.positive_int("batch_size", batch_size)
    lr = _validate.real("lr", lr, 0, open_low=True)
    generator = torch.Generator().manual_seed(_validate.seed("seed", seed))
    optimizer = torch.optim.Adam(tracker.parameters(), lr=lr)
    orders = [torch.randperm(len(video), generator=generator, device="cpu")[:batch_size] for _ in range(steps)]
    seen = _Seen(video, torch.cat(orders).unique(), tracker.side, batch_size)
    losses = []
    for order in orders:
        patches, templates, iou, proposals, truth = seen.videos(order)
        C = matching_cost(tracker(patches), tracker(templates)[:, None], iou, tracker.lam)
        predicted = matched_masks(_assign(C, method, lam), proposals)
        shared = (predicted * truth).sum((-2, -1))
        union = (predicted + truth - predicted * truth).sum((-2, -1))
        loss = (1 - shared / union.clamp(min=1))[truth.any(-1).any(-1)].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


class _Seen:
    """What training sees of some videos: patches and overlaps, which do not depend on the features, made once."""

    def __init__(self, video: MovingObjects, chosen: torch.Tensor, side: int, portion: int):
        self.place = torch.full((len(video),), -1, device="cpu")
        self.place[chosen] = torch.arange(len(chosen), device="cpu")
        found: list[tuple[torch.Tensor, ...]] = []
        for part in chosen.to(video.frames.device).split(portion):
            some = video.videos(part)
            patches = proposal_patches(some.frames[:, 1:], some.proposals[:, 1:], side)
            templates = proposal_patches(some.frames[:, 0], some.templates, side)
            iou = mask_iou(some.masks[:, :-1], some.proposals[:, 1:])
            found.append((patches, templates, iou, some.proposals[:, 1:], some.masks[:, 1:]))
        self.parts = [torch.cat(parts) for parts in zip(*found)]

    def videos(self, order: torch.Tensor) -> list[torch.Tensor]:
        """Patches (B, T - 1, P, ...), those of the templates, overlaps, proposals, true masks as numbers."""
        index = self.place[order].to(self.parts[0].device)
        *others, truth = (part[index] for part in self.parts)
        return [*others, truth.float()]
