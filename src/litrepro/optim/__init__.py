"""First-order optimization: the uniform framework and its members, methods that leave saddles, curvature, rates."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_rules": ["RULES", "Rule", "beta1_at", "first_weights", "rule", "second_weights"],
        "_steps": ["look_ahead", "start", "update"],
        "_descend": ["Path", "descend"],
        "_optimizer": ["Uniform"],
    },
)
