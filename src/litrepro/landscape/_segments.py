"""Reparametrization and lines through weight space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from litrepro import _validate


def rescale_relu(
    weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], alpha: float
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The same two-layer ReLU network with other weights: (alpha W1, alpha b1, W2/alpha, b2) (Dinh et al. 2017).

    Parameters
    ----------
    weights
        [W1 (..., h, d), W2 (..., c, h)].
    biases
        [b1, b2].
    alpha
        > 0: a ReLU is positively homogeneous.

    Raises ``ValueError`` for alpha <= 0, anything but two layers, and weights that do not chain.

    Examples
    --------
    >>> import torch
    >>> weights, biases = rescale_relu([torch.ones(2, 1), torch.ones(1, 2)], [torch.ones(2), torch.zeros(1)], 4.0)
    >>> weights[0].flatten().tolist(), weights[1].flatten().tolist(), biases[0].tolist()
    ([4.0, 4.0], [0.25, 0.25], [4.0, 4.0])
    """
    alpha = _validate.real("alpha", alpha, 0, open_low=True)
    if len(weights) != 2 or len(biases) != 2:
        raise ValueError(f"need two weights and two biases, got {len(weights)} and {len(biases)}")
    if weights[0].ndim < 2 or weights[1].ndim < 2 or weights[0].shape[-2] != weights[1].shape[-1]:
        raise ValueError(
            f"weights must be (..., h, d) and (..., c, h), got {tuple(weights[0].shape)} and {tuple(weights[1].shape)}"
        )
    return [alpha * weights[0], weights[1] / alpha], [alpha * biases[0], biases[1]]


def segment(
    loss: Callable[[torch.Tensor], torch.Tensor], w0: torch.Tensor, w1: torch.Tensor, ts: torch.Tensor
) -> torch.Tensor:
    """Loss along the line w0 + t (w1 - w0): ``loss`` maps (A, d) to (A,), ``w0``, ``w1`` (d,), ``ts`` (A,); (A,).

    Raises ``ValueError`` for shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> ends = torch.zeros(2), torch.tensor([3.0, 4.0])
    >>> segment(lambda w: w.norm(dim=-1), *ends, torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 2.5000, 5.0000])
    """
    if w0.ndim != 1 or w0.shape != w1.shape or ts.ndim != 1:
        raise ValueError(f"need (d,), (d,), (A,); got {tuple(w0.shape)}, {tuple(w1.shape)}, {tuple(ts.shape)}")
    values = loss(w0 + ts[:, None].to(w0) * (w1 - w0))
    if values.shape != ts.shape:
        raise ValueError(f"loss must map ({len(ts)}, {len(w0)}) to ({len(ts)},), got {tuple(values.shape)}")
    return values
