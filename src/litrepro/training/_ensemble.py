"""An ensemble: one module, stacked parameters and buffers, and the ways to run all members at once."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call, vmap

from litrepro.nets._structure import check_one_structure
from litrepro.training._evaluate import has_convolutions
from litrepro.training._modules import put_values

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
        """Outputs (M, B, K) in eval mode for x (B, ...), or for (M, B, ...) with ``per_member``.

        Raises ``ValueError`` for ``per_member`` data of another number of members.
        """
        if per_member and x.shape[:1] != (len(self),):
            raise ValueError(f"x must have a leading dimension {len(self)} with per_member, got {tuple(x.shape)}")
        run = runner(self.module, vectorize=None)
        return run(self.params, self.buffers, lambda model, inputs: model(inputs), (x,), (0 if per_member else None,))

    def member(self, m: int) -> nn.Module:
        """A module of its own with the weights of member m, in eval mode, frozen parameters frozen."""
        if not -len(self) <= m < len(self):
            raise IndexError(f"member must be in 0..{len(self) - 1}, got {m}")
        model = copy.deepcopy(self.module)
        put_values(model, {name: value[m] for name, value in (self.params | self.buffers).items()})
        return model.to(next(iter(self.params.values())).device).eval()


def stack_members(models: Sequence[nn.Module], device: torch.device) -> tuple[nn.Module, Stack, Stack]:
    """(structure, parameters (M, ...), buffers (M, ...)); parameters that are trained are leaves that need gradients.

    Raises ``ValueError`` if the members differ in their modules, as these describe themselves, or in names, shapes or
    what is frozen.
    """
    first = models[0]
    check_one_structure("model_fn must build models", models)
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


class _Call(nn.Module):
    """A function of a module and more, as a module: what ``functional_call`` can give other weights.

    Beside the result it returns the buffers that the call has replaced, by name: ``functional_call`` puts the old ones
    back, and a model that writes ``self.mean = ...`` would never see what it has written.
    """

    def __init__(self, model: nn.Module, function: Callable[..., Any], buffers: Stack):
        super().__init__()
        self.model, self.function = model, function
        paths = [(name, *name.rpartition(".")[::2]) for name in buffers]
        self._places = [(name, model.get_submodule(owner), leaf) for name, owner, leaf in paths]

    def forward(self, *args):
        before = [getattr(owner, leaf) for _, owner, leaf in self._places]
        result = self.function(self.model, *args)
        now = [(name, getattr(owner, leaf)) for name, owner, leaf in self._places]
        return result, {name: new.detach() for (name, new), old in zip(now, before) if _other(new, old)}


def _other(new: Any, old: Any) -> bool:
    return new is not old and isinstance(new, torch.Tensor)


def _prefixed(stack: Stack) -> Stack:
    return {f"model.{name}": value for name, value in stack.items()}


def run_vectorized(model, params: Stack, buffers: Stack, function, args: tuple, in_dims: tuple) -> torch.Tensor:
    """``function(model, *args)`` for all members under one ``vmap``; results stacked in front.

    Buffers that the model replaces are replaced in ``buffers``. Raises ``ValueError`` where ``vmap`` cannot run it.
    """
    call = _Call(model, function, buffers)

    def one(weights, states, *rest):
        return functional_call(call, (weights, states), rest)

    dims = (0, 0 if buffers else None, *in_dims)
    try:
        results, changed = vmap(one, in_dims=dims, randomness="different")(_prefixed(params), _prefixed(buffers), *args)
    except (RuntimeError, ValueError) as error:
        if not _about_vmap(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"vmap must be able to run the model; vectorize=False does without it. Got: {reason}"
        ) from error
    buffers.update({name: value.contiguous() for name, value in changed.items()})
    return results


def _about_vmap(error: Exception) -> bool:
    return any(word in str(error) for word in ("vmap", "atching rule", "functorch"))


class LoopRunner:
    """The same, member after member: faster for convolutions on a CPU, and every member has its own dropout masks.

    ``seeds`` (optional) are those of the masks: a member draws what it would draw alone.
    """

    def __init__(self, seeds: Sequence[int] | None = None, device: torch.device | None = None):
        self._states = None if seeds is None else [_seeded_state(device, seed) for seed in seeds]
        self._device = device

    def __call__(self, model, params: Stack, buffers: Stack, function, args: tuple, in_dims: tuple) -> torch.Tensor:
        call = _Call(model, function, buffers)
        # unbind once: its backward is one stack, where indexing would write one full-size gradient per member.
        weights = {name: value.unbind(0) for name, value in _prefixed(params).items()}
        states = _prefixed(buffers)
        results, changed = [], []
        for m in range(len(next(iter(weights.values())))):
            stack = {name: value[m] for name, value in weights.items()}
            stack |= {name: value[m] for name, value in states.items()}
            own = [_member(arg, m) if dim == 0 else arg for arg, dim in zip(args, in_dims)]
            if self._states is not None:
                _set_state(self._device, self._states[m])
            result, replaced = functional_call(call, stack, tuple(own))
            results.append(result)
            changed.append(replaced)
            if self._states is not None:
                self._states[m] = random_state(self._device)
        for name in dict.fromkeys(name for replaced in changed for name in replaced):
            buffers[name] = torch.stack([new.get(name, old) for new, old in zip(changed, buffers[name])])
        return torch.stack(results)


def runner(model: nn.Module, *, vectorize: bool | None, device: torch.device | None = None) -> Callable[..., Any]:
    """``run(params, buffers, function, args, in_dims)``, vectorized or looping; None: what is faster and possible."""
    if vectorize is None and slow_under_vmap(model, device or next(model.parameters()).device):
        vectorize = False
    chosen = LoopRunner() if vectorize is False else run_vectorized if vectorize else _Either()
    return lambda *args: chosen(model, *args)


class _Either:
    """Vectorized; a loop from the first call on that ``vmap`` cannot run. For evaluation, which leaves no traces."""

    def __init__(self) -> None:
        self._run: Callable[..., torch.Tensor] = run_vectorized

    def __call__(self, *args) -> torch.Tensor:
        try:
            return self._run(*args)
        except ValueError as error:
            if self._run is not run_vectorized or not _about_vmap(error):
                raise
            self._run = LoopRunner()
            return self._run(*args)


def slow_under_vmap(model: nn.Module, device: torch.device) -> bool:
    """Convolutions on a CPU, which become grouped ones."""
    return device.type == "cpu" and has_convolutions(model)


def draws_masks(model: nn.Module) -> bool:
    """Whether some layer is known to draw random numbers in training: dropout, also within other layers, and RReLU."""
    for module in model.modules():
        rate = module.p if isinstance(module, nn.modules.dropout._DropoutNd) else getattr(module, "dropout", None)
        if isinstance(module, nn.RReLU) or (isinstance(rate, float) and rate > 0):
            return True
    return False


def needs_loop(model: nn.Module, params: Stack, buffers: Stack, function, args: tuple, in_dims: tuple) -> bool:
    """Whether ``vmap`` cannot run the function, or it draws from the global generators, from which all members would
    draw together. Tried on the first member, on copies of the model and its buffers; where a loop fails too, False.
    """
    model = copy.deepcopy(model)
    params = {name: value[:1] for name, value in params.items()}
    args = tuple(_first(arg) if dim == 0 else arg for arg, dim in zip(args, in_dims))
    device = next(iter(params.values())).device

    def runs(run: Callable) -> bool:
        try:
            run(model, params, {name: value[:1].clone() for name, value in buffers.items()}, function, args, in_dims)
        except Exception:  # whatever is wrong with the model or the data is said where it is used
            return False
        return True

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        before = random_state(device)
        if not runs(LoopRunner()):
            return False
        return not torch.equal(before, random_state(device)) or not runs(run_vectorized)


def _first(arg):
    """The first member, its dimension kept, of what ``_member`` takes."""
    if isinstance(arg, dict):
        return {name: value[:1] for name, value in arg.items()}
    return tuple(part[:1] for part in arg) if isinstance(arg, tuple) else arg[:1]


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


def random_state(device: torch.device) -> torch.Tensor:
    """Of the global generator of a device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.default_generator.get_state()
