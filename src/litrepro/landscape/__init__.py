"""Loss surfaces: test functions with saddles, stationary points, approximation by networks, backpropagation."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_functions": ["monkey_saddle", "product_loss", "quadratic", "quartic_saddle"],
        "_octopus": ["octopus", "octopus_domain", "octopus_escape_ratio"],
        "_tensor": ["sampled_tensor_gradient", "tensor_decomposition"],
        "_derivatives": ["gradient", "hessian"],
        "_wells": ["cosine_wells", "fading_slope", "near_critical"],
        "_stationary": ["KINDS", "classify", "strict_saddle"],
        "_approximation": ["fit_random_features", "relu_interpolant", "sawtooth", "sawtooth_lower_bound"],
        "_interpolation": ["interpolating_resnet"],
        "_segments": ["rescale_relu", "segment"],
    },
)
