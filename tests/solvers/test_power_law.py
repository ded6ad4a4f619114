"""Fits of power laws, against numpy's polynomial fit on logarithms."""

import numpy as np
import pytest
import torch

from litrepro.solvers import power_law

PLACES = [0.5, 2.0, 3.0, 10.0, 40.0]


def test_power_law_is_the_line_through_the_logarithms():
    values = torch.rand(3, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1
    law = power_law(PLACES, values)
    assert law.exponent.shape == law.constant.shape == (3, 2)
    for member in np.ndindex(3, 2):
        slope, intercept = np.polyfit(np.log(PLACES), np.log(values[member].numpy()), 1)
        assert law.exponent[member].item() == pytest.approx(slope, abs=1e-12)
        assert law.constant[member].item() == pytest.approx(np.exp(intercept), rel=1e-12)


def test_power_law_recovers_an_exact_law_in_any_number_type():
    places = torch.tensor([1, 2, 4, 8])
    for values in (3 * places**2, (3.0 * places**2).float(), (3 * places**2).tolist(), 3.0 * places.numpy() ** 2):
        law = power_law(places, values)
        assert law.exponent.dtype == torch.float64
        assert law.exponent.item() == pytest.approx(2, abs=1e-6)
        assert law.constant.item() == pytest.approx(3, abs=1e-5)


def test_a_member_without_logarithms_does_not_disturb_its_neighbours():
    values = torch.tensor([[1.0, 2.0, 4.0], [1.0, -2.0, 4.0], [1.0, torch.inf, 4.0], [1.0, 2.0, 4.0]])
    exponent = power_law([1.0, 2.0, 4.0], values).exponent
    assert exponent[0].item() == exponent[3].item() == pytest.approx(1)
    assert not exponent[1:3].isfinite().any()


@pytest.mark.parametrize(
    ("places", "values", "message"),
    [
        ([1.0], [1.0], "at least two different"),
        ([2.0, 2.0], [1.0, 2.0], "at least two different"),
        ([0.0, 1.0], [1.0, 2.0], "positive"),
        ([1.0, torch.inf], [1.0, 2.0], "positive"),
        (torch.tensor([1.0, torch.inf]), [1.0, 2.0], "positive"),
        (torch.ones(2, 2), [1.0, 2.0], "positive"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "one value for each of the 2"),
        ([1.0, 2.0], torch.tensor(1.0), "one value for each"),
        ([1.0, 2.0], torch.ones(2, dtype=torch.complex64), "real numbers"),
        ([1.0, 2.0], ["a", "b"], "y must hold real numbers"),
        (3.0, [1.0, 2.0], "x"),
    ],
)
def test_power_law_refuses(places, values, message):
    with pytest.raises(ValueError, match=message):
        power_law(places, values)
