"""The uniform framework as a recursion of iterates: no moment is kept, the last displacement stands for it.

    theta_{t+1} = theta_t - alpha_t H_t^-1 g_t + beta_t H_t^-1 H_{t-1} (theta_t - theta_{t-1}),
    G_t = a_t G_{t-1} + b_t g_t^2,   H_t = sqrt(G_t) + eps   (H = 1 without second moment; the inverse of 0 is 0).

This is the table of Wilson et al. 2017 (and of the review of chapter 01) with two corrections: Adam's a_t has the
factor 1 - beta2^(t-1), without which G explodes and the method freezes, and with varying step sizes beta_t has the
factor lr_t/lr_{t-1}.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro.optim._descend import Path, Recorder, check_start, gradient_at
from litrepro.optim._rules import Rule, as_rule

Coefficients = tuple[float, float, float, float]


def two_step_coefficients(rule: Rule | str, t: int, lr: float, lr_prev: float | None = None) -> Coefficients:
    """``(alpha_t, beta_t, a_t, b_t)`` of a rule at step t = 1, 2, ...

    Parameters
    ----------
    rule
        sgd, heavy-ball, sgdm, adagrad, rmsprop, adam, or a variant of these.
    lr, lr_prev
        Step sizes of this step and of the one before (the same if None).

    Raises
    ------
    ValueError
        A rule outside the table (look-ahead, NAdam, AdaDelta, QHM, DEMON, AdaMax), t < 1, a step size that is not
        positive and finite.

    Examples
    --------
    >>> two_step_coefficients("heavy-ball", 1, 0.25)
    (0.25, 0.9, 1.0, 0.0)
    """
    rule = _in_table(as_rule(rule))
    t = _validate.positive_int("t", t)
    lr = _validate.real("lr", lr, 0, open_low=True)
    ratio = 1.0 if lr_prev is None else lr / _validate.real("lr_prev", lr_prev, 0, open_low=True)
    alpha, beta = lr, 0.0
    if rule.first == "sum":
        beta = rule.beta1 * ratio
    elif rule.first == "average":
        kept, whole = (1 - rule.beta1 ** (t - 1), 1 - rule.beta1**t) if rule.debias else (1.0, 1.0)
        alpha, beta = lr * (1 - rule.beta1) / whole, ratio * rule.beta1 * kept / whole
    if rule.second == "one":
        return alpha, beta, 1.0, 0.0
    if rule.second == "sum":
        return alpha, beta, 1.0, 1.0
    kept, whole = (1 - rule.beta2 ** (t - 1), 1 - rule.beta2**t) if rule.debias else (1.0, 1.0)
    return alpha, beta, rule.beta2 * kept / whole, (1 - rule.beta2) / whole


def two_step(
    fun: Callable[[torch.Tensor], torch.Tensor] | None,
    x0: torch.Tensor,
    rule: Rule | str,
    lr: float | Callable[[int], float],
    steps: int,
    *,
    grad: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
    coefficients: Callable[[Rule, int, float, float], Coefficients] = two_step_coefficients,
) -> Path:
    """Minimize ``fun`` by the two-step recursion; equals ``descend`` with the same rule.

    Parameters
    ----------
    fun, x0, steps, grad
        As in ``descend``; ``x0`` (..., d).
    rule
        A ``Rule`` or a name, within the table of ``two_step_coefficients``.
    lr
        Positive number, or a callable t -> number.
    coefficients
        Called as ``coefficients(rule, t, lr_t, lr_{t-1})`` (lr_1 again at t = 1), e.g. to try a table as printed.

    Returns
    -------
    Path with every step recorded.

    Raises
    ------
    ValueError
        As ``descend`` and ``two_step_coefficients``, and for ``coefficients`` that cannot be called.

    Examples
    --------
    >>> import torch
    >>> from litrepro.optim import descend
    >>> f = lambda x: x.square().sum(-1)
    >>> torch.allclose(two_step(f, torch.ones(3), "adam", 0.1, 5).x, descend(f, torch.ones(3), "adam", 0.1, 5).x)
    True
    """
    rule = _in_table(as_rule(rule))
    x = check_start(fun, x0, steps, grad, 1)
    _validate.function("coefficients", coefficients)
    lr_before = _validate.real("lr", lr(1) if callable(lr) else lr, 0, open_low=True)
    record = Recorder(fun, steps, 1)
    record(0, x)
    adaptive = rule.second != "one"
    before, g2, h_before = x.clone(), torch.zeros_like(x), torch.zeros_like(x)
    for t in range(1, steps + 1):
        lr_now = _validate.real("lr", lr(t) if callable(lr) else lr, 0, open_low=True)
        alpha, beta, a, b = coefficients(rule, t, lr_now, lr_before)
        g = gradient_at(fun, grad, x, t)
        step = alpha * g
        momentum = beta * (x - before)
        if adaptive:
            g2 = a * g2 + b * g**2
            h = torch.sqrt(g2) + rule.eps
            inverse = torch.where(h == 0, torch.zeros_like(h), 1 / h)
            step, momentum = inverse * step, inverse * h_before * momentum
            h_before = h
        before, x = x, x - step + momentum
        lr_before = lr_now
        record(t, x)
    return record.path()


def _in_table(rule: Rule) -> Rule:
    outside = {
        "look-ahead": rule.lookahead,
        "Nesterov's mixture": rule.nesterov,
        "AdaDelta's step": rule.delta,
        "a quasi-hyperbolic step": rule.nu != 1.0,
        "a decaying beta1": rule.total_steps is not None,
        "a maximum as second moment": rule.second == "max",
    }
    reasons = [name for name, found in outside.items() if found]
    if reasons:
        raise ValueError(f"{rule.name} has no two-step form in the table: it has {', '.join(reasons)}")
    return rule
