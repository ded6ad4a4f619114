"""Discrete solvers as layers: MAXSAT relaxed to a semidefinite program, and matching relaxed to a linear one."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_clauses": ["clauses_to_matrix", "queens_clauses", "randomized_rounding", "satisfied_clauses"],
        "_sdp": ["maxsat_sdp"],
        "_satnet": ["SATNet"],
        "_boards": ["solve_sudoku", "sudoku_grids", "sudoku_puzzles"],
        "_convnet": ["ConvNetSudoku"],
        "_completion": ["completion_accuracy", "completion_loss", "fit_completion"],
        "_composed": ["ParityChain", "VisualSudoku"],
        "_visual": ["fit_visual", "visual_accuracy", "visual_boards"],
        "_assignment": ["blackbox_matching", "hungarian", "matching", "project_matching"],
        "_alternatives": ["implicit_matching", "sinkhorn_matching"],
        "_augment": ["assignment_prices"],
        "_masks": ["boundary_f", "mask_iou", "matched_masks", "matching_cost"],
        "_tracking": ["MaskTracker", "fit_tracker", "proposal_patches", "track"],
    },
)
