"""Alternating minimization over activation patterns and weights."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.shallow import _arguments
from litrepro.shallow._least_squares import minimum_norm


def state_matrix(X: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """B = [diag(p_1) X ... diag(p_K) X], p_k = 1{X w_k > 0}, so that B vec(W) = sum_k relu(X w_k).

    Parameters
    ----------
    X, W
        Inputs (..., n, d) and neurons as rows (..., K, d); vec concatenates the rows.

    Returns
    -------
    (..., n, K d). Raises ``ValueError`` for dimensions that do not match.

    Source: equations 17 and 18 of the review; Jagatap and Hegde 2018.
    """
    _arguments.pair(X, W, ("X", "W"))
    active = torch.einsum("...nd,...kd->...nk", X, W) > 0
    return (active[..., None] * X[..., None, :]).flatten(-2)


def alternating_minimization(X: torch.Tensor, y: torch.Tensor, W0: torch.Tensor, *, iterations: int) -> torch.Tensor:
    """Alternate between the activation pattern of W and the least squares fit of y under that pattern.

    Parameters
    ----------
    X, y, W0
        Inputs (..., n, d), targets (..., n), start (..., K, d). A row of zeros in X with a zero target is no sample, so
        that problems with different n fit into one batch.
    iterations
        Number of alternations >= 0.

    Returns
    -------
    Path (iterations + 1, ..., K, d), the start included. Where the pattern leaves a direction undetermined (n < K d,
    duplicate or dead neurons) the fit of smallest norm is taken, so the path stays finite.

    Raises
    ------
    ValueError
        Shapes that do not match.

    Source: Jagatap and Hegde 2018, algorithm 1; algorithm 1 and equation 19 of the review.
    """
    batch = _arguments.samples(X, y)
    _arguments.weights("W0", W0, X.shape[-1])
    batch = _arguments.broadcast(samples=batch, W0=W0.shape[:-2])
    iterations = _validate.positive_int("iterations", iterations, 0)
    path = W0.new_empty(iterations + 1, *batch, *W0.shape[-2:])
    path[0] = W0
    targets = y.expand(*batch, y.shape[-1])
    for t in range(iterations):
        path[t + 1] = minimum_norm(state_matrix(X, path[t]), targets).unflatten(-1, W0.shape[-2:])
    return path
