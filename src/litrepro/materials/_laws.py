"""Laws of grain growth and of strength: fitted and evaluated."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.materials import _arguments


def fit_growth_law(t: Sequence[float] | torch.Tensor, R: Sequence[float] | torch.Tensor) -> dict[str, float]:
    """Fit R^m - R0^m = rate t by least squares in R over the power m, which lies in [.5, 20].

    For each m the law is linear in R^m; m is found by a scan and a golden-section search.

    Parameters
    ----------
    t, R
        At least four times and positive grain sizes, neither all equal.

    Returns
    -------
    ``R0`` (size at t = 0, nan if the fit has none), ``rate`` (size^m per time), ``exponent`` 1/m, ``residual`` (root
    mean square of R minus the fit).

    Raises
    ------
    ValueError
        Lengths that differ or are below four, sizes that are not positive, constant sizes or times, values that
        are not finite.

    Warns
    -----
    ConvergenceWarning
        The best m is an end of [.5, 20]: a better one may lie beyond it.

    Examples
    --------
    >>> import torch
    >>> t = torch.arange(5, dtype=torch.float64)
    >>> fit = fit_growth_law(t, (4 + 3 * t).sqrt())  # R^2 - 2^2 = 3 t
    >>> {name: round(fit[name], 3) for name in ("R0", "rate", "exponent")}
    {'R0': 2.0, 'rate': 3.0, 'exponent': 0.5}
    """
    t, R = _vector("t", t), _vector("R", R)
    if len(t) != len(R) or len(t) < 4:
        raise ValueError(f"t and R must have one length >= 4, got {len(t)} and {len(R)}")
    if bool((R <= 0).any()) or bool(t.max() == t.min()) or bool(R.max() == R.min()):
        raise ValueError("R must be positive, and neither R nor t constant: without growth any exponent fits")
    scale = R.max()
    powers = torch.logspace(math.log10(0.5), math.log10(20.0), 200, dtype=torch.float64, device="cpu")
    errors = torch.stack([_fit_power(t, R / scale, m)[2] for m in powers])
    place = int(errors.argmin())
    low, high = powers[max(place - 1, 0)], powers[min(place + 1, len(powers) - 1)]
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - golden * (high - low), low + golden * (high - low)
        if _fit_power(t, R / scale, a)[2] <= _fit_power(t, R / scale, b)[2]:
            high = b
        else:
            low = a
    m = (low + high) / 2
    for end in (powers[0], powers[-1]):
        if bool((m - end).abs() < 1e-9 * end):
            message = f"the best power is an end of [0.5, 20], {end:g}: a better one may lie beyond it"
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
    start, slope, error = _fit_power(t, R / scale, m)
    initial = (scale * start ** (1 / m)).item() if start > 0 else math.nan
    return {
        "R0": initial,
        "rate": (slope * scale**m).item(),
        "exponent": (1 / m).item(),
        "residual": (scale * error).item(),
    }


def _fit_power(t: torch.Tensor, R: torch.Tensor, m: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Intercept and slope of R^m over t, and the root mean square of the residual in R."""
    y = R**m
    centred = t - t.mean()
    slope = (centred * y).sum() / centred.square().sum()
    start = y.mean() - slope * t.mean()
    fit = (start + slope * t).clamp(min=0) ** (1 / m)
    return start, slope, (R - fit).square().mean().sqrt()


def hall_petch(d: Any, sigma0: float, k: float) -> Any:
    """Yield stress sigma0 + k / sqrt(d) for grain size d > 0 (number, tensor, array or list); in the units of sigma0.

    The result is of the kind of d, a float64 tensor for a list. Holds down to grains of about 10 to 20 nm, below which
    strength falls again. Raises ``ValueError`` for d <= 0, what holds no numbers, and constants that are not finite.

    Source: Hall 1951, Petch 1953.

    Examples
    --------
    >>> hall_petch(4.0, 100.0, 50.0)
    125.0
    """
    d = _arguments.listed("d", d)
    where = d.device if isinstance(_arguments.numbers("d", d), torch.Tensor) else "cpu"
    wide = torch.float64 if isinstance(d, int | float) else None  # what is positive in float32 alone is not
    if not bool((torch.as_tensor(d, dtype=wide, device=where) > 0).all()):
        raise ValueError(f"d must be positive, got {d!r}")
    _validate.real("sigma0", sigma0), _validate.real("k", k)
    return sigma0 + k * d**-0.5


def fit_hall_petch(d: Sequence[float] | torch.Tensor, sigma: Sequence[float] | torch.Tensor) -> dict[str, float]:
    """Least squares of stresses on 1 / sqrt(d): ``sigma0`` and ``k``.

    Raises ``ValueError`` for d <= 0, lengths that differ, or fewer than two distinct values of 1 / sqrt(d).

    Examples
    --------
    >>> fit = fit_hall_petch([1.0, 4.0, 16.0], [150.0, 125.0, 112.5])
    >>> {name: round(value, 6) for name, value in fit.items()}
    {'sigma0': 100.0, 'k': 50.0}
    """
    d, sigma = _vector("d", d), _vector("sigma", sigma)
    if len(d) != len(sigma):
        raise ValueError(f"d and sigma must have one length, got {len(d)} and {len(sigma)}")
    if bool((d <= 0).any()):
        raise ValueError(f"d must be positive, got {d.min().item()}")
    x = d.rsqrt()
    centred = x - x.mean()
    spread = centred.square().sum()
    if x.min() == x.max() or not 0 < spread < math.inf:
        raise ValueError("d must have at least two sizes with distinct 1 / sqrt(d)")
    k = (centred * sigma).sum() / spread
    return {"sigma0": (sigma.mean() - k * x.mean()).item(), "k": k.item()}


class PileUp(NamedTuple):
    """``length`` of a pile-up, ``stress`` at which its head gives way, and the largest force ``left_over``."""

    length: float
    stress: float
    left_over: float


def pile_up(count: int) -> PileUp:
    """A pile-up of ``count`` >= 2 dislocations of one sign, pressed against the boundary of a grain, where one is held.

    Two at distance r repel each other with the force 1 / r. In units in which the applied stress presses each with 1/2
    the others rest at the zeros of the Laguerre polynomial L_{count-1}^{(1)}, eigenvalues of its tridiagonal matrix;
    the force on the held one is then the head's. Scaled so that the boundary gives way at a head force of one.

    Source: Eshelby, Frank and Nabarro, Philosophical Magazine 42 (1951), 351-364.

    Raises ``ValueError`` for fewer than two.

    Examples
    --------
    >>> [round(value, 9) for value in pile_up(2)]  # the free one at 2: force 1/2 from the held one, head force 1
    [2.0, 0.5, 0.0]
    """
    count = _validate.positive_int("count", count, 2)
    k = torch.arange(1, count, dtype=torch.float64, device="cpu")
    side = torch.diag((k[:-1] * (k[:-1] + 1)).sqrt(), 1)
    free = torch.linalg.eigvalsh(torch.diag(2 * k) + side + side.mT)
    apart = (free[:, None] - free).fill_diagonal_(torch.inf)
    left_over = (1 / free + (1 / apart).sum(1) - 0.5).abs().max()  # the held one at 0, all others, the stress
    head = 0.5 + (1 / free).sum()
    return PileUp((free.max() * head).item(), (0.5 / head).item(), left_over.item())


def _vector(name: str, values: Any) -> torch.Tensor:
    try:
        kind = _arguments.numbers(name, values) if hasattr(values, "dtype") else values
        vector = torch.as_tensor(kind, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be a vector of finite numbers, got {values!r}") from None
    if vector.ndim != 1 or not bool(vector.isfinite().all()):
        raise ValueError(f"{name} must be a vector of finite numbers, got shape {tuple(vector.shape)}")
    return vector
