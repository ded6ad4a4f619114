"""Single-output networks of hidden width 1, of several depths in one batch: a vector times up to N - 1 numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments


class ChainRun(NamedTuple):
    """Recorded steps ``t (K,)`` and losses ``loss (K, ...)`` of the trials, and their last matrices ``W (..., d)``.

    Examples
    --------
    >>> import torch
    >>> grad, loss = lambda w: w - 1, lambda w: (w - 1).square().sum(-1) / 2
    >>> start = {"w": torch.zeros(3, 2), "scalars": torch.ones(3, 1), "depths": torch.tensor([1, 1, 2])}
    >>> run = train_chains(grad, loss, **start, lr=torch.tensor([0.1, 1.0, 0.1]), steps=50, every=25)
    >>> run.t.tolist(), run.loss.shape, bool((run.W - 1).abs().max() < 0.1)
    ([0, 25, 50], torch.Size([3, 3]), True)
    """

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
    momentum: float | torch.Tensor = 0.0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> ChainRun:
    """Gradient descent, or heavy ball, on W = w s_1 ... s_{N-1}, where every trial has its own depth N.

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
    momentum
        A number or a tensor (...), of any sign: every factor keeps its own velocity.
    progress
        Wraps the loop over steps.

    Returns
    -------
    ChainRun. A trial that diverges becomes inf or nan by itself.

    Raises
    ------
    ValueError
        Batch shapes or dtypes that differ, depths outside 1 ... M + 1, bad step sizes, a ``grad`` or a ``loss`` of
        another shape.

    Source: Arora, Cohen and Hazan 2018, section 7 (networks with hidden layers of width 1).

    Examples
    --------
    >>> import torch
    >>> grad, loss = lambda w: w - 1, lambda w: (w - 1).square().sum(-1) / 2
    >>> start = {"w": torch.zeros(2, 1), "scalars": torch.ones(2, 1), "depths": torch.tensor([1, 2])}
    >>> run = train_chains(grad, loss, **start, lr=torch.full((2,), 0.5), steps=2, every=1)
    >>> run.loss[:, 0].tolist(), bool(run.loss[2, 1] < run.loss[2, 0])  # depth 1, and depth 2 is ahead of it
    ([0.5, 0.125, 0.03125], True)
    """
    steps, every = _validate.positive_int("steps", steps), _validate.positive_int("every", every)
    times, losses = [0], []
    iterates = chain_iterates(grad, w, scalars, depths, lr=lr, momentum=momentum)
    for name, value in (("loss", loss), ("progress", progress)):
        _validate.function(name, value)
    last = next(iterates)
    losses.append(_shaped("loss", loss(last), last.shape[:-1]))
    for step in progress(range(1, steps + 1)):
        last = next(iterates)
        if step % every == 0:
            times.append(step)
            losses.append(loss(last))
    return ChainRun(torch.tensor(times, device="cpu"), torch.stack(losses), last)


def train_separate(
    grad: Callable[[torch.Tensor], torch.Tensor],
    loss: Callable[[torch.Tensor], torch.Tensor],
    start: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    *,
    lr: torch.Tensor,
    steps: int,
    every: int,
    progress: Callable[[Iterable], Iterable] = iter,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``train_chains`` for trials (n, d) of which ``grad`` and ``loss`` take any number; (t, loss (K, n)).

    Those that have diverged are left out of further steps, and have the loss inf. ``start``: w, scalars, depths.
    """
    steps, every = _validate.positive_int("steps", steps), _validate.positive_int("every", every)
    _validate.function("progress", progress)
    iterates = chain_iterates(grad, *start, lr=lr)
    last = next(iterates)
    found = loss(last).new_full((steps // every + 1, len(last)), torch.inf)
    found[0], trials = loss(last), torch.arange(len(last), device=last.device)
    for step in progress(range(1, steps + 1)):
        if len(trials) == 0:
            break
        last = next(iterates)
        if step % every == 0:
            found[step // every, trials] = loss(last)
            finite = last.isfinite().all(-1)
            if not bool(finite.all()):
                trials = trials[finite]
                iterates.send(finite)
    return torch.arange(0, steps + 1, every, device="cpu"), found


def chain_iterates(
    grad: Callable[[torch.Tensor], torch.Tensor],
    w: torch.Tensor,
    scalars: torch.Tensor,
    depths: torch.Tensor,
    *,
    lr: torch.Tensor,
    momentum: float | torch.Tensor = 0.0,
) -> Iterator[torch.Tensor]:
    """The end-to-end vectors (..., d) of ``train_chains``, the start first, without end. Same arguments and errors.

    Examples
    --------
    >>> import torch
    >>> start = {"w": torch.zeros(1, 1), "scalars": torch.ones(1, 1), "depths": torch.tensor([1])}
    >>> path = chain_iterates(lambda w: w - 1, **start, lr=torch.tensor([0.5]))
    >>> [next(path).item() for _ in range(4)]
    [0.0, 0.5, 0.75, 0.875]
    """
    _validate.float_tensor("w", w, 1)
    _validate.float_tensor("scalars", scalars, 1)
    batch = w.shape[:-1]
    _validate.integer_tensor("depths", depths)
    _validate.same_kind(w=w, scalars=scalars)
    if scalars.shape[:-1] != batch or depths.shape != batch or w.shape[-1] == 0:
        raise ValueError(
            "w (..., d), scalars (..., M) and depths (...) must have one batch shape and d >= 1, "
            f"got {tuple(w.shape)}, {tuple(scalars.shape)} and {tuple(depths.shape)}"
        )
    if bool(((depths < 1) | (depths > scalars.shape[-1] + 1)).any()):
        raise ValueError(f"depths must be in 1 ... {scalars.shape[-1] + 1}, got {depths}")
    rate = _column("lr", lr, w)
    beta = _column("momentum", momentum, w, signed=True)
    active = torch.arange(scalars.shape[-1], device=w.device) < depths.to(w.device)[..., None] - 1
    s = torch.where(active, scalars.detach().to(w), 1.0)
    return _heavy_ball(_validate.function("grad", grad), w.detach(), s, active, rate, beta)


def _heavy_ball(grad, w, s, active, rate, beta) -> Iterator[torch.Tensor]:
    moving = isinstance(beta, torch.Tensor) or beta != 0
    dw = ds = None
    known = False  # the first gradient is looked at, the others are like it
    while True:
        total = s.prod(-1, keepdim=True)
        product = total * w
        kept = yield product
        if kept is not None:  # go on with these trials (n,) of a batch (n, d)
            w, s, active, total, product = (value[kept] for value in (w, s, active, total, product))
            rate, beta, dw, ds = (v[kept] if isinstance(v, torch.Tensor) else v for v in (rate, beta, dw, ds))
            yield product
        g = grad(product) if known else _shaped("grad", grad(product), w.shape)
        known = True
        along = (g * w).sum(-1, keepdim=True)
        step_w, step_s = rate * total * g, torch.where(active, rate * along * others(s), 0.0)
        if moving:
            step_w = step_w if dw is None else step_w + beta * dw
            step_s = step_s if ds is None else step_s + beta * ds
            dw, ds = step_w, step_s
        w, s = w - step_w, s - step_s


def _shaped(name: str, value: Any, shape: torch.Size) -> torch.Tensor:
    """What a user's function returned, if it is a tensor of this shape."""
    if not isinstance(value, torch.Tensor) or value.shape != shape:
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"{name} must return a tensor of shape {tuple(shape)}, got {got}")
    return value


def _column(name: str, value: float | torch.Tensor, w: torch.Tensor, *, signed: bool = False) -> float | torch.Tensor:
    """A number, or (..., 1)."""
    value = _arguments.per_trial(name, value, w[..., None, :], signed=signed)
    return value[..., 0] if isinstance(value, torch.Tensor) else value


def others(s: torch.Tensor) -> torch.Tensor:
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

    Raises ``ValueError`` if the lengths differ or are 0, for a level that is nan or does not broadcast.

    Examples
    --------
    >>> import torch
    >>> t, loss = torch.tensor([0, 10, 20, 30]), torch.tensor([1.0, 0.1, 0.3, 0.1])
    >>> steps_to(t, loss, 0.2).item(), steps_to(t, loss, 0.2, stay=True).item(), steps_to(t, loss, 0.01).item()
    (10.0, 30.0, inf)
    """
    _validate.float_tensor("loss", loss, 1)
    if not isinstance(t, torch.Tensor) or t.is_complex():
        raise ValueError(f"t must be a real tensor, got {getattr(t, 'dtype', type(t).__name__)}")
    if t.ndim != 1 or loss.shape[0] != len(t) or len(t) == 0:
        raise ValueError(f"t must be (K,) and loss (K, ...), K >= 1, got {tuple(t.shape)} and {tuple(loss.shape)}")
    if not isinstance(level, torch.Tensor):
        level = _validate.real("level", level)
    elif level.is_complex() or level.ndim >= loss.ndim:
        expected = f"a number or real and broadcast to {tuple(loss.shape[1:])}"
        raise ValueError(f"level must be {expected}, got {level.dtype} of shape {tuple(level.shape)}")
    else:
        _validate.broadcast(level=level.shape, loss=loss.shape[1:])
    reached = loss <= level
    if stay:
        reached = reached.flip(0).to(torch.int8).cumprod(0).flip(0).bool()
    first = t.to(loss)[reached.to(torch.int8).argmax(0)]
    return torch.where(reached.any(0), first, torch.inf)
