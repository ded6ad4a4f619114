"""Effective model complexity."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from litrepro import _validate
from litrepro.interpolation import _arguments


def effective_model_complexity(
    train_error: torch.Tensor, sample_sizes: Sequence[int] | torch.Tensor, *, epsilon: float
) -> torch.Tensor:
    """The largest number of samples that a training procedure fits with error at most ``epsilon``.

    Parameters
    ----------
    train_error
        (..., m): (average) training error at each of the sample sizes; NaN counts as not fitted.
    sample_sizes
        (m,) numbers >= 1, in any order.
    epsilon
        Threshold >= 0, compared in the precision of the errors.

    Returns
    -------
    (...) int64; 0 where no size is fitted.

    Raises
    ------
    ValueError
        Lengths differ, sizes < 1, epsilon < 0, errors that are not a real floating-point tensor.

    Source: Nakkiran et al. 2019, arXiv:1912.02292, definition 1, evaluated on a grid of sizes.

    Examples
    --------
    >>> effective_model_complexity(torch.tensor([0.0, 0.0, 0.3]), [10, 20, 40], epsilon=0.01).item()
    20
    """
    _validate.float_tensor("train_error", train_error, 1)
    sizes = _arguments.integers("sample_sizes", sample_sizes, 1).to(train_error.device)
    if train_error.shape[-1] != len(sizes):
        raise ValueError(f"train_error must have one entry per size ({len(sizes)}), got {tuple(train_error.shape)}")
    epsilon = _validate.real("epsilon", epsilon, 0)
    # An error of float32(0.1) is meant to reach the threshold 0.1, which is a little smaller in float64.
    fitted = train_error <= torch.tensor(epsilon, dtype=train_error.dtype, device=train_error.device)
    if not len(sizes):
        return torch.zeros(train_error.shape[:-1], dtype=torch.int64, device=train_error.device)
    return torch.where(fitted, sizes, 0).amax(-1)
