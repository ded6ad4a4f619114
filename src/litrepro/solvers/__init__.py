"""Batched building blocks: Hessian-vector products, Lanczos, proximal maps, projections, least squares, fits, ADMM."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_convex_fits": ["BallFit", "l1_ball_least_squares", "nuclear_norm_least_squares"],
        "_hvp": ["hvp"],
        "_lanczos": ["LanczosResult", "extreme_eigenvalues", "lanczos", "lanczos_extreme"],
        "_least_squares": ["least_squares"],
        "_multiblock": ["AdmmTrace", "multiblock_admm", "multiblock_admm_operator"],
        "_power_law": ["PowerLaw", "power_law"],
        "_proximal": [
            "group_soft_threshold",
            "hard_threshold",
            "project_l1_ball",
            "singular_value_threshold",
            "soft_threshold",
        ],
        "_spectrum": ["lanczos_quadrature"],
    },
)
