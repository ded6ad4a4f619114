"""ResNet18 with pre-activation blocks, at any width."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro.nets._seeded import build_seeded, check_sizes


class _Block(nn.Module):
    """x -> shortcut + conv(relu(bn(conv(relu(bn(x)))))); a 1x1 shortcut branches off after the first activation."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        changes = stride != 1 or before != after
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False) if changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.relu(self.bn1(x))
        kept = x if self.shortcut is None else self.shortcut(inner)
        return kept + self.conv2(functional.relu(self.bn2(self.conv1(inner))))


class _ResNet18(nn.Module):
    def __init__(self, k: int, in_channels: int, num_classes: int):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, k, 3, padding=1, bias=False)
        blocks, before = [], k
        for stage in range(4):
            after = k * 2**stage
            blocks += [_Block(before, after, 1 if stage == 0 else 2), _Block(after, after, 1)]
            before = after
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(before, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the head sees, (B, 8k)."""
        return self.blocks(self.stem(x)).mean((-2, -1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def resnet18(k: int = 64, *, in_channels: int = 3, size: int = 32, num_classes: int = 10, seed: int = 0) -> nn.Module:
    """ResNet18 for small images, pre-activation, widths k, 2k, 4k, 8k, stride-1 stem, global mean before the head.

    Source: He et al. 2016, arXiv:1603.05027; as in Nakkiran et al., arXiv:1912.02292.

    Parameters
    ----------
    k
        Width of the first stage. 394,822 parameters at k = 12, 11,171,146 at 64.
    in_channels, num_classes
        Of the images and labels.
    size
        Of the images, >= 8; the weights do not depend on it.
    seed
        Same seed, same weights (torch's default initialization).

    Returns
    -------
    Module ``(B, in_channels, size, size) -> (B, num_classes)`` with ``features(x) -> (B, 8k)`` and ``head``.

    Raises
    ------
    ValueError
        Sizes < 1, size < 8.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import count_parameters
    >>> count_parameters(resnet18(12))
    394822
    >>> resnet18(1)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """
    check_sizes(k=k, in_channels=in_channels, num_classes=num_classes)
    _validate.positive_int("size", size, 8)
    return build_seeded(lambda: _ResNet18(k, in_channels, num_classes), seed)
