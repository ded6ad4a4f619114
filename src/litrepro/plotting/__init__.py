"""The book's look: one theme and the few plots that several chapters draw."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_theme": ["theme", "PALETTE", "SEQUENTIAL", "DIVERGING", "figure"],
        "_curves": ["curves", "band", "sweep", "reference_slope"],
        "_maps": ["heatmap", "corner_note"],
        "_frames": ["frames"],
        "_tables": ["counted"],
    },
)
