"""Bad input is refused before any work, whoever calls; odd but good input works."""

import math

import pytest
import torch

import litrepro.layers as ll
from litrepro.data import moving_objects

SIGNS = torch.tensor([[1, 0, -1], [0, 1, 1]])
COSTS = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0]])
Z, KNOWN = torch.ones(4, 3), torch.tensor([[True, True, False]] * 4)
LAYER = ll.SATNet(3, 4)
MASKS = torch.ones(2, 4, 4)
VIDEO = moving_objects(1, 2, 2, 16, proposals=2, noise=0.1, seed=0)
TRACKER = ll.MaskTracker()
GRIDS = ll.sudoku_grids(2, 2, seed=0)
VISUAL = ll.VisualSudoku(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 4)), ll.SATNet(64, 4))
IMAGES = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
BOARDS = (torch.zeros(2, 16, dtype=torch.int64), torch.ones(2, 64), torch.ones(2, 64, dtype=torch.bool))


@pytest.mark.parametrize(
    "call",
    [
        lambda: ll.clauses_to_matrix(SIGNS * 1j),
        lambda: ll.satisfied_clauses(SIGNS, torch.ones(3, dtype=torch.bool)),
        lambda: ll.satisfied_clauses(SIGNS, torch.ones(3) * 1j),
        lambda: ll.randomized_rounding(torch.full((3, 2), math.nan), 1),
        lambda: ll.randomized_rounding(torch.ones(3, 0), 1),
        lambda: ll.maxsat_sdp(ll.clauses_to_matrix(SIGNS).half()),
        lambda: ll.SATNet(3, 4, dtype=torch.float16),
        lambda: ll.SATNet(3, 4, dtype="float32"),
        lambda: LAYER(Z, KNOWN[:3]),
        lambda: ll.matching(COSTS, init=torch.ones(2, 3, dtype=torch.float64)),
        lambda: ll.matching(COSTS.expand(2, 2, 3), init=COSTS.expand(3, 2, 3)),
        lambda: ll.sinkhorn_matching(COSTS, 1e-300),
        lambda: ll.mask_iou(MASKS * 1j, MASKS),
        lambda: ll.mask_iou(MASKS * math.nan, MASKS),
        lambda: ll.mask_iou(MASKS.bool(), 255 * MASKS.to(torch.uint8)),
        lambda: ll.mask_iou(MASKS, -MASKS),
        lambda: ll.mask_iou(MASKS, MASKS.double()),
        lambda: ll.mask_iou(MASKS.expand(2, 2, 4, 4), MASKS.expand(3, 2, 4, 4)),
        lambda: ll.boundary_f(MASKS, MASKS[:1].expand(3, 4, 4)),
        lambda: ll.matched_masks(COSTS[None].expand(2, 2, 3), torch.ones(3, 3, 4, 4)),
        lambda: ll.matching_cost(COSTS, COSTS.double(), torch.ones(2, 2), 0.5),
        lambda: ll.matching_cost(COSTS.expand(2, 2, 3), COSTS.expand(3, 2, 3), torch.ones(2, 2), 0.5),
        lambda: ll.matching_cost(COSTS * math.nan, COSTS, torch.ones(2, 2), 0.5),
        lambda: ll.matching_cost(COSTS, COSTS * math.inf, torch.ones(2, 2), 0.5),
        lambda: ll.matching_cost(COSTS, COSTS, torch.full((2, 2), math.nan), 0.5),
        lambda: ll.proposal_patches(None, MASKS),
        lambda: ll.proposal_patches(torch.ones(3, 4, 4), MASKS * 1j),
        lambda: ll.proposal_patches(torch.ones(3, 4, 5), torch.ones(2, 4, 5)),
        lambda: ll.proposal_patches(torch.ones(3, 3, 4, 4), MASKS),
        lambda: ll.MaskTracker(hidden=2.5),
        lambda: TRACKER(torch.ones(2, 4, 7, 7)),
        lambda: ll.track(None, TRACKER),
        lambda: ll.track(VIDEO, len),
        lambda: ll.fit_tracker(TRACKER, VIDEO.videos(torch.arange(0)), steps=1),
        lambda: ll.fit_tracker(TRACKER, VIDEO, steps=1, lam=math.nan),
        lambda: ll.sudoku_puzzles(GRIDS * 1j, 2, seed=0),
        lambda: ll.solve_sudoku([[0]]),
        lambda: ll.ConvNetSudoku(4, True, 2, 1)(torch.ones(64), [True] * 64),
        lambda: ll.completion_loss([0.5], torch.ones(1), torch.ones(1, dtype=torch.bool)),
        lambda: ll.completion_loss(torch.rand(2, 3), torch.ones(2, 3), torch.ones(3, dtype=torch.bool)),
        lambda: ll.completion_loss(torch.tensor([math.nan]), torch.ones(1), torch.ones(1, dtype=torch.bool)),
        lambda: ll.completion_accuracy(Z, None),
        lambda: ll.completion_accuracy(Z, Z, digits=3, order=torch.tensor([0, 1, 3])),
        lambda: ll.fit_completion(None, (Z, KNOWN), steps=1),
        lambda: ll.fit_completion(LAYER, None, steps=1),
        lambda: ll.fit_completion(LAYER, (Z, KNOWN), steps=1, digits=2),
        lambda: ll.fit_completion(LAYER, (Z, KNOWN), steps=1, evaluate_on=(Z, KNOWN)),
        lambda: ll.fit_completion(LAYER, (Z, KNOWN), steps=1, evaluate_on={"test": (Z, KNOWN[:, :2])}),
        lambda: ll.fit_completion(LAYER, (Z, KNOWN), steps=1, max_seconds="long"),
        lambda: ll.fit_completion(LAYER, (Z, KNOWN), steps=1, checkpoint=3),
        lambda: ll.fit_completion(LAYER, (Z, KNOWN), steps=1, checkpoint="/nowhere/at/all.pt"),
        lambda: ll.fit_completion(LAYER, (Z, KNOWN), steps=1, checkpoint="/"),
        lambda: ll.fit_completion(LAYER, (Z, KNOWN), steps=1, checkpoint=__file__),
        lambda: ll.SATNet(3, 4, damping=-0.1),
        lambda: ll.VisualSudoku(None, LAYER),
        lambda: VISUAL(None, KNOWN),
        lambda: ll.visual_boards(None, 4, torch.arange(4), seed=0),
        lambda: ll.visual_boards(torch.ones(1, 64), 4, [1, 2, 3, 4], seed=0),
        lambda: ll.fit_visual(LAYER, IMAGES, BOARDS, steps=1, label_givens=True),
        lambda: ll.fit_visual(VISUAL, IMAGES, BOARDS[:2], steps=1, label_givens=True),
        lambda: ll.fit_visual(VISUAL, IMAGES, (BOARDS[0] + 4, *BOARDS[1:]), steps=1, label_givens=True),
        lambda: ll.visual_accuracy(VISUAL, IMAGES, BOARDS, 5),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_boards_of_other_layouts_and_dtypes():
    z, known = ll.sudoku_puzzles(GRIDS, 4, seed=0)
    strided = torch.stack([GRIDS.to(torch.uint8)] * 2, -1)[..., 0]
    assert not strided.is_contiguous()
    for found, wanted in zip(ll.sudoku_puzzles(strided, 4, seed=0), (z, known), strict=True):
        torch.testing.assert_close(found, wanted)
    assert ll.sudoku_puzzles(GRIDS[:0], 4, seed=0)[0].shape == (0, 64)
    labels = torch.arange(1, 5)
    wide = torch.stack([z, z], -1)[..., 0]
    torch.testing.assert_close(ll.visual_boards(wide, 4, labels, seed=0), ll.visual_boards(z, 4, labels, seed=0))


def test_boolean_masks_follow_the_other():
    soft = torch.full((1, 4, 4), 0.5, dtype=torch.float64)
    assert ll.mask_iou(soft, MASKS.bool()).tolist() == [[0.5, 0.5]]
    assert ll.mask_iou(MASKS.bool(), soft).dtype == torch.float64
    one = ll.boundary_f(MASKS, MASKS, tolerance=10**6)
    torch.testing.assert_close(one, torch.ones(2))


def test_one_frame_for_many_sets_of_masks():
    frame = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1))
    many = ll.proposal_patches(frame, MASKS.expand(5, 2, 4, 4))
    torch.testing.assert_close(many[3], ll.proposal_patches(frame, MASKS))
    assert ll.proposal_patches(frame, MASKS[:0]).shape == (0, 4, 8, 8)
