"""Networks for boundary maps, their training, and scores."""

import math
from functools import partial

import pandas as pd
import pytest
import torch
from torch.nn import functional

from litrepro import ConvergenceWarning
from litrepro import materials as lm
from litrepro.gans import gan_losses


def maps(b=8, n=16, seed=0):
    return lm.boundaries(lm.voronoi_labels(n, 6, b, seed=seed)).float()[:, None]


def losses(real, fake):
    d = functional.softplus(-real).mean() + functional.softplus(fake).mean()
    return d, functional.softplus(-fake).mean()


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_network_is_periodic_and_seeded(levels):
    before = torch.get_rng_state()
    net = lm.GrainUNet(4, levels, generator=1)
    assert torch.equal(torch.get_rng_state(), before)
    x = maps()
    out = net(x)
    assert out.shape == x.shape
    shift = 1 << (levels - 1)
    torch.testing.assert_close(net(x.roll((shift, -shift), (-2, -1))), out.roll((shift, -shift), (-2, -1)))
    assert torch.equal(lm.GrainUNet(4, levels, generator=1)(x), out)
    assert not torch.equal(lm.GrainUNet(4, levels, generator=2)(x), out)


def test_discriminator():
    judge = lm.PatchDiscriminator(4, generator=0)
    pair = torch.cat([maps(), maps(seed=1)], 1)
    assert judge(pair).shape == (8, 16)
    for bad in (maps(), pair[0]):
        with pytest.raises(ValueError, match="pair"):
            judge(bad)
    with pytest.raises(ValueError, match="multiple of 4"):
        lm.GrainUNet(4, 3)(torch.zeros(1, 1, 18, 18))


def test_training_learns_a_local_rule():
    x = maps(32, 16)
    y = x.roll(1, -1)
    net = lm.GrainUNet(6, 1, generator=0)
    history = lm.train_surrogate(net, x, y, iterations=120, lr=1e-2)
    assert list(history.columns) == ["member", "epoch", "step", "split", "metric", "value", "seconds"]
    assert history.value.iloc[-1] < 0.3 * history.value.iloc[0]
    fresh = maps(8, 16, seed=7)
    score = lm.boundary_f1(net(fresh) > 0, fresh.roll(1, -1) > 0.5).mean()
    assert score > 0.9
    assert score > lm.boundary_f1(fresh > 0.5, fresh.roll(1, -1) > 0.5).mean() + 0.2


def test_adversarial_training_moves_both_and_repeats():
    x, y = maps(), maps(seed=1)
    state = []
    for _ in range(2):
        net, judge = lm.GrainUNet(4, 2, generator=0), lm.PatchDiscriminator(4, generator=0)
        start = [p.clone() for p in judge.parameters()]
        history = lm.train_surrogate(
            net, x, y, iterations=6, batch=4, discriminator=judge, adversarial=losses, weight=0.5, seed=3
        )
        assert set(history.metric) == {"cross entropy", "discriminator", "generator"}
        assert any(not torch.equal(a, b) for a, b in zip(start, judge.parameters()))
        state.append(torch.cat([p.flatten() for p in net.parameters()]))
    assert torch.equal(*state)
    net = lm.GrainUNet(4, 2, generator=0)
    lm.train_surrogate(net, x, y, iterations=6, batch=4, seed=3)
    assert not torch.equal(state[0], torch.cat([p.flatten() for p in net.parameters()]))


def test_training_is_adam_with_a_cosine_on_a_sum_of_losses():
    x, y = maps(4).double(), maps(4, seed=1).double()  # in double, as two players amplify rounding
    options = {"iterations": 40, "batch": len(x), "lr": 0.02}  # all images in every step: their order is no matter
    net, judge = lm.GrainUNet(4, 2, generator=0).double(), lm.PatchDiscriminator(4, generator=0).double()
    table = lm.train_surrogate(net, x, y, discriminator=judge, adversarial=losses, weight=0.5, **options)
    net, judge = lm.GrainUNet(4, 2, generator=0).double(), lm.PatchDiscriminator(4, generator=0).double()
    of_net = torch.optim.Adam(net.parameters())
    of_judge = torch.optim.Adam(judge.parameters(), 0.02, betas=(0.5, 0.999))
    rows = []
    for step in range(40):
        logits, fake = net(x), torch.cat([x, net(x).sigmoid()], 1)
        loss_d = losses(judge(torch.cat([x, y], 1)), judge(fake.detach()))[0].mean()
        of_judge.zero_grad()
        loss_d.backward()
        of_judge.step()
        loss_g = losses(judge(torch.cat([x, y], 1)), judge(fake))[1].mean()
        cross = torch.nn.functional.binary_cross_entropy_with_logits(logits, y)
        of_net.param_groups[0]["lr"] = 0.01 * (1 + math.cos(math.pi * step / 40))
        of_net.zero_grad()
        (cross + 0.5 * loss_g).backward()
        of_net.step()
        rows.append({"cross entropy": cross.item(), "discriminator": loss_d.item(), "generator": loss_g.item()})
    expected = pd.DataFrame(rows).groupby(lambda step: step // 2).mean()  # records are means over two steps
    found = table.pivot(index="step", columns="metric", values="value")
    assert found.index.tolist() == list(range(2, 41, 2))
    torch.testing.assert_close(torch.tensor(found.to_numpy()), torch.tensor(expected.to_numpy()), rtol=1e-5, atol=1e-7)


def test_divergence_is_said():
    x = maps()
    with pytest.warns(ConvergenceWarning, match="training stops"):
        history = lm.train_surrogate(lm.GrainUNet(4, 2, generator=0), x, x, iterations=20, batch=4, lr=1e30)
    finite = [math.isfinite(value) for value in history.value]
    assert 1 < len(finite) < 20
    assert finite == [True] * (len(finite) - 1) + [False]


class Cusp(torch.nn.Module):
    """|w|, written so that its slope at 0 is nan."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return 0 * x + self.w.square().sqrt()


def test_what_the_last_step_leaves_is_looked_at():
    x = maps()
    with pytest.warns(ConvergenceWarning, match="at the end"):
        history = lm.train_surrogate(Cusp(), x, x, iterations=1)
    assert history.value.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("found", [lambda d: d[0], lambda d: d[:1], lambda d: (1.0, d[1])])
def test_an_adversary_gives_a_pair_of_losses(found):
    net, judge = lm.GrainUNet(4, 2, generator=0), lm.PatchDiscriminator(4, generator=0)
    before = [p.clone() for p in net.parameters()]
    options = {"discriminator": judge, "adversarial": lambda real, fake: found(losses(real, fake))}
    with pytest.raises(ValueError, match="pair of tensors"):
        lm.train_surrogate(net, maps(), maps(), iterations=1, **options)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters()))


def test_losses_of_the_gan_room_are_averaged_over_images():
    x, y = maps(), maps(seed=1)
    tables = []
    for adversarial in (losses, partial(gan_losses, kind="nonsaturating")):
        judge = lm.PatchDiscriminator(4, generator=0)
        net = lm.GrainUNet(4, 2, generator=0)
        options = {"discriminator": judge, "adversarial": adversarial, "weight": 0.5}
        tables.append(lm.train_surrogate(net, x, y, iterations=5, batch=4, **options).drop(columns="seconds"))
    pd.testing.assert_frame_equal(*tables, rtol=1e-4)


def test_f1():
    a = torch.zeros(2, 6, 6, dtype=torch.bool)
    b = a.clone()
    a[0, 2] = True
    b[0, 2, :3] = True
    b[0, 4, :3] = True
    assert lm.boundary_f1(a, b).tolist() == [0.5, 1.0]
    assert lm.boundary_f1(a, a).tolist() == [1.0, 1.0]
    assert lm.boundary_f1(a, a.roll(1, -2)).tolist() == [0.0, 1.0]
    assert lm.boundary_f1(a, a.roll(1, -2), tolerance=1).tolist() == [1.0, 1.0]
    assert lm.boundary_f1(a, a.roll(2, -2), tolerance=1).tolist() == [0.0, 1.0]
    assert lm.boundary_f1(a[:, None], b[:, None]).shape == (2, 1)
    logits = torch.where(b, -0.5, -3.0)
    assert lm.boundary_f1(logits > lm.best_cut(logits, b), b).min() == 1
    assert lm.boundary_sharpness(a[0].float()).item() == pytest.approx(2 * 6 / 36)
    assert lm.boundary_sharpness(torch.full((3, 4, 4), 0.3)).abs().max() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": torch.zeros(8, 1, 8, 8)}, "y must"),
        ({"x": torch.zeros(8, 16, 16)}, "x must"),
        ({"adversarial": losses}, "together"),
        ({"iterations": 0}, "iterations"),
        ({"lr": 0.0}, "lr"),
        ({"weight": -1.0}, "weight"),
    ],
)
def test_bad_input(change, message):
    arguments = {"x": maps(), "y": maps(), "iterations": 2} | change
    with pytest.raises(ValueError, match=message):
        lm.train_surrogate(lm.GrainUNet(4, 2), arguments.pop("x"), arguments.pop("y"), **arguments)
