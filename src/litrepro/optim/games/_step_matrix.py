"""One step of a method on a linear field, as a matrix."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate
from litrepro.optim.games._arguments import setting
from litrepro.optim.games._fields import consensus_matrix
from litrepro.optim.games._play import METHODS


def play_matrix(
    J: torch.Tensor,
    *,
    eta: Any,
    method: str = "simultaneous",
    beta: Any = 0.0,
    gamma: Any = 0.0,
    split: int | None = None,
) -> torch.Tensor:
    """The linear map of two consecutive states ``(w_t, w_{t-1}) -> (w_{t+1}, w_t)`` that ``play`` makes on ``v = J w``.

    ``play`` converges exactly if all eigenvalues lie inside the unit circle; their largest modulus is the factor per
    step.

    Parameters
    ----------
    J
        (..., d, d), Jacobian of the game's field.
    eta, beta, gamma
        Step size, momentum and weight of the consensus term, numbers or tensors that broadcast with the leading
        dimensions.
    method, split
        As in ``play``.

    Returns
    -------
    (..., 2 d, 2 d).

    Raises
    ------
    ValueError
        J that is not square, an unknown method, ``"alternating"`` without 0 < split < d, settings that do not
        broadcast.

    Source: Gidel et al. 2019, arXiv:1807.04740, section 3 (momentum, alternation); Daskalakis et al. 2017,
    arXiv:1711.00141 (optimism).

    Examples
    --------
    >>> J = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> moduli = torch.linalg.eigvals(play_matrix(J, eta=0.5, method="alternating", split=1)).abs()
    >>> round(moduli.max().item(), 4)  # alternating play orbits
    1.0
    """
    _validate.choice("method", method, METHODS)
    _validate.float_tensor("J", J, 2)
    d = J.shape[-1]
    if J.shape[-2] != d:
        raise ValueError(f"J must be square, (..., d, d), got {tuple(J.shape)}")
    if method == "alternating":
        split = _validate.positive_int("split", split)
        if split >= d:
            raise ValueError(f"split must be below {d}: it is the size of the first player, got {split}")
    values = {"eta": eta, "beta": beta, "gamma": gamma}
    tensors = {name: setting(name, value, J.dtype, J.device) for name, value in values.items()}
    shape = _validate.broadcast(J=J.shape[:-2], **{name: value.shape for name, value in tensors.items()})
    eta, beta, _ = (value[..., None, None] for value in tensors.values())
    eye = torch.eye(d, dtype=J.dtype, device=J.device)
    now, before = _blocks(J, eye, method, eta, tensors["gamma"])
    now, before = (part.expand(*shape, d, d) for part in (now + beta * eye, before - beta * eye))
    if method == "alternating":
        now, before = _second_sees_first(J, now, before, eta, split)
    eye, zero = (part.expand(*shape, d, d) for part in (eye, torch.zeros_like(eye)))
    return torch.cat((torch.cat((now, before), -1), torch.cat((eye, zero), -1)), -2)


def _blocks(
    J: torch.Tensor, eye: torch.Tensor, method: str, eta: torch.Tensor, gamma: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What multiplies w_t and w_{t-1}, without momentum and as if both players moved at once."""
    if method == "optimistic":
        return eye - 2 * eta * J, eta * J
    if method == "extragradient":
        now = eye - eta * J @ (eye - eta * J)
    elif method == "consensus":
        now = eye - eta * consensus_matrix(J, gamma)
    else:
        now = eye - eta * J
    return now, torch.zeros_like(now)


def _second_sees_first(
    J: torch.Tensor, now: torch.Tensor, before: torch.Tensor, eta: torch.Tensor, split: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The second player's rows, where J meets the first player's new point instead of the old one."""
    old = torch.eye(J.shape[-1], dtype=J.dtype, device=J.device)[:split]
    coupling = eta * J[..., split:, :split]
    moved = now[..., split:, :] - coupling @ (now[..., :split, :] - old)
    memory = before[..., split:, :] - coupling @ before[..., :split, :]
    return torch.cat((now[..., :split, :], moved), -2), torch.cat((before[..., :split, :], memory), -2)
