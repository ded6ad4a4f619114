"""The best step size and momentum for a spectrum, by a search that knows no closed form."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.optim.games._arguments import spectrum
from litrepro.optim.games._momentum import momentum_rate

SHRINKING = 0.35  # of the box, from round to round


def search_momentum(
    eigs: torch.Tensor,
    *,
    eta: tuple[float, float],
    beta: tuple[float, float],
    rounds: int = 9,
    size: int = 61,
) -> tuple[float, float, float]:
    """Minimize ``momentum_rate`` over step size and momentum on a grid that is refined around its best point.

    Parameters
    ----------
    eigs
        (m,) eigenvalues of the game's Jacobian.
    eta, beta
        Centre and half width of the box of the first round. Step sizes stay above 1e-4, momenta within +-0.999.
    rounds, size
        How often the box shrinks to 0.35 of its width, and points of the grid along each side.

    Returns
    -------
    (eta, beta, rate). Raises ``ValueError`` for anything but one spectrum, boxes that are no pairs of numbers with a
    width >= 0, and sizes < 1.

    Examples
    --------
    >>> eta, beta, rate = search_momentum(torch.tensor([1.0, 4.0]).double(), eta=(0.5, 0.45), beta=(0.4, 0.59))
    >>> round(eta, 2), round(beta, 2), round(rate, 2)  # Polyak's 4/9, 1/9 and 1/3
    (0.44, 0.11, 0.33)
    """
    eigs = spectrum(eigs)
    if eigs.ndim != 1:
        raise ValueError(f"eigs must be one spectrum (m,), got {tuple(eigs.shape)}")
    rounds, size = _validate.positive_int("rounds", rounds), _validate.positive_int("size", size, 2)
    (e, de), (b, db) = (_box(name, value) for name, value in (("eta", eta), ("beta", beta)))
    grid = {"dtype": eigs.real.dtype, "device": eigs.device}
    best = torch.inf
    for _ in range(rounds):
        etas = torch.linspace(max(e - de, 1e-4), e + de, size, **grid)[:, None]
        betas = torch.linspace(max(b - db, -0.999), min(b + db, 0.999), size, **grid)
        values = momentum_rate(eigs, etas, betas)
        k = int(values.argmin())
        e, b, best = etas[k // size, 0].item(), betas[k % size].item(), values.min().item()
        de, db = de * SHRINKING, db * SHRINKING
    return e, b, best


def _box(name: str, value: tuple[float, float]) -> tuple[float, float]:
    parts = _validate.sequence(name, value)
    if len(parts) != 2:
        raise ValueError(f"{name} must be a centre and a half width, got {len(parts)} number(s)")
    return _validate.real(name, parts[0]), _validate.real(f"half width of {name}", parts[1], 0)
