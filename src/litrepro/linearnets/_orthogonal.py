"""Orthogonal starts of deep linear networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from litrepro import _validate


def orthogonal_factors(
    d_in: int,
    d_out: int,
    width: int,
    depth: int,
    *,
    generator: torch.Generator | int | None = None,
    batch: Sequence[int] = (),
    dtype: torch.dtype = torch.float64,
) -> list[torch.Tensor]:
    """Random factors with W_1^T W_1 = m I, W_l^T W_l = W_l W_l^T = m I, W_L W_L^T = m I, m the width.

    With the output scaled by 1/sqrt(m^{L-1} d_out) the tangent Gram matrix at the start is exactly
    (L/d_out) X^T X kron I (inputs in the columns of X), whatever the depth.

    Parameters
    ----------
    d_in, d_out, width, depth
        Sizes; width >= max(d_in, d_out), depth >= 2.
    generator
        Source of randomness, or its seed (0 if None); the factors are drawn on its device.
    batch
        Leading dimensions: independent draws.

    Returns
    -------
    ``[W_1 (*batch, width, d_in), W_l (*batch, width, width), W_L (*batch, d_out, width)]``, Haar distributed.

    Raises ``ValueError`` for sizes below 1, a width that is too small, depth < 2, a dtype that is neither float32 nor
    float64.

    Source: Hu, Xiao and Pennington 2020 (arXiv 2001.05992), section 4.

    Examples
    --------
    >>> import torch
    >>> first, last = orthogonal_factors(3, 2, 5, 2)
    >>> [bool((M - 5 * torch.eye(len(M))).norm() < 1e-9) for M in (first.mT @ first, last @ last.mT)]
    [True, True]
    """
    sizes = {"d_in": d_in, "d_out": d_out, "width": width}
    d_in, d_out, width = (_validate.positive_int(name, size) for name, size in sizes.items())
    depth = _validate.positive_int("depth", depth, 2)
    if width < max(d_in, d_out):
        raise ValueError(f"width must be at least max(d_in, d_out) = {max(d_in, d_out)}, got {width}")
    batch = tuple(_validate.positive_int("batch", size, 0) for size in _validate.sequence("batch", batch, 0))
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {dtype!r}")
    generator = _validate.random_source("generator", generator)

    def columns(count: int) -> torch.Tensor:
        """(*batch, width, count) with orthogonal columns of length sqrt(width)."""
        g = torch.randn(*batch, width, count, generator=generator, dtype=dtype, device=generator.device)
        q, r = torch.linalg.qr(g)
        # Without the signs of R the law of Q is not Haar's (Mezzadri 2007).
        return width**0.5 * q * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)[..., None, :].to(dtype)

    return [columns(d_in), *(columns(width) for _ in range(depth - 2)), columns(d_out).mT.contiguous()]
