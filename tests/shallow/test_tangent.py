"""The tangent Gram matrix against autograd and Monte Carlo, training against a loop with autograd."""

import math

import pytest
import torch

from litrepro.shallow import relu_gram, relu_gram_expected, train_relu_output

F64 = {"dtype": torch.float64}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(n=6, d=4, m=10, batch=(), seed=0):
    g = generator(seed)
    X = torch.randn(*batch, n, d, generator=g, **F64)
    X = X / X.norm(dim=-1, keepdim=True)
    y, W = torch.randn(*batch, n, generator=g, **F64), torch.randn(*batch, m, d, generator=g, **F64)
    signs = torch.where(torch.rand(*batch, m, generator=g) < 0.5, -1.0, 1.0).to(torch.float64)
    return X, y, W, signs


def outputs(X, W, a):
    return (X @ W.T).relu() @ a / math.sqrt(len(W))


def test_gram_is_that_of_the_gradients():
    X, _, W, a = problem()
    jacobian = torch.func.jacrev(lambda w: outputs(X, w, a))(W).flatten(1)
    torch.testing.assert_close(relu_gram(X, W), jacobian @ jacobian.T)


def test_gram_counts_the_boundary_as_active():
    X = torch.eye(2, **F64)
    W = torch.tensor([[0.0, 1.0], [1.0, -1.0]], **F64)
    torch.testing.assert_close(relu_gram(X, W), torch.tensor([[1.0, 0.0], [0.0, 0.5]], **F64))


def test_gram_in_batches():
    X, _, W, _ = problem(batch=(3,))
    grams = relu_gram(X, W)
    for i in range(3):
        torch.testing.assert_close(grams[i], relu_gram(X[i], W[i]))
    torch.testing.assert_close(relu_gram(X[0], W)[2], relu_gram(X[0], W[2]))
    torch.testing.assert_close(relu_gram_expected(X)[1], relu_gram_expected(X[1]))


def test_a_diverged_trial_has_no_gram():
    X, _, W, _ = problem(batch=(3,))
    W[1, 0, 0] = math.nan
    grams = relu_gram(X, W)
    assert grams[1].isnan().all()
    torch.testing.assert_close(grams[::2], relu_gram(X[::2], W[::2]))


@pytest.mark.parametrize(("first", "second"), [(1e-30, 1.0), (1e25, 1.0), (1e25, 1e-25)])
def test_expected_gram_of_inputs_whose_squares_leave_the_range(first, second):
    X = torch.tensor([[first, 0.0], [second, second]])  # half a right angle apart
    assert relu_gram_expected(X)[0, 1].item() == pytest.approx(3 / 8 * first * second, rel=1e-6, abs=0)


def test_expected_gram():
    X, _, _, _ = problem(n=5)
    W = torch.randn(400_000, 4, generator=generator(7), **F64)
    expected = relu_gram_expected(X)
    assert (relu_gram(X, W) - expected).abs().max() < 0.005
    torch.testing.assert_close(expected.diagonal(), torch.full((5,), 0.5, **F64), rtol=0, atol=1e-15)
    cosine = (X @ X.T).clamp(-1, 1)
    torch.testing.assert_close(expected, cosine * (math.pi - cosine.arccos()) / (2 * math.pi), rtol=0, atol=1e-7)
    scaled = relu_gram_expected(3 * X)
    torch.testing.assert_close(scaled, 9 * expected)
    assert torch.isfinite(relu_gram_expected(torch.zeros(2, 3, **F64))).all()


def loop(X, y, W, a, lr, momentum, steps):
    previous, norms = W, []
    for step in range(steps + 1):
        w = W.clone().requires_grad_(True)
        residual = outputs(X, w, a) - y
        norms.append(residual.norm().item())
        if step == steps:
            return torch.tensor(norms, **F64), W
        (g,) = torch.autograd.grad(residual.square().sum() / 2, w)
        W, previous = W - lr * g + momentum * (W - previous), W


def test_training_is_the_heavy_ball():
    X, y, W, a = problem()
    norms, end = train_relu_output(X, y, W, a, lr=0.3, momentum=0.7, steps=25)
    expected, weights = loop(X, y, W, a, 0.3, 0.7, 25)
    torch.testing.assert_close(norms, expected)
    torch.testing.assert_close(end, weights)
    assert torch.equal(train_relu_output(X, y, W, a, lr=0.3, momentum=0.7, steps=0)[1], W)


def test_training_in_batches():
    X, y, W, a = problem()
    lr, momentum = torch.tensor([[0.1], [1e160], [0.4]], **F64), torch.tensor([0.0, 0.8], **F64)
    norms, end = train_relu_output(X, y, W, a, lr=lr, momentum=momentum, steps=12)
    assert norms.shape == (13, 3, 2)
    assert end.shape == (3, 2, *W.shape)
    assert not torch.isfinite(norms[-1, 1]).any()  # diverged, and the others did not notice
    for i in (0, 2):
        for j in range(2):
            one, weights = train_relu_output(X, y, W, a, lr=float(lr[i]), momentum=float(momentum[j]), steps=12)
            torch.testing.assert_close(norms[:, i, j], one)
            torch.testing.assert_close(end[i, j], weights)
    seeds = problem(batch=(4,), seed=3)
    several, _ = train_relu_output(*seeds, lr=0.2, momentum=0.5, steps=5)
    torch.testing.assert_close(
        several[:, 2], train_relu_output(*(t[2] for t in seeds), lr=0.2, momentum=0.5, steps=5)[0]
    )


def test_the_derivative_at_zero_is_one():
    X, a = torch.ones(1, 1, **F64), torch.ones(1, **F64)
    norms, W = train_relu_output(X, torch.ones(1, **F64), torch.zeros(1, 1, **F64), a, lr=1.0, momentum=0.0, steps=1)
    assert float(W) == 1.0
    assert norms.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.0}, {"lr": math.nan}, {"momentum": -0.1}, {"steps": -1}, {"lr": torch.tensor([0.1, -1.0])},
     {"lr": 1j * torch.ones(1) + 1}, {"momentum": torch.tensor([True])},
     {"lr": torch.ones(2), "momentum": torch.zeros(3)}],
)  # fmt: skip
def test_bad_parameters(change):
    with pytest.raises(ValueError):
        train_relu_output(*problem(), **({"lr": 0.1, "momentum": 0.5, "steps": 2} | change))


def test_bad_shapes():
    X, y, W, a = problem()
    for args in ((X, y[:-1], W, a), (X, y, W[:, :-1], a), (X, y, W, a[:-1]), (X[0], y, W, a), (X.float(), y, W, a)):
        with pytest.raises(ValueError):
            train_relu_output(*args, lr=0.1, momentum=0.5, steps=2)
    with pytest.raises(ValueError):
        relu_gram(X, W[:, :-1])
    with pytest.raises(ValueError):
        relu_gram_expected(X[0])
