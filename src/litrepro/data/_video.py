"""Synthetic videos of textured objects that move and hide each other, with mask proposals for every frame."""

from __future__ import annotations

import dataclasses
import math

import torch

from litrepro import _validate


@dataclasses.dataclass(frozen=True)
class MovingObjects:
    """Videos with ground truth and proposals.

    Attributes
    ----------
    frames
        (B, T, 3, S, S) float32 in [0, 1].
    masks
        (B, T, O, S, S) bool: the visible part of every object, disjoint.
    templates
        (B, O, S, S) bool: the masks of frame 0.
    proposals
        (B, T, P, S, S) bool, in random order.
    owner
        (B, T, P) int64: the object that a proposal was made from, -1 for a distractor.
    """

    frames: torch.Tensor
    masks: torch.Tensor
    templates: torch.Tensor
    proposals: torch.Tensor
    owner: torch.Tensor

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device | str) -> MovingObjects:
        """The same videos on another device."""
        return MovingObjects(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))

    def videos(self, index: torch.Tensor) -> MovingObjects:
        """Some of the videos."""
        return MovingObjects(*(getattr(self, field.name)[index] for field in dataclasses.fields(self)))


def moving_objects(
    batch: int,
    frames: int,
    objects: int,
    size: int,
    *,
    proposals: int,
    noise: float,
    seed: int,
    alike: float = 0.5,
) -> MovingObjects:
    """Discs and boxes with striped textures on a mottled ground; they bounce off the borders, later ones in front.

    Parameters
    ----------
    batch, frames, objects, size
        Videos, frames, objects, side of the square image in pixels.
    proposals
        Masks per frame: one jittered copy of every object's visible part; the others are distractors, half of them
        displaced copies of an object.
    noise
        In [0, 1]: displacement and swelling of proposals, the changes of light from frame to frame, pixel noise.
    seed
        Of every draw.
    alike
        In [0, 1]: 0 objects of independent colours, 1 of one colour; stripes always differ.

    Raises ``ValueError`` for counts < 1, size < 16, fewer proposals than objects, noise or alike outside [0, 1].

    Examples
    --------
    >>> moving_objects(2, 3, 2, 16, proposals=4, noise=0.2, seed=0).proposals.shape
    torch.Size([2, 3, 4, 16, 16])
    """
    batch, frames, objects = (
        _validate.positive_int(name, value)
        for name, value in (("batch", batch), ("frames", frames), ("objects", objects))
    )
    size = _validate.positive_int("size", size, 16)
    proposals = _validate.positive_int("proposals", proposals)
    if proposals < objects:
        raise ValueError(f"proposals must be at least objects = {objects}, got {proposals}")
    noise, alike = _validate.real("noise", noise, 0, 1), _validate.real("alike", alike, 0, 1)
    g = torch.Generator().manual_seed(_validate.seed("seed", seed))
    centre, radius, box = _paths(batch, frames, objects, size, g)
    shape = _shape(centre, radius, box, size)
    masks = _visible(shape, shape)
    images = _paint(centre, radius, masks, size, alike, noise, g)
    found, owner = _propose(centre, radius, box, shape, proposals, noise, size, g)
    return MovingObjects(images, masks, masks[:, 0].clone(), found, owner)


def _paths(batch: int, frames: int, objects: int, size: int, g: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Centres (B, T, O, 2), radii (B, 1, O), and which objects are boxes."""
    side = math.ceil(math.sqrt(objects))
    cell = torch.rand(batch, side * side, generator=g).argsort(1)[:, :objects]
    start = (
        torch.stack([cell // side, cell % side], -1) + 0.5 + 0.2 * (torch.rand(batch, objects, 2, generator=g) - 0.5)
    )
    start = start / side * size
    direction = 2 * math.pi * torch.rand(batch, objects, generator=g)
    speed = size * (0.04 + 0.06 * torch.rand(batch, objects, 1, generator=g))
    velocity = speed * torch.stack([direction.sin(), direction.cos()], -1)
    path = start[:, None] + velocity[:, None] * torch.arange(frames)[:, None, None]
    radius = size / side * (0.26 + 0.12 * torch.rand(batch, 1, objects, generator=g))
    low, high = radius[..., None], size - radius[..., None]
    folded = (path - low).remainder(2 * (high - low))
    centre = low + torch.minimum(folded, 2 * (high - low) - folded)
    return centre, radius, torch.rand(batch, 1, objects, generator=g) < 0.5


def _offsets(centre: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixel coordinates relative to centres (..., 2): two tensors (..., S, S)."""
    pixel = torch.arange(size) + 0.5
    y = pixel[:, None] - centre[..., 0, None, None]
    x = pixel - centre[..., 1, None, None]
    return torch.broadcast_tensors(y, x)


def _shape(centre: torch.Tensor, radius: torch.Tensor, box: torch.Tensor, size: int) -> torch.Tensor:
    """Discs or boxes (..., S, S) bool."""
    y, x = _offsets(centre, size)
    radius = radius[..., None, None]
    return torch.where(box[..., None, None], torch.maximum(y.abs(), x.abs()) <= 0.88 * radius, y**2 + x**2 <= radius**2)


def _visible(shape: torch.Tensor, front: torch.Tensor) -> torch.Tensor:
    """What objects in front leave of every shape (B, T, O, S, S)."""
    later = front.long().flip(2).cumsum(2).flip(2) - front.long()
    return shape & (later == 0)


def _paint(centre, radius, masks, size, alike, noise, g) -> torch.Tensor:
    batch, frames, objects = masks.shape[:3]
    colour = torch.rand(batch, 1, objects, 3, generator=g)
    colour = alike * torch.rand(batch, 1, 1, 3, generator=g) + (1 - alike) * colour
    angle, phase = (math.pi * torch.rand(batch, 1, objects, generator=g) * f for f in (1, 2))
    waves = 1 + 2 * torch.rand(batch, 1, objects, generator=g)
    y, x = _offsets(centre, size)
    along = y * angle.sin()[..., None, None] + x * angle.cos()[..., None, None]
    stripes = torch.sin(math.pi * (waves / radius)[..., None, None] * along + phase[..., None, None])
    paint = (0.25 + 0.5 * colour)[..., None, None] + 0.25 * stripes[:, :, :, None]
    coarse = torch.rand(batch, 3, 5, 5, generator=g)
    ground = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)
    image = ground[:, None] * (~masks.any(2))[:, :, None] + (paint * masks[:, :, :, None]).sum(2)
    light = 1 + noise * 0.6 * (torch.rand(batch, frames, 3, 1, 1, generator=g) - 0.5)
    grain = 0.1 * noise * torch.randn(image.shape, generator=g)
    return (image * light + grain).clamp(0, 1)


def _propose(centre, radius, box, shape, proposals, noise, size, g) -> tuple[torch.Tensor, torch.Tensor]:
    batch, frames, objects = shape.shape[:3]

    def jitter(*dims: int) -> torch.Tensor:
        return torch.randn(*dims, generator=g)

    swell = (1 + 0.15 * noise * jitter(batch, frames, objects)).clamp(0.7, 1.3)
    shifted = centre + 0.15 * noise * radius[..., None] * jitter(batch, frames, objects, 2)
    own = _visible(_shape(shifted, radius * swell, box, size), shape)
    extra = proposals - objects
    copied = torch.randint(objects, (batch, frames, extra), generator=g)
    away = centre.gather(2, copied[..., None].expand(-1, -1, -1, 2))
    reach = radius.expand(-1, frames, -1).gather(2, copied)
    turn = 2 * math.pi * torch.rand(batch, frames, extra, generator=g)
    away = away + (0.7 + 0.5 * torch.rand(batch, frames, extra, generator=g))[..., None] * reach[
        ..., None
    ] * torch.stack([turn.sin(), turn.cos()], -1)
    anywhere = size * torch.rand(batch, frames, extra, 2, generator=g)
    near = (torch.arange(extra) % 2 == 0)[:, None]
    square = torch.rand(batch, frames, extra, generator=g) < 0.5
    others = _shape(torch.where(near, away, anywhere), reach, square, size)
    masks = torch.cat([own, others], 2)
    owner = torch.cat([torch.arange(objects), torch.full((extra,), -1)]).expand(batch, frames, proposals)
    order = torch.rand(batch, frames, proposals, generator=g).argsort(2)
    return masks.gather(2, order[..., None, None].expand_as(masks)), owner.gather(2, order)
