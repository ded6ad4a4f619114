"""Train a whole table of GANs at once: seeds by variants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import grad, grad_and_value, vmap

from litrepro import _validate
from litrepro.gans._losses import gan_losses
from litrepro.gans._members import GANEnsemble, Player, Stepper
from litrepro.gans._variant import Variant


def train_gans(
    make_generator: Callable[[], nn.Module],
    make_discriminator: Callable[[], nn.Module],
    data: torch.Tensor,
    variants: Sequence[Variant],
    *,
    steps: int,
    batch: int = 64,
    seeds: Sequence[int] = (0,),
    critic_steps: int = 1,
    record: int = 10,
    seed: int = 0,
    simultaneous: bool = False,
    device: torch.device | str | None = None,
    snapshots: Sequence[int] = (),
) -> GANEnsemble:
    """Train one GAN for every seed and variant, on the same minibatches and noise.

    A step is algorithm 1 of Goodfellow et al. 2014: ``critic_steps`` updates of the discriminator, each on a fresh
    minibatch and fresh noise, then one of the generator on fresh noise against the updated discriminator.

    Parameters
    ----------
    make_generator, make_discriminator
        Functions without arguments that build the networks; the generator has ``latent``, neither has buffers.
    data
        (N, ...), the training set, in the range of the generator's output.
    variants
        At least one.
    steps, batch
        Number of steps and size of a minibatch, >= 1.
    seeds
        Of the members' initial weights, one per repetition; variants of one seed start from the same weights.
    critic_steps
        Updates of the discriminator per step, >= 1.
    record
        Losses are kept every so many steps.
    seed
        Of minibatches and noise, which are the same for every member: a member does not depend on its neighbours.
    simultaneous
        Both players move from the same point instead of in turn (with several critic steps, in the last of them).
    device
        Where to train; that of the data by default.
    snapshots
        Steps after which the generators are kept, for ``GANEnsemble.sample(..., step=)``.

    Returns
    -------
    ``GANEnsemble``, members ordered ``for seed in seeds: for variant in variants``. A member that diverges becomes inf
    or nan, is reported by ``finite`` and leaves the others alone.

    Raises
    ------
    ValueError
        No variants or seeds, steps, batch, critic_steps or record < 1, data that are empty or not floating point,
        networks with buffers, a generator without ``latent``, a snapshot outside 1..steps.

    Notes
    -----
    Members with one loss and optimizer are one cohort: their parameters are the rows of a matrix, gradients come from
    ``vmap(grad)``. A player with gamma > 0 follows the gradient of ``L_i + gamma |v|^2/2`` at the point where it moves,
    on the minibatch at hand (Mescheder et al. 2017).

    Examples
    --------
    >>> import torch
    >>> from litrepro.gans import MLPDiscriminator, MLPGenerator
    >>> gans = train_gans(
    ...     lambda: MLPGenerator(4, 8, (2,)), lambda: MLPDiscriminator((2,), 8), torch.randn(100, 2),
    ...     [Variant("Adam"), Variant("OAdam", optimism=1.0)], steps=3, seeds=(0, 1),
    ... )
    >>> gans.sample(5).shape
    torch.Size([4, 5, 2])
    """
    settings = {"steps": steps, "batch": batch, "critic_steps": critic_steps, "record": record}
    for name, value in settings.items():
        _validate.positive_int(name, value)
    variants, seeds = tuple(variants), tuple(_validate.positive_int("seed", s, 0) for s in seeds)
    if not variants or not seeds or not all(isinstance(v, Variant) for v in variants):
        raise ValueError(f"variants and seeds must not be empty, got {variants} and {seeds}")
    _validate.float_tensor("data", data, 1)
    if not len(data):
        raise ValueError("data must not be empty")
    outside = [step for step in snapshots if not 1 <= step <= steps]
    if outside:
        raise ValueError(f"snapshots must lie in 1..{steps}, got {outside}")
    data = data if device is None else data.to(device)
    run = _Run(data, steps, batch, critic_steps, record, seed, simultaneous, frozenset({*snapshots, steps}))

    cohorts: dict[Any, list[int]] = {}
    for v, variant in enumerate(variants):
        cohorts.setdefault((variant.loss, variant.optimizer, variant.gamma > 0), []).append(v)
    players = Player(make_generator, seeds, data.device), Player(make_discriminator, seeds, data.device)
    if players[0].latent is None:
        raise ValueError("the generator must have an attribute latent, the dimension of its noise")
    order, results = [], []
    for chosen in cohorts.values():
        order += [s * len(variants) + v for s in range(len(seeds)) for v in chosen]
        results.append(_train_cohort(run, players, [variants[v] for v in chosen], len(seeds)))
    back = torch.tensor(order).argsort()
    histories, kept, critics = zip(*results)
    return GANEnsemble(
        variants=variants,
        seeds=seeds,
        history=torch.cat(histories, 1)[:, back],
        steps_recorded=torch.arange(0, steps, record),
        snapshots={step: torch.cat([k[step] for k in kept])[back.to(data.device)] for step in sorted(kept[0])},
        discriminators=torch.cat(critics)[back.to(data.device)],
        players=players,
    )


@dataclasses.dataclass(frozen=True)
class _Run:
    """What all cohorts share."""

    data: torch.Tensor
    steps: int
    batch: int
    critic_steps: int
    record: int
    seed: int
    simultaneous: bool
    snapshots: frozenset[int]


def _train_cohort(run: _Run, players: tuple[Player, Player], variants: Sequence[Variant], seeds: int) -> tuple:
    """Train members of one loss and optimizer; (history, generators by step, discriminators)."""
    generator, _ = players
    members = list(variants) * seeds
    theta = generator.initial.repeat_interleave(len(variants), 0)
    phi = players[1].initial.repeat_interleave(len(variants), 0)
    move_g, move_d = Stepper(members, theta).move, Stepper(members, phi).move
    gamma = torch.tensor([v.gamma for v in members], dtype=theta.dtype, device=theta.device)
    slope_d, slope_g = _gradients(players, variants[0].loss, gamma if variants[0].gamma > 0 else None)
    bound = torch.tensor([v.clip or torch.inf for v in members], dtype=phi.dtype, device=phi.device)[:, None]
    clipped = any(v.clip for v in members)

    # A generator of the cohort's own, with the run's seed: every cohort sees the same draws.
    random = torch.Generator().manual_seed(run.seed)

    def noise() -> torch.Tensor:
        return torch.randn(run.batch, generator.latent, generator=random).to(run.data)

    history, kept = [], {}
    for step in range(run.steps):
        for _ in range(run.critic_steps):
            index = torch.randint(len(run.data), (run.batch,), generator=random)
            real, old = run.data[index.to(run.data.device)], phi
            change, loss_d = slope_d(theta, phi, real, noise())
            phi = move_d(phi, change)
            if clipped:
                phi = torch.minimum(torch.maximum(phi, -bound), bound)
        change, loss_g = slope_g(theta, old if run.simultaneous else phi, real, noise())
        theta = move_g(theta, change)
        if step % run.record == 0:
            history.append(torch.stack((loss_d, loss_g), -1))
        if step + 1 in run.snapshots:
            kept[step + 1] = theta.clone()
    return torch.stack(history).cpu(), kept, phi


def _gradients(players: tuple[Player, Player], kind: str, gamma: torch.Tensor | None) -> tuple[Callable, Callable]:
    """Functions of (theta (m, P), phi (m, Q), real, noise) that return each player's gradients and losses."""
    generate, judge = players

    def loss_d(phi, theta, real, noise):
        return gan_losses(judge(phi, real), judge(phi, generate(theta, noise)), kind)[0]

    def loss_g(theta, phi, real, noise):
        # The logits on data are a constant for the generator: none are computed.
        fake = judge(phi, generate(theta, noise))
        return gan_losses(fake.detach(), fake, kind)[1]

    if gamma is None:
        both = (0, 0, None, None)
        slope_d, slope_g = (vmap(grad_and_value(loss), in_dims=both) for loss in (loss_d, loss_g))
        return lambda theta, phi, real, z: slope_d(phi, theta, real, z), slope_g

    def energy(theta, phi, real, noise):
        v_g, v_d = grad(loss_g)(theta, phi, real, noise), grad(loss_d)(phi, theta, real, noise)
        return (v_g.square().sum() + v_d.square().sum()) / 2

    def regular_d(phi, theta, real, noise, weight):
        value = loss_d(phi, theta, real, noise)
        return value + weight * energy(theta, phi, real, noise), value

    def regular_g(theta, phi, real, noise, weight):
        value = loss_g(theta, phi, real, noise)
        return value + weight * energy(theta, phi, real, noise), value

    def first_then_loss(function):
        mapped = vmap(grad_and_value(function, has_aux=True), in_dims=(0, 0, None, None, 0))

        def call(*arguments):
            gradient, (_, value) = mapped(*arguments, gamma)
            return gradient, value

        return call

    slope_d, slope_g = first_then_loss(regular_d), first_then_loss(regular_g)
    return lambda theta, phi, real, z: slope_d(phi, theta, real, z), slope_g
