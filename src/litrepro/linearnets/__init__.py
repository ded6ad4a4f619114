"""Deep linear networks: end-to-end dynamics of gradient descent on a product of matrices."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_factors": ["balance_gap", "balanced_factors", "deficiency_margin", "end_to_end", "factor_gradients"],
        "_training": ["train_factors"],
        "_orthogonal": ["orthogonal_factors"],
        "_power": ["power_loss", "power_loss_grad"],
        "_optimum": ["optimal_power_loss"],
        "_induced": ["induced_direction", "preconditioner"],
        "_emulation": ["emulate"],
        "_emulation_errors": ["EmulationErrors", "emulation_errors"],
        "_padding": ["pad_factors"],
        "_circulation": ["circulation"],
        "_convnets": ["convnet_variant", "train_convnets"],
        "_momentum": [
            "MomentumSweep",
            "best_momenta",
            "minimizer_curvature",
            "momentum_sweep",
            "summarize_momentum",
        ],
        "_median": ["usual_median"],
        "_phase": ["speedup_map"],
        "_residual": ["gradient_lower_bound", "residual_gradient", "residual_product", "residual_risk"],
        "_identity": ["identity_factorization"],
        "_resnet_descent": ["DescentRun", "linear_resnet_descent", "zou_rate"],
        "_reparameterized": ["ReparameterizedStep", "reparameterized_step"],
        "_sweep": [
            "STARTS",
            "DepthSweep",
            "Regression",
            "depth_sweep",
            "draw_starts",
            "regression",
            "rule_sweep",
            "summarize_depths",
        ],
        "_chains": ["ChainRun", "chain_iterates", "steps_to", "train_chains"],
    },
)
