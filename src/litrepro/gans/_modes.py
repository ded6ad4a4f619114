"""A mixture whose modes can be counted."""

from __future__ import annotations

import math

import torch

from litrepro import _validate


def ring_mixture(
    n: int, modes: int = 8, radius: float = 2.0, std: float = 0.02, *, generator: torch.Generator | int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples of equal Gaussians on a circle in the plane.

    Parameters
    ----------
    n
        Number of samples.
    modes
        Number of Gaussians, at equal angles, the first on the x axis.
    radius, std
        Of the circle and of each Gaussian.
    generator
        Source of randomness, or a seed (0 for None).

    Returns
    -------
    (samples (n, 2), centers (modes, 2)), float32. Raises ``ValueError`` for sizes < 1 and negative lengths.

    Examples
    --------
    >>> import torch
    >>> samples, centers = ring_mixture(100, generator=torch.Generator().manual_seed(0))
    >>> samples.shape, centers.shape
    (torch.Size([100, 2]), torch.Size([8, 2]))
    """
    n, modes = _validate.positive_int("n", n), _validate.positive_int("modes", modes)
    radius, std = _validate.real("radius", radius, 0), _validate.real("std", std, 0)
    generator = _validate.random_source("generator", generator)
    angles = 2 * math.pi * torch.arange(modes, dtype=torch.float32, device="cpu") / modes
    centers = radius * torch.stack((angles.cos(), angles.sin()), -1)
    chosen = torch.randint(modes, (n,), generator=generator, device=generator.device)
    noise = torch.randn(n, 2, generator=generator, device=generator.device)
    centers = centers.to(generator.device)
    return centers[chosen] + std * noise, centers


def mode_coverage(
    samples: torch.Tensor, centers: torch.Tensor, std: float, *, radius: float = 3.0, min_share: float | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many modes the samples reach, and how many samples reach a mode.

    Parameters
    ----------
    samples
        (..., n, d), converted to the dtype of the centres.
    centers
        (K, d), finite.
    std
        Of a mode, > 0.
    radius
        A sample belongs to its nearest centre if it lies within ``radius * std`` of it; ``inf``: always.
    min_share
        A mode counts if at least this share of all samples belongs to it; 0.1/K by default.

    Returns
    -------
    (modes (...) int64, share of samples that belong to a centre (...) float64). Few modes with ``radius=inf`` is
    collapse; few with a small radius may be imprecision alone. Samples that are not finite belong nowhere.

    Raises
    ------
    ValueError
        Dimensions that differ, no samples, std or radius that is not positive, min_share outside [0, 1].

    Examples
    --------
    >>> import torch
    >>> modes, share = mode_coverage(torch.tensor([[0.0, 0.0], [0.5, 0.0]]), torch.eye(2), 0.1, radius=float("inf"))
    >>> modes.item(), share.item()
    (1, 1.0)
    """
    _validate.float_tensor("samples", samples, 2)
    _validate.float_tensor("centers", centers, 2)
    if centers.ndim != 2 or not len(centers) or centers.shape[-1] != samples.shape[-1] or not samples.shape[-2]:
        shapes = f"{tuple(samples.shape)} and {tuple(centers.shape)}"
        raise ValueError(f"samples (..., n, d) and centers (K, d) must agree in d, with n, K >= 1; got {shapes}")
    std = _validate.real("std", std, 0, open_low=True)
    _validate.finite(centers=centers)
    if radius != math.inf:
        radius = _validate.real("radius", radius, 0, open_low=True)
    K = len(centers)
    min_share = 0.1 / K if min_share is None else _validate.real("min_share", min_share, 0, 1)
    finite = torch.isfinite(samples).all(-1)
    safe = torch.where(finite[..., None], samples, 0.0).to(centers.dtype)
    # No matrix-product shortcut: its cancellation would be larger than a small std.
    distance = (safe[..., :, None, :] - centers).square().sum(-1).sqrt()
    nearest, index = distance.min(-1)
    belongs = finite & (nearest <= radius * std)
    counts = (torch.nn.functional.one_hot(index, K) * belongs[..., None]).sum(-2).double()
    # A mode without any sample never counts, even for min_share = 0.
    reached = (counts >= min_share * samples.shape[-2] - 1e-9) & (counts > 0)
    return reached.sum(-1), belongs.double().mean(-1)
