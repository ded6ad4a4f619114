"""Proximal maps and projections against optimality conditions and brute force; ADMM on known examples."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro.solvers import (
    group_soft_threshold,
    hard_threshold,
    least_squares,
    multiblock_admm,
    multiblock_admm_operator,
    project_l1_ball,
    singular_value_threshold,
    soft_threshold,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(norm, z, x, t):
    return t * norm(z) + 0.5 * (z - x).square().sum()


PROXES = {
    "entries": (lambda x, t: soft_threshold(x, t), lambda z: z.abs().sum()),
    "rows": (lambda x, t: group_soft_threshold(x, t), lambda z: z.norm(dim=-1).sum()),
    "columns": (lambda x, t: group_soft_threshold(x, t, dim=-2), lambda z: z.norm(dim=-2).sum()),
    "singular values": (lambda x, t: singular_value_threshold(x, t), lambda z: torch.linalg.svdvals(z).sum()),
}


@pytest.mark.parametrize("name", PROXES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), t=st.floats(0, 3))
def test_proximal_maps_minimize(name, seed, t):
    prox, norm = PROXES[name]
    x = randn(4, 3, seed=seed)
    z = prox(x, t)
    best = objective(norm, z, x, t)
    for step in (1e-3, 0.1, 1.0):  # a strongly convex function: a local minimum is the minimum
        for k in range(6):
            direction = randn(4, 3, seed=1000 * seed + k)
            assert objective(norm, z + step * direction, x, t) >= best - 1e-12
    # Moreau: the residual is t times a subgradient, hence in the dual ball and aligned with z.
    assert torch.isclose((x - z).flatten() @ z.flatten(), t * norm(z), atol=1e-9)


def test_known_values():
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])
    assert torch.equal(soft_threshold(x, 1.0), torch.tensor([-1.0, 0.0, 0.0, 0.0, 1.0]))
    assert torch.equal(soft_threshold(x, torch.tensor([0.0, 0.0, 0.0, 1.0, 3.0])), torch.tensor([-2, -0.5, 0, 0, 0]))
    groups = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.3, 0.4]])
    assert torch.allclose(group_soft_threshold(groups, 1.0), torch.tensor([[2.4, 3.2], [0, 0], [0, 0]]))
    assert torch.equal(group_soft_threshold(groups, 0.0), groups)
    per_row = torch.tensor([[5.0], [0.0], [0.0]])
    assert torch.allclose(group_soft_threshold(groups, per_row), torch.tensor([[0.0, 0], [0, 0], [0.3, 0.4]]))
    assert torch.equal(
        hard_threshold(torch.tensor([[1.0, -3, 2], [0, 0, 0]]), 2), torch.tensor([[0.0, -3, 2], [0, 0, 0]])
    )


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e20), (torch.float64, 1e200), (torch.float32, 1e-25)])
def test_group_norms_of_any_size(dtype, size):
    x = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], dtype=dtype)
    torch.testing.assert_close(
        group_soft_threshold(x * size, 2.5 * size), group_soft_threshold(x, 2.5) * size, atol=0, rtol=1e-6
    )
    assert torch.equal(group_soft_threshold(x * size, 0.0), x * size)
    torch.testing.assert_close(group_soft_threshold(x * size, 0.0, dim=0), x * size, atol=0, rtol=1e-6)
    assert group_soft_threshold(x[:, :0], 1.0).shape == (3, 0)


def test_singular_values_shrink_and_psd_projects():
    x, t = randn(2, 3, 5, 4, seed=3), torch.tensor([[0.0, 0.5, 9.0]] * 2, dtype=torch.float64)
    z = singular_value_threshold(x, t)
    expected = (torch.linalg.svdvals(x) - t[..., None]).clamp(min=0)
    torch.testing.assert_close(torch.linalg.svdvals(z), expected)
    torch.testing.assert_close(z[:, 0], x[:, 0])
    assert not z[:, 2].any()
    square = randn(6, 5, 5, seed=4)
    z = singular_value_threshold(square, 0.0, psd=True)
    symmetric = (square + square.mT) / 2
    assert torch.linalg.eigvalsh(z).min() > -1e-12
    # The projection on the cone: the rest is negative semidefinite and orthogonal to it.
    assert torch.linalg.eigvalsh(symmetric - z).max() < 1e-12
    assert ((symmetric - z) * z).sum((-1, -2)).abs().max() < 1e-12
    w, v = torch.linalg.eigh(symmetric)
    w = (w - 0.3).clamp(min=0)
    torch.testing.assert_close(singular_value_threshold(square, 0.3, psd=True), v @ torch.diag_embed(w) @ v.mT)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 7), radius=st.floats(0, 4))
def test_l1_ball_is_the_nearest_point(seed, n, radius):
    x = randn(3, n, seed=seed)
    p = project_l1_ball(x, radius)
    assert (p.abs().sum(-1) <= radius + 1e-12).all()
    # x - p is normal to the ball at p: <x - p, q - p> <= 0 at its vertices q.
    residual = x - p
    along = radius * residual.abs().amax(-1) - (residual * p).sum(-1)
    assert along.max() < 1e-9
    radii = torch.tensor([radius, 0.0, 100.0], dtype=torch.float64)
    each = project_l1_ball(x, radii)
    torch.testing.assert_close(each[0], p[0])
    assert not each[1].any()
    assert torch.equal(each[2], x[2])


def test_one_point_with_several_thresholds():
    x, radii = randn(7, seed=6), torch.tensor([[0.5], [2.0], [100.0]], dtype=torch.float64)
    found = project_l1_ball(x, radii)
    assert found.shape == (3, 1, 7)
    for each, radius in zip(found, radii):
        assert torch.equal(each[0], project_l1_ball(x, radius.item()))
    several = project_l1_ball(randn(4, 7, seed=7), radii)
    assert several.shape == (3, 4, 7)
    torch.testing.assert_close(several[:2].abs().sum(-1), radii[:2].expand(2, 4))
    t = torch.tensor([0.1, 1.0], dtype=torch.float64)
    for X, psd in ((randn(3, 4, seed=8), False), (randn(5, 1, 4, 4, seed=8), True)):
        shrunk = singular_value_threshold(X, t, psd)
        assert shrunk.shape == (*torch.broadcast_shapes(X.shape[:-2], (2,)), *X.shape[-2:])
        for k in range(2):
            one = singular_value_threshold(X, t[k], psd)
            torch.testing.assert_close(shrunk.movedim(-3, 0)[k], one if X.ndim == 2 else one[:, 0])


@pytest.mark.parametrize("psd", [False, True])
def test_a_matrix_that_is_not_finite_becomes_nan_alone(psd):
    X = randn(4, 3, 3, seed=9)
    plain = singular_value_threshold(X, 0.5, psd)
    X[1, 0, 2], X[2, 1, 1] = torch.nan, torch.inf
    found = singular_value_threshold(X, torch.full((4,), 0.5, dtype=torch.float64), psd)
    assert torch.equal(found[[0, 3]], plain[[0, 3]])
    assert found[1:3].isnan().all()
    assert singular_value_threshold(X[1], torch.ones(2), psd).isnan().all()


def test_hard_threshold_is_the_best_s_term_approximation():
    x = randn(20, 6, seed=5)
    for s in range(1, 7):
        kept = hard_threshold(x, s)
        assert (kept != 0).sum(-1).eq(s).all()
        best = torch.stack(
            [x[:, [i for i in range(6) if i not in c]].square().sum(-1) for c in itertools.combinations(range(6), s)]
        )
        torch.testing.assert_close((x - kept).square().sum(-1), best.amin(0))


def test_least_squares_against_numpy():
    for m, n, rank in ((8, 3, 3), (3, 8, 3), (6, 6, 4), (5, 4, 0)):
        a = randn(4, m, max(rank, 1), seed=m) @ randn(4, max(rank, 1), n, seed=n) * (rank > 0)
        b = randn(4, m, seed=9)
        x = least_squares(a, b, rcond=1e-10)
        for one, rhs, found in zip(a, b, x):
            torch.testing.assert_close(
                found, torch.from_numpy(np.linalg.lstsq(one.numpy(), rhs.numpy(), rcond=1e-10)[0])
            )
        normal = a.mT @ a + 0.7 * torch.eye(n, dtype=torch.float64)
        torch.testing.assert_close(
            least_squares(a, b, ridge=0.7), torch.linalg.solve(normal, (a.mT @ b[..., None])[..., 0])
        )


CHEN = [torch.tensor(column, dtype=torch.float64)[:, None] for column in ((1, 1, 1), (1, 1, 2), (1, 2, 2))]


def test_three_blocks_diverge_and_two_converge():
    radius = torch.linalg.eigvals(multiblock_admm_operator(CHEN)).abs().max().item()
    assert radius == pytest.approx(1.0278, abs=1e-4)  # Chen et al. 2016, section 3
    c, starts = torch.zeros(3, dtype=torch.float64), [torch.ones(1, dtype=torch.float64)] * 3
    trace = multiblock_admm(CHEN, c, starts, iterations=300)
    assert trace.residuals.shape == (300,)
    assert trace.diverged is True
    grouped = [CHEN[0], torch.cat(CHEN[1:], dim=1)]
    trace = multiblock_admm(grouped, c, [starts[0], torch.ones(2, dtype=torch.float64)], iterations=300)
    assert trace.diverged is False
    assert trace.residuals[-1] < 1e-4
    assert torch.linalg.eigvals(multiblock_admm_operator(grouped)).abs().max() < 1


def test_the_operator_is_one_sweep():
    blocks = [randn(4, n, seed=n) for n in (1, 3, 2)]
    starts = [randn(n, seed=10 + n) for n in (1, 3, 2)]
    c = randn(4, seed=20)
    operator = multiblock_admm_operator(blocks)
    assert operator.shape == (10, 10)
    state = torch.cat([*starts, torch.zeros(4, dtype=torch.float64)])
    for _ in range(3):
        state = operator @ state
    trace = multiblock_admm(blocks, torch.zeros_like(c), starts, iterations=3)
    torch.testing.assert_close(torch.cat(trace.x), state[:6])
    # By hand, with c: each block solves its own normal equations with the newest values of the others.
    x, u = [part.clone() for part in starts], torch.zeros_like(c)
    for _ in range(2):
        for i, block in enumerate(blocks):
            rest = sum(blocks[j] @ x[j] for j in range(3) if j != i) - c + u
            x[i] = torch.linalg.lstsq(block, -rest[:, None]).solution[:, 0]
        gap = sum(block @ part for block, part in zip(blocks, x)) - c
        u = u + gap
    trace = multiblock_admm(blocks, c, starts, iterations=2, rho=3.0)
    torch.testing.assert_close(torch.cat(trace.x), torch.cat(x))
    torch.testing.assert_close(trace.residuals[-1], gap.norm())


def test_admm_is_batched_and_survives_dependent_columns():
    blocks = [torch.stack([block, 2 * block, 0 * block]) for block in (randn(3, 2, seed=1), randn(3, 1, seed=2))]
    c, starts = randn(3, 3, seed=3), [torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)]
    together = multiblock_admm(blocks, c, starts, iterations=5)
    assert together.residuals.shape == (5, 3)
    assert together.diverged.shape == (3,)
    operators = multiblock_admm_operator(blocks)
    for k in range(3):
        alone = multiblock_admm([b[k] for b in blocks], c[k], [s[k] for s in starts], iterations=5)
        torch.testing.assert_close(together.residuals[:, k], alone.residuals)
        torch.testing.assert_close(operators[k], multiblock_admm_operator([b[k] for b in blocks]))


def test_bad_input():
    x, matrix = torch.ones(3), torch.ones(2, 3, 3)
    vectors = [torch.ones(1), torch.ones(1)]
    columns = [torch.ones(3, 1), torch.ones(3, 1)]
    for call in (
        lambda: soft_threshold(x, -1.0),
        lambda: soft_threshold(x, torch.tensor([1.0, -1.0, 0.0])),
        lambda: soft_threshold(x, torch.ones(2)),
        lambda: soft_threshold(x, torch.ones(2, 3)),
        lambda: soft_threshold(x, float("nan")),
        lambda: soft_threshold([1.0], 1.0),
        lambda: group_soft_threshold(x, -0.1),
        lambda: group_soft_threshold(x, 0.1, dim=1),
        lambda: group_soft_threshold(matrix, torch.ones(3)),
        lambda: singular_value_threshold(matrix, -1.0),
        lambda: singular_value_threshold(matrix, torch.ones(3)),
        lambda: singular_value_threshold(torch.ones(2, 3), 1.0, psd=True),
        lambda: hard_threshold(x, 0),
        lambda: hard_threshold(x, 4),
        lambda: hard_threshold(x, 1.5),
        lambda: project_l1_ball(x, -1.0),
        lambda: project_l1_ball(torch.ones(2, 3), torch.ones(3)),
        lambda: least_squares(matrix, x),
        lambda: least_squares(torch.ones(3, 2), x, ridge=-1.0),
        lambda: multiblock_admm(columns[:1], x, vectors[:1]),
        lambda: multiblock_admm([columns[0], torch.ones(2, 1)], x, vectors),
        lambda: multiblock_admm(columns, torch.ones(2), vectors),
        lambda: multiblock_admm(columns, x, vectors[:1]),
        lambda: multiblock_admm(columns, x, [vectors[0], torch.ones(2)]),
        lambda: multiblock_admm(columns, x, vectors, iterations=0),
        lambda: multiblock_admm(columns, x, vectors, rho=0.0),
        lambda: multiblock_admm_operator(columns[:1]),
        lambda: multiblock_admm_operator([columns[0], torch.ones(2, 1)]),
    ):
        with pytest.raises(ValueError):
            call()


def test_a_rank_is_seen_whatever_the_size_of_the_matrix():
    a = randn(6, 2, seed=1) @ randn(2, 4, seed=2)
    b = randn(6, seed=3)
    expected = torch.linalg.pinv(a, rtol=1e-10) @ b
    for size in (1e-20, 1.0, 1e20):
        torch.testing.assert_close(least_squares(size * a, b) * size, expected)


@pytest.mark.parametrize(
    ("dtype", "sizes"),
    [(torch.float32, [2.0**66, 1.0, 2.0**-73, 2.0**-83]), (torch.float64, [2.0**531, 1.0, 2.0**-660])],
)
def test_least_squares_of_matrices_whose_squares_cannot_be_represented(dtype, sizes):
    a, b = randn(6, 3, seed=1).to(dtype), randn(6, seed=2).to(dtype)
    size = torch.tensor(sizes, dtype=dtype)
    expected = least_squares(a, b)
    torch.testing.assert_close(expected.double(), torch.linalg.lstsq(a.double(), b.double()[:, None]).solution[:, 0])
    found = least_squares(size[:, None, None] * a, size[:, None] * b)
    torch.testing.assert_close(found, expected.expand_as(found))
    ridged = torch.stack([least_squares(c * a, c * b, ridge=0.5 * c.item() ** 2) for c in size[1:]])
    torch.testing.assert_close(ridged[0], least_squares(a, b, ridge=0.5))
    # A ridge that is larger by far leaves A'b / ridge.
    torch.testing.assert_close(least_squares(a * size[-1], b / size[-1], ridge=2.0), a.mT @ b / 2)
    graded = torch.diag(torch.stack([torch.ones((), dtype=dtype), size[-1]]))
    torch.testing.assert_close(least_squares(graded, graded.sum(0), rcond=0.0), torch.ones(2, dtype=dtype))


def test_divergence_is_judged_per_problem_and_nan_is_divergence():
    A = [torch.stack([column, 2 * column]) for column in CHEN]
    A[2][1] = torch.tensor([[1.0], [-1.0], [0.0]])  # the second problem converges
    c = torch.zeros(2, 3, dtype=torch.float64)
    starts = [torch.tensor([[1.0], [1e6]], dtype=torch.float64)] * 3
    found = multiblock_admm(A, c, starts, iterations=300)
    assert found.residuals[-1, 0] > found.residuals[0, 0]
    assert found.residuals[-1, 0] < found.residuals[0].max()
    assert found.diverged.tolist() == [True, False]
    huge = [torch.full((1,), 1e38)] * 3
    lost = multiblock_admm([column.float() for column in CHEN], torch.zeros(3), huge, iterations=200)
    assert lost.residuals[-1].isnan()
    assert lost.diverged is True


def test_a_point_far_outside_the_l1_ball_keeps_its_digits():
    x = torch.tensor([[5e7, -1.0, 2.0], [2e7, 1.0, -2e7], [-3e7, 3e7 - 4, 0.0], [0.5, -1.0, 0.0]])
    expected = torch.tensor([[3.0, 0.0, 0.0], [1.5, 0.0, -1.5], [-3.0, 0.0, 0.0], [0.5, -1.0, 0.0]])  # by hand
    assert torch.equal(project_l1_ball(x, 3.0), expected)
    assert torch.equal(project_l1_ball(x, 6.0)[2], torch.tensor([-5.0, 1.0, 0.0]))
    assert not project_l1_ball(x, 0.0).any()
    # Far away it only counts how far the entries lie below the largest: x + c sign(x) has the projection of x.
    x = randn(50, 6, seed=11)
    moved = torch.where(x < 0, x - 2.0**20, x + 2.0**20)
    torch.testing.assert_close(project_l1_ball(moved, 0.5), project_l1_ball(x, 0.5), rtol=0, atol=1e-9)
