"""Weighted subsets of the training data whose gradient is that of all data, and training on them."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_coreset": ["Coreset", "gradient_error"],
        "_gradients": ["last_layer_gradients", "last_layer_refresh", "per_sample_gradients"],
        "_facility": ["craig", "facility_location", "weighted_glister"],
        "_glister": ["glister"],
        "_pursuit": ["grad_match"],
        "_select": ["class_quotas", "random", "select", "select_batches"],
        "_train": ["train_on_coresets"],
        "_convex": ["incremental_gradient", "logistic_optimum"],
        "_trials": ["importance_variance", "rank_correlation"],
        "_agreement": ["Agreement", "class_gradient_errors", "gradient_agreement"],
    },
)
