"""Least squares with an l1 constraint or a nuclear-norm penalty, batched, by proximal gradient steps."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro._warnings import ConvergenceWarning
from litrepro.solvers._proximal import project_l1_ball, singular_value_threshold


class BallFit(NamedTuple):
    """A fit in a ball: ``x (..., n)``, ``loss (...)``, and ``gap (...)``, by how much at most the loss is too large.

    Examples
    --------
    >>> import torch
    >>> fit = l1_ball_least_squares(torch.eye(2), torch.tensor([3.0, 0.0]), 1.0)
    >>> [value.tolist() for value in fit]
    [[1.0, 0.0], 4.0, 0.0]
    """

    x: torch.Tensor
    loss: torch.Tensor
    gap: torch.Tensor


def l1_ball_least_squares(
    A: torch.Tensor, b: torch.Tensor, radius: float | torch.Tensor, *, iterations: int = 3000
) -> BallFit:
    """Minimize ||A x - b||^2 over ||x||_1 <= radius by accelerated projected gradient, all problems at once.

    Parameters
    ----------
    A, b
        (..., m, n) and (..., m).
    radius
        Of the ball, >= 0: a number or (...).
    iterations
        Number of steps.

    Returns
    -------
    ``BallFit``. The duality gap <grad, x> + radius ||grad||_inf certifies the loss, whatever the steps have reached.

    Raises
    ------
    ValueError
        Shapes, dtypes or devices that do not fit, tensors that are not float32 or float64 or not finite, a bad radius.

    Source: Beck and Teboulle 2009 (FISTA); the gap is that of Frank and Wolfe (Jaggi 2013).

    Examples
    --------
    >>> import torch
    >>> fit = l1_ball_least_squares(torch.eye(2), torch.tensor([3.0, 2.0]), 2.0)
    >>> fit.x.round(decimals=4).tolist(), round(fit.loss.item(), 4), bool(fit.gap < 1e-4)
    ([1.5, 0.5], 4.5, True)
    """
    _validate.decomposable("A", A)
    _validate.decomposable("b", b, 1)
    _validate.same_kind(A=A, b=b)
    iterations = _validate.positive_int("iterations", iterations)
    if b.shape != A.shape[:-1] or A.shape[-1] < 1:
        raise ValueError(f"A and b must be (..., m, n >= 1) and (..., m), got {tuple(A.shape)} and {tuple(b.shape)}")
    scale = binary_scale(A.flatten(-2), -1)
    unit = A / scale[..., None]  # the Gram matrix of A itself may overflow, and would be refused for the whole batch
    gram, linear = unit.mT @ unit, (unit.mT @ (b / scale)[..., None])[..., 0]
    project_l1_ball(torch.zeros_like(linear), radius)  # refuses a bad radius before any work
    smoothness = 2 * torch.linalg.eigvalsh(gram)[..., -1:]
    step = 1 / smoothness.clamp(min=torch.finfo(A.dtype).tiny)

    def gradient(x: torch.Tensor) -> torch.Tensor:  # in units of scale^2
        return 2 * ((gram @ x[..., None])[..., 0] - linear)

    x = ahead = torch.zeros_like(linear)
    for k in range(iterations):
        new = project_l1_ball(ahead - step * gradient(ahead), radius)
        x, ahead = new, new + k / (k + 3) * (new - x)
    slope = gradient(x)
    loss = ((A @ x[..., None])[..., 0] - b).square().sum(-1)
    gap = (slope * x).sum(-1) + radius * slope.abs().amax(-1)
    return BallFit(x, loss, gap * scale[..., 0] * scale[..., 0])


def nuclear_norm_least_squares(
    X: torch.Tensor, Y: torch.Tensor, beta: float, *, iterations: int = 4000
) -> torch.Tensor:
    """Minimizer W (..., d, k) of ||X W - Y||_F^2 / 2 + beta ||W||_* by proximal gradient steps.

    Parameters
    ----------
    X, Y
        (..., n, d) and (..., n, k).
    beta
        Weight of the nuclear norm, > 0.
    iterations
        Number of steps of length 1 / ||X||^2.

    Returns
    -------
    W. It is optimal where the largest singular value of X^T (Y - X W) is beta, or at most that where W = 0.
    A ``ConvergenceWarning`` says how many fits the last step still moved, by more than half the digits of the dtype, or
    do not meet the bound beta to as many, rounding apart.

    Raises
    ------
    ValueError
        Shapes, dtypes or devices that do not fit, tensors that are not float32 or float64 or not finite, a bad beta.

    Source: Cai, Candes and Shen 2010, for the proximal map.

    Examples
    --------
    >>> import torch
    >>> W = nuclear_norm_least_squares(torch.eye(2), torch.tensor([[3.0, 0.0], [0.0, 0.5]]), 1.0)
    >>> W.round(decimals=4).tolist()  # singular values 3 and 0.5 become 2 and 0
    [[2.0, 0.0], [0.0, 0.0]]
    """
    _validate.decomposable("X", X)
    _validate.decomposable("Y", Y)
    _validate.same_kind(X=X, Y=Y)
    beta = _validate.real("beta", beta, 0, open_low=True)
    iterations = _validate.positive_int("iterations", iterations)
    if X.shape[:-1] != Y.shape[:-1]:
        raise ValueError(f"X and Y must have the same batch and rows, got {tuple(X.shape)} and {tuple(Y.shape)}")
    scale = binary_scale(X.flatten(-2), -1)[..., None]
    X, Y, beta = X / scale, Y / scale, (beta / scale / scale)[..., 0, 0]  # the same problem, whose squares are finite
    size = torch.linalg.matrix_norm(X, 2)
    step = 1 / size.square().clamp(min=torch.finfo(X.dtype).tiny)
    rate = step[..., None, None]
    W = last = X.new_zeros(*X.shape[:-2], X.shape[-1], Y.shape[-1])
    for _ in range(iterations):
        last, W = W, singular_value_threshold(W - rate * (X.mT @ (X @ W - Y)), step * beta)
    eps = torch.finfo(X.dtype).eps
    settled = torch.linalg.matrix_norm(W - last) <= eps**0.5 * torch.linalg.matrix_norm(W)
    # Small steps alone may be slow ones: what the residuals still have in common with X must be within the bound.
    fitted = X @ W
    rounding = 10 * eps * size * (torch.linalg.matrix_norm(Y) + torch.linalg.matrix_norm(fitted))
    bounded = torch.linalg.matrix_norm(X.mT @ (Y - fitted), 2) <= beta * (1 + eps**0.5) + rounding
    open_fits = ~(settled & bounded)  # nan counts
    if open_fits.any():
        message = f"{int(open_fits.sum())} of {open_fits.numel()} fits have not converged in {iterations} steps"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return W
