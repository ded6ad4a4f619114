"""Seeded synthetic data with a known structure."""

from __future__ import annotations

import math

import torch

from litrepro import _validate
from litrepro.data._tables import z_score


def wilson_example(
    n: int, p: float = 0.7, *, generator: torch.Generator | int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The separable data on which adaptive methods learn the wrong thing (Wilson et al. 2017, section 3.3).

    Returns
    -------
    X (n, 3 + 5n) float64 and y (n,) float64 in {-1, 1}. Column 0 is y, columns 1 and 2 are 1, and sample i alone has
    ones from column 3 + 5i on: one if y_i = 1, five if y_i = -1. y_i = 1 with probability p, independently.

    Raises ``ValueError`` if n < 1 or p is outside (1/2, 1).

    Examples
    --------
    >>> import torch
    >>> X, y = wilson_example(4, generator=torch.Generator().manual_seed(0))
    >>> X.shape, bool((X[:, 0] == y).all()), bool((X[:, 1:3] == 1).all())
    (torch.Size([4, 23]), True, True)
    """
    n = _validate.positive_int("n", n)
    p = _validate.real("p", p, 0.5, 1, open_low=True, open_high=True)
    generator = _validate.random_source("generator", generator)
    uniform = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
    y = torch.where(uniform < p, 1.0, -1.0).to(torch.float64)
    own = torch.zeros(n, n, 5, dtype=torch.float64, device=y.device)
    rows = torch.arange(n, device=y.device)
    own[rows, rows] = (torch.arange(5, device=y.device)[None] < torch.where(y > 0, 1, 5)[:, None]).double()
    shared = torch.stack([y, torch.ones_like(y), torch.ones_like(y)], 1)
    return torch.cat([shared, own.reshape(n, 5 * n)], 1), y


def correlated_sensors(n: int = 500, d: int = 128, rank: int = 8, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Strongly correlated features of a few latent causes: a stand-in for a gas sensor array.

    Latent Z (n, rank) is standard normal but Z_0 uniform on [0, 2]; x = tanh(Z M / 2) + 0.05 noise with M (rank, d)
    normal, rows scaled by logspace(0, -1.5); y = Z_0 + 0.1 Z_1^2.

    Returns
    -------
    x (n, d) and y (1, n), float64, both z-scored.

    Raises ``ValueError`` if n < 2, d < 1, rank < 2 or the seed is not in [0, 2^64).

    Examples
    --------
    >>> import torch
    >>> x, y = correlated_sensors(100, 16, seed=0)
    >>> singular = torch.linalg.svdvals(x)
    >>> x.shape, y.shape, bool(singular[8:].square().sum() < 0.05 * singular.square().sum())  # about 8 causes
    (torch.Size([100, 16]), torch.Size([1, 100]), True)
    """
    n, d = _validate.positive_int("n", n, 2), _validate.positive_int("d", d)
    rank = _validate.positive_int("rank", rank, 2)
    generator = torch.Generator().manual_seed(_validate.seed("seed", seed))
    z = torch.randn(n, rank, generator=generator, dtype=torch.float64)
    z[:, 0] = 2 * torch.rand(n, generator=generator, dtype=torch.float64)
    scales = torch.logspace(0, -1.5, rank, dtype=torch.float64)[:, None]
    mixing = torch.randn(rank, d, generator=generator, dtype=torch.float64) * scales
    x = torch.tanh(z @ mixing / 2) + 0.05 * torch.randn(n, d, generator=generator, dtype=torch.float64)
    y = (z[:, 0] + 0.1 * z[:, 1] ** 2)[None]
    return z_score(x, 0), z_score(y, 1)


def correlated_patches(
    n: int, k: int, d: int, angle: float, *, generator: torch.Generator | int | None
) -> torch.Tensor:
    """Inputs of k patches that share a direction: z_i = sqrt(d) normalize(u + tan(angle) e_i).

    u (one per input) and e_i are uniform on the unit sphere of R^d; ``angle`` in radians, in [0, pi/2).

    Returns
    -------
    (n, k, d) float64.

    Raises ``ValueError`` if n, k or d < 1, or the angle is outside [0, pi/2).

    Examples
    --------
    >>> import torch
    >>> z = correlated_patches(5, 3, 4, 0.0, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(z[:, 0], z[:, 1]), bool((z.norm(dim=-1) - 2).abs().max() < 1e-9)  # of norm sqrt(d)
    (True, True)
    """
    n, k, d = (_validate.positive_int(name, value) for name, value in (("n", n), ("k", k), ("d", d)))
    angle = _validate.real("angle", angle, 0, math.pi / 2, open_high=True)
    generator = _validate.random_source("generator", generator)
    device = generator.device
    u = torch.randn(n, 1, d, generator=generator, device=device, dtype=torch.float64)
    e = torch.randn(n, k, d, generator=generator, device=device, dtype=torch.float64)
    mixed = u / u.norm(dim=-1, keepdim=True) + math.tan(angle) * e / e.norm(dim=-1, keepdim=True)
    return math.sqrt(d) * mixed / mixed.norm(dim=-1, keepdim=True)


def double_moon(
    n: int, *, radius: float = 1.0, width: float = 0.6, distance: float = -0.2, generator: torch.Generator | int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two interleaved half rings (Haykin, *Neural Networks and Learning Machines*, section 1.5).

    The upper moon is the half ring of mean radius ``radius`` and thickness ``width`` around the origin; the lower one
    is its mirror image, moved right by ``radius`` and down by ``distance`` (negative: the moons interlock).

    Returns
    -------
    x (n, 2) float64 and y (n,) float64 in {-1, 1}: the first ceil(n/2) points are the upper moon, y = 1.

    Raises ``ValueError`` if n < 1, radius <= 0, or width outside [0, 2 radius].

    Examples
    --------
    >>> import torch
    >>> x, y = double_moon(4, width=0.0, generator=torch.Generator().manual_seed(0))
    >>> y.tolist(), bool((x[:2].norm(dim=-1) - 1).abs().max() < 1e-9)  # half rings of radius 1
    ([1.0, 1.0, -1.0, -1.0], True)
    """
    n = _validate.positive_int("n", n)
    radius = _validate.real("radius", radius, 0, open_low=True)
    width = _validate.real("width", width, 0, 2 * radius)
    distance = _validate.real("distance", distance)
    generator = _validate.random_source("generator", generator)
    uniform = torch.rand(2, n, generator=generator, device=generator.device, dtype=torch.float64)
    # Area-uniform radius between radius - width/2 and radius + width/2.
    inner, outer = radius - width / 2, radius + width / 2
    r = torch.sqrt(inner**2 + (outer**2 - inner**2) * uniform[0])
    angle = math.pi * uniform[1]
    upper = torch.arange(n, device=uniform.device) < (n + 1) // 2
    y = torch.where(upper, 1.0, -1.0).to(torch.float64)
    x0 = r * torch.cos(angle) + torch.where(upper, 0.0, radius)
    x1 = y * r * torch.sin(angle) - torch.where(upper, 0.0, distance)
    return torch.stack([x0, x1], 1), y
