"""Network architectures, and stacked ensembles of them."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_allconv": ["allconv_resnet", "fixup_"],
        "_convnets": ["cnn5", "lenet", "vgg3"],
        "_factored": ["FactoredLinear"],
        "_grouped": ["grouped"],
        "_mlp": ["count_parameters", "mlp"],
        "_mnist_convnet": ["mnist_convnet"],
        "_preactivation": ["resnet18"],
        "_shufflenet": ["shufflenetv2"],
        "_stacked": ["StackedMLP"],
    },
)
