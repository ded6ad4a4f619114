"""The all-convolutional residual network of Hardt and Ma, and its plain twin."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro.nets._seeded import build_seeded, check_sizes

INITS = ("xavier", "small", "he")
HEADS = ("linear", "fixed")


class _Block(nn.Module):
    """x -> P x + conv3(relu(conv3(x) + b)); without P x if not residual; batch norm after each 3x3 if asked for."""

    def __init__(self, before: int, after: int, stride: int, batchnorm: bool, residual: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after) if batchnorm else nn.Identity()
        self.bn2 = nn.BatchNorm2d(after) if batchnorm else nn.Identity()
        self.residual = residual
        changes = before != after or stride != 1
        self.projection = nn.Conv2d(before, after, 1, stride, bias=False) if residual and changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if not self.residual:
            return inner
        return inner + (x if self.projection is None else self.projection(x))


class _AllConvResNet(nn.Module):
    def __init__(self, blocks, widths, stem, in_channels, num_classes, batchnorm, residual):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, stem, 3, padding=1, bias=False)
        layers, before = [], stem
        for stage, width in enumerate(widths):
            for index in range(blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(_Block(before, width, stride, batchnorm, residual))
                before = width
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(before, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the head sees: the mean over the pixels after a last ReLU, (B, q)."""
        return functional.relu(self.blocks(self.stem(x))).mean((-2, -1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def allconv_resnet(
    blocks: int,
    *,
    widths: Sequence[int] = (64, 128, 256),
    stem: int = 16,
    in_channels: int = 3,
    num_classes: int = 10,
    init: str = "xavier",
    head: str = "linear",
    batchnorm: bool = False,
    residual: bool = True,
    seed: int = 0,
) -> nn.Module:
    """A residual network of convolutions alone: no normalization, dropout or max pooling unless asked for.

    A 3x3 stem without bias, then per width ``blocks`` blocks x <- P x + conv3(relu(conv3(x) + b)), with stride 2 at
    the first block of the later widths; P is the identity, or a 1x1 projection without bias where the shape changes.
    A last ReLU, the mean over the pixels, the head. All biases start at 0. Source: Hardt and Ma, arXiv:1611.04231,
    section 4.

    Parameters
    ----------
    blocks
        Per width. With the default widths 2, 3, 8, 9 give 2,746,170, 4,294,906, 12,038,586 and 13,587,322 parameters
        in 13, 19, 49, 55 3x3 convolutions.
    widths, stem
        Channels of the stages and of the stem.
    in_channels, num_classes
        Of the images and labels.
    init
        ``"xavier"``: all weights Xavier uniform. ``"small"``: the blocks' 3x3 weights normal with standard deviation
        1/(9c), c their output channels, the rest Xavier uniform. ``"he"``: all weights Kaiming normal (fan-in, ReLU).
    head
        ``"linear"``: trained. ``"fixed"``: weights normal with variance 1/q, bias 0, both frozen.
    batchnorm
        Batch norm after each 3x3 convolution of a block.
    residual
        False: the plain twin, blocks without P x and without its weights.
    seed
        Same seed, same weights. Variants of one size share what they have in common: the plain and the residual
        network start from the same 3x3 weights, "linear" and "fixed" from the same body.

    Returns
    -------
    Module ``(B, in_channels, h, w) -> (B, num_classes)`` with ``features(x) -> (B, widths[-1])`` and ``head``.

    Raises
    ------
    ValueError
        Sizes < 1, no widths, unknown ``init`` or ``head``.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import count_parameters
    >>> count_parameters(allconv_resnet(2))
    2746170
    >>> net = allconv_resnet(1, widths=(4, 8), stem=2, in_channels=1)
    >>> net(torch.zeros(3, 1, 8, 8)).shape, net.features(torch.zeros(3, 1, 8, 8)).shape
    (torch.Size([3, 10]), torch.Size([3, 8]))
    """
    check_sizes(blocks=blocks, stem=stem, in_channels=in_channels, num_classes=num_classes)
    widths = tuple(_validate.positive_int("widths", width) for width in _validate.sequence("widths", widths))
    _validate.choice("init", init, INITS)
    _validate.choice("head", head, HEADS)
    seed = _validate.seed("seed", seed)
    parts = (blocks, widths, stem, in_channels, num_classes, bool(batchnorm), bool(residual))
    model = build_seeded(lambda: _AllConvResNet(*parts), seed)
    _start(model, init, head, seed)
    return model


@torch.no_grad()
def _start(model: _AllConvResNet, init: str, head: str, seed: int) -> None:
    """Draw the weights: stem, 3x3 convolutions and head in this order, projections from a stream of their own."""
    main = torch.Generator().manual_seed(seed)
    side = torch.Generator().manual_seed((seed + 2**32) % 2**64)
    _draw(model.stem.weight, "he" if init == "he" else "xavier", main)
    for block in model.blocks:
        for conv in (block.conv1, block.conv2):
            _draw(conv.weight, init, main)
        nn.init.zeros_(block.conv1.bias)
        if block.projection is not None:
            _draw(block.projection.weight, "he" if init == "he" else "xavier", side)
    nn.init.zeros_(model.head.bias)
    if head == "linear":
        _draw(model.head.weight, "he" if init == "he" else "xavier", main)
    else:
        model.head.weight.normal_(0.0, model.head.in_features**-0.5, generator=main)
        model.head.requires_grad_(False)


def _draw(weight: torch.Tensor, init: str, generator: torch.Generator) -> None:
    if init == "xavier":
        nn.init.xavier_uniform_(weight, generator=generator)
    elif init == "he":
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    else:
        weight.normal_(0.0, 1.0 / (9 * weight.shape[0]), generator=generator)


@torch.no_grad()
def fixup_(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give an ``allconv_resnet`` Fixup's initialization (without its scalar biases and multipliers); in place.

    In every block the first 3x3 convolution is Kaiming normal times 1/sqrt(number of blocks), the second is 0; the head
    is 0. At the start every block is its shortcut, and one step moves the output by an amount that does not grow with
    the depth.

    Raises ``ValueError`` for another network. Source: Zhang, Dauphin and Ma, arXiv:1901.09321, section 3.

    Examples
    --------
    >>> import torch
    >>> net = fixup_(allconv_resnet(1, widths=(4, 8), stem=2))
    >>> net(torch.rand(2, 3, 8, 8))[0].abs().max().item()  # the head starts at zero
    0.0
    """
    if not isinstance(model, _AllConvResNet):
        raise ValueError(f"model must be an allconv_resnet, got {type(model).__name__}")
    generator = torch.Generator().manual_seed(_validate.seed("seed", seed))
    for block in model.blocks:
        nn.init.kaiming_normal_(block.conv1.weight, nonlinearity="relu", generator=generator)
        block.conv1.weight.mul_(len(model.blocks) ** -0.5)
        nn.init.zeros_(block.conv2.weight)
    nn.init.zeros_(model.head.weight)
    return model
