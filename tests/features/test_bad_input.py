"""What random features refuse before any work, and problems that are not finite beside others."""

import math

import pytest
import torch

from litrepro import features as lf

X, THREE = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)), torch.ones(3)
K = lf.gaussian_kernel(X, X)


def trials(**changed):
    grid = {"targets": [4.0], "lams": [1e-3], "sizes": [5], "seeds": 1, "n": 10, "pool": 20}
    return lf.leverage_trials(**(grid | changed))


def importance(f=torch.zeros_like, log_p=torch.zeros_like):
    return lf.importance_estimate(f, THREE, log_p, torch.zeros_like)


@pytest.mark.parametrize(
    "call",
    [
        lambda: lf.gaussian_kernel(X.half(), X.half()),
        lambda: lf.laplace_kernel(X.bfloat16(), X.bfloat16()),
        lambda: lf.feature_map("nystroem", X.half(), 4, sigma=1.0),
        lambda: lf.feature_map("nystroem", X / 0, 4, sigma=1.0),
        lambda: lf.feature_map("nystroem", X.expand(6, 5, 3), 4, sigma=1.0),
        lambda: lf.feature_map("leverage", X * math.nan, 4, sigma=1.0),
        lambda: lf.feature_map("leverage", X, 4, sigma=1.0, pool=0),
        lambda: lf.feature_map("phase", X, 4, sigma=1.0, generator="x"),
        lambda: lf.kernel_estimates("paired", X[0], None, 4, 3),
        lambda: lf.kernel_estimates("paired", X[0, :2], X, 4, 3),
        lambda: lf.kernel_estimates("paired", X, X, 4, 3),
        lambda: lf.kernel_estimates("paired", X[0], X[None], 4, 3),
        lambda: lf.spectral_error(X, K, 0.1),
        lambda: lf.unscaled_features(X, X, None),
        lambda: lf.stump_features(X, torch.tensor([0j]), THREE[:1]),
        lambda: lf.paley_hadamard(3, dtype=torch.uint8),
        lambda: lf.paley_hadamard(3, dtype="x"),
        lambda: lf.sine_grid(torch.int64),
        lambda: importance(lambda x: None),
        lambda: importance(lambda x: x * 1j),
        lambda: importance(log_p=lambda x: x @ x[:2]),
        lambda: trials(targets=5),
        lambda: trials(targets=["x"]),
        lambda: trials(lams=[]),
        lambda: trials(lams=[0.0]),
        lambda: trials(sizes=None),
        lambda: trials(sizes=[21], methods=["plain"]),
        lambda: trials(sizes=[6]),
        lambda: trials(methods="plain"),
        lambda: trials(methods=()),
        lambda: trials(noise=-1.0),
        lambda: trials(device="nowhere"),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_what_is_not_finite_stays_with_its_problem():
    draw = lf.resample_by_scores(torch.tensor([[1.0, math.nan], [1.0, math.inf], [0.0, 0.0], [1.0, 3.0]]), 2)
    assert draw.probabilities[:2].isnan().all()
    assert draw.weights[:2].isnan().all()
    assert draw.probabilities[2:].tolist() == [[0.5, 0.5], [0.25, 0.75]]
    batch = torch.stack([K, K / 0])
    error = lf.spectral_error(2 * K, batch, 0.1)
    assert error[0].item() == pytest.approx(lf.spectral_error(2 * K, K, 0.1).item(), rel=1e-12)
    assert error[1].isnan()


def test_a_map_of_points_in_double_precision():
    z = lf.feature_map("nystroem", X, 5, sigma=1.0)
    torch.testing.assert_close(z(X.double()).float(), z(X), rtol=1e-4, atol=1e-5)
