"""What the races compute in closed form is what the general algorithms of the library compute."""

import torch

from litrepro.optim.curvature import lissa
from litrepro.secondorder import logistic_loss
from litrepro.secondorder._race import _lissa


def test_lissa_of_the_race_is_the_lissa_of_the_library():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    y = (x[:, 0] + 0.3 * torch.randn(40, generator=generator, dtype=torch.float64)).sign()
    w0 = 0.1 * torch.randn(3, 5, generator=generator, dtype=torch.float64)
    expected = lissa(logistic_loss(0.05), w0, (x, y), s2=30, steps=3, scale=6.0, seed=11).w
    found = _lissa(x, y, 0.05, w0, 30, 3, 6.0, 11)
    assert found.shape == expected.shape
    assert (found[-1] - w0).abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
