"""A U-shaped convolutional net of one flat weight vector, for the inversion at full scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from litrepro import _validate


def inversion_convnet(
    shape: Sequence[int], size: int, *, width: int = 16, depth: int = 3, device: torch.device | str = "cpu"
):
    """(model, start): seismograms (b, shots, samples, receivers) to velocities (b, size * size).

    Seismograms are resampled to size x size; ``depth`` levels of two 3 x 3 convolutions with tanh, halved by averaging
    and doubled again, with skips (after Ronneberger, Fischer and Brox 2015, small). tanh keeps the curvature honest.

    Parameters
    ----------
    shape
        (shots, samples, receivers).
    size
        Side of the model; divisible by 2^(depth - 1).
    width
        Channels of the first level; each level below has twice as many.

    Returns
    -------
    ``model(w (d,), x) -> (b, size^2)`` and ``start(seeds) -> (S, d)``. Raises ``ValueError`` for a size that cannot be
    halved.

    Examples
    --------
    >>> model, start = inversion_convnet((2, 5, 8), 8, width=2, depth=2)
    >>> model(start([0])[0], torch.zeros(3, 2, 5, 8)).shape
    torch.Size([3, 64])
    """
    width, depth = _validate.positive_int("width", width), _validate.positive_int("depth", depth)
    shape = [_validate.positive_int("shape", part) for part in _validate.sequence("shape", shape)]
    if len(shape) != 3:
        raise ValueError(f"shape must be (shots, samples, receivers), got {tuple(shape)}")
    size, device = _validate.positive_int("size", size), _validate.device("device", device)
    if size % 2 ** (depth - 1):
        raise ValueError(f"size must be divisible by {2 ** (depth - 1)}, got {size}")
    channels = [width * 2**level for level in range(depth)]
    down = list(zip([shape[0], *channels[:-1]], channels))
    up = [(channels[level] + channels[level + 1], channels[level]) for level in range(depth - 2, -1, -1)]
    layers = [pair for i, o in [*down, *up] for pair in ((i, o, 3), (o, o, 3))] + [(width, 1, 1)]
    sizes = [part for i, o, k in layers for part in (i * o * k * k, o)]

    def model(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        parts = w.split(sizes)

        def convolve(index: int, u: torch.Tensor) -> torch.Tensor:
            i, o, k = layers[index]
            return functional.conv2d(u, parts[2 * index].reshape(o, i, k, k), parts[2 * index + 1], padding=k // 2)

        def block(number: int, u: torch.Tensor) -> torch.Tensor:
            return torch.tanh(convolve(2 * number + 1, torch.tanh(convolve(2 * number, u))))

        u = functional.adaptive_avg_pool2d(x, (size, size))
        skips = []
        for level in range(depth):
            u = block(level, u)
            if level < depth - 1:
                skips.append(u)
                u = functional.avg_pool2d(u, 2)
        for number in range(depth, 2 * depth - 1):
            u = u.repeat_interleave(2, -1).repeat_interleave(2, -2)
            u = block(number, torch.cat([u, skips.pop()], -3))
        return convolve(len(layers) - 1, u).flatten(-3)

    def start(seeds: Sequence[int]) -> torch.Tensor:
        members = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            pieces = []
            for i, o, k in layers:
                pieces.append(torch.randn(i * o * k * k, generator=generator, device="cpu") / math.sqrt(i * k * k))
                pieces.append(torch.zeros(o, device="cpu"))
            members.append(torch.cat(pieces))
        return torch.stack(members).to(device)

    return model, start
