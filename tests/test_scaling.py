"""Scales that are powers of two."""

import math

import pytest
import torch

from litrepro._scaling import binary_scale, length, root

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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_length_is_right_where_the_squares_leave_the_range(dtype):
    """Against Pythagorean triples, scaled by powers of two, which round nothing."""
    limit = 1000 if dtype == torch.float64 else 120
    powers = torch.tensor([-limit, -limit / 2, 0, limit / 2, limit], dtype=torch.float64)
    x = torch.tensor([[3.0, 0.0, -4.0], [2.0, 3.0, 6.0]], dtype=torch.float64)
    scaled = (x * 2 ** powers[:, None, None]).to(dtype)
    right = (torch.tensor([5.0, 7.0], dtype=torch.float64) * 2 ** powers[:, None]).to(dtype)
    assert torch.equal(length(scaled), right)
    assert torch.equal(length(scaled.mT, -2, keepdim=True), right[:, None])
    assert torch.equal(torch.func.vmap(length)(scaled), right)


def test_length_of_ordinary_vectors_is_the_norm_bit_for_bit():
    x = torch.randn(200, 33, generator=torch.Generator().manual_seed(0))
    assert torch.equal(length(x), x.norm(dim=-1))
    assert torch.equal(length(torch.cat([x, torch.zeros(1, 33)]))[:-1], x.norm(dim=-1))  # a neighbour changes nothing
    odd = length(torch.tensor([[math.inf, 1.0], [math.nan, 1.0], [0.0, 0.0]]))
    assert (odd[::2].tolist(), bool(odd[1].isnan())) == ([math.inf, 0.0], True)
    assert length(torch.zeros(0, 3)).shape == (0,)
    assert length(torch.zeros(3, 0)).tolist() == [0, 0, 0]


def test_length_can_be_differentiated():
    x = torch.tensor([[3e-30, 4e-30], [3.0, 4.0]], requires_grad=True)
    (found,) = torch.autograd.grad(length(x).sum(), x)
    assert torch.allclose(found, torch.tensor([0.6, 0.8]).expand(2, 2))


def test_a_root_has_no_slope_at_zero():
    x = torch.tensor([0.0, 4.0, math.inf, math.nan], requires_grad=True)
    found = root(x)
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert found.nan_to_num(-1, posinf=-2).tolist() == [0, 2, -2, -1]
    assert slope[:3].tolist() == [0, 0.25, 0]
