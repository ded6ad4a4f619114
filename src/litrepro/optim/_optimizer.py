"""``Uniform``: every member of the uniform framework as a ``torch.optim.Optimizer``, ensembles included."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from litrepro import _validate
from litrepro.optim._groups import known_settings, plain
from litrepro.optim._rules import Rule, as_rule, beta1_at
from litrepro.optim._steps import expand_lr, start, step_


class Uniform(torch.optim.Optimizer):
    """A member of the uniform framework for the parameters of a module, or of an ensemble of modules.

    Parameters
    ----------
    params
        Parameters or parameter groups; a group may have its own ``lr`` and ``rule``, and no other setting.
    rule
        A ``Rule`` or its name, with ``overrides`` of its fields.
    lr
        Positive number, or a tensor of at most ``batch_dims`` dimensions that broadcasts against the leading dimensions
        of every parameter: one step size per trial of an ensemble whose parameters are ``(trials, ...)``. A schedule
        may take it to 0.
    batch_dims
        Number of leading dimensions of every parameter that count trials.

    Raises
    ------
    ValueError
        What ``rule`` raises; a step size that is not positive, not finite or does not fit a parameter; another
        setting of a group; a look-ahead rule stepped without a closure.

    Notes
    -----
    Look-ahead rules move the parameters to zeta, run the closure, and move back. Parameters without gradient are
    skipped and keep their own step count.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.tensor([4.0, -4.0]))
    >>> optimizer = Uniform([w], "adam", lr=1.0)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> w.detach().round()  # Adam's first step is lr times the sign
    tensor([ 3., -3.])
    """

    def __init__(
        self,
        params: Any,
        rule: Rule | str = "sgd",
        lr: float | torch.Tensor = 1e-3,
        *,
        batch_dims: int = 0,
        **overrides: Any,
    ):
        self.batch_dims = _validate.positive_int("batch_dims", batch_dims, 0)
        defaults = {"lr": lr, "rule": dataclasses.asdict(as_rule(rule, **overrides))}
        super().__init__(params, defaults)

    def __getstate__(self) -> dict[str, Any]:  # of a copy; torch's own leaves out what is ours
        return super().__getstate__() | {"batch_dims": self.batch_dims}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; its rule may be a ``Rule`` or a name. Step sizes are checked against every parameter."""
        known_settings(param_group, ("lr", "rule"), " (with the rule's fields in it)")
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            if not isinstance(group["rule"], dict):  # plain fields, so that a saved state needs no pickled class
                group["rule"] = dataclasses.asdict(as_rule(group["rule"]))
            group["rule"] = {name: plain(value) for name, value in group["rule"].items()}
            group["lr"] = plain(group["lr"])
            for parameter in group["params"]:
                expand_lr(group["lr"], parameter, self.batch_dims)
        except ValueError:
            self.param_groups.pop()
            raise

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step for every parameter with a gradient; ``closure`` is called once and its value returned."""
        rules = [Rule(**group["rule"]) for group in self.param_groups]
        if closure is None and any(rule.lookahead for rule in rules):
            raise ValueError("a look-ahead rule needs a closure: its gradient is taken at another point")
        value = None
        if closure is not None:
            moved = self._move_ahead(rules)
            try:
                with torch.enable_grad():
                    value = closure()
            finally:
                with torch.no_grad():
                    for parameter, original in moved:
                        parameter.copy_(original)
        for group, rule in zip(self.param_groups, rules):
            self._step_group(group, rule)
        return value

    @torch.no_grad()
    def _move_ahead(self, rules: list[Rule]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Move the parameters of look-ahead groups to zeta; returns them with their original values."""
        moved = []
        for group, rule in zip(self.param_groups, rules):
            for parameter in group["params"] if rule.lookahead else ():
                state = self.state.get(parameter, {})
                if "m" not in state or not parameter.requires_grad:
                    continue
                moved.append((parameter, parameter.clone()))
                step_size = expand_lr(group["lr"], parameter, self.batch_dims, check=False)
                shift = state["m"] * (beta1_at(rule, state["t"] + 1))
                parameter.sub_(shift.mul_(step_size))
        return moved

    def _step_group(self, group: dict[str, Any], rule: Rule) -> None:
        """Step the parameters of a group together, those at the same step count in one go."""
        at_step: dict[tuple[int, torch.dtype, torch.device], list[torch.Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            if parameter.grad.is_sparse:
                raise ValueError("Uniform does not support sparse gradients")
            state = self.state[parameter]
            if not state:
                state.update(start(rule, parameter.detach()))
            at_step.setdefault((state["t"], parameter.dtype, parameter.device), []).append(parameter)
        for parameters in at_step.values():
            step_sizes = [expand_lr(group["lr"], parameter, self.batch_dims, check=False) for parameter in parameters]
            data = [parameter.detach() for parameter in parameters]
            gradients = [parameter.grad for parameter in parameters]
            step_(data, gradients, [self.state[parameter] for parameter in parameters], rule, step_sizes)
