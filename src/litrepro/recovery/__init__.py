"""Recovery of matrices that are sparse and of low rank at once: convex programs, a nonconvex method, and the theory."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_bounds": ["gaussian_distance_sq", "statistical_dimension", "sufficient_for_sum", "sufficient_measurements"],
        "_cones": ["descent_dimension"],
        "_consensus": ["RecoveryResult", "structured_recovery"],
        "_failure": ["FailureTest", "deterministic_failure"],
        "_greedy": ["project_sparse_low_rank", "structured_iht"],
        "_norms": ["NormGeometry", "norm_geometry", "random_subgradient"],
        "_phase": ["phase_diagram", "success_threshold", "threshold_error", "turns"],
        "_problems": ["linear_measurements", "measure", "sparse_low_rank"],
    },
)
