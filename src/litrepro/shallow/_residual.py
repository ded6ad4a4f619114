"""Deep linear residual networks under the names of the review."""

from __future__ import annotations

import torch

from litrepro.linearnets import residual_gradient, residual_risk


def residual_linear(A: torch.Tensor, R: torch.Tensor, Sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Excess population risk f - C_opt = tr(E Sigma E') and its gradient, E = (I + A_l) ... (I + A_1) - R.

    Parameters
    ----------
    A
        Residual blocks (..., l, d, d), A_1 first.
    R, Sigma
        Target map and input covariance, (..., d, d); they broadcast with the batch of ``A``.

    Returns
    -------
    Excess risk (...) and gradient (..., l, d, d): grad_i = 2 (suffix)' E Sigma (prefix)', the pair
    (``linearnets.residual_risk``, ``linearnets.residual_gradient``).

    Raises
    ------
    ValueError
        Shapes or dtypes that do not match, no block.

    Source: Hardt and Ma 2017, section 2; equation 31 of the review.
    """
    return residual_risk(A, R, Sigma), residual_gradient(A, R, Sigma)
