"""AdaHessian: Adam's step with the diagonal of the Hessian in place of the gradient's square (Yao et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from litrepro import _validate, runtime
from litrepro.optim._groups import known_settings, plain
from litrepro.optim.curvature._estimators import random_signs, spatial_average


class AdaHessian(torch.optim.Optimizer):
    """Adaptive steps from a Hutchinson estimate of the Hessian's diagonal (Yao et al. 2021, algorithm 1).

    With D the spatially averaged |z * Hz|, m and v the moving averages of the gradient and of D^2, each with its bias
    correction: p <- p (1 - lr weight_decay), then p <- p - lr mhat / (sqrt(vhat)^power + eps).

    Parameters
    ----------
    params
        Parameters or groups.
    lr
        Positive number; or a tensor (M,) of positive numbers for members stacked in the first dimension of every
        parameter: they train together on the sum of their losses, and the diagonal of each is averaged by itself.
    betas
        Decay of m and of v, each in [0, 1).
    eps
        Positive; what a parameter without curvature is divided by.
    weight_decay
        Decoupled, >= 0.
    power
        In [0, 1].
    block
        The diagonal is averaged over the two kernel dimensions of a 4-d parameter, and over ``block`` consecutive
        entries of any other (not where block does not divide its size); of a member's own where lr is (M,).
    update_every
        Curvature is renewed at steps 1, 1 + update_every, ...; only there does v change and count.
    samples
        Random vectors per renewal; the mean of their products is taken before the absolute value. A group with fewer
        than another takes the first of the other's.
    seed
        Of the random vectors. They depend on the seed and the step alone, and the seed is part of the state: a restored
        one continues the same run.

    Raises
    ------
    ValueError
        ``step`` without a closure, or with one that does not return a differentiable number; lr or eps <= 0, betas
        outside [0, 1), power outside [0, 1], weight_decay < 0, counts < 1; a tensor lr that does not
        fit a parameter; another setting of a group.

    Notes
    -----
    Frozen parameters and those that the loss does not use are left alone; where there is no second-order dependence
    D = 0.

    Examples
    --------
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> optimizer = AdaHessian([w], lr=1.0, eps=1e-9)
    >>> loss = optimizer.step(lambda: (torch.tensor([1.0, 100.0]) * w**2).sum() / 2)
    >>> bool(w.abs().max() < 1e-6)  # one step solves a diagonal quadratic
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float | torch.Tensor = 0.15,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-4,
        weight_decay: float = 0.0,
        power: float = 1.0,
        block: int = 1,
        update_every: int = 1,
        samples: int = 1,
        seed: int = 0,
    ):
        self.seed = _validate.seed("seed", seed)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "power": power, "block": block,
            "update_every": update_every, "samples": samples,
        }  # fmt: skip
        _check_group(defaults)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group with settings of its own; they are checked."""
        known_settings(param_group, self.defaults)
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        group.update({name: plain(group[name]) for name in self.defaults})
        try:
            _check_group(group)
            for p in group["params"]:
                _rate(group["lr"], p)
        except ValueError:
            self.param_groups.pop()
            raise

    def __getstate__(self) -> dict[str, Any]:  # of a copy; torch's own leaves the seed out
        return super().__getstate__() | {"seed": self.seed}

    def state_dict(self) -> dict[str, Any]:
        """The state of torch's optimizers, and the seed."""
        return super().state_dict() | {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state; one that holds no seed leaves the seed as it is."""
        super().load_state_dict(state_dict)
        self.seed = state_dict.get("seed", self.seed)

    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor:
        """One step; ``closure`` returns the loss and does not call ``backward``. Returns the loss."""
        if closure is None:
            raise ValueError("AdaHessian needs a closure that returns the loss: it differentiates it twice")
        pairs = [(p, group) for group in self.param_groups for p in group["params"] if p.requires_grad]
        params = [p for p, _ in pairs]
        renew = [self.state[p].get("step", 0) % group["update_every"] == 0 for p, group in pairs]
        with torch.enable_grad():
            loss = closure()
            depends = isinstance(loss, torch.Tensor) and (loss.requires_grad or not params)
            if not depends or loss.numel() != 1:
                found = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
                raise ValueError(f"closure must return one number that depends on the parameters, got {found}")
            if not params:
                return loss.detach()
            grads = list(torch.autograd.grad(loss, params, create_graph=any(renew), allow_unused=True))
        diagonals = self._diagonals(pairs, grads, renew)
        with torch.no_grad():
            for (p, group), g, diagonal in zip(pairs, grads, diagonals):
                if g is not None:
                    self._update(p, g.detach(), diagonal, group)
        return loss.detach()

    def _diagonals(self, pairs, grads, renew) -> list[torch.Tensor | None]:
        """|mean of z * Hz|, smoothed, for the parameters whose curvature is due; None for the others."""
        due = [index for index, g in enumerate(grads) if renew[index] and g is not None]
        if not due:
            return [None] * len(pairs)
        # A gradient without a graph has no derivative: zero curvature.
        curved = [index for index in due if grads[index].requires_grad]
        totals: dict[int, torch.Tensor] = {}
        samples = {index: pairs[index][1]["samples"] for index in due}
        count = max(self.state[pairs[index][0]].get("step", 0) for index in due)
        generator = runtime.stream(self.seed, count, pairs[due[0]][0].device)
        for sample in range(max(samples[index] for index in curved) if curved else 0):
            signs = [random_signs(pairs[index][0], generator) for index in curved]
            products = torch.autograd.grad(
                [grads[index] for index in curved],
                [pairs[index][0] for index in curved],
                grad_outputs=signs,
                retain_graph=True,
                materialize_grads=True,
                allow_unused=True,
            )
            for index, z, hz in zip(curved, signs, products):
                if sample < samples[index]:
                    product = z.mul_(hz)
                    totals[index] = totals[index].add_(product) if sample else product
        diagonals: list[torch.Tensor | None] = [None] * len(pairs)
        with torch.no_grad():
            for index in due:
                total = totals[index] if index in totals else torch.zeros_like(pairs[index][0])
                mean = total.div_(samples[index]) if samples[index] > 1 else total
                lr, block = pairs[index][1]["lr"], pairs[index][1]["block"]
                diagonals[index] = _smooth(mean, block, isinstance(lr, torch.Tensor) and lr.ndim > 0)
        return diagonals

    def _update(self, p: torch.Tensor, g: torch.Tensor, diagonal: torch.Tensor | None, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state.update(step=0, renewals=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        beta1, beta2 = group["betas"]
        state["step"] += 1
        state["m"].lerp_(g, 1 - beta1)
        if diagonal is not None:
            state["renewals"] += 1
            state["v"].mul_(beta2).addcmul_(diagonal, diagonal, value=1 - beta2)
        lr = _rate(group["lr"], p)
        if group["weight_decay"]:
            p.mul_(1 - lr * group["weight_decay"])
        # In place and with the bias corrections as numbers: for an ensemble of networks the cost is memory traffic.
        root = (1 - beta2 ** state["renewals"]) ** (group["power"] / 2)
        curvature = state["v"].sqrt()
        if group["power"] != 1:
            curvature.pow_(group["power"])
        rate = lr * (root / (1 - beta1 ** state["step"]))
        p.sub_(torch.mul(state["m"], rate).div_(curvature.add_(group["eps"] * root)))


def _smooth(diagonal: torch.Tensor, block: int, stacked: bool) -> torch.Tensor:
    """Averages of |diagonal| within one parameter, or within every member of a stack along the first dimension."""
    shape = diagonal.shape[int(stacked) :]
    if len(shape) == 4:
        return diagonal.abs().mean((-2, -1), keepdim=True).expand_as(diagonal)
    if block > 1 and math.prod(shape) % block == 0:
        return spatial_average(diagonal.flatten(int(stacked)), block).view_as(diagonal)
    return diagonal.abs_()


def _rate(lr: float | torch.Tensor, p: torch.Tensor) -> float | torch.Tensor:
    """A number as it is; one rate per member as a tensor that broadcasts against p."""
    if not isinstance(lr, torch.Tensor) or lr.ndim == 0:
        return lr
    if lr.ndim != 1 or p.ndim < 1 or p.shape[0] != len(lr):
        raise ValueError(f"lr must be a number or one per member, got {tuple(lr.shape)} for {tuple(p.shape)}")
    return lr.to(p).reshape(-1, *(1,) * (p.ndim - 1))


def _check_group(group: dict[str, Any]) -> None:
    lr = group["lr"]
    if isinstance(lr, torch.Tensor) and lr.ndim > 0:
        if lr.is_complex() or not bool((torch.isfinite(lr) & (lr > 0)).all()):
            raise ValueError(f"lr must be real, positive and finite, got {lr}")
    else:
        _validate.real("lr", lr, 0, open_low=True)
    betas = group["betas"]
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ValueError(f"betas must be two numbers in [0, 1), got {betas!r}")
    for beta in betas:
        _validate.real("betas", beta, 0, 1, open_high=True)
    _validate.real("eps", group["eps"], 0, open_low=True)
    _validate.real("weight_decay", group["weight_decay"], 0)
    _validate.real("power", group["power"], 0, 1)
    for name in ("block", "update_every", "samples"):
        _validate.positive_int(name, group[name])
