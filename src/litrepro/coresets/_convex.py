"""The convex case: incremental gradient on weighted logistic regression, many coresets at once."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.coresets._coreset import check_generator, single_or_double

if TYPE_CHECKING:
    import pandas as pd


def logistic_optimum(
    x: torch.Tensor,
    y: torch.Tensor,
    weights: torch.Tensor,
    *,
    ridge: float,
    max_iter: int = 100,
    tol: float | None = None,
) -> torch.Tensor:
    r"""Minimizer of :math:`\frac{1}{\sum w}\sum_i w_i \log(1 + e^{-y_i x_i^\top \theta}) + \frac\lambda2\|\theta\|^2`.

    Parameters
    ----------
    x, y, weights
        (..., n, d), (..., n) of +-1, (..., n) >= 0.
    ridge
        :math:`\lambda > 0`.
    max_iter, tol
        Of damped Newton steps; stops when the gradient's norm is at most tol, by default 1e-10, in float32 1e-5.

    Returns
    -------
    (..., d).

    Raises
    ------
    ValueError
        Shapes that do not fit, x neither float32 nor float64, values that are not finite, labels other than +-1,
        negative or all-zero weights, ridge <= 0, max_iter < 1.

    Warns
    -----
    ConvergenceWarning
        The gradient is still larger than tol.

    Examples
    --------
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> round(logistic_optimum(one, one[0], one[0], ridge=0.5).item(), 3)
    0.675
    """
    shares = _check_problem(x, y, weights, ridge)
    max_iter = _validate.positive_int("max_iter", max_iter)
    tol = _validate.real("tol", (1e-5 if x.dtype == torch.float32 else 1e-10) if tol is None else tol, 0)
    theta = x.new_zeros(*x.shape[:-2], x.shape[-1])
    identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    for _ in range(max_iter):
        margins = y * _product(x, theta)
        slope = -torch.sigmoid(-margins) * y * shares
        gradient = (x * slope[..., None]).sum(-2) + ridge * theta
        if float(gradient.norm(dim=-1).max()) <= tol:
            return theta
        curvature = torch.sigmoid(margins) * torch.sigmoid(-margins) * shares
        hessian = x.mT @ (x * curvature[..., None]) + ridge * identity
        move = torch.linalg.solve(hessian, gradient)
        # Damped by the Newton decrement: converges from anywhere, full steps near the optimum.
        decrement = (move * gradient).sum(-1, keepdim=True).clamp_min(0).sqrt() / ridge**0.5
        theta = theta - move / (1 + decrement * (decrement > 0.25))
    warnings.warn("Newton's method did not reach its tolerance", ConvergenceWarning, 2)
    return theta


def incremental_gradient(
    x: torch.Tensor,
    y: torch.Tensor,
    weights: torch.Tensor,
    everything: tuple[torch.Tensor, torch.Tensor],
    *,
    ridge: float,
    step: float,
    epochs: int,
    generator: torch.Generator,
) -> pd.DataFrame:
    r"""Incremental gradient on weighted examples: one example after another, step c / (1 + epoch).

    The step on example i is
    :math:`\theta \leftarrow \theta - \alpha_t\,(\bar w_i \nabla \ell_i(\theta) + \lambda\theta)` with weights of
    mean 1. An epoch over k examples moves as far as one over n where the step is n/k times as large: what is given is
    the length of an epoch.

    Parameters
    ----------
    x, y, weights
        Of the coresets: (..., k, d), (..., k) of +-1, (..., k); every epoch visits all k examples in a new order,
        shared by the batch.
    everything
        (x (n, d), y (n,)): the data whose regularized mean loss counts.
    ridge
        :math:`\lambda > 0`.
    step
        Length of an epoch's path: :math:`\alpha_t = \mathrm{step} / (k (1 + t))`.
    epochs
        Number of passes.
    generator
        Of the orders.

    Returns
    -------
    DataFrame ``member, epoch, excess, distance``: of the loss over everything, and of theta, from the optimum.

    Raises
    ------
    ValueError
        As ``logistic_optimum``; epochs < 1, step <= 0, no generator or seed, ``everything`` of other dimensions.

    Notes
    -----
    Source: Mirzasoleiman, Bilmes and Leskovec 2020, section 3 and theorem 2.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0], [-1.0]], dtype=torch.float64), torch.tensor([1.0, -1.0], dtype=torch.float64)
    >>> found = incremental_gradient(
    ...     x, y, y.abs(), (x, y), ridge=0.5, step=1.0, epochs=30, generator=torch.Generator().manual_seed(0)
    ... )
    >>> bool(found.distance.iloc[-1] < 0.1 * found.distance.iloc[0])
    True
    """
    import pandas as pd

    shares = _check_problem(x, y, weights, ridge)
    epochs, step = _validate.positive_int("epochs", epochs), _validate.real("step", step, 0, open_low=True)
    all_x, all_y = _check_everything(x, everything)
    generator = check_generator(generator)
    best = logistic_optimum(all_x, all_y, torch.ones_like(all_y), ridge=ridge)
    k, d = x.shape[-2:]
    signed = (x * y[..., None]).reshape(-1, k, d)
    shares = shares.reshape(-1, k)
    theta = x.new_zeros(len(signed), d)
    least = _mean_loss(all_x, all_y, best[None], ridge)
    rows = []
    for epoch in range(epochs + 1):
        excess = _mean_loss(all_x, all_y, theta, ridge) - least
        distance = (theta - best).norm(dim=1)
        rows += [(m, epoch, *pair) for m, pair in enumerate(zip(excess.tolist(), distance.tolist()))]
        rate = step / (1 + epoch)
        if epoch == epochs:
            break
        order = torch.randperm(k, generator=generator, device=generator.device).to(x.device)
        # The steps are few operations on short vectors: everything else is done beforehand, for a whole epoch.
        parts = (-signed[:, order]).unbind(1), (rate * shares[:, order, None]).unbind(1)
        for against, share in zip(*parts):
            pull = share * torch.sigmoid((against * theta).sum(1, keepdim=True))
            theta = torch.addcmul(theta * (1 - rate * ridge / k), pull, against, value=-1)
    return pd.DataFrame(rows, columns=["member", "epoch", "excess", "distance"])


def _product(x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    return (x @ theta[..., None])[..., 0]


def _mean_loss(x: torch.Tensor, y: torch.Tensor, theta: torch.Tensor, ridge: float) -> torch.Tensor:
    """Regularized mean loss over (n, d) of every theta (B, d)."""
    return functional.softplus(-(theta @ x.mT) * y).mean(1) + ridge / 2 * theta.square().sum(1)


def _check_everything(x: torch.Tensor, everything: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The pair (x (n, d), y (n,)) whose loss counts, in the dtype of the coresets."""
    try:
        all_x, all_y = everything
    except (TypeError, ValueError):
        raise ValueError(f"everything must be a pair (x, y), got {type(everything).__name__}") from None
    _validate.float_tensor("x of everything", all_x, 2)
    if all_x.ndim != 2 or all_x.shape[1] != x.shape[-1] or all_x.dtype != x.dtype:
        expected = f"(n, {x.shape[-1]}) in {x.dtype}"
        raise ValueError(f"x of everything must be {expected}, got {tuple(all_x.shape)} in {all_x.dtype}")
    return all_x, all_y


def _check_problem(x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor, ridge: float) -> torch.Tensor:
    """The weights as shares that sum to 1."""
    single_or_double("x", x)
    _validate.real("ridge", ridge, 0, open_low=True)
    for name, value in (("y", y), ("weights", weights)):
        _validate.float_tensor(name, value, 1)
        if value.shape != x.shape[:-1]:
            raise ValueError(f"{name} must have shape {tuple(x.shape[:-1])}, got {tuple(value.shape)}")
    _validate.same_kind(x=x, y=y, weights=weights)
    if min(x.shape[-2:]) < 1 or not (bool(x.isfinite().all()) and bool(weights.isfinite().all())):
        raise ValueError(f"x and weights must be finite with n, d >= 1, got x of shape {tuple(x.shape)}")
    if not bool((y.abs() == 1).all()):
        raise ValueError("y must hold -1 and +1 only")
    total = weights.sum(-1, keepdim=True)
    if bool((weights < 0).any()) or not bool((total > 0).all()):
        raise ValueError("weights must be >= 0 and not all 0")
    return weights / total
