"""Second moments of asynchronous descent: what the mean does not show."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.asynchrony._rate import setting


def mean_square_path(workers: int, lr: float | torch.Tensor, steps: int, curvature: float = 1.0) -> torch.Tensor:
    """E w_t^2 / w_0^2 of M memoryless workers on f(w) = curvature w^2 / 2, without explicit momentum.

    With h = lr curvature and v_i the iterate that worker i has read, an update takes w to w - h v_i and then v_i to the
    new w, i uniform. The workers are exchangeable, so E w^2, E w v_i, E v_i^2 and E v_i v_j (i != j) close on
    themselves. Nothing is assumed about the delays: this is the queue of ``worker_staleness`` itself.

    Parameters
    ----------
    workers
        M >= 1.
    lr
        Step sizes: a number, or a tensor (...), >= 0.
    steps
        Number of updates, >= 0.
    curvature
        Positive.

    Returns
    -------
    (steps + 1, ...) float64.

    Raises ``ValueError`` for bad sizes and step sizes.

    Examples
    --------
    >>> mean_square_path(1, 0.5, 3)  # one worker: (1 - lr)^2 per step
    tensor([1.0000, 0.2500, 0.0625, 0.0156], dtype=torch.float64)
    """
    matrix = _matrix(workers, lr, curvature)
    steps = _validate.positive_int("steps", steps, 0)
    moments = matrix.new_ones(*matrix.shape[:-2], 4, 1)
    path = [moments[..., 0, 0]]
    for _ in range(steps):
        moments = matrix @ moments
        path.append(moments[..., 0, 0])
    return torch.stack(path)


def mean_square_rate(workers: int, lr: float | torch.Tensor, curvature: float = 1.0) -> torch.Tensor:
    """Growth of E w_t^2 per update in the long run: the spectral radius of the map behind ``mean_square_path``.

    Parameters and errors as there. Returns (...) float64; 1 is the boundary of stability in mean square. For M = 1 it
    is (1 - h)^2.

    Examples
    --------
    >>> import torch
    >>> mean_square_rate(1, torch.tensor([0.5, 3.0])).round(decimals=4)
    tensor([0.2500, 4.0000], dtype=torch.float64)
    """
    return torch.linalg.eigvals(_matrix(workers, lr, curvature)).abs().amax(-1)


def mean_square_limit(workers: int, curvature: float = 1.0) -> float:
    """The largest step size at which M memoryless workers are stable in mean square.

    The mean alone is stable up to 2 (2 M - 1) / curvature. Found by bisection to 12 digits.

    Raises ``ValueError`` for bad sizes.

    Examples
    --------
    >>> round(mean_square_limit(1), 6), mean_square_limit(4) < 2 * (2 * 4 - 1)  # below the limit of the mean
    (2.0, True)
    """
    curvature = _validate.real("curvature", curvature, 0, open_low=True)
    # M = 1 is stable up to 2, more workers for less.
    grid = torch.linspace(0, 2.001, 2002, dtype=torch.float64, device="cpu")[1:]
    high = float(grid[int((mean_square_rate(workers, grid) > 1 + 1e-12).int().argmax())])
    low = high - float(grid[0])
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if float(mean_square_rate(workers, middle)) > 1 + 1e-14 else (middle, high)
    return low / curvature


def _matrix(workers: int, lr: float | torch.Tensor, curvature: float) -> torch.Tensor:
    """The linear map (..., 4, 4) of (E w^2, E w v_i, E v_i^2, E v_i v_j)."""
    m = _validate.positive_int("workers", workers)
    curvature = _validate.real("curvature", curvature, 0, open_low=True)
    lr = setting("lr", lr, lr.device if isinstance(lr, torch.Tensor) else torch.device("cpu"))
    h = lr * curvature
    if not bool((torch.isfinite(h) & (h >= 0)).all()):
        raise ValueError(f"lr must be finite and >= 0, got {lr}")
    p = 1 / m
    # With one worker there is no pair: E v_i v_j is not used, and its row is zero.
    pair = [0.0, 2 * p, 0.0, 1 - 2 * p - 2 * p * h] if m > 1 else [0.0] * 4
    square = [1.0, -2 * h, h * h, 0.0]
    rows = [
        square,
        [p, p * square[1] + (1 - p), p * square[2], -(1 - p) * h],
        [p, p * square[1], p * square[2] + (1 - p), 0.0],
        pair,
    ]
    return torch.stack([torch.stack([entry * torch.ones_like(h) for entry in row], -1) for row in rows], -2)


def sampled_momentum_rate(
    eigenvalues: torch.Tensor,
    *,
    lr: float | torch.Tensor,
    momentum: float | torch.Tensor = 0.0,
    batch_size: int | None = None,
) -> torch.Tensor:
    """Growth per step of E ||w_t - w*||^2 for heavy ball with sampled gradients on a noiseless Gaussian regression.

    Every step sees m fresh samples x ~ N(0, H): the gradient is X^T X (w - w*)/m. In the eigenbasis of H the squares
    E e_i^2, E e_i v_i, E v_i^2 close on themselves, because E x_i^2 (x^T e)^2 = 2 lambda_i^2 e_i^2 + lambda_i sum_j
    lambda_j e_j^2; the rate is the spectral radius of that (3k, 3k) map.

    Parameters
    ----------
    eigenvalues
        (k,) eigenvalues of H, >= 0.
    lr, momentum
        Step size and beta; numbers or tensors that broadcast to a batch (...).
    batch_size
        m >= 1; None for full gradients, where this is the square of ``convergence_rate``.

    Returns
    -------
    (...) float64; above 1 the iterates grow without bound in mean square.

    Raises ``ValueError`` for negative or empty eigenvalues, values that are not finite or do not broadcast.

    Source: the fourth moments of a Gaussian (Isserlis 1918), applied to Polyak's heavy ball.

    Examples
    --------
    >>> import torch
    >>> h = torch.tensor([1.0])
    >>> [round(sampled_momentum_rate(h, lr=0.5, batch_size=m).item(), 4) for m in (1, 2, None)]  # 1/4 + (2/4)/m
    [0.75, 0.5, 0.25]
    """
    lambdas, (eta, beta) = _spectrum(eigenvalues), _settings(lr, momentum, eigenvalues.device)
    noise = 0.0 if batch_size is None else 1 / _validate.positive_int("batch_size", batch_size)
    square = (1 + noise) * torch.diag(lambdas**2) + noise * torch.outer(lambdas, lambdas)  # E (gradient_i)^2
    eye, slope = torch.eye(len(lambdas), dtype=lambdas.dtype, device=lambdas.device), torch.diag(lambdas)
    eta, beta = eta[..., None, None], beta[..., None, None]
    to_v = [eta**2 * square, -2 * beta * eta * slope, beta**2 * eye]  # the new E v^2 from (E e^2, E e v, E v^2)
    with_old = [-eta * slope, beta * eye, 0 * beta * eye]  # E e v_new
    to_e = [eye + 2 * with_old[0] + to_v[0], 2 * with_old[1] + to_v[1], to_v[2]]
    cross = [a + b for a, b in zip(with_old, to_v)]
    rows = [torch.cat(torch.broadcast_tensors(*row), -1) for row in (to_e, cross, to_v)]
    return torch.linalg.eigvals(torch.cat(rows, -2)).abs().amax(-1)


def _spectrum(eigenvalues: torch.Tensor) -> torch.Tensor:
    _validate.float_tensor("eigenvalues", eigenvalues, 1)
    good = eigenvalues.ndim == 1 and len(eigenvalues) and bool((torch.isfinite(eigenvalues) & (eigenvalues >= 0)).all())
    if not good:
        raise ValueError(f"eigenvalues must be (k,) finite and >= 0 with k >= 1, got shape {tuple(eigenvalues.shape)}")
    return eigenvalues.double()


def _settings(lr, momentum, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    values = [setting(name, value, device) for name, value in (("lr", lr), ("momentum", momentum))]
    try:
        return torch.broadcast_tensors(*values)
    except RuntimeError:
        shapes = [tuple(value.shape) for value in values]
        raise ValueError(f"lr and momentum must broadcast, got shapes {shapes}") from None
