"""SGD and Adam with optimism and with negative momentum, which torch's own optimizers refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from litrepro import _validate
from litrepro.optim._groups import known_settings


class GameSGD(torch.optim.Optimizer):
    """Stochastic gradient descent with optimism and momentum of either sign.

    ``g~ = (1 + k) g_t - k g_{t-1}`` with ``g_0 = g_1``, ``b <- momentum b + g~``, ``p <- p - lr b``.

    Parameters
    ----------
    params
        As for any optimizer of torch; a group may have options of its own.
    lr
        Step size > 0.
    momentum
        In (-1, 1); Gidel et al. 2019 use -0.5.
    optimism
        k; 1 is optimistic gradient descent (Daskalakis et al. 2017), 0 plain.

    Raises
    ------
    ValueError
        A step size that is not positive, momentum outside (-1, 1), optimism that is not finite, of all parameters or of
        a group; another setting of a group.

    Examples
    --------
    >>> import torch
    >>> p = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = GameSGD([p], lr=0.1, momentum=-0.5)
    >>> (p.square().sum() / 2).backward()
    >>> optimizer.step()
    >>> round(p.item(), 4)
    0.9
    """

    def __init__(self, params: Any, lr: float, momentum: float = 0.0, optimism: float = 0.0):
        super().__init__(params, self._checked({"lr": lr, "momentum": momentum, "optimism": optimism}))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Parameters with options of their own, which are checked like those of all."""
        known_settings(param_group, self.defaults)
        super().add_param_group({**param_group, **self._checked({**self.defaults, **param_group})})

    @staticmethod
    def _checked(options: dict[str, Any]) -> dict[str, Any]:
        return {
            "lr": _validate.real("lr", options["lr"], 0, open_low=True),
            "momentum": _validate.real("momentum", options["momentum"], -1, 1, open_low=True, open_high=True),
            "optimism": _validate.real("optimism", options["optimism"]),
        }

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step for every parameter that has a gradient; returns what ``closure`` returns."""
        loss = _evaluate(closure)
        for group in self.param_groups:
            k = group["optimism"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                gradient = p.grad.clone()
                predicted = gradient + k * (gradient - state.get("gradient", gradient)) if k else gradient
                if group["momentum"]:
                    predicted = state.get("buffer", torch.zeros_like(p)) * group["momentum"] + predicted
                    state["buffer"] = predicted
                if k:
                    state["gradient"] = gradient
                p.sub_(predicted, alpha=group["lr"])
        return loss


class GameAdam(torch.optim.Optimizer):
    """Adam with optimism and with a first moment of either sign.

    ``d_t = mhat_t/(sqrt(vhat_t) + eps)``, ``p <- p - lr ((1 + k) d_t - k d_{t-1})``, ``d_0 = 0``.

    Parameters
    ----------
    params
        As for any optimizer of torch; a group may have options of its own. Of complex ones the real and the imaginary
        parts are parameters of their own, as in ``torch.optim.Adam``.
    lr
        Step size > 0.
    betas
        Decay of the two moments, in (-1, 1) and [0, 1); a negative first one is Adam with negative momentum (Gidel et
        al. 2019).
    eps
        Added to the root, > 0.
    optimism
        k: 0 with a non-negative beta_1 is ``torch.optim.Adam``, 1 is Optimistic Adam (Daskalakis et al. 2017, algorithm
        1).

    Raises
    ------
    ValueError
        A step size or eps that is not positive, betas out of range, optimism that is not finite, of all parameters or
        of a group; another setting of a group.

    Examples
    --------
    >>> import torch
    >>> p = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = GameAdam([p], lr=0.1, betas=(-0.5, 0.999), optimism=1.0)
    >>> (p.square().sum() / 2).backward()
    >>> optimizer.step()
    >>> round(p.item(), 4)  # the first step is 2 lr
    0.8
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        optimism: float = 0.0,
    ):
        super().__init__(params, self._checked({"lr": lr, "betas": betas, "eps": eps, "optimism": optimism}))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Parameters with options of their own, which are checked like those of all."""
        known_settings(param_group, self.defaults)
        super().add_param_group({**param_group, **self._checked({**self.defaults, **param_group})})

    @staticmethod
    def _checked(options: dict[str, Any]) -> dict[str, Any]:
        betas = options["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ValueError(f"betas must be a pair of numbers, got {betas!r}")
        return {
            "lr": _validate.real("lr", options["lr"], 0, open_low=True),
            "betas": (
                _validate.real("betas[0]", betas[0], -1, 1, open_low=True, open_high=True),
                _validate.real("betas[1]", betas[1], 0, 1, open_high=True),
            ),
            "eps": _validate.real("eps", options["eps"], 0, open_low=True),
            "optimism": _validate.real("optimism", options["optimism"]),
        }

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step for every parameter that has a gradient; returns what ``closure`` returns."""
        loss = _evaluate(closure)
        for group in self.param_groups:
            (beta1, beta2), k = group["betas"], group["optimism"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                x, g = (torch.view_as_real(p), torch.view_as_real(p.grad)) if p.is_complex() else (p, p.grad)
                state = self.state[p]
                if not state:
                    state.update(step=0, first=torch.zeros_like(x), second=torch.zeros_like(x))
                    state["direction"] = torch.zeros_like(x)
                state["step"] += 1
                state["first"].mul_(beta1).add_(g, alpha=1 - beta1)
                state["second"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
                first = state["first"] / (1 - beta1 ** state["step"])
                direction = first / ((state["second"] / (1 - beta2 ** state["step"])).sqrt() + group["eps"])
                x.sub_((1 + k) * direction - k * state["direction"], alpha=group["lr"])
                state["direction"] = direction
        return loss


def _evaluate(closure: Callable[[], Any] | None) -> Any:
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
