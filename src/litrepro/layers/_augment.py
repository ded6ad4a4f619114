"""Exact assignment of a batch by shortest augmenting paths, with the prices that prove it."""

from __future__ import annotations

import torch

from litrepro.layers import _assignment


def shortest_paths(C: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Row of every column (b, m), -1 where none, and prices u (b, n), v (b, m); C (b, n, m), n <= m, float64.

    Row by row, one shortest path in reduced costs (Jonker and Volgenant 1987), the whole batch in step: at most
    n (n + 1) / 2 steps of O(m).
    """
    batch, n, m = C.shape
    u, v = C.new_zeros(batch, n), C.new_zeros(batch, m)
    owner = torch.full((batch, m), -1, dtype=torch.int64, device=C.device)
    one = torch.arange(batch, device=C.device)
    for i in range(n):
        shortest = torch.full_like(v, torch.inf)
        before = torch.full_like(owner, -1)  # the column from which a column was reached; -1 is row i itself
        used = torch.zeros_like(owner, dtype=torch.bool)
        tree = torch.zeros(batch, n, dtype=torch.bool, device=C.device)
        row, column = torch.full_like(one, i), torch.full_like(one, -1)
        open_ = torch.ones_like(one, dtype=torch.bool)
        for _ in range(i + 1):
            tree[one[open_], row[open_]] = True
            reduced = C[one, row] - u[one, row][:, None] - v
            closer = ~used & (reduced < shortest) & open_[:, None]
            shortest = torch.where(closer, reduced, shortest)
            before = torch.where(closer, column[:, None], before)
            delta, nearest = shortest.masked_fill(used, torch.inf).min(-1)
            delta = torch.where(open_, delta, 0.0)[:, None]
            u, v = u + delta * tree, v - delta * used
            shortest = torch.where(used, shortest, shortest - delta)
            column = torch.where(open_, nearest, column)
            used[one[open_], nearest[open_]] = True
            reached = owner[one, column]
            row = torch.where(open_ & (reached >= 0), reached, row)
            open_ = open_ & (reached >= 0)
            if not bool(open_.any()):
                break
        for _ in range(i + 1):
            going = column >= 0
            previous = before[one, column.clamp(min=0)]
            giver = torch.where(previous >= 0, owner[one, previous.clamp(min=0)], i)
            owner[one[going], column[going]] = giver[going]
            column = torch.where(going, previous, column)
    return owner, u, v


def assignment_prices(C: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prices that prove an assignment optimal: a solution of the dual of the linear program of matching.

    Parameters
    ----------
    C
        (..., n, m) costs, n <= m.

    Returns
    -------
    u (..., n) and v (..., m) float64 with u_i + v_j <= C_ij and v <= 0. By weak duality no point of the relaxed
    polytope costs less than sum u + sum v, which is the cost of the best matching.

    Raises ``ValueError`` for n > m and for costs that are not finite.

    Examples
    --------
    >>> u, v = assignment_prices(torch.tensor([[1.0, 0.0, 3.0], [2.0, 0.0, 4.0]]))
    >>> (u.sum() + v.sum()).item()
    1.0
    """
    _assignment.check_costs("C", C)
    lead, (n, m) = C.shape[:-2], C.shape[-2:]
    _, u, v = shortest_paths(C.detach().double().reshape(-1, n, m))
    return u.reshape(*lead, n), v.reshape(*lead, m)
