"""Real data sets behind one function each, and seeded synthetic generators."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_registry": ["DATASETS"],
        "_locate": ["DataUnavailableError"],
        "_inventory": ["checksums", "inventory"],
        "_images": ["ImageSet", "cifar10", "digits", "fashion_mnist", "mnist"],
        "_label_noise": ["with_label_noise"],
        "_shifts": ["random_shift"],
        "_nuclei": ["breast_cancer"],
        "_tables": ["TabularSet", "diabetes", "gas_sensor_ethanol", "iris", "moduli", "vickers_hardness"],
        "_texts": ["synthesis_text", "tiny_shakespeare"],
        "_synthetic": ["correlated_patches", "correlated_sensors", "double_moon", "wilson_example"],
        "_seismic": ["acoustic_shots", "layered_velocity"],
        "_video": ["MovingObjects", "moving_objects"],
    },
)
