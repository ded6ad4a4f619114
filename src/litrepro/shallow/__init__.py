"""Provable learning of one-hidden-layer networks: planted teachers, recovery algorithms, starts, inputs."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_teachers": ["planted_teacher", "relu_network"],
        "_projected": ["relu_projected_gradient"],
        "_population": ["population_descent", "population_gradient", "population_loss", "relu_kernel"],
        "_matching": ["permutation_distance"],
        "_alternating": ["alternating_minimization", "state_matrix"],
        "_low_rank": ["keep_largest_eigenvalues", "rank_one_recovery"],
        "_descent": ["relu_gradient_descent"],
        "_tensor": ["tensor_initialization"],
        "_patches": ["extract_patches", "patch_gram"],
        "_convolution": [
            "PatchDescent",
            "SplittingInputs",
            "convotron",
            "cross_patch_moments",
            "patch_descent",
            "set_splitting_inputs",
        ],
        "_residual": ["ResidualLinear", "residual_linear"],
        "_depth": ["DepthStudy", "depth_study"],
        "_map": ["ALGORITHMS", "learnability_map"],
        "_tangent": ["relu_gram", "relu_gram_expected", "train_relu_output"],
    },
)
