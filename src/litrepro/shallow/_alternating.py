"""Alternating minimization over activation patterns and weights."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.shallow import _arguments
from litrepro.shallow._least_squares import minimum_norm

_ENTRIES = 2**28  # of the state matrices that are held at once: 2 GiB in float64


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

    Examples
    --------
    >>> import torch
    >>> from litrepro.shallow import relu_network
    >>> X, W = torch.randn(5, 3), torch.randn(2, 3)
    >>> torch.allclose(state_matrix(X, W) @ W.flatten(), relu_network(X, W), atol=1e-5)
    True
    """
    _arguments.pair(X, W, ("X", "W"))
    return (_pattern(X, W)[..., None] * X[..., None, :]).flatten(-2)


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

    Examples
    --------
    >>> import torch
    >>> from litrepro.shallow import permutation_distance, planted_teacher, relu_network
    >>> X = torch.randn(200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> teacher = planted_teacher(2, 4)
    >>> path = alternating_minimization(X, relu_network(X, teacher), teacher + 0.1, iterations=20)
    >>> bool(permutation_distance(path[-1], teacher) < 1e-6)
    True
    """
    batch = _arguments.samples(X, y)
    _arguments.weights("W0", W0, X.shape[-1])
    _validate.same_kind(X=X, W0=W0)
    batch = _validate.broadcast(samples=batch, W0=W0.shape[:-2])
    iterations = _validate.positive_int("iterations", iterations, 0)
    n, d = X.shape[-2:]
    K = W0.shape[-2]
    path = W0.new_empty(iterations + 1, *batch, K, d)
    path[0] = W0
    flat = path.view(iterations + 1, -1, K, d)
    inputs, targets = X.expand(*batch, n, d).reshape(-1, n, d), y.expand(*batch, n).reshape(-1, n)
    moving = torch.arange(len(inputs), device=X.device)  # members whose pattern still changes; the others have arrived
    before = None
    for t in range(iterations):
        active = _pattern(inputs, flat[t, moving])
        if before is not None:
            changed = (active != before).flatten(1).any(-1)
            moving, inputs, targets, active = (part[changed] for part in (moving, inputs, targets, active))
        before = active
        flat[t + 1] = flat[t]
        for part in torch.arange(len(moving), device=X.device).split(max(1, _ENTRIES // (n * K * d))):
            B = (active[part, ..., None] * inputs[part, :, None, :]).flatten(-2)
            fit = minimum_norm(B, targets[part]).unflatten(-1, (K, d))
            # A neuron without active samples has no columns: it is zero, not the rounding of an SVD, whose signs would
            # wake it up in the next pattern.
            live = active[part].any(-2)[..., None] | fit.isnan()
            flat[t + 1, moving[part]] = torch.where(live, fit, 0.0)
    return path


def _pattern(X: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """1{X w_k > 0}, (..., n, K)."""
    return torch.einsum("...nd,...kd->...nk", X, W) > 0
