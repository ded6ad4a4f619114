"""Train the factors of a deep linear network, all trials at once and without autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from litrepro import _validate
from litrepro._scaling import vanishes
from litrepro.linearnets import _arguments
from litrepro.linearnets._factors import chain_rule, product

RULES = ("gd", "adagrad", "adadelta", "adam")
Update = Callable[[torch.Tensor, torch.Tensor, dict[str, Any], int], torch.Tensor]


def train_factors(
    grad: Callable[[torch.Tensor], torch.Tensor],
    factors: Sequence[torch.Tensor],
    *,
    lr: float | torch.Tensor,
    steps: int,
    rule: str = "gd",
    momentum: float | torch.Tensor = 0.0,
    weight_decay: float = 0.0,
    every: int = 1,
    betas: tuple[float, float] = (0.9, 0.999),
    rho: float = 0.9,
    eps: float = 1e-8,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Train all factors of W_N ... W_1 simultaneously.

    Parameters
    ----------
    grad
        ``(..., k, d) -> (..., k, d)``: gradient of the loss with respect to the end-to-end matrix.
    factors
        ``[W_1, ..., W_N]``, ``W_j (..., n_j, n_{j-1})``; not modified.
    lr, momentum
        Numbers, or tensors of the batch shape (...); lr > 0; momentum (of "gd" alone) is any real
        number, negative ones included.
    steps
        Number of steps, >= 0.
    rule
        ``"gd"``: V <- momentum V - lr g, W <- W + V. ``"adagrad"``, ``"adadelta"``, ``"adam"``: as ``torch.optim``
        defines them (eps outside the root for AdaGrad and Adam, inside for AdaDelta).
    weight_decay
        lambda >= 0: lambda W_j is added to the gradient of every factor.
    every
        Record every so many steps.
    betas, rho, eps
        Decay rates of Adam and AdaDelta in [0, 1), and the regularizer of all three, >= 0. Without it (also where the
        dtype rounds it to 0), 0/0 := 0: an entry whose gradients were all 0 stays where it is.

    Returns
    -------
    Recorded end-to-end matrices (steps//every + 1, ..., k, d), the start included, and the final factors. A trial that
    diverges becomes inf or nan without disturbing the others.

    Raises
    ------
    ValueError
        Factors that do not fit, bad hyperparameters, an unknown rule, momentum with another rule than "gd", a ``grad``
        of another shape.

    Source: Arora, Cohen and Hazan 2018, section 4; the rules: Duchi et al. 2011, Zeiler 2012, Kingma and Ba 2015.

    Examples
    --------
    >>> import torch
    >>> factors = [torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0]])]
    >>> path, factors = train_factors(lambda W: W - 4, factors, lr=0.125, steps=1)
    >>> factors[0].tolist(), factors[1].tolist(), path[-1].tolist()
    ([[1.375, 0.5]], [[1.375]], [[1.890625, 0.6875]])
    """
    _validate.function("grad", grad)
    factors = _expanded(_arguments.chain(factors))
    steps = _validate.positive_int("steps", steps, 0)
    every = _validate.positive_int("every", every)
    decay = _validate.real("weight_decay", weight_decay, 0)
    update = rule_of(rule, factors[0], lr, momentum, betas, rho, eps)
    states: list[dict[str, Any]] = [{} for _ in factors]
    w = product(factors)
    record = w.new_empty(steps // every + 1, *w.shape)
    record[0] = w
    for step in range(1, steps + 1):
        gradients = chain_rule(factors, _arguments.gradient_at(grad, w))
        if decay:
            gradients = [g + decay * factor for g, factor in zip(gradients, factors)]
        factors = [factor - update(factor, g, state, step) for factor, g, state in zip(factors, gradients, states)]
        w = product(factors)
        if step % every == 0:
            record[step // every] = w
    return record, [factor.clone() for factor in factors]


def _expanded(factors: list[torch.Tensor]) -> list[torch.Tensor]:
    """All factors with the common batch shape, without graphs."""
    batch = torch.broadcast_shapes(*(factor.shape[:-2] for factor in factors))
    return [factor.detach().expand(*batch, *factor.shape[-2:]) for factor in factors]


def rule_of(
    rule: str,
    like: torch.Tensor,
    lr: Any,
    momentum: Any = 0.0,
    betas: Any = (0.9, 0.999),
    rho: float = 0.9,
    eps: float = 1e-8,
) -> Update:
    """The update of one factor as a function (factor, gradient, state, step) -> what to subtract."""
    _validate.choice("rule", rule, RULES)
    lr = _arguments.per_trial("lr", lr, like)
    momentum = _arguments.per_trial("momentum", momentum, like, signed=True)
    moving = bool((momentum != 0).any()) if isinstance(momentum, torch.Tensor) else momentum != 0
    if moving and rule != "gd":
        raise ValueError(f"momentum belongs to rule 'gd'; with {rule!r} it must be 0, got {momentum}")
    if not isinstance(betas, list | tuple) or len(betas) != 2:
        raise ValueError(f"betas must be two numbers, got {betas!r}")
    b1, b2 = (_validate.real("betas", b, 0, 1, open_high=True) for b in betas)
    rho = _validate.real("rho", rho, 0, 1, open_high=True)
    eps = _validate.real("eps", eps, 0)
    if rule == "adagrad":
        return lambda w, g, state, t: _adagrad(g, state, lr, eps)
    if rule == "adadelta":
        return lambda w, g, state, t: _adadelta(g, state, lr, rho, eps)
    if rule == "adam":
        return lambda w, g, state, t: _adam(g, state, t, lr, b1, b2, eps)
    if not moving:
        return lambda w, g, state, t: lr * g
    return lambda w, g, state, t: _heavy_ball(g, state, lr, momentum)


def _heavy_ball(g, state, lr, momentum):
    state["v"] = lr * g + momentum * state["v"] if "v" in state else lr * g
    return state["v"]


def _kept(state: dict[str, Any], name: str, g: torch.Tensor) -> torch.Tensor:
    """A running value, zero before the first step; updated in place."""
    if name not in state:
        state[name] = torch.zeros_like(g)
    return state[name]


def _adagrad(g, state, lr, eps):
    total = _kept(state, "sum", g).addcmul_(g, g)
    return _quotient(lr * g, total.sqrt(), eps)


def _adadelta(g, state, lr, rho, eps):
    square = _kept(state, "square", g).mul_(rho).addcmul_(g, g, value=1 - rho)
    moved = _kept(state, "moved", g)
    delta = _quotient(moved + eps, square, eps).sqrt_().mul_(g)
    moved.mul_(rho).addcmul_(delta, delta, value=1 - rho)
    return lr * delta


def _adam(g, state, t, lr, b1, b2, eps):
    first = _kept(state, "first", g).mul_(b1).add_(g, alpha=1 - b1)
    second = _kept(state, "second", g).mul_(b2).addcmul_(g, g, value=1 - b2)
    return _quotient((lr / (1 - b1**t)) * first, (second / (1 - b2**t)).sqrt_(), eps)


def _quotient(numerator, denominator, eps):
    """numerator/(denominator + eps), 0 where the sum is 0."""
    below = denominator + eps
    ratio = numerator / below
    return ratio.masked_fill_(below == 0, 0.0) if vanishes(eps, below.dtype) else ratio
