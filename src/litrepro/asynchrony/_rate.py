"""The rate of asynchronous momentum on quadratics, and the best explicit momentum for a given staleness."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from litrepro import _validate

CHUNK = 1 << 18  # roots worked on at once: stays in a CPU's cache, and bounds the memory of a million settings


class BestMomentum(NamedTuple):
    """Per staleness: the best explicit momentum, the step size that goes with it, and the rate. All (S,).

    Examples
    --------
    >>> import torch
    >>> options = {"momenta": torch.linspace(-0.5, 0.9, 15), "lrs": torch.logspace(-2, 0, 20)}
    >>> found = best_momentum(torch.tensor([0.1, 1.0]), staleness=torch.tensor([0.0, 0.6]), **options)
    >>> bool(found.momentum[1] < found.momentum[0])  # staleness is momentum already
    True
    """

    momentum: torch.Tensor
    lr: torch.Tensor
    rate: torch.Tensor


def convergence_rate(
    eigenvalues: torch.Tensor,
    *,
    lr: float | torch.Tensor,
    staleness: float | torch.Tensor = 0.0,
    momentum: float | torch.Tensor = 0.0,
) -> torch.Tensor:
    """The rate gamma of the mean iterate on a quadratic: ||E w_t - w*|| = O(gamma^t).

    gamma is the largest modulus of the roots of r^3 - z_i r^2 + (mu + beta + mu beta) r - mu beta over i, with
    z_i = 1 + mu + beta - lr (1 - mu) lambda_i (the review's g_i at t = 1/r). A root of multiplicity m brings a factor
    t^{m-1}. gamma > 1 means divergence.

    Parameters
    ----------
    eigenvalues
        (k,) curvatures lambda_i, k >= 1.
    lr, staleness, momentum
        Step size >= 0, mu in [0, 1), beta; numbers or tensors that broadcast to a batch (...).

    Returns
    -------
    (...) float64, without a graph. The roots come from the closed form of the cubic, accurate to about 1e-14, at double
    roots to 1e-8, and to 1e-5 where all three nearly coincide (mu and beta near 1, lr lambda near 0).

    Raises
    ------
    ValueError
        Empty eigenvalues, a negative lr, staleness outside [0, 1), values that are not finite or do not broadcast.

    Source: Mitliagkas et al. 2016, theorem 5.

    Examples
    --------
    >>> import torch
    >>> convergence_rate(torch.tensor([1.0]), lr=torch.tensor([0.5, 3.0])).round(decimals=6)  # |1 - lr|
    tensor([0.5000, 2.0000], dtype=torch.float64)
    """
    _check_spectrum(eigenvalues)
    named = {"lr": lr, "staleness": staleness, "momentum": momentum}
    lr, mu, beta = (setting(name, value, eigenvalues.device) for name, value in named.items())
    if not bool(((mu >= 0) & (mu < 1)).all()):
        raise ValueError(f"staleness must be in [0, 1), got {staleness}")
    if bool((lr < 0).any()):
        raise ValueError(f"lr must be >= 0, got {lr.min().item()}")
    try:
        lr, mu, beta = torch.broadcast_tensors(lr, mu, beta)
    except RuntimeError:
        shapes = [tuple(value.shape) for value in (lr, mu, beta)]
        raise ValueError(f"lr, staleness and momentum must broadcast, got shapes {shapes}") from None
    lambdas = eigenvalues.detach().double()
    chunk = max(CHUNK // len(lambdas), 1)
    rates = [
        _largest_root(1 + m + b - e * (1 - m) * lambdas[:, None], m + b + m * b, -m * b).amax(0)
        for e, m, b in zip(*(value.reshape(-1).split(chunk) for value in (lr, mu, beta)))
    ]
    return torch.cat(rates).reshape(lr.shape) if rates else lr.new_empty(lr.shape)


def best_momentum(
    eigenvalues: torch.Tensor, *, staleness: torch.Tensor, momenta: torch.Tensor, lrs: torch.Tensor
) -> BestMomentum:
    """The explicit momentum and step size with the smallest rate, for every staleness, by search over a grid.

    Parameters
    ----------
    eigenvalues
        (k,) curvatures.
    staleness
        (S,) values of mu in [0, 1).
    momenta
        (B,) values of beta.
    lrs
        (E,) step sizes; lrs / (1 - staleness) is used, since staleness mu divides the effective step by 1/(1 - mu).

    Returns
    -------
    BestMomentum(momentum (S,), lr (S,), rate (S,)), lr being the one used; without graphs.

    Raises ``ValueError`` for empty grids and as ``convergence_rate``.

    Examples
    --------
    >>> import torch
    >>> options = {"momenta": torch.tensor([0.0, 0.25, 0.5]), "lrs": torch.linspace(0.1, 2, 39)}
    >>> found = best_momentum(torch.tensor([1.0, 9.0]) / 9, staleness=torch.zeros(1), **options)
    >>> found.momentum  # Polyak's is 1/4 for condition number 9
    tensor([0.2500], dtype=torch.float64)
    """
    _check_spectrum(eigenvalues)
    grids = {"staleness": staleness, "momenta": momenta, "lrs": lrs}
    for name, value in grids.items():
        _validate.float_tensor(name, value, 1)
        if value.ndim != 1 or not len(value):
            raise ValueError(f"{name} must be a non-empty vector, got shape {tuple(value.shape)}")
    mu, beta, e = (value.detach().double().to(eigenvalues.device) for value in grids.values())
    if not bool(((mu >= 0) & (mu < 1)).all()):
        raise ValueError(f"staleness must be in [0, 1), got {staleness}")
    if bool((e < 0).any()):
        raise ValueError(f"lrs must be >= 0, got {e.min().item()}")
    scaled = e / (1 - mu)[:, None]
    rates = convergence_rate(
        eigenvalues, lr=scaled[:, None, :], staleness=mu[:, None, None], momentum=beta[None, :, None]
    )
    rate, index = rates.flatten(1).min(1)
    return BestMomentum(beta[index // len(e)], scaled.gather(1, (index % len(e))[:, None])[:, 0], rate)


def polyak_momentum(condition: float | torch.Tensor) -> float | torch.Tensor:
    """Polyak's optimal momentum ((sqrt k - 1)/(sqrt k + 1))^2 for condition number k >= 1.

    Returns a float for a number, a tensor of its shape for a tensor. Raises ``ValueError`` for k < 1 or infinite, and
    for a tensor of another kind than real numbers.

    Source: Polyak 1964.

    Examples
    --------
    >>> import torch
    >>> polyak_momentum(9.0)
    0.25
    >>> polyak_momentum(torch.tensor([1.0, 9.0]))
    tensor([0.0000, 0.2500])
    """
    if isinstance(condition, torch.Tensor):
        real = not condition.is_complex() and condition.dtype != torch.bool
        if not real or not bool((torch.isfinite(condition) & (condition >= 1)).all()):
            raise ValueError(f"condition must be real, finite and >= 1, got {condition}")
        return ((condition.sqrt() - 1) / (condition.sqrt() + 1)) ** 2
    root = math.sqrt(_validate.real("condition", condition, 1))
    return ((root - 1) / (root + 1)) ** 2


def _check_spectrum(eigenvalues: Any) -> None:
    _validate.float_tensor("eigenvalues", eigenvalues, 1)
    if eigenvalues.ndim != 1 or not len(eigenvalues) or not bool(torch.isfinite(eigenvalues).all()):
        raise ValueError(f"eigenvalues must be (k,) finite with k >= 1, got shape {tuple(eigenvalues.shape)}")


def setting(name: str, value: Any, device: torch.device) -> torch.Tensor:
    """A real number or tensor of finite values as a float64 tensor."""
    if not isinstance(value, torch.Tensor):
        return torch.tensor(_validate.real(name, value), dtype=torch.float64, device=device)
    if value.dtype == torch.bool or value.is_complex() or not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} must be real and finite, got {value.dtype} {tuple(value.shape)}")
    return value.detach().to(device, torch.float64)


def _largest_root(z: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Largest modulus of the roots of r^3 - z r^2 + b r + c."""
    third = z / 3
    p = b - z * third
    q = c + third * b - 2 * third**3
    half, root = q / 2, (-p / 3).clamp(min=0).sqrt()
    discriminant = half**2 + (p / 3) ** 3
    # Three real roots: they are third + 2 root cos((phi + 2 pi k)/3), and the outer two are the candidates.
    cube = root**3
    ratio = torch.where(cube > 0, -half / cube.clamp(min=1e-300), 0.0).clamp(-1, 1)
    angle = torch.acos(ratio) / 3
    outer = torch.maximum(
        (third + 2 * root * angle.cos()).abs(), (third + 2 * root * (angle + 2 * math.pi / 3).cos()).abs()
    )
    # One real root and a pair: Cardano's, with the sign that does not cancel, polished by Newton's method.
    size = half.abs() + discriminant.clamp(min=0).sqrt()
    u = -torch.where(half < 0, -1.0, 1.0) * size.pow(1 / 3)
    real = third + u - torch.where(u != 0, p / (3 * torch.where(u != 0, u, 1.0)), 0.0)
    for _ in range(2):
        slope = (3 * real - 2 * z) * real + b
        value = ((real - z) * real + b) * real + c
        real = real - torch.where(slope != 0, value / torch.where(slope != 0, slope, 1.0), 0.0)
    pair = ((real - z) * real + b).abs().sqrt()
    found = torch.where(discriminant > 0, torch.maximum(real.abs(), pair), outer)
    # Where the cube of z is no number any more, the largest root is z up to rounding.
    return torch.where(found.isfinite(), found, z.abs())
