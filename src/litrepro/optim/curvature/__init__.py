"""Second-order information without a Hessian: products, estimators, solvers, and the methods built on them."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_newton": ["negative_curvature", "newton_descent"],
        "_estimators": ["hessian_power_step", "hutchinson_diagonal", "spatial_average"],
        "_neumann": ["LissaResult", "lissa", "neumann_solve"],
        "_adahessian": ["AdaHessian"],
        "_gauss_newton": ["gauss_newton_product", "lbfgs_direction"],
        "_sqgn": ["SQGNResult", "sqgn"],
        "litrepro.solvers": ["extreme_eigenvalues", "hvp", "lanczos", "lanczos_extreme"],
    },
)
