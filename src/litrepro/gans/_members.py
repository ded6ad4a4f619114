"""Stacked players: one flat vector of parameters per member, networks that read it, optimizers that move all rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from litrepro import _validate
from litrepro.gans._variant import Variant
from litrepro.nets._seeded import build_seeded


class Player:
    """A network as a function of a flat vector of parameters."""

    def __init__(self, make: Callable[[], nn.Module], seeds: Sequence[int], device: torch.device):
        members = [build_seeded(make, seed).to(device) for seed in seeds]
        stacked, self.buffers = torch.func.stack_module_state(members)
        if self.buffers:
            raise ValueError(f"networks must have no buffers, got {', '.join(self.buffers)}; see track_running_stats")
        self.module = members[0]
        self.latent = getattr(members[0], "latent", None)
        self.shapes = {name: value.shape[1:] for name, value in stacked.items()}
        self.initial = torch.cat([value.detach().flatten(1) for value in stacked.values()], 1)

    def __call__(self, flat: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Output of the network with parameters flat (P,)."""
        pieces = flat.split([math.prod(shape) for shape in self.shapes.values()])
        values = {name: piece.reshape(shape) for (name, shape), piece in zip(self.shapes.items(), pieces)}
        return torch.func.functional_call(self.module, values, (x,))


class Stepper:
    """GameSGD or GameAdam on the rows of a matrix of parameters (members, P), with hyperparameters per row."""

    def __init__(self, variants: Sequence[Variant], like: torch.Tensor):
        def column(values):
            return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]

        self.lr, self.beta1 = column([v.lr for v in variants]), column([v.beta1 for v in variants])
        self.beta2, self.k = column([v.beta2 for v in variants]), column([v.optimism for v in variants])
        self.adam, self.optimistic = variants[0].optimizer == "adam", any(v.optimism for v in variants)
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like)
        self.previous: torch.Tensor | None = None
        self.count = 0

    def move(self, parameters: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """The parameters after a step."""
        self.count += 1
        return parameters - self.lr * (self._adam(gradient) if self.adam else self._sgd(gradient))

    def _sgd(self, gradient: torch.Tensor) -> torch.Tensor:
        predicted = gradient
        if self.optimistic:
            previous = gradient if self.previous is None else self.previous
            predicted, self.previous = gradient + self.k * (gradient - previous), gradient
        self.first = self.beta1 * self.first + predicted
        return self.first

    def _adam(self, gradient: torch.Tensor) -> torch.Tensor:
        self.first.mul_(self.beta1).add_((1 - self.beta1) * gradient)
        self.second.mul_(self.beta2).add_((1 - self.beta2) * gradient.square())
        root = (self.second / (1 - self.beta2**self.count)).sqrt_().add_(1e-8)
        direction = self.first / (1 - self.beta1**self.count) / root
        if not self.optimistic:
            return direction
        previous = torch.zeros_like(direction) if self.previous is None else self.previous
        self.previous = direction
        return (1 + self.k) * direction - self.k * previous


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
        """(members,), whether all recorded losses and the final parameters of a member are finite."""
        final = self.snapshots[max(self.snapshots)]
        return torch.isfinite(self.history).all(-1).all(0) & torch.isfinite(final).all(1).cpu()

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, *, step: int | None = None) -> torch.Tensor:
        """n samples of every member from the same noise: (members, n, *sample shape).

        ``step`` chooses a snapshot (default: the end). Raises ``ValueError`` for n < 1 and a step without a snapshot.
        """
        n, step = _validate.positive_int("n", n), max(self.snapshots) if step is None else step
        if step not in self.snapshots:
            raise ValueError(f"step must be one of {sorted(self.snapshots)}, got {step!r}")
        generator, parameters = self.players[0], self.snapshots[step]
        noise = torch.randn(n, generator.latent, generator=torch.Generator().manual_seed(seed)).to(parameters)
        return torch.func.vmap(generator, in_dims=(0, None))(parameters, noise)
