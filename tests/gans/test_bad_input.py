"""Bad input is refused before any work, whoever calls; odd but good input works."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import litrepro.gans as lg

PLAYERS = (lambda: lg.MLPGenerator(3, 4, (2,)), lambda: lg.MLPDiscriminator((2,), 4))
DATA = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
ONE = [lg.Variant("a")]
GANS = lg.train_gans(*PLAYERS, DATA, ONE, steps=1, batch=2)
NET, REFERENCE, SAMPLES = lg.ScoreNet(), torch.zeros(9, 64), torch.zeros(1, 10, 1, 28, 28)
LABELS = torch.arange(4)
SCORES = pd.DataFrame({"variant": ["a"], "IS": [1.0], "FD": ["low"], "classes": [1]})


def train(**changes):
    keywords = {"steps": 1, "batch": 2} | changes
    first, second = (keywords.pop(name, given) for name, given in zip(("generator", "discriminator"), PLAYERS))
    return lg.train_gans(first, second, keywords.pop("data", DATA), keywords.pop("variants", ONE), **keywords)


@pytest.mark.parametrize(
    "call",
    [
        lambda: train(generator=None),
        lambda: train(generator=PLAYERS[0]()),
        lambda: train(generator=lambda: 3.0),
        lambda: train(discriminator=lambda: torch.nn.Linear(2, 1)),
        lambda: train(discriminator=lambda: lg.MLPDiscriminator((3,), 4)),
        lambda: train(discriminator=lambda: torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0))),
        lambda: train(data=DATA.double()),
        lambda: train(data=DATA[:, :1]),
        lambda: train(data=DATA * math.nan),
        lambda: train(variants=None),
        lambda: train(variants=["a"]),
        lambda: train(seeds=5),
        lambda: train(seed="x"),
        lambda: train(snapshots=["x"]),
        lambda: train(snapshots=[2]),
        lambda: train(stop=True),
        lambda: train(checkpoint=3),
        lambda: train(device="nowhere"),
        lambda: train(device="cuda:99"),
        lambda: train(seed=2**70),
        lambda: train(seeds=[2**70]),
        lambda: lg.gan_losses(torch.zeros(2, 4), torch.zeros(3, 4), "saturating"),
        lambda: lg.inception_score(torch.tensor([[1.5, -0.5]]), 1),
        lambda: lg.Variant(3),
        lambda: lg.MLPGenerator(3, 4, 5),
        lambda: PLAYERS[0]()(torch.zeros(2, 4)),
        lambda: PLAYERS[1]()([[0.0, 0.0]]),
        lambda: lg.DCGenerator(3, 2)(torch.zeros(3)),
        lambda: lg.DCDiscriminator(2)(torch.zeros(2, 28, 28)),
        lambda: lg.gan_losses(None, torch.zeros(2), "saturating"),
        lambda: lg.gan_losses(torch.zeros(2), torch.zeros(2).double(), "wasserstein"),
        lambda: lg.gan_losses(torch.zeros(2), torch.zeros(0), "wasserstein"),
        lambda: lg.game_field(None, 0, DATA, torch.zeros(8, 3)),
        lambda: lg.game_field(GANS, 0, "data", torch.zeros(8, 3)),
        lambda: lg.game_field(GANS, 0, DATA.double(), torch.zeros(8, 3)),
        lambda: GANS.sample(2, "x"),
        lambda: GANS.sample(2, step=[1]),
        lambda: lg.ring_mixture(4, generator="x"),
        lambda: lg.mode_coverage(DATA, DATA, 0.1, radius="x"),
        lambda: lg.mode_coverage(DATA, DATA * math.nan, 0.1),
        lambda: lg.frechet_distance(torch.zeros(2, 4, 3), torch.zeros(3, 4, 3)),
        lambda: lg.frechet_distance(torch.zeros(4, 0), torch.zeros(4, 0)),
        lambda: NET(torch.zeros(1, 28, 28)),
        lambda: NET.probabilities(torch.zeros(1, 28, 28)),
        lambda: lg.train_score_net(torch.zeros(4, 1, 28, 28).double(), LABELS),
        lambda: lg.train_score_net(torch.zeros(4, 1, 28, 28) * math.nan, LABELS),
        lambda: lg.train_score_net(torch.zeros(4, 1, 28, 28), LABELS - 1),
        lambda: lg.train_score_net(torch.zeros(0, 1, 28, 28), LABELS[:0]),
        lambda: lg.score_samples(len, SAMPLES, REFERENCE),
        lambda: lg.score_samples(NET, SAMPLES.double(), REFERENCE),
        lambda: lg.score_samples(NET, SAMPLES[:0], REFERENCE),
        lambda: lg.score_samples(NET, SAMPLES, REFERENCE[:, :9]),
        lambda: lg.score_table(None, NET, REFERENCE),
        lambda: lg.score_course([], NET, REFERENCE, [1]),
        lambda: lg.score_course(GANS, NET, REFERENCE, 1),
        lambda: lg.score_course(GANS, NET, REFERENCE, [2]),
        lambda: lg.score_summary(None),
        lambda: lg.score_summary(SCORES),
        lambda: lg.thumbnails(None),
        lambda: lg.thumbnail_images(None),
        lambda: lg.thumbnail_images(pd.DataFrame({"variant": ["a"], "pixels": ["g" * 784]})),
        lambda: lg.draw_thumbnails("x"),
        lambda: lg.trained_ensemble(None, "a", *PLAYERS, DATA, ONE, steps=1, seeds=1),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


class Scaled(lg.MLPDiscriminator):
    """Logits times a parameter without dimensions."""

    def __init__(self):
        super().__init__((2,), 4)
        self.scale = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.scale * super().forward(x)


class Dropping(lg.MLPDiscriminator):
    def forward(self, x):
        return super().forward(torch.nn.functional.dropout(x, 0.5, self.training))


class Noisy(lg.MLPGenerator):
    def forward(self, z):
        return super().forward(z + torch.randn_like(z))


@pytest.mark.parametrize(
    "players",
    [
        {"generator": lambda: Noisy(3, 4, (2,))},
        {"discriminator": lambda: Dropping((2,), 4)},
        {"discriminator": lambda: torch.nn.Sequential(torch.nn.Dropout(0.1), lg.MLPDiscriminator((2,), 4))},
    ],
)
def test_networks_that_draw_are_refused_before_they_do(players):
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="must draw no random numbers"):
        train(**players)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_that_is_off_draws_nothing():
    plain = train(discriminator=lambda: lg.MLPDiscriminator((2,), 4))
    torch.testing.assert_close(
        train(discriminator=lambda: Dropping((2,), 4).eval()).discriminators, plain.discriminators
    )


def test_parameters_may_have_no_dimensions():
    # By hand: the gradient of a scalar parameter is like that of a vector of one.
    class Vector(Scaled):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor([2.0]))

    keywords = {"steps": 3, "seeds": (0, 1)}
    found, expected = (train(discriminator=kind, **keywords) for kind in (Scaled, Vector))
    assert found.discriminators.shape == expected.discriminators.shape
    torch.testing.assert_close(found.discriminators, expected.discriminators)


def test_seeds_may_be_numbers_of_numpy():
    again = train(seeds=np.arange(1), seed=np.int64(0), steps=np.int64(1))
    torch.testing.assert_close(again.discriminators, GANS.discriminators, rtol=0, atol=0)
    for draw, wanted in zip(
        lg.ring_mixture(4, generator=0), lg.ring_mixture(4, generator=torch.Generator().manual_seed(0))
    ):
        torch.testing.assert_close(draw, wanted, rtol=0, atol=0)
