"""Asynchronous descent: staleness of workers, the momentum that it brings, rates on quadratics."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_staleness": ["geometric_staleness", "staleness_law", "worker_staleness"],
        "_descent": ["async_descent", "expected_descent", "momentum_recursion"],
        "_rate": ["BestMomentum", "best_momentum", "convergence_rate", "polyak_momentum"],
        "_moments": ["mean_square_limit", "mean_square_path", "mean_square_rate", "sampled_momentum_rate"],
    },
)
