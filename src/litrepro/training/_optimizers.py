"""Optimizers by name, and their versions with one step size per member of an ensemble."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch

from litrepro import _validate

Hyper = float | torch.Tensor
OPTIMIZERS = ("sgd", "adam")


def check_optimizer(optimizer: str | Callable) -> None:
    """A name of ``OPTIMIZERS`` or a function of the parameters."""
    if not callable(optimizer):
        _validate.choice("optimizer", optimizer, OPTIMIZERS)


def hyperparameter(name: str, value, members: int) -> Hyper:
    """A number >= 0, or one per member: (M,) float64; M equal ones become a number.

    Raises ``ValueError`` for negative or non-finite values and another length than M.
    """
    if not hasattr(value, "__len__") or isinstance(value, str) or getattr(value, "ndim", None) == 0:
        return _validate.real(name, value, 0)
    values = [_validate.real(name, item, 0) for item in (value.tolist() if isinstance(value, torch.Tensor) else value)]
    if len(values) != members:
        raise ValueError(f"{name} must be a number or have one value per member ({members}), got {len(values)}")
    return values[0] if len(set(values)) == 1 else torch.tensor(values, dtype=torch.float64, device="cpu")


def make_optimizer(
    optimizer: str | Callable,
    params: Sequence[torch.Tensor],
    lr: Hyper,
    momentum: Hyper,
    weight_decay: Hyper,
    sparse: bool = False,
) -> torch.optim.Optimizer:
    """torch's optimizer where the hyperparameters are numbers, a stacked one where a member has its own.

    ``sparse`` says that some gradients are, which torch's fused steps do not take.
    """
    params = list(params)
    if not params:
        raise ValueError("the model must have at least one trainable parameter, got none")
    if callable(optimizer):
        return _check_stepper(optimizer(params))
    if sparse and optimizer == "adam":
        raise ValueError(
            'optimizer must be "sgd" or a rule for sparse gradients, got "adam" and nn.Embedding(sparse=True)'
        )
    hypers = {"lr": lr, "weight_decay": weight_decay} | ({"momentum": momentum} if optimizer == "sgd" else {})
    if any(isinstance(value, torch.Tensor) for value in hypers.values()):
        device = params[0].device
        hypers = {name: torch.as_tensor(value, dtype=torch.float64, device=device) for name, value in hypers.items()}
        return (MemberSGD if optimizer == "sgd" else MemberAdam)(params, **hypers)
    fused = not sparse and all(p.device.type in ("cpu", "cuda") and p.dtype.is_floating_point for p in params)
    return (torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam)(params, **hypers, fused=fused)


def _check_stepper(stepper: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """An optimizer whose step takes the gradients as they are; one that wants to compute them again is refused."""
    _validate.instance("what optimizer returns", stepper, torch.optim.Optimizer)
    try:
        inspect.signature(stepper.step).bind()
        needs = _asks_for_closure(stepper)
    except TypeError:
        needs = True
    if needs:
        name = type(stepper).__name__
        raise ValueError(f"optimizer must step without a closure, got {name}, whose step needs one")
    return stepper


def _asks_for_closure(stepper: torch.optim.Optimizer) -> bool:
    """Whether it is one of this library's that needs a closure, though its signature lets that be left out."""
    if not any(kind.__module__.startswith("litrepro.optim") for kind in type(stepper).__mro__):
        return False
    from litrepro.optim import AdaHessian, Rule, Uniform

    looks_ahead = isinstance(stepper, Uniform) and any(
        Rule(**group["rule"]).lookahead for group in stepper.param_groups
    )
    return looks_ahead or isinstance(stepper, AdaHessian)


def per_member(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(M,) or () to a shape that broadcasts over stacked parameters (M, ...)."""
    value = value.to(like.dtype)
    return value.reshape(-1, *(1,) * (like.ndim - 1)) if value.ndim else value


class MemberSGD(torch.optim.Optimizer):
    """``torch.optim.SGD`` on stacked parameters (M, ...) with lr, momentum and weight decay (M,) or ()."""

    def __init__(self, params, lr: torch.Tensor, momentum: torch.Tensor, weight_decay: torch.Tensor):
        self._decays, self._moves = bool(weight_decay.any()), bool(momentum.any())
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                direction = p.grad
                if self._decays:
                    direction = direction.addcmul(p, per_member(group["weight_decay"], p))
                if self._moves:
                    state = self.state[p]
                    buffer = state.setdefault("buffer", torch.zeros_like(p))
                    direction = buffer.mul_(per_member(group["momentum"], p)).add_(direction)
                p.addcmul_(direction, per_member(group["lr"], p), value=-1)


class MemberAdam(torch.optim.Optimizer):
    """``torch.optim.Adam`` (betas 0.9, 0.999, eps 1e-8) on stacked parameters with lr and weight decay (M,) or ()."""

    def __init__(self, params, lr: torch.Tensor, weight_decay: torch.Tensor):
        self._decays = bool(weight_decay.any())
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                gradient = p.grad
                if self._decays:
                    gradient = gradient.addcmul(p, per_member(group["weight_decay"], p))
                state = self.state[p]
                if not state:
                    state.update(count=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
                state["count"] += 1
                state["mean"].lerp_(gradient, 0.1)
                state["square"].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                root = state["square"].sqrt().div_((1 - 0.999 ** state["count"]) ** 0.5).add_(1e-8)
                direction = state["mean"].div(1 - 0.9 ** state["count"]).div_(root)
                p.addcmul_(direction, per_member(group["lr"], p), value=-1)


class Scheduled:
    """Step sizes of an optimizer that follow a schedule: the group's own value times the factor."""

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: Callable[[float], float] | None):
        self._optimizer, self._schedule = optimizer, schedule
        self._base = [group.get("lr") for group in optimizer.param_groups]

    def set(self, t: float) -> None:
        """Set every group's step size for the fraction t of the training."""
        if self._schedule is None:
            return
        factor = float(self._schedule(t))
        for group, base in zip(self._optimizer.param_groups, self._base):
            if isinstance(group.get("lr"), torch.Tensor) and not isinstance(base, torch.Tensor):
                group["lr"].fill_(base * factor)  # a recorded step reads this very tensor
            elif base is not None:
                group["lr"] = base * factor
