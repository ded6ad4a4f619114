"""The octopus function of Du et al. 2017 (arXiv 1705.10412): gradient descent needs exponentially long to cross it."""

from __future__ import annotations

import math

import torch

from litrepro import _validate


def octopus(x: torch.Tensor, *, L: float | torch.Tensor = 1.0, gamma: float = 1.0, tau: float = math.e) -> torch.Tensor:
    """The octopus function, (..., d) -> (...): a chain of d saddles on the way to each of 2^d mirrored minima.

    With z = |x| let k be the number of leading coordinates with z >= 2 tau, i = k + 1 the active one:

        f = sum_{j<=k} L (z_j - 4 tau)^2 - k nu + A + sum_{j>i+1} L z_j^2,
        A = -gamma z_i^2 + L z_{i+1}^2 for z_i <= tau, else g1(z_i) + g2(z_i) z_{i+1}^2,

    where g1, g2 join the pieces twice differentiably on [tau, 2 tau] and nu = 4 L tau^2 - g1(2 tau). The minima have
    the value -d nu.

    Parameters
    ----------
    L, gamma, tau
        L >= gamma > 0, tau > 0. L may be a tensor that broadcasts against ``x.shape[:-1]``: one smoothness per trial.

    Raises ``ValueError`` otherwise. Outside ``octopus_domain`` the formula is evaluated as it stands.

    Examples
    --------
    >>> import torch
    >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> octopus(points)  # down along the first coordinate, up along the second
    tensor([ 0., -1.,  1.], dtype=torch.float64)
    """
    _validate.float_tensor("x", x, 1)
    L, gamma, tau = _constants(L, gamma, tau, x)
    wide = L[..., None] if isinstance(L, torch.Tensor) else L
    # |x| with slope 1 at 0, where the function is smooth: autograd's slope of 0 there would flatten its Hessian.
    z = torch.where(x < 0, -x, x)
    done = torch.cumprod((z >= 2 * tau).to(x.dtype), -1)  # 1 for the leading coordinates that have crossed
    before = torch.cat([torch.ones_like(done[..., :1]), done[..., :-1]], -1)
    active = before - done  # one-hot at coordinate k + 1, zero if all have crossed
    following = torch.cat([torch.zeros_like(active[..., :1]), active[..., :-1]], -1)  # one-hot at k + 2
    later = 1 - done - active - following
    crossed = done * (wide * (z - 4 * tau).square() - _nu(wide, gamma, tau))
    # The joining pieces see only arguments in their interval, so that no gradient overflows elsewhere.
    zi = torch.where(active > 0, z, 0.0).sum(-1)
    zn = (following * z).sum(-1)
    inside = zi.clamp(tau, 2 * tau)
    across = zn.square()
    joined = _g1(inside, L, gamma, tau) + _g2(inside, L, gamma, tau) * across
    near = L * across - gamma * zi.square()
    piece = torch.where(zi <= tau, near, joined) * active.sum(-1)
    return (crossed + later * (wide * z.square())).sum(-1) + piece


def octopus_domain(x: torch.Tensor, *, tau: float = math.e) -> torch.Tensor:
    """Whether x (..., d) lies in the tubes where the function is defined, (...) bool.

    Leading coordinates in [2 tau, 6 tau], the active one at most 2 tau, later ones at most tau.

    Examples
    --------
    >>> import torch
    >>> octopus_domain(torch.tensor([[1.0, 0.5], [1.0, 4.0]]))
    tensor([ True, False])
    """
    _validate.float_tensor("x", x, 1)
    tau = _validate.real("tau", tau, 0, open_low=True)
    z = x.abs()
    done = torch.cumprod((z >= 2 * tau).to(torch.int64), -1).bool()
    before = torch.cat([torch.ones_like(done[..., :1]), done[..., :-1]], -1)
    active = before & ~done
    fits = torch.where(done, z <= 6 * tau, torch.where(active, z <= 2 * tau, z <= tau))
    return fits.all(-1)


def octopus_escape_ratio(L: float, gamma: float, lr: float) -> float:
    """Factor by which gradient descent's time at each saddle exceeds that at the one before.

    1 + log(1/(1 - 2 lr L))/log(1 + 2 lr gamma): while one coordinate grows, the next one shrinks. Raises ``ValueError``
    unless L >= gamma > 0 and 0 < 2 lr L < 1.

    Examples
    --------
    >>> round(octopus_escape_ratio(1.0, 1.0, 0.25), 3)
    2.71
    """
    L, gamma, _ = _constants(L, gamma, 1.0)
    lr = _validate.real("lr", lr, 0, 1 / (2 * L), open_low=True, open_high=True)
    return 1 - math.log1p(-2 * lr * L) / math.log1p(2 * lr * gamma)


def _constants(L, gamma: float, tau: float, x: torch.Tensor | None = None):
    """The constants, checked; where x (..., d) is given, L may be a tensor over its trials, returned like x."""
    gamma = _validate.real("gamma", gamma, 0, open_low=True)
    tau = _validate.real("tau", tau, 0, open_low=True)
    if x is None or not isinstance(L, torch.Tensor) or L.ndim == 0:
        return _validate.real("L", L, gamma), gamma, tau
    batch = x.shape[:-1]
    fits = L.ndim <= len(batch) and all(n in (1, m) for n, m in zip(reversed(L.shape), reversed(batch)))
    if L.dtype == torch.bool or L.is_complex() or not fits:
        raise ValueError(f"L must be real and broadcast against {tuple(batch)}, got {L.dtype} of {tuple(L.shape)}")
    L = L.to(x)
    if not bool(((gamma <= L) & torch.isfinite(L)).all()):
        raise ValueError(f"L must be finite numbers >= gamma = {gamma:g}, got {L!r}")
    return L, gamma, tau


def _g1(z, L, gamma: float, tau: float):
    """g1' is the cubic Hermite interpolant between (tau, -2 gamma tau, -2 gamma) and (2 tau, -4 L tau, 2 L)."""
    s = (z - tau) / tau
    # The integral over [0, s], by powers of s.
    fourth, third = (5 * L - 3 * gamma) / 2, (10 * gamma - 14 * L) / 3
    return (tau * tau) * ((((fourth * s + third) * s - gamma) * s - 2 * gamma) * s - gamma)


def _g2(z, L, gamma: float, tau: float):
    """From L at tau to -gamma at 2 tau, flat at both ends (smoothstep of degree five)."""
    s = (z - tau) / tau
    return L - (L + gamma) * (s * s * s * (10 + s * (6 * s - 15)))


def _nu(L, gamma: float, tau: float):
    return -_g1(2 * tau, L, gamma, tau) + 4 * L * tau**2
