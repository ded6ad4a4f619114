"""``descend``: run a rule on an objective from a batch of starting points, all trials at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from litrepro import _validate
from litrepro._recording import recording
from litrepro.optim._rules import Rule, as_rule, beta1_at
from litrepro.optim._steps import check_positive, expand_lr, start, step_


@dataclasses.dataclass(frozen=True)
class Path:
    """What a run of trials recorded.

    Attributes
    ----------
    t
        (K,) int64: recorded steps, 0 first, the last step last.
    x
        (K, ..., d): iterates at those steps.
    f
        (K, ...): objective at the iterates, None if the objective was not given.
    events
        What else a method reports, per trial.

    Examples
    --------
    >>> import torch
    >>> run = descend(lambda x: x.square().sum(-1), torch.tensor([1.0]), "sgd", 0.25, 2)
    >>> run.t.tolist(), run.x.flatten().tolist(), run.f.tolist()
    ([0, 1, 2], [1.0, 0.5, 0.25], [1.0, 0.25, 0.0625])
    """

    t: torch.Tensor
    x: torch.Tensor
    f: torch.Tensor | None
    events: dict[str, Any] = dataclasses.field(default_factory=dict)


def descend(
    fun: Callable[[torch.Tensor], torch.Tensor] | None,
    x0: torch.Tensor,
    rule: Rule | str,
    lr: float | torch.Tensor | Callable[[int], Any],
    steps: int,
    *,
    grad: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
    record_every: int = 1,
) -> Path:
    """Minimize ``fun`` by ``steps`` steps of a member of the uniform framework.

    Parameters
    ----------
    fun
        ``(..., d) -> (...)``, acting on each trial by itself; differentiated by autograd unless ``grad`` is given. May
        be None with ``grad``: then no objective is recorded.
    x0
        (..., d) floating point, d >= 1; never modified.
    rule
        A ``Rule`` or the name of one.
    lr
        Step size: positive number, tensor of shape ``x0.shape[:k]``, or a callable t -> one of these. A schedule may
        take it to 0.
    steps
        Number of steps, >= 1.
    grad
        ``grad(zeta (..., d), t) -> (..., d)`` for t = 1..steps, e.g. a stochastic gradient.
    record_every
        Record t = 0, every so many steps, and the last.

    Returns
    -------
    Path
        ``events`` is empty. A trial that diverges becomes inf or nan without touching the others.

    Raises
    ------
    ValueError
        x0 not a floating-point tensor with d >= 1, steps or record_every < 1, neither fun nor grad, a bad step size,
        an objective or gradient of the wrong shape.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x.square().sum(-1) / 2
    >>> descend(f, torch.ones(2, 1), "sgd", torch.tensor([0.5, 1.0]), 1).x[-1].tolist()  # one step size per trial
    [[0.5], [0.0]]
    """
    rule = as_rule(rule)
    x = check_start(fun, x0, steps, grad, record_every)
    state = start(rule, x)
    record = Recorder(fun, steps, record_every)
    record(0, x)
    step_size = None if callable(lr) else expand_lr(lr, x)
    for t in range(1, steps + 1):
        if callable(lr):
            step_size = expand_lr(lr(t), x, check=False)
            if isinstance(step_size, torch.Tensor):
                check_positive(step_size, zero=True)
        zeta = _ahead(rule, state, x, step_size)
        gradient = gradient_at(fun, grad, zeta, t)
        step_([x], [gradient], [state], rule, [step_size])
        record(t, x)
    return record.path()


def _ahead(rule: Rule, state: dict, x: torch.Tensor, step_size: float | torch.Tensor) -> torch.Tensor:
    """``look_ahead`` with a step size that is already checked and broadcasts."""
    if not rule.lookahead or "m" not in state:
        return x
    return x - step_size * (beta1_at(rule, state["t"] + 1) * state["m"])


def check_start(fun: Any, x0: Any, steps: Any, grad: Any, record_every: Any) -> torch.Tensor:
    """Validate what every descent takes; returns a private copy of ``x0``."""
    _validate.float_tensor("x0", x0, 1)
    if x0.shape[-1] < 1:
        raise ValueError(f"x0 must have d >= 1 coordinates, got shape {tuple(x0.shape)}")
    _validate.positive_int("steps", steps)
    _validate.positive_int("record_every", record_every)
    for name, value in (("fun", fun), ("grad", grad)):
        if value is not None:
            _validate.function(name, value)
    if fun is None and grad is None:
        raise ValueError("neither fun nor grad was given: one of them has to say where to go")
    return x0.detach().clone(memory_format=torch.contiguous_format)


def gradient_at(fun: Any, grad: Any, x: torch.Tensor, t: int) -> torch.Tensor:
    """The gradient of ``fun`` at x (..., d) by autograd of the sum, or what ``grad(x, t)`` returns."""
    if grad is not None:
        gradient = grad(x, t)
        if not isinstance(gradient, torch.Tensor) or gradient.shape != x.shape:
            found = tuple(gradient.shape) if isinstance(gradient, torch.Tensor) else type(gradient).__name__
            raise ValueError(f"grad must return a tensor of shape {tuple(x.shape)}, got {found}")
        return gradient.detach().to(x.dtype)
    with recording():
        at = x.detach().clone().requires_grad_(True)
        values = objective(fun, at)
        if not values.requires_grad:  # a constant objective
            return torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(values.sum(), at, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient


def objective(fun: Any, x: torch.Tensor) -> torch.Tensor:
    """``fun(x)``, checked to be one number per trial."""
    values = fun(x)
    if not isinstance(values, torch.Tensor) or values.shape != x.shape[:-1]:
        found = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
        raise ValueError(f"fun must map {tuple(x.shape)} to {tuple(x.shape[:-1])}, got {found}")
    return values


class Recorder:
    """Collects iterates and objective values for a ``Path``."""

    def __init__(self, fun: Any, steps: int, every: int):
        self._fun, self._steps, self._every = fun, steps, every
        self._t: list[int] = []
        self._x: list[torch.Tensor] = []
        self._f: list[torch.Tensor] = []

    @torch.no_grad()
    def __call__(self, t: int, x: torch.Tensor) -> None:
        """Record the iterate of step t if it is due."""
        if t % self._every == 0 or t == self._steps:
            self.last(t, x)

    @torch.no_grad()
    def last(self, t: int, x: torch.Tensor) -> None:
        """Record the iterate of step t whether it is due or not: a run that ends early ends with it."""
        self._t.append(t)
        self._x.append(x.clone())
        if self._fun is not None:
            self._f.append(objective(self._fun, x).detach())

    def path(self, **events: Any) -> Path:
        """Everything recorded so far."""
        f = torch.stack(self._f) if self._f else None
        return Path(torch.tensor(self._t, device="cpu"), torch.stack(self._x), f, events)
