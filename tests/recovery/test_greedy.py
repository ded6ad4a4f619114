"""Projection on sparse low-rank matrices and iterative hard thresholding."""

import itertools
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import ConvergenceWarning
from litrepro.recovery import linear_measurements, measure, project_sparse_low_rank, sparse_low_rank, structured_iht


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), psd=st.booleans(), k=st.integers(1, 5), data=st.data())
def test_projection_has_the_structure_and_keeps_it(seed, psd, k, data):
    rank = data.draw(st.integers(1, k))
    X = torch.randn(3, 6, 6 if psd else 5, generator=seeded(seed), dtype=torch.float64)
    P = project_sparse_low_rank(X, k, rank, psd=psd)
    rows, columns = (P.abs() > 1e-12).any(-1), (P.abs() > 1e-12).any(-2)
    assert (rows.sum(-1) <= k).all()
    assert (columns.sum(-1) <= k).all()
    assert (torch.linalg.matrix_rank(P, atol=1e-9) <= rank).all()
    if psd:
        assert torch.linalg.eigvalsh(P).min() > -1e-12
    torch.testing.assert_close(project_sparse_low_rank(P, k, rank, psd=psd), P, atol=1e-9, rtol=0)
    torch.testing.assert_close(project_sparse_low_rank(X[1], k, rank, psd=psd), P[1])


@pytest.mark.parametrize("psd", [True, False])
def test_projection_of_a_perturbed_signal_is_nearly_always_the_best(psd):
    d, k, rank = 6, 3, 2
    X = sparse_low_rank(d, k, rank, batch=(60,), psd=psd, generator=seeded(1))
    torch.testing.assert_close(project_sparse_low_rank(X, k, rank, psd=psd), X, atol=1e-10, rtol=0)
    noise = 0.02 * torch.randn(X.shape, generator=seeded(2), dtype=torch.float64)
    X = X + ((noise + noise.mT) / 2 if psd else noise)
    P = project_sparse_low_rank(X, k, rank, psd=psd)
    captured = []
    for rows in itertools.combinations(range(d), k):
        for columns in [rows] if psd else itertools.combinations(range(d), k):
            block = X[:, list(rows)][:, :, list(columns)]
            values = torch.linalg.eigvalsh(block).clamp(min=0).flip(-1) if psd else torch.linalg.svdvals(block)
            captured.append(values[:, :rank].square().sum(-1))
    best = (X.square().sum((-2, -1)) - torch.stack(captured).amax(0)).sqrt()
    found = torch.linalg.matrix_norm(X - P)
    assert (found >= best - 1e-9).all()
    assert (found <= best + 1e-9).double().mean() > 0.9  # a heuristic: the problem is NP-hard
    assert (found / best).max() < 2


@pytest.mark.parametrize(("psd", "kind", "rank", "m"), [(True, "gaussian", 1, 40), (False, "gaussian", 2, 90)])
def test_recovers(psd, kind, rank, m):
    g = seeded(3)
    X0 = sparse_low_rank(16, 4, rank, batch=(2, 3), psd=psd, generator=g)
    A = linear_measurements(16, m, kind, batch=(2, 3), generator=g)
    found = structured_iht(A, measure(A, X0), 4, rank, psd=psd)
    assert found.X.shape == X0.shape
    assert found.converged.all()
    assert (found.residual < 1e-6).all()
    assert torch.linalg.matrix_norm(found.X - X0).max() < 1e-5
    assert (found.iterations < 100).all()
    alone = structured_iht(A[1, 2], measure(A, X0)[1, 2], 4, rank, psd=psd)
    torch.testing.assert_close(alone.X, found.X[1, 2], atol=1e-8, rtol=0)
    assert alone.iterations == found.iterations[1, 2]


def test_start_zero_and_padding():
    g = seeded(4)
    X0 = sparse_low_rank(8, 3, batch=(3,), generator=g)
    A = linear_measurements(8, 40, batch=(3,), generator=g)
    b = measure(A, X0)
    at_once = structured_iht(A, b, 3, psd=True, init=X0)
    assert (at_once.iterations == 0).all()
    torch.testing.assert_close(at_once.X, X0)
    from_zero = structured_iht(A, b, 3, psd=True, init=torch.zeros_like(X0))
    torch.testing.assert_close(from_zero.X, X0, atol=1e-5, rtol=0)
    zero = structured_iht(A, 0 * b, 3, psd=True)
    assert not zero.X.any()
    assert zero.converged.all()
    padded = torch.zeros(3, 50, 10, 10, dtype=torch.float64)
    padded[:, :40, :8, :8] = A
    found = structured_iht(padded, measure(padded, torch.nn.functional.pad(X0, (0, 2, 0, 2))), 3, psd=True)
    plain = structured_iht(A, b, 3, psd=True)
    torch.testing.assert_close(found.X[:, :8, :8], plain.X, atol=1e-9, rtol=0)
    assert not found.X[:, 8:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scales_play_no_part(dtype):
    X0, A = (part.to(dtype) for part in (sparse_low_rank(8, 3, batch=(2,)), linear_measurements(8, 50, batch=(2,))))
    b = measure(A, X0)
    plain = structured_iht(A, b, 3, psd=True, tol=1e-5)
    assert plain.converged.all()
    power = structured_iht(A * 2.0**20, b * 2.0**-20, 3, psd=True, tol=1e-5)
    assert torch.equal(power.X * 2.0**40, plain.X)
    for scale in (1e4, 1e6, 1e-15, 1e30):
        found = structured_iht(A * scale, b, 3, psd=True, tol=1e-5)
        assert found.converged.all()
        torch.testing.assert_close(found.X * scale, plain.X, rtol=0, atol=1e-4)
    A[1] *= 1e6  # beside another
    found = structured_iht(A, b, 3, psd=True, tol=1e-5)
    torch.testing.assert_close(found.X[0], plain.X[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(found.X[1] * 1e6, plain.X[1], rtol=0, atol=1e-4)


def test_the_default_dtype_plays_no_part():
    X0, A = sparse_low_rank(8, 3).float(), linear_measurements(8, 50).float()
    plain = structured_iht(A, measure(A, X0), 3, psd=True, tol=1e-5)
    torch.set_default_dtype(torch.float64)
    try:
        found = structured_iht(A, measure(A, X0), 3, psd=True, tol=1e-5)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.X.dtype == found.residual.dtype == torch.float32
    assert torch.equal(found.X, plain.X)


def test_a_problem_that_leaves_the_finite_numbers_is_nan_alone():
    X0, A = sparse_low_rank(8, 3, batch=(2,)).float(), linear_measurements(8, 50, batch=(2,)).float()
    init = torch.eye(8).repeat(2, 1, 1)
    plain = structured_iht(A, measure(A, X0), 3, psd=True, tol=1e-5, init=init)
    init[1] = torch.finfo(torch.float32).max
    with pytest.warns(ConvergenceWarning, match="1 of 2"):
        found = structured_iht(A, measure(A, X0), 3, psd=True, tol=1e-5, init=init)
    assert found.converged.tolist() == [True, False]
    torch.testing.assert_close(found.X[0], plain.X[0], rtol=0, atol=1e-6)
    assert found.X[1].isnan().all()
    assert not found.residual[1].isfinite()


def test_shared_arguments_broadcast():
    X0, A = sparse_low_rank(8, 3, batch=(3,), generator=seeded(1)), linear_measurements(8, 50, generator=seeded(2))
    b = measure(A, X0)
    found = structured_iht(A, b, 3, psd=True)
    assert found.X.shape == (3, 8, 8)
    torch.testing.assert_close(found.X, X0, rtol=0, atol=1e-5)
    starts = torch.stack([X0[0], torch.eye(8, dtype=torch.float64)])
    several = structured_iht(A, b[0], 3, psd=True, init=starts)
    assert several.iterations.shape == (2,)
    assert several.iterations[0] == 0
    one = structured_iht(A, b[0], 3, psd=True, init=starts[1])
    torch.testing.assert_close(several.X[1], one.X, rtol=0, atol=1e-9)
    shared = structured_iht(A, b, 3, psd=True, init=starts[1])
    torch.testing.assert_close(shared.X[0], one.X, rtol=0, atol=1e-9)


def test_says_when_it_does_not_fit():
    A = linear_measurements(8, 60, generator=seeded(5))
    b = torch.randn(60, generator=seeded(6), dtype=torch.float64)  # no sparse matrix explains noise
    with pytest.warns(ConvergenceWarning, match="1 of 1"):
        found = structured_iht(A, b, 2, iterations=20)
    assert not found.converged
    assert found.residual > 0.1
    torch.testing.assert_close(found.residual, (b - measure(A, found.X)).norm() / b.norm())


def test_bad_input():
    X = torch.ones(2, 4, 5)
    A, b = torch.ones(2, 3, 4, 4), torch.ones(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in (
            lambda: project_sparse_low_rank(X, 5, 1),
            lambda: project_sparse_low_rank(X, 2, 3),
            lambda: project_sparse_low_rank(X, 0, 1),
            lambda: project_sparse_low_rank(X, 2, 1, psd=True),
            lambda: project_sparse_low_rank(X[0, 0], 2, 1),
            lambda: project_sparse_low_rank(X * torch.nan, 2, 1),
            lambda: structured_iht(A, b, 2, init=torch.full((2, 4, 4), torch.inf)),
            lambda: structured_iht(A, b[:, :2], 2),
            lambda: structured_iht(A, b, 5),
            lambda: structured_iht(A, b, 2, 3),
            lambda: structured_iht(A, b, 2, iterations=0),
            lambda: structured_iht(A, b, 2, init=torch.ones(3, 4, 4)),
            lambda: structured_iht(A, b, 2, init=torch.ones(2, 5, 4)),
            lambda: structured_iht(A, torch.ones(3, 3), 2),
            lambda: structured_iht(A, b * torch.nan, 2),
        ):
            with pytest.raises(ValueError):
                call()


@pytest.mark.parametrize(("psd", "rank"), [(True, 1), (False, 1), (False, 2)])
def test_one_step_is_the_written_iteration(psd, rank):
    g = seeded(7)
    X = sparse_low_rank(7, 3, rank, psd=psd, generator=g)
    A = linear_measurements(7, 30, generator=g)
    b = torch.randn(30, generator=g, dtype=torch.float64)
    G = torch.einsum("m,mij->ij", b - measure(A, X), A)
    G = (G + G.T) / 2 if psd else G
    rows, columns = (X != 0).any(1), (X != 0).any(0)
    U, _, Vh = torch.linalg.svd(X)
    left, right = U[:, :rank] @ U[:, :rank].T, Vh[:rank].T @ Vh[:rank]  # on the directions of X
    block = G * rows[:, None] * columns
    tangent = left @ block + block @ right - left @ block @ right
    step = tangent.square().sum() / measure(A, tangent).square().sum()
    expected = project_sparse_low_rank(X + step * G, 3, rank, psd=psd)
    with pytest.warns(ConvergenceWarning):
        found = structured_iht(A, b, 3, rank, psd=psd, iterations=1, init=X)
    torch.testing.assert_close(found.X, expected)


@pytest.mark.parametrize("psd", [True, False])
def test_the_better_of_two_blocks_is_kept(psd):
    X = torch.randn(300, 6, 6, generator=seeded(8), dtype=torch.float64)
    X = X + X.mT if psd else X
    captured = project_sparse_low_rank(X, 2, 1, psd=psd).square().sum((-2, -1))
    for one, energy in zip(X, captured):
        if psd:
            w, v = torch.linalg.eigh(one)
            rows = columns = (w[-1].clamp(min=0) * v[:, -1]).abs().topk(2).indices
            first = torch.linalg.eigvalsh(one[rows][:, columns])[-1].clamp(min=0).square()
        else:
            u, _, vh = torch.linalg.svd(one)
            rows, columns = u[:, 0].abs().topk(2).indices, vh[0].abs().topk(2).indices
            first = torch.linalg.svdvals(one[rows][:, columns])[0].square()
        assert energy >= first - 1e-9


def test_it_stops_where_it_no_longer_moves():
    g = seeded(9)
    X0, A = sparse_low_rank(8, 3, generator=g), linear_measurements(8, 60, generator=g)
    b = measure(A, X0)
    noisy = b + 0.01 * torch.randn(60, generator=g, dtype=torch.float64)
    with pytest.warns(ConvergenceWarning):
        found = structured_iht(A, noisy, 3, psd=True, iterations=300)
    assert found.iterations < 100
    assert 0 < found.residual < 0.05


@pytest.mark.parametrize("psd", [True, False])
def test_the_projection_does_not_depend_on_the_scale(psd):
    X = torch.randn(4, 6, 6, generator=seeded(4))
    plain = project_sparse_low_rank(X, 2, 1, psd=psd)
    size = torch.tensor([2.0**-90, 1.0, 2.0**70, 2.0**120])[:, None, None]
    assert torch.equal(project_sparse_low_rank(size * X, 2, 1, psd=psd), size * plain)
