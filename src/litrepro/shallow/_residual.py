"""Deep linear residual networks under the names of the review."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.shallow import _arguments


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
    Excess risk (...) and gradient (..., l, d, d): grad_i = 2 (suffix)' E Sigma (prefix)'.

    Raises
    ------
    ValueError
        Shapes that do not match, no block.

    Source: Hardt and Ma 2017, section 2; equation 31 of the review.
    """
    _validate.float_tensor("A", A, 3)
    d = A.shape[-1]
    if A.shape[-2] != d or A.shape[-3] < 1:
        raise ValueError(f"A must have shape (..., l, d, d) with l >= 1, got {tuple(A.shape)}")
    for name, value in (("R", R), ("Sigma", Sigma)):
        _validate.float_tensor(name, value, 2)
        if value.shape[-2:] != (d, d):
            raise ValueError(f"{name} must have shape (..., {d}, {d}), got {tuple(value.shape)}")
    _arguments.broadcast(A=A.shape[:-3], R=R.shape[:-2], Sigma=Sigma.shape[:-2])
    eye = torch.eye(d, dtype=A.dtype, device=A.device)
    blocks = (eye + A).unbind(-3)
    prefix, suffix = [eye], [eye]  # products of the blocks before and after each one
    for block in blocks:
        prefix.append(block @ prefix[-1])
    for block in reversed(blocks[1:]):
        suffix.append(suffix[-1] @ block)
    error = prefix[-1] - R
    middle = error @ Sigma
    risk = (middle * error).sum((-2, -1))
    gradient = [2 * after.mT @ middle @ before.mT for after, before in zip(reversed(suffix), prefix)]
    return risk, torch.stack(torch.broadcast_tensors(*gradient), dim=-3)
