"""Smooth games: vector fields, the spectra that decide how fast play converges, and optimizers made for two players."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_fields": ["bilinear_game", "consensus_matrix", "field_jacobian", "quadratic_game"],
        "_gradient": ["gradient_rate", "optimal_step_size", "step_size_bounds"],
        "_momentum": [
            "momentum_eigenvalues",
            "momentum_interval",
            "momentum_rate",
            "optimal_momentum",
            "optimistic_eigenvalues",
        ],
        "_play": ["play"],
        "_search": ["search_momentum"],
        "_step_matrix": ["play_matrix"],
        "_optimizers": ["GameAdam", "GameSGD"],
        "_consensus": ["consensus_gradients"],
    },
)
