"""Two other ways to differentiate a matching: a quadratic term solved implicitly, and entropy."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.layers._assignment import _dykstra, check_costs, warn_of_sums

FACE = 1e-7  # slack below which an inequality counts as active


class _Quadratic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, C, weight, rounds):
        X = _dykstra(-C.detach().double() / weight, rounds)
        ctx.save_for_backward(X)
        ctx.weight = weight
        return X.to(C.dtype)

    @staticmethod
    def backward(ctx, grad):
        (X,) = ctx.saved_tensors
        return (-_tangent_of_face(X, grad.double()) / ctx.weight).to(grad.dtype), None, None


def _tangent_of_face(X: torch.Tensor, D: torch.Tensor) -> torch.Tensor:
    """Project D (..., n, m) onto directions that keep rows, full columns and zeros of X as they are."""
    inside = (X > FACE).to(X.dtype)
    full = (X.sum(-2, keepdim=True) > 1 - FACE).to(X.dtype)
    tight = inside * full
    gram = torch.cat(
        [
            torch.cat([torch.diag_embed(inside.sum(-1)), tight], -1),
            torch.cat([tight.mT, torch.diag_embed(tight.sum(-2))], -1),
        ],
        -2,
    )
    D = D * inside
    sums = torch.cat([D.sum(-1), (D * full).sum(-2)], -1)[..., None]
    multipliers = (torch.linalg.pinv(gram, hermitian=True) @ sums)[..., 0]
    row, column = multipliers.split(X.shape[-2:], -1)
    return D - inside * (row[..., :, None] + full * column[..., None, :])


def implicit_matching(C: torch.Tensor, weight: float = 0.1, *, rounds: int = 500) -> torch.Tensor:
    """The minimizer of <C, X> + weight/2 ||X||^2 over the matching polytope, differentiated on its active face.

    The minimizer is the projection of -C / weight (Dykstra, ``rounds`` rounds, float64); its Jacobian is the
    projection onto the tangent space of the face it lies on, one small linear system (Amos and Kolter 2017). The
    smaller the weight, the more rounds it takes.

    Returns
    -------
    (..., n, m). Raises ``ValueError`` for weight <= 0, rounds < 1, n > m, costs that are not finite; warns
    ``ConvergenceWarning`` where the sum of a row is off by more than 1e-3, or that of a column exceeds 1 by as much.

    Examples
    --------
    >>> implicit_matching(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).round(decimals=3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_costs("C", C)
    weight = _validate.real("weight", weight, 0, open_low=True)
    rounds = _validate.positive_int("rounds", rounds)
    X = _Quadratic.apply(C, weight, rounds)
    warn_of_sums("implicit_matching", X.sum(-1) - 1, (X.sum(-2) - 1).clamp(min=0), rounds)
    return X


def sinkhorn_matching(C: torch.Tensor, temperature: float = 0.1, *, rounds: int = 50) -> torch.Tensor:
    """The entropic matching: rows sum to 1, columns to at most 1, by Sinkhorn's iteration with a slack row, unrolled.

    Returns
    -------
    (..., n, m), rows exact. Raises ``ValueError`` for temperature <= 0, rounds < 1, n > m, costs that are not finite;
    warns ``ConvergenceWarning`` where the sum of a column, with the slack, is off by more than 1e-3.

    Examples
    --------
    >>> sinkhorn_matching(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).round(decimals=3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_costs("C", C)
    temperature = _validate.real("temperature", temperature, 0, open_low=True)
    rounds = _validate.positive_int("rounds", rounds)
    n, m = C.shape[-2:]
    scores = -C / temperature
    if not bool(scores.isfinite().all()):
        raise ValueError(f"temperature must keep C / temperature finite in {C.dtype}, got {temperature:g}")
    if m > n:
        # One more row takes the mass m - n that no template claims, at no cost.
        scores = torch.cat([scores, torch.zeros_like(scores[..., :1, :])], -2)
    mass = torch.ones(scores.shape[-2], 1, dtype=C.dtype, device=C.device)
    if m > n:
        mass[-1] = m - n
    for _ in range(rounds):
        scores = scores - scores.logsumexp(-2, keepdim=True)
        scores = scores - scores.logsumexp(-1, keepdim=True) + mass.log()
    X = scores.exp()
    warn_of_sums("sinkhorn_matching", X.sum(-1) - mass[:, 0], X.sum(-2) - 1, rounds)
    return X[..., :n, :]
