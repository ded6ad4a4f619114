"""The low-rank semidefinite relaxation of MAXSAT, one instance per batch entry."""

from __future__ import annotations

import math
import warnings

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.layers import _compiled
from litrepro.layers._descent import DAMPING, KEEP, damped, largest_eigenvalue, normalized

METHODS = ("mixing", "block")


def default_rank(n: int) -> int:
    """ceil(sqrt(2 (n + 1))) + 1: above sqrt(2 (n + 1)) the factorized problem has the optimum of the convex one."""
    return math.ceil(math.sqrt(2 * (n + 1))) + 1


def starting_rows(rows: int, k: int, seed: int) -> torch.Tensor:
    """(rows, k) float64 unit vectors, uniform on the sphere."""
    generator = torch.Generator().manual_seed(seed)
    return normalized(torch.randn(rows, k, generator=generator, dtype=torch.float64, device="cpu"))


def maxsat_sdp(
    S: torch.Tensor,
    *,
    k: int | None = None,
    max_iter: int = 500,
    tol: float = 1e-10,
    method: str = "mixing",
    seed: int = 0,
) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Minimize ||S V||_F^2 over V with unit rows, row 0 fixed (Wang, Chang and Kolter 2017, algorithm 2).

    Parameters
    ----------
    S
        (..., m, n + 1), from ``clauses_to_matrix``.
    k
        Rank; ceil(sqrt(2 (n + 1))) + 1 if None.
    max_iter
        Sweeps (mixing) or parallel iterations (block).
    tol
        An instance stops when the relative change of its objective is at most tol and its stationarity residual
        max_i ||g_i + ||g_i|| v_i|| / max_i ||g_i|| at most sqrt(tol) (100 rounding units where that is more).
    method
        ``"mixing"``: one row after the other, v_i <- -g_i / ||g_i||, with Z = S V kept by rank-one updates,
        O(n m k) per sweep;
        converges linearly. ``"block"``: V <- normalize(c V - S'S V) on all rows at once, c = 0.6 lambda_max(S'S).
    seed
        Of the starting vectors, the same for every instance.

    Returns
    -------
    V (..., n + 1, k), the objective (...) at V, and whether every instance converged. An instance that stopped
    is frozen: its
    result does not depend on its neighbours.

    Raises ``ValueError`` for bad arguments; warns ``ConvergenceWarning`` where an instance did not converge.

    Examples
    --------
    >>> from litrepro.layers import clauses_to_matrix
    >>> V, objective, converged = maxsat_sdp(clauses_to_matrix(torch.tensor([[1.0, 0.0], [-1.0, 1.0]])))
    >>> V.shape, converged
    (torch.Size([3, 4]), True)
    """
    _validate.float_tensor("S", S, 2)
    if S.shape[-1] < 2 or S.shape[-2] < 1 or not bool(torch.isfinite(S).all()):
        raise ValueError(f"S must be finite, (..., m, n + 1) with m, n >= 1, got shape {tuple(S.shape)}")
    if S.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"S must be float32 or float64, got {S.dtype}")
    n = S.shape[-1] - 1
    k = default_rank(n) if k is None else _validate.positive_int("k", k)
    max_iter = _validate.positive_int("max_iter", max_iter)
    tol = _validate.real("tol", tol, 0)
    _validate.choice("method", method, METHODS)
    seed = _validate.seed("seed", seed)
    lead = S.shape[:-2]
    S = S.detach().reshape(-1, *S.shape[-2:])
    # Powers of two, which round nothing: the guards against division by zero are absolute.
    unit = torch.ldexp(S, -torch.frexp(S.abs().amax((-2, -1), keepdim=True)).exponent)
    start = starting_rows(n + 1, k, seed).to(S)
    V = start.expand(len(S), -1, -1).clone()
    converged = _descend(unit, V, max_iter, tol, method)
    objective = (S @ V).square().sum((-1, -2))
    if not converged:
        warnings.warn(f"maxsat_sdp: not converged after {max_iter} iterations", ConvergenceWarning, stacklevel=2)
    return V.reshape(*lead, n + 1, k), objective.reshape(lead), converged


def _descend(S: torch.Tensor, V: torch.Tensor, max_iter: int, tol: float, method: str) -> bool:
    """Iterate in place; whether every instance converged."""
    if method == "mixing" and len(S) and _compiled.available(S):
        return _compiled_descent(S, V, max_iter, tol)
    index = torch.arange(len(S), device=S.device)
    limit = max(math.sqrt(tol), 100 * torch.finfo(S.dtype).eps)
    parallel = damped(S.mT @ S, DAMPING * largest_eigenvalue(S))[0] if method == "block" and len(S) else None
    part, rows = S, V.clone()
    objective, gap = _state(part, rows)
    floor = _rounding(S)
    for _ in range(max_iter):
        if not len(index):
            break
        if parallel is None:
            _sweep(part, rows)
        else:
            rows[:, 1:] = normalized(parallel @ rows)[:, 1:]
        before = objective
        objective, gap = _state(part, rows)
        done = ((before - objective).abs() <= (tol * objective.abs()).maximum(floor)) & (gap <= limit)
        done |= gap == 0
        if bool(done.any()):
            V[index[done]] = rows[done]
            stay = ~done
            index, part, rows, objective, floor = (x[stay] for x in (index, part, rows, objective, floor))
            parallel = None if parallel is None else parallel[stay]
    V[index] = rows
    return not len(index)


def _compiled_descent(S: torch.Tensor, V: torch.Tensor, max_iter: int, tol: float) -> bool:
    """The same in machine code. The residual is computed only where the objective has stopped falling."""
    limit = max(math.sqrt(tol), 100 * torch.finfo(S.dtype).eps)
    k = V.shape[-1]
    W = _compiled.padded(V)
    run = _compiled.SparseSweep(S, W.shape[-1], KEEP)
    objective = (S @ V).square().sum((-1, -2)).double()
    floor = _rounding(S).double()
    active = torch.ones(len(S), dtype=torch.uint8, device="cpu")
    for _ in range(max_iter):
        run(W, active)
        going = active.bool()
        objective = torch.where(going, objective - run.fell, objective)
        slow = (going & (run.fell.abs() <= (tol * objective.abs()).maximum(floor))).nonzero()[:, 0]
        if len(slow):
            objective_there, gap = _state(S[slow], W[slow, :, :k])
            objective[slow] = objective_there.double()
            active[slow[gap <= limit]] = 0
            if not bool(active.any()):
                break
    V.copy_(W[..., :k])
    return not bool(active.any())


def _rounding(S: torch.Tensor) -> torch.Tensor:
    """A change of the objective (b,) below which it drowns in rounding; of its terms, which cancel where it is 0."""
    return 4 * torch.finfo(S.dtype).eps * S.abs().sum(-1).square().sum(-1)


def _sweep(S: torch.Tensor, V: torch.Tensor) -> None:
    """One pass of coordinate descent over rows 1..n, in place; S (b, m, n + 1), V (b, n + 1, k)."""
    columns = S.mT.contiguous()
    own = columns.square().sum(-1)
    Z = S @ V
    for i in range(1, S.shape[-1]):
        s, old = columns[:, i], V[:, i].clone()
        minus = (own[:, i, None] + KEEP) * old - torch.bmm(s[:, None], Z)[:, 0]
        V[:, i] = normalized(minus)
        Z.baddbmm_(s[:, :, None], (V[:, i] - old)[:, None])


def _state(S: torch.Tensor, V: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Objective and relative stationarity residual of every instance, (b,) each."""
    Z = S @ V
    g = (S.mT @ Z - S.square().sum(-2)[..., None] * V)[:, 1:]
    norm = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
    gap = torch.linalg.vector_norm(g + norm * V[:, 1:], dim=-1).amax(-1)
    return Z.square().sum((-1, -2)), gap / norm.flatten(1).amax(-1).clamp(
        min=1e-300 if S.dtype == torch.float64 else 1e-30
    )
