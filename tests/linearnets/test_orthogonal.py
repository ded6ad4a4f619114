"""Orthogonal starts: their definition, and the tangent Gram matrix that they have at any depth."""

import pytest
import torch

from litrepro.linearnets import end_to_end, orthogonal_factors


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scaled_identity(m, size):
    return m * torch.eye(size, dtype=torch.float64)


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_factors_are_orthogonal(depth):
    m = 7
    factors = orthogonal_factors(3, 4, m, depth, generator=generator(), batch=(2, 3))
    assert [tuple(f.shape) for f in factors] == [(2, 3, m, 3), *[(2, 3, m, m)] * (depth - 2), (2, 3, 4, m)]
    torch.testing.assert_close(factors[0].mT @ factors[0], scaled_identity(m, 3).expand(2, 3, 3, 3))
    torch.testing.assert_close(factors[-1] @ factors[-1].mT, scaled_identity(m, 4).expand(2, 3, 4, 4))
    for factor in factors[1:-1]:
        torch.testing.assert_close(factor @ factor.mT, scaled_identity(m, m).expand(2, 3, m, m))
    assert not torch.allclose(factors[0][0, 0], factors[0][1, 2])


def test_the_tangent_gram_matrix_is_exact():
    d_in, d_out, m, depth, n = 4, 2, 6, 4, 5
    factors = orthogonal_factors(d_in, d_out, m, depth, generator=generator(1))
    X = torch.randn(d_in, n, generator=generator(2), dtype=torch.float64)

    def network(*weights):
        return (end_to_end(weights) @ X).T.flatten() / (m ** (depth - 1) * d_out) ** 0.5

    jacobian = torch.cat([j.flatten(1) for j in torch.func.jacrev(network, tuple(range(depth)))(*factors)], 1)
    expected = depth / d_out * torch.kron(X.T @ X, torch.eye(d_out, dtype=torch.float64))
    torch.testing.assert_close(jacobian @ jacobian.T, expected, rtol=0, atol=1e-10)


def test_haar_and_dtype():
    # Entries of a Haar matrix have mean 0; without the signs of R the diagonal is biased.
    draws = orthogonal_factors(3, 3, 3, 3, generator=generator(3), batch=(4000,), dtype=torch.float32)[1]
    assert draws.dtype == torch.float32
    assert draws.mean(0).abs().max() < 0.08
    assert torch.equal(orthogonal_factors(2, 2, 3, 2)[0], orthogonal_factors(2, 2, 3, 2)[0])


@pytest.mark.parametrize(
    ("args", "options"),
    [((5, 2, 4, 3), {}), ((2, 5, 4, 3), {}), ((2, 2, 4, 1), {}), ((0, 2, 4, 3), {}), ((2, 2, 4, 3), {"batch": 3}),
     ((2, 2, 4, 3), {"dtype": torch.int64})],
)  # fmt: skip
def test_bad_input(args, options):
    with pytest.raises(ValueError):
        orthogonal_factors(*args, **options)
