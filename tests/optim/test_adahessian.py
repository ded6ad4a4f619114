"""AdaHessian against its equations written out, and where there is no curvature."""

import copy
import io

import numpy as np
import pytest
import torch

from litrepro.optim.curvature import AdaHessian

f64 = torch.float64


def test_matches_the_equations_on_a_diagonal_quadratic():
    """There |z * Hz| is the diagonal whatever the signs, so the whole run can be written down."""
    h = torch.tensor([1.0, 4.0, -9.0], dtype=f64)
    lr, (b1, b2), eps, decay, power, every = 0.1, (0.8, 0.6), 1e-2, 0.3, 0.5, 2
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=f64))
    optimizer = AdaHessian([p], lr, (b1, b2), eps, decay, power, update_every=every)
    w, m, v, renewals = p.detach().clone(), torch.zeros(3, dtype=f64), torch.zeros(3, dtype=f64), 0
    for t in range(1, 6):
        # The curvature changes with time, so that a renewal at the wrong step shows.
        loss = optimizer.step(lambda t=t: (t * h * p**2).sum() / 2)
        assert torch.isclose(loss, (t * h * w**2).sum() / 2)
        assert not loss.requires_grad
        m = b1 * m + (1 - b1) * t * h * w
        if (t - 1) % every == 0:
            v, renewals = b2 * v + (1 - b2) * (t * h) ** 2, renewals + 1
        w = w * (1 - lr * decay)
        w = w - lr * (m / (1 - b1**t)) / ((v / (1 - b2**renewals)).sqrt() ** power + eps)
        torch.testing.assert_close(p.detach(), w)


def test_averages_over_kernels_and_blocks():
    kernel = torch.nn.Parameter(torch.ones(2, 1, 2, 2, dtype=f64))
    vector = torch.nn.Parameter(torch.ones(4, dtype=f64))
    odd = torch.nn.Parameter(torch.ones(3, dtype=f64))
    h = torch.arange(1.0, 9.0, dtype=f64).reshape(2, 1, 2, 2)
    g = torch.tensor([1.0, 3.0, 5.0, 9.0], dtype=f64)
    optimizer = AdaHessian([kernel, vector, odd], lr=1.0, eps=1e-12, block=2)
    optimizer.step(lambda: ((h * kernel**2).sum() + (g * vector**2).sum() + (g[:3] * odd**2).sum()) / 2)
    torch.testing.assert_close(kernel.detach(), 1 - h / h.mean((2, 3), keepdim=True))
    torch.testing.assert_close(vector.detach(), 1 - g / torch.tensor([2.0, 2.0, 7.0, 7.0], dtype=f64))
    torch.testing.assert_close(odd.detach(), torch.zeros(3, dtype=f64))


def test_mean_over_samples_comes_before_the_absolute_value():
    H = torch.tensor([[1.0, 5.0], [5.0, 1.0]], dtype=f64)
    p = torch.nn.Parameter(torch.ones(2, dtype=f64))
    optimizer = AdaHessian([p], lr=1.0, samples=4000)
    optimizer.step(lambda: p @ H @ p / 2)
    # |mean of 1 +- 5| is near 1; the mean of |1 +- 5| would be 5.
    assert (optimizer.state[p]["v"] / 1e-3).sqrt().max() < 1.5


def test_no_curvature_unused_and_scalar_parameters():
    linear, unused, scalar = (torch.nn.Parameter(torch.ones(n, dtype=f64)) for n in (2, 3, 1))
    optimizer = AdaHessian([linear, unused, scalar], lr=1e-4, eps=1e-4)
    optimizer.step(lambda: linear.sum() + (scalar**2).sum())
    torch.testing.assert_close(linear.detach(), torch.zeros(2, dtype=f64))  # divided by eps alone
    assert torch.equal(unused.detach(), torch.ones(3, dtype=f64))
    for _ in range(3):
        optimizer.step(lambda: linear.sum())  # the whole loss is linear, another parameter falls out of use
    assert torch.isfinite(linear).all()
    assert torch.isfinite(scalar).all()


def network(members):
    torch.manual_seed(0)
    w = torch.randn(members, 3, 2, dtype=f64)
    x = torch.randn(members, 8, 3, dtype=f64)
    return w, x


def test_members_and_their_rates_train_together():
    w, x = network(3)
    lr = torch.tensor([0.05, 0.1, 0.2], dtype=f64)
    p = torch.nn.Parameter(w.clone())
    stacked = AdaHessian([p], lr=lr, seed=4)
    for _ in range(4):
        stacked.step(lambda: torch.tanh(x @ p).square().mean((1, 2)).sum())
    # Members differ only in their signs; the first one has the first draws.
    one = torch.nn.Parameter(w[:1].clone())
    alone = AdaHessian([one], lr=0.05, seed=4)
    for _ in range(4):
        alone.step(lambda: torch.tanh(x[:1] @ one).square().mean((1, 2)).sum())
    torch.testing.assert_close(p.detach()[0], one.detach()[0])


def test_a_restored_state_continues_the_run():
    w, x = network(2)
    p = torch.nn.Parameter(w.clone())
    optimizer = AdaHessian([p], update_every=2)
    closure = lambda: torch.tanh(x @ p).square().mean()  # noqa: E731
    for _ in range(3):
        optimizer.step(closure)
    q = torch.nn.Parameter(p.detach().clone())
    assert copy.deepcopy(optimizer).state_dict()["seed"] == 0
    other = AdaHessian([q], update_every=2, seed=5)  # the state brings its own
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        optimizer.step(closure)
        other.step(lambda: torch.tanh(x @ q).square().mean())
    torch.testing.assert_close(p.detach(), q.detach())
    without = optimizer.state_dict()
    del without["seed"]
    last = AdaHessian([q], seed=5)
    last.load_state_dict(without)
    assert last.seed == 5


def test_every_group_averages_as_many_samples_as_it_asks_for():
    w, x = network(2)

    def curvature(first, second):
        a, b = (torch.nn.Parameter(part.clone()) for part in w)
        optimizer = AdaHessian([{"params": [a], "samples": first}, {"params": [b], "samples": second}], seed=2)
        optimizer.step(lambda: (torch.tanh(x[0] @ a) * torch.tanh(x[1] @ b)).square().mean())
        return optimizer.state[a]["v"], optimizer.state[b]["v"]

    one, three, both = curvature(1, 1), curvature(3, 3), curvature(1, 3)
    assert torch.equal(both[0], one[0])
    assert torch.equal(both[1], three[1])
    assert not torch.allclose(one[1], three[1])


def test_nothing_moves_where_all_is_frozen():
    p = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    other = torch.ones(2, requires_grad=True)
    optimizer = AdaHessian([p])
    for closure in (lambda: (p * other).sum(), lambda: p.sum()):
        assert optimizer.step(closure).item() == 2.0
    assert torch.equal(p, torch.ones(2))
    with pytest.raises(ValueError, match="one number"):
        optimizer.step(lambda: p)


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.0}, {"lr": -1.0}, {"eps": 0.0}, {"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"betas": 0.9},
     {"power": 1.5}, {"power": -0.5}, {"weight_decay": -1.0}, {"block": 0}, {"update_every": 0}, {"samples": 0},
     {"lr": torch.tensor([0.1, -1.0])},
     {"lr": torch.tensor([0.1, 0.1, 0.1])}],
)  # fmt: skip
def test_bad_settings(change):
    with pytest.raises(ValueError):
        AdaHessian([torch.nn.Parameter(torch.ones(2))], **change)


def test_step_needs_a_closure():
    with pytest.raises(ValueError, match="closure"):
        AdaHessian([torch.nn.Parameter(torch.ones(2))]).step()
    p = torch.nn.Parameter(torch.ones(2))
    for closure in (lambda: p**2, lambda: 3.0, lambda: torch.tensor(3.0)):
        with pytest.raises(ValueError, match="one number"):
            AdaHessian([p]).step(closure)


def test_the_largest_seeds_are_taken():
    p = torch.nn.Parameter(torch.ones(2))
    AdaHessian([p], seed=2**64 - 1).step(lambda: p.square().sum())
    assert p.isfinite().all()
    assert (p < 1).all()


@pytest.mark.parametrize("shape", [(), (3,), (4,), (2, 4), (3, 2, 2), (3, 2, 2, 2)])
def test_members_are_averaged_by_themselves(shape):
    g = torch.Generator().manual_seed(1)
    h = 1 + torch.rand(2, *shape, generator=g, dtype=f64)  # a diagonal: the signs do not matter
    start = torch.randn(2, *shape, generator=g, dtype=f64)
    lr = torch.tensor([0.1, 0.3], dtype=f64)

    def trained(first, curvature, rate):
        p = torch.nn.Parameter(first.clone())
        optimizer = AdaHessian([p], lr=rate, block=2)
        for _ in range(2):
            optimizer.step(lambda: (curvature * p.square()).sum())
        return p.detach()

    both = trained(start, h, lr)
    for member in range(2):
        torch.testing.assert_close(both[member], trained(start[member], h[member], lr[member].item()))
    broken = h.clone()
    broken[1] = torch.nan
    assert torch.equal(trained(start, broken, lr)[0], both[0])


def test_settings_that_would_not_count_are_refused_and_numbers_of_numpy_are_saved_as_plain_ones():
    p = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match=r"got .*maximize"):
        AdaHessian([{"params": [p], "maximize": True}])
    file = io.BytesIO()
    torch.save(AdaHessian([p], lr=np.float64(0.1), betas=(np.float64(0.9), 0.99)).state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["param_groups"][0]["betas"] == (0.9, 0.99)
