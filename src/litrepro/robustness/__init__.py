"""Robustness to norm-bounded perturbations: attacks, exact worst cases, certificates, and training with them."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_balls": ["project_ball"],
        "_gradient_attacks": ["fgsm", "pgd"],
        "_first_order": ["linearized_margins", "smallest_radius"],
        "_minimal_attacks": ["carlini_wagner", "deepfool"],
        "_layers": ["affine_layers"],
        "_ladder": ["attack_margins", "layer_logits"],
        "_intervals": ["certified", "ibp_loss", "ibp_margins", "interval_bounds", "ramp"],
        "_ensemble": ["member_layers", "member_network", "robust_accuracy", "train_robust"],
        "_dual": ["dual_bounds", "dual_margins"],
        "_enumeration": ["activation_pattern_minimum"],
        "_programs": ["ExactMargins", "exact_margins", "lp_margins"],
        "_sdp": [
            "Eigenpair",
            "SDPBound",
            "gradient_sdp_matrix",
            "lanczos_max",
            "pair_bounds",
            "sdp_dual_value",
            "sdp_gradient_bound",
            "sdp_margins",
        ],
        "_sdp_training": ["CertifiedMLP", "sdp_objective"],
    },
)
