"""What the functions of recovery refuse before any work, and single precision."""

import math

import pandas as pd
import pytest
import torch

from litrepro import recovery as rc

X = torch.rand(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
A = rc.linear_measurements(4, 6)
B, WEIGHTS = rc.measure(A, X), {"l1": 1.0, "nuclear": 1.0}
FRAME = pd.DataFrame({"d": 8, "m": [10, 20], "success": [0.0, 1.0]})


def diagram(**changed):
    grid = {"ds": [4], "ms": [4], "k": 1, "trials": 1, "weights": lambda d: {"l1": 1.0}}
    return rc.phase_diagram(**(grid | changed))


@pytest.mark.parametrize(
    "call",
    [
        lambda: rc.sparse_low_rank(4, 2, batch=5),
        lambda: rc.sparse_low_rank(4, 2, generator="x"),
        lambda: rc.sparse_low_rank(4, 2, dtype=torch.int64),
        lambda: rc.linear_measurements(4, 2, dtype=None),
        lambda: rc.measure(A, X.float()),
        lambda: rc.measure(A.expand(2, 6, 4, 4), X.expand(3, 4, 4)),
        lambda: rc.structured_recovery(A.half(), B.half(), WEIGHTS),
        lambda: rc.structured_recovery(A, B, {"l1": torch.tensor(1j)}),
        lambda: rc.structured_recovery(A, B, WEIGHTS, rho=torch.tensor(1j)),
        lambda: rc.structured_iht(A.half(), B.half(), 2),
        lambda: rc.structured_iht(A, B, 2, init="x"),
        lambda: rc.project_sparse_low_rank(X.half(), 2, 1),
        lambda: rc.norm_geometry(X[:, :0], "l1"),
        lambda: rc.norm_geometry(X.half(), "nuclear"),
        lambda: rc.random_subgradient(X[:, :0], "l1"),
        lambda: rc.random_subgradient(X * math.nan, "nuclear"),
        lambda: rc.random_subgradient(X, "l1", generator=2.5),
        lambda: rc.deterministic_failure(A, X.float(), WEIGHTS),
        lambda: rc.deterministic_failure(A.half(), X.half(), WEIGHTS),
        lambda: rc.descent_dimension(X.half(), WEIGHTS),
        lambda: rc.descent_dimension(X / 0, WEIGHTS),
        lambda: rc.descent_dimension(X, WEIGHTS, generator="x"),
        lambda: rc.gaussian_distance_sq("nuclear", 4, 1.0, rank=1, generator="x"),
        lambda: rc.statistical_dimension("nuclear", 4, rank=1, seed="x"),
        lambda: diagram(ds=5),
        lambda: diagram(ms=None),
        lambda: diagram(rank=2),
        lambda: diagram(weights=lambda d: 3.0),
        lambda: diagram(weights=lambda d: {"l1": "x"}),
        lambda: diagram(tol=0.0),
        lambda: diagram(dtype=torch.int64),
        lambda: rc.success_threshold(None),
        lambda: rc.success_threshold(FRAME, by=3),
        lambda: rc.success_threshold(FRAME.assign(m="a")),
        lambda: rc.success_threshold(FRAME.assign(success=[0.0, math.nan])),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_single_precision_knows_the_rank():
    X0 = rc.sparse_low_rank(8, 4, 2, psd=False).float()
    longest = rc.random_subgradient(X0, "nuclear", extreme=True)
    torch.testing.assert_close(torch.linalg.svdvals(longest), torch.ones(8))
    options = {"weights": {"nuclear": 1.0}, "samples": 100}
    for psd in (False, True):
        X0 = rc.sparse_low_rank(6, 3, 1, psd=psd)
        single = rc.descent_dimension(X0.float(), psd=psd, **options)
        assert abs(single - rc.descent_dimension(X0, psd=psd, **options)) < 3
    twice = torch.cat([A[:3], A[:1]])
    assert rc.deterministic_failure(twice.float(), X.float(), WEIGHTS).ratio.isinf()


def test_a_seed_is_a_generator():
    assert torch.equal(rc.sparse_low_rank(4, 2, generator=0), rc.sparse_low_rank(4, 2))
