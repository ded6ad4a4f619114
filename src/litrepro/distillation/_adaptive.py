"""Adaptive regularization of labels: the network's own errors, class by class, as soft targets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from litrepro import _validate
from litrepro.distillation import _arguments
from litrepro.distillation._losses import hard_cross_entropy


def residual_distribution(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Softmax over the wrong classes, exactly 0 at the label.

    Parameters
    ----------
    logits
        (..., K), K >= 2.
    labels
        (...) integers.

    Returns
    -------
    (..., K). Raises ``ValueError`` for unequal shapes, labels outside 0..K-1, and K < 2.

    Examples
    --------
    >>> import torch
    >>> residual_distribution(torch.tensor([9.0, 1.0, 1.0]), torch.tensor(0))
    tensor([0.0000, 0.5000, 0.5000])
    """
    own = _own_class(logits, labels)
    return logits.masked_fill(own, -torch.inf).softmax(-1).masked_fill(own, 0)


class AdaptiveLabels(nn.Module):
    """A matrix of residual labels: row y says which wrong classes the network takes examples of class y for.

    One trainable K x K parameter; ``matrix`` is its row softmax off the diagonal, so it stays row-stochastic whatever
    optimizer steps on ``update``.

    Source: Ding et al., arXiv:1908.05474, equations 5-8; section 8 of the review.

    Parameters
    ----------
    num_classes
        K >= 3 (with two classes there is nothing to learn), else ``ValueError``.

    Examples
    --------
    >>> import torch
    >>> labels = AdaptiveLabels(3)
    >>> labels.matrix.sum(1)
    tensor([1., 1., 1.], grad_fn=<SumBackward1>)
    >>> residual, update = labels(torch.zeros(2, 3), torch.tensor([0, 1]))
    >>> residual.shape
    torch.Size([2])
    """

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = _validate.positive_int("num_classes", num_classes, 3)
        self.scores = nn.Parameter(torch.zeros(num_classes, num_classes))

    @property
    def matrix(self) -> torch.Tensor:
        """(K, K): rows sum to 1, zero diagonal; uniform at the start."""
        own = self._diagonal()
        return self.scores.masked_fill(own, -torch.inf).softmax(-1).masked_fill(own, 0)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(residual, update), (...) each, for logits (..., K) and labels (...).

        residual = -1/(K-1) sum_{i != y} Q_yi log p_i trains the network and not Q; update = -1/(K-1) sum_{i != y} p_i
        log Q_yi trains Q and not the network; p is the ``residual_distribution``. Raises ``ValueError`` for unequal
        shapes.
        """
        own = _own_class(logits, labels)
        if logits.shape[-1] != self.num_classes:
            raise ValueError(f"logits must have {self.num_classes} classes, got {logits.shape[-1]}")
        # -inf before the softmax and 0 after it, or the gradients become nan.
        log_p = logits.masked_fill(own, -torch.inf).log_softmax(-1).masked_fill(own, 0)
        p = log_p.detach().exp().masked_fill(own, 0)
        diagonal = self._diagonal()
        log_q = self.scores.masked_fill(diagonal, -torch.inf).log_softmax(-1).masked_fill(diagonal, 0)
        rows = labels.long()
        residual = -(self.matrix.detach()[rows] * log_p).sum(-1)
        update = -(p * log_q[rows]).sum(-1)
        return residual / (self.num_classes - 1), update / (self.num_classes - 1)

    def _diagonal(self) -> torch.Tensor:
        return torch.eye(self.num_classes, dtype=torch.bool, device=self.scores.device)


def adaptive_objective(weight: float = 1.0) -> Callable[..., torch.Tensor]:
    """An ``objective`` for ``training.fit`` and a model with ``net`` and ``labels`` (``AdaptiveLabels``).

    Mean of CE(y, softmax(z)) + weight (residual + update): one backward pass trains the network and the matrix.

    Raises ``ValueError`` for a negative weight.

    Examples
    --------
    >>> callable(adaptive_objective(0.5))
    True
    """
    weight = _validate.real("weight", weight, 0)

    def objective(model: nn.Module, x: torch.Tensor, y: torch.Tensor, t: float, generator: object) -> torch.Tensor:
        logits = model.net(x)
        hard = hard_cross_entropy(logits, y)
        if weight == 0:  # the baseline need not pay for losses that count nothing
            return hard.mean()
        residual, update = model.labels(logits, y)
        return (hard + weight * (residual + update)).mean()

    return objective


def _own_class(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    _validate.float_tensor("logits", logits, 1)
    _arguments.matching_labels(logits, labels)
    if logits.shape[-1] < 2:
        raise ValueError(f"logits must have at least 2 classes, got {logits.shape[-1]}")
    return _arguments.one_hot(labels, logits.shape[-1])
