"""A synthetic sample for tomography: a tube with rods and spheres in it."""

from __future__ import annotations

import torch

from litrepro import _validate


def phantom(n: int, depth: int, *, seed: int) -> torch.Tensor:
    """A tube wall, slanted rods (a few thin and bright), and small spheres (some dim), in air.

    All lengths scale with n: the wall has outer radius .42 n and thickness .05 n, rods have radii of .012 n to .03 n,
    spheres of .025 n to .05 n. Densities lie between .5 and 1.5, zero outside the material.

    Parameters
    ----------
    n, depth
        Pixels across and slices, both >= 1; the wall needs n >= 4 to hold a pixel.
    seed
        Non-negative; the tube is always there, rods and spheres move.

    Returns
    -------
    (depth, n, n) float32; everything lies inside the inscribed disk of each slice.

    Raises
    ------
    ValueError
        Sizes below 1, a negative seed.

    Examples
    --------
    >>> volume = phantom(32, 8, seed=0)
    >>> volume.shape, volume[:, 0, 0].max().item()  # the corners are empty
    (torch.Size([8, 32, 32]), 0.0)
    """
    n, depth = _validate.positive_int("n", n), _validate.positive_int("depth", depth)
    g = torch.Generator("cpu").manual_seed(_validate.seed("seed", seed))
    axis = torch.arange(n, dtype=torch.float32, device="cpu") - (n - 1) / 2
    z = (torch.arange(depth, dtype=torch.float32, device="cpu") - (depth - 1) / 2)[:, None, None]
    y, x = axis[:, None], axis[None, :]
    radius = (x**2 + y**2).sqrt()
    volume = torch.zeros(depth, n, n, device="cpu")
    volume[:, (radius <= 0.42 * n) & (radius > 0.37 * n)] = 0.9
    for index in range(8):
        _rod(volume, (x, y, z), n, thin=index % 2 == 0, generator=g)
    for index in range(12):
        _sphere(volume, (x, y, z), n, dim=index % 3 == 0, generator=g)
    return volume


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * torch.rand((), generator=generator, device="cpu").item()


def _inside(reach: float, generator: torch.Generator) -> tuple[float, float]:
    """A point drawn uniformly from the disk of the given radius."""
    angle, distance = _uniform(0, 2 * torch.pi, generator), reach * _uniform(0, 1, generator) ** 0.5
    point = distance * torch.polar(torch.tensor(1.0, device="cpu"), torch.tensor(angle, device="cpu"))
    return point.real.item(), point.imag.item()


def _rod(volume: torch.Tensor, grid: tuple, n: int, *, thin: bool, generator: torch.Generator) -> None:
    """A straight rod through all slices, clipped at the inner side of the tube."""
    x, y, z = grid
    cx, cy = _inside(0.28 * n, generator)
    tilt_x, tilt_y = (_uniform(-0.4, 0.4, generator) for _ in range(2))
    size = max(0.75, _uniform(0.012, 0.018, generator) * n) if thin else _uniform(0.02, 0.03, generator) * n
    # The distance to a slanted axis is that within the slice, up to the tilt's cosine.
    distance = ((x - cx - tilt_x * z) ** 2 + (y - cy - tilt_y * z) ** 2).sqrt()
    inside = (distance <= size) & (x**2 + y**2 <= (0.36 * n) ** 2)
    volume[inside] = 1.5 if thin else 1.0


def _sphere(volume: torch.Tensor, grid: tuple, n: int, *, dim: bool, generator: torch.Generator) -> None:
    x, y, z = grid
    cx, cy = _inside(0.3 * n, generator)
    cz = _uniform(-0.45, 0.45, generator) * len(volume)
    size = _uniform(0.025, 0.05, generator) * n
    volume[(x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 <= size**2] = 0.5 if dim else 1.2
