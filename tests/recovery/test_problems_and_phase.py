"""Random problems, phase diagrams against a loop, thresholds by hand."""

import warnings

import pandas as pd
import pytest
import torch

from litrepro.recovery import (
    linear_measurements,
    measure,
    phase_diagram,
    sparse_low_rank,
    structured_iht,
    structured_recovery,
    success_threshold,
    turns,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("d", "k", "rank"), [(9, 4, 2), (5, 5, 5), (6, 1, 1)])
@pytest.mark.parametrize("psd", [True, False])
def test_signals_have_the_structure(d, k, rank, psd):
    X = sparse_low_rank(d, k, rank, batch=(3, 4), psd=psd, generator=seeded())
    assert X.shape == (3, 4, d, d)
    torch.testing.assert_close(torch.linalg.matrix_norm(X), torch.ones(3, 4, dtype=torch.float64))
    assert (torch.linalg.matrix_rank(X, rtol=1e-10) == rank).all()
    rows, columns = (X != 0).any(-1), (X != 0).any(-2)
    assert (rows.sum(-1) == k).all()
    assert (columns.sum(-1) == k).all()
    if psd:
        assert torch.equal(X, X.mT)
        assert torch.linalg.eigvalsh(X).min() > -1e-12
        assert torch.equal(rows, columns)
    elif k < d:
        assert not torch.equal(rows, columns)
    if k < d:
        assert len({tuple(r.tolist()) for r in rows.reshape(-1, d)}) > 1
    assert sparse_low_rank(d, k, rank, dtype=torch.float32).dtype == torch.float32


def test_measurements():
    A = linear_measurements(4, 5000, generator=seeded())
    assert A.shape == (5000, 4, 4)
    assert A.mean().abs() < 0.02
    torch.testing.assert_close(A.flatten(1).T.cov(), torch.eye(16, dtype=torch.float64), atol=0.08, rtol=0)
    Q = linear_measurements(4, 3, "quadratic", batch=(2,), generator=seeded())
    assert Q.shape == (2, 3, 4, 4)
    assert torch.equal(Q, Q.mT)
    assert (torch.linalg.matrix_rank(Q) == 1).all()
    X = torch.randn(2, 4, 4, generator=seeded(1), dtype=torch.float64)
    w, v = torch.linalg.eigh(Q)
    z = v[..., -1] * w[..., -1:].sqrt()
    torch.testing.assert_close(measure(Q, X), torch.einsum("bmi,bij,bmj->bm", z, X, z))
    torch.testing.assert_close(measure(A, X)[1, 7], (A[7] * X[1]).sum())


def test_the_grid_is_the_loop():
    ds, ms, trials = [5, 8], [8, 16, 24], 2
    weights = {5: {"l12": 1.0, "nuclear": 2.0}, 8: {"nuclear": 1.0, "l12": 0.0}}
    frame = phase_diagram(ds, ms, 3, trials=trials, weights=weights.get, generator=seeded(3))
    assert list(frame) == ["d", "m", "trial", "error", "success", "iterations", "converged"]
    assert len(frame) == len(ds) * len(ms) * trials
    g = seeded(3)
    rows = []
    for d in ds:
        for m in ms:
            X0 = sparse_low_rank(d, 3, batch=(trials,), generator=g)
            A = linear_measurements(d, m, batch=(trials,), generator=g)
            for trial in range(trials):
                b = measure(A[trial], X0[trial])
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = structured_recovery(A[trial], b, weights[d], psd=True, tol=1e-5, max_iter=2000)
                error = torch.linalg.matrix_norm(found.X - X0[trial]).item()
                rows.append((d, m, trial, error, error < 1e-3, int(found.iterations), bool(found.converged)))
    expected = pd.DataFrame(rows, columns=list(frame))
    pd.testing.assert_frame_equal(frame.drop(columns="error"), expected.drop(columns="error"), check_dtype=False)
    assert (frame.error - expected.error).abs().max() < 1e-6
    chunked = phase_diagram(ds, ms, 3, trials=trials, weights=weights.get, generator=seeded(3), chunk_bytes=1)
    pd.testing.assert_frame_equal(chunked.drop(columns="error"), frame.drop(columns="error"))
    assert (frame.error - chunked.error).abs().max() < 1e-6


@pytest.mark.parametrize("psd", [True, False])
def test_the_norms_of_another_size_change_nothing(psd):
    weights = {5: {"l1": 1.0}, 6: {"l12": 1.0, "nuclear": 1.0}, 8: {"l1": 1.0, "nuclear": 0.5}}
    grid = {"ms": [8, 16], "k": 3, "trials": 2, "psd": psd, "weights": weights.get}
    frame = phase_diagram([5, 6, 8], **grid, generator=seeded(3))
    assert frame.d.tolist() == [5] * 4 + [6] * 4 + [8] * 4
    chunked = phase_diagram([5, 6, 8], **grid, generator=seeded(3), chunk_bytes=1)
    pd.testing.assert_frame_equal(chunked.drop(columns="error"), frame.drop(columns="error"))
    assert (frame.error - chunked.error).abs().max() < 1e-9
    alone = phase_diagram([5], **grid, generator=seeded(3))  # the first draws are the same
    pd.testing.assert_frame_equal(alone, frame[frame.d == 5])


def test_success_grows_with_the_measurements():
    grid = {"ds": [10], "ms": [4, 20, 60], "k": 3, "trials": 5, "generator": seeded(1)}
    frame = phase_diagram(**grid, weights=lambda d: {"nuclear": 1.0})
    rate = frame.groupby("m").success.mean()
    assert rate[4] == 0
    assert rate[60] == 1
    greedy = phase_diagram(**grid | {"generator": seeded(1)}, weights=None, max_iter=100)
    assert success_threshold(greedy)[10] <= success_threshold(frame)[10]
    X0 = sparse_low_rank(10, 3, batch=(5,), generator=(g := seeded(1)))
    A = linear_measurements(10, 4, batch=(5,), generator=g)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = structured_iht(A, measure(A, X0), 3, psd=True, iterations=100)
    error = torch.linalg.matrix_norm(alone.X - X0)
    torch.testing.assert_close(torch.tensor(list(greedy.error[:5]), dtype=torch.float64), error, atol=1e-8, rtol=0)


def test_threshold_is_the_area_of_failure():
    frame = pd.DataFrame({"m": [10, 10, 20, 20, 40, 40], "success": [0, 0, 0, 1, 1, 1], "d": 7, "beta": 0.5})
    by_hand = 10 + 5 * 1 + 15 * 0.5 + 10 * 0  # edges 10, 15, 30, 40
    assert success_threshold(frame).to_dict() == {7: by_hand}
    assert success_threshold(frame, "beta").index.name == "beta"
    assert success_threshold(frame.assign(success=True))[7] == 10
    assert success_threshold(frame.assign(success=False))[7] == 40
    shuffled = pd.concat([frame.assign(d=3, success=False), frame]).sample(frac=1, random_state=0)
    assert success_threshold(shuffled).to_dict() == {3: 40.0, 7: by_hand}


def test_recovery_turns_where_every_group_starts_below_half_and_ends_above():
    frame = pd.DataFrame({"d": [8, 8, 8, 8, 9, 9], "m": [30, 10, 10, 20, 40, 5], "success": [1, 0, 0, 0, 1, 0]})
    assert turns(frame)
    assert turns(frame.rename(columns={"d": "beta"}), "beta")
    half = pd.concat([frame, pd.DataFrame({"d": [8, 8], "m": [10, 10], "success": [1, 1]})])
    assert not turns(half)  # one of two at the smallest m
    assert not turns(frame.assign(success=frame.success * (frame.d == 8)))  # d = 9 is never recovered
    assert not turns(frame.assign(success=1))
    for bad in (frame.drop(columns="m"), frame[frame.m < 20]):
        with pytest.raises(ValueError, match="m"):
            turns(bad)


def test_bad_input():
    frame = pd.DataFrame({"d": [1, 1], "m": [5, 5], "success": [0, 1]})
    grid = {"ds": [6], "ms": [5], "k": 3, "trials": 1, "weights": lambda d: {"l1": 1.0}}
    for call in (
        lambda: sparse_low_rank(3, 4),
        lambda: sparse_low_rank(4, 2, 3),
        lambda: sparse_low_rank(4, 2, 0),
        lambda: linear_measurements(4, 0),
        lambda: linear_measurements(0, 1),
        lambda: linear_measurements(4, 2, "cubic"),
        lambda: measure(torch.ones(2, 3, 3), torch.ones(3, 4)),
        lambda: phase_diagram(**grid | {"ds": []}),
        lambda: phase_diagram(**grid | {"ms": [0]}),
        lambda: phase_diagram(**grid | {"k": 7}),
        lambda: phase_diagram(**grid | {"trials": 0}),
        lambda: phase_diagram(**grid | {"success": 0.0}),
        lambda: phase_diagram(**grid | {"kind": "none"}),
        lambda: phase_diagram(**grid | {"weights": lambda d: {"l3": 1.0}}),
        lambda: phase_diagram(**grid | {"weights": {"l1": 1.0}}),
        lambda: phase_diagram(**grid | {"weights": lambda d: {}}),
        lambda: sparse_low_rank(4, 2, batch=(-1,)),
        lambda: success_threshold(frame),
        lambda: success_threshold(frame, "beta"),
    ):
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize("greedy", [True, False])
def test_every_option_reaches_the_problems_and_the_solver(greedy):
    """Unlike the defaults: rank two, quadratic measurements, no cone, single precision, few iterations, a wide aim."""
    g, weights = seeded(6), {"l1": 1.0, "nuclear": 2.0}
    options = {"kind": "quadratic", "psd": False, "max_iter": 30, "success": 0.5, "tol": 1e-3, "dtype": torch.float32}
    frame = phase_diagram(
        [6],
        [24, 30],
        3,
        rank=2,
        trials=3,
        weights=None if greedy else lambda d: weights,
        generator=seeded(6),
        **options,
    )
    rows = []
    for m in (24, 30):
        X0 = sparse_low_rank(6, 3, 2, batch=(3,), psd=False, generator=g, dtype=torch.float32)
        A = linear_measurements(6, m, "quadratic", batch=(3,), generator=g, dtype=torch.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if greedy:
                found = structured_iht(A, measure(A, X0), 3, 2, iterations=30)
            else:
                found = structured_recovery(A, measure(A, X0), weights, tol=1e-3, max_iter=30)
        rows += list(zip(torch.linalg.matrix_norm(found.X - X0).tolist(), found.iterations.tolist()))
    assert frame.error.tolist() == pytest.approx([error for error, _ in rows], rel=1e-2)
    assert frame.iterations.tolist() == [steps for _, steps in rows]
    assert frame.success.tolist() == [error < 0.5 for error, _ in rows]
    assert ((frame.error > 1e-3) & frame.success).any()  # a tighter aim would have another verdict
