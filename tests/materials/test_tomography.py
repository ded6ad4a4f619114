"""Projection, reconstruction, noise and rendering against closed forms."""

import math

import pytest
import torch

from litrepro import materials as lm
from litrepro.materials import _phantom

F64 = torch.float64
N = 65


def turn(count):
    return torch.arange(count, dtype=F64) * (math.pi / count)


def radius():
    axis = torch.linspace(-1, 1, N, dtype=F64)
    return axis, (axis[:, None] ** 2 + axis[None] ** 2).sqrt()


def blob(x, y, width=0.15):
    axis, _ = radius()
    return torch.exp(-((axis[:, None] - y) ** 2 + (axis[None] - x) ** 2) / (2 * width**2))


def test_angle_zero_and_ninety_sum_rows_and_columns():
    image = blob(0.3, -0.2)
    sino = lm.radon(image, torch.tensor([0.0, math.pi / 2], dtype=F64))
    torch.testing.assert_close(sino[0], image.sum(-2))
    torch.testing.assert_close(sino[1], image.sum(-1))


def test_gaussian_against_closed_form():
    x, y, width = 0.3, -0.25, 0.12
    angles = turn(17)
    axis, _ = radius()
    s = axis - (x * angles.cos() + y * angles.sin())[:, None]
    pixels = (N - 1) / 2
    expected = pixels * width * math.sqrt(2 * math.pi) * torch.exp(-(s**2) / (2 * width**2))
    torch.testing.assert_close(lm.radon(blob(x, y, width), angles), expected, atol=0.09, rtol=0)


def test_disk_chords():
    _, r = radius()
    sino = lm.radon((r <= 0.6).to(F64), turn(9))
    chord = 2 * (((0.6 * 32) ** 2 - (torch.arange(N, dtype=F64) - 32) ** 2).clamp(min=0)).sqrt()
    assert (sino - chord).abs().mean() < 0.6


def test_linear_batched_and_differentiable():
    g = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 20, 20, generator=g, dtype=F64, requires_grad=True)
    angles = turn(7)
    sino = lm.radon(images, angles)
    assert sino.shape == (2, 3, 7, 20)
    torch.testing.assert_close(sino[1, 2], lm.radon(images[1, 2], angles))
    torch.testing.assert_close(lm.radon(2 * images[0] - images[1], angles), 2 * sino[0] - sino[1])
    back = lm.fbp(sino, angles)
    torch.testing.assert_close(back[0, 1], lm.fbp(sino[0, 1], angles))
    back.sum().backward()
    assert images.grad.isfinite().all()


def test_reconstruction_of_off_centre_blob():
    image = blob(-0.4, 0.3)
    _, r = radius()
    for count, bound in ((90, 0.035), (24, 0.05)):
        back = lm.fbp(lm.radon(image, turn(count)), turn(count))
        assert (back - image)[r < 0.9].abs().max() < bound


@pytest.mark.parametrize("filter", ["ramp", "hann"])
def test_reconstruction_keeps_values(filter):
    _, r = radius()
    disk = (r <= 0.6).to(F64)
    back = lm.fbp(lm.radon(disk, turn(90)), turn(90), filter=filter)
    assert back[r < 0.4].mean().sub(1).abs() < 2e-3
    assert back[(r > 0.8) & (r < 1)].mean().abs() < 0.02


def test_unfiltered_backprojection_of_one_angle():
    image = blob(0.1, 0.1)
    sino = lm.radon(image, turn(1))
    torch.testing.assert_close(lm.fbp(sino, turn(1), filter=None), math.pi * sino.expand(N, N))


def test_more_angles_and_softer_filter_tell_apart():
    _, r = radius()
    disk = (r <= 0.6).to(F64)
    error = [(lm.fbp(lm.radon(disk, turn(k)), turn(k)) - disk)[r < 1].square().mean() for k in (8, 24, 90)]
    assert error[0] > 1.5 * error[1] > 1.5 * error[2]
    noise = torch.randn(90, N, generator=torch.Generator().manual_seed(0), dtype=F64)
    sharp, soft = (lm.fbp(noise, turn(90), filter=name)[r < 1].std() for name in ("ramp", "hann"))
    assert soft < 0.6 * sharp


@pytest.mark.parametrize("n", [9, 50])
def test_filters_against_sums_in_space(n):
    """From one angle the reconstruction is pi times the filtered row."""
    row = torch.rand(1, n, generator=torch.Generator().manual_seed(0), dtype=F64)
    place = torch.arange(-1, n + 1)  # one beyond both ends, where the wider window looks

    def response(k):
        return 0.25 if k == 0 else -1 / (math.pi * k) ** 2 if k % 2 else 0.0

    ramp = torch.stack([sum(response(int(i) - j) * row[0, j] for j in range(n)) for i in place])
    hann = (ramp[:-2] + 2 * ramp[1:-1] + ramp[2:]) / 4  # (1 + cos) / 2 in frequency
    for name, expected in (("ramp", ramp[1:-1]), ("hann", hann)):
        found = lm.fbp(row, turn(1), filter=name)
        torch.testing.assert_close(found, math.pi * expected.expand(n, n), rtol=1e-9, atol=1e-9)


def test_rays_of_images_that_fill_their_square():
    from scipy.ndimage import map_coordinates

    image = torch.rand(11, 11, generator=torch.Generator().manual_seed(0), dtype=F64) + 1
    angles, axis = turn(7), torch.arange(11, dtype=F64) - 5
    s, t = axis[:, None], axis[None]
    for angle, found in zip(angles, lm.radon(image, angles), strict=True):
        x, y = s * angle.cos() - t * angle.sin() + 5, s * angle.sin() + t * angle.cos() + 5
        values = map_coordinates(image.numpy(), [y.numpy(), x.numpy()], order=1, mode="grid-constant")
        torch.testing.assert_close(found, torch.from_numpy(values).sum(1))


@pytest.mark.parametrize(("dtype", "n"), [(torch.float16, 96), (torch.bfloat16, 48)])
def test_rays_in_half_precision(dtype, n):
    image = torch.rand(n, n, generator=torch.Generator().manual_seed(0)).to(dtype)
    angles = turn(5).to(dtype)
    found = lm.radon(image, angles)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), lm.radon(image.double(), angles.double()), rtol=0.02, atol=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lm.radon(torch.zeros(4, 5), turn(3)), "square"),
        (lambda: lm.radon(torch.zeros(4, 4, dtype=torch.int64), turn(3)), "floating"),
        (lambda: lm.radon(torch.zeros(4, 4), turn(3)[None]), "vector"),
        (lambda: lm.fbp(torch.zeros(3, 4), turn(2)), "3 rows and 2 angles"),
        (lambda: lm.fbp(torch.zeros(3, 4), turn(3), filter="cosine"), "filter"),
        (lambda: lm.radon(torch.full((4, 4), torch.nan), turn(3)), "images must be finite"),
        (lambda: lm.fbp(torch.full((3, 4), torch.inf), turn(3)), "sino must be finite"),
        (lambda: lm.phantom(0, 20, seed=0), "n must"),
        (lambda: lm.phantom(4, 0, seed=0), "depth must"),
        (lambda: lm.phantom(32, 20, seed=-1), "seed"),
        (lambda: lm.measure_sinogram(torch.zeros(4, 4), turn(3), dose=0.0), "dose"),
        (lambda: lm.render_volume(torch.zeros(4, 4)), "opacity"),
        (lambda: lm.render_volume(2 * torch.ones(4, 4, 4)), "opacity"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_phantom():
    volume = lm.phantom(48, 16, seed=3)
    assert volume.shape == (16, 48, 48)
    assert torch.equal(volume, lm.phantom(48, 16, seed=3))
    assert not torch.equal(volume, lm.phantom(48, 16, seed=4))
    axis = torch.linspace(-1, 1, 48)
    outside = (axis[:, None] ** 2 + axis[None] ** 2).sqrt() > 0.9
    assert (volume[:, outside] == 0).all()
    assert 0.05 < (volume > 0).float().mean() < 0.4
    assert {0.5, 1.0, 1.5} <= set(volume.unique().tolist())
    for n, depth in ((1, 1), (2, 3), (4, 1), (64, 1)):
        small = lm.phantom(n, depth, seed=0)
        assert small.shape == (depth, n, n)
        assert n < 4 or bool((small == 0.9).any())


def test_rods_and_spheres_fill_the_disk_evenly():
    from scipy import stats

    generator = torch.Generator().manual_seed(0)
    points = torch.tensor([_phantom._inside(2.0, generator) for _ in range(1000)])
    assert stats.kstest((points.square().sum(1) / 4).numpy(), "uniform").pvalue > 1e-3
    assert (points.mean(0).abs() < 0.15).all()


def test_noise_has_the_variance_of_counts():
    volume = torch.zeros(2, 40, 40)
    sino = lm.measure_sinogram(volume, turn(60).float(), dose=400.0, absorption=0.1, readout=0.0, generator=1)
    assert sino.std().item() == pytest.approx(1 / (0.1 * 20), rel=0.05)
    assert abs(sino.mean().item()) < 0.05
    noisy = lm.measure_sinogram(volume, turn(60).float(), dose=400.0, absorption=0.1, readout=20.0, generator=1)
    assert noisy.std().item() == pytest.approx(2**0.5 / 2, rel=0.05)


def test_more_dose_is_nearer_to_the_truth():
    volume = lm.phantom(48, 8, seed=0)
    error = [
        (lm.reconstruct(volume, 24, dose=dose, generator=0) - volume).square().mean().sqrt().item()
        for dose in (10.0, 100.0, 1000.0)
    ]
    assert error[0] > 1.5 * error[1]
    assert error[1] > 1.02 * error[2]


@pytest.mark.parametrize("elevation", [0.0, 30.0])
def test_the_camera_turns_around_the_axis(elevation):
    """What lies on the axis of rotation stays where it is in the image at every azimuth; what lies beside it moves."""
    on_axis, beside = torch.zeros(2, 11, 11, 11)
    on_axis[9, 5, 5], beside[5, 5, 9] = 1.0, 1.0

    def centre(volume, azimuth):
        cover = lm.render_volume(volume, azimuth=azimuth, elevation=elevation, size=65)[..., 3]
        rows, columns = torch.meshgrid(torch.arange(65.0) - 32, torch.arange(65.0) - 32, indexing="ij")
        return torch.stack([(cover * rows).sum(), (cover * columns).sum()]) / cover.sum()

    found = torch.stack([centre(on_axis, azimuth) for azimuth in (0.0, 35.0, 110.0, 250.0)])
    assert found[:, 0].max() < -10  # above the middle
    assert (found - found[0]).abs().max() < 0.3
    assert found[:, 1].abs().max() < 0.3
    quarter, half = centre(beside, 0.0), centre(beside, 180.0)
    assert (quarter[1] + half[1]).abs() < 0.3
    assert quarter[1].abs() > 10


def test_the_camera_looks_down_and_does_not_mirror():
    def centre(z, y, x, elevation=0.0):
        volume = torch.zeros(11, 11, 11)
        volume[z, y, x] = 1.0
        cover = lm.render_volume(volume, azimuth=0.0, elevation=elevation, size=65)[..., 3]
        places = torch.arange(65.0) - 32
        return ((cover.sum(1) * places).sum() / cover.sum()).item(), (cover.sum(0) @ places / cover.sum()).item()

    assert centre(9, 5, 5)[0] < -10  # the first axis points up
    assert centre(5, 5, 9)[1] > 10  # the last one to the right, as in a slice
    assert centre(5, 9, 5, 45.0)[0] > 5  # of what lies level, the nearer is seen lower from above
    assert centre(5, 1, 5, 45.0)[0] < -5


def test_light_comes_from_above_and_the_left():
    axis = torch.arange(21.0) - 10
    ball = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 <= 49).float()
    image = lm.render_volume(ball, azimuth=0.0, elevation=0.0, size=65)
    light = image[..., 0] * image[..., 3]
    inside = image[..., 3] > 0.9
    top, bottom = (part[mask].mean() for part, mask in ((light[:30], inside[:30]), (light[35:], inside[35:])))
    left, right = (light[:, cut][inside[:, cut]].mean() for cut in (slice(0, 30), slice(35, None)))
    assert top > 1.1 * bottom
    assert left > 1.1 * right


def test_render_sees_what_is_in_front():
    volume = torch.zeros(9, 9, 9)
    colour = torch.zeros(3, 9, 9, 9)
    volume[:, 6:8, 3:6] = 1.0  # towards the viewer (azimuth 0 looks along the y axis)
    volume[:, 1:3, 3:6] = 1.0
    colour[0, :, 6:8] = 1.0
    colour[2, :, 1:3] = 1.0
    image = lm.render_volume(volume, colour, azimuth=0.0, elevation=0.0, size=32)
    middle = image[16, 16]
    assert middle[0] > 0.2
    assert middle[2] < 0.05
    assert middle[3] > 0.95
    behind = lm.render_volume(volume, colour, azimuth=180.0, elevation=0.0, size=32)[16, 16]
    assert behind[2] > 0.2
    assert behind[0] < 0.05
    assert image[0, 0, 3] == 0
    assert lm.render_volume(torch.zeros(3, 4, 5), size=8).abs().max() == 0
