"""Scales that are powers of two."""

import math

import pytest
import torch

from litrepro._scaling import binary_scale

SIZES = [2.0**-1074, 1e-310, 1e-160, 0.7, 1.0, 3.0, 1e160, 1.7e308]


@pytest.mark.parametrize("size", SIZES)
def test_scale_is_the_power_of_two_below_the_largest_magnitude(size):
    x = torch.tensor([[0.0, -size, size / 2]], dtype=torch.float64)
    scale = binary_scale(x, -1)
    assert scale.shape == (1, 1)
    assert scale.item() == 2.0 ** (math.frexp(size)[1] - 1)
    assert torch.equal(x / scale * scale, x)
    assert 1 <= (x / scale).abs().max() < 2


def test_fibres_without_a_scale_stay_as_they_are():
    x = torch.tensor([[0.0, 0.0], [math.inf, 1.0], [math.nan, 1.0], [8.0, 1.0]])
    assert binary_scale(x, 1).flatten().tolist() == [1, 1, 1, 8]
    assert binary_scale(x[:, :0], 1).flatten().tolist() == [1, 1, 1, 1]
    assert binary_scale(x.T, 0).shape == (1, 4)
