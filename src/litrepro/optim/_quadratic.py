"""Momentum on a noisy quadratic, exactly: its linear recursion, spectral radius, stationary variance."""

from __future__ import annotations

from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.optim._rules import Rule, as_rule


class LinearDynamics(NamedTuple):
    """z_{t+1} = transition z_t + noise xi_t for z = (x, m), xi of mean 0 and variance 1.

    ``transition (..., 2, 2)``, ``noise (..., 2)``, float64.

    Examples
    --------
    >>> from litrepro.optim import rule
    >>> A, b = quadratic_dynamics(rule("sgd"), 1.0, 0.25)
    >>> A[0, 0].item(), b[0].item()  # x <- (1 - lr h) x - lr xi
    (0.75, -0.25)
    """

    transition: torch.Tensor
    noise: torch.Tensor


def quadratic_dynamics(
    rule: Rule | str,
    curvature: float | torch.Tensor,
    lr: float | torch.Tensor,
    *,
    lookahead_factor: float | None = None,
) -> LinearDynamics:
    """The recursion of a rule without second moment on h x^2/2 with gradient noise: g = h zeta + xi.

    Parameters
    ----------
    rule
        sgd, heavy-ball, sgdm, nag, qhm or a variant of these (no second moment, no debiasing, constant beta1).
    curvature, lr
        Positive, of one batch shape (...) after broadcasting.
    lookahead_factor
        Where a look-ahead rule takes its gradient: zeta = x - lr factor m (beta1 if None; the review prints 1).

    Raises ``ValueError`` for other rules and for values that are not positive.

    Examples
    --------
    >>> from litrepro.optim import rule
    >>> quadratic_dynamics(rule("heavy-ball", beta1=0.5), 1.0, 0.25).transition.tolist()
    [[0.75, -0.125], [1.0, 0.5]]
    """
    rule = as_rule(rule)
    if rule.second != "one" or rule.debias or rule.nesterov or rule.total_steps is not None:
        raise ValueError(f"only rules with a constant linear recursion, got {rule.name}")
    device = next((v.device for v in (curvature, lr) if isinstance(v, torch.Tensor)), "cpu")
    try:
        parts = (torch.as_tensor(v, dtype=torch.float64, device=device) for v in (curvature, lr))
        h, step = torch.broadcast_tensors(*parts)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"curvature and lr must be numbers or tensors that broadcast, got {curvature!r}, {lr!r}"
        ) from None
    if not bool(((h > 0) & (step > 0) & torch.isfinite(h) & torch.isfinite(step)).all()):
        raise ValueError(f"curvature and lr must be positive, got {curvature!r} and {lr!r}")
    beta = rule.beta1 if rule.first != "gradient" else 0.0
    gain = 1.0 - beta if rule.first == "average" else 1.0
    factor = 0.0
    if rule.lookahead:
        factor = beta if lookahead_factor is None else _validate.real("lookahead_factor", lookahead_factor, 0)
    # g = h x - h lr factor m + xi;  m' = beta m + gain g;  x' = x - lr (nu m' + (1 - nu) g)
    g = torch.stack([h, -h * step * factor], -1)
    m_next = gain * g + torch.stack([torch.zeros_like(h), torch.full_like(h, beta)], -1)
    x_next = -step[..., None] * (rule.nu * m_next + (1 - rule.nu) * g)
    x_next = x_next + torch.tensor([1.0, 0.0], dtype=torch.float64, device=h.device)
    noise = torch.stack([-step * (rule.nu * gain + 1 - rule.nu), torch.full_like(h, gain)], -1)
    return LinearDynamics(torch.stack([x_next, m_next], -2), noise)


def spectral_radius(transition: torch.Tensor) -> torch.Tensor:
    """Largest modulus of the eigenvalues of (..., k, k): the recursion converges if and only if it is below 1.

    Raises ``ValueError`` for matrices that are not square, not finite, or not float32 or float64.

    Examples
    --------
    >>> import torch
    >>> spectral_radius(torch.tensor([[0.0, -0.5], [0.5, 0.0]]))
    tensor(0.5000)
    """
    _validate.decomposable("transition", transition)
    if transition.shape[-1] != transition.shape[-2] or transition.shape[-1] < 1:
        raise ValueError(f"transition must be (..., k, k), got {tuple(transition.shape)}")
    return torch.linalg.eigvals(transition).abs().amax(-1)


def stationary_variance(dynamics: LinearDynamics) -> torch.Tensor:
    """Stationary variance of x, (...): the solution of P = A P A' + b b', nan where the recursion does not converge.

    Raises ``ValueError`` unless ``dynamics`` is a ``LinearDynamics``.

    Examples
    --------
    >>> from litrepro.optim import rule
    >>> stationary_variance(quadratic_dynamics(rule("sgd"), 1.0, 0.5))  # lr/(2 - lr)
    tensor(0.3333, dtype=torch.float64)
    """
    transition, noise = _checked(dynamics)
    kron = torch.einsum("...ij,...kl->...ikjl", transition, transition).flatten(-4, -3).flatten(-2, -1)
    right = (noise[..., :, None] * noise[..., None, :]).flatten(-2, -1)
    identity = torch.eye(kron.shape[-1], dtype=kron.dtype, device=kron.device)
    covariance, singular = torch.linalg.solve_ex(identity - kron, right)  # says which, where solve would raise for all
    return torch.where((spectral_radius(transition) < 1) & (singular == 0), covariance[..., 0], torch.nan)


def steps_to_shrink(dynamics: LinearDynamics, factor: float, *, most: int = 1_000_000) -> torch.Tensor:
    """Steps after which |mean of x| stays below ``factor`` of its start (1, 0): (...) int64, at most ``most``.

    The last step at which the noise-free recursion is outside, plus one; ``most`` where it diverges. Raises
    ``ValueError`` for a factor outside (0, 1), and unless ``dynamics`` is a ``LinearDynamics``.

    Examples
    --------
    >>> from litrepro.optim import rule
    >>> steps_to_shrink(quadratic_dynamics(rule("sgd"), 1.0, 0.5), 0.1)  # 1/8 > 0.1 > 1/16
    tensor(4)
    """
    factor = _validate.real("factor", factor, 0, 1, open_low=True, open_high=True)
    transition = _checked(dynamics).transition
    z = torch.zeros(*transition.shape[:-2], 2, dtype=torch.float64, device=transition.device)
    z[..., 0] = 1.0
    last = torch.zeros(transition.shape[:-2], dtype=torch.int64, device=transition.device)
    for t in range(1, _validate.positive_int("most", most) + 1):
        z = torch.einsum("...ij,...j->...i", transition, z)
        last = torch.where(z[..., 0].abs() < factor, last, t)  # so that nan, which follows inf, is outside
        # The whole state being far below the threshold ends the search: it only shrinks from here on. So does a state
        # that is no longer finite: it stays so.
        if t % 256 == 0:
            over = ~z.isfinite().all(-1)
            if bool((over | (z.abs().amax(-1) < factor * 1e-3)).all()):
                last = torch.where(over, most, last)
                break
    return (last + 1).clamp(max=most)


def _checked(dynamics: LinearDynamics) -> LinearDynamics:
    if not isinstance(dynamics, LinearDynamics):
        raise ValueError(f"dynamics must be a LinearDynamics, got {type(dynamics).__name__}")
    return dynamics
