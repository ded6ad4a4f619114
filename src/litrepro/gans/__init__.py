"""Generative adversarial networks: losses, whole ensembles trained at once, and what their samples are worth."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_networks": ["DCDiscriminator", "DCGenerator", "MLPDiscriminator", "MLPGenerator"],
        "_losses": ["gan_losses"],
        "_variant": ["Variant"],
        "_train": ["train_gans"],
        "_members": ["GANEnsemble"],
        "_field": ["game_field"],
        "_scores": ["class_coverage", "frechet_distance", "inception_score"],
        "_modes": ["mode_coverage", "ring_mixture"],
        "_score_net": ["ScoreNet", "train_score_net"],
        "_tables": ["score_course", "score_samples", "score_summary", "score_table", "thumbnail_images", "thumbnails"],
        "_draw": ["draw_thumbnails"],
        "_sittings": ["trained_ensemble"],
    },
)
