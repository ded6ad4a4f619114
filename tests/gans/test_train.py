"""Ensembles of GANs against a plain loop with autograd and the optimizers of ``litrepro.optim``."""

import pytest
import torch
from torch import nn

from litrepro.gans import (
    DCDiscriminator,
    DCGenerator,
    MLPDiscriminator,
    MLPGenerator,
    Variant,
    game_field,
    gan_losses,
    ring_mixture,
    train_gans,
    train_score_net,
)
from litrepro.optim import GameAdam, GameSGD, consensus_gradients, field_jacobian

VARIANTS = [
    Variant("Adam", lr=1e-2),
    Variant("OAdam", lr=2e-2, optimism=1.0),
    Variant("AdamNM", lr=1e-2, beta1=-0.5, loss="saturating"),
    Variant("OSGD", optimizer="sgd", lr=0.1, beta1=-0.5, optimism=1.0),
    Variant("SGD", optimizer="sgd", lr=0.1, beta1=0.9, loss="wasserstein", clip=0.05),
    Variant("consensus", lr=1e-2, gamma=0.3),
]


def make_generator():
    return MLPGenerator(3, 6, (2,))


def make_discriminator():
    return MLPDiscriminator((2,), 6)


def data(n=200):
    return ring_mixture(n, generator=torch.Generator().manual_seed(1))[0]


def seeded(make, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def loop(x, variant, member_seed, *, steps, batch, critic_steps, seed, simultaneous):
    """One member, trained plainly: the reference."""
    G, D = seeded(make_generator, member_seed), seeded(make_discriminator, member_seed)
    players = [list(G.parameters()), list(D.parameters())]

    def optimizer(parameters):
        if variant.optimizer == "sgd":
            return GameSGD(parameters, variant.lr, variant.beta1, variant.optimism)
        return GameAdam(parameters, variant.lr, (variant.beta1, variant.beta2), optimism=variant.optimism)

    both = [optimizer(parameters) for parameters in players]
    random = torch.Generator().manual_seed(seed)

    def gradients(real, z):
        loss_d, loss_g = gan_losses(D(real), D(G(z)), variant.loss)
        return consensus_gradients([loss_g, loss_d], players, variant.gamma), (loss_d.item(), loss_g.item())

    def move(player, found):
        for p, g in zip(players[player], found):
            p.grad = g
        both[player].step()
        if player == 1 and variant.clip:
            for p in players[1]:
                p.data.clamp_(-variant.clip, variant.clip)

    history = []
    for _ in range(steps):
        for c in range(critic_steps):
            real = x[torch.randint(len(x), (batch,), generator=random)]
            found, (loss_d, _) = gradients(real, torch.randn(batch, 3, generator=random))
            last = simultaneous and c == critic_steps - 1
            if not last:
                move(1, found[1])
        of_g, (_, loss_g) = gradients(real, torch.randn(batch, 3, generator=random))
        if simultaneous:
            move(1, found[1])
        move(0, of_g[0])
        history.append((loss_d, loss_g))
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(9))
    return G(z).detach(), history


@pytest.mark.parametrize(("simultaneous", "critic_steps"), [(False, 1), (True, 2)])
def test_ensemble_equals_a_loop(simultaneous, critic_steps):
    x = data()
    settings = {"steps": 5, "batch": 16, "critic_steps": critic_steps, "seed": 3, "simultaneous": simultaneous}
    gans = train_gans(make_generator, make_discriminator, x, VARIANTS, seeds=(0, 7), record=2, **settings)
    samples = gans.sample(4, seed=9)
    assert samples.shape == (12, 4, 2)
    assert gans.history.shape == (3, 12, 2)
    assert gans.steps_recorded.tolist() == [0, 2, 4]
    for k, (seed, variant) in enumerate(gans.members):
        expected, history = loop(x, variant, seed, **settings)
        assert torch.allclose(samples[k], expected, atol=2e-4), variant.name
        assert torch.allclose(gans.history[:, k], torch.tensor(history[::2]), atol=2e-4), variant.name


def test_a_member_does_not_depend_on_its_neighbours():
    x = data()
    together = train_gans(make_generator, make_discriminator, x, VARIANTS, steps=4, seeds=(0, 1), seed=2)
    alone = train_gans(make_generator, make_discriminator, x, [VARIANTS[5]], steps=4, seeds=(1,), seed=2)
    assert torch.allclose(together.sample(6)[11], alone.sample(6)[0], atol=1e-5)
    strong = [VARIANTS[0], Variant("c", lr=1e-2, gamma=50.0)]
    first = train_gans(make_generator, make_discriminator, x, strong, steps=4, seed=2).sample(6)[0]
    assert torch.allclose(first, together.sample(6)[0], atol=1e-5)


def test_a_member_that_diverges_is_reported_and_left_alone():
    variants = [Variant("good"), Variant("bad", lr=1e30), Variant("worse", lr=1e30, gamma=1.0)]
    gans = train_gans(make_generator, make_discriminator, data(), variants, steps=6, record=1)
    assert gans.finite.tolist() == [True, False, False]
    good = train_gans(make_generator, make_discriminator, data(), variants[:1], steps=6, record=1)
    assert torch.allclose(gans.sample(3)[0], good.sample(3)[0], atol=1e-6)


def test_a_discriminator_that_diverges_in_the_last_step_is_reported():
    variants = [Variant("a", loss="wasserstein", optimizer="sgd", beta1=0.0, lr=lr) for lr in (1e-9, 1e36)]
    gans = train_gans(make_generator, make_discriminator, 1e4 * data(50), variants, steps=1, simultaneous=True)
    assert bool(gans.history.isfinite().all() & gans.snapshots[1].isfinite().all())
    assert gans.finite.tolist() == [True, False]


def test_snapshots_and_clipping():
    gans = train_gans(
        make_generator, make_discriminator, data(), [VARIANTS[4]], steps=6, snapshots=(2,), seeds=(0,), device="cpu"
    )
    assert sorted(gans.snapshots) == [2, 6]
    short = train_gans(make_generator, make_discriminator, data(), [VARIANTS[4]], steps=2)
    assert torch.allclose(gans.sample(3, step=2), short.sample(3))
    assert float(gans.discriminators.abs().max()) <= 0.0500001
    with pytest.raises(ValueError, match="step must be one of"):
        gans.sample(3, step=3)


def test_field_of_a_member_is_what_its_players_follow():
    x = data(12)
    gans = train_gans(make_generator, make_discriminator, x, VARIANTS, steps=2, seeds=(0, 1))
    noise = torch.randn(12, 3, generator=torch.Generator().manual_seed(4))
    field, w = game_field(gans, 8, x, noise)  # seed 1, saturating
    G, D = make_generator(), make_discriminator()
    parameters = [list(net.parameters()) for net in (G, D)]
    sizes = [sum(p.numel() for p in group) for group in parameters]
    for group, values in zip(parameters, w.split(sizes)):
        torch.nn.utils.vector_to_parameters(values, group)
    loss_d, loss_g = gan_losses(D(x), D(G(noise)), "saturating")
    expected = consensus_gradients([loss_g, loss_d], parameters, 0.0)
    assert torch.allclose(field(w), torch.cat([g.flatten() for group in expected for g in group]), atol=1e-6)
    # In double precision the step is small enough to stay on one side of every kink.
    field, w = game_field(gans, 8, x.double(), noise.double())[0], w.double()
    J = field_jacobian(field, w)
    direction = torch.randn(len(w), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    numeric = (field(w + 1e-7 * direction) - field(w - 1e-7 * direction)) / 2e-7
    assert (J @ direction - numeric).norm() < 1e-2 * numeric.norm()
    with pytest.raises(ValueError, match="member must be below"):
        game_field(gans, 12, x, noise)


def test_it_learns_the_mean_of_a_gaussian():
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * 0.3 + torch.tensor([1.5, -1.0])
    gans = train_gans(lambda: MLPGenerator(2, 16, (2,)), lambda: MLPDiscriminator((2,), 16), x,
                      [Variant("OAdam", lr=3e-3, optimism=1.0)], steps=400)  # fmt: skip
    mean = gans.sample(500).mean(1)[0]
    assert (mean - torch.tensor([1.5, -1.0])).norm() < 0.5  # at the start: 1.8


def test_convolutional_players_take_second_derivatives():
    x = torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    variants = [Variant("Adam"), Variant("consensus", gamma=0.1)]
    gans = train_gans(lambda: DCGenerator(4, 2), lambda: DCDiscriminator(2), x, variants, steps=2, batch=4, record=1)
    samples = gans.sample(3)
    assert samples.shape == (2, 3, 1, 28, 28)
    assert float(samples.abs().max()) <= 1
    assert bool(gans.finite.all())


def test_score_net_learns_blobs():
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(10, (120,), generator=generator)
    x = -torch.ones(120, 1, 28, 28)
    for k in range(120):
        x[k, 0, 2 * int(y[k]) : 2 * int(y[k]) + 6] = 1
    net = train_score_net(x, y, epochs=12)
    assert (net.probabilities(x).argmax(-1) == y).double().mean() > 0.95
    assert net.features(x).shape == (120, 64)
    assert net.embed(x.reshape(2, 60, 1, 28, 28)).shape == (2, 60, 64)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    again = train_score_net(x, y, epochs=12)
    assert torch.equal(net(x), again(x))


def train(**changes):
    settings = {"data": data(20), "variants": [Variant("a")], "steps": 1} | changes
    return train_gans(make_generator, make_discriminator, settings.pop("data"), settings.pop("variants"), **settings)


@pytest.mark.parametrize(
    "call",
    [
        lambda: train(variants=[]),
        lambda: train(seeds=()),
        lambda: train(steps=0),
        lambda: train(batch=0),
        lambda: train(critic_steps=0),
        lambda: train(data=torch.zeros(0, 2)),
        lambda: train(snapshots=(2,)),
        lambda: train_gans(lambda: nn.Linear(2, 2), make_discriminator, data(9), [Variant("a")], steps=1),
        lambda: train_gans(make_generator, lambda: nn.BatchNorm1d(2), data(9), [Variant("a")], steps=1),
        lambda: Variant("a", loss="hinge"),
        lambda: Variant("a", optimizer="lion"),
        lambda: Variant("a", lr=0.0),
        lambda: Variant("a", beta1=1.0),
        lambda: Variant("a", gamma=-1.0),
        lambda: Variant("a", clip=0.0),
        lambda: MLPGenerator(0, 4, (2,)),
        lambda: MLPDiscriminator((), 4),
        lambda: DCGenerator(4, 0),
        lambda: train_score_net(torch.zeros(3, 28, 28), torch.zeros(3, dtype=torch.long)),
        lambda: train_score_net(torch.zeros(3, 1, 28, 28), torch.zeros(2, dtype=torch.long)),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()


def test_a_stopped_run_goes_on_to_the_same_result(tmp_path):
    settings = {"steps": 30, "batch": 8, "seeds": (0, 3), "record": 10, "snapshots": (10,)}
    asked, some = [], [VARIANTS[1], VARIANTS[3], VARIANTS[4]]  # two optimizers in the first cohort, another loss

    def run(**changes):
        return train_gans(make_generator, make_discriminator, data(40), some, **settings | changes)

    whole, path = run(), tmp_path / "state.pt"
    assert run(checkpoint=path, stop=lambda: asked.append(1) or len(asked) == 1) is None  # in the first cohort
    assert run(checkpoint=path, stop=lambda: asked.append(1) or len(asked) == 2) is None  # in a later one
    again = run(checkpoint=path)
    for step in (10, 30):
        assert torch.equal(again.sample(3, step=step), whole.sample(3, step=step))
    assert torch.equal(again.history, whole.history)
    assert torch.equal(run(checkpoint=path).discriminators, whole.discriminators)  # finished: nothing is left to do
    with pytest.raises(ValueError, match=r"must belong to this run.*other sizes"):
        run(checkpoint=path, batch=9)


def test_a_checkpoint_belongs_to_its_data(tmp_path):
    x, path = data(40), tmp_path / "state.pt"

    def run(x, **changes):
        settings = {"steps": 30, "batch": 8, "checkpoint": path} | changes
        return train_gans(make_generator, make_discriminator, x, VARIANTS[:1], **settings)

    whole = run(x, checkpoint=None)
    assert run(x, stop=lambda: True) is None
    for other in (data(41), x[:, [1, 0]], x + 1e-3, x[torch.arange(40).roll(1)]):
        with pytest.raises(ValueError, match=r"must belong to this run.*other.*data"):
            run(other)
    again = run(x * (1 + 1e-7))  # computed again, on another machine
    assert torch.allclose(again.sample(3), whole.sample(3), atol=1e-4)
    path.unlink()
    assert run(x, stop=lambda: True) is None
    saved = torch.load(path, weights_only=True)
    del saved["about"]["data"], saved["about"]["shape"]
    torch.save(saved, path)  # as it was written before the data were compared
    assert torch.equal(run(x).sample(3), whole.sample(3))
    del saved["about"]["layout"]
    torch.save(saved, path)
    with pytest.raises(ValueError, match="other layout"):
        run(x)
