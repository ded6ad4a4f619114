"""Interpolation and double descent: minimum-norm regression, random Fourier features, two-layer networks."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_min_norm": ["min_norm"],
        "_linear": ["Risk", "bias_variance", "linear_risk", "sample_wise_curve"],
        "_descent": ["gradient_descent_path", "gradient_descent_risk"],
        "_fourier": ["fourier_features", "rff_curve"],
        "_equivalent": ["random_feature_risk"],
        "_two_layer": ["threshold_width", "two_layer_curve", "two_layer_parameters"],
        "_two_layer_fits": ["two_layer_training_errors"],
        "_complexity": ["effective_model_complexity"],
    },
)
