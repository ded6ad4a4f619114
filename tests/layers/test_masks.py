"""Mask scores against loops over pixels, and tracking on synthetic videos."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro.data import moving_objects
from litrepro.layers import (
    MaskTracker,
    boundary_f,
    fit_tracker,
    mask_iou,
    matched_masks,
    matching_cost,
    proposal_patches,
    track,
)


def contour(mask):
    h, w = mask.shape
    inside = {(i, j) for i in range(h) for j in range(w) if mask[i, j]}
    return {(i, j) for i, j in inside if not {(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)} <= inside}


def reference_f(a, b, tolerance):
    a, b = contour(a), contour(b)
    if not a or not b:
        return float(not a and not b)

    def share(x, y):
        near = [any(max(abs(i - k), abs(j - m)) <= tolerance for k, m in y) for i, j in x]
        return sum(near) / len(near)

    p, r = share(a, b), share(b, a)
    return 2 * p * r / (p + r) if p + r else 0.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 2), st.integers(1, 6), st.integers(1, 6), st.floats(0.0, 1.0))
def test_boundary_f_is_the_loop_over_pixels(seed, tolerance, h, w, density):
    g = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(2, h, w, generator=g) < density for _ in range(2))
    found = boundary_f(a, b, tolerance)
    for i in range(2):
        assert abs(float(found[i]) - reference_f(a[i], b[i], tolerance)) < 1e-6


def test_iou_counts_pixels():
    g = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, 5, 6, generator=g) < 0.4, torch.rand(2, 4, 5, 6, generator=g) < 0.4
    a[0, 0], b[0, 0] = False, False
    found = mask_iou(a, b)
    assert found.shape == (2, 3, 4)
    assert float(found[0, 0, 0]) == 1
    for v in range(2):
        for i in range(3):
            for j in range(4):
                union = int((a[v, i] | b[v, j]).sum())
                expected = int((a[v, i] & b[v, j]).sum()) / union if union else 1.0
                assert abs(float(found[v, i, j]) - expected) < 1e-6


def test_iou_in_half_precision_does_not_overflow():
    a = torch.ones(1, 300, 300, dtype=torch.float16)
    b = a.clone()
    b[:, :150] = 0
    found = mask_iou(a, torch.cat([a, b, torch.zeros_like(a)]))
    assert found.dtype == torch.float16
    assert found.tolist() == [[1.0, 0.5, 0.0]]
    assert mask_iou(torch.zeros_like(a), torch.zeros_like(a)).item() == 1


def test_features_of_other_dtypes():
    patches = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(MaskTracker()(patches), MaskTracker()(patches.float()))


def test_matched_masks_and_cost():
    g = torch.Generator().manual_seed(1)
    X, masks = torch.rand(2, 3, 4, generator=g), torch.rand(2, 4, 5, 6, generator=g)
    assert torch.allclose(matched_masks(X, masks), torch.einsum("bnm,bmhw->bnhw", X, masks))
    p, t, iou = torch.randn(4, 7, generator=g), torch.randn(3, 7, generator=g), torch.rand(3, 4, generator=g)
    cosine = torch.nn.functional.cosine_similarity(t[:, None], p[None], dim=-1)
    assert torch.allclose(matching_cost(p, t, iou, 0.3), -0.7 * cosine - 0.3 * iou, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-25, 1e-30, 1e30])
def test_cosines_do_not_depend_on_the_length(dtype, size):
    g = torch.Generator().manual_seed(2)
    p, t = torch.randn(4, 7, generator=g, dtype=dtype), torch.randn(3, 7, generator=g, dtype=dtype)
    p[1] = 0
    cosine = torch.nn.functional.cosine_similarity(t[:, None], p[None], dim=-1)
    found = matching_cost(size * p, t, torch.zeros(3, 4, dtype=dtype), 0.0)
    assert torch.allclose(found, -cosine, atol=1e-6)
    assert torch.equal(found[:, 1], torch.zeros(3, dtype=dtype))


def test_the_gradient_at_a_zero_vector_is_that_of_length_one():
    p, t = torch.zeros(2, 3, requires_grad=True), torch.tensor([[0.0, 3.0, 4.0]])
    matching_cost(p, t, torch.zeros(1, 2), 0.25).sum().backward()
    assert torch.allclose(p.grad, -0.75 * torch.tensor([0.0, 0.6, 0.8]).expand(2, 3))


def test_videos_are_what_they_say():
    video = moving_objects(3, 6, 3, 32, proposals=7, noise=0.0, seed=2)
    assert video.frames.shape == (3, 6, 3, 32, 32)
    assert float(video.frames.min()) >= 0
    assert float(video.frames.max()) <= 1
    assert int(video.masks.long().sum(2).max()) == 1
    assert torch.equal(video.templates, video.masks[:, 0])
    assert bool(video.templates.any(-1).any(-1).all())
    for o in range(3):
        assert bool(((video.owner == o).sum(-1) == 1).all())
        where = (video.owner == o).float().argmax(-1)[..., None, None, None].expand(-1, -1, 1, 32, 32)
        assert torch.equal(video.proposals.gather(2, where)[:, :, 0], video.masks[:, :, o])
    again = moving_objects(3, 6, 3, 32, proposals=7, noise=0.0, seed=2)
    assert torch.equal(video.frames, again.frames)
    assert bool((video.masks[:, 0] != video.masks[:, -1]).flatten(2).any(-1).all())


def test_patches_follow_the_mask():
    frame = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 32, 32)
    mask[0, 4:12, 6:14] = 1
    moved = torch.roll(mask, (10, 12), (1, 2))
    here = proposal_patches(frame, mask)
    there = proposal_patches(torch.roll(frame, (10, 12), (1, 2)), moved)
    assert torch.allclose(here, there, atol=1e-5)
    assert bool(torch.isfinite(proposal_patches(frame, torch.zeros(1, 32, 32))).all())


@pytest.mark.parametrize("method", ["soft", "hungarian", "greedy", "blackbox"])
def test_tracking_without_noise_or_distractors_follows_the_overlap(method):
    video = moving_objects(2, 5, 2, 32, proposals=2, noise=0.0, seed=0, alike=0.0)
    masks, X = track(video, MaskTracker(lam=1.0), method)
    assert masks.shape == video.masks.shape
    assert X.shape == (2, 4, 2, 2)
    assert torch.equal(masks[:, 0] > 0.5, video.templates)
    assert 0 <= float(masks.min()) <= float(masks.max()) <= 1
    if method in ("hungarian", "blackbox"):
        assert bool((X.sum(-2) == 1).all())
    score = mask_iou(masks > 0.5, video.masks).diagonal(dim1=-2, dim2=-1).mean()
    assert float(score) > 0.8


def test_training_through_the_matching_lowers_the_loss():
    video = moving_objects(6, 4, 3, 24, proposals=6, noise=0.5, seed=1)
    losses = fit_tracker(MaskTracker(seed=3), video, steps=12, lr=1e-2)
    assert sum(losses[-3:]) < sum(losses[:3])


@pytest.mark.parametrize(
    "call",
    [
        lambda: mask_iou(torch.zeros(1, 2, 2), torch.zeros(1, 2, 3)),
        lambda: boundary_f(torch.zeros(2, 2), torch.zeros(2, 2), -1),
        lambda: boundary_f(torch.zeros(2), torch.zeros(2)),
        lambda: boundary_f(torch.full((2, 2), torch.nan), torch.zeros(2, 2)),
        lambda: boundary_f(torch.zeros(2, 2, dtype=torch.bool), torch.full((2, 2), torch.nan)),
        lambda: matched_masks(torch.zeros(2, 3), torch.zeros(2, 4, 4)),
        lambda: matching_cost(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 2), 1.5),
        lambda: matching_cost(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3, 2), 0.5),
        lambda: moving_objects(1, 2, 3, 32, proposals=2, noise=0.1, seed=0),
        lambda: moving_objects(1, 2, 3, 32, proposals=4, noise=1.5, seed=0),
        lambda: moving_objects(1, 2, 3, 8, proposals=4, noise=0.1, seed=0),
        lambda: track(moving_objects(1, 2, 1, 16, proposals=1, noise=0.0, seed=0), MaskTracker(), "best"),
        lambda: fit_tracker(MaskTracker(), moving_objects(1, 2, 1, 16, proposals=1, noise=0.0, seed=0), steps=0),
        lambda: proposal_patches(torch.zeros(2, 8, 8), torch.zeros(1, 8, 8)),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()


def test_costs_under_vmap():
    g = torch.Generator().manual_seed(0)
    proposals, templates, iou = (torch.rand(2, *shape, generator=g) for shape in ((4, 5), (3, 5), (3, 4)))
    mapped = torch.func.vmap(lambda a, b, i: matching_cost(a, b, i, 0.5))(proposals, templates, iou)
    torch.testing.assert_close(mapped, matching_cost(proposals, templates, iou, 0.5))
