"""Single-output networks of hidden width 1, of several depths in one batch: a vector times up to N - 1 numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments


class ChainRun(NamedTuple):
    """Recorded steps ``t (K,)`` and losses ``loss (K, ...)`` of the trials, and their last matrices ``W (..., d)``."""

    t: torch.Tensor
    loss: torch.Tensor
    W: torch.Tensor


def train_chains(
    grad: Callable[[torch.Tensor], torch.Tensor],
    loss: Callable[[torch.Tensor], torch.Tensor],
    w: torch.Tensor,
    scalars: torch.Tensor,
    depths: torch.Tensor,
    *,
    lr: torch.Tensor,
    steps: int,
    every: int,
    progress: Callable[[Iterable], Iterable] = iter,
) -> ChainRun:
    """Gradient descent on W = w s_1 ... s_{N-1}, where every trial has its own depth N.

    With G the gradient at W: the gradient of w is (s_1 ... s_{N-1}) G, that of s_j is <G, w> times the other scalars.

    Parameters
    ----------
    grad, loss
        ``(..., d) -> (..., d)`` and ``(..., d) -> (...)``: the loss as a function of the end-to-end vector.
    w
        (..., d): first factor of each trial.
    scalars
        (..., M): further factors; trial i uses the first depths_i - 1 of them.
    depths
        (...) integers in 1 ... M + 1.
    lr
        (...) positive step sizes.
    steps, every
        Number of steps, and how often the loss is recorded (0 first).
    progress
        Wraps the loop over steps.

    Returns
    -------
    ChainRun. A trial that diverges becomes inf or nan by itself.

    Raises
    ------
    ValueError
        Batch shapes that differ, depths outside 1 ... M + 1, bad step sizes.

    Source: Arora, Cohen and Hazan 2018, section 7 (networks with hidden layers of width 1).
    """
    _validate.float_tensor("w", w, 1)
    _validate.float_tensor("scalars", scalars, 1)
    batch = w.shape[:-1]
    if scalars.shape[:-1] != batch or depths.shape != batch or depths.dtype.is_floating_point:
        raise ValueError(
            f"w (..., d), scalars (..., M) and integer depths (...) must have one batch shape, got {tuple(w.shape)}, "
            f"{tuple(scalars.shape)} and {tuple(depths.shape)}"
        )
    if bool(((depths < 1) | (depths > scalars.shape[-1] + 1)).any()):
        raise ValueError(f"depths must be in 1 ... {scalars.shape[-1] + 1}, got {depths}")
    steps, every = _validate.positive_int("steps", steps), _validate.positive_int("every", every)
    rate = _arguments.per_trial("lr", lr, w[..., None, :])
    rate = rate[..., 0] if isinstance(rate, torch.Tensor) else rate
    active = torch.arange(scalars.shape[-1], device=w.device) < depths.to(w.device)[..., None] - 1
    w, s = w.detach(), torch.where(active, scalars.detach().to(w), 1.0)
    total = s.prod(-1, keepdim=True)
    times, losses = [0], [loss(total * w)]
    for step in progress(range(1, steps + 1)):
        g = grad(total * w)
        along = (g * w).sum(-1, keepdim=True)
        others = _others(s)
        w, s = w - rate * total * g, torch.where(active, s - rate * along * others, s)
        total = s.prod(-1, keepdim=True)
        if step % every == 0:
            times.append(step)
            losses.append(loss(total * w))
    return ChainRun(torch.tensor(times), torch.stack(losses), total * w)


def _others(s: torch.Tensor) -> torch.Tensor:
    """Product of all other scalars, without dividing."""
    if s.shape[-1] == 2:
        return s.flip(-1)
    ones = torch.ones_like(s[..., :1])
    before = torch.cat([ones, s[..., :-1]], -1).cumprod(-1)
    after = torch.cat([ones, s.flip(-1)[..., :-1]], -1).cumprod(-1).flip(-1)
    return before * after


def steps_to(t: torch.Tensor, loss: torch.Tensor, level: float | torch.Tensor, *, stay: bool = False) -> torch.Tensor:
    """First recorded step at which each trial's loss is at most ``level``, inf if there is none.

    Parameters
    ----------
    t
        (K,) recorded steps.
    loss
        (K, ...); nan counts as not reached.
    level
        A number or a tensor that broadcasts against (...).
    stay
        Ask that the loss stays at or below the level from then on: a loss that oscillates may touch it earlier.

    Returns
    -------
    (...) in the dtype of ``loss``.

    Raises ``ValueError`` if the lengths differ.
    """
    if t.ndim != 1 or loss.shape[0] != len(t):
        raise ValueError(f"t must be (K,) and loss (K, ...), got {tuple(t.shape)} and {tuple(loss.shape)}")
    reached = loss <= level
    if stay:
        reached = reached.flip(0).to(torch.int8).cumprod(0).flip(0).bool()
    first = t.to(loss)[reached.to(torch.int8).argmax(0).to(t.device)]
    return torch.where(reached.any(0), first, torch.inf)
