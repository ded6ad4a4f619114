"""The deterministic failure test: too few measurements for any combination of norms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.recovery._consensus import check_weights, common_batch
from litrepro.recovery._norms import norm_geometry, unit_scale


class FailureTest(NamedTuple):
    """``correlation (...)``, ``ratio (...)`` and ``fails (...)`` = correlation > ratio, a certificate of failure.

    Examples
    --------
    >>> import torch
    >>> A, X0 = torch.eye(4).reshape(4, 2, 2)[:1], torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    >>> found = deterministic_failure(A, X0, {"l1": 1.0})
    >>> round(found.correlation.item(), 4), round(found.ratio.item(), 4), bool(found.fails)
    (0.5, 1.0, False)
    """

    correlation: torch.Tensor
    ratio: torch.Tensor
    fails: torch.Tensor


def deterministic_failure(
    A: torch.Tensor, X0: torch.Tensor, weights: Mapping[str, float | torch.Tensor]
) -> FailureTest:
    """Whether X0 is certainly no minimizer of sum_i lambda_i f_i(X) subject to A(X) = A(X0).

    A minimizer needs a subgradient g in the row space of A. Then |<x0, g>| <= ||A x0|| ||g|| / sigma_min(A') for the
    normalized x0, so that X0 fails where every subgradient is more correlated with x0 than ``ratio`` = ||A x0|| /
    sigma_min(A') (Oymak et al. 2015, theorem 3.1). All subgradients have a correlation with x0 of at least
    ``correlation`` = sum_i lambda_i f_i(x0) / sum_i lambda_i L_i (proposition 3.1; L_i as in ``norm_geometry``).

    The test is for the program without a cone: semidefiniteness would add its normal cone to the subgradients.

    Parameters
    ----------
    A
        (..., m, p, q); batch dimensions of all arguments broadcast. Zero rows are absent measurements. With more than
        p q of them, or with dependent ones, sigma_min(A') is 0 and the ratio infinite: nothing is certified.
    X0
        (..., p, q), non-zero.
    weights
        As in ``structured_recovery``; not all zero.

    Raises ``ValueError`` for shapes or dtypes that do not fit, half precision, no measurements, entries that are not
    finite, no or unknown norms, negative weights or nothing but zeros.

    Examples
    --------
    >>> import torch
    >>> A = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])  # sees nothing of X0
    >>> bool(deterministic_failure(A, torch.eye(2), {"nuclear": 1.0}).fails)
    True
    """
    _validate.decomposable("A", A, 3)
    _validate.decomposable("X0", X0)
    _validate.same_kind(A=A, X0=X0)
    if X0.shape[-2:] != A.shape[-2:]:
        raise ValueError(f"A (..., m, p, q) and X0 (..., p, q) must fit, got {tuple(A.shape)} and {tuple(X0.shape)}")
    if A.shape[-3] < 1:
        raise ValueError(f"A must have at least one measurement, got shape {tuple(A.shape)}")
    numbers = check_weights(weights, A)
    batch = common_batch(A=A.shape[:-3], X0=X0.shape[:-2], weights=numbers)
    if not bool((sum(numbers.values()) > 0).all()):
        raise ValueError("at least one weight must be positive")
    geometry = {name: norm_geometry(X0, name) for name in numbers}
    correlation = sum(weight * geometry[name].value for name, weight in numbers.items()) / sum(
        weight * geometry[name].lipschitz for name, weight in numbers.items()
    )
    rows = unit_scale(A.flatten(-2))  # the ratio does not depend on a factor of A
    x0 = unit_scale(X0)
    x0 = x0.flatten(-2) / torch.linalg.matrix_norm(x0)[..., None]
    measured = torch.linalg.vector_norm((rows @ x0[..., None])[..., 0], dim=-1)
    present = (A != 0).flatten(-2).any(-1)
    s = torch.linalg.svdvals(rows)  # descending; those of absent rows are zero and come last
    count = present.sum(-1)
    smallest = s.gather(-1, (count.clamp(min=1, max=s.shape[-1]) - 1)[..., None])[..., 0]
    dependent = (count > rows.shape[-1]) | (smallest <= max(1e-12, 100 * torch.finfo(s.dtype).eps) * s[..., 0])
    ratio = torch.where(dependent, torch.inf, measured / torch.where(dependent, 1.0, smallest))
    correlation, ratio = correlation.expand(batch), ratio.expand(batch)
    return FailureTest(correlation, ratio, correlation > ratio)
