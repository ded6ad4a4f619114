"""Distance of two networks up to the order of their neurons."""

from __future__ import annotations

import functools

import torch

from litrepro._scaling import root
from litrepro.shallow import _arguments

# Up to here the assignment is solved over subsets, for the whole batch at once; 2^12 numbers per problem.
_SUBSETS_UP_TO = 12


def permutation_distance(W: torch.Tensor, W_star: torch.Tensor) -> torch.Tensor:
    """Smallest Frobenius distance over the orders of the rows of W.

    Parameters
    ----------
    W, W_star
        Neurons as rows, both (..., K, d); batch dimensions broadcast.

    Returns
    -------
    (...); nan where an input is not finite. Raises ``ValueError`` for shapes that do not match,
    ``ImportError`` for K > 12 without scipy. Its gradient is that of the best order, and 0 where the distance is 0.

    Notes
    -----
    An assignment problem. Up to K = 12 it is solved exactly by dynamic programming over sets of matched rows, batched;
    above, by scipy's ``linear_sum_assignment``, one problem after another.

    Source: section 3.1.2 of the review (which calls permutations "perturbations").

    Examples
    --------
    >>> import torch
    >>> W = torch.eye(3)
    >>> permutation_distance(W[[2, 0, 1]], W).item(), permutation_distance(W + 1, W).item()
    (0.0, 3.0)
    """
    batch = _arguments.pair(W, W_star, same_rows=True)
    first, second = (rows.expand(*batch, *rows.shape[-2:]).double() for rows in (W, W_star))
    finite = (first.isfinite() & second.isfinite()).all(-1).all(-1)
    first = torch.where(finite[..., None, None], first, 0)
    second = torch.where(finite[..., None, None], second, 0)
    cost = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist").square()
    solve = _over_subsets if W.shape[-2] <= _SUBSETS_UP_TO else _one_by_one
    return torch.where(finite, root(solve(cost)), torch.nan).to(W.dtype)


def _over_subsets(cost: torch.Tensor) -> torch.Tensor:
    """Minimal cost of an assignment: best[S] = min over j in S of best[S without j] + cost[|S| - 1, j]."""
    rows = cost.shape[-1]
    best = cost.new_zeros(*cost.shape[:-2], 1 << rows)
    for row, (sets, columns, without) in enumerate(_levels(rows)):
        sets, columns, without = (index.to(cost.device) for index in (sets, columns, without))
        best[..., sets] = (best[..., without] + cost[..., row, :][..., columns]).amin(-1)
    return best[..., -1]


@functools.cache
def _levels(rows: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """For each size: the sets, their members, and the sets without each member."""
    masks = torch.arange(1 << rows, device="cpu")
    inside = (masks[:, None] >> torch.arange(rows, device="cpu")) & 1
    levels = []
    for size in range(1, rows + 1):
        sets = masks[inside.sum(-1) == size]
        columns = inside[sets].nonzero()[:, 1].reshape(len(sets), size)
        levels.append((sets, columns, sets[:, None] - (1 << columns)))
    return levels


def _one_by_one(cost: torch.Tensor) -> torch.Tensor:
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        message = f"permutation_distance of more than {_SUBSETS_UP_TO} neurons needs scipy: pip install scipy"
        raise ImportError(message) from error
    flat = cost.detach().reshape(-1, *cost.shape[-2:]).cpu().numpy()
    columns = torch.zeros(flat.shape[:2], dtype=torch.int64, device="cpu")
    for best, matrix in zip(columns, flat):
        best.copy_(torch.from_numpy(linear_sum_assignment(matrix)[1]))
    return cost.gather(-1, columns.to(cost.device).reshape(*cost.shape[:-1], 1)).sum((-2, -1))
