"""SATNet inside larger networks: chained along a string, and behind a digit classifier."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from litrepro import _validate
from litrepro.layers._satnet import SATNet


class ParityChain(nn.Module):
    """The parity of a string by one SATNet cell, reused along it: (state, bit) -> next state.

    Parameters
    ----------
    m, aux
        Clauses and auxiliary variables of the cell.
    keywords
        Of ``SATNet``.

    Notes
    -----
    ``forward(bits (..., L)) -> (...)``: the last state. Only it is supervised; the first state is bit 0.

    Raises ``ValueError`` for bits outside [0, 1] or a string shorter than 2.

    Examples
    --------
    >>> ParityChain(4, 2)(torch.tensor([[0.0, 1.0, 1.0]])).shape
    torch.Size([1])
    """

    def __init__(self, m: int = 4, aux: int = 4, **keywords: Any):
        super().__init__()
        self.cell = SATNet(3, m, aux, **keywords)

    def forward(self, bits: torch.Tensor) -> torch.Tensor:
        """(..., L) in [0, 1] -> (...)."""
        _validate.float_tensor("bits", bits, 1)
        if bits.shape[-1] < 2:
            raise ValueError(f"a string needs two bits, got shape {tuple(bits.shape)}")
        known = torch.tensor([True, True, False], device=bits.device).expand(*bits.shape[:-1], 3)
        state = bits[..., 0]
        for bit in bits.unbind(-1)[1:]:
            state = self.cell(torch.stack([state, bit, torch.zeros_like(bit)], -1), known)[..., 2]
        return state


class VisualSudoku(nn.Module):
    """A digit classifier whose probabilities are the known bits of a completion layer, trained end to end.

    Parameters
    ----------
    classifier
        Images (B, 1, h, w) -> logits (B, n).
    layer
        ``SATNet`` or ``ConvNetSudoku`` on n^3 bits.

    Notes
    -----
    ``forward(images (N, n^2, 1, h, w), given (N, n^2) bool) -> (N, n^3)``. Images of empty cells do not matter.

    Raises ``ValueError`` for what cannot be called, and for other shapes.

    Examples
    --------
    >>> classifier = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    >>> model = VisualSudoku(classifier, SATNet(64, 20))
    >>> model(torch.rand(2, 16, 1, 2, 2), torch.ones(2, 16, dtype=torch.bool)).shape
    torch.Size([2, 64])
    """

    def __init__(self, classifier: nn.Module, layer: nn.Module):
        super().__init__()
        self.classifier, self.layer = _validate.function("classifier", classifier), _validate.function("layer", layer)

    def forward(self, images: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """(N, n^2, 1, h, w) and (N, n^2) bool -> (N, n^3)."""
        _validate.float_tensor("images", images), _validate.boolean_tensor("given", given)
        if images.ndim != 5 or given.shape != images.shape[:2]:
            shapes = f"{tuple(images.shape)} and {tuple(given.shape)}"
            raise ValueError(f"images must be (N, n^2, 1, h, w) and given (N, n^2) bool, got {shapes}")
        logits = self.classifier(images[given])
        if logits.ndim != 2:
            raise ValueError(f"the classifier must return logits (B, n), got shape {tuple(logits.shape)}")
        probabilities = logits.softmax(-1)
        n = probabilities.shape[-1]
        if n * n != given.shape[1]:
            raise ValueError(f"a classifier of {n} digits needs boards of {n * n} cells, got {given.shape[1]}")
        bits = torch.zeros(*given.shape, n, dtype=probabilities.dtype, device=images.device)
        bits = bits.masked_scatter(given[..., None].expand_as(bits), probabilities)
        return self.layer(bits.flatten(1), given[..., None].expand_as(bits).flatten(1))
