"""A ReLU residual network that fits any labels, written down instead of trained."""

from __future__ import annotations

import torch
from torch import nn

from litrepro import _validate


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """A layer whose weights are still to be written: nothing is drawn, from the global generator least of all."""
    return nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias, dtype=torch.float64)


class _Block(nn.Module):
    """u + V relu(U u + s)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.inner = _linear(width, hidden)
        self.outer = _linear(hidden, width, bias=False)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return u + self.outer(torch.relu(self.inner(u)))


class _Interpolant(nn.Module):
    def __init__(self, d: int, blocks: int, hidden: int, num_classes: int):
        super().__init__()
        self.register_buffer("centre", torch.zeros(d, dtype=torch.float64))
        self.stem = _linear(d, 1 + num_classes, bias=False)
        self.blocks = nn.Sequential(*(_Block(1 + num_classes, hidden) for _ in range(blocks)))
        self.head = _linear(1 + num_classes, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The projection and the scores, (B, 1 + num_classes)."""
        return self.blocks(self.stem(x.flatten(1).double() - self.centre))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


@torch.no_grad()
def interpolating_resnet(
    x: torch.Tensor, y: torch.Tensor, num_classes: int, *, hidden: int = 12, seed: int = 0
) -> nn.Module:
    """Residual blocks u + V relu(U u + s) that give every example its label, whatever the labels are.

    The state u is a random projection t = <w, x> (of x minus the first example, where all are far from 0 and near each
    other) beside one score per class. Three units make a bump in t that is 1 at one example and 0 at all others; a
    block holds floor(hidden / 3) of them, and adds each to the score of its label.

    Parameters
    ----------
    x, y
        (n, ...) distinct examples and (n,) integer labels in 0..num_classes-1.
    num_classes
        K >= 1.
    hidden
        Units per block, >= 3.
    seed
        Of the projection.

    Returns
    -------
    Module ``(B, ...) -> (B, K)`` in float64 with ceil(n / floor(hidden / 3)) blocks, ``features`` and ``head``: the
    score of the label is 1 at the n examples, the others 0. Its weights grow like one over the smallest gap between
    projections.

    Raises
    ------
    ValueError
        Duplicate examples, hidden < 3, labels out of range, shapes that do not fit.

    Source: after Hardt and Ma, arXiv:1611.04231, theorem 3.2.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> y = torch.tensor([0, 1, 1, 0])
    >>> interpolating_resnet(x, y, 2)(x).argmax(-1)
    tensor([0, 1, 1, 0])
    """
    num_classes, hidden = (
        _validate.positive_int("num_classes", num_classes),
        _validate.positive_int("hidden", hidden, 3),
    )
    seed = _validate.seed("seed", seed)
    points, labels = _check(x, y, num_classes)
    w, t, centre = _projection(points, seed)
    order = t.argsort()
    gaps = t[order].diff()
    ends = torch.full((1,), torch.inf, dtype=t.dtype, device=t.device)
    # Half the distance to the nearer neighbour: at the neighbours the bump is 0, rounding errors included.
    width = 0.5 * torch.minimum(torch.cat([ends, gaps]), torch.cat([gaps, ends])).nan_to_num(posinf=2.0)
    each = hidden // 3
    blocks = -(-len(t) // each)
    model = _Interpolant(points.shape[1], blocks, hidden, num_classes).to(points.device)
    model.centre.copy_(centre)
    nn.init.zeros_(model.stem.weight)
    model.stem.weight[0] = w
    nn.init.zeros_(model.head.bias)
    model.head.weight.copy_(torch.eye(1 + num_classes, dtype=torch.float64, device=points.device)[1:])
    for place, index in enumerate(order.tolist()):
        block, unit = model.blocks[place // each], 3 * (place % each)
        slope = 1 / width[place]
        for offset, sign in ((1.0, 1.0), (0.0, -2.0), (-1.0, 1.0)):
            row = unit + 1 - int(offset)
            block.inner.weight[row, 0] = slope
            block.inner.bias[row] = offset - slope * t[index]
            block.outer.weight[1 + labels[index], row] = sign
    return model


def _check(x: torch.Tensor, y: torch.Tensor, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Flattened float64 examples and their labels."""
    if not isinstance(x, torch.Tensor) or x.ndim < 2 or len(x) < 1 or not isinstance(y, torch.Tensor):
        raise ValueError(f"x must be a tensor (n, d) with n >= 1, got {getattr(x, 'shape', type(x).__name__)}")
    if x.dtype.is_complex or x[0].numel() < 1:
        raise ValueError(f"x must hold real examples of at least one entry, got {tuple(x.shape)} of {x.dtype}")
    whole = not (y.dtype.is_floating_point or y.dtype.is_complex or y.dtype == torch.bool)
    if y.shape != x.shape[:1] or not whole or y.min() < 0 or y.max() >= num_classes:
        expected = f"({len(x)},) integers in 0..{num_classes - 1}"
        raise ValueError(f"y must be {expected}, got shape {tuple(y.shape)} of {y.dtype}")
    points = x.flatten(1).double()
    if not bool(torch.isfinite(points).all()) or len(torch.unique(points, dim=0)) < len(points):
        raise ValueError("x must be finite and without duplicates: one example cannot have two labels")
    return points, y.long()  # a tensor of bytes would index like a mask


def _projection(points: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A random direction (unit norm), the projections, all different, and what is taken from the points before.

    That is 0, or, where the common part of the points would drown their differences, the first of them.
    """
    for centre in (torch.zeros_like(points[0]), points[0]):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(20):
            w = torch.randn(points.shape[1], generator=generator, dtype=torch.float64, device="cpu").to(points.device)
            w = w / w.norm()
            t = (points - centre) @ w
            scale = t.abs().max().clamp(min=1e-300)
            if len(t) == 1 or t.sort().values.diff().min() > 1e-11 * scale:
                return w, t, centre
    raise ValueError("x must have examples that a projection can tell apart: some are equal to rounding error")
