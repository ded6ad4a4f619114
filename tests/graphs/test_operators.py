"""The Laplacian operator against matrices, networkx-free brute force and the identities of the review's section 2."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import graphs

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def operator_matrix(p):
    """L as a dense (p * p, m) matrix, one column per edge, from its definition."""
    m = p * (p - 1) // 2
    columns = torch.zeros(p, p, m, dtype=F64)
    for j in range(1, p + 1):
        for i in range(j + 1, p + 1):
            k = i - j + (j - 1) * (2 * p - j) // 2 - 1
            columns[i - 1, j - 1, k] = columns[j - 1, i - 1, k] = -1
            columns[i - 1, i - 1, k] = columns[j - 1, j - 1, k] = 1
    return columns.reshape(p * p, m)


@settings(max_examples=25, deadline=None)
@given(p=st.integers(2, 12), seed=st.integers(0, 1000))
def test_operator_adjoint_and_gram_are_the_dense_matrix(p, seed):
    dense = operator_matrix(p)
    w, Y = normal(2, 3, dense.shape[1], seed=seed), normal(2, 3, p, p, seed=seed + 1)
    assert torch.allclose(graphs.laplacian(w).flatten(-2), w @ dense.T, atol=1e-12)
    assert torch.allclose(graphs.laplacian_adjoint(Y), Y.flatten(-2) @ dense, atol=1e-12)
    assert torch.allclose(graphs.laplacian_gram(w), w @ (dense.T @ dense), atol=1e-12)
    assert torch.equal(graphs.edge_weights(graphs.laplacian(w)), w)


def test_edges_run_down_the_columns():
    i, j = graphs.edge_pairs(4)
    assert i.tolist() == [1, 2, 3, 2, 3, 3]
    assert j.tolist() == [0, 0, 0, 1, 1, 2]
    lower = torch.arange(16.0).reshape(4, 4).tril(-1)
    assert graphs.edge_weights(lower).tolist() == [-lower[a, b].item() for a, b in zip(i.tolist(), j.tolist())]
    i[0] = 7  # a caller may write into its copy
    assert graphs.edge_pairs(4)[0][0] == 1


@pytest.mark.parametrize("p", [2, 3, 4, 9])
def test_spectrum_of_the_gram_operator(p):
    m = p * (p - 1) // 2
    values = torch.linalg.eigvalsh(graphs.laplacian_gram(torch.eye(m, dtype=F64)))
    expected = [2.0] * max(0, p * (p - 3) // 2) + [float(p)] * (p - 1 if p > 2 else 0) + [2.0 * p]
    assert torch.allclose(values, torch.tensor(expected, dtype=F64), atol=1e-9)


def test_laplacian_is_differentiable():
    w = normal(2, 10).requires_grad_()
    Y = normal(2, 5, 5, seed=1)
    (gradient,) = torch.autograd.grad((graphs.laplacian(w) * Y).sum(), w)
    assert torch.allclose(gradient, graphs.laplacian_adjoint(Y))


def test_what_inference_mode_caches_serves_gradients():
    p = 23  # no other test has this size in the cache
    with torch.inference_mode():
        graphs.laplacian_adjoint(graphs.laplacian(torch.ones(p * (p - 1) // 2)))
    w = torch.ones(p * (p - 1) // 2, requires_grad=True)
    graphs.laplacian_adjoint(graphs.laplacian(w)).sum().backward()
    assert w.grad.isfinite().all()


def test_single_precision_is_symmetric_up_to_its_rounding():
    S = graphs.sample_covariance((normal(1000, 60) + 5).float())
    S[0, 1] = S[1, 0] * (1 + 1e-6)
    assert graphs.contrast_loss(graphs.laplacian(torch.ones(60 * 59 // 2)), S).isfinite()
    with pytest.raises(ValueError, match="must be symmetric"):
        graphs.log_gdet(S.double())
    S[0, 1] = S[1, 0] * (1 + 1e-4)
    with pytest.raises(ValueError, match="must be symmetric"):
        graphs.log_gdet(S)


def test_log_gdet_is_a_log_determinant_on_connected_graphs():
    w = normal(4, 15).abs() + 0.1
    L = graphs.laplacian(w)
    expected = torch.logdet(L + 1 / 6)
    assert torch.allclose(graphs.log_gdet(L), expected, atol=1e-9)


def test_log_gdet_of_components_is_a_sum():
    blocks = [graphs.laplacian(normal(m, seed=m).abs() + 0.5) for m in (3, 6, 1)]
    whole = torch.block_diag(*blocks)
    assert math.isclose(graphs.log_gdet(whole).item(), sum(graphs.log_gdet(b).item() for b in blocks), abs_tol=1e-9)
    assert graphs.log_gdet(torch.zeros(3, 3, dtype=F64)) == 0


def test_log_gdet_leaves_the_rounding_of_single_precision_out():
    L = graphs.laplacian((normal(435) > 1).to(F64) + 0.001)
    found = graphs.log_gdet(L.float())
    assert found.dtype == torch.float32
    assert math.isclose(found.item(), torch.logdet(L + 1 / 30).item(), rel_tol=1e-5)
    p = 300  # a long path has small eigenvalues that are none of rounding: matrix tree theorem, one tree, gdet = p
    path = torch.diag(torch.ones(p - 1), 1) + torch.diag(torch.ones(p - 1), -1)
    assert math.isclose(graphs.log_gdet(torch.diag(path.sum(-1)) - path).item(), math.log(p), rel_tol=1e-5)
    assert math.isclose(graphs.log_gdet(torch.diag(torch.tensor([1.0, 1e-14], dtype=F64)), 0.0), math.log(1e-14))


def test_relative_error_is_frobenius():
    w, v = normal(3, 10).abs(), normal(3, 10, seed=1).abs()
    expected = (graphs.laplacian(v) - graphs.laplacian(w)).norm(dim=(-1, -2)) / graphs.laplacian(w).norm(dim=(-1, -2))
    assert torch.allclose(graphs.relative_error(v, w), expected)
    assert graphs.relative_error(w, w).eq(0).all()
    leaf = w.clone().requires_grad_()
    assert torch.autograd.grad(graphs.relative_error(leaf, w).sum(), leaf)[0].eq(0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_counts_every_edge(dtype):
    p = 1000
    w = torch.ones(p * (p - 1) // 2, dtype=dtype)
    assert graphs.laplacian_gram(w).dtype == dtype
    assert graphs.laplacian_gram(w).eq(2 * p).all()  # 2 w + deg_i + deg_j
    v, u = normal(10).to(dtype), normal(10, seed=1).to(dtype)
    expected = graphs.relative_error(v.double(), u.double())
    assert graphs.relative_error(v, u).dtype == dtype
    torch.testing.assert_close(graphs.relative_error(v, u), expected.to(dtype))


@pytest.mark.parametrize("size", [2.0**-140, 2.0**-75, 2.0**63, 2.0**125])
def test_relative_error_does_not_depend_on_the_scale(size):
    v, w = torch.tensor([1.125, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0])
    plain = graphs.relative_error(v, w)
    expected = graphs.laplacian(v - w).norm() / graphs.laplacian(w).norm()
    torch.testing.assert_close(plain, expected)
    assert graphs.relative_error(size * v, size * w) == plain
    assert graphs.relative_error(size * v, -size * v) == 2.0  # the difference itself may overflow
    ratio = graphs.laplacian(v).norm() / graphs.laplacian(w).norm()
    torch.testing.assert_close(graphs.relative_error(v, 2.0**-100 * w) * 2.0**-100, ratio)
    assert graphs.relative_error(v, 0 * w).isinf()
    assert graphs.relative_error(0 * v, 0 * w).isnan()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: graphs.edge_pairs(1), "p must be an integer >= 2"),
        (lambda: graphs.laplacian(torch.ones(4)), r"p \(p - 1\) / 2 entries"),
        (lambda: graphs.laplacian(torch.ones(0)), r"p \(p - 1\) / 2 entries"),
        (lambda: graphs.laplacian(torch.ones(3, dtype=torch.int64)), "floating-point"),
        (lambda: graphs.laplacian_gram(torch.ones(5)), r"p \(p - 1\) / 2 entries"),
        (lambda: graphs.laplacian_adjoint(torch.ones(2, 3)), "square"),
        (lambda: graphs.edge_weights(torch.ones(3)), "at least 2 dimension"),
        (lambda: graphs.log_gdet(torch.ones(2, 3)), "square"),
        (lambda: graphs.log_gdet(torch.tensor([[1.0, 2.0], [0.0, 1.0]])), "symmetric"),
        (lambda: graphs.log_gdet(torch.full((2, 2), math.nan)), "finite"),
        (lambda: graphs.relative_error(torch.ones(3), torch.ones(6)), "one length"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()
