"""GRAD-MATCH: orthogonal matching pursuit with non-negative weights, many problems at once."""

from __future__ import annotations

import warnings

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.coresets._coreset import Coreset, check_gradients, check_k, check_target

JITTER = 1e-10  # of the largest squared norm: more examples than dimensions make the Gram matrix singular
SLICE = 2048  # coordinates in float64 at a time, where there are more of them than examples
KKT = 1e-9  # of max |<g, b>|: when a weight of zero counts as optimal
CANDIDATES = 8  # whose correlations are computed in float64 where float32 finds the largest


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
        b (..., p), whose leading dimensions broadcast with those of the gradients; default: the sum of all gradients.
    ridge
        :math:`\lambda \ge 0`, in units of a squared gradient norm: spreads the weights.
    nonnegative
        False: weights of either sign, ordinary orthogonal matching pursuit.
    tol
        A problem whose largest correlation with the residual is at most ``tol`` :math:`\max_j |\langle g_j, b\rangle|`
        is finished; what it lacks of k is filled with further examples of weight 0. One gradient that is far longer
        than all others sets the scale for all of them, here and in the refit: take outliers out, or normalize.

    Returns
    -------
    Coreset, in the order of selection; the refit is exact to about 1e-9 of the largest correlation.

    Raises
    ------
    ValueError
        Gradients that are not finite, neither float32 nor float64, or of fewer than two dimensions, k outside 1..n, a
        target of another shape, negative ridge or tol.

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
    lead = torch.broadcast_shapes(gradients.shape[:-2], b.shape[:-1])
    g, b = gradients.expand(*lead, n, p).reshape(-1, n, p), b.expand(*lead, p).reshape(-1, p)
    kind = _Wide if p > n else _Narrow
    pursuit = _Pursuit(kind(g, b, k), k, ridge, bool(nonnegative))
    for step in range(k):
        pursuit.extend(step, tol)
    if not pursuit.converged:
        warnings.warn("a refit of weights missed its optimality conditions", ConvergenceWarning, 2)
    shape = (*lead, k)
    return Coreset(pursuit.chosen.reshape(shape), pursuit.weights.reshape(shape).to(gradients.dtype))


class _Narrow:
    """Inner products of B problems whose examples outnumber their coordinates: by the residual.

    A step reads all gradients once, which is nearly all of its time. Where they come in float32 they are read as such,
    to find the candidates; the correlations that decide are in float64.
    """

    def __init__(self, g: torch.Tensor, b: torch.Tensor, k: int):
        self.b = b
        double = g.double()
        self.rows = double.new_zeros(len(g), k, g.shape[2])
        self.everyone = torch.arange(len(g), device=g.device)
        self.target = (double @ self.b[..., None])[..., 0]
        self.squares = double.square().sum(2)
        # Out of this range products with a residual of length 1 leave that of float32.
        largest = float(g.abs().max()) if g.numel() else 1.0
        self.screen = g.dtype == torch.float32 and 1e-20 < largest < 1e30 / g.shape[2] and g.shape[1] > CANDIDATES
        self.g = g if self.screen else double

    def best(self, weights: torch.Tensor, taken: torch.Tensor, signed: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The largest correlation (B,), in absolute value if signed, of an example that is not taken, and which it is.

        Correlations are with b minus the weighted sum of the examples chosen so far.
        """
        residual = self.b - (weights[:, None] @ self.rows[:, : weights.shape[1]])[:, 0]
        if not self.screen:
            return _largest((self.g @ residual[..., None])[..., 0], taken, signed)
        short = (residual / residual.norm(dim=1, keepdim=True).clamp_min(1e-300)).to(self.g.dtype)
        rough = (self.g @ short[..., None])[..., 0]
        rough = rough.abs() if signed else rough
        some = rough.masked_fill_(taken, -torch.inf).topk(CANDIDATES, 1).indices.sort(1).values
        candidates = self.g[self.everyone[:, None], some].double()
        value, place = _largest((candidates @ residual[..., None])[..., 0], taken.gather(1, some), signed)
        return value, some[self.everyone, place]

    def choose(self, step: int, best: torch.Tensor) -> torch.Tensor:
        """One more example per problem: its products (B, step + 1) with all that are chosen, itself the last."""
        self.rows[:, step] = self.g[self.everyone, best]
        return (self.rows[:, : step + 1] @ self.rows[:, step, :, None])[..., 0]


class _Wide:
    """Inner products of B problems with more coordinates than examples: from the Gram matrix, computed once."""

    def __init__(self, g: torch.Tensor, b: torch.Tensor, k: int):
        count, n, p = g.shape
        self.gram = torch.zeros(count, n, n, dtype=torch.float64, device=g.device)
        self.target = torch.zeros(count, n, dtype=torch.float64, device=g.device)
        for start in range(0, p, SLICE):
            part = g[..., start : start + SLICE].double()
            self.gram += part @ part.mT
            self.target += (part @ b[:, start : start + SLICE, None])[..., 0]
        self.rows = self.gram.new_zeros(count, k, n)
        self.chosen = torch.zeros(count, k, dtype=torch.int64, device=g.device)
        self.everyone = torch.arange(count, device=g.device)
        self.squares = self.gram.diagonal(dim1=1, dim2=2)

    def best(self, weights: torch.Tensor, taken: torch.Tensor, signed: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """As in ``_Narrow``."""
        return _largest(self.target - (weights[:, None] @ self.rows[:, : weights.shape[1]])[:, 0], taken, signed)

    def choose(self, step: int, best: torch.Tensor) -> torch.Tensor:
        """As in ``_Narrow``."""
        self.chosen[:, step] = best
        self.rows[:, step] = self.gram[self.everyone, best]
        return self.rows[:, step].gather(1, self.chosen[:, : step + 1])


def _largest(correlation: torch.Tensor, taken: torch.Tensor, signed: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(B,) values and places of the largest correlation (B, n), in absolute value if signed, among those not taken."""
    return (correlation.abs() if signed else correlation).masked_fill(taken, -torch.inf).max(1)


class _Pursuit:
    """B problems side by side: chosen examples with their products, weights, and the Cholesky factor of the refit.

    Outside the positive set the factor's rows and columns are those of the identity, so that problems whose sets differ
    share one batch.
    """

    def __init__(self, products: _Narrow | _Wide, k: int, ridge: float, nonnegative: bool):
        self.products, self.ridge, self.nonnegative = products, ridge, nonnegative
        count, n = products.target.shape
        self.everyone = products.everyone
        self.scale = products.target.abs().amax(1)
        self.jitter = JITTER * products.squares.amax(1)
        self.c, self.weights = products.target.new_zeros(2, count, k)
        self.gram, self.factor = products.target.new_zeros(2, count, k, k)
        self.chosen = torch.zeros(count, k, dtype=torch.int64, device=self.c.device)
        self.positive = torch.zeros(count, k, dtype=torch.bool, device=self.c.device)
        self.taken = torch.zeros(count, n, dtype=torch.bool, device=self.c.device)
        self.converged = True

    def extend(self, step: int, tol: float) -> None:
        """Choose one more example in every problem, and refit."""
        value, best = self.products.best(self.weights[:, :step], self.taken, not self.nonnegative)
        useful = value > tol * self.scale
        self.chosen[:, step] = best
        self.taken[self.everyone, best] = True
        cross = self.products.choose(step, best)
        self.c[:, step] = self.products.target[self.everyone, best]
        self.gram[:, step, : step + 1] = cross
        self.gram[:, : step + 1, step] = cross
        self.gram[:, step, step] += self.ridge
        self.positive[:, step] = useful
        self._border(step)
        if bool(useful.any()):
            self._refit(step + 1, ~useful)

    def _border(self, step: int) -> None:
        """Append a row to the factor: no refit starts from nothing."""
        new = self.positive[:, step, None]
        column = torch.where(self.positive[:, :step] & new, self.gram[:, :step, step], 0)
        row = torch.linalg.solve_triangular(self.factor[:, :step, :step], column[..., None], upper=False)[..., 0]
        rest = self.gram[:, step, step] + self.jitter - row.square().sum(1)
        self.factor[:, step, :step] = row
        self.factor[:, step, step] = torch.where(new[:, 0], torch.maximum(rest, self.jitter).sqrt(), 1.0)

    def _refactor(self, size: int) -> None:
        positive = self.positive[:, :size]
        matrix = torch.where(positive[:, :, None] & positive[:, None, :], self.gram[:, :size, :size], 0)
        diagonal = torch.where(positive, self.jitter[:, None], 1.0)
        self.factor[:, :size, :size] = torch.linalg.cholesky_ex(matrix + torch.diag_embed(diagonal)).L

    def _refit(self, size: int, done: torch.Tensor) -> None:
        """Least squares on the chosen examples; with non-negative weights by an active set. Problems done stay."""
        weights, positive, c = self.weights[:, :size], self.positive[:, :size], self.c[:, :size]
        if not self.nonnegative:
            weights.copy_(torch.where(done[:, None], weights, self._solve(size)))
            return
        for _ in range(5 * size + 10):
            proposal, before = self._solve(size), positive.clone()
            feasible = ~(positive & (proposal <= 0)).any(1)
            weights.copy_(torch.where(done[:, None], weights, self._towards(weights, proposal, positive)))
            positive &= (weights > 0) | (feasible | done)[:, None]
            slope = (c - self._apply(weights)).masked_fill(positive, -torch.inf)
            steepest, where = slope.max(1)
            done = done | feasible & (steepest <= KKT * self.scale)
            if bool(done.all()):
                return
            enters = self.everyone[feasible & ~done]
            positive[enters, where[enters]] = True
            if not torch.equal(before, positive):
                self._refactor(size)
        self.converged = False

    def _solve(self, size: int) -> torch.Tensor:
        """Weights on the positive set, 0 elsewhere; one step of refinement takes the jitter back."""
        positive, factor = self.positive[:, :size], self.factor[:, :size, :size]
        rhs = torch.where(positive, self.c[:, :size], 0)
        first = torch.cholesky_solve(rhs[..., None], factor)[..., 0]
        short = rhs - torch.where(positive, self._apply(first), 0)
        return first + torch.cholesky_solve(short[..., None], factor)[..., 0]

    def _apply(self, weights: torch.Tensor) -> torch.Tensor:
        """The Gram matrix of what is chosen (with ridge) times weights (B, size)."""
        size = weights.shape[1]
        return (self.gram[:, :size, :size] @ weights[..., None])[..., 0]

    @staticmethod
    def _towards(weights: torch.Tensor, proposal: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        """As far from the weights to the proposal as all stay non-negative; the one that stops is set to 0."""
        blocked = positive & (proposal <= 0)
        ratio = torch.where(blocked, weights / (weights - proposal).clamp_min(1e-300), torch.inf)
        share = ratio.amin(1, keepdim=True)
        moved = weights + share.clamp_max(1.0) * (proposal - weights)
        stops = blocked & (ratio <= share)
        return torch.where(stops | ~positive, 0, moved).clamp_min(0)
