"""Training loops: one model, or an ensemble at once."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_characters": ["train_characters"],
        "_level": ["Level", "train_to_level"],
        "_objective": ["flat_weights", "mlp_objective", "mlp_scores", "sharpness"],
        "_batches": ["batches"],
        "_ensemble": ["Ensemble"],
        "_evaluate": ["evaluate"],
        "_fit": ["fit"],
        "_graph": ["CudaGraph"],
        "_fit_ensemble": ["fit_ensemble"],
        "_fit_grouped": ["fit_grouped"],
        "_first_losses": ["first_losses"],
        "_paired": ["train_paired_psgd"],
        "_precision": ["Rounded", "half_precision"],
        "_schedules": ["constant", "cosine", "step_decay"],
        "_side_by_side": ["train_side_by_side"],
        "_stacked": ["Splits", "draw_splits", "seconds_per_step", "train_stacked"],
        "_turns": ["train_in_turn"],
        "_tuning": ["expected_best", "paired_difference", "summarize_runs"],
        "_widths": ["train_widths"],
    },
)
