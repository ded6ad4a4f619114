"""A linear layer whose weight is a product of matrices."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate


class FactoredLinear(nn.Module):
    """``nn.Linear`` with the weight W_N ... W_1: y = x (W_N ... W_1)^T + b.

    The factors are multiplied before they are applied, so that the layer expresses what a linear layer does and only
    its gradient steps differ.

    Parameters
    ----------
    in_features, out_features
        Sizes of the layer.
    depth
        Number of factors N >= 1: ``hidden x in``, ``hidden x hidden``, ..., ``out x hidden``.
    hidden
        Width between the factors (default: ``out_features``).
    bias
        Whether there is a bias.

    Attributes
    ----------
    factors
        W_1, ..., W_N.
    weight
        Their product (out, in), computed when asked for.
    bias
        (out,) or None.

    Raises
    ------
    ValueError
        Sizes or depth < 1.

    Notes
    -----
    Factors and bias start as those of ``nn.Linear`` (uniform in +-1/sqrt(columns), the bias in +-1/sqrt(in_features)),
    drawn from the global generator: with depth 1 the layer is ``nn.Linear``. Source: Arora, Cohen and Hazan 2018,
    section 8.

    Examples
    --------
    >>> import torch
    >>> layer = FactoredLinear(4, 2, depth=3)
    >>> x = torch.rand(5, 4)
    >>> len(layer.factors), torch.allclose(layer(x), x @ layer.weight.mT + layer.bias, atol=1e-6)
    (3, True)
    """

    def __init__(
        self, in_features: int, out_features: int, depth: int = 2, hidden: int | None = None, bias: bool = True
    ):
        super().__init__()
        self.in_features = _validate.positive_int("in_features", in_features)
        self.out_features = _validate.positive_int("out_features", out_features)
        self.depth = _validate.positive_int("depth", depth)
        self.hidden = self.out_features if hidden is None else _validate.positive_int("hidden", hidden)
        sizes = [self.in_features, *[self.hidden] * (self.depth - 1), self.out_features]
        shapes = [(sizes[j + 1], sizes[j]) for j in range(self.depth)]
        self.factors = nn.ParameterList(nn.Parameter(torch.empty(*shape)) for shape in shapes)
        self.bias = nn.Parameter(torch.empty(self.out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw factors and bias anew, from the global generator."""
        for factor in self.factors:
            nn.init.kaiming_uniform_(factor, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            nn.init.uniform_(self.bias, -bound, bound)

    @property
    def weight(self) -> torch.Tensor:
        """W_N ... W_1, (out, in)."""
        product = self.factors[0]
        for factor in list(self.factors)[1:]:
            product = factor @ product
        return product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out)."""
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes, as ``nn.Linear`` shows them."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, depth={self.depth}, "
            f"hidden={self.hidden}, bias={self.bias is not None}"
        )
