"""Gradient descent on the empirical loss of a ReLU network."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.shallow import _arguments


@torch.no_grad()
def relu_gradient_descent(
    X: torch.Tensor, y: torch.Tensor, W0: torch.Tensor, *, step: float | torch.Tensor, iterations: int
) -> torch.Tensor:
    """Gradient descent on (1/2n) sum_i (f(x_i) - y_i)^2, f(x) = sum_k relu(<w_k, x>), relu'(0) = 0.

    Parameters
    ----------
    X, y, W0
        Inputs (..., n, d), targets (..., n), start (..., K, d); batch dimensions broadcast, and starts that share their
        inputs share one matrix product.
    step
        Not negative: a number or a tensor of batch shape.

    Returns
    -------
    Path (iterations + 1, ..., K, d), the start included.

    Raises
    ------
    ValueError
        Shapes that do not match.

    Source: Zhang, Yu, Wang and Gu 2018, algorithm 1; section 3.2.1 of the review.

    Examples
    --------
    >>> import torch
    >>> X = torch.tensor([[1.0], [1.0]])
    >>> path = relu_gradient_descent(X, 3 * X[:, 0], torch.ones(1, 1), step=0.5, iterations=3)
    >>> path.flatten()  # to 3, half of the way per step
    tensor([1.0000, 2.0000, 2.5000, 2.7500])
    """
    batch = _arguments.samples(X, y)
    _arguments.weights("W0", W0, X.shape[-1])
    _validate.same_kind(X=X, W0=W0)
    batch = _validate.broadcast(samples=batch, W0=W0.shape[:-2])
    if isinstance(step, torch.Tensor):
        batch = _validate.broadcast(batch=batch, step=step.shape)
    iterations = _validate.positive_int("iterations", iterations, 0)
    size = _arguments.step_size("step", step, batch, X, trailing=2)
    n = X.shape[-2]
    path = W0.new_empty(iterations + 1, *batch, *W0.shape[-2:])
    path[0] = W0
    for t in range(iterations):
        score = torch.einsum("...nd,...kd->...nk", X, path[t])
        residual = score.relu().sum(-1) - y
        gradient = torch.einsum("...nd,...nk->...kd", X, residual[..., None] * (score > 0)) / n
        path[t + 1] = path[t] - size * gradient
    return path
