"""Noise has the stated law; perturbed methods follow their algorithms, trial by trial."""

import copy
import io
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from litrepro.landscape import quartic_saddle
from litrepro.optim import PSGD, descend, noise, noisy_descent, perturbed_agd, perturbed_gd


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_noise_laws():
    n, d, r = 20_000, 5, 2.0
    draw = {
        kind: noise(kind, (n, d), r, generator=generator(), dtype=torch.float64)
        for kind in ("none", "sphere", "ball", "gaussian", "coordinate")
    }
    assert not draw["none"].any()
    torch.testing.assert_close(draw["sphere"].norm(dim=-1), torch.full((n,), r, dtype=torch.float64))
    radii = draw["ball"].norm(dim=-1)
    assert radii.max() <= r
    # |x|/r has the law U^(1/d): its d-th power is uniform.
    uniform = (radii / r) ** d
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert uniform.square().mean().item() == pytest.approx(1 / 3, abs=0.01)
    assert draw["gaussian"].square().sum(-1).mean().item() == pytest.approx(r**2, rel=0.02)
    assert draw["coordinate"].square().mean().item() == pytest.approx(r**2, rel=0.02)
    for kind in ("sphere", "ball", "gaussian", "coordinate"):
        assert draw[kind].mean(0).abs().max() < 0.06


def test_noise_per_trial_and_without_generator():
    radii = torch.tensor([0.0, 1.0, 3.0])
    torch.testing.assert_close(noise("sphere", (3, 4), radii).norm(dim=-1), radii)
    assert torch.equal(noise("ball", (2, 3), 1.0), noise("ball", (2, 3), 1.0))


@pytest.mark.parametrize(
    ("kind", "shape", "radius"),
    [("cube", (2,), 1.0), ("ball", (), 1.0), ("ball", (2, 0), 1.0), ("ball", (2,), -1.0), ("ball", (2,), math.nan),
     ("ball", (3, 2), torch.ones(2)), ("ball", (2, 2), torch.tensor([1.0, -1.0])), ("ball", (2, 2), torch.ones(2, 2))],
)  # fmt: skip
def test_bad_noise(kind, shape, radius):
    with pytest.raises(ValueError):
        noise(kind, shape, radius)


def test_without_noise_it_is_gradient_descent():
    x0 = torch.randn(4, 3, generator=generator(), dtype=torch.float64)
    plain = descend(quartic_saddle, x0, "sgd", 0.1, 20)
    torch.testing.assert_close(noisy_descent(quartic_saddle, x0, lr=0.1, steps=20).x, plain.x)
    never = perturbed_gd(quartic_saddle, x0, lr=0.1, steps=20, radius=1.0, g_thres=1e-12, t_thres=5)
    torch.testing.assert_close(never.x, plain.x)
    assert not never.events["perturbations"].any()


def test_noise_comes_every_so_often_and_steps_can_be_normalized():
    x0 = torch.ones(2, 3, dtype=torch.float64)
    path = noisy_descent(
        None, x0, lr=0.1, steps=6, radius=1.0, every=3, grad=lambda x, t: torch.zeros_like(x), generator=generator()
    )
    moved = path.x.diff(dim=0).norm(dim=-1)
    torch.testing.assert_close(moved[:, 0], torch.tensor([0, 0, 0.1, 0, 0, 0.1], dtype=torch.float64))
    unit = noisy_descent(lambda x: (5 * x).sum(-1), x0, lr=0.1, steps=2, normalize=True)
    torch.testing.assert_close(unit.x.diff(dim=0).norm(dim=-1), torch.full((2, 2), 0.1, dtype=torch.float64))
    still = noisy_descent(lambda x: (0 * x).sum(-1), x0, lr=0.1, steps=2, normalize=True)
    assert torch.equal(still.x[-1], x0)
    lost = noisy_descent(
        None, torch.zeros(2), lr=1.0, steps=1, normalize=True, grad=lambda x, t: torch.tensor([math.nan, 1e6])
    )
    assert lost.x[-1].isnan().all()
    for size in (1e-30, 1e-25, 1e20, 1e38):
        grad = lambda x, t, size=size: torch.full_like(x, size)  # noqa: E731
        far = noisy_descent(None, torch.zeros(2), lr=1.0, steps=1, normalize=True, grad=grad)
        torch.testing.assert_close(far.x[-1], torch.full((2,), -(0.5**0.5)))


def test_gradient_descent_stays_on_a_saddle_and_noise_leaves_it():
    x0 = torch.zeros(32, 4, dtype=torch.float64)
    assert not descend(quartic_saddle, x0, "sgd", 0.1, 300).x[-1].any()
    common = {"lr": 0.1, "steps": 300, "radius": 0.01, "generator": generator()}
    waits = {"g_thres": 0.01, "t_thres": 100}
    for path in (
        noisy_descent(quartic_saddle, x0, **common),
        perturbed_gd(quartic_saddle, x0, **common, **waits),
        perturbed_agd(quartic_saddle, x0, theta=0.25, gamma=0.6, s=0.15, **common, **waits),
    ):
        assert (path.f[-1] < -0.2).all()


def plain_pgd(fun, x, lr, steps, radius, g_thres, t_thres, f_thres, draws):
    """One trial of algorithm 2 of Jin et al. 2017, line by line."""
    t_noise, count, remembered, f_remembered = -t_thres - 1, 0, None, None
    for t in range(steps):

        def grad(z):
            z = z.detach().requires_grad_(True)
            return torch.autograd.grad(fun(z), z)[0]

        if grad(x).norm() <= g_thres and t - t_noise > t_thres:
            remembered, f_remembered, t_noise = x, fun(x), t
            x = x + draws[t]
            count += 1
        if t - t_noise == t_thres and fun(x) - f_remembered > -f_thres:
            return remembered, count, t
        x = x - lr * grad(x)
    return x, count, steps


def test_perturbed_gd_follows_the_algorithm_trial_by_trial():
    x0 = torch.cat([torch.zeros(2, 3), torch.randn(2, 3, generator=generator(3))]).double()
    options = {"lr": 0.1, "steps": 200, "radius": 0.05, "g_thres": 0.02, "t_thres": 30}
    path = perturbed_gd(quartic_saddle, x0, f_thres=0.01, generator=generator(7), **options)
    source = generator(7)
    draws = torch.stack([noise("ball", (4, 3), 0.05, generator=source, dtype=torch.float64) for _ in range(200)])
    for trial in range(4):
        x, count, stop = plain_pgd(quartic_saddle, x0[trial], 0.1, 200, 0.05, 0.02, 30, 0.01, draws[:, trial])
        torch.testing.assert_close(path.x[-1, trial], x)
        assert path.events["perturbations"][trial] == count
        assert path.events["stopped_at"][trial] == stop
        assert path.events["finished"][trial] == (stop < 200)
    assert path.events["finished"].all()
    assert path.t[-1] < 200, "the run ends when every trial has"


def test_perturbed_agd_exploits_negative_curvature():
    # Starting with no velocity on a ridge: once it moves, the certificate must fire somewhere.
    x0 = torch.full((1, 2), 0.01, dtype=torch.float64)
    common = {
        "lr": 0.05,
        "steps": 150,
        "radius": 0.0,
        "g_thres": 0.01,
        "t_thres": 10,
        "theta": 0.1,
        "gamma": 0.1,
        "s": 0.5,
    }
    with_it = perturbed_agd(quartic_saddle, x0, **common)
    without = perturbed_agd(quartic_saddle, x0, nce=False, **common)
    assert with_it.events["exploitations"].item() > 0
    assert without.events["exploitations"].item() == 0
    assert not with_it.events["perturbations"].any()
    v = x = None
    x, v = x0[0].clone(), torch.zeros(2, dtype=torch.float64)
    for _ in range(150):  # plain accelerated descent
        y = x + 0.9 * v
        z = y.clone().requires_grad_(True)
        (g,) = torch.autograd.grad(quartic_saddle(z), z)
        x, v = y - 0.05 * g, y - 0.05 * g - x
    torch.testing.assert_close(without.x[-1, 0], x)


@pytest.mark.parametrize(
    "change",
    [
        {"radius": 0.0},
        {"g_thres": 0.0},
        {"t_thres": 0},
        {"f_thres": -1.0},
        {"lr": 0.0},
        {"steps": 0},
        {"x0": torch.ones(2, dtype=torch.int64)},
    ],
)
def test_bad_perturbed_gd(change):
    arguments = {"x0": torch.zeros(2), "lr": 0.1, "steps": 2, "radius": 0.1, "g_thres": 0.1, "t_thres": 1} | change
    with pytest.raises(ValueError):
        perturbed_gd(quartic_saddle, **arguments)


@pytest.mark.parametrize("change", [{"theta": 0.0}, {"theta": 1.5}, {"gamma": -1.0}, {"s": -1.0}, {"radius": -1.0}])
def test_bad_perturbed_agd(change):
    arguments = {
        "lr": 0.1,
        "steps": 2,
        "radius": 0.1,
        "g_thres": 0.1,
        "t_thres": 1,
        "theta": 0.5,
        "gamma": 0.1,
        "s": 0.1,
    }
    with pytest.raises(ValueError):
        perturbed_agd(quartic_saddle, torch.zeros(2), **(arguments | change))


@pytest.mark.parametrize("change", [{"every": 0}, {"kind": "x"}, {"radius": -0.1}, {"lr": -1.0}])
def test_bad_noisy_descent(change):
    with pytest.raises(ValueError):
        noisy_descent(quartic_saddle, torch.zeros(2), **({"lr": 0.1, "steps": 2} | change))


def test_psgd_adds_one_joint_vector_per_trial():
    a, b = nn.Parameter(torch.zeros(3, 4, 2)), nn.Parameter(torch.zeros(3, 5))
    radius, lr = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.1, 0.1, 0.5])
    optimizer = PSGD([a, b], lr, radius, kind="sphere", batch_dims=1, generator=generator())
    for p in (a, b):
        p.grad = torch.zeros_like(p)
    optimizer.step()
    joint = torch.cat([a.detach().reshape(3, -1), b.detach()], 1)
    torch.testing.assert_close(joint.norm(dim=-1), lr * radius)


@pytest.mark.parametrize("lr", [0.1, torch.tensor([0.1, 0.2, 0.1, 0.3])])
def test_psgd_draws_noise_for_the_trials_that_have_a_radius(lr):
    gradient = torch.randn(4, 3, 2, generator=generator())
    a, plain = nn.Parameter(torch.zeros(4, 3, 2)), nn.Parameter(torch.zeros(4, 3, 2))
    radius = torch.tensor([0.0, 2.0, 0.0, 1.0])
    optimizer = PSGD([a], lr, radius, kind="sphere", batch_dims=1, generator=generator())
    a.grad = plain.grad = gradient
    optimizer.step()
    PSGD([plain], lr, 0.0, batch_dims=1).step()
    rates = torch.as_tensor(lr).expand(4)
    moved = (a - plain).detach().flatten(1)
    torch.testing.assert_close(moved.norm(dim=1), rates * radius)
    alone = nn.Parameter(torch.zeros(2, 3, 2))
    alone.grad = gradient[[1, 3]]
    PSGD([alone], rates[[1, 3]], radius[[1, 3]], kind="sphere", batch_dims=1, generator=generator()).step()
    torch.testing.assert_close(a[[1, 3]], alone)
    # A schedule that changes the radius in place, or puts another in its place, is followed.
    radius.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    before, a.grad = a.detach().clone(), torch.zeros_like(a)
    optimizer.step()
    torch.testing.assert_close((a - before).flatten(1).norm(dim=1), rates * radius)
    optimizer.param_groups[0]["radius"] = torch.tensor([0.0, 0.0, 3.0, 0.0])
    before = a.detach().clone()
    optimizer.step()
    torch.testing.assert_close((a - before).flatten(1).norm(dim=1), rates * torch.tensor([0.0, 0.0, 3.0, 0.0]))


@pytest.mark.parametrize(("radius", "lr"), [(torch.tensor([0.0, 1.0, 3.0, 0.5]), 0.1), (2.0, torch.full((4,), 0.1))])
def test_psgd_trials_of_one_group_share_their_noise(radius, lr):
    def moved(groups):
        parameters = [torch.nn.Parameter(torch.zeros(4, *shape)) for shape in ((3, 2), (5,))]
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        PSGD(parameters, lr, radius, batch_dims=1, generator=7, noise_groups=groups).step()
        return torch.cat([parameter.detach().flatten(1) for parameter in parameters], 1)

    size = torch.as_tensor(radius).expand(4)[:, None] * 0.1
    alone, paired = moved([8, 8, 8, 8]), moved([0, 1, 0, 1])
    direction = alone[2] / size[2]
    torch.testing.assert_close(alone, size * direction)  # one direction, each trial at its radius
    assert 0.1 < direction.norm() < 3  # N(0, I/d): a norm of about one
    torch.testing.assert_close(paired[1] * size[3], paired[3] * size[1])
    assert not torch.allclose(paired[1] / size[1], paired[2] / size[2])


@pytest.mark.parametrize(("groups", "dims"), [([0, 1], 1), ([0, 1, 2], 0), (3, 1)])
def test_psgd_refuses_groups_that_do_not_fit(groups, dims):
    with pytest.raises(ValueError, match="noise_groups"):
        PSGD([torch.nn.Parameter(torch.zeros(3, 2))], 0.1, 1.0, batch_dims=dims, noise_groups=groups)


def test_psgd_noise_of_several_batch_dimensions():
    """With some radii 0, of a parameter whose trials do not lie one after another in memory."""
    radius = torch.tensor([[0.0, 1.0, 2.0], [0.5, 0.0, 3.0]])
    straight, turned = nn.Parameter(torch.zeros(2, 3, 4)), nn.Parameter(torch.zeros(3, 2, 4).transpose(0, 1))
    for p in (straight, turned):
        p.grad = torch.zeros_like(p)
        PSGD([p], 1.0, radius, kind="sphere", batch_dims=2, generator=generator()).step()
    torch.testing.assert_close(straight.detach().norm(dim=-1), radius)
    assert torch.equal(straight, turned)


@pytest.mark.parametrize("change", [{"lr": -0.1}, {"radius": -5.0}, {"kind": "foo"}, {"radius": torch.ones(3)}])
def test_psgd_checks_every_group(change):
    p = nn.Parameter(torch.ones(2, 3))
    with pytest.raises(ValueError, match="must"):
        PSGD([{"params": [p]} | change], 0.1, 0.1, batch_dims=1)
    optimizer = PSGD([nn.Parameter(torch.ones(2))], 0.1, 0.1, batch_dims=1)
    with pytest.raises(ValueError, match="must"):
        optimizer.add_param_group({"params": [p]} | change)
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": [p], "radius": torch.ones(2), "kind": "ball"})


def test_psgd_parameters_of_one_group_have_the_same_trials():
    a, b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3, 2))
    with pytest.raises(ValueError, match="same batch dimensions"):
        PSGD([a, b], 0.1, 0.1, batch_dims=1)
    PSGD([{"params": [a]}, {"params": [b]}], 0.1, 0.1, batch_dims=1)


def test_psgd_without_noise_is_sgd_and_skips_frozen_parameters():
    a, frozen = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3), requires_grad=False)
    optimizer = PSGD([a, frozen], 0.1, 0.0)

    def closure():
        optimizer.zero_grad()
        loss = (a**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3.0
    torch.testing.assert_close(a.detach(), torch.full((3,), 0.8))
    assert torch.equal(frozen, torch.ones(3))


@pytest.mark.parametrize(
    ("lr", "radius", "kind", "dims"),
    [
        (0.0, 1.0, "ball", 0),
        (0.1, -1.0, "ball", 0),
        (0.1, 1.0, "cube", 0),
        (torch.ones(2), 1.0, "ball", 0),
        (0.1, torch.ones(3), "ball", 1),
    ],
)
def test_bad_psgd(lr, radius, kind, dims):
    with pytest.raises(ValueError):
        PSGD([nn.Parameter(torch.ones(2, 3))], lr, radius, kind=kind, batch_dims=dims)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
@pytest.mark.parametrize("groups", [None, [0, 1, 0]])
def test_a_copy_of_psgd_goes_on_like_the_original(copied, groups):
    weight = torch.nn.Parameter(torch.ones(3, 4))
    radius = torch.tensor([0.0, 1.0, 2.0])
    optimizer = PSGD([weight], 0.1, radius, batch_dims=1, generator=5, noise_groups=groups)

    def walk(optimizer):
        (parameter,) = optimizer.param_groups[0]["params"]
        for _ in range(3):
            parameter.grad = parameter.detach().clone()
            optimizer.step()
        return parameter.detach().clone()

    walk(optimizer)
    other = copied(optimizer)
    assert torch.equal(walk(other), walk(optimizer))


def walk(optimizer, steps):
    (parameter,) = optimizer.param_groups[0]["params"]
    for _ in range(steps):
        parameter.grad = parameter.detach().clone()
        optimizer.step()
    return parameter.detach().clone()


def test_a_restored_state_of_psgd_continues_the_run():
    optimizer = PSGD([nn.Parameter(torch.ones(4))], np.float64(0.1), np.float32(0.5), generator=5)
    middle = walk(optimizer, 3)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    end = walk(optimizer, 3)
    saved = torch.load(file, weights_only=True)
    restored = PSGD([nn.Parameter(middle.clone())], 0.1, 0.5, generator=6)
    restored.load_state_dict(saved)
    assert torch.equal(walk(restored, 3), end)
    # One without a generator, as other optimizers write it, leaves it where it is.
    del saved["generator"]
    own = PSGD([nn.Parameter(middle.clone())], 0.1, 0.5, generator=6)
    own.load_state_dict(saved)
    assert torch.equal(walk(own, 3), walk(PSGD([nn.Parameter(middle.clone())], 0.1, 0.5, generator=6), 3))


def test_a_state_of_psgd_from_another_kind_of_device_is_refused_whole():
    optimizer = PSGD([nn.Parameter(torch.ones(4))], 0.1, 0.5)
    before = optimizer.generator.get_state()
    other = optimizer.state_dict() | {"generator": torch.zeros(16, dtype=torch.uint8)}  # as long as that of a GPU
    other["param_groups"][0]["lr"] = 7.0
    with pytest.raises(ValueError, match="generator must be on the device of the saved one, got one on cpu"):
        optimizer.load_state_dict(other)
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert torch.equal(optimizer.generator.get_state(), before)


def test_psgd_without_trials_steps():
    empty = nn.Parameter(torch.ones(0, 2))
    empty.grad = torch.ones(0, 2)
    PSGD([empty], 0.1, 0.5, batch_dims=1).step()
    assert empty.shape == (0, 2)


def test_psgd_stands_still_where_its_schedule_is_zero():
    optimizer = PSGD([nn.Parameter(torch.ones(4))], 0.1, 0.5)
    optimizer.param_groups[0]["lr"] = 0.0
    assert torch.equal(walk(optimizer, 1), torch.ones(4))
    with pytest.raises(ValueError, match=r"kind, got .*momentum"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], "momentum": 0.9})
    assert len(optimizer.param_groups) == 1


def test_inference_mode_changes_nothing():
    x0 = torch.tensor([[0.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    common = {"lr": 0.1, "steps": 30, "radius": 0.1}
    waits = {"g_thres": 0.01, "t_thres": 10}
    for run in (
        lambda: descend(quartic_saddle, x0, "adam", 0.1, 5),
        lambda: noisy_descent(quartic_saddle, x0, **common),
        lambda: perturbed_gd(quartic_saddle, x0, **common, **waits),
        lambda: perturbed_agd(quartic_saddle, x0, theta=0.25, gamma=0.6, s=0.15, **common, **waits),
    ):
        with torch.inference_mode():
            found = run()
        assert torch.equal(found.x, run().x)
        assert not torch.equal(found.x[-1], x0)


@pytest.mark.parametrize("size", [2.0**-84, 2.0**84])
def test_a_gradient_is_small_by_its_length_and_not_by_its_squares(size):
    """One trial above the threshold and one at it, where the squares of both are 0 or inf in single precision."""
    x0 = torch.tensor([[3.0, 4.0], [0.0, 1.0]])

    def fun(x):
        return size * x.square().sum(-1) / 2

    options = {"lr": 0.25 / size, "steps": 1, "radius": 0.1, "g_thres": size, "t_thres": 5}
    for run in (perturbed_gd(fun, x0, **options), perturbed_agd(fun, x0, theta=0.5, gamma=0.0, s=0.0, **options)):
        assert run.events["perturbations"].tolist() == [0, 1]
