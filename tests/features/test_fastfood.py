"""Fastfood and Hadamard transforms against dense matrices."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import features as lf

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("n", [1, 2, 4, 64, 128, 2048])
def test_transform_against_scipy(n, dtype):
    from scipy.linalg import hadamard

    x = normal(3, 2, n, dtype=dtype)
    kept = x.clone()
    dense = x.double() @ torch.from_numpy(hadamard(n)).double()
    result = lf.hadamard_transform(x)
    assert result.dtype == dtype
    assert result.shape == x.shape
    torch.testing.assert_close(result.double(), dense, rtol=1e-4, atol=1e-3 if dtype == torch.float32 else 1e-9)
    assert torch.equal(x, kept)
    assert result.data_ptr() != x.data_ptr()


@settings(max_examples=25, deadline=None)
@given(bits=st.integers(0, 13), seed=st.integers(0, 100))
def test_transform_is_an_involution_and_isometry(bits, seed):
    x = normal(2, 1 << bits, seed=seed)
    once = lf.hadamard_transform(x, normalized=True)
    torch.testing.assert_close(lf.hadamard_transform(once, normalized=True), x)
    torch.testing.assert_close(once.norm(dim=-1), x.norm(dim=-1))


def test_transform_of_integers():
    found = lf.hadamard_transform(torch.tensor([1, 2, 3, 4]))
    assert found.dtype == torch.get_default_dtype()
    assert found.tolist() == [10.0, -2.0, -4.0, 0.0]


def test_transform_of_views_and_empty_batches():
    x = normal(8, 6).mT
    torch.testing.assert_close(lf.hadamard_transform(x), lf.hadamard_transform(x.contiguous()))
    assert lf.hadamard_transform(torch.ones(0, 8)).shape == (0, 8)
    assert lf.hadamard_transform(torch.ones(8)).tolist() == [8.0] + [0.0] * 7
    leaf = normal(4).requires_grad_(True)
    lf.hadamard_transform(leaf)[0].backward()
    assert leaf.grad.tolist() == [1.0] * 4


@pytest.mark.parametrize("q", [3, 7, 11, 19])
def test_paley(q):
    h = lf.paley_hadamard(q)
    assert torch.equal(h @ h.mT, (q + 1) * torch.eye(q + 1, dtype=F64))
    assert (h.abs() == 1).all()
    assert (h[0] == 1).all()
    assert (h[1:, 0] == -1).all()


def by_definition(f, member):
    """The matrix of one member, factor by factor."""
    from scipy.linalg import hadamard

    p = f.B.shape[-1]
    h = torch.from_numpy(hadamard(p)).double()
    rows = []
    for signs, perm, normals, lengths in zip(f.B[member], f.perm[member], f.G[member], f.S[member]):
        swap = torch.zeros(p, p, dtype=F64)
        swap[torch.arange(p), perm] = 1
        rows.append(lengths.diag() @ h @ normals.diag() @ swap @ h @ signs.diag() / (f.sigma * math.sqrt(p)))
    return torch.cat(rows)[: f.n_features, : f.d]


@pytest.mark.parametrize(("d", "n_features"), [(1, 1), (1, 3), (2, 5), (5, 8), (5, 21), (8, 8), (13, 3)])
def test_project_and_matrix_follow_the_definition(d, n_features):
    f = lf.sample_fastfood(d, n_features, sigma=0.7, batch=(2,), generator=generator(d))
    p = 1 << (d - 1).bit_length()
    assert f.B.shape == f.perm.shape == f.G.shape == f.S.shape == (2, -(-n_features // p), p)
    assert (f.sigma, f.d, f.n_features) == (0.7, d, n_features)
    x = normal(4, d)
    matrix, projected = lf.fastfood_matrix(f), lf.fastfood_project(x, f)
    assert matrix.shape == (2, n_features, d)
    assert projected.shape == (2, 4, n_features)
    for member in range(2):
        torch.testing.assert_close(matrix[member], by_definition(f, member))
    torch.testing.assert_close(projected, x @ matrix.mT)
    single = lf.fastfood_project(x.float(), f)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), projected, rtol=1e-4, atol=1e-4)


def test_project_broadcasts_and_leaves_its_input():
    f = lf.sample_fastfood(3, 6, batch=(2,), generator=generator())
    wide = normal(5, 1, 3, 4).mT
    kept = wide.clone()
    projected = lf.fastfood_project(wide, f)
    assert projected.shape == (5, 2, 4, 6)
    assert torch.equal(wide, kept)
    torch.testing.assert_close(projected, wide @ lf.fastfood_matrix(f).mT)
    one = lf.sample_fastfood(3, 6, generator=generator(1))
    torch.testing.assert_close(lf.fastfood_project(wide, one), wide @ lf.fastfood_matrix(one).mT)


def test_rows_have_chi_lengths_and_signs_are_signs():
    from scipy import stats

    f = lf.sample_fastfood(16, 16, sigma=2.0, batch=(600,), generator=generator(3))
    squares = 4 * lf.fastfood_matrix(f).square().sum(-1)
    assert stats.kstest(squares[:, 3].numpy(), stats.chi2(16).cdf).pvalue > 1e-3
    assert set(f.B.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(f.perm.sort(-1).values, torch.arange(16).expand_as(f.perm))
    again = lf.sample_fastfood(16, 16, sigma=2.0, batch=(600,), generator=generator(3))
    assert torch.equal(again.S, f.S)
    assert torch.equal(again.perm, f.perm)


def test_unbiased_for_the_gaussian_kernel():
    draws = 20_000
    f = lf.sample_fastfood(6, 8, batch=(draws,), generator=generator(4))
    x = torch.stack([torch.zeros(6, dtype=F64), normal(6, seed=8) * 0.5])
    z = lf.features_from_projection(lf.fastfood_project(x, f))
    product = (z[:, 0] * z[:, 1]).sum(-1)
    exact = lf.gaussian_kernel(x, x)[0, 1]
    assert (product.mean() - exact).abs() < 5 * product.std() / math.sqrt(draws)


BAD = [
    lambda: lf.hadamard_transform(torch.ones(3)),
    lambda: lf.hadamard_transform(torch.ones(2, 0)),
    lambda: lf.hadamard_transform(torch.tensor(1.0)),
    lambda: lf.hadamard_transform(torch.ones(4, dtype=torch.bool)),
    lambda: lf.hadamard_transform(torch.ones(4, dtype=torch.complex64)),
    lambda: lf.hadamard_transform([1.0, 2.0]),
    lambda: lf.paley_hadamard(5),
    lambda: lf.paley_hadamard(15),
    lambda: lf.sample_fastfood(0, 4),
    lambda: lf.sample_fastfood(4, 0),
    lambda: lf.sample_fastfood(4, 4, sigma=0.0),
    lambda: lf.sample_fastfood(4.0, 4),
    lambda: lf.fastfood_project(torch.ones(2, 5), lf.sample_fastfood(4, 4)),
    lambda: lf.fastfood_project(torch.ones(4), lf.sample_fastfood(4, 4)),
    lambda: lf.fastfood_project(torch.ones(3, 2, 4), lf.sample_fastfood(4, 4, batch=(2,))),
    lambda: lf.fastfood_matrix(torch.eye(2)),
]


@pytest.mark.parametrize("call", BAD)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must"):
        call()
