"""Generators and discriminators that run under ``torch.func.vmap``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from litrepro import _validate

SLOPE = 0.2  # of the leaky rectifiers (Radford et al. 2015)


class MLPGenerator(nn.Module):
    """Noise to samples through a perceptron: ``(n, latent) -> (n, *out_shape)``.

    Parameters
    ----------
    latent
        Dimension of the noise; the attribute ``latent``.
    width
        Of the hidden layers.
    out_shape
        Shape of one sample. Images (two dimensions or more) leave through tanh, in [-1, 1]; vectors are linear.
    depth
        Number of hidden layers, >= 1.

    Raises
    ------
    ValueError
        Sizes < 1, and in ``forward`` inputs of another shape.

    Examples
    --------
    >>> import torch
    >>> MLPGenerator(8, 16, (1, 28, 28))(torch.zeros(3, 8)).shape
    torch.Size([3, 1, 28, 28])
    """

    def __init__(self, latent: int, width: int, out_shape: Sequence[int], depth: int = 2):
        super().__init__()
        self.latent = _validate.positive_int("latent", latent)
        self.out_shape = _shape("out_shape", out_shape)
        self.body = _perceptron(self.latent, width, math.prod(self.out_shape), depth)
        self.squash = nn.Tanh() if len(self.out_shape) > 1 else nn.Identity()

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(n, latent) to (n, *out_shape)."""
        return self.squash(self.body(_noise(z, self.latent))).unflatten(-1, self.out_shape)


class MLPDiscriminator(nn.Module):
    """Samples to logits through a perceptron: ``(n, *in_shape) -> (n,)``.

    Parameters
    ----------
    in_shape
        Shape of one sample.
    width
        Of the hidden layers.
    depth
        Number of hidden layers, >= 1.

    Raises
    ------
    ValueError
        Sizes < 1, and in ``forward`` inputs of another shape.

    Examples
    --------
    >>> import torch
    >>> MLPDiscriminator((2,), 16)(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def __init__(self, in_shape: Sequence[int], width: int, depth: int = 2):
        super().__init__()
        self.in_shape = _shape("in_shape", in_shape)
        self.body = _perceptron(math.prod(self.in_shape), width, 1, depth)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, *in_shape) to logits (n,)."""
        _images(x, self.in_shape)
        return self.body(x.flatten(1))[:, 0]


class DCGenerator(nn.Module):
    """A convolutional generator of 28 x 28 images after Radford et al. 2015: ``(n, latent) -> (n, 1, 28, 28)``.

    Parameters
    ----------
    latent
        Dimension of the noise; the attribute ``latent``.
    width
        Channels before the image; the layer below has twice as many.

    Notes
    -----
    Batch normalization uses the batch's own statistics, at sampling time too: running ones cannot be updated under
    vmap.

    Raises
    ------
    ValueError
        Sizes < 1, and in ``forward`` inputs of another shape.

    Examples
    --------
    >>> import torch
    >>> DCGenerator(16, 4)(torch.zeros(3, 16)).shape
    torch.Size([3, 1, 28, 28])
    """

    def __init__(self, latent: int, width: int):
        super().__init__()
        self.latent = _validate.positive_int("latent", latent)
        width = _validate.positive_int("width", width)
        self.body = nn.Sequential(
            nn.Linear(self.latent, 2 * width * 49),
            nn.Unflatten(1, (2 * width, 7, 7)),
            nn.BatchNorm2d(2 * width, track_running_stats=False),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            nn.BatchNorm2d(width, track_running_stats=False),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(width, 1, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(n, latent) to (n, 1, 28, 28), in [-1, 1]."""
        return self.body(_noise(z, self.latent))


class DCDiscriminator(nn.Module):
    """A convolutional discriminator of 28 x 28 images after Radford et al. 2015: ``(n, 1, 28, 28) -> (n,)``.

    Parameters
    ----------
    width
        Channels of the first layer; the second has twice as many, and batch normalization.

    Raises
    ------
    ValueError
        width < 1, and in ``forward`` inputs of another shape.

    Examples
    --------
    >>> import torch
    >>> DCDiscriminator(4)(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3])
    """

    def __init__(self, width: int):
        super().__init__()
        width = _validate.positive_int("width", width)
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.BatchNorm2d(2 * width, track_running_stats=False),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(2 * width * 49, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 1, 28, 28) to logits (n,)."""
        _images(x, (1, 28, 28))
        return self.body(x)[:, 0]


def _shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(_validate.positive_int(name, size) for size in _validate.sequence(name, shape))


def _noise(z: torch.Tensor, latent: int) -> torch.Tensor:
    if _validate.float_tensor("z", z).ndim != 2 or z.shape[1] != latent:
        raise ValueError(f"z must be (n, {latent}), got shape {tuple(z.shape)}")
    return z


def _images(x: torch.Tensor, shape: tuple[int, ...]) -> None:
    if _validate.float_tensor("x", x, 1).shape[1:] != shape:
        raise ValueError(f"x must be (n, {', '.join(map(str, shape))}), got shape {tuple(x.shape)}")


def _perceptron(inputs: int, width: int, outputs: int, depth: int) -> nn.Sequential:
    width, depth = _validate.positive_int("width", width), _validate.positive_int("depth", depth)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.LeakyReLU(SLOPE)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
