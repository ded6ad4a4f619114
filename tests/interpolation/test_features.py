"""Random Fourier features and their theory, two-layer networks, label noise."""

import math

import pytest
import torch

from litrepro import ConvergenceWarning
from litrepro import interpolation as li
from litrepro.data import with_label_noise
from litrepro.interpolation import _ridgeless
from litrepro.nets import count_parameters, mlp

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def blobs(n, seed=0, classes=3, d=6):
    labels = torch.randint(classes, (n,), generator=generator(seed))
    centres = normal(classes, d, seed=99)
    return (centres[labels] + normal(n, d, seed=seed + 1)).float(), labels


def test_fourier_features():
    x, v = normal(2, 5, 3), normal(4, 3, seed=1)
    z = li.fourier_features(x, v)
    torch.testing.assert_close(z, torch.exp(1j * (x @ v.mT)))
    torch.testing.assert_close(li.fourier_features(x, v, kind="real"), torch.cat([z.real, z.imag], -1))
    assert li.fourier_features(x.float(), v.float()).dtype == torch.complex64
    with pytest.raises(ValueError, match="kind"):
        li.fourier_features(x, v, kind="cosine")
    with pytest.raises(ValueError, match=r"omega|frequencies|dimension"):
        li.fourier_features(x, normal(4, 2))


@pytest.mark.parametrize("kind", ["complex", "real"])
def test_rff_curve_against_lstsq(kind):
    train, test = blobs(30), blobs(20, seed=5)
    widths = [4, 40, 10]
    frame = li.rff_curve(train, test, widths, bandwidth=2.0, num_classes=3, kind=kind, seed=7)
    names = ["width", "train_mse", "test_mse", "train_error", "test_error", "norm"]
    assert frame.columns.tolist() == names
    assert frame.width.tolist() == widths
    source = generator(7)
    v = torch.randn(256, 6, generator=source, dtype=F64) / 2.0
    target, held = (torch.nn.functional.one_hot(part[1], 3).to(F64) for part in (train, test))
    for row in frame.itertuples():
        phi, phi_test = (torch.exp(1j * (part[0].double() @ v[: row.width].mT)) for part in (train, test))
        if kind == "real":
            phi, phi_test = (torch.cat([p.real, p.imag], 1) for p in (phi, phi_test))
        a = torch.linalg.pinv(phi, rtol=1e-12) @ target.to(phi.dtype)
        score, score_test = (phi @ a).real, (phi_test @ a).real
        assert row.train_mse == pytest.approx((score - target).square().sum(1).mean().item(), rel=1e-6, abs=1e-12)
        assert row.test_mse == pytest.approx((score_test - held).square().sum(1).mean().item(), rel=1e-6)
        assert row.test_error == pytest.approx((score_test.argmax(1) != test[1]).double().mean().item())
        assert row.norm == pytest.approx(a.norm().item(), rel=1e-6)


def test_rff_threshold_and_nesting():
    train, test = blobs(24), blobs(50, seed=5)
    widths = [6, 11, 12, 13, 23, 24, 25, 300]
    complex_, real = (
        li.rff_curve(train, test, widths, bandwidth=2.0, num_classes=3, kind=kind).set_index("width")
        for kind in ("complex", "real")
    )
    assert (complex_.train_mse[[24, 25, 300]] < 1e-12).all()
    assert complex_.train_mse[23] > 1e-6
    assert (real.train_mse[[12, 13, 300]] < 1e-12).all()
    assert real.train_mse[11] > 1e-6
    assert complex_.norm.idxmax() == 24
    assert real.norm.idxmax() == 12
    alone = li.rff_curve(train, test, [24], bandwidth=2.0, num_classes=3).set_index("width")
    # A row does not depend on the grid.
    assert alone.loc[24].tolist() == pytest.approx(complex_.loc[24].tolist(), rel=1e-9, abs=1e-20)
    images = (train[0].reshape(24, 2, 3), train[1])
    assert li.rff_curve(images, test, [24], bandwidth=2.0, num_classes=3).set_index("width").equals(alone)
    constant = (train[0], torch.zeros(24, dtype=torch.int64))
    assert li.rff_curve(constant, constant, [30], bandwidth=2.0).test_error.item() == 0


@pytest.mark.parametrize("width", [20, 30, 31, 45])
@pytest.mark.parametrize("dtype", [F64, torch.complex128])
def test_large_systems_agree_with_the_pseudoinverse(width, dtype):
    phi, y = normal(30, width, dtype=dtype), normal(30, 2, seed=1, dtype=dtype)
    expected = torch.linalg.pinv(phi) @ y
    torch.testing.assert_close(_ridgeless.ridgeless(phi, y, 1e-12, svd_up_to=0), expected, rtol=1e-7, atol=1e-8)
    low = phi[:, :5] @ normal(5, width, seed=2, dtype=dtype)  # rank 5: through singular values, and eigenvalues
    for rcond in (1e-8, 1e-6):
        found = _ridgeless.ridgeless(low, y, rcond, svd_up_to=0)
        torch.testing.assert_close(found, torch.linalg.pinv(low, rtol=rcond) @ y, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rcond", [1.5e-12, 1.5e-7, 1.5e-4, 1.5e-3])
@pytest.mark.parametrize("shape", [(30, 45), (45, 30), (30, 30)])
def test_large_systems_count_the_same_singular_values_as_zero(shape, rcond):
    s = 10 ** (-torch.arange(30, dtype=F64) / 3)
    u, v = (torch.linalg.qr(normal(size, 30, seed=size)).Q for size in shape)
    y = normal(shape[0], 2, seed=1)
    inverse = torch.where(s > rcond, 1 / s, 0.0)
    expected = v @ (inverse[:, None] * (u.T @ y))
    found = _ridgeless.ridgeless(u @ torch.diag(s) @ v.T, y, rcond, svd_up_to=0)
    assert (found - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize(
    "change",
    [{"bandwidth": 0}, {"widths": [0]}, {"widths": []}, {"kind": "cos"}, {"num_classes": 2}, {"dtype": torch.int32},
     {"rcond": -1}, {"test": (torch.ones(3, 2), torch.zeros(3, dtype=torch.int64))}, {"train": torch.ones(3)}],
)  # fmt: skip
def test_rff_curve_refuses(change):
    good = {"train": blobs(9), "test": blobs(9), "widths": [3], "bandwidth": 1.0, "num_classes": 3}
    with pytest.raises(ValueError, match=next(iter(change)).replace("num_classes", "labels")):
        li.rff_curve(**(good | change))


@pytest.mark.parametrize(("n", "k"), [(40, 20), (20, 60), (60, 45)])
def test_random_feature_risk_against_simulation(n, k):
    # Gaussian data and random projections, for which the formula is asymptotically exact.
    d, trials = 150, 60
    spectrum = torch.arange(1, d + 1, dtype=F64) ** -1.3
    v = normal(d, seed=1) * spectrum.sqrt()
    truth = v / spectrum.sqrt()
    x = normal(trials, n, d, seed=2) * spectrum.sqrt()
    y = x @ truth + 0.3 * normal(trials, n, seed=3)
    maps = normal(trials, d, k, seed=4)
    weights = (maps @ li.min_norm(x @ maps, y)[..., None])[..., 0]
    risk = ((weights - truth).square() * spectrum).sum(-1) + 0.09
    theory = li.random_feature_risk(spectrum, v.square(), n, k, noise=0.3).item()
    assert abs(risk.mean().item() - theory) < 4 * risk.std().item() / trials**0.5 + 0.04 * theory


def test_random_feature_risk_limits():
    d = 400
    spectrum, power = torch.full((d,), 1 / d, dtype=F64), torch.full((d,), 1 / d, dtype=F64)
    n = torch.tensor([40, 200, 360])
    kernel = li.random_feature_risk(spectrum, power, n, math.inf, noise=0.5)
    expected = li.linear_risk(n, d, noise=0.5, asymptotic=True).risk + 0.25
    torch.testing.assert_close(kernel, expected)
    torch.testing.assert_close(li.random_feature_risk(spectrum, power, n, 10**9, noise=0.5), kernel, rtol=1e-5, atol=0)
    grid = li.random_feature_risk(spectrum, power, n[:, None], torch.tensor([20, 200]))
    assert grid.shape == (3, 2)
    assert grid[1, 1].isinf()
    assert grid.isfinite().sum() == 5
    for bad in (
        (spectrum[:-1], power, 5, 5),
        (-spectrum, power, 5, 5),
        (spectrum, power, 0, 5),
        (spectrum, power, d, d),
    ):
        with pytest.raises(ValueError, match="must"):
            li.random_feature_risk(*bad)


def test_two_layer_sizes():
    assert li.two_layer_parameters(64, 13, 10) == count_parameters(mlp(64, [13], 10)) == 985
    h = li.threshold_width(200, 64, 10)
    assert (64 + 1) * h + (h + 1) * 10 == pytest.approx(200 * 10)
    for function, arguments in ((li.two_layer_parameters, (0, 1, 2)), (li.threshold_width, (5, 1, 0))):
        with pytest.raises(ValueError, match="must be"):
            function(*arguments)


def test_two_layer_curve_is_ordinary_training():
    train, test = blobs(40), blobs(30, seed=5)
    options = {"epochs": 3, "lr": 0.05, "momentum": 0.9, "batch_size": 16, "num_classes": 3}
    frame = li.two_layer_curve(train, test, [3, 5], reuse=False, seeds=(4, 6), **options)
    names = ["width", "parameters", "member", "train_mse", "test_mse", "train_error", "test_error"]
    assert frame.columns.tolist() == names
    assert frame.member.tolist() == [0, 1, 0, 1]
    alone = li.two_layer_curve(train, test, [5], reuse=False, seeds=(6,), **options).iloc[0]
    row = frame[(frame.width == 5) & (frame.member == 1)].iloc[0]
    assert row.test_mse == pytest.approx(alone.test_mse, rel=1e-5)
    assert row.parameters == 7 * 5 + 6 * 3
    from litrepro.training import batches

    model = mlp(6, [5], 3, seed=6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    hot = torch.nn.functional.one_hot(train[1], 3).float()
    for epoch in range(3):
        for chosen in batches(40, 16, 6, epoch):
            optimizer.zero_grad()
            (model(train[0][chosen]) - hot[chosen]).square().sum(1).mean().backward()
            optimizer.step()
    with torch.no_grad():
        score = model(train[0])
    assert row.train_mse == pytest.approx((score - hot).square().sum(1).mean().item(), rel=1e-4)
    assert row.train_error == pytest.approx((score.argmax(1) != train[1]).double().mean().item(), abs=1e-6)


def test_two_layer_reuse():
    train, test = blobs(40), blobs(30, seed=5)
    still = li.two_layer_curve(train, test, [2, 4, 7], reuse=True, epochs=0, seeds=(0, 1), num_classes=3)
    for _, rows in still.groupby("member"):
        torch.testing.assert_close(torch.tensor(rows.train_mse.tolist()), torch.full((3,), rows.train_mse.iloc[0]))
    options = {"epochs": 4, "seeds": (0, 1), "num_classes": 3, "lr": 0.05, "batch_size": 20, "eval_every": 4}
    path = li.two_layer_curve(train, test, [2, 4], reuse=True, **options)
    before = path[(path.width == 2) & (path.epoch == 4)].train_mse.tolist()
    assert path[(path.width == 4) & (path.epoch == 0)].train_mse.tolist() == pytest.approx(before, rel=1e-5)
    fresh = li.two_layer_curve(train, test, [2, 4], reuse=False, **options)
    assert fresh[(fresh.width == 4) & (fresh.epoch == 0)].train_mse.tolist() != pytest.approx(before, rel=1e-2)
    for bad in ({"widths": [4, 2]}, {"widths": [2, 2]}, {"seeds": ()}, {"epochs": -1}, {"num_classes": 2}):
        good = {"widths": [2], "seeds": (0,), "epochs": 1, "num_classes": 3}
        with pytest.raises(ValueError, match=r"widths|seeds|epochs|labels"):
            li.two_layer_curve(train, test, reuse=False, **(good | bad))


def test_errors_of_networks_that_diverge():
    x, labels = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    with pytest.warns(ConvergenceWarning):
        frame = li.two_layer_curve((x, labels), (x, labels), [4], reuse=False, epochs=3, lr=1e30, num_classes=2)
    assert not frame[["train_mse", "test_mse", "train_error", "test_error"]].map(math.isfinite).any(axis=None)


def test_label_noise():
    labels = torch.arange(10).repeat(2000)
    noisy = with_label_noise(labels, 0.3, num_classes=10, generator=generator())
    wrong = noisy != labels
    assert abs(wrong.double().mean().item() - 0.3) < 4 * (0.21 / 20_000) ** 0.5
    shift = torch.bincount((noisy - labels)[wrong] % 10, minlength=10)
    assert shift[0] == 0
    assert ((shift[1:] / wrong.sum() - 1 / 9).abs() < 0.02).all()
    seeded = with_label_noise(labels, 0.3, num_classes=10, generator=7)
    assert seeded.equal(with_label_noise(labels, 0.3, num_classes=10, generator=torch.Generator().manual_seed(7)))
    more = with_label_noise(labels, 0.6, num_classes=10, generator=generator())
    assert (more[wrong] == noisy[wrong]).all()
    assert with_label_noise(labels, 0.0, num_classes=10, generator=generator()).equal(labels)
    assert (with_label_noise(labels, 1.0, num_classes=10, generator=generator()) != labels).all()
    small = with_label_noise(labels.to(torch.uint8).view(2, -1), 0.5, num_classes=256, generator=generator())
    assert small.dtype == torch.uint8
    assert small.shape == (2, 10_000)
    unsigned = with_label_noise(labels.to(torch.uint16), 0.3, num_classes=10, generator=generator())
    assert unsigned.dtype == torch.uint16
    assert torch.equal(unsigned.long(), noisy)
    assert with_label_noise(torch.zeros(3, dtype=torch.int64), 0.0, num_classes=1, generator=generator()).sum() == 0
    for arguments in (
        (labels, 1.5, 10),
        (labels, 0.1, 9),
        (labels.float(), 0.1, 10),
        (labels * 0, 0.1, 1),
        (labels.to(torch.int8), 0.5, 200),
    ):
        with pytest.raises(ValueError, match="must"):
            with_label_noise(*arguments[:2], num_classes=arguments[2], generator=generator())


def test_rff_curve_counts_small_singular_values_as_zero():
    train, test = blobs(30), blobs(20, seed=5)
    (row,) = li.rff_curve(train, test, [25], bandwidth=2.0, num_classes=3, seed=7, rcond=0.3).itertuples()
    v = torch.randn(256, 6, generator=generator(7), dtype=F64) / 2.0
    phi = torch.exp(1j * (train[0].double() @ v[:25].mT))
    target = torch.nn.functional.one_hot(train[1], 3).to(phi.dtype)
    assert row.norm == pytest.approx((torch.linalg.pinv(phi, rtol=0.3) @ target).norm().item())


def test_two_layer_curve_takes_the_dtype_of_the_examples():
    (x, labels), (x_test, labels_test) = blobs(30), blobs(20, seed=7)
    options = {"reuse": True, "epochs": 2, "num_classes": 3, "batch_size": 10}
    single = li.two_layer_curve((x, labels), (x_test, labels_test), [2, 4], **options)
    double = li.two_layer_curve((x.double(), labels), (x_test.double(), labels_test), [2, 4], **options)
    assert double.test_mse.tolist() == pytest.approx(single.test_mse.tolist(), rel=1e-4)
    previous = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert len(li.two_layer_curve((x, labels), (x_test, labels_test), [2, 4], **options)) == 2
    finally:
        torch.set_default_dtype(previous)
    with pytest.raises(ValueError, match="float32 or float64"):
        li.two_layer_curve((x, labels), (x_test.double(), labels_test), [2, 4], **options)


def test_two_layer_curve_follows_its_schedule_and_has_the_defaults_that_it_names():
    train, test = blobs(60), blobs(30, seed=5)

    def curve(**options):
        return li.two_layer_curve(train, test, [4], reuse=False, num_classes=3, epochs=2, **options)

    still = curve(schedule=lambda t: 0.0, eval_every=2)
    assert still.train_mse.nunique() == 1
    assert curve(eval_every=2).train_mse.nunique() == 2
    assert curve().equals(curve(lr=0.02, momentum=0.9, batch_size=50, seeds=(0,), schedule=None))
