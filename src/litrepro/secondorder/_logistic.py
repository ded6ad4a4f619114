"""Logistic regression with every gradient counted: gradient descent, SVRG and Newton, for LiSSA to stand beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from litrepro import _validate


def logistic_loss(decay: float) -> Callable[..., torch.Tensor]:
    """``loss(w (..., d), x (n, d), y (n,) in {-1, 1}) -> (...)``: mean log(1 + exp(-y x.w)) + decay/2 ||w||^2.

    Examples
    --------
    >>> round(logistic_loss(0.1)(torch.zeros(2), torch.eye(2), torch.ones(2)).item(), 4)
    0.6931
    """
    decay = _validate.real("decay", decay, 0)

    def loss(w: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.softplus(-y * (w @ x.mT)).mean(-1) + decay / 2 * w.square().sum(-1)

    return loss


def _gradient(w, x, y, decay):
    return -(y * torch.sigmoid(-y * (w @ x.mT))) @ x / len(x) + decay * w


def logistic_newton(x: torch.Tensor, y: torch.Tensor, decay: float, *, steps: int, w0: torch.Tensor | None = None):
    """Newton's iterates (steps + 1, d) for the logistic loss, from zero unless ``w0`` is given.

    Raises ``ValueError`` for decay <= 0 or steps < 1.

    Examples
    --------
    >>> path = logistic_newton(torch.eye(2).double(), torch.ones(2).double(), 0.1, steps=8)
    >>> bool((path[-1] - path[-2]).norm() < 1e-12)
    True
    """
    decay = _validate.real("decay", decay, 0, open_low=True)
    w = torch.zeros(x.shape[1], dtype=x.dtype, device=x.device) if w0 is None else w0
    path = [w]
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    for _ in range(_validate.positive_int("steps", steps)):
        p = torch.sigmoid(x @ w)
        H = (x.mT * (p * (1 - p))) @ x / len(x) + decay * eye
        w = w - torch.linalg.solve(H, _gradient(w, x, y, decay))
        path.append(w)
    return torch.stack(path)


def logistic_descent(x: torch.Tensor, y: torch.Tensor, decay: float, *, lr: torch.Tensor, steps: int) -> torch.Tensor:
    """Gradient descent from zero: iterates (steps + 1, ..., d) for step sizes ``lr`` (...); n oracle calls a step.

    Examples
    --------
    >>> logistic_descent(torch.eye(2), torch.ones(2), 0.1, lr=torch.tensor([1.0, 2.0]), steps=3).shape
    torch.Size([4, 2, 2])
    """
    w = torch.zeros(*lr.shape, x.shape[1], dtype=x.dtype, device=x.device)
    path = [w]
    for _ in range(_validate.positive_int("steps", steps)):
        w = w - lr.to(w)[..., None] * _gradient(w, x, y, decay)
        path.append(w)
    return torch.stack(path)


def logistic_svrg(
    x: torch.Tensor, y: torch.Tensor, decay: float, *, lr: torch.Tensor, epochs: int, seeds: Sequence[int], plain=False
) -> torch.Tensor:
    """SVRG from zero (Johnson and Zhang 2013): n steps on single samples per epoch, reference at its start.

    Parameters
    ----------
    lr
        (R,) step sizes; every seed runs with each of them on one and the same stream of samples.
    plain
        Stochastic gradient descent with the step size lr/(1 + 2 epoch) instead, without references.

    Returns
    -------
    (epochs + 1, R, S, d). An epoch costs 3 n oracle calls, plain n.

    Raises ``ValueError`` for epochs < 1 and without seeds.

    Examples
    --------
    >>> logistic_svrg(torch.eye(2), torch.ones(2), 0.1, lr=torch.tensor([0.5]), epochs=2, seeds=[0, 1]).shape
    torch.Size([3, 1, 2, 2])
    """
    epochs = _validate.positive_int("epochs", epochs)
    if len(seeds) == 0:
        raise ValueError("seeds is empty")
    streams = [torch.Generator().manual_seed(seed) for seed in seeds]
    n, d = x.shape
    w = torch.zeros(len(lr), len(seeds), d, dtype=x.dtype, device=x.device)
    rate = lr.to(w)[:, None, None]
    signed = -y[:, None] * x  # the gradient of one sample is sigmoid(signed.w) signed + decay w
    path = [w]
    for epoch in range(epochs):
        rows = torch.stack([torch.randint(n, (n,), generator=each) for each in streams], 1).to(x.device)
        reference, full = w, _gradient(w, x, y, decay)
        step = rate / (1 + 2 * epoch) if plain else rate
        for row in rows:
            a = signed[row]
            weight = torch.sigmoid((a * w).sum(-1, keepdim=True))
            if plain:
                g = weight * a + decay * w
            else:
                weight = weight - torch.sigmoid((a * reference).sum(-1, keepdim=True))
                g = weight * a + decay * (w - reference) + full
            w = w - step * g
        path.append(w)
    return torch.stack(path)


def calls_to_distance(distance: torch.Tensor, cost: float, tolerance: float) -> torch.Tensor:
    """Oracle calls until a distance (steps + 1, ...) is at most ``tolerance`` for the first time; inf if never.

    ``cost`` is what a step takes. Examples
    --------
    >>> calls_to_distance(torch.tensor([[1.0, 1.0], [0.1, 1.0]]), 10, 0.5).tolist()
    [10.0, inf]
    """
    reached = distance <= tolerance
    first = reached.to(torch.int64).argmax(0).to(torch.float64)
    return torch.where(reached.any(0), cost * first, torch.inf)
