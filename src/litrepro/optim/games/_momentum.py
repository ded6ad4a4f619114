"""Heavy-ball and optimistic play near an equilibrium: two eigenvalues of the method for every one of the game."""

from __future__ import annotations

from typing import Any

import torch

from litrepro.optim.games._arguments import in_double, over_spectrum, spectrum


def momentum_eigenvalues(eigs: torch.Tensor, eta: Any, beta: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues of play with heavy-ball momentum, the roots of ``mu^2 - (1 - eta lam + beta) mu + beta = 0``.

    Parameters
    ----------
    eigs
        (..., m), eigenvalues of the field's Jacobian; real ones are promoted.
    eta, beta
        Step size and momentum, numbers or tensors (...) that broadcast against the leading dimensions.

    Returns
    -------
    (mu_plus, mu_minus), each (..., m) and complex. ``mu_plus`` is the branch that tends to ``1 - eta lam`` as beta
    tends to 0; of two roots of equal modulus it is ``s (1 + i sqrt(-Delta))/2``, and ``+sqrt(-beta)`` where
    ``s = 1 - eta lam + beta`` is 0.

    Notes
    -----
    Gidel et al. 2019, proposition 4; section 4 of the review. ``Delta^(1/2) = (1 - 4 beta/s^2)^(1/2)`` is the root with
    positive real part, ``i sqrt(-Delta)`` where Delta is a negative *number* (the review prints: has negative real
    part).

    Raises
    ------
    ValueError
        Eigenvalues or parameters of a wrong shape.

    Examples
    --------
    >>> import torch
    >>> plus, minus = momentum_eigenvalues(torch.tensor([1.0]), 0.5, 0.0)
    >>> plus.tolist(), minus.tolist()
    ([(0.5+0j)], [0j])
    """
    eigs = spectrum(eigs)
    eta, beta = over_spectrum(eta, eigs, "eta"), over_spectrum(beta, eigs, "beta")
    s = 1 - eta * eigs + beta
    root = torch.sqrt(s * s - 4 * beta)
    aligned = s.conj() * root  # |s|^2 Delta^(1/2): its real part must not be negative
    flip = (aligned.real < 0) | ((aligned.real == 0) & (aligned.imag < 0))
    plus = (s + torch.where(flip, -root, root)) / 2
    # The product of the roots is beta: no cancellation, unlike (s - root)/2.
    zero = plus == 0
    minus = torch.where(zero, 0.0, beta / torch.where(zero, 1.0, plus))
    return plus, minus


def momentum_rate(eigs: torch.Tensor, eta: Any, beta: Any) -> torch.Tensor:
    """Spectral radius of heavy-ball play: the largest modulus of ``momentum_eigenvalues``.

    Parameters
    ----------
    eigs
        (..., m).
    eta, beta
        Numbers or tensors (...).

    Returns
    -------
    (...): the square root of equation 5 of the review, over the whole spectrum. Raises ``ValueError`` as
    ``momentum_eigenvalues``.

    Examples
    --------
    >>> import torch
    >>> round(momentum_rate(torch.tensor([1.0, 4.0]).double(), 4 / 9, 1 / 9).item(), 6)  # Polyak's choice
    0.333333
    """
    plus, minus = momentum_eigenvalues(eigs, eta, beta)
    return torch.maximum(plus.abs(), minus.abs()).amax(-1)


def momentum_interval(lam: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The step sizes at which a little negative momentum helps: ``(|lam| -+ |Im lam|)/(|lam| Re lam)``.

    Parameters
    ----------
    lam
        Eigenvalues of any shape with positive real parts; elementwise.

    Returns
    -------
    (lo, hi): the squared rate of one eigenvalue has a positive derivative by beta at 0 exactly for eta between them
    (Gidel et al. 2019, theorem 5). Raises ``ValueError`` where a real part is not positive.

    Examples
    --------
    >>> import torch
    >>> lo, hi = momentum_interval(torch.tensor(3 + 4j))
    >>> round(lo.item(), 4), round(hi.item(), 4)
    (0.0667, 0.6)
    """
    given = spectrum(lam, stable=True, minimum_dims=0)
    lam, scale = (part[..., 0] for part in in_double(given[..., None]))
    size, side = lam.abs(), lam.imag.abs()
    # |lam| - |Im lam| = Re^2/(|lam| + |Im lam|), without the cancellation near the imaginary axis
    ends = lam.real / (size * (size + side)), (size + side) / (size * lam.real)
    low, high = ((end / scale).to(given.real.dtype) for end in ends)
    return low, high


def optimal_momentum(lam: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best step size and heavy-ball momentum for one eigenvalue, in closed form.

    For ``lam = r e^(i psi)``: ``beta = -tan^2(psi/2)``, ``eta = 1/(r cos^2(psi/2))``, rate ``|tan(psi/2)|``, where both
    roots meet. Without momentum the best rate is ``|sin psi|``.

    Parameters
    ----------
    lam
        Eigenvalues of any shape with positive real parts; elementwise.

    Returns
    -------
    (eta, beta, rate), real tensors of that shape. Raises ``ValueError`` where a real part is not positive.

    Notes
    -----
    The double root mu has ``mu^2 = beta`` and ``2 mu = 1 - eta lam + beta``, so ``eta lam = (1 - mu)^2``; with real
    beta < 0, ``mu = -i t`` gives ``(1 + i t)^2``, of argument ``2 arctan t = psi`` and modulus ``1 + t^2``.

    Examples
    --------
    >>> import torch
    >>> eta, beta, rate = optimal_momentum(torch.tensor(1j + 1e-9, dtype=torch.complex128))
    >>> round(eta.item(), 4), round(beta.item(), 4), round(rate.item(), 4)
    (2.0, -1.0, 1.0)
    """
    lam = spectrum(lam, stable=True, minimum_dims=0)
    size = lam.abs()
    tangent = lam.imag / (size + lam.real)  # tan(psi/2)
    return (1 + tangent.square()) / size, -tangent.square(), tangent.abs()


def optimistic_eigenvalues(eigs: torch.Tensor, eta: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues of optimistic gradient play, the roots of ``mu^2 - (1 - 2 eta lam) mu - eta lam = 0``.

    Parameters
    ----------
    eigs
        (..., m); real ones are promoted.
    eta
        Step size, a number or a tensor (...) that broadcasts against the leading dimensions.

    Returns
    -------
    (mu_plus, mu_minus), each (..., m) and complex, ``(1 - 2 eta lam +- sqrt(1 + 4 eta^2 lam^2))/2``: for small eta near
    ``1 - eta lam`` and near ``-eta lam``.

    Notes
    -----
    From ``w_{t+1} = w_t - 2 eta v_t + eta v_{t-1}`` (Daskalakis et al. 2017) with ``v = J w``. Purely imaginary
    eigenvalues give a rate below 1 for ``eta |lam| < 1/sqrt 3``.

    Raises
    ------
    ValueError
        Eigenvalues or parameters of a wrong shape.

    Examples
    --------
    >>> import torch
    >>> plus, minus = optimistic_eigenvalues(torch.tensor([1j], dtype=torch.complex128), 0.1)
    >>> round(plus.abs().item(), 4)
    0.9949
    """
    eigs = spectrum(eigs)
    step = over_spectrum(eta, eigs, "eta") * eigs
    s, root = 1 - 2 * step, torch.sqrt(1 + 4 * step * step)
    flip = (s.conj() * root).real < 0  # mu_minus is the larger root
    large = (s + torch.where(flip, -root, root)) / 2
    # The product of the roots is -eta lam: no cancellation, unlike the difference. The larger one is never 0.
    small = -step / large
    return torch.where(flip, small, large), torch.where(flip, large, small)
