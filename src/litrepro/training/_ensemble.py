"""An ensemble: one module, stacked parameters and buffers, and the ways to run all members at once."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call, vmap

from litrepro.training._evaluate import has_convolutions

if TYPE_CHECKING:
    import pandas as pd

Stack = dict[str, torch.Tensor]


@dataclasses.dataclass
class Ensemble:
    """M trained networks of one shape.

    Attributes
    ----------
    module
        The common structure, in eval mode; its own weights are meaningless.
    params, buffers
        By name, (M, ...), without gradients.
    history
        Tidy table of the training, None before its end.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import mlp
    >>> from litrepro.training import fit_ensemble
    >>> x, y = torch.zeros(8, 3), torch.zeros(8, dtype=torch.int64)
    >>> ensemble = fit_ensemble(lambda seed: mlp(3, (4,), 2, seed=seed), [0, 1, 2], (x, y), epochs=1)
    >>> ensemble.params["head.weight"].shape, sorted(ensemble.history["member"].unique().tolist())
    (torch.Size([3, 2, 4]), [0, 1, 2])
    """

    module: nn.Module
    params: Stack
    buffers: Stack
    history: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(next(iter(self.params.values())))

    def __call__(self, x: torch.Tensor, *, per_member: bool = False) -> torch.Tensor:
        """Outputs (M, B, K) in eval mode for x (B, ...), or for (M, B, ...) with ``per_member``."""
        run = runner(self.module, vectorize=None)
        return run(self.params, self.buffers, lambda model, inputs: model(inputs), (x,), (0 if per_member else None,))

    def member(self, m: int) -> nn.Module:
        """A module of its own with the weights of member m, in eval mode, frozen parameters frozen."""
        if not -len(self) <= m < len(self):
            raise IndexError(f"member must be in 0..{len(self) - 1}, got {m}")
        model = copy.deepcopy(self.module)
        state = {name: value[m] for name, value in (self.params | self.buffers).items()}
        model.load_state_dict(state, strict=False)
        return model.to(next(iter(self.params.values())).device).eval()


def stack_members(models: Sequence[nn.Module], device: torch.device) -> tuple[nn.Module, Stack, Stack]:
    """(structure, parameters (M, ...), buffers (M, ...)); parameters that are trained are leaves that need gradients.

    Raises ``ValueError`` if the members differ in their modules, as these describe themselves, or in names, shapes or
    what is frozen.
    """
    first = models[0]
    layout, described = _layout(first), _description(first)
    for model in models[1:]:
        if _layout(model) != layout:
            raise ValueError("model_fn must build models of one structure: names, shapes and frozen parameters differ")
        for line, other in itertools.zip_longest(described, _description(model)):
            if line != other:
                raise ValueError(f"model_fn must build models of one structure, got {other} beside {line}")
    with torch.no_grad():
        params = {
            name: torch.stack([model.get_parameter(name).detach() for model in models]).to(device)
            for name, _ in first.named_parameters()
        }
        buffers = {
            name: torch.stack([model.get_buffer(name).detach() for model in models]).to(device)
            for name, _ in first.named_buffers()
        }
    for name, parameter in first.named_parameters():
        params[name].requires_grad_(parameter.requires_grad)
    return copy.deepcopy(first).to(device), params, buffers


def _layout(model: nn.Module) -> list[tuple]:
    """Names and shapes of parameters and buffers, and what is trained."""
    return [
        (name, value.shape, value.requires_grad) for name, value in (*model.named_parameters(), *model.named_buffers())
    ]


def _description(model: nn.Module) -> list[str]:
    """The modules and their settings, in lines; of a function among these the name, not where it lies in memory."""
    return [line.strip() for line in re.sub(r" at 0x[0-9a-fA-F]+", "", repr(model)).splitlines()]


class _Call(nn.Module):
    """A function of a module and more, as a module: what ``functional_call`` can give other weights."""

    def __init__(self, model: nn.Module, function: Callable[..., Any]):
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *args):
        return self.function(self.model, *args)


def _prefixed(stack: Stack) -> Stack:
    return {f"model.{name}": value for name, value in stack.items()}


def run_vectorized(model, params: Stack, buffers: Stack, function, args: tuple, in_dims: tuple) -> torch.Tensor:
    """``function(model, *args)`` for all members under one ``vmap``; results stacked in front."""
    call = _Call(model, function)

    def one(weights, states, *rest):
        return functional_call(call, (weights, states), rest)

    dims = (0, 0 if buffers else None, *in_dims)
    return vmap(one, in_dims=dims, randomness="different")(_prefixed(params), _prefixed(buffers), *args)


class LoopRunner:
    """The same, member after member: faster for convolutions on a CPU, and every member has its own dropout masks.

    ``seeds`` (optional) are those of the masks: a member draws what it would draw alone.
    """

    def __init__(self, seeds: Sequence[int] | None = None, device: torch.device | None = None):
        self._states = None if seeds is None else [_seeded_state(device, seed) for seed in seeds]
        self._device = device

    def __call__(self, model, params: Stack, buffers: Stack, function, args: tuple, in_dims: tuple) -> torch.Tensor:
        call = _Call(model, function)
        # unbind once: its backward is one stack, where indexing would write one full-size gradient per member.
        weights = {name: value.unbind(0) for name, value in _prefixed(params).items()}
        states = _prefixed(buffers)
        results = []
        for m in range(len(next(iter(weights.values())))):
            stack = {name: value[m] for name, value in weights.items()}
            stack |= {name: value[m] for name, value in states.items()}
            own = [_member(arg, m) if dim == 0 else arg for arg, dim in zip(args, in_dims)]
            if self._states is not None:
                _set_state(self._device, self._states[m])
            results.append(functional_call(call, stack, tuple(own)))
            if self._states is not None:
                self._states[m] = _get_state(self._device)
        return torch.stack(results)


def runner(
    model: nn.Module, *, vectorize: bool | None, seeds: Sequence[int] | None = None, device: torch.device | None = None
) -> Callable[..., torch.Tensor]:
    """``run(params, buffers, function, args, in_dims)``, vectorized or looping; None: what is faster and exact."""
    if vectorize is None:
        where = device or next(model.parameters()).device
        slow = where.type == "cpu" and has_convolutions(model)
        vectorize = not slow and (seeds is None or not draws_masks(model))
    chosen = run_vectorized if vectorize else LoopRunner(seeds if draws_masks(model) else None, device)
    return lambda *args: chosen(model, *args)


def draws_masks(model: nn.Module) -> bool:
    """Whether the model has active dropout."""
    return any(isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0 for module in model.modules())


def _member(arg, m: int):
    """Member m of a tensor, or of every tensor of a tuple, a list or a dictionary; a list's other items as they are."""
    if isinstance(arg, dict):
        return {name: value[m] for name, value in arg.items()}
    return tuple(part[m] for part in arg) if isinstance(arg, tuple) else arg[m]


def _seeded_state(device: torch.device, seed: int) -> torch.Tensor:
    return torch.Generator(device).manual_seed(seed).get_state()


def _set_state(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.default_generator.set_state(state)


def _get_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.default_generator.get_state()
