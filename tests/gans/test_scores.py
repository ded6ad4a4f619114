"""Scores against scipy, brute force and cases with known values."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from litrepro.gans import (
    MLPDiscriminator,
    MLPGenerator,
    ScoreNet,
    Variant,
    class_coverage,
    frechet_distance,
    gan_losses,
    inception_score,
    mode_coverage,
    ring_mixture,
    score_samples,
    score_table,
    thumbnail_images,
    thumbnails,
    train_gans,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_inception_score_known_values():
    K = 10
    mean, std = inception_score(torch.eye(K).repeat(20, 1))
    assert mean.item() == pytest.approx(K)
    assert std.item() == pytest.approx(0, abs=1e-9)
    mean, _ = inception_score(torch.full((50, K), 1 / K), splits=3)
    assert mean.item() == pytest.approx(1)
    mean, _ = inception_score(torch.eye(K)[torch.zeros(40, dtype=torch.long)])
    assert mean.item() == pytest.approx(1)


def test_inception_score_against_a_loop():
    probs = randn(2, 47, 5).softmax(-1)
    mean, std = inception_score(probs, splits=4)
    for b in range(2):
        scores = []
        for part in np.array_split(probs[b].numpy(), [47 * k // 4 for k in range(1, 4)]):
            center = part.mean(0)
            scores.append(math.exp(np.mean([(p * np.log(p / center)).sum() for p in part])))
        assert mean[b].item() == pytest.approx(np.mean(scores))
        assert std[b].item() == pytest.approx(np.std(scores))


def test_frechet_distance_against_scipy():
    a, b = randn(3, 60, 4), randn(3, 50, 4, seed=1) * 1.5 + 0.3
    found = frechet_distance(a, b)
    for k in range(3):
        ca, cb = np.cov(a[k].numpy().T), np.cov(b[k].numpy().T)
        gap = a[k].mean(0) - b[k].mean(0)
        reference = (gap @ gap).item() + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
        assert found[k].item() == pytest.approx(reference, abs=1e-6)
    assert torch.allclose(frechet_distance(b, a), found)
    assert frechet_distance(a, a).abs().max() < 1e-9
    constant = torch.ones(5, 4)
    assert frechet_distance(constant, constant + 2).item() == pytest.approx(16)
    assert frechet_distance(constant, constant.double()).item() == 0
    few = frechet_distance(randn(3, 8), randn(20, 8, seed=2))  # fewer samples than dimensions
    assert math.isfinite(few.item())
    assert few.item() > 0
    dead = a[0] * torch.tensor([1.0, 0.0, 1.0, 1.0])  # singular, beside pairs that are not
    mixed = frechet_distance(torch.stack([a[0], dead]), b[0])
    torch.testing.assert_close(mixed, torch.stack([found[0], frechet_distance(b[0], dead)]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("few", "both"), [(4, False), (4, True), (9, False)])
def test_gradient_of_the_frechet_distance_of_singular_covariances(few, both):
    # A direction within the span of few samples, along which their singular covariance keeps its rank.
    a, b = randn(few, 6), randn(3 if both else 20, 6, seed=1)
    a = a * torch.tensor([1.0, 1, 1, 0, 0, 1]) if few > 6 else a
    along = randn(len(a), len(a), seed=2) @ (a - a.mean(0))
    a.requires_grad_()
    for swap in (False, True):
        pair = (b, a) if swap else (a, b)
        (slope,) = torch.autograd.grad(frechet_distance(*pair), a)
        with torch.no_grad():
            sides = [a + sign * 1e-3 * along for sign in (1, -1)]
            up, down = (frechet_distance(*((b, side) if swap else (side, b))).item() for side in sides)
        assert (slope * along).sum().item() == pytest.approx((up - down) / 2e-3, rel=1e-3)


def test_gradient_of_the_frechet_distance_of_members():
    a, b = randn(2, 30, 3), randn(30, 3, seed=1)
    a[1, :, 2] = 0  # singular, beside one that is not
    a.requires_grad_()
    (slope,) = torch.autograd.grad(frechet_distance(a, b).sum(), a)
    for member, expected in zip(a, slope):
        (alone,) = torch.autograd.grad(frechet_distance(member, b), member)
        torch.testing.assert_close(alone, expected)


def test_class_coverage():
    probs = torch.full((100, 3), 0.05)
    probs[:99, 0] = 0.9
    probs[99, 1] = 0.9
    assert class_coverage(probs).item() == 2  # exactly one percent counts
    assert class_coverage(probs, min_share=0.02).item() == 1
    assert class_coverage(probs, min_confidence=0.95).item() == 0
    assert class_coverage(probs.expand(2, -1, -1)).tolist() == [2, 2]
    assert class_coverage(probs, min_share=0.0).item() == 2  # none of the samples is read as the third


def test_ring_and_mode_coverage():
    samples, centers = ring_mixture(4000, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(centers.norm(dim=1), torch.full((8,), 2.0))
    modes, share = mode_coverage(samples, centers, 0.02)
    assert modes.item() == 8
    assert share.item() == pytest.approx(1 - math.exp(-4.5), abs=0.01)
    modes, share = mode_coverage(samples + 0.2, centers, 0.02)
    assert modes.item() == 0
    assert share.item() == 0
    modes, share = mode_coverage(samples + 0.2, centers, 0.02, radius=math.inf)
    assert modes.item() == 8
    assert share.item() == 1
    half = torch.stack((samples, samples.roll(1, 0)))
    half[1, :, 1] = half[1, :, 1].abs()
    modes, _ = mode_coverage(half, centers, 0.02)
    assert modes.tolist() == [8, 5]
    broken = samples.clone()
    broken[:1000] = torch.nan
    assert mode_coverage(broken, centers, 0.02, radius=math.inf)[1].item() == 0.75


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_member_that_is_not_finite_leaves_the_others_alone(bad):
    x, y = randn(2, 3, 40, 5), randn(30, 5, seed=1)
    probs = x.softmax(-1)
    alone = torch.stack(inception_score(probs, 4)), frechet_distance(x, y), class_coverage(probs)
    whole = torch.ones(2, 3, dtype=torch.bool)
    for values in (x, probs):
        values[0, 1] = bad
        values[1, 2, 7, 3] = bad
    whole[0, 1] = whole[1, 2] = False
    batch = torch.stack(inception_score(probs, 4)), frechet_distance(x, y), class_coverage(probs)
    for found, expected in zip(batch, alone):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found[..., whole], expected[..., whole])
    assert all(bool(found[..., ~whole].isnan().all()) for found in batch[:2])
    assert not bool(batch[2][~whole].any())
    other = frechet_distance(y, x)
    torch.testing.assert_close(other, batch[1], equal_nan=True)
    for call in (
        lambda: inception_score(probs[0, 1], 4),
        lambda: class_coverage(probs[1, 2]),
        lambda: frechet_distance(x[0, 1], y),
        lambda: frechet_distance(x, y * bad),  # one reference for all members
        lambda: inception_score(torch.cat([probs[0], torch.ones(1, 40, 5)]), 4),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()


def test_scores_are_in_double_precision():
    probs, (samples, centers) = randn(40, 5).float().softmax(-1), ring_mixture(50, generator=0)
    scores = (*inception_score(probs), frechet_distance(probs, probs), mode_coverage(samples, centers, 0.02)[1])
    assert {score.dtype for score in scores} == {torch.float64}


def test_losses():
    real, fake = randn(3, 7), randn(3, 7, seed=1)
    D_real, D_fake = real.sigmoid(), fake.sigmoid()
    loss_d, loss_g = gan_losses(real, fake, "saturating")
    assert torch.allclose(loss_d, -(D_real.log().mean(-1) + (1 - D_fake).log().mean(-1)))
    assert torch.allclose(loss_g, (1 - D_fake).log().mean(-1))
    assert torch.allclose(gan_losses(real, fake, "nonsaturating")[1], -D_fake.log().mean(-1))
    loss_d, loss_g = gan_losses(real, fake, "wasserstein")
    assert torch.allclose(loss_d, fake.mean(-1) - real.mean(-1))
    assert torch.allclose(loss_g, -fake.mean(-1))
    for kind in ("saturating", "nonsaturating", "wasserstein"):
        for found, loop in zip(gan_losses(real, fake[0], kind), zip(*(gan_losses(r, fake[0], kind) for r in real))):
            torch.testing.assert_close(found, torch.stack(loop))
        for sign in (-1e4, 1e4):
            big = torch.full((2,), sign, requires_grad=True)
            both = torch.stack(gan_losses(big, big, kind))
            assert bool(torch.isfinite(both).all())
            assert bool(torch.isfinite(torch.autograd.grad(both.sum(), big)[0]).all())


def test_no_images_have_no_scores():
    net = ScoreNet()
    assert net.embed(torch.zeros(0, 1, 28, 28)).shape == (0, 64)
    assert net.probabilities(torch.zeros(2, 0, 1, 28, 28)).shape == (2, 0, 10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: gan_losses(torch.zeros(2), torch.zeros(2), "hinge"),
        lambda: inception_score(torch.full((5, 2), 0.5)),
        lambda: inception_score(torch.full((20, 2), 0.6)),
        lambda: frechet_distance(torch.ones(3, 2), torch.ones(3, 4)),
        lambda: frechet_distance(torch.ones(1, 2), torch.ones(3, 2)),
        lambda: class_coverage(torch.ones(3, 2)),
        lambda: mode_coverage(torch.ones(3, 2), torch.ones(4, 3), 0.1),
        lambda: mode_coverage(torch.ones(3, 2), torch.ones(4, 2), 0.0),
        lambda: ring_mixture(0, generator=torch.Generator()),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()


def test_score_table_is_of_the_step_and_the_noise_that_are_asked_for():
    net, x = ScoreNet(), torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    players = (lambda: MLPGenerator(2, 4, (1, 28, 28)), lambda: MLPDiscriminator((1, 28, 28), 4))
    gans = train_gans(*players, x, [Variant("a", lr=0.1)], steps=4, batch=8, snapshots=(1,))
    reference = net.embed(x)
    distances = []
    for step in (1, 4):
        for seed in (1, 2):
            found = score_table(gans, net, reference, n=50, seed=seed, step=step)["FD"][0]
            samples = gans.sample(50, seed=seed, step=step)
            assert found == pytest.approx(frechet_distance(net.embed(samples[0]), reference).item(), abs=1e-6)
            distances.append(found)
    assert len(set(distances)) == 4


def test_score_table_is_its_parts_and_survives_a_diverged_member():
    net, x = ScoreNet(), torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    players = (lambda: MLPGenerator(2, 4, (1, 28, 28)), lambda: MLPDiscriminator((1, 28, 28), 4))
    variants = [Variant("good"), Variant("bad", optimizer="sgd", lr=1e38)]
    gans = train_gans(*players, x, variants, steps=4, seeds=(0, 1), batch=8, record=1)
    reference = net.embed(x)
    table = score_table(gans, net, reference, n=50)
    assert table["variant"].tolist() == ["good", "bad"] * 2
    samples = gans.sample(50, seed=1)
    good = samples[0]
    assert abs(table["IS"][0] - inception_score(net.probabilities(good))[0].item()) < 1e-6
    assert abs(table["FD"][0] - frechet_distance(net.embed(good), reference).item()) < 1e-6
    assert table["classes"][0] == class_coverage(net.probabilities(good)).item()
    assert bool(table[["IS", "classes"]].notna().all(axis=None))
    assert not bool(samples[1::2].isfinite().all())
    assert bool((table["FD"][1::2] == math.inf).all())  # what is no image is as far as can be from all images
    assert table["IS"][1::2].tolist() == [1.0, 1.0]
    assert table["classes"][1::2].tolist() == [0, 0]
    images = thumbnail_images(thumbnails(gans, 5))
    assert list(images) == ["good", "bad"]
    assert float((images["good"] - gans.sample(5, seed=2)[0, :, 0]).abs().max()) <= 1 / 15 + 1e-6
    with pytest.raises(ValueError, match="samples must be"):
        score_samples(net, x, reference)
