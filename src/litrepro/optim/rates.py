"""Rates of convergence and the constants of theorems."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from litrepro import _validate


def sgd_gradient_bound(smoothness: float, gap: float, variance: float, steps: int) -> float:
    """Bound on the average squared gradient norm of SGD after N steps: (2 L gap + sigma^2)/sqrt(N).

    For an L-smooth objective, unbiased gradients of variance sigma^2, and step size 1/(L sqrt N). (The review of
    chapter 01 prints 2 L (gap + sigma^2), which fails for L < 1/4.) Source: Ghadimi and Lan 2013, in the form of
    Bernstein et al. 2018.

    Parameters
    ----------
    smoothness, gap, variance
        L > 0; f(x_0) - min f >= 0; sigma^2 >= 0.
    steps
        N >= 1.

    Raises ``ValueError`` for values outside these ranges.

    Examples
    --------
    >>> sgd_gradient_bound(1.0, 1.0, 2.0, 64)
    0.5
    """
    smoothness = _validate.real("smoothness", smoothness, 0, open_low=True)
    gap = _validate.real("gap", gap, 0)
    variance = _validate.real("variance", variance, 0)
    steps = _validate.positive_int("steps", steps)
    return (2 * smoothness * gap + variance) / math.sqrt(steps)


def _problem(smoothness, hessian_lipschitz, eps, delta, gap, dim, c) -> None:
    """Check the constants that the theorems on second-order points share."""
    for name, value in (("smoothness", smoothness), ("hessian_lipschitz", hessian_lipschitz), ("eps", eps)):
        _validate.real(name, value, 0, open_low=True)
    _validate.real("delta", delta, 0, 1, open_low=True)
    _validate.real("gap", gap, 0, open_low=True)
    _validate.real("c", c, 0, open_low=True)
    _validate.positive_int("dim", dim)
    if eps > smoothness**2 / hessian_lipschitz:
        limit = smoothness**2 / hessian_lipschitz
        raise ValueError(f"eps must be at most smoothness^2/hessian_lipschitz = {limit:g}, got {eps!r}")


def _representable(constants: Callable[..., dict[str, float]]) -> Callable[..., dict[str, float]]:
    """``constants``, with a ``ValueError`` where arguments so far apart leave the range of a float."""

    @functools.wraps(constants)
    def checked(**arguments) -> dict[str, float]:
        try:
            found = constants(**arguments)
        except (OverflowError, ZeroDivisionError):
            found = {"": math.inf}
        if not all(math.isfinite(value) for value in found.values()):
            raise ValueError(f"constants must lead to finite numbers, got {arguments}")
        return found

    return checked


@_representable
def pgd_constants(
    *,
    smoothness: float,
    hessian_lipschitz: float,
    eps: float,
    delta: float,
    gap: float,
    dim: int,
    c: float = 1.0,
) -> dict[str, float]:
    """Constants of perturbed gradient descent: ``chi, lr, radius, g_thres, f_thres, t_thres``.

    chi = 3 max(log(d l gap/(c eps^2 delta)), 4), lr = c/l, radius = sqrt(c) eps/(chi^2 l), g_thres = sqrt(c) eps/chi^2,
    f_thres = c/chi^3 sqrt(eps^3/rho), t_thres = ceil(chi l/(c^2 sqrt(rho eps))). Source: Jin et al. 2017,
    arXiv 1703.00887, algorithm 2.

    Raises ``ValueError`` for constants that are not positive, delta above 1, dim < 1, eps > l^2/rho, and results that
    leave the range of a float.

    Examples
    --------
    >>> found = pgd_constants(smoothness=2.0, hessian_lipschitz=1.0, eps=0.25, delta=0.1, gap=1.0, dim=10)
    >>> found["lr"], round(found["chi"], 2), found["t_thres"]
    (0.5, 24.21, 97)
    """
    _problem(smoothness, hessian_lipschitz, eps, delta, gap, dim, c)
    chi = 3 * max(math.log(dim * smoothness * gap / (c * eps**2 * delta)), 4.0)
    return {
        "chi": chi,
        "lr": c / smoothness,
        "radius": math.sqrt(c) * eps / (chi**2 * smoothness),
        "g_thres": math.sqrt(c) * eps / chi**2,
        "f_thres": c / chi**3 * math.sqrt(eps**3 / hessian_lipschitz),
        "t_thres": math.ceil(chi * smoothness / (c**2 * math.sqrt(hessian_lipschitz * eps))),
    }


@_representable
def pagd_constants(
    *,
    smoothness: float,
    hessian_lipschitz: float,
    eps: float,
    delta: float,
    gap: float,
    dim: int,
    c: float = 1.0,
) -> dict[str, float]:
    """Constants of perturbed accelerated descent: ``kappa, chi, lr, theta, gamma, s, t_thres, radius``.

    kappa = l/sqrt(rho eps), chi = max(1, log(d l gap/(rho eps delta))), lr = 1/(4 l), theta = 1/(4 sqrt kappa),
    gamma = theta^2/lr, s = gamma/(4 rho), t_thres = ceil(sqrt(kappa) chi c), radius = lr eps chi^-5 c^-8. The gradient
    threshold is eps itself. Source: Jin, Netrapalli and Jordan 2017, arXiv 1711.10456, equation 3.

    Raises ``ValueError`` as ``pgd_constants``.

    Examples
    --------
    >>> found = pagd_constants(smoothness=1.0, hessian_lipschitz=1.0, eps=0.0625, delta=0.1, gap=1.0, dim=10)
    >>> found["kappa"], found["lr"], found["theta"]
    (4.0, 0.25, 0.125)
    """
    _problem(smoothness, hessian_lipschitz, eps, delta, gap, dim, c)
    kappa = smoothness / math.sqrt(hessian_lipschitz * eps)
    chi = max(1.0, math.log(dim * smoothness * gap / (hessian_lipschitz * eps * delta)))
    lr = 1 / (4 * smoothness)
    theta = 1 / (4 * math.sqrt(kappa))
    gamma = theta**2 / lr
    return {
        "kappa": kappa,
        "chi": chi,
        "lr": lr,
        "theta": theta,
        "gamma": gamma,
        "s": gamma / (4 * hessian_lipschitz),
        "t_thres": math.ceil(math.sqrt(kappa) * chi * c),
        "radius": lr * eps * chi**-5 * c**-8,
    }


@_representable
def psgd_constants(
    *,
    smoothness: float,
    hessian_lipschitz: float,
    eps: float,
    sigma: float,
    dim: int,
    stochastic_lipschitz: float | None = None,
) -> dict[str, float]:
    """Constants of perturbed SGD: ``N, lr, radius``.

    N = 1 + min(sigma^2/eps^2 + lt^2/(l sqrt(rho eps)), sigma^2 d/eps^2), the first term only if stochastic gradients
    are lt-Lipschitz; lr = 1/(l N), radius = eps sqrt(N). Source: Jin et al. 2019, arXiv 1902.04811, theorem 15.

    Raises ``ValueError`` for constants that are not positive (sigma may be 0), dim < 1, and results that leave the
    range of a float.

    Examples
    --------
    >>> found = psgd_constants(smoothness=1.0, hessian_lipschitz=1.0, eps=0.5, sigma=1.0, dim=2)
    >>> found["N"], round(found["radius"], 4)
    (9.0, 1.5)
    """
    for name, value in (("smoothness", smoothness), ("hessian_lipschitz", hessian_lipschitz), ("eps", eps)):
        _validate.real(name, value, 0, open_low=True)
    _validate.real("sigma", sigma, 0)
    _validate.positive_int("dim", dim)
    factor = sigma**2 * dim / eps**2
    if stochastic_lipschitz is not None:
        _validate.real("stochastic_lipschitz", stochastic_lipschitz, 0, open_low=True)
        curved = stochastic_lipschitz**2 / (smoothness * math.sqrt(hessian_lipschitz * eps))
        factor = min(sigma**2 / eps**2 + curved, factor)
    n = 1 + factor
    return {"N": n, "lr": 1 / (smoothness * n), "radius": eps * math.sqrt(n)}
