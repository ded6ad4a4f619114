"""Closed forms from convex duality: deep linear networks, and deep ReLU networks on whitened data."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from litrepro import _validate
from litrepro.convexnets import _arguments


class DeepLinearOptimum(NamedTuple):
    """End-to-end vector w (d,), objective, Frobenius norm of every layer."""

    w: Tensor
    objective: float
    layer_norm: float


class WhitenedOptimum(NamedTuple):
    """Output scale c (K,) of every class and the optimal objective."""

    c: Tensor
    objective: float


def dual_ball_projection(X: Tensor, y: Tensor, beta: float | Tensor) -> Tensor:
    """The point u nearest to y with ||X'u|| <= beta: the dual solution of a two-layer linear network.

    u = (I + mu X X')^{-1} y, mu the root of the secular equation ||X'u|| = beta, by Newton's method on 1 / ||X'u||,
    which is concave in mu, so that the iteration is monotone. ``X (n, d)``, ``y (..., n)``, ``beta (...)`` >= 0; y
    itself if it is inside. The optimum w of min ||X w - y||^2 / 2 + beta ||w|| satisfies X w = y - u, and w1 is
    parallel to X'u (the review's equation 31). Not differentiable in X where singular values repeat. Raises
    ``ValueError`` for beta < 0 and shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> [round(u, 6) for u in dual_ball_projection(torch.eye(2), torch.tensor([3.0, 4.0]), 1.0).tolist()]
    [0.6, 0.8]
    """
    X, y = _arguments.data(X, y)
    if X.ndim != 2:
        raise ValueError(f"X must be (n, d), got {tuple(X.shape)}")
    beta = _arguments.positive("beta", beta, y, zero=True)
    shape = _validate.broadcast(y=y.shape[:-1], beta=beta.shape)
    y, beta = y.expand(*shape, y.shape[-1]), beta.expand(shape)
    U, s, _ = torch.linalg.svd(X, full_matrices=False)
    live = s > s.max() * max(X.shape) * torch.finfo(X.dtype).eps
    U, s = U[:, live], s[live]
    c = y @ U
    target = beta.clamp(min=torch.finfo(y.dtype).tiny)
    mu = torch.zeros_like(beta)
    for _ in range(100):
        shrunk = s * c / (1 + mu[..., None] * s**2)
        p = shrunk.norm(dim=-1).clamp(min=torch.finfo(y.dtype).tiny)
        slope = (shrunk.square() * s**2 / (1 + mu[..., None] * s**2)).sum(-1) / p
        step = torch.where(p > target, (p - target) / target * p / slope.clamp(min=torch.finfo(y.dtype).tiny), 0.0)
        mu = torch.where(beta > 0, mu + step, torch.inf)
        if bool((step <= 1e-15 * mu)[beta > 0].all()):
            break
    inside = s * c
    kept = torch.where((mu == torch.inf)[..., None], 0.0, c / (1 + mu.clamp(max=1e300)[..., None] * s**2))
    projected = y + (kept - c) @ U.T
    return torch.where((inside.norm(dim=-1) <= beta)[..., None], y, projected)


def deep_linear_optimum(X: Tensor, y: Tensor, layers: int, beta: float) -> DeepLinearOptimum:
    """The global optimum of a deep linear network with weight decay and one output.

    min_w ||X w - y||^2 / 2 + (beta L / 2) ||w||^{2/L}: the layers of the best factorization of w have rank one and
    equal norm ||w||^{1/L} (Ergen and Pilanci 2020, theorem 2). Given its norm the best w lies on the path of ridge
    regression, which is searched and then compared with w = 0: for L > 2 a stationary point may exist while zero is
    better. The search has no derivative, and w carries no gradient.

    Parameters
    ----------
    X, y
        (n, d) and (n,).
    layers, beta
        L >= 2 and beta > 0.

    Returns
    -------
    DeepLinearOptimum

    Raises
    ------
    ValueError
        layers < 2, beta <= 0, shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> best = deep_linear_optimum(torch.eye(2), torch.tensor([3.0, 4.0]), 2, 1.0)
    >>> [round(value, 6) for value in best.w.tolist()], round(best.objective, 6), round(best.layer_norm, 6)
    ([2.4, 3.2], 4.5, 2.0)
    """
    layers, beta = _validate.positive_int("layers", layers, 2), _validate.real("beta", beta, 0, open_low=True)
    X, y = _arguments.data(X, y)
    if X.ndim != 2 or y.ndim != 1:
        raise ValueError(f"expected (n, d) and (n,), got {tuple(X.shape)} and {tuple(y.shape)}")
    X, y = X.detach(), y.detach()  # backpropagation through the search would give another gradient than the optimum's
    U, s, Vh = torch.linalg.svd(X, full_matrices=False)
    s = torch.where(s > s.max() * max(X.shape) * torch.finfo(X.dtype).eps, s, 0.0)  # what is rounding stays unused
    c = U.T @ y
    outside = (y - U @ c).square().sum()
    zero = DeepLinearOptimum(torch.zeros_like(X[0]), y.square().sum().item() / 2, 0.0)
    if not bool((s * c).abs().max() > 0):
        return zero

    def coefficients(mu: Tensor) -> Tensor:
        return s * c / (s**2 + mu[..., None])

    def objective(mu: Tensor) -> Tensor:
        w = coefficients(mu)
        fit = (s * w - c).square().sum(-1) + outside
        return fit / 2 + beta * layers / 2 * w.norm(dim=-1) ** (2 / layers)

    def stationarity(mu: Tensor) -> Tensor:
        return mu - beta * coefficients(mu).norm(dim=-1) ** (2 / layers - 2)

    grid = s.max() ** 2 * torch.logspace(-16, 12, 4001, dtype=X.dtype, device=X.device)
    k = int(objective(grid).argmin())
    low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
    for _ in range(200):  # the objective falls with mu where mu is below its stationary value
        middle = (low * high).sqrt()
        low, high = (middle, high) if bool(stationarity(middle) < 0) else (low, middle)
    mu = (low * high).sqrt()
    value = objective(mu).item()
    if value >= zero.objective:
        return zero
    w = coefficients(mu) @ Vh
    return DeepLinearOptimum(w, value, w.norm().item() ** (1 / layers))


def whitened_relu_optimum(counts: Tensor, layers: int, beta: float) -> WhitenedOptimum:
    """The optimum of a deep ReLU network with weight decay on whitened data and one-hot targets.

    Class j with n_j samples contributes min_c (sqrt(n_j) - c)^2 / 2 + (beta L / 2) c^{2/L} over c >= 0, solved
    globally, zero included: c = (sqrt(n_j) - beta)_+ for L = 2; for L > 2 the larger root of c + beta c^{2/L-1} =
    sqrt(n_j) where it beats zero. Ergen and Pilanci 2020, theorem 4, whose last layer holds for L = 2 only. Found by
    bisection, c carries no gradient.

    Parameters
    ----------
    counts
        (K,) non-negative class sizes, integer or floating point.
    layers, beta
        L >= 2 and beta > 0.

    Returns
    -------
    WhitenedOptimum

    Raises
    ------
    ValueError
        layers < 2, beta <= 0, counts that are not a vector of finite non-negative numbers.

    Examples
    --------
    >>> import torch
    >>> best = whitened_relu_optimum(torch.tensor([4, 9]), 2, 0.5)
    >>> best.c.tolist(), best.objective
    ([1.5, 2.5], 2.25)
    """
    layers, beta = _validate.positive_int("layers", layers, 2), _validate.real("beta", beta, 0, open_low=True)
    try:
        counts = torch.as_tensor(counts, device=counts.device if isinstance(counts, Tensor) else "cpu")
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"counts must be a vector of non-negative numbers, got {counts!r}") from None
    real = counts.ndim == 1 and len(counts) >= 1 and not counts.is_complex()
    if not real or not bool(((counts >= 0) & counts.isfinite()).all()):
        raise ValueError(f"counts must be a vector of finite non-negative numbers, got {counts.tolist()!r}")
    root = counts.detach().double().sqrt()  # the derivative of a bisection is not that of the root
    power = 2 / layers - 1
    # The derivative c - sqrt(n) + beta c^power is least at ``turn``; a minimum, if there is one, lies above.
    turn = (beta * -power) ** (layers / (2 * layers - 2)) if layers > 2 else 0.0
    low = torch.full_like(root, turn)
    high = torch.maximum(root, low)
    for _ in range(100):
        middle = (low + high) / 2
        falling = middle - root + beta * middle.clamp(min=1e-300) ** power < 0
        low, high = torch.where(falling, middle, low), torch.where(falling, high, middle)
    c = (low + high) / 2

    def objective(c: Tensor) -> Tensor:
        return (root - c).square() / 2 + beta * layers / 2 * c ** (2 / layers)

    zero = torch.zeros_like(root)
    c = torch.where(objective(c) < objective(zero), c, zero)
    return WhitenedOptimum(c, objective(c).sum().item())
