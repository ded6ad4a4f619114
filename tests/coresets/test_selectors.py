"""The selectors against brute force, scipy, and their own definitions."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from litrepro.coresets import (
    Coreset,
    class_quotas,
    craig,
    facility_location,
    glister,
    grad_match,
    gradient_error,
    random,
    select,
    select_batches,
    weighted_glister,
)
from litrepro.coresets._select import METHODS


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def value(similarity, chosen):
    shifted = similarity - similarity.min()
    return shifted[:, list(chosen)].amax(1).sum().item()


def naive_greedy(similarity, k):
    chosen = []
    for _ in range(k):
        left = [j for j in range(similarity.shape[1]) if j not in chosen]
        chosen.append(max(left, key=lambda j: value(similarity, [*chosen, j])))
    return chosen


ALL = [
    craig,
    glister,
    weighted_glister,
    lambda g, k: weighted_glister(g, k, similarity="cosine"),
    grad_match,
    lambda g, k: random(g, k, generator=0),
]


# --- facility location ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_facility_location_is_the_naive_greedy_lazy_or_not(sign):
    s = sign * normal(3, 20, 15).abs()
    for lazy in (False, True, None):
        found = facility_location(s, 6, lazy=lazy)
        for one, chosen in zip(s, found):
            assert chosen.tolist() == naive_greedy(one, 6)


def test_lazy_and_dense_agree_where_lazy_has_work_to_do():
    points = normal(2, 400, 3)
    s = -torch.cdist(points, points)
    assert torch.equal(facility_location(s, 60, lazy=True), facility_location(s, 60, lazy=False))


def test_facility_location_reaches_its_bound_and_ignores_constants():
    for seed in range(20):
        s = normal(9, 9, seed=seed)
        found = facility_location(s, 3)
        best = max(value(s, c) for c in itertools.combinations(range(9), 3))
        assert value(s, found.tolist()) >= (1 - np.exp(-1)) * best
        assert torch.equal(found, facility_location(s + 1000, 3))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.data())
def test_facility_location_survives_ties(n, m, data):
    k = data.draw(st.integers(1, m))
    cells = data.draw(st.lists(st.integers(-2, 2), min_size=n * m, max_size=n * m))
    s = torch.tensor(cells, dtype=torch.float64).reshape(n, m)
    for lazy in (True, False):
        found = facility_location(s, k, lazy=lazy).tolist()
        assert len(set(found)) == k
        assert value(s, found) >= (1 - 1 / np.e) * max(value(s, c) for c in itertools.combinations(range(m), k)) - 1e-9


# --- CRAIG and weighted GLISTER -------------------------------------------------------------------------------------


def test_craig_weights_count_the_nearest_and_bound_the_error():
    g = normal(4, 40, 6)
    chosen = craig(g, 7)
    assert torch.equal(chosen.weights.sum(-1), torch.full((4,), 40.0, dtype=torch.float64))
    for b in range(4):
        apart = torch.cdist(g[b], g[b][chosen.indices[b]])
        assert torch.equal(apart.argmin(1).bincount(minlength=7).double(), chosen.weights[b])
        # By value: two points far from all others are a tie at the last choice.
        s = -torch.cdist(g[b], g[b])
        assert value(s, chosen.indices[b].tolist()) == pytest.approx(value(s, naive_greedy(s, 7)))
        assert gradient_error(g, chosen)[b] <= apart.amin(1).sum() + 1e-9


@pytest.mark.parametrize("similarity", ["inner", "cosine"])
def test_weighted_glister_counts_the_most_similar(similarity):
    g = normal(30, 5)
    s = g @ g.mT
    if similarity == "cosine":
        s = s / g.norm(dim=1)[:, None] / g.norm(dim=1)
    chosen = weighted_glister(g, 6, similarity=similarity)
    assert chosen.indices.tolist() == naive_greedy(s, 6)
    assert torch.equal(s[:, chosen.indices].argmax(1).bincount(minlength=6).double(), chosen.weights)


def test_cosine_similarity_does_not_see_lengths():
    g = normal(25, 4)
    lengths = torch.rand(25, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    a, b = (weighted_glister(x, 5, similarity="cosine") for x in (g, lengths * g))
    assert torch.equal(a.indices, b.indices)
    assert torch.equal(a.weights, b.weights)


def test_duplicates_are_counted_and_not_chosen_twice():
    g = normal(5, 3).repeat_interleave(4, 0)
    chosen = craig(g, 5)
    assert sorted((chosen.indices // 4).tolist()) == [0, 1, 2, 3, 4]
    assert chosen.weights.tolist() == [4.0] * 5


# --- GLISTER --------------------------------------------------------------------------------------------------------


def test_glister_is_the_optimum_of_its_modular_objective():
    g = normal(9, 4)
    b = normal(4, seed=1)
    for target in (None, b):
        scores = g @ (g.sum(0) if target is None else target)
        best = max(itertools.combinations(range(9), 3), key=lambda c: scores[list(c)].sum())
        assert sorted(glister(g, 3, target=target).indices.tolist()) == sorted(best)


def test_refresh_sees_what_was_chosen_and_steers():
    g, seen = torch.eye(4, dtype=torch.float64), []
    wanted = [3, 1, 0]

    def refresh(chosen):
        seen.append(chosen.tolist())
        return g[wanted[len(chosen)]]

    found = glister(g, 3, target=g[wanted[0]], refresh=refresh)
    assert found.indices.tolist() == wanted
    assert seen == [[3], [3, 1]]
    assert found.weights.tolist() == [4 / 3] * 3


# --- GRAD-MATCH -----------------------------------------------------------------------------------------------------


def naive_pursuit(g, k, ridge=0.0):
    b, chosen = g.sum(0), []
    w = np.zeros(0)
    for _ in range(k):
        r = b - g[chosen].T @ w if chosen else b
        scores = g @ r
        scores[chosen] = -np.inf
        chosen.append(int(scores.argmax()))
        stacked = np.vstack([g[chosen].T, np.sqrt(ridge) * np.eye(len(chosen))])
        w = nnls(stacked, np.concatenate([b, np.zeros(len(chosen))]))[0]
    return chosen, w


@pytest.mark.parametrize("ridge", [0.0, 3.0])
def test_grad_match_is_pursuit_with_scipys_nnls(ridge):
    g = normal(3, 60, 25)
    found = grad_match(g, 15, ridge=ridge)
    for b in range(3):
        chosen, w = naive_pursuit(g[b].numpy(), 15, ridge)
        assert found.indices[b].tolist() == chosen
        np.testing.assert_allclose(found.weights[b].numpy(), w, atol=1e-7)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e33])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_float32_gradients_are_matched_as_those_in_float64(nonnegative, scale):
    g = (scale * normal(2, 60, 25)).float()
    short, long = (grad_match(part, 20, nonnegative=nonnegative) for part in (g, g.double()))
    assert torch.equal(short.indices, long.indices)
    assert short.weights.dtype == torch.float32
    torch.testing.assert_close(short.weights, long.weights.float())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 8), st.sampled_from([0.0, 1e-2, 1.0]))
def test_grad_match_meets_the_optimality_conditions(seed, n, p, ridge):
    g = normal(n, p, seed=seed)
    k = 1 + seed % n
    indices, w = grad_match(g, k, ridge=ridge)
    assert indices.unique().numel() == k
    assert bool((w >= 0).all())
    chosen, b = g[indices], g.sum(0)
    slope = chosen @ (b - w @ chosen) - ridge * w
    scale = (g @ b).abs().max()
    assert bool((slope <= 1e-6 * scale).all())
    assert bool((slope.abs()[w > 0] <= 1e-6 * scale).all())


def test_signed_pursuit_is_least_squares_on_its_support():
    g = normal(2, 30, 12)
    found = grad_match(g, 8, nonnegative=False)
    for b in range(2):
        support = g[b][found.indices[b]]
        w = torch.linalg.lstsq(support.mT, g[b].sum(0)[:, None]).solution[:, 0]
        torch.testing.assert_close(found.weights[b], w)
    assert bool((found.weights < 0).any())


def test_more_examples_than_dimensions_match_exactly():
    g = normal(3, 50, 5)
    assert float((gradient_error(g, grad_match(g, 30, nonnegative=False)) / g.sum(1).norm(dim=1)).max()) < 1e-8
    doubled = torch.cat([g, g], 1)
    found = grad_match(doubled, 40)
    assert bool(found.weights.isfinite().all())
    assert float(gradient_error(doubled, found).max()) < 1e-3 * float(doubled.sum(1).norm(dim=1).max())


def test_pursuit_lowers_the_error_and_ridge_spreads_the_weights():
    g = normal(60, 20)
    errors = [gradient_error(g, grad_match(g, k)).item() for k in range(1, 16)]
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(errors))
    plain, spread = (grad_match(g, 15, ridge=r).weights.max() for r in (0.0, 20.0))
    assert spread < plain


def test_a_batch_is_its_problems_one_by_one():
    g = normal(4, 30, 6)
    g[2] = 0
    for method in ALL[:-1]:
        found = method(g, 9)
        assert found.indices.shape == found.weights.shape == (4, 9)
        for b in range(4):
            one = method(g[b], 9)
            torch.testing.assert_close(found.weights[b], one.weights)
            assert torch.equal(found.indices[b], one.indices) or not g[b].any()


# --- all selectors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ALL)
def test_edge_cases_of_every_selector(method):
    g = normal(12, 4, dtype=torch.float32)
    everything = method(g, 12)
    assert sorted(everything.indices.tolist()) == list(range(12))
    nothing = method(torch.zeros(2, 6, 3), 4)
    assert bool(nothing.weights.isfinite().all())
    assert all(len(set(row)) == 4 for row in nothing.indices.tolist())
    assert everything.weights.dtype == torch.float32
    for bad, k in [
        (g[0], 1),
        (g, 0),
        (g, 13),
        (g, 2.5),
        (g * float("nan"), 2),
        (torch.ones(4, 2, dtype=torch.int64), 1),
    ]:
        with pytest.raises(ValueError):
            method(bad, k)


def test_all_examples_have_no_error_where_weights_are_one():
    g = normal(15, 4)
    for method in (craig, glister, grad_match):
        assert gradient_error(g, method(g, 15)).item() < 1e-6
    assert gradient_error(g, glister(g, 15), target=torch.zeros(4, dtype=torch.float64)) > 0.1


def test_the_default_target_of_float32_gradients_is_summed_in_float64():
    g = normal(20000, 10, dtype=torch.float32) + 100
    g = torch.cat([g, -g])
    everything = Coreset(torch.arange(len(g)), torch.ones(len(g)))
    assert float(gradient_error(g, everything)) == 0
    # A target in float64 is not rounded to the gradients' dtype.
    whole = g.double().sum(0) + 1e-9
    assert float(gradient_error(g, everything, target=whole)) == pytest.approx(1e-9 * 10**0.5, rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 1e8, -1e8])
def test_craig_does_not_see_what_all_gradients_share(shift):
    g = torch.tensor([[0.0], [0.1], [0.2], [0.3], [5.0]], dtype=torch.float64) + shift
    chosen = craig(g, 2)
    assert chosen.indices.tolist() == [2, 4]
    assert chosen.weights.tolist() == [4.0, 1.0]
    bound = (g - g[chosen.indices].T).abs().amin(1).sum()
    assert gradient_error(g - shift, chosen) <= bound + 1e-6


def test_one_target_serves_a_batch():
    g, b = normal(3, 9, 4), normal(4, seed=1)
    for method in (grad_match, glister):
        found = method(g, 3, target=b)
        alone = [method(one, 3, target=b) for one in g]
        assert torch.equal(found.indices, torch.stack([one.indices for one in alone]))
        torch.testing.assert_close(found.weights, torch.stack([one.weights for one in alone]))
    errors = torch.stack([gradient_error(one, part, target=b) for one, part in zip(g, alone)])
    torch.testing.assert_close(gradient_error(g, found, target=b), errors)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("p", [4, 20])
def test_targets_and_problems_broadcast(p, many):
    g, b = normal(3, 2, 9, p) if many else normal(9, p), normal(3, 1, p, seed=1)
    lead = (3, 2) if many else (3, 1)
    every = g.expand(*lead, 9, p)
    for method in (grad_match, glister):
        found = method(g, 3, target=b)
        assert found.indices.shape == found.weights.shape == (*lead, 3)
        errors = gradient_error(g, found, target=b)
        for place in itertools.product(*map(range, lead)):
            one, target = every[place], b[place[0], 0]
            alone = method(one, 3, target=target)
            assert torch.equal(found.indices[place], alone.indices)
            torch.testing.assert_close(found.weights[place], alone.weights)
            missed = (alone.weights[:, None] * one[alone.indices]).sum(0) - target
            torch.testing.assert_close(errors[place], missed.norm())


def test_one_coreset_serves_many_problems():
    g, chosen = normal(4, 5, 3), Coreset(torch.tensor([0, 3], dtype=torch.int32), torch.tensor([1.5, 2.0]))
    expected = (1.5 * g[:, 0] + 2 * g[:, 3] - g.sum(1)).norm(dim=1)
    torch.testing.assert_close(gradient_error(g, chosen), expected)
    several = Coreset(torch.tensor([[0, 3], [1, 2]]), torch.tensor([[1.5, 2.0], [1.0, 0.5]]))
    second = (g[2, 1] + 0.5 * g[2, 2] - g[2].sum(0)).norm()
    torch.testing.assert_close(gradient_error(g[2], several), torch.stack([expected[2], second]))


def test_the_cosine_has_no_scale():
    g = normal(20, 5)
    lengths = 2.0 ** -torch.arange(20, dtype=g.dtype)[:, None]
    expected = weighted_glister(g, 4, similarity="cosine")
    for scale in (1e-14, 1e160, 1e-160):
        scaled = torch.cat([g[:10] * scale, g[10:]]) * lengths
        found = weighted_glister(scaled, 4, similarity="cosine")
        assert torch.equal(found.indices, expected.indices)
        assert torch.equal(found.weights, expected.weights)
    g[3] = 0
    assert weighted_glister(g, 20, similarity="cosine").weights.isfinite().all()


def test_bad_arguments_are_named():
    g = normal(8, 3)
    for call in (
        lambda: glister(normal(3, 8, 3), 2, target=normal(2, 3)),
        lambda: glister(g, 2, target=normal(2, 3), refresh=lambda c: g[0]),
        lambda: gradient_error(normal(3, 8, 3), Coreset(torch.zeros(2, 1).long(), torch.ones(2, 1))),
        lambda: gradient_error(g, Coreset(torch.tensor(1), torch.tensor(1.0))),
        lambda: select(g, torch.zeros(8).long(), 2, method="glister", per_class=False, target=g[:2]),
        lambda: select_batches(g, 4, batch_size=2, method="glister", generator=0, target=g[:2]),
        lambda: grad_match(g, 2, ridge=-1),
        lambda: grad_match(g, 2, target=torch.ones(2)),
        lambda: weighted_glister(g, 2, similarity="angle"),
        lambda: glister(g[None], 2, refresh=lambda c: g[0]),
        lambda: glister(g, 2, refresh=lambda c: g),
        lambda: glister(g, 2, refresh=lambda c: g[0] * torch.nan),
        lambda: glister(g, 2, refresh=3),
        lambda: random(g, 2, generator=None),
        lambda: random(g, 2, generator=2**70),
        lambda: facility_location(g.half(), 1),
        lambda: gradient_error(g.half(), Coreset(torch.tensor([1]), torch.ones(1))),
        *(lambda one=one: one(g.bfloat16(), 2) for one in ALL),
        lambda: facility_location(g[0], 1),
        lambda: facility_location(g, 4),
        lambda: gradient_error(g, Coreset(torch.tensor([8]), torch.ones(1))),
        lambda: gradient_error(g, Coreset(torch.tensor([1, 2]), torch.ones(1))),
        lambda: gradient_error(g, Coreset(torch.tensor([1.0]), torch.ones(1))),
        lambda: gradient_error(g, Coreset(torch.tensor([1]), torch.tensor([torch.nan]))),
        lambda: gradient_error(g, torch.tensor(1)),
    ):
        with pytest.raises(ValueError):
            call()


def test_random_is_uniform_without_replacement():
    found = random(torch.ones(2000, 10, 1), 3, generator=1)
    counts = found.indices.flatten().bincount(minlength=10)
    assert bool((counts - 600).abs().max() < 5 * (600 * 0.7) ** 0.5)
    assert found.weights.unique().tolist() == pytest.approx([10 / 3])


# --- per class, per batch -------------------------------------------------------------------------------------------


def labels_of(*sizes, seed=0):
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]


@pytest.mark.parametrize(
    ("sizes", "k", "expected"),
    [((60, 30, 10), 20, [12, 6, 2]), ((50, 50), 3, None), ((97, 1, 1, 1), 5, [2, 1, 1, 1]), ((5, 5, 5), 3, [1, 1, 1])],
)
def test_quotas(sizes, k, expected):
    classes, quotas = class_quotas(labels_of(*sizes), k)
    assert classes.tolist() == list(range(len(sizes)))
    assert quotas.sum() == k
    assert expected is None or quotas.tolist() == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.data())
def test_quotas_are_within_one_of_their_share(sizes, data):
    k = data.draw(st.integers(len(sizes), sum(sizes)))
    quotas = class_quotas(labels_of(*sizes), k)[1].tolist()
    assert sum(quotas) == k
    assert all(1 <= q <= size for q, size in zip(quotas, sizes))
    shares = [k * size / sum(sizes) for size in sizes]
    if min(shares) >= 1:
        assert all(abs(q - s) < 1 for q, s in zip(quotas, shares))


@pytest.mark.parametrize("method", METHODS)
def test_per_class_selection_is_selection_in_each_class(method):
    labels = labels_of(20, 20, 10)
    g = normal(50, 6)
    found = select(g, labels, 10, method=method, generator=0)
    assert labels[found.indices].bincount().tolist() == [4, 4, 2]
    for c in range(3):
        where = (labels == c).nonzero()[:, 0]
        mine = labels[found.indices] == c
        if method in ("craig", "weighted-glister", "glister", "random"):
            assert found.weights[mine].sum().item() == pytest.approx(len(where))
        if method != "random":
            one = select(g[where], labels[where], int(mine.sum()), method=method)
            assert torch.equal(where[one.indices], found.indices[mine])
            torch.testing.assert_close(one.weights, found.weights[mine])


def test_whole_batches_are_chosen_by_their_sums():
    g = normal(24, 5)
    found = select_batches(g, 12, batch_size=4, method="grad-match", generator=3)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3)).reshape(-1, 4)
    sums = grad_match(g[order].sum(1), 3)
    assert torch.equal(found.indices, order[sums.indices].flatten())
    assert torch.equal(found.weights.reshape(3, 4)[:, 0], sums.weights)
    assert bool((found.weights.reshape(3, 4) == found.weights.reshape(3, 4)[:, :1]).all())
    torch.testing.assert_close(gradient_error(g, found), gradient_error(g[order].sum(1), sums))


def test_select_names_what_is_wrong():
    g, labels = normal(12, 3), labels_of(4, 4, 4)
    for call in (
        lambda: select(g, labels, 2, method="craig"),
        lambda: select(g, labels, 6, method="best"),
        lambda: select(g, labels[:-1], 6, method="craig"),
        lambda: select(g, labels, 6, method="random"),
        lambda: select(g[None], labels, 6, method="craig"),
        lambda: select(g, labels, 6, method="craig", ridge=1.0),
        lambda: select(g, labels, 6, method="grad-match", ridge=-1.0),
        lambda: select(g, labels, 6, method="grad-match", target=g.sum(0)),
        lambda: select(g, labels, 6, method="glister", refresh=lambda chosen: g[0]),
        lambda: select_batches(g, 6, batch_size=4, method="craig", generator=0),
        lambda: select_batches(g[:10], 4, batch_size=4, method="craig", generator=0),
    ):
        with pytest.raises(ValueError):
            call()
    assert select(g, labels, 2, method="craig", per_class=False).indices.shape == (2,)


@pytest.mark.parametrize("ridge", [0.0, 3.0])
def test_grad_match_with_more_coordinates_than_examples(ridge):
    g = normal(2, 20, 50)
    found = grad_match(g, 8, ridge=ridge)
    for b in range(2):
        chosen, w = naive_pursuit(g[b].numpy(), 8, ridge)
        assert found.indices[b].tolist() == chosen
        np.testing.assert_allclose(found.weights[b].numpy(), w, atol=1e-7)
    # Coordinates that are all zero change the way, not the result; a target outside the span of the examples, too.
    target = normal(2, 12, seed=5)
    narrow = grad_match(g[..., :12], 8, target=target, ridge=ridge, nonnegative=False)
    padded = torch.nn.functional.pad(g[..., :12], (0, 30))
    wide = grad_match(padded, 8, target=torch.nn.functional.pad(target, (0, 30)), ridge=ridge, nonnegative=False)
    assert torch.equal(narrow.indices, wide.indices)
    torch.testing.assert_close(narrow.weights, wide.weights, atol=1e-8, rtol=1e-8)


def test_finite_gradients_whose_sum_overflows_are_finite():
    g = torch.full((4, 2), 1e308, dtype=torch.float64)
    assert random(g, 2, generator=0).weights.tolist() == [2.0, 2.0]
    for bad in (torch.inf, torch.nan):
        g[1, 1] = bad
        with pytest.raises(ValueError, match="finite"):
            random(g, 2, generator=0)


def test_neighbours_far_from_all_others_are_told_apart():
    g = torch.tensor([[0.0], [1.0], [2.0], [1e8], [1e8 + 1], [1e8 + 2]], dtype=torch.float64)
    assert craig(g, 2).indices.tolist() == [2, 4]  # 2 and 3 are central alike; beside 2 it is 4
    both = torch.stack([g, 2 * g])
    torch.testing.assert_close(craig(both, 2).weights, torch.full((2, 2), 3.0, dtype=torch.float64))


@pytest.mark.parametrize("unit", [1e-23, 1e19])
def test_the_choice_of_glister_does_not_depend_on_the_units(unit):
    g = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))

    def remaining(unit):
        return lambda chosen: unit * (g.sum(0) - g[chosen].sum(0))

    assert torch.equal(glister(g * unit, 4).indices, glister(g, 4).indices)
    found = glister(g * unit, 4, refresh=remaining(unit)).indices
    assert torch.equal(found, glister(g, 4, refresh=remaining(1.0)).indices)
