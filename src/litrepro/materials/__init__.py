"""Machine learning for materials: tomography and density clustering, moduli from composition, grain growth."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_radon": ["fbp", "radon"],
        "_phantom": ["phantom"],
        "_noise": ["measure_sinogram", "reconstruct"],
        "_dbscan": ["dbscan", "intensity_min_samples"],
        "_voxels": [
            "ball_offsets",
            "density_sweep",
            "detection_scores",
            "median_filter",
            "voxel_roles",
            "voxel_thresholds",
        ],
        "_render": ["render_volume"],
        "_labels": [
            "boundaries",
            "boundary_energy",
            "clustered_seeds",
            "grain_areas",
            "grain_count",
            "grain_sides",
            "mean_grain_area",
            "voronoi_labels",
        ],
        "_potts": ["potts_growth"],
        "_threshold": ["threshold_growth"],
        "_laws": ["fit_growth_law", "fit_hall_petch", "hall_petch", "pile_up"],
        "_networks": ["GrainUNet", "PatchDiscriminator"],
        "_surrogate": ["best_cut", "boundary_f1", "boundary_sharpness", "train_surrogate"],
        "_formulas": ["parse_formula", "reduced_composition"],
        "_composition": ["composition_features", "element_table"],
        "_elastic": ["clean_moduli", "moduli_to_young", "vickers_chen", "within_share"],
        "_search": ["conformal_lower", "grouped_folds", "grouped_predictions", "top_precision"],
        "_texts": ["element_mentions"],
        "_validation": ["cross_validated_scores", "learning_curve"],
    },
)
