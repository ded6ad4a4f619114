"""Test functions, derivatives, classification, approximation, reparametrization."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import landscape as ls


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_functions_at_known_points():
    x = torch.tensor([[0.0, 0.0], [2.0, 0.5], [1.0, -1.0]], dtype=torch.float64)
    assert ls.product_loss(x).tolist() == [1.0, 0.0, 4.0]
    assert ls.monkey_saddle(x).tolist() == [0.0, 8 - 1.5, -2.0]
    torch.testing.assert_close(ls.hessian(ls.product_loss, x[0]), torch.tensor([[0.0, -2.0], [-2.0, 0.0]]).double())
    assert not ls.hessian(ls.monkey_saddle, x[0]).any()
    assert ls.quadratic(x, [1.0, 4.0]).tolist() == [0.0, 2.5, 2.5]
    assert ls.quadratic(torch.ones(1, dtype=torch.float64), [0.1]).item() == 0.05
    minima = torch.tensor([[0.0, 0.0, math.sqrt(2.0)], [0.0, 0.0, -math.sqrt(2.0)]], dtype=torch.float64)
    torch.testing.assert_close(ls.quartic_saddle(minima, 2.0), torch.full((2,), -1.0, dtype=torch.float64))


@pytest.mark.parametrize(
    "call",
    [
        lambda: ls.product_loss(torch.ones(3)),
        lambda: ls.monkey_saddle(torch.ones(2, 1)),
        lambda: ls.quadratic(torch.ones(3), [1.0]),
        lambda: ls.quartic_saddle(torch.ones(2), 0.0),
        lambda: ls.product_loss(torch.ones(2, dtype=torch.int64)),
    ],
)
def test_bad_points(call):
    with pytest.raises(ValueError):
        call()


def fun(x):
    return (x**3).sum(-1) + x.prod(-1) + torch.cos(x[..., 0])


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 2, 3)])
def test_derivatives_by_torch(shape):
    x = torch.randn(shape, generator=generator(), dtype=torch.float64)
    flat = x.reshape(-1, 3)
    grads = torch.stack([torch.autograd.functional.jacobian(fun, row) for row in flat]).reshape(shape)
    hessians = torch.stack([torch.autograd.functional.hessian(fun, row) for row in flat]).reshape(*shape, 3)
    torch.testing.assert_close(ls.gradient(fun, x), grads)
    torch.testing.assert_close(ls.hessian(fun, x), hessians)
    assert not ls.hessian(lambda z: z.sum(-1), x).any()
    with pytest.raises(ValueError):
        ls.gradient(lambda z: z, x)


def test_classification():
    cases = {
        "minimum": [1.0, 2.0],
        "maximum": [-1.0, -2.0],
        "saddle": [-1.0, 2.0],
        "degenerate saddle": [-1.0, 0.0, 2.0],
        "inconclusive": [0.0, 1.0],
    }
    for name, values in cases.items():
        assert ls.KINDS[ls.classify(torch.tensor(values))] == name
    batch = torch.tensor([[1.0, 1e-12], [0.0, 0.0], [1e9, 1.0]], dtype=torch.float64)
    assert [ls.KINDS[k] for k in ls.classify(batch)] == ["inconclusive", "inconclusive", "inconclusive"]
    assert ls.KINDS[ls.classify(-batch[2])] == "inconclusive"  # what counts as zero is relative to the largest modulus
    assert ls.KINDS[ls.classify(batch[2], tol=0.0)] == "minimum"
    assert ls.KINDS[ls.classify(torch.tensor([1, -1]))] == "saddle"
    for values, tol in ((torch.tensor([math.nan]), 1e-8), (torch.tensor([1.0]), -1.0), (torch.ones(0), 1e-8)):
        with pytest.raises(ValueError):
            ls.classify(values, tol)


def test_strict_saddle_conditions():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [3.0, 0.5]], dtype=torch.float64)
    minima = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    found = ls.strict_saddle(ls.quartic_saddle, x, eps=0.5, gamma=0.5, alpha=0.5, minima=minima, delta=0.1)
    assert found.tolist() == [[False, True, False], [False, False, True], [True, False, False]]
    t = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    hyperbola = torch.stack([t, 1 / t], -1)
    flat = ls.strict_saddle(
        ls.product_loss, hyperbola, eps=1e-3, gamma=1e-3, alpha=1e-3, minima=hyperbola[:1], delta=1e-6
    )
    assert not flat.any()
    for bad in ({"eps": 0.0}, {"gamma": -1.0}, {"minima": torch.ones(2)}, {"minima": torch.ones(2, 1)}):
        with pytest.raises(ValueError):
            ls.strict_saddle(ls.product_loss, x, **({"eps": 1.0, "gamma": 1.0} | bad))


@settings(max_examples=25, deadline=None)
@given(m=st.integers(1, 40), seed=st.integers(0, 50))
def test_interpolant_passes_through(m, seed):
    values = torch.randn(2, m + 1, generator=generator(seed), dtype=torch.float64)
    beta0, beta, knots = ls.relu_interpolant(values)
    grid = torch.linspace(0, 1, m + 1, dtype=torch.float64)
    rebuilt = beta0[:, None] + torch.einsum("gk,bk->bg", torch.relu(grid[:, None] - knots), beta)
    torch.testing.assert_close(rebuilt, values, atol=1e-9, rtol=1e-9)
    with pytest.raises(ValueError):
        ls.relu_interpolant(values[:, :1])


def test_random_features_fit_what_they_can():
    x = torch.rand(400, 1, generator=generator(), dtype=torch.float64)
    y = torch.sin(6 * x[:, 0])
    net = ls.fit_random_features(x, y, 128, torch.tanh, generator=generator(1))
    assert (net(x) - y).abs().max() < 1e-3
    line = ls.fit_random_features(x, y, 128, lambda z: z, generator=generator(1))
    design = torch.cat([x, torch.ones_like(x)], 1)
    torch.testing.assert_close(
        line(x), design @ torch.linalg.lstsq(design, y[:, None]).solution[:, 0], atol=1e-6, rtol=1e-6
    )
    for bad in ({"width": 0}, {"scale": 0.0}, {"y": y[:5]}):
        with pytest.raises(ValueError):
            ls.fit_random_features(
                **({"x": x, "y": y, "width": 4, "activation": torch.tanh, "generator": generator()} | bad)
            )


def test_sawtooth_and_its_bound():
    x = torch.linspace(0, 1, 2**12 + 1, dtype=torch.float64)
    for depth in (1, 3, 6):
        values = ls.sawtooth(x, depth)
        reference = 1 - (2 * ((x * 2 ** (depth - 1)) % 1) - 1).abs()
        torch.testing.assert_close(values, reference, atol=1e-9, rtol=0)
    # The constant 1/2 is a function of one piece: its true distance is 1/4.
    assert 0 < ls.sawtooth_lower_bound(8, 1) <= (ls.sawtooth(x, 8) - 0.5).abs().mean().item()
    assert ls.sawtooth_lower_bound(2, 8) == 0.0
    # Seven pieces against 2^6 - 1 triangles of area 2^-6 / 4: at least (64 - 16) / 2 of them are missed.
    assert ls.sawtooth_lower_bound(6, 7) == pytest.approx((64 - 2 * 7 - 2) / 2 * 2**-6 / 4)
    for bad in ((0, 1), (1, 0)):
        with pytest.raises(ValueError):
            ls.sawtooth_lower_bound(*bad)
    with pytest.raises(ValueError):
        ls.sawtooth(x, 0)


def test_rescaled_networks_compute_the_same():
    g = generator()
    W = [torch.randn(5, 3, generator=g), torch.randn(2, 5, generator=g)]
    b = [torch.randn(5, generator=g), torch.randn(2, generator=g)]
    x = torch.randn(7, 3, generator=g)

    def net(weights, biases):
        return torch.relu(x @ weights[0].T + biases[0]) @ weights[1].T + biases[1]

    torch.testing.assert_close(net(*ls.rescale_relu(W, b, 10.0)), net(W, b), rtol=1e-4, atol=1e-4)
    for bad in ((W, b, 0.0), (W[:1], b, 1.0)):
        with pytest.raises(ValueError):
            ls.rescale_relu(*bad)


def test_segments():
    w0, w1, ts = torch.zeros(3), torch.ones(3), torch.tensor([0.0, 0.5, 2.0])
    assert ls.segment(lambda w: w.square().sum(-1), w0, w1, ts).tolist() == [0.0, 0.75, 12.0]
    assert ls.segment(lambda w: w.square().sum(), w0, w1, ts).tolist() == [0.0, 0.75, 12.0]  # a loss of one point
    with pytest.raises(ValueError):
        ls.segment(lambda w: w, w0, w1, ts)
    assert ls.segment(lambda w: w.square().sum(), w0, w1, ts[:0]).shape == (0,)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_segment_of_a_loss_that_takes_one_point(count):
    w0, w1, ts = torch.zeros(2), torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0, 2.0])[:count]
    assert ls.segment(lambda w: w[0] ** 2 + w[1], w0, w1, ts).tolist() == [0.0, 3.0, 8.0][:count]
    assert ls.segment(lambda w: w @ torch.eye(2) @ w, w0, w1, ts).tolist() == [0.0, 5.0, 20.0][:count]
    assert ls.segment(lambda w: w[:, 0] - w[:, 1], w0, w1, ts).tolist() == [0.0, -1.0, -2.0][:count]
    assert ls.segment(lambda w: w[..., 0] - w[..., 1], w0, w1, ts).tolist() == [0.0, -1.0, -2.0][:count]


def test_derivatives_do_not_depend_on_the_mode_of_the_caller():
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            x = torch.tensor([1.0, 2.0])
            assert ls.gradient(lambda z: (z**4).sum(-1), x).tolist() == [4.0, 32.0]
            assert ls.hessian(lambda z: (z**4).sum(-1), x).tolist() == [[12.0, 0.0], [0.0, 48.0]]
    # A point from inference mode serves outside it too.
    assert ls.gradient(lambda z: (z**4).sum(-1), x).tolist() == [4.0, 32.0]
    assert ls.hessian(lambda z: (z**4).sum(-1), x).tolist() == [[12.0, 0.0], [0.0, 48.0]]


def test_rescaling_batches_and_needs_weights_that_chain():
    W = [torch.ones(3, 5, 2), torch.ones(3, 4, 5)]
    b = [torch.ones(3, 5), torch.ones(3, 4)]
    weights, biases = ls.rescale_relu(W, b, 2.0)
    assert torch.equal(weights[0], 2 * W[0])
    assert torch.equal(weights[1], W[1] / 2)
    assert torch.equal(biases[0], 2 * b[0])
    assert torch.equal(biases[1], b[1])
    with pytest.raises(ValueError, match="weights must be"):
        ls.rescale_relu([W[0], torch.ones(3, 4, 6)], b, 2.0)


def test_results_share_no_memory_with_what_they_were_computed_from():
    values = torch.tensor([0.0, 1.0, 0.0])
    ls.relu_interpolant(values)[0].add_(1)
    W, b = [torch.ones(2, 1), torch.ones(1, 2)], [torch.ones(2), torch.zeros(1)]
    weights, biases = ls.rescale_relu(W, b, 1.0)
    for tensor in (*weights, *biases):
        tensor.add_(1)
    assert values[0] == 0
    assert b[1] == 0


def test_edge_cases_that_must_work():
    one = torch.tensor(0.3, dtype=torch.float64)[None]
    assert ls.quartic_saddle(one).item() == pytest.approx(-0.045 + 0.3**4 / 4)
    assert ls.hessian(ls.quartic_saddle, one).item() == pytest.approx(-1 + 3 * 0.09)
    beta0, beta, knots = ls.relu_interpolant(torch.tensor([2.0, 5.0]))
    assert (beta0.item(), beta.tolist(), knots.tolist()) == (2.0, [3.0], [0.0])
    assert ls.KINDS[ls.classify(torch.zeros(3))] == "inconclusive"
    assert ls.gradient(ls.product_loss, torch.empty(0, 2)).shape == (0, 2)
    assert ls.hessian(ls.product_loss, torch.empty(0, 2)).shape == (0, 2, 2)


def test_least_squares_splines_stay_above_the_bound():
    """The lower bound is one: no spline of p pieces comes closer to the sawtooth than it says."""
    x = (torch.arange(2**13, dtype=torch.float64) + 0.5) / 2**13
    target = ls.sawtooth(x, 7)
    for pieces in (1, 4, 16, 32):
        knots = torch.arange(pieces, dtype=torch.float64) / pieces
        design = torch.cat([torch.ones_like(x)[:, None], torch.relu(x[:, None] - knots)], 1)
        fitted = design @ torch.linalg.lstsq(design, target[:, None]).solution
        assert (fitted[:, 0] - target).abs().mean().item() >= ls.sawtooth_lower_bound(7, pieces)
