"""Machine Learning Reviews, Reproduced: the library behind the book.

A notebook opens with ``from litrepro import Chapter``; the algorithms live in one package per concept
(``litrepro.optim``, ``litrepro.recovery``, ...), each imported only when it is used.
"""

from litrepro._lazy import lazy_exports

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_warnings": ["ConvergenceWarning"],
        "chapter": ["Chapter"],
    },
)
