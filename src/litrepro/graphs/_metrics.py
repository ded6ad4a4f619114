"""How well estimated weights rank and select the true edges."""

from __future__ import annotations

import torch

from litrepro import _validate


def edge_average_precision(scores: torch.Tensor, support: torch.Tensor) -> torch.Tensor:
    """Average precision (...) of edge scores (..., m) against the support (..., m), nonzero where there is an edge.

    The mean over true edges of the precision at their score; equal scores count as one step of the ranking, as in
    scikit-learn. nan where there is no true edge, or a score is nan.

    Raises ``ValueError`` for scores that are not a floating-point tensor, lengths that differ, batches that do not
    broadcast.

    Examples
    --------
    >>> import torch
    >>> scores = torch.tensor([0.9, 0.8, 0.1])
    >>> edge_average_precision(scores, torch.tensor([1, 0, 1])).round(decimals=4)  # (1/1 + 2/3) / 2
    tensor(0.8333)
    """
    scores, support = _pair("scores", scores, support)
    ranked, order = scores.sort(-1, descending=True)
    hits = support.gather(-1, order)
    found = hits.cumsum(-1)
    through = torch.searchsorted(-ranked, -ranked, right=True)  # edges with at least this score
    precision = found.gather(-1, through - 1) / through
    value = (hits * precision).sum(-1) / support.sum(-1)
    return value.masked_fill(scores.isnan().any(-1), torch.nan)


def support_f1(w: torch.Tensor, support: torch.Tensor) -> torch.Tensor:
    """F1 score (...) of the edges where w (..., m) is positive against the true support: 2 |A and B| / (|A| + |B|).

    nan where both are empty.

    Raises ``ValueError`` for weights that are not a floating-point tensor, lengths that differ, batches that do not
    broadcast.

    Examples
    --------
    >>> import torch
    >>> support_f1(torch.tensor([0.9, 0.8, 0.0]), torch.tensor([1, 0, 1]))  # one of two edges, with one false
    tensor(0.5000)
    """
    w, support = _pair("w", w, support)
    chosen = (w > 0).to(support)
    return 2 * (chosen * support).sum(-1) / (chosen.sum(-1) + support.sum(-1))


def _pair(name: str, scores: torch.Tensor, support: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    _validate.float_tensor(name, scores, 1)
    if not isinstance(support, torch.Tensor) or support.ndim < 1 or support.shape[-1] != scores.shape[-1]:
        got = tuple(support.shape) if isinstance(support, torch.Tensor) else type(support).__name__
        raise ValueError(f"support must be a tensor (..., {scores.shape[-1]}) beside {name}, got {got}")
    _validate.broadcast(**{name: scores.shape[:-1], "support": support.shape[:-1]})
    scores, support = torch.broadcast_tensors(scores, (support != 0).to(scores))
    return scores.contiguous(), support.contiguous()
