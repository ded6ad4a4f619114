"""Hessian-vector products against dense Hessians, Lanczos against dense eigenvalues."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import ConvergenceWarning
from litrepro.optim import curvature
from litrepro.solvers import extreme_eigenvalues, hvp, lanczos, lanczos_extreme


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def symmetric(*shape, seed=0, dtype=torch.float64):
    a = torch.randn(*shape, shape[-1], generator=generator(seed), dtype=dtype)
    return (a + a.mT) / 2


def matvec_of(matrix):
    return lambda v: torch.einsum("...ij,...j->...i", matrix, v)


def bumpy(x):
    return torch.cos(x).prod(-1) + (x**4).sum(-1)


def test_hvp_is_the_hessian_times_v():
    x, v = (torch.randn(3, 2, 4, generator=generator(s), dtype=torch.float64) for s in (0, 1))
    dense = torch.stack([torch.autograd.functional.hessian(bumpy, row) for row in x.reshape(6, 4)]).reshape(3, 2, 4, 4)
    torch.testing.assert_close(hvp(bumpy, x, v), torch.einsum("...ij,...j->...i", dense, v))
    assert not x.requires_grad
    assert curvature.hvp is hvp
    assert curvature.lanczos is lanczos
    assert curvature.lanczos_extreme is lanczos_extreme


@pytest.mark.parametrize("flat", [lambda x: x.sum(-1), lambda x: (0 * x).sum(-1), lambda x: torch.ones(x.shape[:-1])])
def test_hvp_of_flat_functions_is_zero(flat):
    assert not hvp(flat, torch.ones(2, 3), torch.ones(2, 3)).any()


def test_hvp_bad_input():
    for x, v in (
        (torch.ones(3), torch.ones(2)),
        (torch.ones(3, dtype=torch.int64), torch.ones(3)),
        (torch.ones(3), None),
    ):
        with pytest.raises(ValueError):
            hvp(bumpy, x, v)
    with pytest.raises(ValueError, match="fn must map"):
        hvp(lambda x: x, torch.ones(3), torch.ones(3))


@settings(max_examples=30, deadline=None)
@given(d=st.integers(1, 8), seed=st.integers(0, 100))
def test_tridiagonalization(d, seed):
    matrix = symmetric(2, d, seed=seed)
    alpha, beta, q = lanczos(matvec_of(matrix), torch.randn(2, d, generator=generator(seed), dtype=torch.float64), d)
    assert (alpha.shape, beta.shape, q.shape) == ((2, d), (2, d - 1), (2, d, d))
    tridiagonal = torch.diag_embed(alpha) + torch.diag_embed(beta, 1) + torch.diag_embed(beta, -1)
    torch.testing.assert_close(q @ matrix @ q.mT, tridiagonal, atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(q @ q.mT, torch.eye(d, dtype=torch.float64).expand(2, d, d), atol=1e-10, rtol=0)


@pytest.mark.parametrize("which", ["min", "max"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_pairs(which, dtype):
    matrix = symmetric(4, 3, 30, dtype=dtype)
    found = lanczos_extreme(
        matvec_of(matrix), torch.randn(4, 3, 30, generator=generator(), dtype=dtype), which=which, tol=1e-4
    )
    values = torch.linalg.eigvalsh(matrix)
    expected = values[..., 0] if which == "min" else values[..., -1]
    torch.testing.assert_close(found.value, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.vector.norm(dim=-1), torch.ones(4, 3, dtype=dtype))
    product = matvec_of(matrix)(found.vector)
    residual = (product - found.value[..., None] * found.vector).norm(dim=-1)
    torch.testing.assert_close(found.residual, residual, atol=1e-4, rtol=1e-2)
    assert found.converged.all()
    assert found.converged.shape == (4, 3)
    assert found.steps == 30


def test_few_steps_are_not_called_converged():
    with pytest.warns(ConvergenceWarning, match="1 of 1 eigenpairs"):
        found = lanczos_extreme(matvec_of(symmetric(100)), torch.ones(100, dtype=torch.float64), steps=5)
    assert found.steps == 5
    assert not bool(found.converged)
    assert found.value >= torch.linalg.eigvalsh(symmetric(100))[0]


def test_breakdown_does_not_invent_eigenvalues_or_disturb_neighbours():
    # Entry 0: the identity (breaks down at once, eigenvalue 1). Entry 1: a positive matrix. Entry 2: a negative one.
    generic = symmetric(6)
    matrices = torch.stack(
        [torch.eye(6, dtype=torch.float64), generic @ generic + 3 * torch.eye(6), -generic @ generic - 3 * torch.eye(6)]
    )
    v0 = torch.randn(3, 6, generator=generator(2), dtype=torch.float64)
    for which, index in (("min", 0), ("max", -1)):
        found = lanczos_extreme(matvec_of(matrices), v0, which=which)
        torch.testing.assert_close(found.value, torch.linalg.eigvalsh(matrices)[:, index], rtol=1e-8, atol=1e-8)
        assert found.converged.all()
        alone = lanczos_extreme(matvec_of(matrices[1]), v0[1], which=which)
        torch.testing.assert_close(found.value[1], alone.value)
        torch.testing.assert_close(found.vector[1].abs(), alone.vector.abs())
    low, high = extreme_eigenvalues(matvec_of(matrices), v0, 6)
    assert (low[0].item(), high[0].item()) == pytest.approx((1.0, 1.0))
    alpha, beta, q = lanczos(matvec_of(matrices), v0, 6)
    assert alpha[0].tolist() == pytest.approx([1.0, 0, 0, 0, 0, 0])
    assert not beta[0].any()
    assert not q[0, 1:].any()
    assert torch.isfinite(q).all()


def test_an_eigenvector_as_start_and_one_dimension():
    matrix = torch.diag(torch.tensor([-2.0, 1.0, 5.0], dtype=torch.float64))
    found = lanczos_extreme(matvec_of(matrix), torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    assert found.value.item() == pytest.approx(1.0)
    assert found.steps == 1
    single = lanczos_extreme(lambda v: -3 * v, torch.tensor([2.0]))
    assert single.value.item() == pytest.approx(-3.0)
    assert single.vector.abs().item() == pytest.approx(1.0)


@pytest.mark.parametrize("size", [1e-44, 1e-38, 1e-25, 1.0, 1e20, 3e38])
def test_the_size_of_the_start_does_not_matter(size):
    h = torch.tensor([3.0, -2.0])
    start = torch.full((2,), size)
    found, expected = lanczos_extreme(lambda v: h * v, start), lanczos_extreme(lambda v: h * v, torch.ones(2))
    assert found.value == expected.value
    assert torch.equal(found.vector, expected.vector)
    assert lanczos(lambda v: h * v, start, 2)[0].tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e-24), (torch.float32, 1e24), (torch.float64, 1e-200)])
def test_operators_whose_squares_leave_the_numbers(dtype, size):
    matrix, v0 = symmetric(9, dtype=dtype) * size, torch.ones(9, dtype=dtype)
    found, expected = lanczos_extreme(matvec_of(matrix), v0), torch.linalg.eigvalsh(matrix.double() / size)[0]
    assert found.value.item() / size == pytest.approx(expected.item(), rel=1e-5)
    assert found.steps == 9


@pytest.mark.filterwarnings("ignore::litrepro.ConvergenceWarning")
@pytest.mark.parametrize("sign", [1, -1])
def test_converged_is_relative_to_the_largest_ritz_value(sign):
    """The diagonal of T stays below it where the residual is between the two."""
    g, dtype = generator(293), torch.float64
    h = sign * torch.cat([torch.zeros(1, dtype=dtype), 10 ** (6 * torch.rand(19, generator=g, dtype=dtype))])
    v0, which = torch.randn(20, generator=generator(1293), dtype=dtype), "min" if sign > 0 else "max"
    found = lanczos_extreme(lambda v: h * v, v0, steps=14, which=which, tol=1e-4)
    alpha, beta, _ = lanczos(lambda v: h * v, v0, 14)
    ritz = torch.linalg.eigvalsh(torch.diag(alpha) + torch.diag(beta, 1) + torch.diag(beta, -1)).abs().max()
    assert 1e-4 * alpha.abs().max() < found.residual <= 1e-4 * ritz
    assert found.converged
    # A space that is exhausted early is padded to the full number of steps; what it is padded with does not count.
    few = v0 * (torch.arange(20) < 4)
    residual, largest = lanczos_extreme(lambda v: h * v, few, which=which).residual, h[:4].abs().max()
    assert residual > 0
    for factor, expected in ((0.9, False), (1.1, True)):
        tol = float(factor * residual / largest)
        assert bool(lanczos_extreme(lambda v: h * v, few, which=which, tol=tol).converged) is expected


def test_matvec_always_sees_the_full_shape():
    shapes = []
    matrix = symmetric(2, 4)

    def matvec(v):
        shapes.append(tuple(v.shape))
        return matvec_of(matrix)(v)

    lanczos_extreme(matvec, torch.ones(2, 4, dtype=torch.float64))
    assert set(shapes) == {(2, 4)}


@pytest.mark.parametrize(
    "v0", [torch.zeros(3), torch.tensor([1.0, math.nan]), torch.ones(2, dtype=torch.int64), torch.tensor(1.0)]
)
def test_bad_starts(v0):
    for call in (lambda: lanczos_extreme(lambda v: v, v0), lambda: lanczos(lambda v: v, v0, 1)):
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize("keywords", [{"steps": 0}, {"which": "largest"}, {"tol": -1.0}, {"steps": 1.5}])
def test_bad_options(keywords):
    with pytest.raises(ValueError):
        lanczos_extreme(lambda v: v, torch.ones(3), **keywords)


@pytest.mark.parametrize("k", [0, 4, True])
def test_bad_k(k):
    with pytest.raises(ValueError):
        lanczos(lambda v: v, torch.ones(3), k)


def test_hvp_works_where_gradients_are_off():
    x, v = (torch.randn(2, 4, generator=generator(s), dtype=torch.float64) for s in (0, 1))
    expected = hvp(bumpy, x, v)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            mine = x.clone(), v.clone()
            assert torch.equal(hvp(bumpy, *mine), expected)
        assert torch.equal(hvp(bumpy, *mine), expected)


def test_directions_are_orthogonal_even_where_little_is_left_of_a_product():
    """From a start near an eigenvector nearly all of the first product cancels: one projection leaves its rounding."""
    h = torch.linspace(1, 100, 12, dtype=torch.float64)
    v0 = torch.full((12,), 1e-8, dtype=torch.float64)
    v0[-1] = 1.0
    _, _, q = lanczos(lambda v: h * v, v0, 6)
    torch.testing.assert_close(q @ q.T, torch.eye(6, dtype=torch.float64), atol=1e-13, rtol=0)


@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_the_size_of_the_operator_does_not_matter(size):
    h = torch.tensor([3.0, -2.0, 5.0, 5.0, 5.0], dtype=torch.float64)  # exhausted after three steps
    for which, expected in (("min", -2.0), ("max", 5.0)):
        found = lanczos_extreme(lambda v: size * h * v, torch.ones(5, dtype=torch.float64), which=which)
        assert found.value.item() == pytest.approx(expected * size)
        assert found.steps == 3


def test_steps_end_with_the_dimension_and_tolerances_at_one():
    h = torch.linspace(-1.0, 2.0, 9, dtype=torch.float64)
    assert lanczos_extreme(lambda v: h * v, torch.ones(9, dtype=torch.float64), steps=50).steps == 9
    # The residual is compared with tol max(1, largest |Ritz value|): absolute where the operator is small.
    found = lanczos_extreme(lambda v: 1e-3 * h * v, torch.ones(9, dtype=torch.float64), steps=3, tol=1e-3)
    assert 1e-3 * 2e-3 < found.residual < 1e-3
    assert found.converged


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("which", ["min", "max"])
def test_rounding_is_no_news(which):
    h = torch.linspace(1, 1000, 50)
    found = lanczos_extreme(lambda v: h * v, torch.ones(50), which=which)
    assert found.value.item() == pytest.approx(1.0 if which == "min" else 1000.0, abs=1e-2)


@pytest.mark.parametrize("size", [1e4, -1e4, 1e10, -1e10, 1e30, -1e30])
def test_a_multiple_of_the_identity_of_any_size(size):
    """One step exhausts the space: the padded directions stay out, though one more or less is rounded away."""
    for which in ("min", "max"):
        found = lanczos_extreme(lambda v: size * v, torch.tensor([1.0, -2.0, 2.0]), which=which)
        assert found.value.item() == pytest.approx(size)
        torch.testing.assert_close(found.vector, torch.tensor([1.0, -2.0, 2.0]) / 3)
