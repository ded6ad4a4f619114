"""The grid search against closed forms."""

import math

import pytest
import torch

from litrepro.optim import momentum_rate, optimal_momentum, search_momentum

REAL = torch.linspace(1, 10, 21, dtype=torch.float64)


@pytest.mark.parametrize("angle", [0.2, 0.8, 1.4])
def test_one_complex_eigenvalue(angle):
    value = torch.polar(torch.tensor(1.3, dtype=torch.float64), torch.tensor(angle, dtype=torch.float64))
    found = search_momentum(value[None], eta=(1.5, 1.49), beta=(0.0, 0.99))
    assert found == pytest.approx([part.item() for part in optimal_momentum(value)], abs=1e-3)
    assert found[2] == momentum_rate(value[None], *found[:2]).item()


def test_a_real_spectrum():
    eta, beta, rate = search_momentum(REAL, eta=(0.2, 0.199), beta=(0.4, 0.59), rounds=12)
    root = math.sqrt(10)
    assert (eta, beta) == pytest.approx((4 / (root + 1) ** 2, ((root - 1) / (root + 1)) ** 2), abs=1e-2)
    assert rate == pytest.approx((root - 1) / (root + 1), abs=1e-2)
    single = search_momentum(REAL.float(), eta=(0.2, 0.199), beta=(0.4, 0.59))
    assert single[2] == pytest.approx(rate, abs=1e-2)


@pytest.mark.parametrize(
    "change",
    [{"eigs": REAL[None]}, {"eigs": None}, {"eta": 0.1}, {"eta": (0.1, -1)}, {"beta": (0.1,)},
     {"beta": (math.nan, 1)}, {"rounds": 0}, {"size": 1}],
)  # fmt: skip
def test_refuses(change):
    with pytest.raises(ValueError, match="must"):
        search_momentum(**({"eigs": REAL, "eta": (0.2, 0.1), "beta": (0.0, 0.5)} | change))
