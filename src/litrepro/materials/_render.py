"""A small volume renderer: parallel rays, opacity accumulated from front to back, light from the viewer's left."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from litrepro import _validate


def render_volume(
    opacity: torch.Tensor,
    colour: torch.Tensor | None = None,
    *,
    azimuth: float = 35.0,
    elevation: float = 25.0,
    size: int = 256,
) -> torch.Tensor:
    """An image of a volume whose voxels have an opacity and a colour, shaded by the gradient of the opacity.

    Parameters
    ----------
    opacity
        (d, n, n) in [0, 1] per voxel step.
    colour
        (3, d, n, n) in [0, 1]; white by default.
    azimuth, elevation
        Direction of view in degrees: around the first axis (which points up), and above the horizon.
    size
        Pixels of the square image.

    Returns
    -------
    (size, size, 4) float32 in [0, 1]: red, green, blue and alpha (0 where no voxel is hit).

    Raises
    ------
    ValueError
        Shapes that do not fit, opacities or colours outside [0, 1], angles that are not finite.

    Examples
    --------
    >>> import torch
    >>> ball = torch.zeros(8, 8, 8)
    >>> ball[3:5, 3:5, 3:5] = 1.0
    >>> image = render_volume(ball, size=32)
    >>> image.shape, bool(image[16, 16, 3] > 0.5), image[0, 0, 3].item()  # alpha in the middle and in a corner
    (torch.Size([32, 32, 4]), True, 0.0)
    """
    _validate.float_tensor("opacity", opacity)
    if opacity.ndim != 3 or not opacity.numel():
        raise ValueError(f"opacity must have shape (d, n, n), got {tuple(opacity.shape)}")
    if not bool(((opacity >= 0) & (opacity <= 1)).all()):
        raise ValueError("opacity must lie in [0, 1]")
    if colour is None:
        colour = torch.ones(3, *opacity.shape, device=opacity.device)
    if tuple(_validate.float_tensor("colour", colour).shape) != (3, *opacity.shape):
        raise ValueError(f"colour must have shape {(3, *opacity.shape)}, got {tuple(colour.shape)}")
    if not bool(((colour >= 0) & (colour <= 1)).all()):
        raise ValueError("colour must lie in [0, 1]")
    toward, across, up = _camera(azimuth, elevation)
    size = _validate.positive_int("size", size)
    opacity = opacity.float()
    soft = functional.avg_pool3d(functional.pad(opacity[None], (1,) * 6), 3, 1)[0]  # its own padding wants sides >= 3
    normal = torch.stack(torch.gradient(soft)) if min(opacity.shape) > 1 else opacity.new_zeros(3, *opacity.shape)
    fields = torch.cat([opacity[None], colour.float(), normal.to(opacity)])
    samples = _sample(fields, toward, across, up, size)  # (7, steps, size, size)
    alpha, tint, slope = samples[0].clamp(0, 1), samples[1:4], samples[4:]
    light = functional.normalize(toward + 0.6 * up - 0.5 * across, dim=0).to(slope)
    facing = -(slope * light[:, None, None, None]).sum(0) / (slope.square().sum(0).sqrt() + 1e-3)
    shade = 0.5 + 0.5 * facing.clamp(0, 1)
    through = torch.cat([torch.ones_like(alpha[:1]), (1 - alpha).cumprod(0)])
    weight = alpha * through[:-1]
    image = (weight * shade * tint).sum(1)
    covered = 1 - through[-1]
    return torch.cat([image / covered.clamp(min=1e-6), covered[None]]).permute(1, 2, 0).clamp(0, 1)


def _camera(azimuth: float, elevation: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Unit vectors (z, y, x): towards the viewer, to the right, and up in the image."""
    a, e = math.radians(_validate.real("azimuth", azimuth)), math.radians(_validate.real("elevation", elevation))
    toward = [math.sin(e), math.cos(e) * math.cos(a), math.cos(e) * math.sin(a)]
    across = [0.0, -math.sin(a), math.cos(a)]
    up = [math.cos(e), -math.sin(e) * math.cos(a), -math.sin(e) * math.sin(a)]
    return tuple(torch.tensor(vector, device="cpu") for vector in (toward, across, up))


def _sample(fields: torch.Tensor, toward, across, up, size: int) -> torch.Tensor:
    """The fields along the rays, from front to back: (c, d, n, n) -> (c, steps, size, size)."""
    shape = torch.tensor(fields.shape[1:], dtype=torch.float32, device="cpu")
    reach = shape.square().sum().sqrt().item() / 2
    plane = torch.linspace(-1, 1, size, device="cpu") * 0.68 * reach
    depth = torch.linspace(reach, -reach, math.ceil(2 * reach), device="cpu")
    place = (
        depth[:, None, None, None] * toward - plane[:, None, None] * up + plane[None, :, None] * across
    )  # (steps, size, size, 3) in voxels from the centre, (z, y, x)
    unit = (2 * place / (shape - 1).clamp(min=1)).flip(-1).to(fields.device)
    # Slab by slab: the whole grid of rays would be large.
    slabs = [functional.grid_sample(fields[None], part[None], align_corners=True)[0] for part in unit.split(16)]
    return torch.cat(slabs, 1)
