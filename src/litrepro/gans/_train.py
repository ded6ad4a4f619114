"""Train a whole table of GANs at once: seeds by variants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.func import grad, grad_and_value, vmap

from litrepro import _validate
from litrepro.gans._checkpoint import ASK, Checkpoint, describe
from litrepro.gans._losses import gan_losses
from litrepro.gans._members import GANEnsemble, Player, Stepper
from litrepro.gans._variant import Variant
from litrepro.training import CudaGraph


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
    checkpoint: str | Path | None = None,
    stop: Callable[[], bool] | None = None,
) -> GANEnsemble | None:
    """Train one GAN for every seed and variant, on the same minibatches and noise.

    A step is algorithm 1 of Goodfellow et al. 2014: ``critic_steps`` updates of the discriminator, each on a fresh
    minibatch and fresh noise, then one of the generator on fresh noise against the updated discriminator.

    Parameters
    ----------
    make_generator, make_discriminator
        Functions without arguments that build the networks; the generator has ``latent``, neither has buffers or draws
        random numbers, as dropout does.
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
        Of minibatches and noise, which are the same for every member: but for rounding, a member does not depend on its
        neighbours.
    simultaneous
        Both players move from the same point instead of in turn (with several critic steps, in the last of them).
    device
        Where to train; that of the data by default.
    snapshots
        Steps after which the generators are kept, for ``GANEnsemble.sample(..., step=)``.
    checkpoint
        A file that keeps the state every 2,000 steps; the same call goes on from there, to the same result. The
        settings and shapes are compared, and about a thousand rows of the data up to rounding; not the initial weights.
    stop
        Asked every 20 steps; once it returns True the state is saved and the call ends.

    Returns
    -------
    ``GANEnsemble``, members ordered ``for seed in seeds: for variant in variants``. A member that diverges becomes inf
    or nan, is reported by ``finite`` and leaves the others alone. None if ``stop`` ended the call before the last step.

    Raises
    ------
    ValueError
        No variants or seeds, steps, batch, critic_steps or record < 1, data that are empty, not floating point or not
        finite, a seed outside 0..2^64 - 1, a device that this machine lacks, players that are no networks, have
        buffers, draw random numbers or do not fit the data, a generator without ``latent``, a snapshot outside
        1..steps, a checkpoint of another run or other data.

    Notes
    -----
    Members with one loss are one cohort: their parameters are the rows of a matrix, gradients come from
    ``vmap(grad)``. A player with gamma > 0 follows the gradient of ``L_i + gamma |v|^2/2`` at the point where it moves,
    on the minibatch at hand (Mescheder et al. 2017). On a CUDA device a step is recorded once and replayed.

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
    settings = {name: _validate.positive_int(name, value) for name, value in settings.items()}
    steps, batch, critic_steps, record = settings.values()
    seed = _validate.seed("seed", seed)
    variants = tuple(_validate.sequence("variants", variants))
    seeds = tuple(_validate.seed("seeds", s) for s in _validate.sequence("seeds", seeds))
    if not all(isinstance(v, Variant) for v in variants):
        raise ValueError(f"variants must hold Variants, got {variants}")
    _validate.float_tensor("data", data, 1)
    if not data.numel():
        raise ValueError(f"data must not be empty, got shape {tuple(data.shape)}")
    _validate.finite(data=data)
    snapshots = [_validate.positive_int("a snapshot", step) for step in _validate.sequence("snapshots", snapshots, 0)]
    if max(snapshots, default=1) > steps:
        raise ValueError(f"snapshots must lie in 1..{steps}, got {max(snapshots)}")
    if stop is not None:
        _validate.function("stop", stop)
    checkpoint = _validate.optional_path("checkpoint", checkpoint)
    if device is not None:
        device = _validate.device("device", device)
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(f"device must be one of this machine's, got {device} of {torch.cuda.device_count()} GPUs")
        data = data.to(device)
    run = _Run(data, steps, batch, critic_steps, record, seed, simultaneous, frozenset({*snapshots, steps}))

    cohorts: dict[Any, list[int]] = {}
    for v, variant in enumerate(variants):
        cohorts.setdefault((variant.loss, variant.gamma > 0), []).append(v)
    players = Player(make_generator, seeds, data.device), Player(make_discriminator, seeds, data.device)
    if players[0].latent is None:
        raise ValueError("the generator must have an attribute latent, the dimension of its noise")
    _check_players(players, data)
    sizes = settings | {"seed": seed, "simultaneous": bool(simultaneous), "snapshots": sorted(run.snapshots)}
    about = {} if checkpoint is None else describe(variants, seeds, sizes, players, data)
    kept = Checkpoint(checkpoint, about, stop)
    order, results = [], []
    for number, chosen in enumerate(cohorts.values()):
        pairs = [(s, v) for s in range(len(seeds)) for v in chosen]
        pairs.sort(key=lambda pair: variants[pair[1]].optimizer != "adam")  # the order that ``Stepper`` wants
        order += [s * len(variants) + v for s, v in pairs]
        found = _train_cohort(run, players, [s for s, _ in pairs], [variants[v] for _, v in pairs], kept, number)
        if found is None:
            return None
        results.append(found)
    back = torch.tensor(order, device="cpu").argsort()
    histories, by_step, critics = zip(*results)
    return GANEnsemble(
        variants=variants,
        seeds=seeds,
        history=torch.cat(histories, 1)[:, back],
        steps_recorded=torch.arange(0, steps, record, device="cpu"),
        snapshots={step: torch.cat([k[step] for k in by_step])[back.to(data.device)] for step in sorted(by_step[0])},
        discriminators=torch.cat(critics)[back.to(data.device)],
        players=players,
    )


@torch.no_grad()
def _check_players(players: tuple[Player, Player], data: torch.Tensor) -> None:
    """The generator makes what the discriminator and the data are made of; a look at two samples."""
    generate, judge = players
    latent = _validate.positive_int("latent of the generator", generate.latent)
    for name, player in (("the generator", generate), ("the discriminator", judge)):
        _validate.same_kind(data=data, **{f"the parameters of {name}": player.initial})
    made = _first_output("the generator", generate, data.new_zeros(2, latent))
    if made.shape[1:] != data.shape[1:]:
        raise ValueError(f"the generator must make samples {tuple(data.shape[1:])}, got {tuple(made.shape[1:])}")
    logits = _first_output("the discriminator", judge, made)
    if logits.shape != (2,):
        raise ValueError(f"the discriminator must give logits (n,), got shape {tuple(logits.shape)} for n = 2")


def _first_output(name: str, player: Player, x: torch.Tensor) -> torch.Tensor:
    """What the first member makes of x; mapped, as in training, which refuses random numbers before any is drawn."""
    try:
        return _validate.answer(name, lambda x: vmap(player, in_dims=(0, None))(player.initial[:1], x)[0], x)
    except ValueError as error:
        if "random" not in str(error):
            raise
        raise ValueError(f"{name} must draw no random numbers, such as those of dropout in training mode") from error


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


def _train_cohort(
    run: _Run,
    players: tuple[Player, Player],
    starts: Sequence[int],
    members: Sequence[Variant],
    checkpoint: Checkpoint,
    number: int,
) -> tuple | None:
    """Train members of one loss, from their rows of initial weights; (history, generators by step, discriminators).

    None if the checkpoint stopped it.
    """
    theta, phi = (player.initial[list(starts)] for player in players)
    of_g, of_d = Stepper(members, theta), Stepper(members, phi)
    gamma = torch.tensor([v.gamma for v in members], dtype=theta.dtype, device=theta.device)
    slope_d, slope_g = _gradients(players, members[0].loss, gamma if members[0].gamma > 0 else None)
    bound = torch.tensor([v.clip or torch.inf for v in members], dtype=phi.dtype, device=phi.device)[:, None]
    clipped = any(v.clip for v in members)

    # A generator of the cohort's own, with the run's seed: every cohort sees the same draws.
    random = torch.Generator("cpu").manual_seed(run.seed)
    done, history, kept = 0, [], {}
    if number in checkpoint.states:
        state = checkpoint.states[number]
        done, history = state["step"], list(state["history"].to(theta.device))
        theta, phi = state["theta"].to(theta.device), state["phi"].to(phi.device)
        kept = {step: value.to(theta.device) for step, value in state["kept"].items()}
        of_g.load(state["of_g"])
        of_d.load(state["of_d"])
        random.set_state(state["random"])
    draws = _draws(run, players[0].latent, done, random)

    def advance(theta, phi, index, noise):
        """Both players after one step, from indices (critic_steps, B) and noise (critic_steps + 1, B, latent)."""
        for batch, z in zip(index, noise):
            old, real = phi, run.data[batch]
            change, loss_d = slope_d(theta, phi, real, z)
            phi = of_d.move(phi, change)
            if clipped:
                phi = phi.clamp_(-bound, bound)
        change, loss_g = slope_g(theta, old if run.simultaneous else phi, real, noise[-1])
        return of_g.move(theta, change), phi, torch.stack((loss_d, loss_g), -1)

    if theta.is_cuda:
        advance = _recorded(advance, theta, phi)
    for step in range(done, run.steps):
        theta, phi, losses = advance(theta, phi, *next(draws))
        if step % run.record == 0:
            history.append(losses.clone())
        if step + 1 in run.snapshots:
            kept[step + 1] = theta.clone()
        save, stop = checkpoint.due(step + 1, run.steps)
        if save:
            moments = {"of_g": of_g.state(), "of_d": of_d.state(), "random": random.get_state()}
            now = {"step": step + 1, "history": torch.stack(history), "theta": theta, "phi": phi, "kept": kept}
            checkpoint.save(number, now | moments)
        if stop:
            return None
    return torch.stack(history).cpu(), kept, phi


def _recorded(advance: Callable, theta: torch.Tensor, phi: torch.Tensor) -> Callable:
    """``advance`` as a CUDA graph, which finds both players where it left them."""
    theta, phi = theta.clone(), phi.clone()

    def in_place(index, noise):
        *moved, losses = advance(theta, phi, index, noise)
        theta.copy_(moved[0])
        phi.copy_(moved[1])
        return losses

    step = CudaGraph(in_place)
    return lambda _theta, _phi, index, noise: (theta, phi, step(index, noise))


def _draws(run: _Run, latent: int, done: int, random: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Indices (critic_steps, B) and noise (critic_steps + 1, B, latent) of every step, from one on.

    They are drawn on the CPU, so that all devices see the same, and travel in one copy for many steps: a device that
    waited for each would stand still. Blocks end where a checkpoint may be written, so that the state of the random
    generator then is that of the last step.
    """
    here = {"generator": random, "device": "cpu"}
    while done < run.steps:
        end = min(done + ASK - done % ASK, run.steps)
        indices, noises = [], []
        for _ in range(done, end):
            for _ in range(run.critic_steps):
                indices.append(torch.randint(len(run.data), (run.batch,), **here))
                noises.append(torch.randn(run.batch, latent, **here))
            noises.append(torch.randn(run.batch, latent, **here))
        index, noise = torch.stack(indices).to(run.data.device), torch.stack(noises).to(run.data)
        yield from zip(index.view(end - done, -1, run.batch), noise.view(end - done, -1, run.batch, latent))
        done = end


def _gradients(players: tuple[Player, Player], kind: str, gamma: torch.Tensor | None) -> tuple[Callable, Callable]:
    """Functions of (theta (m, P), phi (m, Q), real, noise) that return each player's gradients and losses."""
    generate, judge = players

    def loss_d(phi, theta, real, noise):
        return gan_losses(*judge(phi, real, generate(theta, noise)), kind)[0]

    def loss_g(theta, phi, real, noise):
        # The logits on data are a constant for the generator: none are computed.
        fake = judge(phi, generate(theta, noise))
        return gan_losses(fake.detach(), fake, kind)[1]

    if gamma is None:
        both = (0, 0, None, None)
        slope_d, slope_g = (vmap(grad_and_value(loss), in_dims=both) for loss in (loss_d, loss_g))
        return lambda theta, phi, real, z: slope_d(phi, theta, real, z), slope_g

    def energy(theta, phi, real, noise):
        v_g, value_g = grad_and_value(loss_g)(theta, phi, real, noise)
        v_d, value_d = grad_and_value(loss_d)(phi, theta, real, noise)
        return (v_g.square().sum() + v_d.square().sum()) / 2, (v_g, value_g, v_d, value_d)

    # The plain gradient is a by-product of the energy, it is not computed again.
    def regular_d(phi, theta, real, noise, weight):
        change, (_, _, plain, value) = grad(lambda phi: energy(theta, phi, real, noise), has_aux=True)(phi)
        return plain + weight * change, value

    def regular_g(theta, phi, real, noise, weight):
        change, (plain, value, _, _) = grad(energy, has_aux=True)(theta, phi, real, noise)
        return plain + weight * change, value

    def mapped(function):
        each = vmap(function, in_dims=(0, 0, None, None, 0))
        return lambda *arguments: each(*arguments, gamma)

    slope_d, slope_g = mapped(regular_d), mapped(regular_g)
    return lambda theta, phi, real, z: slope_d(phi, theta, real, z), slope_g
