"""The convolutional network of TensorFlow's old MNIST tutorial, with plain or factored dense layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro.nets._factored import FactoredLinear

STD = 0.1


class _MnistConvNet(nn.Module):
    """Two convolutions, a dense layer, an output layer; see ``mnist_convnet``."""

    def __init__(self, channels, hidden, factored, dropout, in_channels, size, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels[0], 5, padding=2)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 5, padding=2)
        flat = channels[1] * (size // 2 // 2) ** 2
        layer = FactoredLinear if factored else nn.Linear
        self.dense = layer(flat, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = layer(hidden, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, c, size, size) to (B, hidden), what the head sees (after dropout when training)."""
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.dropout(functional.relu(self.dense(x.flatten(1))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, c, size, size) to scores (B, num_classes)."""
        return self.head(self.features(x))


def mnist_convnet(
    channels: Sequence[int] = (32, 64),
    hidden: int = 512,
    *,
    factored: bool = False,
    dropout: float = 0.5,
    in_channels: int = 1,
    size: int = 28,
    num_classes: int = 10,
    seed: int = 0,
) -> nn.Module:
    """Twice (5x5 convolution, ReLU, 2x2 max pooling), a dense layer with ReLU and dropout, an output layer.

    Parameters
    ----------
    channels
        Of the two convolutions.
    hidden
        Width of the dense layer.
    factored
        The dense layer's weight is times a hidden x hidden factor, the output layer's times a
        num_classes x num_classes one (``FactoredLinear`` of depth 2).
    dropout
        Probability in [0, 1) after the dense layer.
    in_channels, size, num_classes
        Of the images (size >= 4) and labels.
    seed
        Same seed, same weights; the global generator is left as it was. All layers that a plain and a factored network
        share start from the same values.

    Returns
    -------
    Module with ``features(x) -> (B, hidden)`` and ``head``.

    Raises
    ------
    ValueError
        Sizes < 1, not two channels, size < 4, dropout outside [0, 1).

    Notes
    -----
    Every weight and factor is a normal of standard deviation 0.1 cut at two deviations; the first convolution's bias
    is 0, the others 0.1. Source: Arora, Cohen and Hazan 2018, section 8, on TensorFlow's tutorial network.

    Examples
    --------
    >>> import torch
    >>> net = mnist_convnet((2, 3), 4, size=8).eval()
    >>> net(torch.zeros(5, 1, 8, 8)).shape, net.features(torch.zeros(5, 1, 8, 8)).shape
    (torch.Size([5, 10]), torch.Size([5, 4]))
    """
    channels = tuple(_validate.positive_int("channels", c) for c in _validate.sequence("channels", channels))
    if len(channels) != 2:
        raise ValueError(f"channels must be two numbers, got {channels}")
    for name, value in (("hidden", hidden), ("in_channels", in_channels), ("num_classes", num_classes)):
        _validate.positive_int(name, value)
    _validate.positive_int("size", size, 4)
    _validate.real("dropout", dropout, 0, 1, open_high=True)
    seed = _validate.seed("seed", seed)
    with torch.random.fork_rng(devices=[]):
        model = _MnistConvNet(channels, hidden, bool(factored), dropout, in_channels, size, num_classes)
    _start(model, seed)
    return model


def _start(model: _MnistConvNet, seed: int) -> None:
    """Truncated normal weights; first all that plain and factored networks share, then the extra factors."""
    generator = torch.Generator().manual_seed(seed)
    layers = (model.conv1, model.conv2, model.dense, model.head)
    weights = [layer.factors[0] if isinstance(layer, FactoredLinear) else layer.weight for layer in layers]
    extra = [layer.factors[1] for layer in layers if isinstance(layer, FactoredLinear)]
    with torch.no_grad():
        for weight in weights + extra:
            nn.init.trunc_normal_(weight, std=STD, a=-2 * STD, b=2 * STD, generator=generator)
        for index, layer in enumerate(layers):
            layer.bias.fill_(0.0 if index == 0 else 0.1)
