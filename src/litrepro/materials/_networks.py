"""Networks for boundary maps of periodic microstructures: a U-Net and a patch discriminator."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate

DEEPEST = 12  # levels: images of 2,048 pixels


class GrainUNet(nn.Module):
    """A U-Net on the torus: boundary maps (b, 1, n, n) in, boundary logits (b, 1, n, n) out.

    Every convolution pads circularly, so a shifted input gives a shifted output (by multiples of 2^(levels - 1)).

    Parameters
    ----------
    width
        Channels of the finest level; they double per level.
    levels
        Resolutions, 1 to 12; n must be a multiple of 2^(levels - 1).
    generator
        Of the initial weights: a generator or a seed.

    Raises ``ValueError`` for sizes out of range, and in ``forward`` for an n that does not divide. Inputs are converted
    to the dtype of the weights.

    Source: Ronneberger, Fischer and Brox 2015; as a conditional generator Isola et al. 2017.

    Examples
    --------
    >>> import torch
    >>> net = GrainUNet(4, 2, generator=0).eval()
    >>> x = torch.zeros(1, 1, 8, 8)
    >>> x[..., 2, 3] = 1.0
    >>> net(x).shape, torch.allclose(net(x.roll(2, -1)), net(x).roll(2, -1), atol=1e-5)  # on the torus
    (torch.Size([1, 1, 8, 8]), True)
    """

    def __init__(self, width: int = 12, levels: int = 3, *, generator: torch.Generator | int | None = None):
        super().__init__()
        width, self.levels = _validate.positive_int("width", width), _validate.positive_int("levels", levels)
        if self.levels > DEEPEST:
            raise ValueError(f"levels must be at most {DEEPEST}, got {self.levels}: n is a multiple of 2^(levels - 1)")
        sizes = [width << level for level in range(self.levels)]
        with torch.random.fork_rng(devices=[]):  # layers draw from the global generator when they are built
            self.down = nn.ModuleList(_Block(before, size) for before, size in zip([1, *sizes], sizes))
            self.up = nn.ModuleList(_Block(3 * size, size) for size in sizes[-2::-1])
            self.head = nn.Conv2d(width, 1, 1)
        _initialize(self, generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 1, n, n) -> logits (b, 1, n, n)."""
        step = 1 << (self.levels - 1)
        _validate.float_tensor("x", x)
        if x.ndim != 4 or x.shape[1] != 1 or x.shape[-1] % step or x.shape[-2] % step or not x.shape[-1] * x.shape[-2]:
            raise ValueError(f"x must have shape (b, 1, n, n) with n a multiple of {step}, got {tuple(x.shape)}")
        skips, x = [], x.to(self.head.weight.dtype)
        for level, block in enumerate(self.down):
            x = block(functional.avg_pool2d(x, 2) if level else x)
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1]):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2, mode="nearest"), skip], 1))
        return self.head(x)


class PatchDiscriminator(nn.Module):
    """Judges patches of an (input, output) pair: (b, 2, n, n) -> logits (b, patches), one per 4 x 4 pixels.

    Source: Isola, Zhu, Zhou and Efros 2017. Arguments as for ``GrainUNet``.

    Examples
    --------
    >>> import torch
    >>> PatchDiscriminator(4, generator=0)(torch.zeros(3, 2, 16, 16)).shape
    torch.Size([3, 16])
    """

    def __init__(self, width: int = 12, *, generator: torch.Generator | int | None = None):
        super().__init__()
        width = _validate.positive_int("width", width)
        with torch.random.fork_rng(devices=[]):
            self.layers = nn.Sequential(
                _TorusConv2d(2, width, 4, 2, 1),
                nn.LeakyReLU(0.2),
                _TorusConv2d(width, 2 * width, 4, 2, 1),
                nn.GroupNorm(1, 2 * width),
                nn.LeakyReLU(0.2),
                _TorusConv2d(2 * width, 1, 3, 1, 1),
            )
        _initialize(self, generator)

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        """(b, 2, n, n) -> (b, patches)."""
        _validate.float_tensor("pair", pair)
        if pair.ndim != 4 or pair.shape[1] != 2 or min(pair.shape[-2:]) < 4:
            raise ValueError(f"pair must have shape (b, 2, n, n) with n >= 4, got {tuple(pair.shape)}")
        return self.layers(pair.to(self.layers[0].weight.dtype)).flatten(1)


class _Wrap(torch.autograd.Function):
    """Circular padding (..., n, n) -> (..., n + 2 p, n + 2 p).

    The gradient of ``functional.pad(mode="circular")`` fills and adds an array of full size for every edge, which costs
    as much as the convolutions; here only the edges are added.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor, reach: int) -> torch.Tensor:
        rows, columns = x.shape[-2:]
        wide = x.new_empty(*x.shape[:-2], rows + 2 * reach, columns + 2 * reach)
        middle = wide[..., reach : rows + reach, :]
        middle[..., reach : columns + reach] = x
        middle[..., :reach], middle[..., columns + reach :] = x[..., -reach:], x[..., :reach]
        wide[..., :reach, :], wide[..., rows + reach :, :] = middle[..., -reach:, :], middle[..., :reach, :]
        return wide

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.reach = inputs[1]

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        reach = ctx.reach
        for axis in (-2, -1):
            size = gradient.shape[axis] - 2 * reach
            inner = gradient.narrow(axis, reach, size).clone()
            inner.narrow(axis, size - reach, reach).add_(gradient.narrow(axis, 0, reach))
            inner.narrow(axis, 0, reach).add_(gradient.narrow(axis, size + reach, reach))
            gradient = inner
        return gradient, None


class _TorusConv2d(nn.Conv2d):
    """A convolution with circular padding, the same on all sides."""

    def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return functional.conv2d(_Wrap.apply(x, self.padding[0]), weight, bias, self.stride)


class _Block(nn.Sequential):
    """Two circular 3 x 3 convolutions with group normalization."""

    def __init__(self, before: int, after: int):
        layers: list[nn.Module] = []
        for channels in (before, after):
            layers += [
                _TorusConv2d(channels, after, 3, padding=1),
                nn.GroupNorm(math.gcd(4, after), after),
                nn.ReLU(),
            ]
        super().__init__(*layers)


def _initialize(module: nn.Module, generator: torch.Generator | int | None) -> None:
    """He's initialization from a generator of our own."""
    source = _validate.random_source("generator", generator)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan = layer.in_channels * math.prod(layer.kernel_size)
            with torch.no_grad():
                draw = torch.randn(layer.weight.shape, generator=source, device=source.device)
                layer.weight.copy_(draw * math.sqrt(2 / fan))
                layer.bias.zero_()
