"""Generators: their exact layout, their statistics, and the physics of the little earth."""

import math

import pytest
import torch

from litrepro import data


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_wilson_layout():
    x, y = data.wilson_example(50, generator=generator())
    assert x.shape == (50, 253)
    assert torch.equal(x[:, 0], y)
    assert torch.equal(x[:, 1:3], torch.ones(50, 2, dtype=torch.float64))
    for i in range(50):
        own = torch.zeros(250, dtype=torch.float64)
        own[5 * i : 5 * i + (1 if y[i] > 0 else 5)] = 1
        assert torch.equal(x[i, 3:], own)
    assert data.wilson_example(4000, 0.7, generator=generator())[1].gt(0).double().mean() == pytest.approx(
        0.7, abs=0.03
    )


@pytest.mark.parametrize(("n", "p"), [(0, 0.7), (5, 0.5), (5, 1.0), (5, math.nan), (2.5, 0.7)])
def test_wilson_bad_input(n, p):
    with pytest.raises(ValueError):
        data.wilson_example(n, p, generator=generator())


def test_sensors_are_correlated_and_standardized():
    x, y = data.correlated_sensors(seed=1)
    assert (x.shape, y.shape, x.dtype) == ((500, 128), (1, 500), torch.float64)
    torch.testing.assert_close(x.mean(0), torch.zeros(128, dtype=torch.float64))
    torch.testing.assert_close(y.std(correction=0), torch.tensor(1.0, dtype=torch.float64))
    condition = torch.linalg.cond(x.T @ x)
    assert 3e3 < condition < 3e4
    assert not torch.equal(x, data.correlated_sensors(seed=2)[0])
    with pytest.raises(ValueError, match="seed must be below"):
        data.correlated_sensors(seed=2**64)


def test_patches_have_the_given_length_and_angle():
    z = data.correlated_patches(400, 3, 50, 0.4, generator=generator())
    torch.testing.assert_close(z.norm(dim=-1), torch.full((400, 3), math.sqrt(50.0), dtype=torch.float64))
    # z_i = u + tan(angle) e_i with independent directions: the mean cosine between patches is cos(angle)^2.
    cosine = (z[:, 0] * z[:, 1]).sum(-1) / 50
    assert cosine.mean() == pytest.approx(math.cos(0.4) ** 2, abs=0.02)
    same = data.correlated_patches(5, 3, 4, 0.0, generator=generator())
    torch.testing.assert_close(same[:, 0], same[:, 1])
    with pytest.raises(ValueError, match="angle"):
        data.correlated_patches(5, 3, 4, 1.6, generator=generator())


def test_moons():
    x, y = data.double_moon(2001, generator=generator())
    assert (y > 0).sum() == 1001
    upper, lower = x[y > 0], x[y < 0]
    assert upper[:, 1].min() >= 0
    torch.testing.assert_close(lower[:, 1].max() <= 0.2, torch.tensor(True))
    radii = upper.norm(dim=1)
    assert radii.min() >= 0.7
    assert radii.max() <= 1.3
    mirrored = (lower - torch.tensor([1.0, 0.2], dtype=torch.float64)).norm(dim=1)
    assert mirrored.min() >= 0.7 - 1e-12
    assert mirrored.max() <= 1.3 + 1e-12
    for keywords in ({"radius": 0.0}, {"width": 3.0}, {"n": 0}):
        with pytest.raises(ValueError):
            data.double_moon(**({"n": 5, "generator": generator()} | keywords))


def test_layers():
    v = data.layered_velocity(50, size=30, seed=3)
    assert v.shape == (50, 30, 30)
    assert (v.diff(dim=1) >= 0).all()
    assert all(model.unique().numel() <= 5 for model in v)
    assert v.min() >= 1.5
    assert v.max() <= 4.5
    assert torch.equal(v[:2], data.layered_velocity(50, size=30, seed=3)[:2])
    for arguments in ({"count": 0}, {"count": 1, "size": 7}, {"count": 1, "vmin": 5.0}, {"count": 1, "seed": 2**64}):
        with pytest.raises(ValueError, match="must"):
            data.layered_velocity(**arguments)


def test_shots_of_a_batch_equal_single_ones():
    v = data.layered_velocity(3, seed=1).reshape(3, 1, 24, 24)
    shots = data.acoustic_shots(v, shots=2, steps=61, keep=4)
    assert shots.shape == (3, 1, 2, 16, 24)
    torch.testing.assert_close(shots[1, 0], data.acoustic_shots(v[1, 0], shots=2, steps=61, keep=4))
    every = data.acoustic_shots(v[1, 0], shots=2, steps=61, keep=1)
    torch.testing.assert_close(shots[1, 0], every[:, ::4])
    assert data.acoustic_shots(v[0, 0].double()).dtype == torch.float64


def test_the_sponge_absorbs_the_wave():
    trace = data.acoustic_shots(torch.full((24, 24), 2.0), steps=240, keep=1, shots=1)[0].abs().amax(1)
    assert trace[200:].max() < 0.5 * trace.max()


def test_the_wave_travels_at_the_speed_of_the_model():
    dx = 0.05
    arrivals = []
    for speed in (2.0, 3.0):
        trace = data.acoustic_shots(torch.full((48, 48), speed, dtype=torch.float64), steps=240, keep=1, shots=1, dx=dx)
        near, far = trace[0, :, 26].abs().argmax(), trace[0, :, 42].abs().argmax()
        arrivals.append(float(far - near) * 0.5 * dx / 4.5)
    assert arrivals[0] == pytest.approx(16 * dx / 2.0, rel=0.15)
    assert arrivals[1] == pytest.approx(16 * dx / 3.0, rel=0.15)


def test_shots_are_differentiable():
    v = torch.full((16, 16), 2.0, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad((data.acoustic_shots(v, steps=40, shots=1) ** 2).sum(), v)
    assert gradient.abs().sum() > 0
    step = torch.zeros_like(v)
    step[8, 8] = 1e-5
    with torch.no_grad():
        up, down = ((data.acoustic_shots(v + s * step, steps=40, shots=1) ** 2).sum() for s in (1, -1))
    assert gradient[8, 8].item() == pytest.approx(((up - down) / 2e-5).item(), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fastest_velocity_that_is_stable(dtype):
    # 0.6 = v dt/dx at the default time step, and 5.4 is no float32.
    assert data.acoustic_shots(torch.full((8, 8), 5.4, dtype=dtype), steps=400).abs().max() < 100
    with pytest.raises(ValueError, match="must be at most"):
        data.acoustic_shots(torch.full((8, 8), 5.4001, dtype=dtype))


def test_no_models_give_no_shots():
    assert data.acoustic_shots(torch.ones(0, 8, 8), shots=3, steps=40).shape == (0, 3, 10, 8)


@pytest.mark.parametrize(
    ("velocity", "keywords"),
    [
        (torch.full((16, 16), -1.0), {}),
        (torch.full((16, 16), math.nan), {}),
        (torch.ones(16, 15), {}),
        (torch.ones(2, 0, 0), {}),
        (torch.ones(16, 16, dtype=torch.int64), {}),
        (torch.full((16, 16), 5.0), {"dt": 0.01}),
        (torch.ones(16, 16), {"shots": 0}),
        (torch.ones(16, 16), {"keep": 0}),
    ],
)
def test_bad_shots(velocity, keywords):
    with pytest.raises(ValueError):
        data.acoustic_shots(velocity, **keywords)


@pytest.mark.parametrize("source", ["x", -1, 2.5])
@pytest.mark.parametrize(
    "call",
    [
        lambda g: data.wilson_example(4, generator=g),
        lambda g: data.double_moon(4, generator=g),
        lambda g: (data.correlated_patches(2, 2, 2, 0.5, generator=g),),
    ],
)
def test_a_generator_may_be_a_seed_but_nothing_else(call, source):
    with pytest.raises(ValueError, match="generator must be"):
        call(source)
    for one, other in zip(call(3), call(torch.Generator().manual_seed(3)), strict=True):
        assert torch.equal(one, other)
