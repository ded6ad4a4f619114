"""The methods side by side: dimensions, approximation, and Nystroem against scikit-learn."""

import pytest
import torch

from litrepro import features as lf


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def points(n=60, d=3, dtype=torch.float64):
    return torch.randn(n, d, generator=generator(9), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", lf.MAPS)
def test_every_map_approximates_the_kernel(method, dtype):
    x = points(dtype=dtype)
    n_features = 60 if method == "nystroem" else 8192
    z = lf.feature_map(method, x, n_features, sigma=2.0, generator=generator(1))(x)
    assert z.shape == (60, n_features)
    assert z.dtype == dtype
    error = (z @ z.mT - lf.gaussian_kernel(x, x, sigma=2.0)).abs().max()
    assert error < (1e-3 if method == "nystroem" else 0.08)
    again = lf.feature_map(method, x, n_features, sigma=2.0, generator=generator(1))(x)
    assert torch.equal(z, again)


def test_nystroem_against_sklearn():
    from sklearn.kernel_approximation import Nystroem

    x = points()
    chosen = torch.randperm(60, generator=generator(3))[:20]
    z = lf.feature_map("nystroem", x, 20, sigma=2.0, generator=generator(3))(x)
    reference = Nystroem(gamma=1 / 8, n_components=20, random_state=0).fit(x[chosen].numpy())
    expected = torch.from_numpy(reference.transform(x.numpy()))
    torch.testing.assert_close(z @ z.mT, expected @ expected.mT, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["phase", "paired", "normalized", "fastfood", "orthogonal"])
def test_draws_broadcast_with_sets_of_points(method):
    x = torch.stack([points(5), points(5) + 1])
    z = lf.feature_map(method, x, 8, sigma=1.0, batch=(2,), generator=generator(1))
    assert z(x[0]).shape == (2, 5, 8)
    torch.testing.assert_close(z(x), torch.stack([z(x[0])[0], z(x[1])[1]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernel_of_many_points_is_that_of_few(dtype):
    line = torch.linspace(0, 1000, 3000, dtype=dtype)[:, None]
    cloud = torch.randn(2, 2100, 3, generator=generator(2), dtype=dtype) + 1000
    for x in (line, cloud):
        K = lf.gaussian_kernel(x, x)
        assert K.dtype == dtype
        torch.testing.assert_close(K, K.mT, rtol=0, atol=16 * torch.finfo(dtype).eps)
        wide = x.double()
        exact = (wide[..., :, None, :] - wide[..., None, 1000:1100, :]).square().sum(-1).mul(-0.5).exp()
        torch.testing.assert_close(K[..., 1000:1100].double(), exact, rtol=0, atol=1e-6)


def test_estimates_are_draws_of_the_map():
    y = points(4)
    for method in ("phase", "paired", "normalized", "fastfood", "orthogonal"):
        estimates = lf.kernel_estimates(method, y[0] + 0.3, y, 16, 5000, generator=generator(2), chunk=1500)
        assert estimates.shape == (5000, 4)
        exact = lf.gaussian_kernel(y[:1] + 0.3, y)[0]
        bias = 0.02 if method == "normalized" else 0
        assert ((estimates.mean(0) - exact).abs() < 5 * estimates.std(0) / 5000**0.5 + bias).all()


def test_scores_that_are_given():
    scores = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
    draw = lf.resample_by_scores(scores, 4000, generator=generator())
    assert draw.probabilities.tolist() == [0.25, 0.0, 0.75]
    assert abs((draw.index == 2).double().mean() - 0.75) < 0.04
    assert not (draw.index == 1).any()


@pytest.mark.parametrize(
    "call",
    [
        lambda: lf.feature_map("sobol", points(), 4, sigma=1.0),
        lambda: lf.feature_map("paired", points(), 5, sigma=1.0),
        lambda: lf.feature_map("nystroem", points(), 61, sigma=1.0),
        lambda: lf.feature_map("leverage", points(), 4, sigma=1.0, batch=(2,)),
        lambda: lf.feature_map("phase", points(), 0, sigma=1.0),
        lambda: lf.feature_map("phase", points(), 4, sigma=0.0),
        lambda: lf.resample_by_scores(torch.tensor([1.0, -1.0]), 3),
        lambda: lf.resample_by_scores(torch.ones(0), 3),
        lambda: lf.kernel_estimates("phase", points()[0], points(), 4, 0),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must"):
        call()
