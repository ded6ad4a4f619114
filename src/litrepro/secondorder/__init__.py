"""Second-order methods at work: rate sweeps over stacked trials, oracle counts, and a seismic inverse problem."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_flat": ["FlatTrials", "METHODS", "train_flat"],
        "_problems": ["FlatProblem", "breast_cancer_problem", "digits_problem", "softmax_loss", "squared_loss"],
        "_tomography": [
            "InversionQuality",
            "Survey",
            "inversion_quality",
            "predictions",
            "seismic_survey",
            "ssim",
            "tomography_problem",
            "total_variation",
        ],
        "_convnet": ["inversion_convnet"],
        "_transformer": ["character_problem"],
        "_rates": ["rate_width", "sweep_rates"],
        "_logistic": ["calls_to_distance", "logistic_descent", "logistic_loss", "logistic_newton", "logistic_svrg"],
        "_race": ["Racer", "best_racers", "logistic_race"],
        "_newton_cg": ["GaussNewtonRun", "conjugate_gradient", "gauss_newton_cg"],
        "_crosstalk": ["crosstalk_leakage"],
        "_overfit": ["gap_at_level"],
        "_pairs": ["HessianSplit", "hessian_split", "pair_curvatures"],
        "litrepro.optim.curvature": [
            "AdaHessian",
            "LissaResult",
            "SQGNResult",
            "gauss_newton_product",
            "hessian_power_step",
            "hutchinson_diagonal",
            "lbfgs_direction",
            "lissa",
            "neumann_solve",
            "spatial_average",
            "sqgn",
        ],
    },
)
