"""Density clustering against brute force and scikit-learn, on points and on voxels."""

import math
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import materials as lm
from litrepro.materials import _dbscan

F64 = torch.float64


def draw(count, d, seed=0):
    return torch.rand(count, d, generator=torch.Generator().manual_seed(seed), dtype=F64)


def brute(points, eps, needed):
    """The definition, pair by pair: labels and kinds."""
    distance = (points[:, None] - points[None]).square().sum(-1).sqrt()
    near = distance <= eps
    core = near.sum(1) >= torch.as_tensor(needed)
    labels, kind, cluster = [-1] * len(points), [0] * len(points), 0
    for i in range(len(points)):
        if core[i] and labels[i] < 0:
            stack = [i]
            labels[i] = cluster
            while stack:
                for j in (near[stack.pop()] & core).nonzero()[:, 0].tolist():
                    if labels[j] < 0:
                        labels[j] = cluster
                        stack.append(j)
            cluster += 1
    for i in range(len(points)):
        kind[i] = 2 if core[i] else 0
        reach = near[i] & core
        if not core[i] and reach.any():
            kind[i] = 1
            labels[i] = labels[int(distance[i].masked_fill(~reach, math.inf).argmin())]
    return labels, kind


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, 120),
    d=st.integers(1, 5),
    eps=st.floats(0.02, 0.6),
    needed=st.integers(1, 7),
    seed=st.integers(0, 99),
    grid=st.booleans(),
    crowded=st.sampled_from([-1, 64]),  # with -1 cells of neighbours are looked for at any density
)
def test_against_brute_force(count, d, eps, needed, seed, grid, crowded):
    points = draw(count, d, seed)
    if grid:  # many ties and duplicates
        points = (points * 4).round()
        eps = math.sqrt(max(1, round(8 * eps)))
    thresholds = torch.randint(1, needed + 1, (count,), generator=torch.Generator().manual_seed(seed))
    for samples in (needed, thresholds):
        with mock.patch.object(_dbscan, "_CROWDED", crowded):
            labels, kind = lm.dbscan(points, eps, samples)
        expected_labels, expected_kind = brute(points, eps, samples)
        assert kind.tolist() == expected_kind
        assert labels.tolist() == expected_labels


@pytest.mark.parametrize(("d", "eps", "needed"), [(2, 0.025, 5), (3, 0.08, 4), (6, 0.3, 6)])
def test_against_scikit_learn(d, eps, needed):
    cluster = pytest.importorskip("sklearn.cluster")
    points = draw(1500, d, seed=d)
    labels, kind = lm.dbscan(points, eps, needed)
    peer = cluster.DBSCAN(eps=eps, min_samples=needed).fit(points.numpy())
    core = torch.zeros(1500, dtype=torch.bool)
    core[peer.core_sample_indices_] = True
    theirs = torch.as_tensor(peer.labels_)
    assert 50 < core.sum() < 1450
    assert torch.equal(kind == 2, core)
    assert torch.equal(labels[core], theirs[core])
    assert torch.equal(labels == -1, theirs == -1)


@pytest.mark.parametrize(("d", "spread"), [(1, 0.1), (2, 0.0), (2, 0.1), (3, 0.1), (5, 1e-3)])
def test_crowds_need_few_pairs(d, spread):
    cluster = pytest.importorskip("sklearn.cluster")
    points = spread * (draw(2000, d) - 0.5)
    points[1000:, 0] += 0.121  # two crowds of which the nearest points are 0.021 apart, or more
    points[::100] += draw(20, d, seed=1)  # and some points outside
    tried = []

    def within(grid, place, start, length, search=_dbscan._Grid.within):
        tried.append(int(length.sum()))
        return search(grid, place, start, length)

    for eps in (0.02, 0.04, 0.2):
        tried.clear()
        with mock.patch.object(_dbscan._Grid, "within", within):
            labels, kind = lm.dbscan(points, eps, 5)
        assert sum(tried) < 2000 * 400  # of two million pairs
        peer = cluster.DBSCAN(eps=eps, min_samples=5).fit(points.numpy())
        core = torch.zeros(2000, dtype=torch.bool)
        core[peer.core_sample_indices_] = True
        assert torch.equal(kind == 2, core)
        assert torch.equal(labels[core], torch.as_tensor(peer.labels_)[core])
        assert torch.equal(labels == -1, torch.as_tensor(peer.labels_) == -1)


def test_thresholds_decide_point_by_point():
    line = torch.arange(4, dtype=F64)[:, None]
    labels, kind = lm.dbscan(line, 1.0, torch.tensor([9, 3, 9, 9]))
    assert kind.tolist() == [1, 2, 1, 0]
    assert labels.tolist() == [0, 0, 0, -1]


def test_edge_cases():
    assert [out.tolist() for out in lm.dbscan(torch.zeros(1, 3), 0.5, 1)] == [[0], [2]]
    assert [out.tolist() for out in lm.dbscan(torch.zeros(1, 3), 0.5, 2)] == [[-1], [0]]
    labels, kind = lm.dbscan(torch.ones(3000, 2), 1e-9, 3000)
    assert (labels == 0).all()
    assert (kind == 2).all()
    labels, kind = lm.dbscan(draw(50, 2), 1e-3, 2)
    assert (labels == -1).all()
    assert (kind == 0).all()
    assert [len(out) for out in lm.dbscan(torch.zeros(0, 3), 1.0, 2)] == [0, 0]
    far = torch.tensor([[0.0], [1e-12], [1e6]], dtype=F64)  # cells far smaller than the extent
    assert lm.dbscan(far, 1e-11, 2)[0].tolist() == [0, 0, -1]


def test_pieces_and_second_search_change_nothing(monkeypatch):
    points = draw(600, 3, seed=8)
    whole = lm.dbscan(points, 0.15, 6)
    monkeypatch.setattr("litrepro.materials._dbscan._PAIRS", 500)
    monkeypatch.setattr("litrepro.materials._dbscan._KEPT", 100)
    for one, other in zip(whole, lm.dbscan(points, 0.15, 6)):
        assert torch.equal(one, other)


def test_moved_points_keep_their_clusters():
    points = draw(400, 3, seed=5)
    labels, kind = lm.dbscan(points, 0.12, 5)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    moved_labels, moved_kind = lm.dbscan(100 - 3 * points[order], 0.36, 5)
    assert torch.equal(moved_kind, kind[order])
    core = kind[order] == 2
    pairs = torch.stack([labels[order][core], moved_labels[core]], 1).unique(dim=0)
    assert len(pairs) == len(labels[kind == 2].unique()) == len(moved_labels[core].unique())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(4), 1.0, 2), "shape"),
        ((torch.zeros(4, 2), 0.0, 2), "eps"),
        ((torch.zeros(4, 2), -1.0, 2), "eps"),
        ((torch.zeros(4, 2), 1.0, 0), "min_samples"),
        ((torch.zeros(4, 2), 1.0, [1, 1, 1, 1]), "no tensor"),
        ((torch.zeros(4, 2), 1.0, torch.tensor([1, 2, 3])), "shape"),
        ((torch.zeros(4, 2), 1.0, torch.tensor([1, 2, 3, 0])), ">= 1"),
        ((torch.zeros(4, 2), 1.0, torch.ones(4)), "integer tensor"),
        ((torch.tensor([[0.0, math.nan]]), 1.0, 1), "finite"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        lm.dbscan(*arguments)


def test_voxel_indices_and_counts_may_be_integers():
    voxels = (draw(6, 7, 8) < 0.4).nonzero()
    whole = lm.dbscan(voxels, 2**0.5, 5)
    assert all(torch.equal(one, other) for one, other in zip(whole, lm.dbscan(voxels.double(), 2**0.5, 5)))
    counts = torch.tensor([0, 5, 10, 2])
    assert torch.equal(lm.intensity_min_samples(counts, 2, 12), lm.intensity_min_samples(counts.double(), 2, 12))
    for bad in (torch.ones(3, 2, dtype=torch.bool), [[0, 1]], torch.ones(3, 2, dtype=torch.complex64)):
        with pytest.raises(ValueError, match="real numbers"):
            lm.dbscan(bad, 1.0, 1)


def test_intensity_thresholds():
    x = torch.tensor([0.0, 5.0, 10.0, 2.5])
    assert lm.intensity_min_samples(x, 2, 12).tolist() == [12, 7, 2, 10]
    assert lm.intensity_min_samples(x, 2, 12, gamma=2.0).tolist() == [12, 10, 2, 11]
    assert lm.intensity_min_samples(torch.full((3,), 7.0), 2, 12).tolist() == [2, 2, 2]
    assert lm.intensity_min_samples(x, 4, 4).tolist() == [4] * 4
    for bad in ({"low": 5, "high": 4}, {"low": 0, "high": 4}, {"low": 1, "high": 4, "gamma": 0.0}):
        with pytest.raises(ValueError, match=r"low|gamma"):
            lm.intensity_min_samples(x, **bad)
    with pytest.raises(ValueError, match="vector"):
        lm.intensity_min_samples(torch.zeros(2, 2), 1, 2)
    # Ranges and thresholds beyond what the dtype holds.
    assert lm.intensity_min_samples(torch.tensor([-6e4, 0.0, 6e4]).half(), 1, 70_001).tolist() == [70_001, 35_001, 1]
    assert lm.intensity_min_samples(torch.tensor([-1.5e308, 0.0, 1.5e308], dtype=F64), 1, 3).tolist() == [3, 2, 1]
    assert lm.intensity_min_samples(torch.tensor([0.0, 1.0]), 1, 2**24 + 1).tolist() == [2**24 + 1, 1]


@pytest.mark.parametrize("eps", [1.0, 1.5, math.sqrt(3), 2.3])
def test_voxels_have_the_roles_of_dbscan(eps):
    g = torch.Generator().manual_seed(2)
    masks = torch.rand(3, 7, 9, 9, generator=g) < 0.3
    needed = torch.randint(1, 12, masks.shape, generator=g)
    roles = lm.voxel_roles(masks, eps, needed)
    for mask, threshold, role in zip(masks, needed, roles):
        kind = lm.dbscan(mask.nonzero().to(F64), eps, threshold[mask])[1]
        assert torch.equal(role[mask].long(), kind)
        assert (role[~mask] == 0).all()
    many = lm.voxel_roles(masks[0], eps, torch.arange(1, 6)[:, None, None, None])
    assert torch.equal(many[3], lm.voxel_roles(masks[0], eps, 4))


def test_median_against_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    volume = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    ours = lm.median_filter(volume)
    for one, result in zip(volume, ours):
        torch.testing.assert_close(result, torch.from_numpy(ndimage.median_filter(one.numpy(), 3, mode="nearest")))
    assert torch.equal(lm.median_filter(volume, 1), volume)
    with pytest.raises(ValueError, match="odd"):
        lm.median_filter(volume, 2)


def test_detection_scores():
    truth = torch.zeros(2, 3, 3, dtype=torch.bool)
    truth[0, 0] = True
    found = torch.stack([truth, ~truth, torch.zeros_like(truth), torch.ones_like(truth)])
    scores = lm.detection_scores(found, truth)
    assert scores["precision"].tolist() == pytest.approx([1, 0, 1, 1 / 6])
    assert scores["recall"].tolist() == [1, 0, 0, 1]
    assert scores["f1"].tolist() == pytest.approx([1, 0, 0, 6 / 21])
    assert scores["false"].tolist() == [0, 15, 0, 15]
    with pytest.raises(ValueError, match="bool"):
        lm.detection_scores(found.float(), truth)
    with pytest.raises(ValueError, match="size"):
        lm.detection_scores(found, truth[:1])
    with pytest.raises(ValueError, match="mask"):
        lm.voxel_roles(truth.float(), 1.0, 2)
    with pytest.raises(ValueError, match=">= 1"):
        lm.voxel_roles(truth, 1.0, torch.zeros(2, 3, 3, dtype=torch.int64))


def test_sweep_against_one_by_one():
    g = torch.Generator().manual_seed(0)
    volume = torch.rand(6, 10, 10, generator=g)
    truth = volume + 0.3 * torch.randn(6, 10, 10, generator=g) > 0.6
    rules = [(3, 3, 1.0), (2, 6, 0.5), (1, 99, 1.0)]
    table = lm.density_sweep(volume, truth, cuts=[0.3, 0.5], radii=[1.0, 1.8], samples=rules, bright=0.9)
    assert len(table) == 2 * 2 * 2 * 2
    for row in table.itertuples():
        needed = lm.voxel_thresholds(volume, row.cut, 0.9, row.low, row.high, row.gamma)
        roles = lm.voxel_roles(volume > row.cut, row.eps, needed)
        found = roles == 2 if row.keep == "core" else roles > 0
        assert row.f1 == pytest.approx(lm.detection_scores(found, truth)["f1"].item())
    with pytest.raises(ValueError, match="rule"):
        lm.density_sweep(volume, truth, cuts=[0.3], radii=[1.0], samples=[(9, 9, 1.0)], bright=0.9)
    with pytest.raises(ValueError, match="bright"):
        lm.voxel_thresholds(volume, 0.5, 0.5, 1, 2)


def test_voxel_thresholds():
    volume = torch.tensor([[[0.0, 0.2, 0.6, 1.0, 5.0]]])
    assert lm.voxel_thresholds(volume, 0.2, 1.0, 2, 10).flatten().tolist() == [10, 10, 6, 2, 2]
