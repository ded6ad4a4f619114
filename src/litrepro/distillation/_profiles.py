"""Profiles: probabilities by rank, the true class first. ``ranked_targets`` lays them over the classes."""

from __future__ import annotations

import torch

from litrepro import _validate

SLACK = 1e-12  # 0.9 - 0.8 is not 0.1


def geometric_profile(num_classes: int, peak: float) -> torch.Tensor:
    """p_r = peak rho^r for r = 0..K-1, with rho in [0, 1] such that they sum to 1.

    Parameters
    ----------
    num_classes
        K >= 2.
    peak
        In [1/K, 1]: p_0 is exactly the peak. 1 is one-hot (rho = 0), 1/K uniform (rho = 1).

    Returns
    -------
    (K,) float64. Raises ``ValueError`` for K < 2 and a peak out of range.

    Examples
    --------
    >>> geometric_profile(3, 0.9)[0].item(), round(geometric_profile(3, 0.9).sum().item(), 9)
    (0.9, 1.0)
    """
    num_classes, peak = check_peak(num_classes, peak)
    low, high = 0.0, 1.0  # the sum of powers grows with rho: bisection to the last bit
    for _ in range(100):
        middle = (low + high) / 2
        if sum(middle**r for r in range(num_classes)) < 1 / peak:
            low = middle
        else:
            high = middle
    rho = 0.0 if peak == 1 else high
    return peak * torch.tensor([rho**r for r in range(num_classes)], dtype=torch.float64)


def gap_profile(num_classes: int, peak: float, gap: float) -> torch.Tensor:
    """p_0 = peak, p_1 = peak - gap, and the rest of the mass uniform over the K - 2 others.

    Parameters
    ----------
    num_classes
        K >= 3.
    peak, gap
        With 0 <= peak - gap <= 1 - peak.

    Returns
    -------
    (K,) float64. Raises ``ValueError`` for K < 3 and values out of range.

    Examples
    --------
    >>> gap_profile(4, 0.5, 0.1).numpy().round(3)
    array([0.5 , 0.4 , 0.05, 0.05])
    """
    num_classes = _validate.positive_int("num_classes", num_classes, 3)
    peak, gap = _validate.real("peak", peak, 0, 1), _validate.real("gap", gap)
    second = peak - gap
    if not -SLACK <= second <= 1 - peak + SLACK:
        raise ValueError(f"peak - gap must be in [0, 1 - peak] = [0, {1 - peak:g}], got {second:g}")
    second = max(second, 0.0)
    rest = max(1 - peak - second, 0.0) / (num_classes - 2)
    return torch.tensor([peak, second] + [rest] * (num_classes - 2), dtype=torch.float64)


def check_peak(num_classes: int, peak: float) -> tuple[int, float]:
    """K >= 2 and a peak in [1/K, 1]."""
    num_classes = _validate.positive_int("num_classes", num_classes, 2)
    return num_classes, _validate.real("peak", peak, 1 / num_classes, 1)
