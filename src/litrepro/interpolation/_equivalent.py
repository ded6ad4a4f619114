"""Test error of regression on random features, from the spectrum of the kernel alone."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate

BISECTIONS = 200  # halves an interval of 600 e-folds to below rounding


def random_feature_risk(
    eigenvalues: torch.Tensor,
    power: torch.Tensor,
    n: int | torch.Tensor,
    features: int | torch.Tensor,
    *,
    noise: float = 0.0,
) -> torch.Tensor:
    """Test error of minimum-norm regression on k random features from n samples, in the limit of large n and k.

    A deterministic equivalent. With gamma > 0 from sum_i l_i / (l_i + gamma) = min(n, k), q = sum_i (l_i / (l_i +
    gamma))^2 and target coefficients v_i: for k < n

        n / (n - k) (sum_i gamma v_i^2 / (l_i + gamma) + noise^2),

    and for k > n

        n (k - q) / ((n - q) (k - n)) (sum_i gamma v_i^2 / (l_i + gamma)
        - gamma (k - n) / (k - q) sum_i l_i v_i^2 / (l_i + gamma)^2 + noise^2).

    It is infinite at k = n: the peak is there whatever kernel and target are. k = infinity is the kernel itself.

    Parameters
    ----------
    eigenvalues
        l (r,) >= 0 of the kernel operator: of the Gram matrix of m points, divided by m.
    power
        v_i^2 (r,) >= 0: of m targets, squared inner products with the unit eigenvectors divided by m; summed over
        outputs where there are several.
    n, features
        Numbers of samples and of real features (two per cosine-sine pair), numbers or tensors of any shapes that
        broadcast. The formula does not ask for whole numbers. The smaller of the two must be less than the number of
        positive eigenvalues.
    noise
        Standard deviation of further noise of the targets, >= 0.

    Returns
    -------
    float64 of the common shape: mean squared error on new noisy targets.

    Raises
    ------
    ValueError
        Lengths differ, entries that are negative or not finite, n or features < 1 or no numbers, n infinite, both at
        least the number of positive eigenvalues.

    Source: Simon, Karkada, Ghosh and Belkin 2023, arXiv:2311.14646, section 3, without ridge.

    Examples
    --------
    >>> spectrum = torch.ones(100) / 100
    >>> round(random_feature_risk(spectrum, spectrum, 50, 25).item(), 6)
    1.5
    """
    for name, value in (("eigenvalues", eigenvalues), ("power", power)):
        _validate.float_tensor(name, value, 1)
        if value.ndim != 1 or not bool(((value >= 0) & value.isfinite()).all()):
            raise ValueError(f"{name} must be a vector of finite numbers >= 0, got shape {tuple(value.shape)}")
    if eigenvalues.shape != power.shape:
        raise ValueError(f"eigenvalues and power must have one length, got {len(eigenvalues)} and {len(power)}")
    noise = _validate.real("noise", noise, 0)
    spectrum, power = eigenvalues.double(), power.double()
    n, k = (_counts(name, value, power.device) for name, value in (("n", n), ("features", features)))
    _validate.broadcast(n=n.shape, features=k.shape)
    _validate.finite(n=n)
    n, k = torch.broadcast_tensors(n, k)
    if n.numel() and (float(torch.minimum(n, k).min()) < 1 or float(torch.minimum(n, k).max()) >= (spectrum > 0).sum()):
        raise ValueError(f"n and features must be >= 1, the smaller below {int((spectrum > 0).sum())} eigenvalues")
    gamma = _gamma(spectrum, torch.minimum(n, k))[..., None]
    share = spectrum / (spectrum + gamma)
    q = share.square().sum(-1)
    missed = ((1 - share) * power).sum(-1)
    under = n / (n - k) * (missed + noise**2)
    wide = torch.where(k.isinf(), 1.0, (k - n) / (k - q))
    learned = missed - wide * (share * (1 - share) * power).sum(-1)
    over = n / ((n - q) * wide) * (learned + noise**2)
    return torch.where(k < n, under, torch.where(k > n, over, torch.inf))


def _counts(name: str, value: Any, device: torch.device) -> torch.Tensor:
    """Numbers, infinity included, as a float64 tensor."""
    try:
        if isinstance(value, torch.Tensor) and (value.is_complex() or value.dtype == torch.bool):
            raise TypeError(value.dtype)
        counts = torch.as_tensor(value, dtype=torch.float64, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be real numbers, got {value!r:.60}") from None
    if bool(counts.isnan().any()):
        raise ValueError(f"{name} must be numbers, got nan")
    return counts


def _gamma(spectrum: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The gamma (...) at which sum_i l_i / (l_i + gamma) = ``wanted`` (...), by bisection on its logarithm."""
    positive = spectrum[spectrum > 0]
    low = torch.full_like(wanted, positive.min().log().item() - 50)
    high = torch.full_like(wanted, positive.sum().log().item() + 1)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        above = (positive / (positive + middle.exp()[..., None])).sum(-1) > wanted
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return ((low + high) / 2).exp()
