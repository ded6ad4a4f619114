"""The uniform framework of first-order methods (B. Geordie and A. Wu, *The use of momentum in stochastic methods*).

One step t = 1, 2, ... of every member, element by element:

    g_t    = gradient at zeta,   zeta = x - lr beta1 m_{t-1} for look-ahead rules, else x
    m_t    = g_t | b m_{t-1} + g_t | b m_{t-1} + (1 - b) g_t              first moment: gradient, sum, average
    V_t    = 1 | V + g_t^2 | beta2 V + (1 - beta2) g_t^2 | max(beta2 V, |g_t|)    second: one, sum, average, max
    mhat   = m_t / (1 - beta1^t),  Vhat = V_t / (1 - beta2^t)             if debias (averages only)
    n_t    = nu mhat + (1 - nu) g_t,  for NAdam beta1 m_t / (1 - beta1^(t+1)) + (1 - beta1) g_t / (1 - beta1^t)
    x      <- x - lr n_t / H_t,   H_t = 1 | sqrt(Vhat) + eps | V + eps (max),   with 0/0 := 0

The last also where the dtype of x rounds eps to 0.

``Rule`` holds the choices, ``rule(name)`` the members, ``start``/``look_ahead``/``update`` one step, ``descend`` a run
over a batch of trials, ``Uniform`` the optimizer for modules.
"""

from litrepro.optim._descend import Path, descend
from litrepro.optim._optimizer import Uniform
from litrepro.optim._rules import RULES, Rule, beta1_at, first_weights, rule, second_weights
from litrepro.optim._steps import look_ahead, start, update
from litrepro.optim._two_step import two_step, two_step_coefficients

__all__ = [
    "RULES",
    "Path",
    "Rule",
    "Uniform",
    "beta1_at",
    "descend",
    "first_weights",
    "look_ahead",
    "rule",
    "second_weights",
    "start",
    "two_step",
    "two_step_coefficients",
    "update",
]
