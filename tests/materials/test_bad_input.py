"""Bad input is refused before any work, whoever calls; odd but good input works."""

import math

import pandas as pd
import pytest
import torch

import litrepro.materials as lm
from litrepro.materials import _voxels

DISK = torch.ones(8, 8)
ANGLES = torch.arange(4) * (math.pi / 4)
LABELS = torch.arange(4).reshape(1, 2, 2)
MASK = torch.ones(2, 3, 3, dtype=torch.bool)
NET = lm.GrainUNet(4, 1, generator=0)
PAIRS = torch.zeros(2, 1, 4, 4)
VOLUME = torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(0))
SWEEP = {"cuts": [0.5], "radii": [1.0], "samples": [(4, 4, 1.0)], "bright": 1.0}


@pytest.mark.parametrize(
    "call",
    [
        lambda: lm.radon(DISK.to(torch.complex64), ANGLES),
        lambda: lm.fbp(torch.zeros(4, 0), ANGLES),
        lambda: lm.fbp(torch.zeros(4, 8, dtype=torch.float16), ANGLES),
        lambda: lm.measure_sinogram(DISK * math.nan, ANGLES, dose=10.0),
        lambda: lm.measure_sinogram(-100 * DISK, ANGLES, dose=1e38),
        lambda: lm.measure_sinogram(DISK, ANGLES, dose=10.0, generator="seed"),
        lambda: lm.reconstruct(None, 4, dose=10.0),
        lambda: lm.reconstruct(DISK, 4, dose=10.0, filter="box"),
        lambda: lm.render_volume(VOLUME, colour=torch.full((3, 4, 4, 4), 2.0)),
        lambda: lm.render_volume(VOLUME, azimuth="left"),
        lambda: lm.dbscan(torch.zeros(4, 2), 1.0, torch.ones(4, dtype=torch.bool)),
        lambda: lm.voxel_roles(MASK, 1.0, torch.ones(2, 3, 3, dtype=torch.complex64)),
        lambda: lm.voxel_roles(MASK, 1.0, torch.ones(4, 1, 1, dtype=torch.int64)),
        lambda: lm.voxel_roles(MASK[:1], 1.0, torch.ones(4, 1, 1, dtype=torch.int64)),
        lambda: lm.voxel_thresholds(None, 0.0, 1.0, 1, 2),
        lambda: lm.voxel_thresholds(VOLUME, "0", 1.0, 1, 2),
        lambda: lm.density_sweep(VOLUME, MASK, **SWEEP),
        lambda: lm.density_sweep(VOLUME, VOLUME > 0.5, **SWEEP | {"cuts": [2.0]}),
        lambda: lm.density_sweep(VOLUME, VOLUME > 0.5, **SWEEP | {"samples": [(4, 4)]}),
        lambda: lm.detection_scores(MASK.expand(2, 2, 3, 3), MASK.expand(3, 2, 3, 3)),
        lambda: lm.voronoi_labels(8, 2, 1, seeds=[[0.0, 1.0]]),
        lambda: lm.voronoi_labels(8, 1, 1, seeds=torch.tensor([[[9.0, 1.0]]])),
        lambda: lm.voronoi_labels(8, 2, 1, device="nowhere"),
        lambda: lm.clustered_seeds(8, 2, 1, generator=2.5),
        lambda: lm.mean_grain_area([[0, 1]]),
        lambda: lm.boundary_energy(LABELS.to(torch.complex64)),
        lambda: lm.hall_petch("4", 1.0, 1.0),
        lambda: lm.hall_petch(4.0, math.nan, 1.0),
        lambda: lm.hall_petch([4.0, -9.0], 10.0, 6.0),
        lambda: lm.hall_petch(["4"], 10.0, 6.0),
        lambda: lm.hall_petch([[4.0], [9.0, 1.0]], 10.0, 6.0),
        lambda: lm.vickers_chen([True], [250.0]),
        lambda: lm.vickers_chen([300.0, 1.0], [250.0, 0.0]),
        lambda: lm.moduli_to_young([300.0, 1.0], [250.0, 1.0, 1.0]),
        lambda: lm.fit_hall_petch(["a", "b"], [1.0, 2.0]),
        lambda: lm.fit_hall_petch([1e8, math.nextafter(1e8, 2e8)], [1.0, 2.0]),
        lambda: lm.fit_growth_law(torch.ones(4, dtype=torch.complex64), [1.0] * 4),
        lambda: lm.fit_growth_law([0, 1, 2, 3], [2, 2, 2, 2]),
        lambda: lm.GrainUNet(4, 60),
        lambda: NET([[0.0]]),
        lambda: NET(torch.zeros(1, 1, 0, 0)),
        lambda: lm.PatchDiscriminator(4)(torch.zeros(1, 2, 2, 2)),
        lambda: lm.train_surrogate(None, PAIRS, PAIRS, iterations=1),
        lambda: lm.train_surrogate(NET, PAIRS - 1, PAIRS, iterations=1),
        lambda: lm.train_surrogate(NET, PAIRS.double(), PAIRS.double(), iterations=1),
        lambda: lm.train_surrogate(NET, PAIRS, PAIRS, iterations=1, discriminator=NET, adversarial=3),
        lambda: lm.boundary_f1(MASK.expand(2, 2, 3, 3), MASK[:, :2]),
        lambda: lm.best_cut(torch.zeros(0, 2, 2), torch.zeros(0, 2, 2, dtype=torch.bool)),
        lambda: lm.boundary_sharpness(torch.zeros(2, 0, 0)),
        lambda: lm.parse_formula("H" + 400 * "9"),
        lambda: lm.parse_formula(f"Fe{'9' * 308}O{'9' * 308}"),
        lambda: lm.parse_formula(f"(H{'9' * 300}){'9' * 300}"),
        lambda: lm.composition_features(5),
        lambda: lm.composition_features(["H"], pd.DataFrame({"element": ["H"], "mass": [math.inf]})),
        lambda: lm.vickers_chen("443", 535.0),
        lambda: lm.vickers_chen(torch.ones(2), torch.ones(3)),
        lambda: lm.moduli_to_young(torch.ones(2, dtype=torch.bool), torch.ones(2)),
        lambda: lm.moduli_to_young(pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0], index=[1, 2])),
        lambda: lm.clean_moduli(None),
        lambda: lm.clean_moduli(pd.DataFrame({"K_VRH": ["a"], "G_VRH": [1.0]})),
        lambda: lm.within_share([1.0], [1.0]),
        lambda: lm.within_share(pd.Series([1.0, 2.0, 3.0], index=[2, 1, 0]), pd.Series([1.0, 2.0, 3.0])),
        lambda: lm.within_share(torch.ones(2), torch.ones(2).numpy()),
        lambda: lm.within_share(torch.ones(2), torch.ones(2), margin=-1),
        lambda: lm.element_mentions([5]),
        lambda: lm.grouped_folds("aabb", 2),
        lambda: lm.grouped_folds([1.0, math.nan, math.nan], 2),
        lambda: lm.grouped_folds([[1], [2]], 2),
        lambda: lm.grouped_folds([([1],), ([2],)], 2),
        lambda: lm.grouped_folds([pd.NA, 1, 2], 2),
        lambda: lm.grouped_predictions(None, torch.ones(2, 1), torch.ones(2), torch.arange(2)),
        lambda: lm.grouped_predictions(lambda x, y: lambda new: 3.0, torch.ones(2, 1), torch.ones(2), torch.arange(2)),
        lambda: lm.grouped_predictions(lambda x, y: len, torch.ones(2, 1), torch.ones(2), torch.zeros(2).long()),
        lambda: lm.top_precision(torch.tensor([1.0, math.nan]), torch.ones(2), 1),
        lambda: lm.conformal_lower(torch.ones(2), torch.ones(2).double()),
        lambda: lm.conformal_lower([1.0], torch.ones(2)),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match=r"must|formula|differ"):
        call()


def test_laws_take_lists():
    stress = lm.hall_petch([4.0, 9], 10, 6)
    torch.testing.assert_close(stress, torch.tensor([13.0, 12.0], dtype=torch.float64))
    for law in (lambda K, G: (lm.vickers_chen(K, G),), lm.moduli_to_young):
        one, two = law(300.0, 250.0), law(443.0, 535.0)
        column = pd.Series([250.0, 535.0], index=["a", "b"])
        for other in ([250, 535.0], (250.0, 535.0), torch.tensor([250.0, 535.0]), column.to_numpy(), column):
            for found, *expected in zip(law([300.0, 443.0], other), one, two):
                assert type(found) is (type(other) if hasattr(other, "dtype") else torch.Tensor)
                assert list(found) == pytest.approx(expected, rel=1e-6)
    assert lm.vickers_chen([300.0, 443.0], 535.0)[1].item() == pytest.approx(lm.vickers_chen(443.0, 535.0))


def test_tensors_name_groups_by_value():
    groups = torch.tensor([3, 3, 5, 3, 5, 8])
    torch.testing.assert_close(lm.grouped_folds(groups, 2), lm.grouped_folds(groups.tolist(), 2))


def test_large_balls_do_not_overflow():
    # As many shifts as a ball of 20 voxels has; here they all hit the same voxel.
    assert _voxels._neighbours(MASK[:1, :1, :1], [(0, 0, 0)] * 33_000).item() == 33_000


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 5), (2, 2, 2), (2, 4, 4)])
def test_thin_volumes_are_drawn(shape):
    image = lm.render_volume(torch.ones(shape), size=16)
    assert image.isfinite().all()
    assert image[8, 8, 3] > 0.5


def test_networks_take_other_dtypes():
    x = torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    judge = lm.PatchDiscriminator(4, generator=0)
    torch.testing.assert_close(NET(x[:, :1]), NET(x[:, :1].float()))
    torch.testing.assert_close(judge(x), judge(x.float()))


def test_empty_batches_give_empty_results():
    empty = torch.zeros(0, 4, 4, dtype=torch.int64)
    assert lm.threshold_growth(empty, 2).shape == lm.potts_growth(empty, 2).shape == (0, 4, 4)
    assert lm.grain_areas(empty, 3).shape == lm.grain_sides(empty, 3).shape == (0, 3)
    assert lm.median_filter(torch.zeros(0, 3, 3, 3)).shape == (0, 3, 3, 3)
    assert lm.radon(torch.zeros(0, 8, 8), ANGLES).shape == lm.fbp(torch.zeros(0, 4, 8), ANGLES)[..., :4, :].shape


def test_tolerances_beyond_the_image_are_no_work():
    few, many = MASK[0] & False, MASK[0]
    few[0, 0] = True
    torch.testing.assert_close(lm.boundary_f1(few, many, tolerance=10**6), lm.boundary_f1(few, many, tolerance=1))
