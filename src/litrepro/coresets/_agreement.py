"""How far two sets of gradients agree, and how well a coreset matches every class."""

from __future__ import annotations

from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.coresets._coreset import Coreset, check_gradients, gradient_error
from litrepro.coresets._trials import rank_correlation


class Agreement(NamedTuple):
    """What a part of the coordinates knows of all of them; three numbers."""

    norms: float
    distances: float
    share: float


def gradient_agreement(gradients: torch.Tensor, part: torch.Tensor, *, every: int = 1) -> Agreement:
    """Whether some coordinates of the gradients, the last layer's say, order the examples as all coordinates do.

    Parameters
    ----------
    gradients
        (n, p), of all layers.
    part
        (n, q), of the same examples in the same order; need not be columns of ``gradients``.
    every
        Distances are compared among every such example: their number grows with the square of that of the examples.

    Returns
    -------
    Agreement: Spearman's correlation of the examples' norms, that of the distances between pairs, and the share of
    ``part`` in the sum of squared norms.

    Raises
    ------
    ValueError
        Gradients that are no matrices, not finite or of different lengths, every < 1, fewer than three examples left
        for the distances, or gradients that are all zero.

    Notes
    -----
    Source: Katharopoulos and Fleuret 2018, section 3.2, for the norms; Killamsetty et al., arXiv:2103.00123, section 4.

    Examples
    --------
    >>> g = torch.tensor([[1.0, 0.1], [2.0, 0.2], [4.0, 0.4]])
    >>> found = gradient_agreement(g, g[:, :1])
    >>> round(found.norms, 3), round(found.distances, 3), round(found.share, 3)
    (1.0, 1.0, 0.99)
    """
    sets = [_matrix(name, value) for name, value in (("gradients", gradients), ("part", part))]
    every = _validate.positive_int("every", every)
    if len(gradients) != len(part):
        raise ValueError(f"gradients and part must have one length, got {len(gradients)} and {len(part)}")
    count = len(range(0, len(part), every))
    if count < 3:
        raise ValueError(f"distances need at least 3 examples, got {count}: every {every} of {len(part)}")
    lengths = [g.norm(dim=1) for g in sets]
    squares = [length.square().sum() for length in lengths]
    if not bool(squares[0] > 0):
        raise ValueError("gradients must not all be 0")
    i, j = torch.triu_indices(count, count, 1, device=gradients.device)
    norms = rank_correlation(*lengths)
    distances = rank_correlation(*(_squared_distances(g[::every])[i, j] for g in sets))
    return Agreement(float(norms), float(distances), float(squares[1] / squares[0]))


def class_gradient_errors(gradients: torch.Tensor, labels: torch.Tensor, coreset: Coreset) -> torch.Tensor:
    r"""Relative gradient error of a coreset class by class, :math:`\|\sum_j w_j g_j - b_c\| / \|b_c\|`.

    Parameters
    ----------
    gradients
        (n, p).
    labels
        (n,) int64.
    coreset
        Of one problem, (k,); how it was chosen does not matter.

    Returns
    -------
    (C,), one error per class that is present, in the order of the labels; 1 for a class of which nothing was chosen.

    Raises
    ------
    ValueError
        As ``gradient_error``; gradients of more than one problem, labels that do not fit, a class whose gradients sum
        to zero.

    Examples
    --------
    >>> g, labels = torch.eye(4), torch.tensor([0, 0, 1, 1])
    >>> class_gradient_errors(g, labels, Coreset(torch.tensor([0, 1]), torch.ones(2))).tolist()
    [0.0, 1.0]
    """
    _matrix("gradients", gradients)
    if not isinstance(labels, torch.Tensor) or labels.shape != gradients.shape[:1] or labels.dtype != torch.int64:
        got = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, torch.Tensor) else type(labels).__name__
        raise ValueError(f"labels must be int64 ({len(gradients)},), got {got}")
    gradient_error(gradients, coreset)  # refuses what is no coreset of these examples
    indices, weights = coreset
    errors = []
    for c in labels.unique().tolist():
        target = gradients[labels == c].sum(0)
        size = target.norm()
        if not bool(size > 0):
            raise ValueError(f"the gradients of class {c} sum to 0: no error is relative to that")
        chosen = labels[indices] == c
        found = Coreset(indices[chosen], weights[chosen])
        empty = torch.ones_like(size)
        errors.append(gradient_error(gradients, found, target=target) / size if bool(chosen.any()) else empty)
    return torch.stack(errors)


def _squared_distances(g: torch.Tensor) -> torch.Tensor:
    """(m, m) from one product, in the dtype of g (m, p): their ranks are those of the distances."""
    gram = g @ g.mT
    squares = gram.diagonal()
    return squares[:, None] + squares - 2 * gram


def _matrix(name: str, value: torch.Tensor) -> torch.Tensor:
    """Finite gradients of one problem, (n, p)."""
    _validate.float_tensor(name, value, 2)
    if value.ndim != 2:
        raise ValueError(f"{name} must have shape (n, p), got {tuple(value.shape)}")
    return check_gradients(value)
