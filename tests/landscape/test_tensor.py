"""The stochastic gradient of the tensor decomposition, against autograd on the terms that it draws."""

import pytest
import torch

from litrepro.landscape import sampled_tensor_gradient, tensor_decomposition
from litrepro.optim import noisy_descent

DOUBLE = torch.float64
D, K = 4, 3


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


BASIS = torch.linalg.qr(draw(D, D, seed=1))[0]


def normalized(x):
    return torch.nn.functional.normalize(x.unflatten(-1, (K, D)), dim=-1)


def test_gradient_is_that_of_the_drawn_terms():
    x = draw(5, K * D, seed=2).requires_grad_()
    found = sampled_tensor_gradient(BASIS, 6, generator=7)(x.detach(), 0)
    drawn = BASIS[torch.randint(D, (5, 6), generator=torch.Generator().manual_seed(7))]
    u = normalized(x)
    tensor = torch.einsum("rla,rlb,rlc,rle->rabce", drawn, drawn, drawn, drawn) * D / 6
    value = sum(
        torch.einsum("rabce,ra,rb,rc,re->r", tensor, u[:, i], u[:, i], u[:, j], u[:, j])
        for i in range(K)
        for j in range(K)
        if i != j
    )
    (expected,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_gradient_is_unbiased():
    x = draw(K * D, seed=3).requires_grad_()
    (expected,) = torch.autograd.grad(tensor_decomposition(normalized(x).flatten(-2), BASIS), x)
    many = sampled_tensor_gradient(BASIS, 5, generator=1)(x.detach().expand(20_000, -1), 0)
    error = many.std(0) / 20_000**0.5
    assert ((many.mean(0) - expected).abs() < 5 * error + 1e-12).all()
    assert (many.std(0) > 0.01).any()


def test_it_is_a_gradient_for_descent_and_vanishes_at_a_decomposition():
    grad = sampled_tensor_gradient(BASIS, 8, generator=2)
    assert grad(3 * BASIS[:K].flatten(), 0).abs().max() < 1e-12

    def error(x):
        return tensor_decomposition(normalized(x).flatten(-2), BASIS)

    path = noisy_descent(error, draw(6, K * D, seed=4), lr=0.05, radius=0.01, steps=1500, grad=grad, generator=0)
    assert (path.f[0] > 0.05).all()
    assert (path.f[-1] < 1e-3).all()


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e2), (torch.float64, 1e6)])
def test_one_vector_may_be_much_longer_than_the_others(dtype, size):
    x = torch.tensor([size, 0, 0.6, 0.8], dtype=dtype).requires_grad_()
    value = tensor_decomposition(x, torch.eye(2, dtype=dtype))
    (slope,) = torch.autograd.grad(value, x)
    by_hand = torch.tensor([4 * size * 0.36, 0, 4 * size**2 * 0.6, 0], dtype=dtype)
    torch.testing.assert_close(value, torch.tensor(2 * size**2 * 0.36, dtype=dtype))
    torch.testing.assert_close(slope, by_hand)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_basis_is_orthonormal_to_its_own_precision(dtype):
    basis = BASIS.to(dtype)
    for other in (dtype, torch.float32, DOUBLE):
        assert tensor_decomposition(BASIS[:2].flatten().to(other), basis).abs() < 1e-3
        with pytest.raises(ValueError, match="orthonormal"):
            tensor_decomposition(torch.ones(2 * D, dtype=other), 1.1 * basis)
    sampled_tensor_gradient(basis, 2)
    with pytest.raises(ValueError, match="orthonormal"):
        sampled_tensor_gradient(1.1 * basis, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sampled_tensor_gradient(torch.ones(2, 3), 5), "square"),
        (lambda: sampled_tensor_gradient(torch.ones(2, 2), 5), "orthonormal"),
        (lambda: sampled_tensor_gradient(None, 5), "basis"),
        (lambda: sampled_tensor_gradient(BASIS, 0), "terms"),
        (lambda: sampled_tensor_gradient(BASIS, 5, generator="x"), "generator"),
        (lambda: sampled_tensor_gradient(BASIS, 5)(torch.ones(2, 6), 0), "vectors of length 4"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
