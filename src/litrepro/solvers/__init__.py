"""Batched building blocks: Hessian-vector products, Lanczos."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_hvp": ["hvp"],
        "_lanczos": ["LanczosResult", "extreme_eigenvalues", "lanczos", "lanczos_extreme"],
    },
)
