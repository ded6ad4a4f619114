"""The members of the uniform framework, and the weights that their moments give to past gradients."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from litrepro import _validate

FIRST = ("gradient", "sum", "average")
SECOND = ("one", "sum", "average", "max")


@dataclasses.dataclass(frozen=True)
class Rule:
    """A member of the uniform framework (see ``litrepro.optim.uniform`` for the equations).

    Parameters
    ----------
    name
        What the rule is called in tables and legends.
    first
        First moment: the ``"gradient"`` itself, a decaying ``"sum"`` (heavy ball), a moving ``"average"``.
    second
        Second moment: ``"one"`` (none), ``"sum"`` of squares, moving ``"average"`` of squares, decaying ``"max"``.
    beta1, beta2
        Decay of the moments, in [0, 1).
    nu
        Share of the first moment in the step, in [0, 1]; the rest is the plain gradient (QHM).
    eps
        Added to the denominator, >= 0.
    eps_delta
        AdaDelta's constant under the accumulated steps; ``eps`` if None.
    debias
        Divide moving averages by 1 - beta^t; where beta1 decays, by one minus the product of its values.
    lookahead
        Take the gradient at x - lr beta1 m (Nesterov).
    nesterov
        Dozat's NAdam: mix beta1 mhat_{t+1} with the gradient instead of looking ahead. Without ``debias`` both are
        taken as they are: beta1 m_t + (1 - beta1) g_t.
    delta
        Take AdaDelta's step, whose units are those of x.
    total_steps
        Length of the run; if given, beta1 decays over it as in DEMON.

    Raises
    ------
    ValueError
        Unknown moments, betas outside [0, 1), nu outside [0, 1], a negative or non-finite eps, total_steps < 1.

    Notes
    -----
    Sources: Ruder 2016; Ma and Yarats 2018 (QHM); Chen and Kyrillidis 2019 (DEMON); Zeiler 2012 (AdaDelta); Kingma
    and Ba 2014 (Adam, AdaMax); Dozat 2016 (NAdam).

    Examples
    --------
    >>> momentum = Rule("mine", first="sum", beta1=0.5)
    >>> first_weights(momentum, 3).tolist()
    [0.25, 0.5, 1.0]
    """

    name: str
    first: str = "gradient"
    second: str = "one"
    beta1: float = 0.0
    beta2: float = 0.0
    nu: float = 1.0
    eps: float = 0.0
    eps_delta: float | None = None
    debias: bool = False
    lookahead: bool = False
    nesterov: bool = False
    delta: bool = False
    total_steps: int | None = None

    def __post_init__(self):
        _validate.choice("first", self.first, FIRST)
        _validate.choice("second", self.second, SECOND)
        for name in ("beta1", "beta2"):
            _validate.real(name, getattr(self, name), 0, 1, open_high=True)
        _validate.real("nu", self.nu, 0, 1)
        _validate.real("eps", self.eps, 0)
        if self.eps_delta is not None:
            _validate.real("eps_delta", self.eps_delta, 0)
        for name in ("debias", "lookahead", "nesterov", "delta"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.total_steps is not None:
            _validate.positive_int("total_steps", self.total_steps)
        elif self.name == "demon":
            raise ValueError("demon needs total_steps, the length of the run over which beta1 decays; got None")
        if self.delta and self.second not in ("average", "sum"):
            raise ValueError(f"delta needs a second moment of squares (average or sum), got {self.second!r}")


_MEMBERS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "heavy-ball": {"first": "sum", "beta1": 0.9},
    "sgdm": {"first": "average", "beta1": 0.9},
    "nag": {"first": "average", "beta1": 0.9, "lookahead": True},
    "qhm": {"first": "average", "beta1": 0.999, "nu": 0.7},
    "demon": {"first": "average", "beta1": 0.9},
    "adagrad": {"second": "sum", "eps": 1e-10},
    "rmsprop": {"second": "average", "beta2": 0.99, "eps": 1e-8},
    "adadelta": {"second": "average", "beta2": 0.9, "eps": 1e-6, "delta": True},
    "adam": {"first": "average", "beta1": 0.9, "second": "average", "beta2": 0.999, "eps": 1e-8, "debias": True},
    "adamax": {"first": "average", "beta1": 0.9, "second": "max", "beta2": 0.999, "eps": 1e-8, "debias": True},
    "nadam": {
        "first": "average",
        "beta1": 0.9,
        "second": "average",
        "beta2": 0.999,
        "eps": 1e-8,
        "debias": True,
        "nesterov": True,
    },
}
RULES: tuple[str, ...] = tuple(_MEMBERS)


def rule(name: str, /, **overrides: Any) -> Rule:
    """The member ``name`` of the framework, with ``overrides`` of any field of ``Rule``.

    Raises
    ------
    ValueError
        A name that is not in ``RULES``, an override that is no field, or a field outside its range; for ``"demon"``
        also a missing ``total_steps``.

    Examples
    --------
    >>> rule("adam") == rule("adam", beta1=0.9, beta2=0.999)
    True
    >>> rule("heavy-ball", beta1=0.5).first
    'sum'
    """
    _validate.choice("rule", name, RULES)
    _check_options(name, overrides)
    return Rule(name, **(_MEMBERS[name] | overrides))


def _check_options(name: str, overrides: dict[str, Any]) -> None:
    fields = [field.name for field in dataclasses.fields(Rule) if field.name != "name"]
    unknown = sorted(set(overrides) - set(fields))
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}; options: {', '.join(fields)}")


def as_rule(value: Rule | str, **overrides: Any) -> Rule:
    """A ``Rule`` from a rule or a name, with overrides."""
    if isinstance(value, Rule):
        _check_options(value.name, overrides)
        return dataclasses.replace(value, **overrides) if overrides else value
    return rule(value, **overrides)


def beta1_at(rule: Rule | str, t: int) -> float:
    """beta1 in force at step t = 1, 2, ...: constant, or DEMON's decay if the rule has ``total_steps``.

    With u = max(0, 1 - (t - 1)/total_steps): beta1 u / ((1 - beta1) + beta1 u), so that beta/(1 - beta) falls linearly
    from its value at t = 1 to 0 after the last step (Chen and Kyrillidis 2019, section 3).

    Examples
    --------
    >>> [round(beta1_at(rule("demon", total_steps=4, beta1=0.5), t), 3) for t in range(1, 6)]
    [0.5, 0.429, 0.333, 0.2, 0.0]
    """
    t = _validate.positive_int("t", t)
    if not isinstance(rule, Rule):
        rule = as_rule(rule)
    if rule.total_steps is None:
        return rule.beta1
    left = max(0.0, 1.0 - (t - 1) / rule.total_steps)
    return rule.beta1 * left / ((1.0 - rule.beta1) + rule.beta1 * left)


def first_weights(rule: Rule | str, t: int) -> torch.Tensor:
    """Weights of g_1 ... g_t in the (debiased) first moment at step t: the review's phi.

    Returns
    -------
    (t,) float64; for a moving average (1 - b_i) prod_{j > i} b_j, for a sum without the factor 1 - b_i, for the plain
    gradient (0, ..., 0, 1).

    Examples
    --------
    >>> first_weights(rule("heavy-ball", beta1=0.5), 3).tolist()
    [0.25, 0.5, 1.0]
    """
    t, rule = _validate.positive_int("t", t), as_rule(rule)
    weights = torch.zeros(t, dtype=torch.float64, device="cpu")
    if rule.first == "gradient":
        weights[-1] = 1.0
        return weights
    betas = torch.tensor([beta1_at(rule, i) for i in range(1, t + 1)], dtype=torch.float64, device="cpu")
    return _moment_weights(betas, averaged=rule.first == "average", debias=rule.debias)


def second_weights(rule: Rule | str, t: int) -> torch.Tensor:
    """Weights of g_1^2 ... g_t^2 in the (debiased) second moment at step t: the review's psi, (t,) float64.

    Raises ``ValueError`` for ``second="one"`` and ``"max"``, which are no weighted sums of squares.

    Examples
    --------
    >>> second_weights(rule("adam", beta2=0.5), 2)  # debiased: they add up to 1
    tensor([0.3333, 0.6667], dtype=torch.float64)
    """
    t, rule = _validate.positive_int("t", t), as_rule(rule)
    if rule.second == "sum":
        return torch.ones(t, dtype=torch.float64, device="cpu")
    if rule.second != "average":
        raise ValueError(f"a second moment {rule.second!r} is no weighted sum of squared gradients")
    betas = torch.full((t,), rule.beta2, dtype=torch.float64, device="cpu")
    return _moment_weights(betas, averaged=True, debias=rule.debias)


def _moment_weights(betas: torch.Tensor, *, averaged: bool, debias: bool) -> torch.Tensor:
    """Unrolled recursion m <- b_t m + (1 - b_t or 1) g_t; ``betas`` (t,)."""
    decays = torch.cat([betas[1:], betas.new_ones(1)])
    later = torch.flip(torch.cumprod(torch.flip(decays, [0]), 0), [0])  # prod of b_j over j > i
    weights = (1 - betas) * later if averaged else later
    return weights / (1 - torch.prod(betas)) if averaged and debias else weights
