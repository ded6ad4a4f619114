"""GRAD-MATCH: orthogonal matching pursuit with non-negative weights, many problems at once."""

from __future__ import annotations

import warnings

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.coresets._coreset import Coreset, check_gradients, check_k, check_target, rows_at

JITTER = 1e-10  # of the largest squared norm: more examples than dimensions make the Gram matrix singular
KKT = 1e-9  # of max |<g, b>|: when a weight of zero counts as optimal


def grad_match(
    gradients: torch.Tensor,
    k: int,
    *,
    target: torch.Tensor | None = None,
    ridge: float = 0.0,
    nonnegative: bool = True,
    tol: float = 1e-10,
) -> Coreset:
    r"""GRAD-MATCH: k weighted examples whose gradient is closest to the target's, by orthogonal matching pursuit.

    For :math:`\min_{w \ge 0,\ \|w\|_0 \le k} \|\sum_j w_j g_j - b\|^2 + \lambda \|w\|^2`: k times, take the example
    most correlated with the residual, and refit all weights.

    Parameters
    ----------
    gradients
        (..., n, p).
    k
        1..n.
    target
        b (..., p); default: the sum of all gradients.
    ridge
        :math:`\lambda \ge 0`, in units of a squared gradient norm: spreads the weights.
    nonnegative
        False: weights of either sign, ordinary orthogonal matching pursuit.
    tol
        A problem whose largest correlation with the residual is at most ``tol`` :math:`\max_j |\langle g_j, b\rangle|`
        is finished; what it lacks of k is filled with further examples of weight 0.

    Returns
    -------
    Coreset, in the order of selection; the refit is exact to about 1e-9 of the largest correlation.

    Raises
    ------
    ValueError
        Gradients that are not finite or have fewer than two dimensions, k outside 1..n, a target of another shape,
        negative ridge or tol.

    Warns
    -----
    ConvergenceWarning
        The refit of some problem did not reach its optimality conditions.

    Notes
    -----
    Works in float64 and with inner products only: rounding in float32 spoils the signs of weights near the optimum.
    Sources: Killamsetty et al., arXiv:2103.00123, algorithm 2; Elenberg et al. 2018; refit: Lawson and Hanson 1974,
    chapter 23, started from the weights before.

    Examples
    --------
    >>> chosen = grad_match(torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), 2)
    >>> chosen.indices.tolist(), [round(w, 3) for w in chosen.weights.tolist()]
    ([0, 1], [1.5, 1.0])
    """
    gradients = check_gradients(gradients)
    n, p = gradients.shape[-2:]
    k, b = check_k(k, n), check_target(gradients, target)
    ridge, tol = _validate.real("ridge", ridge, 0), _validate.real("tol", tol, 0)
    pursuit = _Pursuit(gradients.double().reshape(-1, n, p), b.double().reshape(-1, p), k, ridge, bool(nonnegative))
    for step in range(k):
        pursuit.extend(step, tol)
    if not pursuit.converged:
        warnings.warn("a refit of weights missed its optimality conditions", ConvergenceWarning, 2)
    shape = (*gradients.shape[:-2], k)
    return Coreset(pursuit.chosen.reshape(shape), pursuit.weights.reshape(shape).to(gradients.dtype))


class _Pursuit:
    """B problems side by side: chosen examples, their weights, and the columns of the Gram matrix that are needed."""

    def __init__(self, g: torch.Tensor, b: torch.Tensor, k: int, ridge: float, nonnegative: bool):
        self.g, self.ridge, self.nonnegative = g, ridge, nonnegative
        count, n, _ = g.shape
        self.everyone = torch.arange(count, device=g.device)
        self.c = (g @ b[..., None])[..., 0]  # (B, n)
        self.scale = self.c.abs().amax(1)
        self.size = g.square().sum(2).amax(1)
        self.columns = g.new_zeros(count, k, n)  # <g_s, g_i> for chosen s
        self.gram = g.new_zeros(count, k, k)
        self.chosen = torch.zeros(count, k, dtype=torch.int64, device=g.device)
        self.weights = g.new_zeros(count, k)
        self.positive = torch.zeros(count, k, dtype=torch.bool, device=g.device)
        self.taken = torch.zeros(count, n, dtype=torch.bool, device=g.device)
        self.converged = True

    def extend(self, step: int, tol: float) -> None:
        """Choose one more example in every problem, and refit."""
        fitted = (self.weights[:, None, :step] @ self.columns[:, :step])[:, 0]
        correlation = self.c - fitted
        if not self.nonnegative:
            correlation = correlation.abs()
        value, best = correlation.masked_fill(self.taken, -torch.inf).max(1)
        useful = value > tol * self.scale
        self.chosen[:, step] = best
        self.taken[self.everyone, best] = True
        column = (self.g @ rows_at(self.g, best[:, None]).mT)[..., 0]
        self.columns[:, step] = column
        cross = column.gather(1, self.chosen[:, : step + 1])
        self.gram[:, step, : step + 1] = cross
        self.gram[:, : step + 1, step] = cross
        self.gram[:, step, step] += self.ridge
        self.positive[:, step] = useful
        if bool(useful.any()):
            self._refit(step + 1, ~useful)

    def _refit(self, size: int, done: torch.Tensor) -> None:
        """Least squares on the chosen examples; with non-negative weights by an active set. Problems done stay."""
        gram, weights = self.gram[:, :size, :size], self.weights[:, :size]
        positive = self.positive[:, :size]
        c = self.c.gather(1, self.chosen[:, :size])
        if not self.nonnegative:
            weights.copy_(torch.where(done[:, None], weights, self._solve(gram, c, positive)))
            return
        for _ in range(5 * size + 10):
            proposal = self._solve(gram, c, positive)
            feasible = ~(positive & (proposal <= 0)).any(1)
            weights.copy_(torch.where(done[:, None], weights, self._towards(weights, proposal, positive)))
            positive &= (weights > 0) | (feasible | done)[:, None]
            slope = (c - (gram @ weights[..., None])[..., 0]).masked_fill(positive, -torch.inf)
            steepest, where = slope.max(1)
            done = done | feasible & (steepest <= KKT * self.scale)
            if bool(done.all()):
                return
            enters = self.everyone[feasible & ~done]
            positive[enters, where[enters]] = True
        self.converged = False

    def _solve(self, gram: torch.Tensor, c: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        """Weights on the positive set, 0 elsewhere; one step of refinement takes the jitter back."""
        both = positive[:, :, None] & positive[:, None, :]
        matrix = torch.where(both, gram, 0)
        diagonal = torch.where(positive, JITTER * self.size[:, None], 1.0)
        factor = torch.linalg.cholesky_ex(matrix + torch.diag_embed(diagonal)).L
        rhs = torch.where(positive, c, 0)[..., None]
        first = torch.cholesky_solve(rhs, factor)
        second = first + torch.cholesky_solve(rhs - matrix @ first, factor)
        return second[..., 0]

    @staticmethod
    def _towards(weights: torch.Tensor, proposal: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        """As far from the weights to the proposal as all stay non-negative; the one that stops is set to 0."""
        blocked = positive & (proposal <= 0)
        ratio = torch.where(blocked, weights / (weights - proposal).clamp_min(1e-300), torch.inf)
        share = ratio.amin(1, keepdim=True)
        moved = weights + share.clamp_max(1.0) * (proposal - weights)
        stops = blocked & (ratio <= share)
        return torch.where(stops | ~positive, 0, moved).clamp_min(0)
