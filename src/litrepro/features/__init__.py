"""Random features for kernel machines: Fourier features, Fastfood, ridge leverage scores, kitchen sinks."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_kernels": ["gaussian_kernel", "is_positive_semidefinite", "laplace_kernel", "polynomial_kernel"],
        "_fourier": [
            "Frequencies",
            "feature_variance",
            "features_from_projection",
            "fourier_features",
            "normalize_features",
            "orthogonal_frequencies",
            "sample_frequencies",
        ],
        "_hadamard": ["hadamard_transform", "paley_hadamard"],
        "_fastfood": ["Fastfood", "fastfood_matrix", "fastfood_project", "sample_fastfood"],
        "_ridge": ["feature_ridge", "kernel_ridge"],
        "_leverage": [
            "Resample",
            "effective_dimension",
            "leverage_resample",
            "resample_by_scores",
            "ridge_leverage_scores",
            "spectral_error",
            "unscaled_features",
        ],
        "_sinks": ["Sinks", "Stumps", "kitchen_sinks", "random_stumps", "stump_features"],
        "_trials": ["leverage_trials", "sine_grid"],
        "_maps": ["MAPS", "feature_map", "kernel_estimates"],
        "_importance": ["Estimate", "importance_estimate"],
    },
)
