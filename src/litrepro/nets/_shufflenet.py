"""ShuffleNetV2 for small images."""

from __future__ import annotations

import torch
from torch import nn

from litrepro.nets._seeded import build_seeded, check_sizes

STEM = 24
STAGES = {0.5: (48, 96, 192, 1024), 1.0: (116, 232, 464, 1024), 1.5: (176, 352, 704, 1024), 2.0: (244, 488, 976, 2048)}
UNITS = (4, 8, 4)


def shufflenetv2(width: float = 1.0, *, in_channels: int = 3, num_classes: int = 10, seed: int = 0) -> nn.Module:
    """ShuffleNetV2 with a stride-1 stem and no max pooling (for images of 32 pixels).

    Source: Ma et al., ECCV 2018, arXiv:1807.11164, table 5 and figure 3 (c, d).

    Parameters
    ----------
    width
        0.5, 1.0 (1.26 million parameters), 1.5 or 2.0.
    in_channels, num_classes
        Of the images and labels.
    seed
        Same seed, same weights (torch's default initialization).

    Returns
    -------
    Module ``(B, in_channels, h, w) -> (B, num_classes)`` with ``features(x) -> (B, 1024)`` (2048 at width 2) and
    ``head``.

    Raises
    ------
    ValueError
        Another width, sizes < 1.

    Examples
    --------
    >>> from litrepro.nets import count_parameters
    >>> round(count_parameters(shufflenetv2(1.0)) / 1e6, 2)  # million
    1.26
    """
    check_sizes(in_channels=in_channels, num_classes=num_classes)
    if isinstance(width, bool) or not isinstance(width, int | float) or width not in STAGES:
        raise ValueError(f"width must be one of {', '.join(map(str, STAGES))}; got {width!r}")
    return build_seeded(lambda: _ShuffleNetV2(STAGES[width], in_channels, num_classes), seed)


def _conv(before: int, after: int) -> list[nn.Module]:
    """1x1 convolution, batch norm, ReLU."""
    return [nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def _depthwise(channels: int, stride: int) -> list[nn.Module]:
    """3x3 convolution of every channel by itself, batch norm, no activation."""
    return [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False), nn.BatchNorm2d(channels)]


def _compact(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


class _Unit(nn.Module):
    """Half of the channels pass, the other half is transformed; at stride 2 both halves see all and are transformed."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        half = after // 2
        incoming = before if stride == 2 else half
        self.right = nn.Sequential(*_conv(incoming, half), *_depthwise(half, stride), *_conv(half, half))
        self.left = nn.Sequential(*_depthwise(before, 2), *_conv(before, half)) if stride == 2 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.left is None:
            kept, changed = x.chunk(2, dim=1)
            parts = (kept, self.right(changed))
        else:
            parts = (self.left(x), self.right(x))
        # The shuffle: channels of the two halves alternate.
        if parts[1].is_contiguous(memory_format=torch.channels_last):  # and stays so: a GPU convolves it faster
            if parts[1].grad_fn is not None:  # its gradient is every second entry of another: slow to walk through
                parts[1].register_hook(_compact)
            return torch.stack([part.movedim(1, -1) for part in parts], dim=-1).flatten(-2).movedim(-1, 1)
        return torch.stack(parts, dim=2).flatten(1, 2)


class _ShuffleNetV2(nn.Module):
    def __init__(self, stages: tuple[int, ...], in_channels: int, num_classes: int):
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, STEM, 3, padding=1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(),
        ]
        before = STEM
        for after, units in zip(stages[:3], UNITS):
            layers += [_Unit(before, after, 2)] + [_Unit(after, after, 1) for _ in range(units - 1)]
            before = after
        self.body = nn.Sequential(*layers, *_conv(before, stages[3]))
        self.head = nn.Linear(stages[3], num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the head sees: the mean over the pixels, (B, q)."""
        return self.body(x).mean((-2, -1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))
