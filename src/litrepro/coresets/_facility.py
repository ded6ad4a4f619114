"""Facility location by greedy, and the two selectors that are built on it."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale, length
from litrepro.coresets._coreset import Coreset, check_gradients, check_k, single_or_double

LAZY_FROM = 256  # below, evaluating all candidates costs less than choosing among them
CANDIDATES = 32
_NEAR = 1e-12  # of the squares: what a squared distance must exceed to keep digits where it cancels out of them
_PART = 1 << 22  # entries of differences that are formed at a time


def facility_location(similarity: torch.Tensor, k: int, *, lazy: bool | None = None) -> torch.Tensor:
    r"""k columns that maximize :math:`\sum_i \max_{j \in S} s_{ij}`, greedily.

    Parameters
    ----------
    similarity
        (..., n, m): n points to be represented, m candidates. Each matrix is first shifted to a minimum of 0: the
        objective is then monotone for any sign, and the choice does not depend on added constants.
    k
        1..m.
    lazy
        Evaluate only candidates whose last known gain, an upper bound, is among the largest. The choice is the same up
        to ties. None: from 256 candidates on.

    Returns
    -------
    (..., k) int64, in the order of their selection: every prefix is the greedy choice of its length.

    Raises
    ------
    ValueError
        Fewer than two dimensions, values that are not finite, a dtype other than float32 and float64, k outside 1..m.

    Notes
    -----
    The value is at least 1 - 1/e of the best possible (of the shifted similarity; Nemhauser, Wolsey and Fisher 1978).

    Examples
    --------
    >>> facility_location(torch.tensor([[3.0, 0.0, 2.0], [0.0, 3.0, 2.0]]), 2).tolist()
    [2, 0]
    """
    single_or_double("similarity", similarity)
    n, m = similarity.shape[-2:]
    if n < 1 or not bool(similarity.isfinite().all()):
        raise ValueError(f"similarity must be finite with n >= 1 rows, got shape {tuple(similarity.shape)}")
    k = check_k(k, m)
    rows = similarity.detach().reshape(-1, n, m).mT.contiguous()
    return _greedy(rows, k, lazy).reshape(*similarity.shape[:-2], k)


def craig(gradients: torch.Tensor, k: int) -> Coreset:
    r"""CRAIG: k gradients that all others are close to, weighted by how many are closest to each.

    Greedy facility location on :math:`-\|g_i - g_j\|`; :math:`w_j` counts the i whose nearest chosen gradient is j, so
    that the error of the gradient is at most :math:`\sum_i \min_{j \in S} \|g_i - g_j\|`.

    Parameters
    ----------
    gradients
        (..., n, p).
    k
        1..n.

    Returns
    -------
    Coreset whose weights sum to n.

    Raises
    ------
    ValueError
        Gradients that are not finite, neither float32 nor float64, or of fewer than two dimensions, k outside 1..n.

    Notes
    -----
    Source: Mirzasoleiman, Bilmes and Leskovec 2020, equations 8 to 10.

    Examples
    --------
    >>> g = torch.tensor([[0.0], [0.1], [0.2], [0.3], [5.0]])
    >>> chosen = craig(g, 2)
    >>> sorted(zip(chosen.indices.tolist(), chosen.weights.tolist()))
    [(2, 4.0), (4, 1.0)]
    """
    gradients = check_gradients(gradients)
    return _represent(gradients, -distances(gradients), check_k(k, gradients.shape[-2]))


def weighted_glister(gradients: torch.Tensor, k: int, *, similarity: str = "inner") -> Coreset:
    r"""The review's weighted GLISTER: facility location on the similarity of gradients, weighted by assignment.

    Parameters
    ----------
    gradients
        (..., n, p).
    k
        1..n.
    similarity
        ``"inner"``: :math:`\langle g_i, g_j\rangle`, as printed; ``"cosine"``: that of the normalized gradients (0 for
        a zero gradient).

    Returns
    -------
    Coreset; :math:`w_j` counts the i whose most similar chosen gradient is j, and sums to n.

    Raises
    ------
    ValueError
        As ``craig``; an unknown similarity.

    Examples
    --------
    >>> weighted_glister(torch.eye(3), 2).weights.sum().item()
    3.0
    """
    gradients = check_gradients(gradients)
    _validate.choice("similarity", similarity, ("inner", "cosine"))
    k = check_k(k, gradients.shape[-2])
    g = gradients.double()
    if similarity == "cosine":
        # Scaled first: ``normalize`` takes a norm below 1e-12 for zero, and squares of tiny entries vanish.
        g = torch.nn.functional.normalize(g / binary_scale(g, -1), dim=-1)
    return _represent(gradients, g @ g.mT, k)


def distances(gradients: torch.Tensor) -> torch.Tensor:
    """Euclidean distances (..., n, n) in float64, exactly 0 on the diagonal and for equal rows."""
    g = gradients.double()
    g = g - g.mean(-2, keepdim=True)  # what all have in common would cost digits
    squares = g.square().sum(-1)
    between = squares[..., :, None] + squares[..., None, :] - 2 * (g @ g.mT)
    # Rounding leaves about 1e-16 of the squares, whose root would look like a distance.
    sums = squares[..., :, None] + squares[..., None, :]
    found = torch.where(between > 1e-14 * sums, between, 0).sqrt()
    # Neighbours far from the centre are told apart by their difference alone.
    near = (between <= _NEAR * sums).triu(1).nonzero()
    for part in near.split(max(1, _PART // max(1, g.shape[-1]))) if len(near) else ():
        *lead, first, second = part.unbind(-1)
        apart = length(g[(*lead, first)] - g[(*lead, second)])
        found[(*lead, first, second)] = found[(*lead, second, first)] = apart
    return found.diagonal_scatter(torch.zeros_like(squares), dim1=-2, dim2=-1)


def _represent(gradients: torch.Tensor, similarity: torch.Tensor, k: int) -> Coreset:
    """Greedy facility location on a symmetric similarity, with the sizes of the clusters as weights."""
    n = gradients.shape[-2]
    flat = similarity.reshape(-1, n, n)
    indices = _greedy(flat, k, None)
    among = flat.gather(2, indices[:, None, :].expand(-1, n, -1))
    weights = torch.zeros(len(flat), k, dtype=gradients.dtype, device=gradients.device)
    weights.scatter_add_(1, among.argmax(2), torch.ones(len(flat), n, dtype=weights.dtype, device=weights.device))
    lead = gradients.shape[:-2]
    return Coreset(indices.reshape(*lead, k), weights.reshape(*lead, k))


def _greedy(rows: torch.Tensor, k: int, lazy: Any) -> torch.Tensor:
    """Candidates as rows (B, m, n): the k greedy choices of each of B problems, (B, k)."""
    count, m, _ = rows.shape
    rows = rows - rows.amin((1, 2), keepdim=True)
    lazy = m >= LAZY_FROM if lazy is None else lazy
    covered = rows.new_zeros(count, 1, rows.shape[2])
    bound = rows.sum(2)
    taken = torch.zeros(count, m, dtype=torch.bool, device=rows.device)
    chosen = torch.empty(count, k, dtype=torch.int64, device=rows.device)
    everyone = torch.arange(count, device=rows.device)
    for step in range(k):
        if step and lazy:
            _refresh_bounds(rows, covered, bound, taken)
        elif step:
            bound = (rows - covered).clamp_min_(0).sum(2).masked_fill_(taken, -torch.inf)
        best = bound.argmax(1)
        chosen[:, step] = best
        taken[everyone, best] = True
        bound[everyone, best] = -torch.inf
        torch.maximum(covered, rows[everyone, best][:, None], out=covered)
    return chosen


def _refresh_bounds(rows: torch.Tensor, covered: torch.Tensor, bound: torch.Tensor, taken: torch.Tensor) -> None:
    """Replace the largest stale gains by true ones until the largest of all is true (gains only ever shrink)."""
    count, m, _ = rows.shape
    fresh = torch.zeros_like(taken)
    everyone = torch.arange(count, device=rows.device)
    while not bool(fresh[everyone, bound.argmax(1)].all()):
        top = bound.masked_fill(fresh, -torch.inf).topk(min(CANDIDATES, m), 1).indices
        gains = (rows[everyone[:, None], top] - covered).clamp_min_(0).sum(2)
        gains.masked_fill_(taken.gather(1, top), -torch.inf)
        bound.scatter_(1, top, gains)
        fresh.scatter_(1, top, True)
