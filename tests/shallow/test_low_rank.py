"""Quadratic activations: exact and Krylov projections."""

import pytest
import torch

from litrepro import shallow

f64 = torch.float64


def problem(m, p=10, r=2, batch=(3,), fresh=True, seed=0):
    """A sampler and the matrix to recover, with eigenvalues of both signs."""
    source = torch.Generator().manual_seed(seed)
    U = torch.linalg.qr(torch.randn(*batch, p, r, generator=source, dtype=f64)).Q
    L = U * torch.tensor([1.0, -0.7, 0.5][:r], dtype=f64) @ U.mT
    drawn = {}

    def sample(t):
        key = t if fresh else 0
        if key not in drawn:
            X = torch.randn(*batch, m, p, generator=source, dtype=f64)
            drawn[key] = X, ((X @ L) * X).sum(-1)
        return drawn[key]

    return sample, L


def test_weights_make_one_batch_of_several_sample_counts():
    generator = torch.Generator().manual_seed(5)
    X = torch.randn(3, 240, 8, generator=generator, dtype=torch.float64)
    a = torch.randn(3, 8, 1, generator=generator, dtype=torch.float64)
    y = (X @ a).square()[..., 0]
    counts = torch.tensor([80, 160, 240])[:, None]
    weights = (torch.arange(240) < counts) / counts.double()
    for projection in ("exact", "krylov"):
        options = {"iterations": 6, "projection": projection, "generator": 2}
        path = shallow.rank_one_recovery(lambda t: (X, y), 8, 1, weights=weights[:, None], **options)
        assert path.shape == (7, 3, 3, 8, 8)
        for i, n in enumerate(counts.flatten().tolist()):
            alone = shallow.rank_one_recovery(lambda t, n=n: (X[:, :n], y[:, :n]), 8, 1, **options)
            # The Krylov space of 8 dimensions is the whole space, whatever its random start.
            torch.testing.assert_close(path[:, i], alone, rtol=1e-8, atol=1e-10)
    for bad in (weights[:, :-1], torch.ones(5, 2, 240), torch.ones(240, dtype=torch.int64), [1.0]):
        with pytest.raises(ValueError):
            shallow.rank_one_recovery(lambda t: (X, y), 8, 1, iterations=2, weights=bad)


@pytest.mark.parametrize("projection", ["exact", "krylov"])
@pytest.mark.parametrize("fresh", [True, False])
def test_recovers_linearly(projection, fresh):
    sample, L = problem(800 if fresh else 2400, p=12, fresh=fresh)
    path = shallow.rank_one_recovery(sample, 12, 2, iterations=30, projection=projection, generator=1)
    assert path.shape == (31, 3, 12, 12)
    assert (path[0] == 0).all()
    assert torch.equal(path, path.mT)
    errors = (path - L).norm(dim=(-2, -1))
    assert errors[-1].max() < 1e-10
    assert (errors[10] < errors[2] * 0.6**8).all()


def test_one_step_against_the_formula():
    sample, _ = problem(30)
    path = shallow.rank_one_recovery(sample, 10, 2, iterations=2)
    printed = shallow.rank_one_recovery(sample, 10, 2, iterations=2, as_printed=True)
    for whole, sign in ((path, -1), (printed, 1)):
        for t in range(2):
            X, y = (part[1] for part in sample(t))
            r = torch.stack([x @ whole[t, 1] @ x for x in X]) - y
            bracket = sum(each * torch.outer(x, x) for each, x in zip(r, X)) / 60 + sign * r.mean() / 2 * torch.eye(
                10, dtype=f64
            )
            values, vectors = torch.linalg.eigh(whole[t, 1] - bracket)
            kept = values.abs().argsort()[-2:]
            expected = vectors[:, kept] @ torch.diag(values[kept]) @ vectors[:, kept].T
            torch.testing.assert_close(whole[t + 1, 1], expected, atol=1e-9, rtol=1e-9)


def test_the_bracket_is_unbiased():
    L = torch.diag(torch.tensor([1.0, -0.5, 0.0, 0.0], dtype=f64))
    X = torch.randn(400_000, 4, generator=torch.Generator().manual_seed(1), dtype=f64)
    path = shallow.rank_one_recovery(lambda t: (X, ((X @ L) * X).sum(-1)), 4, 4, iterations=1)
    torch.testing.assert_close(path[1], L, atol=0.02, rtol=0)


def test_full_rank_and_no_batch():
    sample, L = problem(4000, p=5, r=3, batch=())
    for projection in ("exact", "krylov"):
        path = shallow.rank_one_recovery(sample, 5, 5, iterations=40, projection=projection)
        assert path.shape == (41, 5, 5)
        assert (path[-1] - L).norm() < 1e-8


def test_members_do_not_disturb_each_other():
    sample, L = problem(300)

    def broken(t):
        X, y = sample(t)
        y = y.clone()
        y[0] = torch.inf
        return X, y

    for projection in ("exact", "krylov"):
        path = shallow.rank_one_recovery(broken, 10, 2, iterations=25, projection=projection)
        assert not path[-1, 0].isfinite().any()
        assert (path[-1, 1:] - L[1:]).norm(dim=(-2, -1)).max() < 1e-6


def test_keep_largest_eigenvalues():
    matrix = torch.diag(torch.tensor([3.0, -5.0, 1.0, 2.0], dtype=f64))
    kept = shallow.keep_largest_eigenvalues(matrix, 2)
    torch.testing.assert_close(kept, torch.diag(torch.tensor([3.0, -5.0, 0.0, 0.0], dtype=f64)))


@pytest.mark.parametrize(
    "call",
    [
        lambda sample: shallow.rank_one_recovery(sample, 10, 0, iterations=1),
        lambda sample: shallow.rank_one_recovery(sample, 10, 11, iterations=1),
        lambda sample: shallow.rank_one_recovery(sample, 10, 2, iterations=1, projection="svd"),
        lambda sample: shallow.rank_one_recovery(sample, 9, 2, iterations=1),
        lambda sample: shallow.rank_one_recovery(
            lambda t: tuple(part[: 3 - t] for part in sample(t)), 10, 2, iterations=2
        ),
        lambda sample: shallow.keep_largest_eigenvalues(torch.ones(3, 2), 1),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must"):
        call(problem(20)[0])


def test_krylov_starts_come_from_the_generator():
    sample, _ = problem(60, p=20, r=1, batch=())
    one, again, other = (
        shallow.rank_one_recovery(sample, 20, 1, iterations=2, projection="krylov", generator=seed)
        for seed in (3, 3, 4)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
