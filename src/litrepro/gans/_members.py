"""Stacked players: one flat vector of parameters per member, networks that read it, optimizers that move all rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import nn

from litrepro import _validate
from litrepro.gans._variant import Variant
from litrepro.nets._seeded import build_seeded

EPS = 1e-8  # of Adam
BLOCK = 65_536  # parameters


class Player:
    """A network as a function of a flat vector of parameters."""

    def __init__(self, make: Callable[[], nn.Module], seeds: Sequence[int], device: torch.device):
        if isinstance(make, nn.Module):
            raise ValueError(f"a player must be a function that makes a module, got a module, {type(make).__name__}")
        members = [build_seeded(_validate.function("a player", make), seed) for seed in seeds]
        strange = [type(member).__name__ for member in members if not isinstance(member, nn.Module)]
        if strange:
            raise ValueError(f"a player must be made as a torch module, got {strange[0]}")
        members = [member.to(device) for member in members]
        stacked, self.buffers = torch.func.stack_module_state(members)
        if self.buffers:
            raise ValueError(f"networks must have no buffers, got {', '.join(self.buffers)}; see track_running_stats")
        self.module = members[0]
        self.latent = getattr(members[0], "latent", None)
        self.shapes = {name: value.shape[1:] for name, value in stacked.items()}
        rows = [value.detach().reshape(len(value), value[0].numel()) for value in stacked.values()]
        self.initial = torch.cat(rows, 1)

    def __call__(self, flat: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Output of the network with parameters flat (P,), or the outputs for several inputs.

        Each input is a batch of its own, and flat is taken apart once: so are its gradients put together once.
        """
        pieces = flat.split([math.prod(shape) for shape in self.shapes.values()])
        values = {name: piece.reshape(shape) for (name, shape), piece in zip(self.shapes.items(), pieces)}
        outputs = tuple(torch.func.functional_call(self.module, values, (x,)) for x in inputs)
        return outputs[0] if len(outputs) == 1 else outputs


class Stepper:
    """GameAdam on the first rows of a matrix of parameters (members, P), GameSGD on the rest; hyperparameters per row.

    Members that follow Adam come first. On a CPU a few members move at a time, so that their moments stay in its cache
    from one operation to the next.
    """

    def __init__(self, variants: Sequence[Variant], like: torch.Tensor):
        def column(values):
            return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]

        self.lr, self.beta1 = column([v.lr for v in variants]), column([v.beta1 for v in variants])
        self.beta2, self.k = column([v.beta2 for v in variants]), column([v.optimism for v in variants])
        self.rest1, self.rest2 = 1 - self.beta1, 1 - self.beta2
        self.optimism = [v.optimism for v in variants]
        self.adams = sum(v.optimizer == "adam" for v in variants)
        if any(v.optimizer == "adam" for v in variants[self.adams :]):
            raise ValueError("members that follow Adam must come first")
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like[: self.adams])
        self.previous = torch.zeros_like(like) if any(self.optimism) else None
        self.count = 0
        # The count where a recorded step can read and raise it.
        self.clock = torch.zeros((), dtype=like.dtype, device=like.device) if like.is_cuda else None

    def move(self, parameters: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """The parameters after a step."""
        self.count += 1
        count = self.count if self.clock is None else self.clock.add_(1)
        moved = torch.empty_like(parameters)
        members, width = parameters.shape
        size = members if parameters.is_cuda else max(1, BLOCK // width)
        if self.adams:
            root = (1 - self.beta2**count).sqrt()
            corrections = root, EPS * root, root / (1 - self.beta1**count)
        for low, high, adam in ((0, self.adams, True), (self.adams, members, False)):
            for start in range(low, high, size):
                rows = slice(start, min(start + size, high))
                of_rows = parameters[rows], gradient[rows], moved[rows]
                if adam:
                    self._adam(rows, *of_rows, *(value[rows] for value in corrections[1:]))
                else:
                    self._sgd(rows, *of_rows)
        return moved

    def state(self) -> dict[str, Any]:
        """All that a later ``load`` needs."""
        if self.clock is not None:
            self.count = int(self.clock)  # a replayed step does not pass here
        names = ("first", "second", "previous", "count")
        return {name: getattr(self, name) for name in names}

    def load(self, state: dict[str, Any]) -> None:
        """Put a saved state back."""
        for name, value in state.items():
            setattr(self, name, value.to(self.lr.device) if isinstance(value, torch.Tensor) else value)
        if self.clock is not None:
            self.clock.fill_(self.count)

    def _sgd(self, rows: slice, old: torch.Tensor, gradient: torch.Tensor, moved: torch.Tensor) -> None:
        """Write the moved parameters of some members."""
        predicted = gradient
        if any(self.optimism[rows]):
            if self.count > 1:
                predicted = gradient + self.k[rows] * (gradient - self.previous[rows])
            self.previous[rows] = gradient
        first = self.first[rows].mul_(self.beta1[rows]).add_(predicted)
        torch.sub(old, self.lr[rows] * first, out=moved)

    def _adam(
        self,
        rows: slice,
        old: torch.Tensor,
        gradient: torch.Tensor,
        moved: torch.Tensor,
        eps: torch.Tensor,
        step: torch.Tensor,
    ) -> None:
        """Write the moved parameters of some members; the corrections of both moments are in the step size and eps."""
        first = self.first[rows].lerp_(gradient, self.rest1[rows])
        second = self.second[rows].lerp_(gradient.square(), self.rest2[rows])
        ahead = direction = (first / second.sqrt().add_(eps)).mul_(step)
        if any(self.optimism[rows]):
            ahead = torch.addcmul(direction, direction - self.previous[rows], self.k[rows])
            self.previous[rows] = direction
        torch.addcmul(old, ahead, -self.lr[rows], out=moved)


@dataclasses.dataclass(frozen=True)
class GANEnsemble:
    """Trained GANs; member ``s * len(variants) + v`` has seed s and variant v.

    Attributes
    ----------
    variants, seeds
        As given, in that order.
    history
        (records, members, 2), losses of the discriminator and the generator before the steps 0, record, 2 record, ...
    steps_recorded
        (records,), those steps.
    snapshots
        From a step to the generators' parameters (members, P) after it; the last step is always there.
    discriminators
        (members, Q), parameters of the discriminators after the last step.
    """

    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    history: torch.Tensor
    steps_recorded: torch.Tensor
    snapshots: dict[int, torch.Tensor]
    discriminators: torch.Tensor
    players: tuple[Player, Player]

    @property
    def members(self) -> list[tuple[int, Variant]]:
        """(seed, variant) of every member, in order."""
        return [(seed, variant) for seed in self.seeds for variant in self.variants]

    @property
    def finite(self) -> torch.Tensor:
        """(members,), whether all recorded losses and the final parameters of both players of a member are finite."""
        players = self.snapshots[max(self.snapshots)], self.discriminators
        final = [torch.isfinite(parameters).all(1).cpu() for parameters in players]
        return torch.isfinite(self.history).all(-1).all(0) & final[0] & final[1]

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, *, step: int | None = None) -> torch.Tensor:
        """n samples of every member from the same noise: (members, n, *sample shape).

        ``step`` chooses a snapshot (default: the end). Raises ``ValueError`` for n < 1, a seed that is none and a step
        without a snapshot.
        """
        n, seed = _validate.positive_int("n", n), _validate.seed("seed", seed)
        step = max(self.snapshots) if step is None else step
        if not isinstance(step, Hashable) or step not in self.snapshots:
            raise ValueError(f"step must be one of {sorted(self.snapshots)}, got {step!r}")
        generator, parameters = self.players[0], self.snapshots[step]
        source = torch.Generator("cpu").manual_seed(seed)
        noise = torch.randn(n, generator.latent, generator=source, device="cpu").to(parameters)
        # On a CPU a few members at a time, for its cache.
        together = None if parameters.is_cuda else 2
        return torch.func.vmap(generator, in_dims=(0, None), chunk_size=together)(parameters, noise)


def check_ensemble(name: str, value: Any) -> GANEnsemble:
    """A trained ensemble."""
    if not isinstance(value, GANEnsemble):
        raise ValueError(f"{name} must be a GANEnsemble, got {type(value).__name__}")
    return value
