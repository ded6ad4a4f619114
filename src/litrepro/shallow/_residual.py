"""Deep linear residual networks under the names of the review."""

from __future__ import annotations

from typing import NamedTuple

import torch

from litrepro.linearnets import residual_gradient, residual_risk


class ResidualLinear(NamedTuple):
    """The ``excess`` risk f - C_opt (...) and its ``gradient`` (..., l, d, d).

    Examples
    --------
    >>> import torch
    >>> residual_linear(torch.zeros(2, 1, 1), torch.eye(1), torch.eye(1)).excess.item()
    0.0
    """

    excess: torch.Tensor
    gradient: torch.Tensor


def residual_linear(A: torch.Tensor, R: torch.Tensor, Sigma: torch.Tensor) -> ResidualLinear:
    """Excess population risk f - C_opt = tr(E Sigma E') and its gradient, E = (I + A_l) ... (I + A_1) - R.

    Parameters
    ----------
    A
        Residual blocks (..., l, d, d), A_1 first.
    R, Sigma
        Target map and input covariance, (..., d, d); they broadcast with the batch of ``A``.

    Returns
    -------
    ``ResidualLinear``: excess risk (...) and gradient (..., l, d, d), grad_i = 2 (suffix)' E Sigma (prefix)', the pair
    (``linearnets.residual_risk``, ``linearnets.residual_gradient``).

    Raises
    ------
    ValueError
        Shapes or dtypes that do not match, no block, a Sigma that is not symmetric.

    Source: Hardt and Ma 2017, section 2; equation 31 of the review.

    Examples
    --------
    >>> import torch
    >>> risk, gradient = residual_linear(torch.zeros(2, 1, 1), torch.tensor([[3.0]]), torch.eye(1))
    >>> risk.item(), gradient.flatten().tolist()  # (1 - 3)^2, and 2 (1 - 3) for both blocks
    (4.0, [-4.0, -4.0])
    """
    return ResidualLinear(residual_risk(A, R, Sigma), residual_gradient(A, R, Sigma))
