"""One step of the uniform framework: the pure functions, and the in-place kernel that all runs share."""

from __future__ import annotations

import math
from typing import Any

import torch

from litrepro import _validate
from litrepro._scaling import vanishes
from litrepro.optim._rules import Rule, as_rule, beta1_at

State = dict[str, Any]


def start(rule: Rule | str, x: torch.Tensor) -> State:
    """The state before the first step: step count, product of the beta1's so far, and the moments (zeros like x).

    Examples
    --------
    >>> import torch
    >>> from litrepro.optim import rule
    >>> start(rule("sgdm"), torch.ones(2))
    {'t': 0, 'decay': 1.0, 'm': tensor([0., 0.])}
    """
    _validate.float_tensor("x", x)
    rule = as_rule(rule)
    state: State = {"t": 0, "decay": 1.0}
    for name in moments(rule):
        state[name] = torch.zeros_like(x, requires_grad=False)
    return state


def moments(rule: Rule) -> tuple[str, ...]:
    """Which accumulators a rule keeps: m (first), v (second), d (squared steps)."""
    kept = {"m": rule.first != "gradient", "v": rule.second != "one", "d": rule.delta}
    return tuple(name for name, needed in kept.items() if needed)


def look_ahead(rule: Rule | str, state: State, x: torch.Tensor, lr: Any) -> torch.Tensor:
    """Where the next gradient is taken: zeta = x - lr beta1 m for look-ahead rules, else x.

    ``lr`` is a positive number or a tensor of shape ``x.shape[:k]``. Source: Nesterov 1983 in the form of the review's
    section 2.3, with the factor beta1 that it lacks.

    Examples
    --------
    >>> import torch
    >>> from litrepro.optim import rule
    >>> nag = rule("nag", beta1=0.5)
    >>> x, state = update(nag, start(nag, torch.ones(1)), torch.ones(1), torch.ones(1), 0.5)
    >>> x.item(), look_ahead(nag, state, x, 0.5).item()
    (0.75, 0.625)
    """
    rule = _check(rule, state, x)
    if not rule.lookahead or "m" not in state:
        return x
    return x - expand_lr(lr, x) * (beta1_at(rule, state["t"] + 1) * state["m"])


def update(rule: Rule | str, state: State, x: torch.Tensor, g: torch.Tensor, lr: Any) -> tuple[torch.Tensor, State]:
    """One step from ``x`` with the gradient ``g`` taken at ``look_ahead``; pure, returns the new (x, state).

    Parameters
    ----------
    x, g
        Same shape, any number of dimensions; g is taken in the dtype and on the device of x.
    lr
        Positive number, or a tensor of shape ``x.shape[:k]``.

    Raises
    ------
    ValueError
        Tensors that are not floating point, shapes of x and g that differ, a state that is none, or a step size that is
        not positive and finite or does not fit.

    Examples
    --------
    >>> import torch
    >>> from litrepro.optim import rule
    >>> sgd, x, g = rule("sgd"), torch.ones(1), torch.tensor([2.0])
    >>> x, state = update(sgd, start(sgd, x), x, g, 0.25)
    >>> x.item(), state["t"]
    (0.5, 1)
    """
    rule = _check(rule, state, x)
    _validate.float_tensor("g", g)
    if x.shape != g.shape:
        raise ValueError(f"x and g must have one shape, got {tuple(x.shape)} and {tuple(g.shape)}")
    lr = expand_lr(lr, x)
    x = x.detach().clone()
    state = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
    step_([x], [g.detach().to(x)], [state], rule, [lr])
    return x, state


def _check(rule: Rule | str, state: State, x: torch.Tensor) -> Rule:
    _validate.float_tensor("x", x)
    rule = as_rule(rule)
    if not isinstance(state, dict):
        raise ValueError(f"state must be what start or update returned, got {type(state).__name__}")
    kept = moments(rule)
    shapes = [tuple(state[name].shape) for name in kept if isinstance(state.get(name), torch.Tensor)]
    if "t" not in state or "decay" not in state or shapes != [tuple(x.shape)] * len(kept):
        expected = f"{', '.join(('t', 'decay', *kept))}, moments of shape {tuple(x.shape)}"
        raise ValueError(f"state of {rule.name} must have {expected}, got {', '.join(map(str, state))} {shapes}")
    return rule


def expand_lr(lr: Any, x: torch.Tensor, most_dims: int | None = None, check: bool = True) -> float | torch.Tensor:
    """``lr`` as a number, or as a tensor that broadcasts against the leading dimensions of ``x``.

    Raises ``ValueError`` if it is not positive and finite everywhere, or not of shape ``x.shape[:k]`` with
    k <= ``most_dims`` (default: all dimensions of x). ``check=False``, for a step whose schedule may have come to 0,
    lets 0 pass and leaves out the look at a tensor's values, which on a GPU would wait for the device.
    """
    if not isinstance(lr, torch.Tensor) or lr.ndim == 0:
        return _validate.real("lr", lr, 0, open_low=check)
    if lr.dtype.is_complex:
        raise ValueError(f"lr must be real, got {lr.dtype}")
    lr = lr.detach()
    most_dims = x.ndim if most_dims is None else most_dims
    fits = lr.ndim <= min(most_dims, x.ndim) and all(a in (1, b) for a, b in zip(lr.shape, x.shape))
    if not fits:
        raise ValueError(
            f"lr of shape {tuple(lr.shape)} must match the leading dimensions (at most {most_dims}) of "
            f"shape {tuple(x.shape)}"
        )
    if check:
        check_positive(lr)
    return lr.to(dtype=x.dtype, device=x.device).reshape(lr.shape + (1,) * (x.ndim - lr.ndim))


def check_positive(lr: torch.Tensor, zero: bool = False) -> None:
    """``ValueError`` unless every step size is positive, or with ``zero`` at least 0, and finite."""
    if not bool((((lr >= 0) if zero else (lr > 0)) & torch.isfinite(lr)).all()):
        raise ValueError(f"lr must be {'>= 0' if zero else 'positive'} and finite everywhere, got {lr}")


@torch.no_grad()
def step_(
    xs: list[torch.Tensor],
    gs: list[torch.Tensor],
    states: list[State],
    rule: Rule,
    lrs: list[float | torch.Tensor],
) -> None:
    """Advance tensors that are all at the same step, in place, with fused elementwise kernels.

    ``lrs`` holds one number for all (repeated), or tensors that broadcast (see ``expand_lr``). The states'
    moments are updated in place, their counters replaced. In-place ``_foreach`` kernels, because for networks the
    optimizer's cost is memory traffic.
    """
    t = states[0]["t"] + 1
    beta1 = beta1_at(rule, t)
    decay = states[0]["decay"] * beta1
    moment = {name: [state[name] for state in states] for name in moments(rule)}
    if "m" in moment:
        _first_moment(moment["m"], gs, rule, beta1)
    if "v" in moment:
        _second_moment(moment["v"], gs, rule)
    if rule.delta:
        _delta_step(xs, gs, moment["v"], moment["d"], rule, lrs)
    else:
        direction, scale = _direction(moment.get("m", gs), gs, rule, t, beta1, decay)
        _descend(xs, direction, scale, moment.get("v"), rule, t, lrs)
    for state in states:
        state["t"], state["decay"] = t, decay


def _first_moment(ms: list, gs: list, rule: Rule, beta1: float) -> None:
    if rule.first == "average":
        torch._foreach_lerp_(ms, gs, 1.0 - beta1)
    else:
        torch._foreach_mul_(ms, beta1)
        torch._foreach_add_(ms, gs)


def _second_moment(vs: list, gs: list, rule: Rule) -> None:
    if rule.second == "max":
        torch._foreach_mul_(vs, rule.beta2)
        torch._foreach_maximum_(vs, torch._foreach_abs(gs))
        return
    if rule.second == "average":
        torch._foreach_mul_(vs, rule.beta2)
    torch._foreach_addcmul_(vs, gs, gs, value=1.0 - rule.beta2 if rule.second == "average" else 1.0)


def _direction(ms: list, gs: list, rule: Rule, t: int, beta1: float, decay: float) -> tuple[list, float]:
    """n_t as (tensors, factor): a factor common to all is not worth a pass over memory."""
    averaged = rule.first == "average"
    debias = 1.0 - decay if rule.debias and averaged else 1.0
    if rule.nesterov and rule.first != "gradient":
        following = 1.0 - decay * beta1_at(rule, t + 1) if rule.debias and averaged else 1.0
        mixed = torch._foreach_mul(ms, beta1 / following)
        torch._foreach_add_(mixed, gs, alpha=(1.0 - beta1) / debias if averaged else 1.0)
        return mixed, 1.0
    if rule.nu == 1.0 or rule.first == "gradient":
        return ms, 1.0 / debias
    mixed = torch._foreach_mul(ms, rule.nu / debias)
    torch._foreach_add_(mixed, gs, alpha=1.0 - rule.nu)
    return mixed, 1.0


def _descend(xs: list, direction: list, scale: float, vs: list | None, rule: Rule, t: int, lrs: list) -> None:
    """x <- x - lr scale direction / H."""
    one_lr = not isinstance(lrs[0], torch.Tensor)
    if vs is None:
        if one_lr:
            torch._foreach_add_(xs, direction, alpha=-lrs[0] * scale)
        else:
            torch._foreach_addcmul_(xs, direction, [lr.expand_as(x) for lr, x in zip(lrs, xs)], value=-scale)
        return
    denominator = _denominator(vs, rule, t)
    exact = vanishes(rule.eps, vs[0].dtype)
    if one_lr and not exact:
        torch._foreach_addcdiv_(xs, direction, denominator, value=-lrs[0] * scale)
        return
    steps = torch._foreach_div(direction, denominator)
    if exact:
        # 0/0 := 0. Only an exact zero denominator: an entry that diverged must stay visible as nan or inf.
        steps = [step.masked_fill(h == 0, 0.0) for step, h in zip(steps, denominator)]
    torch._foreach_mul_(steps, lrs if not one_lr else lrs[0])
    torch._foreach_add_(xs, steps, alpha=-scale)


def _denominator(vs: list, rule: Rule, t: int) -> list:
    """H_t, newly allocated."""
    if rule.second == "max":
        return torch._foreach_add(vs, rule.eps)
    unbiased = math.sqrt(1.0 - rule.beta2**t) if rule.debias and rule.second == "average" else 1.0
    roots = _roots(vs, rule.eps * unbiased)
    if unbiased != 1.0:
        torch._foreach_div_(roots, unbiased)
    if rule.eps > 0:
        torch._foreach_add_(roots, rule.eps)
    return roots


def _roots(vs: list, eps: float) -> list:
    """Square roots, to which ``eps`` will be added.

    On a CPU the root of zero, as of a unit that is never active, takes five times as long as that of any other number.
    Where eps is so much larger that the sum cannot tell, the smallest normal number stands in for it.
    """
    smallest, unit = torch.finfo(vs[0].dtype).tiny, torch.finfo(vs[0].dtype).eps
    if vs[0].device.type != "cpu" or math.sqrt(smallest) >= eps * unit / 4:
        return torch._foreach_sqrt(vs)
    roots = torch._foreach_clamp_min(vs, smallest)
    torch._foreach_sqrt_(roots)
    return roots


def _delta_step(xs: list, gs: list, vs: list, ds: list, rule: Rule, lrs: list) -> None:
    """AdaDelta (Zeiler 2012, algorithm 1): s = RMS(past steps)/RMS(gradients) g, so that s has the units of x."""
    eps_delta = rule.eps if rule.eps_delta is None else rule.eps_delta
    for x, g, v, d, lr in zip(xs, gs, vs, ds, lrs):
        below = v + rule.eps
        step = torch.sqrt((d + eps_delta) / below).mul_(g)
        step.masked_fill_(below == 0, 0.0)
        d.mul_(rule.beta2).addcmul_(step, step, value=1.0 - rule.beta2)
        x.sub_(step.mul_(lr))


@torch.no_grad()
def unit_steps(rule: Rule, gradients: torch.Tensor, lr: float) -> torch.Tensor:
    """How far a first moment of 1 would take each coordinate, along gradients (T, ..., d); same shape."""
    v, d = torch.zeros_like(gradients[0]), torch.zeros_like(gradients[0])
    steps = torch.zeros_like(gradients)
    for t, (x, g) in enumerate(zip(steps, gradients), 1):
        _second_moment([v], [g], rule)
        if rule.delta:
            _delta_step([x], [torch.ones_like(g)], [v], [d.clone()], rule, [lr])
            _delta_step([torch.zeros_like(x)], [g], [v], [d], rule, [lr])
        else:
            _descend([x], [torch.ones_like(g)], 1.0, [v], rule, t, [lr])
    return -steps
