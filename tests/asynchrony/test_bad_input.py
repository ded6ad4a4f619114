"""What asynchronous descent and its rates refuse before any work, and delays in small integers."""

import math

import pytest
import torch

from litrepro import asynchrony as ay

ONE, DELAYS = torch.ones(1), torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ay.async_descent(None, ONE, DELAYS, lr=0.1),
        lambda: ay.async_descent(lambda w: "x", ONE, DELAYS, lr=0.1),
        lambda: ay.expected_descent(5, ONE, ONE, lr=0.1, steps=1),
        lambda: ay.expected_descent(lambda w: w, ONE, torch.tensor([0.5, 0.5001]), lr=0.1, steps=1),
        lambda: ay.expected_descent(lambda w: w, ONE, torch.full((100_000,), 1.01 / 100_000), lr=0.1, steps=1),
        lambda: ay.momentum_recursion(None, ONE, lr=0.1, staleness=0.5, steps=1),
        lambda: ay.worker_staleness(2, 3, generator="x"),
        lambda: ay.best_momentum(None, staleness=ONE / 2, momenta=ONE, lrs=ONE),
        lambda: ay.best_momentum([1.0], staleness=ONE / 2, momenta=ONE, lrs=ONE),
        lambda: ay.best_momentum(ONE, staleness=ONE / 2, momenta=ONE, lrs=-ONE),
        lambda: ay.convergence_rate(ONE, lr=-0.1),
        lambda: ay.mean_square_rate(2, ONE * 1j),
        lambda: ay.mean_square_rate(2, torch.tensor([True])),
        lambda: ay.sampled_momentum_rate(ONE, lr=ONE * 1j),
        lambda: ay.polyak_momentum(ONE * 1j),
        lambda: ay.polyak_momentum(ONE * math.inf),
        lambda: ay.polyak_momentum(torch.tensor(0.5)),
        lambda: ay.polyak_momentum(torch.tensor([True])),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32])
def test_delays_in_small_integers(dtype):
    delays = ay.worker_staleness(3, 300)
    path, small = (ay.async_descent(lambda w: w, ONE, d, lr=0.01) for d in (delays, delays.to(dtype)))
    assert torch.equal(path, small)
    assert torch.equal(ay.staleness_law(delays.to(dtype), 500), ay.staleness_law(delays, 500))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_probabilities_that_sum_to_one_up_to_rounding(dtype):
    law = torch.tensor([0.5, 0.5 + torch.finfo(dtype).eps / 2], dtype=dtype)
    path = ay.expected_descent(lambda w: w, ONE, law, lr=0.1, steps=3)
    assert path.isfinite().all()


def test_no_coordinates():
    assert ay.async_descent(lambda w: w, torch.ones(2, 0), DELAYS, lr=0.1).shape == (4, 2, 0)


def test_steps_so_large_that_their_cubes_are_no_numbers():
    rates = ay.convergence_rate(
        torch.tensor([0.5, 2.0]), lr=torch.tensor([1e200, 1e100, 0.1], dtype=torch.float64), staleness=0.3
    )
    assert rates[:2].tolist() == pytest.approx([1.4e200, 1.4e100], rel=1e-9)
    assert rates[2] < 1
