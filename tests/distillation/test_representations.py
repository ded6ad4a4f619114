"""Clusters, information and gradient noise against loops and closed forms."""

import math

import pytest
import torch
from torch import nn

from litrepro.distillation import cluster_tightness, gradient_noise, logit_information, plane_through_means


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_cluster_tightness_by_hand_and_its_invariances():
    f, y = draws(2, 20, 3), torch.arange(20) % 4 * 2  # labels 0, 2, 4, 6: others absent
    f = f + y[:, None]
    expected = []
    for member in f:
        means = {k: member[y == k].mean(0) for k in (0, 2, 4, 6)}
        within = sum(float((member[i] - means[int(y[i])]).square().sum()) for i in range(20)) / 20
        between = sum(float((m - member.mean(0)).square().sum()) for m in means.values()) / 4
        expected.append(within / between)
    assert cluster_tightness(f, y).tolist() == pytest.approx(expected)
    turn, _ = torch.linalg.qr(draws(3, 3, seed=1))
    assert cluster_tightness(5 * f[0] @ turn + 100, y).item() == pytest.approx(expected[0])


@pytest.mark.parametrize("size", [1e-200, 1e-30, 1e30, 1e200])
def test_tightness_and_information_do_not_depend_on_the_unit(size):
    f, y = draws(2, 30, 4), torch.arange(30) % 3
    assert torch.allclose(cluster_tightness(size * f, y), cluster_tightness(f, y))
    v = draws(3, 6, 4) + 2 * draws(3, 6, 1, seed=1)
    assert torch.allclose(logit_information(size * v), logit_information(v))


def test_tightness_of_points_that_coincide():
    for n in (6, 7, 13):
        for value in (0.1, 0.7, 1e9 + 0.1):
            same = torch.full((n, 2), value, dtype=torch.float64)
            assert cluster_tightness(same, torch.arange(n) % 2).isnan()
    same_means = torch.tensor([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, -1.0]])
    assert cluster_tightness(same_means, torch.tensor([0, 1, 0, 1])).isinf()


def test_plane_through_means_keeps_distances_within_the_plane():
    f, y = draws(30, 6), torch.arange(30) % 3
    f[torch.arange(30), y] += 4
    flat = plane_through_means(f, y, (0, 1, 2))
    means = torch.stack([f[y == k].mean(0) for k in range(3)])
    flat_means = torch.stack([flat[y == k].mean(0) for k in range(3)])
    assert torch.allclose(torch.cdist(means, means), torch.cdist(flat_means, flat_means))
    assert flat_means[0, 0] > 0
    assert abs(flat_means[0, 1]) < 1e-10
    assert torch.allclose(flat_means.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-10)


def information_by_hand(v):
    n, L = v.shape
    mu = v.mean(1)
    s2 = float(((v - mu[:, None]) ** 2).mean())
    total = 0.0
    for i in range(n):
        for k in range(L):
            density = sum(math.exp(-float((v[i, k] - mu[j]) ** 2) / (2 * s2)) for j in range(n))
            total += -float((v[i, k] - mu[i]) ** 2) / (2 * s2) - math.log(density)
    return math.log(n) + total / (n * L)


def test_logit_information():
    v = draws(3, 6, 4) + 2 * draws(3, 6, 1, seed=1)
    assert logit_information(v).tolist() == pytest.approx([information_by_hand(part) for part in v])
    constant = torch.tensor([1.0, 2.0, 4.0])[:, None].expand(3, 5)
    assert logit_information(constant).item() == pytest.approx(math.log(3))
    far = draws(5, 8) * 1e-3 + torch.arange(5)[:, None]
    assert logit_information(far).item() == pytest.approx(math.log(5), abs=1e-6)
    # a Gaussian channel: 1/2 log(1 + signal/noise)
    channel = draws(800, 60) + 3 * draws(800, 1, seed=1)
    assert logit_information(channel).item() == pytest.approx(0.5 * math.log(10), abs=0.05)
    useless = draws(400, 400)
    assert abs(logit_information(useless).item()) < 0.01
    scaled = logit_information(-7 * v + 3)
    assert torch.allclose(scaled, logit_information(v))


def test_logit_information_of_equal_augmentations():
    for value in (0.1, 0.7, 1e9 + 0.1):
        for dtype in (torch.float32, torch.float64):
            same = torch.full((2, 3, 3), value, dtype=dtype)
            assert logit_information(same).tolist() == pytest.approx([math.log(3)] * 2)
    assert logit_information(torch.full((3, 3), math.inf)).isnan()


def test_gradient_noise_against_a_loop():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    x, y = draws(7, 3), torch.arange(7) % 2

    def loss(z, labels):
        return nn.functional.cross_entropy(z, labels, reduction="none")

    rows = []
    for i in range(7):
        grads = torch.autograd.grad(loss(model(x[i : i + 1]), y[i : i + 1]).sum(), list(model.parameters()))
        rows.append(torch.cat([g.flatten() for g in grads]))
    g = torch.stack(rows)
    expected = ((g - g.mean(0)) ** 2).sum(1).mean() / (g.mean(0) ** 2).sum()
    assert gradient_noise(model, x, (y,), loss) == pytest.approx(expected.item())
    assert gradient_noise(model, x, (y,), lambda z, t: 9 * loss(z, t)) == pytest.approx(expected.item())
    model[0].requires_grad_(False)  # then the head alone counts
    g = g[:, 16:]
    expected = ((g - g.mean(0)) ** 2).sum(1).mean() / (g.mean(0) ** 2).sum()
    assert gradient_noise(model, x, (y,), loss) == pytest.approx(expected.item())


def test_bad_input():
    y = torch.tensor([0, 0, 1])
    bad = [
        lambda: cluster_tightness(draws(3, 2), torch.zeros(3, dtype=torch.int64)),
        lambda: cluster_tightness(draws(4, 2), y),
        lambda: cluster_tightness(draws(3, 2), y.float()),
        lambda: plane_through_means(draws(3, 2), y, (0, 1, 2)),
        lambda: plane_through_means(draws(3, 2), torch.arange(3)[:2], (0, 1, 2)),
        lambda: plane_through_means(draws(3, 1), torch.arange(3), (0, 1, 2)),
        lambda: plane_through_means(draws(1, 3, 2), torch.arange(3), (0, 1, 2)),
        lambda: plane_through_means(draws(3, 2), torch.arange(3), 2),
        lambda: logit_information(draws(1, 4)),
        lambda: logit_information(draws(4, 1)),
        lambda: logit_information(torch.zeros(3, 3, dtype=torch.int64)),
        lambda: gradient_noise(nn.Linear(2, 2), torch.zeros(1, 2), (torch.zeros(1),), None),
    ]
    for call in bad:
        with pytest.raises(ValueError, match=r"got|must|at least"):
            call()
