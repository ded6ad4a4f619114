"""The usual median: torch's is the lower one of the two in the middle."""

from __future__ import annotations

import torch

from litrepro import _validate


def usual_median(values: torch.Tensor, dim: int) -> torch.Tensor:
    """Median of ``values (...)`` along ``dim``: of an even number the mean of the two in the middle, inf if one is.

    nan where there is one among the values.

    Raises ``ValueError`` for integers, no values, and a ``dim`` that is none.

    Examples
    --------
    >>> usual_median(torch.tensor([4.0, 1.0, 2.0, torch.inf]), 0)
    tensor(3.)
    >>> usual_median(torch.tensor([4.0, 1.0, torch.inf, torch.inf]), 0)
    tensor(inf)
    """
    _validate.float_tensor("values", values, 1)
    if not isinstance(dim, int) or isinstance(dim, bool) or not -values.ndim <= dim < values.ndim:
        raise ValueError(f"dim must be one of the {values.ndim} dimensions of values, got {dim!r}")
    if not values.shape[dim]:
        raise ValueError(f"values must not be empty along {dim}, got shape {tuple(values.shape)}")
    ordered, n = values.sort(dim).values, values.shape[dim]
    low, high = ordered.select(dim, (n - 1) // 2), ordered.select(dim, n // 2)
    found = torch.where(low == high, low, low + (high - low) / 2)  # inf - inf is nan
    return torch.where(values.isnan().any(dim), torch.nan, found)
