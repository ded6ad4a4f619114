"""What targets say: how strongly they regularize, and how much they know of the single example."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.distillation import _arguments


def target_information(targets: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Entropy of soft targets, and information of their wrong-class part about the example, given its class; in nats.

    The latter is the mean divergence of the wrong-class probabilities, scaled to one, from their average over the
    examples of the class: how much a target says beyond the class it belongs to. It is 0 for targets that depend on the
    label alone.

    Parameters
    ----------
    targets
        (..., n, K) distributions; one that has all of its mass on the true class does not say anything.
    labels
        (..., n) integers in 0..K-1.

    Returns
    -------
    Two tensors (...) float64, means over the examples.

    Raises ``ValueError`` for targets that are no distributions, labels out of range, and shapes that do not fit.

    Examples
    --------
    >>> targets, labels = torch.tensor([[0.6, 0.4, 0.0], [0.6, 0.0, 0.4]]), torch.tensor([0, 0])
    >>> entropy, information = target_information(targets, labels)
    >>> round(information.item(), 4)  # log 2: which of the two it is
    0.6931
    """
    _validate.float_tensor("targets", targets, 2)
    _arguments.integer_labels(labels, targets.shape[-1])
    if labels.shape != targets.shape[:-1] or not labels.numel():
        raise ValueError(f"labels must have shape {tuple(targets.shape[:-1])}, not empty, got {tuple(labels.shape)}")
    t = targets.double()
    if not bool((t >= 0).all()) or not bool(((t.sum(-1) - 1).abs() < 1e-4).all()):
        raise ValueError("targets must be distributions over the last dimension: got negative entries or other sums")
    true = _arguments.one_hot(labels, t.shape[-1])
    wrong = t.masked_fill(true, 0)
    wrong = wrong / wrong.sum(-1, keepdim=True).clamp_min(torch.finfo(t.dtype).tiny)
    hot = true.double()
    share = hot / hot.sum(-2, keepdim=True).clamp_min(1)
    means = hot @ (share.mT @ wrong)  # of the wrong-class parts of the example's own class
    information = (wrong * (_log(wrong) - _log(means))).sum(-1).mean(-1)
    return -(t * _log(t)).sum(-1).mean(-1), information


def _log(p: torch.Tensor) -> torch.Tensor:
    """Logarithm with a floor: what is multiplied with it is 0 there."""
    return p.clamp_min(1e-30).log()
