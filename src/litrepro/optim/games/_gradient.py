"""Rates of plain gradient play near an equilibrium: the spectrum of 1 - eta J."""

from __future__ import annotations

from typing import Any

import torch

from litrepro.optim.games._arguments import in_double, over_spectrum, spectrum


def gradient_rate(eigs: torch.Tensor, eta: Any) -> torch.Tensor:
    """Spectral radius of gradient play, ``max_k |1 - eta lam_k|``.

    Parameters
    ----------
    eigs
        (..., m), eigenvalues of the field's Jacobian; real ones are promoted.
    eta
        Step size, a number or a tensor (...) that broadcasts against the leading dimensions.

    Returns
    -------
    (...), the factor per step; play converges locally where it is below 1. Raises ``ValueError`` for a bad shape.

    Examples
    --------
    >>> import torch
    >>> rate = gradient_rate(torch.tensor([1.0, 4.0, 9.0]), torch.tensor([0.1, 0.2]))
    >>> [round(value, 3) for value in rate.tolist()]
    [0.9, 0.8]
    """
    eigs = spectrum(eigs)
    return (1 - over_spectrum(eta, eigs, "eta") * eigs).abs().amax(-1)


def optimal_step_size(eigs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The step size at which gradient play converges fastest, exactly.

    ``max_k (1 - 2 eta Re lam_k + eta^2 |lam_k|^2)`` is a maximum of convex parabolas in eta: its minimum is the vertex
    of one, ``Re(1/lam_k)``, or the crossing of two, ``2 (Re lam_j - Re lam_k)/(|lam_j|^2 - |lam_k|^2)``. All are tried,
    in double precision.

    Parameters
    ----------
    eigs
        (..., m) with positive real parts.

    Returns
    -------
    (eta, rate), each (...): the minimizer and ``gradient_rate`` there (Gidel et al. 2019, section 4; equations 2-4 of
    the review bound both).

    Raises
    ------
    ValueError
        An eigenvalue whose real part is not positive: no step size makes play converge.

    Examples
    --------
    >>> import torch
    >>> eta, rate = optimal_step_size(torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64))
    >>> round(eta.item(), 6), round(rate.item(), 6)
    (0.2, 0.8)
    """
    given = spectrum(eigs, stable=True)
    eigs, scale = in_double(given)
    a, b = eigs.real, eigs.abs().square()
    vertices = a / b
    eta, rate = _best(vertices, eigs)
    for j in range(eigs.shape[-1]):  # crossings with parabola j: memory m^2, not m^3
        gap = b[..., j : j + 1] - b
        crossing = 2 * (a[..., j : j + 1] - a) / torch.where(gap == 0, 1.0, gap)
        candidates = torch.where((gap == 0) | (crossing <= 0), vertices, crossing)
        eta_j, rate_j = _best(candidates, eigs)
        eta, rate = torch.where(rate_j < rate, eta_j, eta), torch.minimum(rate, rate_j)
    return (eta / scale[..., 0]).to(given.real.dtype), rate.to(given.real.dtype)


def _best(candidates: torch.Tensor, eigs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of step sizes (..., c) the one with the smallest rate, and that rate."""
    rates = (1 - candidates[..., :, None] * eigs[..., None, :]).abs().amax(-1)
    rate, index = rates.min(-1)
    return candidates.gather(-1, index[..., None])[..., 0], rate


def step_size_bounds(eigs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Bounds on the optimal step size and its squared rate (Gidel et al. 2019, theorem 3; equations 2-4 of the review).

    With ``i_k = Re(1/lam_k)``, ``i_1 = min_k i_k`` and ``delta = min_k |lam_k|^2 (2 i_k - i_1)``.

    Parameters
    ----------
    eigs
        (..., m) with positive real parts.

    Returns
    -------
    Tensors (...): ``rate2_lower = max_k sin^2(arg lam_k)``, ``rate2_upper = 1 - i_1 delta``, ``eta_lower = i_1``,
    ``eta_upper = 2 i_1``.

    Raises
    ------
    ValueError
        An eigenvalue whose real part is not positive.

    Examples
    --------
    >>> import torch
    >>> bounds = step_size_bounds(torch.tensor([2 + 1j, 2 - 1j]))
    >>> {name: round(value.item(), 4) for name, value in bounds.items()}
    {'rate2_lower': 0.2, 'rate2_upper': 0.2, 'eta_lower': 0.4, 'eta_upper': 0.8}
    """
    given = spectrum(eigs, stable=True)
    eigs, scale = in_double(given)
    square = eigs.abs().square()
    inverse = eigs.real / square
    first = inverse.amin(-1)
    delta = (square * (2 * inverse - first[..., None])).amin(-1)
    bounds = {
        "rate2_lower": (eigs.imag.square() / square).amax(-1),
        "rate2_upper": 1 - first * delta,
        "eta_lower": first / scale[..., 0],
        "eta_upper": 2 * first / scale[..., 0],
    }
    return {name: value.to(given.real.dtype) for name, value in bounds.items()}
