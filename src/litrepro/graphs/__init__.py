"""Graphons, graphs drawn from them, and Gaussian graphical models whose precision is a graph Laplacian."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_operators": [
            "edge_pairs",
            "edge_weights",
            "laplacian",
            "laplacian_adjoint",
            "laplacian_gram",
            "log_gdet",
            "relative_error",
        ],
        "_graphons": [
            "GraphSample",
            "degree_function",
            "graphon",
            "sample_graph",
            "spectral_prior",
            "spectrum_distance",
        ],
        "_signals": ["contrast_loss", "sample_covariance", "sample_signals"],
        "_held_out": ["common_scale", "held_out_sweep", "nested_covariances"],
        "_objective": ["KKTResiduals", "kkt_residuals", "spectral_objective"],
        "_spectral_lasso": ["SpectralLassoResult", "spectral_graphical_lasso"],
        "_classic": ["ClassicLassoResult", "classic_graphical_lasso"],
        "_metrics": ["edge_average_precision", "support_f1"],
        "_trials": ["Trials", "classic_sweep", "largest", "paired_gain", "recovery_trials", "spectral_sweep"],
    },
)
