"""Network architectures, and stacked ensembles of them."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_factored": ["FactoredLinear"],
        "_mnist_convnet": ["mnist_convnet"],
        "_stacked": ["StackedMLP"],
    },
)
