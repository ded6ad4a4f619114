"""Small convolutional classifiers: LeNet, the five-layer network of double descent, a three-block VGG."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from litrepro import _validate
from litrepro.nets._seeded import build_seeded, check_sizes


class _Classifier(nn.Module):
    """A body whose flattened output is what the linear head sees."""

    def __init__(self, body: nn.Module, features: int, num_classes: int):
        super().__init__()
        self.body = body
        self.head = nn.Linear(features, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the head sees, (B, q)."""
        return self.body(x).flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def lenet(num_classes: int = 10, *, in_channels: int = 1, size: int = 28, seed: int = 0) -> nn.Module:
    """LeNet-5 with ReLU and max pooling (LeCun et al. 1998): two 5x5 convolutions, dense layers of 120 and 84.

    Parameters
    ----------
    num_classes, in_channels, size
        Of the labels and images; size >= 12.
    seed
        Same seed, same weights (torch's default initialization).

    Returns
    -------
    Module ``(B, in_channels, size, size) -> (B, num_classes)`` with ``features(x) -> (B, 84)`` and ``head``.

    Raises
    ------
    ValueError
        Sizes < 1, or images too small for the two convolutions.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import count_parameters
    >>> lenet()(torch.zeros(2, 1, 28, 28)).shape, count_parameters(lenet())
    (torch.Size([2, 10]), 61706)
    """
    check_sizes(num_classes=num_classes, in_channels=in_channels)
    side = (_validate.positive_int("size", size, 12) // 2 - 4) // 2

    def build() -> nn.Module:
        body = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * side * side, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        return _Classifier(body, 84, num_classes)

    return build_seeded(build, seed)


def cnn5(k: int, *, in_channels: int = 3, size: int = 32, num_classes: int = 10, seed: int = 0) -> nn.Module:
    """Four times (3x3 convolution, batch norm, ReLU, max pooling) of widths k, 2k, 4k, 8k, and a linear head.

    The pools are 1, 2, 2 and what is left of the image (8 at 32 pixels); the convolutions have padding 1 and no bias.
    Source: Nakkiran et al., arXiv:1912.02292, appendix B, after Page's "How to train your ResNet".

    Parameters
    ----------
    k
        Width of the first layer. 56,086 parameters at k = 12, 1.56 million at 64.
    in_channels, size, num_classes
        Of the images and labels; size >= 4.
    seed
        Same seed, same weights (torch's default initialization).

    Returns
    -------
    Module ``(B, in_channels, size, size) -> (B, num_classes)`` with ``features(x) -> (B, 8k)`` and ``head``.

    Raises
    ------
    ValueError
        Sizes < 1, size < 4.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import count_parameters
    >>> count_parameters(cnn5(12))
    56086
    >>> cnn5(2)(torch.zeros(3, 3, 32, 32)).shape
    torch.Size([3, 10])
    """
    check_sizes(k=k, in_channels=in_channels, num_classes=num_classes)
    _validate.positive_int("size", size, 4)

    def build() -> nn.Module:
        widths = (in_channels, k, 2 * k, 4 * k, 8 * k)
        layers: list[nn.Module] = []
        for before, after, pool in zip(widths[:-1], widths[1:], (1, 2, 2, size // 4)):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(pool)] if pool > 1 else []
        return _Classifier(nn.Sequential(*layers), 8 * k, num_classes)

    return build_seeded(build, seed)


def vgg3(
    channels: Sequence[int] = (32, 64, 128),
    batch_norm: bool = True,
    dropout: Sequence[float] = (0.2, 0.3, 0.4, 0.2),
    *,
    in_channels: int = 3,
    size: int = 32,
    num_classes: int = 10,
    seed: int = 0,
) -> nn.Module:
    """Three VGG blocks and two dense layers: 22 layers with batch norm, activations not counted.

    Block: twice (3x3 convolution, ReLU, batch norm), 2x2 max pooling, dropout. Then flatten, dense 128 with ReLU,
    dropout, dense output. Weights are He uniform, biases 0.

    Parameters
    ----------
    channels
        Of the three blocks.
    batch_norm
        False: the common variant without.
    dropout
        Probabilities in [0, 1) after the three blocks and after the dense layer.
    in_channels, size, num_classes
        Of the images and labels; size >= 8.
    seed
        Same seed, same weights. The dropout masks are the caller's.

    Returns
    -------
    Module ``(B, in_channels, size, size) -> (B, num_classes)`` with ``features(x) -> (B, 128)`` and ``head``.

    Raises
    ------
    ValueError
        Sizes < 1, size < 8, not three channels, not four probabilities in [0, 1).

    Examples
    --------
    >>> import torch
    >>> net = vgg3((2, 3, 4), size=8)
    >>> net(torch.zeros(5, 3, 8, 8)).shape, net.features(torch.zeros(5, 3, 8, 8)).shape
    (torch.Size([5, 10]), torch.Size([5, 128]))
    """
    channels = tuple(_validate.positive_int("channels", c) for c in _validate.sequence("channels", channels))
    dropout = _validate.sequence("dropout", dropout)
    dropout = tuple(_validate.real("dropout", p, 0, 1, open_high=True) for p in dropout)
    if len(channels) != 3 or len(dropout) != 4:
        raise ValueError(f"expected 3 channels and 4 dropout probabilities, got {channels} and {dropout}")
    check_sizes(in_channels=in_channels, num_classes=num_classes)
    _validate.positive_int("size", size, 8)

    def build() -> nn.Module:
        layers: list[nn.Module] = []
        widths = (in_channels, *channels)
        for before, after, probability in zip(widths[:-1], widths[1:], dropout):
            for incoming in (before, after):
                layers += [nn.Conv2d(incoming, after, 3, padding=1), nn.ReLU()]
                layers += [nn.BatchNorm2d(after)] if batch_norm else []
            layers += [nn.MaxPool2d(2), nn.Dropout(probability)]
        flat = channels[-1] * (size // 8) ** 2
        layers += [nn.Flatten(), nn.Linear(flat, 128), nn.ReLU(), nn.Dropout(dropout[-1])]
        model = _Classifier(nn.Sequential(*layers), 128, num_classes)
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        return model

    return build_seeded(build, seed)
