"""Critical points, Lipschitz constants and slopes of the functions for second-order methods."""

import math

import pytest
import torch

from litrepro.landscape import cosine_wells, fading_slope, gradient, hessian, near_critical

F64 = {"dtype": torch.float64}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_cosine_wells():
    q = torch.linalg.qr(torch.randn(5, 5, generator=generator(), **F64))[0]
    a = torch.linspace(0.5, 1, 5, **F64)
    fn = lambda x: cosine_wells(x, a, q)  # noqa: E731
    exact = near_critical(q, 20, spread=0.0, generator=generator(1))
    assert gradient(fn, exact).abs().max() < 1e-12
    flipped = ((exact @ q.T) > 1).to(torch.float64)
    torch.testing.assert_close(fn(exact), 2 * (flipped * a).sum(-1))
    lowest = torch.linalg.eigvalsh(hessian(fn, exact))[:, 0]
    expected = torch.where(flipped.bool(), -a, a).amin(-1)
    torch.testing.assert_close(lowest, expected)
    near = near_critical(q, 20, spread=0.1, flipped=2, generator=generator(2)) @ q.T
    assert (near[:, :2] - math.pi).abs().max() <= 0.1 + 1e-12
    assert near[:, 2:].abs().max() <= 0.1 + 1e-12
    torch.testing.assert_close(cosine_wells(near, a), fn(near @ q))


def test_fading_slope_has_the_stated_constants():
    x = torch.linspace(-4, 4, 8001, **F64)[:, None]
    second = hessian(fading_slope, x)[:, 0, 0]
    assert second.abs().max() == pytest.approx(0.05, rel=1e-6)
    third = second.diff() / 0.001
    assert third.abs().max() == pytest.approx(0.0742, abs=2e-4)
    far = torch.tensor([[1e3], [1e4]], **F64)
    slope = gradient(fading_slope, far)[:, 0].abs()
    assert math.log10(slope[0] / slope[1]) == pytest.approx(1.05, abs=1e-4)


def test_bad_input():
    x = torch.ones(2, 3, **F64)
    for call in (
        lambda: cosine_wells(x, torch.ones(2, **F64)),
        lambda: cosine_wells(x, torch.ones(3, **F64), torch.eye(2, **F64)),
        lambda: near_critical(torch.eye(3, **F64), 0),
        lambda: near_critical(torch.eye(3, **F64), 2, flipped=4),
        lambda: fading_slope(x, 0.0),
    ):
        with pytest.raises(ValueError):
            call()
