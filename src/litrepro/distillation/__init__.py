"""Learning from soft targets: distillation, label smoothing, hand-made and learned targets, and what they leave."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_losses": [
            "distillation_loss",
            "kl_divergence",
            "mimic_loss",
            "regularized_loss",
            "soft_cross_entropy",
        ],
        "_targets": [
            "composite_optimum",
            "ranked_targets",
            "shuffle_wrong_classes",
            "smooth_labels",
            "uniform_targets",
        ],
        "_profiles": ["gap_profile", "geometric_profile"],
        "_adaptive": ["AdaptiveLabels", "adaptive_objective", "residual_distribution"],
        "_distill": ["distill", "distill_chain"],
        "_digits": ["digit_sets", "perceptrons"],
        "_students": ["SoftTargets", "last_values", "paired_gains", "train_students"],
        "litrepro.data": ["random_shift"],
        "_information": ["target_information"],
        "_representations": ["cluster_tightness", "gradient_noise", "logit_information", "plane_through_means"],
    },
)
