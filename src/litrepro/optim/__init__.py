"""First-order optimization: the uniform framework and its members, methods that leave saddles, curvature, rates."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_rules": ["RULES", "Rule", "beta1_at", "first_weights", "rule", "second_weights"],
        "_steps": ["look_ahead", "start", "update"],
        "_descend": ["Path", "descend"],
        "_optimizer": ["Uniform"],
        "_two_step": ["two_step", "two_step_coefficients"],
        "curvature": ["negative_curvature", "newton_descent"],
        "litrepro.solvers": ["extreme_eigenvalues", "hvp", "lanczos"],
        "accelerated": [
            "AcceleratedResult",
            "CurvatureDescentResult",
            "DescentResult",
            "accelerated_gradient",
            "accelerated_nonconvex",
            "almost_convex_agd",
            "ball_penalty",
            "cubic_newton",
            "default_alpha",
            "gradient_descent",
            "guarded_agd",
            "negative_curvature_descent",
            "polyak_parameters",
        ],
        "perturbed": ["PSGD", "noise", "noisy_descent", "perturbed_agd", "perturbed_gd"],
        "rates": ["pagd_constants", "pgd_constants", "psgd_constants", "sgd_gradient_bound"],
        "_quadratic": [
            "LinearDynamics",
            "quadratic_dynamics",
            "spectral_radius",
            "stationary_variance",
            "steps_to_shrink",
        ],
        "_testbeds": ["LogisticProblem", "effective_rates", "logistic_problem", "logistic_sweep"],
        "_as_printed": ["adam_moment_as_printed", "average_as_printed", "nadam_as_printed"],
    },
)
