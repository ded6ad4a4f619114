"""Iterates of gradient methods on a game's vector field, many settings at once."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate
from litrepro.optim.games._arguments import setting
from litrepro.optim.games._fields import Field

METHODS = ("simultaneous", "alternating", "optimistic", "extragradient", "consensus")


def play(
    field: Field,
    w0: torch.Tensor,
    steps: int,
    *,
    eta: Any,
    method: str = "simultaneous",
    beta: Any = 0.0,
    gamma: Any = 0.0,
    split: int | None = None,
) -> torch.Tensor:
    """Play a game with a first-order method, ``w <- w - eta v(w)`` and its relatives.

    Parameters
    ----------
    field
        ``(..., d) -> (..., d)``, in descent convention for both players.
    w0
        (..., d), the start; a trial that is not finite stays so.
    steps
        Number of steps, >= 0.
    eta, beta, gamma
        Step size, heavy-ball momentum (added to every method: ``beta (w_t - w_{t-1})``, ``w_{-1} = w_0``) and weight of
        the consensus term (of that method only): numbers, or tensors (...) that broadcast with the leading dimensions
        of w0.
    method
        ``"simultaneous"``; ``"alternating"``: the first ``split`` coordinates move, then the others at the new
        point; ``"optimistic"``: ``w_t - 2 eta v_t + eta v_{t-1}``, ``v_{-1} = v_0``; ``"extragradient"``: the field is
        evaluated at ``w_t - eta v_t``; ``"consensus"``: along ``v + gamma v'(w)^T v``.
    split
        Number of coordinates of the first player, for ``"alternating"``.

    Returns
    -------
    (steps + 1, ..., d), the start included. A run is what it is alone, but for rounding, and one that diverges becomes
    inf or nan without disturbing the others.

    Raises
    ------
    ValueError
        Unknown method, ``"alternating"`` without 0 < split < d, a field that does not take w0, shapes that do not
        broadcast.

    Notes
    -----
    Daskalakis et al. 2017 (optimism), Gidel et al. 2019 (negative momentum, alternation), Mescheder et al. 2017
    (consensus).

    Examples
    --------
    >>> import torch
    >>> from litrepro.optim.games import bilinear_game
    >>> path = play(bilinear_game(torch.eye(1)), torch.ones(2), 500, eta=torch.tensor([0.1, 0.4]), method="optimistic")
    >>> path.shape, bool((path[-1].norm(dim=-1) < path[0].norm(dim=-1)).all())
    (torch.Size([501, 2, 2]), True)
    """
    _validate.choice("method", method, METHODS)
    _validate.float_tensor("w0", w0, 1)
    _validate.function("field", field)
    steps = _validate.positive_int("steps", steps, 0)
    d = w0.shape[-1]
    if method == "alternating":
        split = _validate.positive_int("split", split)
        if split >= d:
            raise ValueError(f"split must be below {d}: it is the size of the first player, got {split}")
    settings = {"eta": eta, "beta": beta, "gamma": gamma}
    eta, beta, gamma = (_setting(name, value, w0) for name, value in settings.items())
    w = _expand(w0, field, {**dict(zip(settings, (eta, beta, gamma)))})
    before, path = w, [w]
    velocity = field(w) if method == "optimistic" else None
    for _ in range(steps):
        momentum = beta * (w - before)
        if method == "alternating":
            moved = _alternate(field, w, eta, momentum, split)
        elif method == "optimistic":
            value = field(w)
            moved = w - 2 * eta * value + eta * velocity + momentum
            velocity = value
        elif method == "extragradient":
            moved = w - eta * field(w - eta * field(w)) + momentum
        elif method == "consensus":
            value, pull = torch.func.vjp(field, w)
            moved = w - eta * (value + gamma * pull(value)[0]) + momentum
        else:
            moved = w - eta * field(w) + momentum
        before, w = w, moved
        path.append(w)
    return torch.stack(path)


def _setting(name: str, value: Any, w0: torch.Tensor) -> torch.Tensor:
    """A number or tensor (...) as (..., 1)."""
    value = setting(name, value, w0.dtype, w0.device)
    return value[..., None] if value.ndim else value


def _expand(w0: torch.Tensor, field: Field, settings: dict[str, torch.Tensor]) -> torch.Tensor:
    """w0 expanded to the leading dimensions of the field's value and of all settings."""
    d, shape = w0.shape[-1], getattr(_validate.answer("field", field, w0), "shape", ())
    if shape[-1:] != (d,):
        raise ValueError(f"the field must map (..., {d}) to (..., {d}), got {tuple(shape)}")
    for name, value in settings.items():
        try:
            shape = torch.broadcast_shapes(shape, value.shape)
        except RuntimeError as error:
            got = tuple(value.shape[:-1])
            raise ValueError(
                f"{name} must broadcast with the leading dimensions {tuple(shape[:-1])}, got {got}"
            ) from error
    return w0.expand(shape).clone()


def _alternate(field: Field, w: torch.Tensor, eta: torch.Tensor, momentum: torch.Tensor, split: int) -> torch.Tensor:
    """One step of the first player, then one of the second at the point between."""
    first = (w - eta * field(w) + momentum)[..., :split]
    between = torch.cat((first, w[..., split:]), -1)
    second = (w - eta * field(between) + momentum)[..., split:]
    return torch.cat((first, second), -1)
