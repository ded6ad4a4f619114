"""One ReLU by projected gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro.shallow import _arguments


def relu_projected_gradient(
    X: torch.Tensor,
    y: torch.Tensor,
    project: Callable[[torch.Tensor], torch.Tensor] | None = None,
    *,
    iterations: int,
    first_step: float | torch.Tensor = 2.0,
    step: float | torch.Tensor = 1.0,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Fit y = relu(<w, x>) by projected gradient steps w <- P(w - mu g) from w_0 = 0.

    g = (1/n) sum_i (relu(<w, x_i>) - y_i)(1 + sgn<w, x_i>) x_i. At w = 0 the factor
    1 + sgn is 1 and afterwards 2 on active samples, hence a first step twice as large.

    Parameters
    ----------
    X, y
        Inputs (..., n, d) and targets (..., n). Batch dimensions broadcast; problems that share their inputs (``y``
        with further leading dimensions) share one matrix product and no copy.
    project
        Euclidean projection onto the constraint set, (..., d) to (..., d), applied to the whole batch; None for R^d.
    iterations
        Number of steps >= 0.
    first_step, step
        mu_0 and mu_t, not negative: numbers or tensors of batch shape.
    weights
        (..., n) in place of 1/n; a zero leaves a sample out, so that problems with different n fit into one batch.

    Returns
    -------
    Path (iterations + 1, ..., d), w_0 included. A member that diverges becomes inf or nan and disturbs no other.

    Raises
    ------
    ValueError
        Shapes that do not match, a projection that is no function or does not return a tensor of the same shape.

    Source: Soltanolkotabi 2017, equation 2.1 and theorem 3.1; definition 3.2 of the review.

    Examples
    --------
    >>> import torch
    >>> X = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    >>> w = torch.tensor([1.0, -1.0, 0.0])
    >>> path = relu_projected_gradient(X, (X @ w).relu(), iterations=50)
    >>> bool((path[-1] - w).norm() < 1e-4)
    True
    """
    batch = _arguments.samples(X, y)
    iterations = _validate.positive_int("iterations", iterations, 0)
    if project is not None:
        _validate.function("project", project)
    X, y = X.detach(), y.detach()
    n, d = X.shape[-2:]
    if weights is None:
        scale = 1 / n
    else:
        _validate.float_tensor("weights", weights, 1)
        if weights.shape[-1] != n:
            raise ValueError(f"weights must have shape (..., {n}), got {tuple(weights.shape)}")
        batch = _validate.broadcast(batch=batch, weights=weights.shape[:-1])
        scale = weights.detach().to(X)
    for name, value in (("first_step", first_step), ("step", step)):
        if isinstance(value, torch.Tensor):
            batch = _validate.broadcast(batch=batch, **{name: value.shape})
    sizes = [_arguments.step_size(name, mu, batch, X) for name, mu in (("first_step", first_step), ("step", step))]
    forward, backward = _products(X, batch)
    path = X.new_zeros(iterations + 1, *batch, d)
    for t in range(iterations):
        w = path[t]
        score = forward(w)
        residual = scale * (score.relu() - y) * (1 + score.sign())
        moved = w - sizes[min(t, 1)] * backward(residual)
        if project is not None:
            moved = project(moved)
            if getattr(moved, "shape", None) != w.shape:
                got = tuple(moved.shape) if isinstance(moved, torch.Tensor) else type(moved).__name__
                raise ValueError(f"project must keep the shape {tuple(w.shape)}, got {got}")
        path[t + 1] = moved.detach()
    return path


def _products(X: torch.Tensor, batch: torch.Size) -> tuple[Callable, Callable]:
    """w (..., d) to X w, and r (..., n) to X' r."""
    if X.shape[:-2] == batch and batch.numel() > 1:
        # Batched matrix-vector products are two to six times faster as rows times a matrix in memory order.
        turned = X.mT.contiguous()
        return (lambda w: (w[..., None, :] @ turned)[..., 0, :], lambda r: (r[..., None, :] @ X)[..., 0, :])
    return (lambda w: torch.einsum("...nd,...d->...n", X, w), lambda r: torch.einsum("...nd,...n->...d", X, r))
