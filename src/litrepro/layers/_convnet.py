"""The convolutional baselines of the Sudoku table."""

from __future__ import annotations

import torch
from torch import nn

from litrepro import _validate
from litrepro.layers._partial import partly_known
from litrepro.nets._seeded import build_seeded


class ConvNetSudoku(nn.Module):
    """A plain convolutional network on the board: n digit channels, with or without n channels of the mask.

    Parameters
    ----------
    n
        Side of the board.
    mask
        Whether the network sees which bits are known.
    width, depth
        Channels, and 3 x 3 convolutions with rectifiers; a 1 x 1 convolution and a sigmoid follow.
    seed
        Of the weights.
    norm
        Batch normalization between every convolution and its rectifier. Without it a network of eight layers does not
        leave the uniform guess on 9x9 boards in hundreds of steps; a network of four layers learns 4x4 boards.

    Notes
    -----
    ``forward(z (..., n^3), known (..., n^3) bool) -> (..., n^3)`` in [0, 1], as ``SATNet``: unknown bits enter
    as zero, known ones are returned as they came. The network computes in the dtype of its weights; the output has it
    too unless z has a wider one.

    Raises ``ValueError`` for sizes < 1, another last dimension, a mask that is not boolean, and known entries outside
    [0, 1].

    Examples
    --------
    >>> net = ConvNetSudoku(4, True, 8, 2)
    >>> net(torch.zeros(3, 64), torch.zeros(3, 64, dtype=torch.bool)).shape
    torch.Size([3, 64])
    """

    def __init__(self, n: int, mask: bool, width: int, depth: int, *, seed: int = 0, norm: bool = False):
        super().__init__()
        self.n, self.mask = _validate.positive_int("n", n), bool(mask)
        width, depth = _validate.positive_int("width", width), _validate.positive_int("depth", depth)
        channels = 2 * n if mask else n
        sizes = [(channels, width)] + [(width, width)] * (depth - 1)

        def build() -> tuple[nn.Module, nn.Module]:
            layers: list[nn.Module] = []
            for i, o in sizes:
                between = [nn.BatchNorm2d(o)] if norm else []
                layers += [nn.Conv2d(i, o, 3, padding=1), *between, nn.ReLU()]
            return nn.Sequential(*layers), nn.Conv2d(width, n, 1)

        self.body, self.head = build_seeded(build, _validate.seed("seed", seed))

    def forward(self, z: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """(..., n^3) in [0, 1] and (..., n^3) bool -> (..., n^3)."""
        n, dtype = self.n, self.head.weight.dtype
        known = partly_known(z, known, n**3)
        bits = torch.where(known, z.to(dtype), 0.0).reshape(-1, n, n, n).permute(0, 3, 1, 2)
        if self.mask:
            bits = torch.cat([bits, known.to(dtype).reshape(-1, n, n, n).permute(0, 3, 1, 2)], 1)
        # Under autocast the logits are rounded; probabilities must not be, or those near one become one.
        found = torch.sigmoid(self.head(self.body(bits)).to(dtype)).permute(0, 2, 3, 1).reshape(z.shape)
        return torch.where(known, z, found)
