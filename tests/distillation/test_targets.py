"""Targets and profiles: brute force, invariants, the stationary point by autograd, bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro.distillation import (
    composite_optimum,
    gap_profile,
    geometric_profile,
    ranked_targets,
    shuffle_wrong_classes,
    smooth_labels,
    soft_cross_entropy,
    uniform_targets,
)


def test_smooth_labels_entry_by_entry():
    y = torch.tensor([[0, 3], [2, 2]])
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4])
    found = smooth_labels(y, 4, epsilon=0.25, prior=prior)
    assert found.dtype == torch.float32
    assert found.shape == (2, 2, 4)
    for index in ((0, 0), (0, 1), (1, 0)):
        expected = [0.75 * (k == int(y[index])) + 0.25 * float(prior[k]) for k in range(4)]
        assert found[index].tolist() == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.floats(0, 1))
def test_uniform_targets_are_smoothed_labels(K, share):
    peak = min(1 / K + share * (1 - 1 / K), 1.0)
    y = torch.arange(K)
    found = uniform_targets(y, K, peak=peak)
    assert torch.allclose(found.diagonal(), torch.tensor(peak))
    off = found[~torch.eye(K, dtype=torch.bool)]
    assert torch.allclose(off, torch.full_like(off, (1 - peak) / (K - 1)), atol=1e-6)
    assert torch.allclose(found, smooth_labels(y, K, epsilon=min((1 - peak) * K / (K - 1), 1)), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.floats(0, 1))
def test_geometric_profile(K, share):
    peak = min(1 / K + share * (1 - 1 / K), 1.0)
    p = geometric_profile(K, peak)
    assert p[0].item() == peak
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    assert bool((p.diff() <= 1e-12).all())
    if p[1] > 1e-12:
        ratios = p[1:] / p[:-1]
        kept = ratios[p[1:] > 1e-200]
        assert torch.allclose(kept, ratios[0].expand_as(kept), rtol=1e-9)


def test_geometric_profile_of_the_review_is_nearly_one_hot():
    p = geometric_profile(10, 0.99)
    assert p[:3].tolist() == pytest.approx([0.99, 0.0099, 1e-4], rel=0.02)
    entropy = lambda q: float(torch.special.entr(q).sum())  # noqa: E731
    uniform = uniform_targets(torch.tensor(0), 10, peak=0.99).double()
    assert entropy(p) == pytest.approx(0.056, abs=1e-3)
    assert entropy(uniform) == pytest.approx(0.078, abs=1e-3)
    assert geometric_profile(5, 1.0).tolist() == [1, 0, 0, 0, 0]
    assert torch.allclose(geometric_profile(5, 0.2), torch.full((5,), 0.2, dtype=torch.float64))


def test_gap_profile():
    assert gap_profile(5, 0.5, 0.1).tolist() == pytest.approx([0.5, 0.4, 1 / 30, 1 / 30, 1 / 30])
    assert gap_profile(4, 0.9, 0.8).tolist() == pytest.approx([0.9, 0.1, 0, 0])
    assert gap_profile(4, 0.9, 0.9).tolist() == pytest.approx([0.9, 0, 0.05, 0.05])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999), st.integers(2, 9))
def test_ranked_targets_against_sorting_by_hand(seed, K):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(4, (6, K), generator=generator).double()  # with ties
    y = torch.randint(K, (6,), generator=generator)
    profile = torch.rand(K, generator=generator).softmax(0)
    found = ranked_targets(y, scores, profile)
    assert found.dtype == profile.dtype
    for i in range(6):
        order = sorted(range(K), key=lambda k: (k != int(y[i]), -float(scores[i, k]), k))
        for rank, k in enumerate(order):
            assert found[i, k] == profile[rank]


def test_ranked_targets_with_infinite_and_shared_scores():
    profile = torch.tensor([0.7, 0.2, 0.1])
    wild = torch.tensor([[math.inf, 0.0, -math.inf]])
    assert ranked_targets(torch.tensor([2]), wild, profile).tolist()[0] == pytest.approx([0.2, 0.1, 0.7])
    by_number = ranked_targets(torch.tensor([[1], [0]]), -torch.arange(3), profile)
    assert by_number.shape == (2, 1, 3)
    assert by_number[0, 0].tolist() == pytest.approx([0.2, 0.7, 0.1])


def test_shuffle_keeps_label_and_values_and_is_uniform():
    values = torch.tensor([0.4, 0.3, 0.2, 0.1]).repeat(6000, 1)
    y = torch.full((6000,), 1)
    mixed = shuffle_wrong_classes(values, y, generator=torch.Generator().manual_seed(3))
    assert bool((mixed[:, 1] == 0.3).all())
    assert torch.equal(mixed.sort(1).values, values.sort(1).values)
    assert torch.allclose(mixed[:, [0, 2, 3]].mean(0), torch.tensor(0.7 / 3).expand(3), atol=0.006)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.floats(0, 1), st.floats(0.5, 20), st.booleans())
def test_composite_optimum_zeroes_the_gradient(seed, alpha, T, squared):
    generator = torch.Generator().manual_seed(seed)
    soft = torch.randn(3, 6, generator=generator, dtype=torch.float64).softmax(-1)
    y = torch.randint(6, (3,), generator=generator)
    p = composite_optimum(y, soft, alpha=alpha, temperature=T, squared=squared)
    q = torch.nn.functional.one_hot(y, 6)
    c = T if squared else 1 / T
    assert torch.allclose((1 - alpha) * (p - q) + alpha * c * (p - soft), torch.zeros_like(p), atol=1e-12)
    assert torch.allclose(p.sum(-1), torch.ones(3, dtype=torch.float64))


def test_composite_optimum_at_t_1_is_the_minimizer_found_by_newton():
    soft, y = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64), torch.tensor([1])
    p = composite_optimum(y, soft, alpha=0.4, temperature=1.0)
    z = p.log().requires_grad_()
    loss = 0.6 * torch.nn.functional.cross_entropy(z, y) + 0.4 * soft_cross_entropy(z, soft).mean()
    (gradient,) = torch.autograd.grad(loss, z)
    assert gradient.abs().max() < 1e-12


def test_targets_under_vmap():
    y, profile = torch.tensor([[0, 3, 1], [2, 2, 4]]), torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05])
    scores = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    soft = scores.double().softmax(-1)
    share = torch.tensor([[0.0, 0.3, 0.5], [0.7, 0.9, 1.0]], dtype=torch.float64)
    run = lambda call: torch.func.vmap(torch.func.vmap(call))  # noqa: E731
    for found, single in (
        (run(lambda t: smooth_labels(t, 5, epsilon=0.3))(y), lambda i: smooth_labels(y[i], 5, epsilon=0.3)),
        (
            run(lambda t, e, p: smooth_labels(t, 5, epsilon=e, prior=p))(y, share, soft),
            lambda i: smooth_labels(y[i], 5, epsilon=share[i].item(), prior=soft[i]),
        ),
        (
            run(lambda t, e: uniform_targets(t, 5, peak=0.2 + 0.8 * e))(y, share),
            lambda i: uniform_targets(y[i], 5, peak=0.2 + 0.8 * share[i].item()),
        ),
        (
            run(lambda t, s: ranked_targets(t, s, profile))(y, scores),
            lambda i: ranked_targets(y[i], scores[i], profile),
        ),
        (
            run(lambda t, s, a: composite_optimum(t, s, alpha=a, temperature=1 + a))(y, soft, share),
            lambda i: composite_optimum(y[i], soft[i], alpha=share[i].item(), temperature=1 + share[i].item()),
        ),
    ):
        for i in ((0, 0), (0, 2), (1, 1)):
            torch.testing.assert_close(found[i], single(i))


def test_one_weight_for_each_label():
    y = torch.tensor([[0, 1, 3], [2, 2, 1]])
    soft = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    share = torch.tensor([[0.0, 0.3, 0.5], [0.7, 0.9, 1.0]], dtype=torch.float64)
    smooth, even = smooth_labels(y, 4, epsilon=share), uniform_targets(y, 4, peak=0.25 + share / 2)
    optimum = composite_optimum(y, soft, alpha=share, temperature=1 + share)
    for i in ((0, 0), (0, 2), (1, 1)):
        e = share[i].item()
        torch.testing.assert_close(smooth[i], smooth_labels(y[i], 4, epsilon=e))
        torch.testing.assert_close(even[i], uniform_targets(y[i], 4, peak=0.25 + e / 2))
        q = torch.nn.functional.one_hot(y[i], 4)
        assert ((1 - e) * (optimum[i] - q) + e / (1 + e) * (optimum[i] - soft)).abs().max() < 1e-12
    assert composite_optimum(y, soft.float(), alpha=share, temperature=2.0).dtype == torch.float32


def test_bad_input():
    y = torch.tensor([0, 1])
    good = torch.tensor([0.5, 0.3, 0.2])
    bad = [
        lambda: smooth_labels(y, 3, epsilon=1.1),
        lambda: smooth_labels(y, 3, epsilon=-0.1),
        lambda: smooth_labels(y, 1, epsilon=0.1),
        lambda: smooth_labels(torch.tensor([3]), 3, epsilon=0.1),
        lambda: smooth_labels(torch.tensor([-1]), 3, epsilon=0.1),
        lambda: smooth_labels(y, 3, epsilon=0.1, prior=torch.tensor([0.5, 0.5])),
        lambda: smooth_labels(y, 3, epsilon=0.1, prior=torch.tensor([0.5, 0.6, 0.1])),
        lambda: smooth_labels(y, 3, epsilon=0.1, prior=torch.tensor([1.5, -0.6, 0.1])),
        lambda: smooth_labels(y.float(), 3, epsilon=0.1),
        lambda: uniform_targets(y, 3, peak=0.3),
        lambda: uniform_targets(y, 3, peak=1.2),
        lambda: geometric_profile(10, 0.05),
        lambda: geometric_profile(10, 1.01),
        lambda: geometric_profile(1, 1.0),
        lambda: gap_profile(2, 0.6, 0.2),
        lambda: gap_profile(5, 0.6, 0.1),
        lambda: gap_profile(5, 0.3, 0.4),
        lambda: ranked_targets(y, torch.zeros(2, 3), good[:2]),
        lambda: ranked_targets(y, torch.zeros(3, 3), good),
        lambda: ranked_targets(torch.tensor([0, 3]), torch.zeros(2, 3), good),
        lambda: ranked_targets(y, torch.full((2, 3), torch.nan), good),
        lambda: smooth_labels(y, 3, epsilon=0.1, prior="uniform"),
        lambda: shuffle_wrong_classes(torch.zeros(2, 3), y, generator=None),
        lambda: shuffle_wrong_classes(torch.zeros(3, 3), y, generator=torch.Generator()),
        lambda: composite_optimum(y, torch.zeros(3, 3), alpha=0.1, temperature=1.0),
        lambda: composite_optimum(y, torch.zeros(3, 2, 3), alpha=0.1, temperature=1.0),
        lambda: composite_optimum(torch.tensor([0, 3]), good, alpha=0.1, temperature=1.0),
        lambda: composite_optimum(y, good, alpha=torch.ones(3), temperature=1.0),
        lambda: composite_optimum(y, good, alpha=0.1, temperature=torch.ones(3)),
        lambda: smooth_labels(y, 3, epsilon=torch.ones(3)),
        lambda: smooth_labels(y, 3, epsilon=0.1, prior=torch.full((3,), torch.nan)),
        lambda: uniform_targets(y, 3, peak=torch.ones(3)),
        lambda: composite_optimum(y, torch.zeros(2, 3), alpha=1.1, temperature=1.0),
        lambda: composite_optimum(y, torch.zeros(2, 3), alpha=0.1, temperature=0.0),
    ]
    for call in bad:
        with pytest.raises(ValueError, match=r"got|must"):
            call()
