"""Staleness, stale descent and its mean, rates and second moments, against enumeration, numpy and event queues."""

import heapq
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro.asynchrony import (
    async_descent,
    best_momentum,
    convergence_rate,
    expected_descent,
    geometric_staleness,
    mean_square_limit,
    mean_square_path,
    mean_square_rate,
    momentum_recursion,
    polyak_momentum,
    sampled_momentum_rate,
    staleness_law,
    worker_staleness,
)

DOUBLE = torch.float64
CURVATURES = torch.tensor([1.0, 0.3, 0.05], dtype=DOUBLE)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def quadratic(w):
    return CURVATURES * w


def test_geometric_law():
    q = geometric_staleness(0.75, 200)
    assert q.dtype == DOUBLE
    assert q.shape == (200,)
    torch.testing.assert_close(q, torch.tensor([0.25 * 0.75**n for n in range(200)], dtype=DOUBLE))
    assert abs(q.sum() - 1) < 1e-12
    assert geometric_staleness(0.0, 3).tolist() == [1, 0, 0]
    assert geometric_staleness(0.5, 2).sum() == 0.75


@pytest.mark.parametrize("service", ["exponential", "constant"])
def test_workers_begin_at_zero(service):
    delays = worker_staleness(5, 40, trials=30, service=service, generator=seeded())
    assert delays.shape == (30, 40)
    assert delays.dtype == torch.int64
    assert bool((delays >= 0).all())
    assert bool((delays <= torch.arange(40)).all())
    # Each update hands its worker iterate t + 1: replaying the reads must give every worker's delays back.
    for row in delays.tolist():
        reads = [t - delay for t, delay in enumerate(row)]
        later = [read for read in reads if read > 0]
        assert len(set(later)) == len(later)
        assert reads.count(0) <= 5
    assert not worker_staleness(1, 10, trials=3, service=service).any()


def test_constant_service_is_round_robin():
    delays = worker_staleness(4, 20, trials=6, service="constant", generator=seeded())
    expected = torch.tensor([min(t, 3) for t in range(20)])
    assert torch.equal(delays, expected.expand(6, 20))


def test_law_against_an_event_queue():
    rng, counts = np.random.default_rng(0), np.zeros(6)
    for _ in range(300):
        events = [(rng.exponential(), worker, 0) for worker in range(3)]
        heapq.heapify(events)
        for t in range(60):
            now, worker, read = heapq.heappop(events)
            if t >= 20:
                counts[min(t - read, 5)] += 1
            heapq.heappush(events, (now + rng.exponential(), worker, t + 1))
    ours = worker_staleness(3, 60, trials=3000, generator=seeded())
    law = staleness_law(ours, 5, skip=20)
    assert np.abs(counts[:5] / counts.sum() - law.numpy()).max() < 0.02
    assert (law - geometric_staleness(2 / 3, 5)).abs().max() < 0.006


def test_generators():
    a, b = (worker_staleness(3, 9, trials=4, generator=seeded(seed)) for seed in (1, 2))
    assert torch.equal(a, worker_staleness(3, 9, trials=4, generator=seeded(1)))
    assert not torch.equal(a, b)
    assert torch.equal(worker_staleness(3, 9), worker_staleness(3, 9))


def loop_descent(grad, w0, delays, lr, beta):
    path = [w0]
    for t, delay in enumerate(delays):
        previous = path[t - 1] if t else path[0]
        path.append(path[t] - lr * grad(path[max(t - delay, 0)]) + beta * (path[t] - previous))
    return torch.stack(path)


def test_async_descent_against_a_loop():
    w0 = torch.randn(3, generator=seeded(), dtype=DOUBLE)
    delays = torch.randint(9, (2, 4, 15), generator=seeded(1))
    path = async_descent(quadratic, w0, delays, lr=0.4, momentum=-0.3)
    assert path.shape == (16, 2, 4, 3)
    for i, j in itertools.product(range(2), range(4)):
        expected = loop_descent(quadratic, w0, delays[i, j].tolist(), 0.4, -0.3)
        torch.testing.assert_close(path[:, i, j], expected, rtol=0, atol=1e-12)
    per_trial = async_descent(quadratic, w0, delays, lr=torch.full((2, 1), 0.4), momentum=torch.full((4,), -0.3))
    torch.testing.assert_close(per_trial, path, rtol=0, atol=1e-6)


def test_async_descent_broadcasts_and_isolates():
    w0 = torch.ones(5, 1, 3, dtype=DOUBLE)
    delays = torch.randint(4, (2, 20), generator=seeded())
    path = async_descent(quadratic, w0, delays, lr=0.5)
    assert path.shape == (21, 5, 2, 3)
    w0[2] = math.nan
    poisoned = async_descent(quadratic, w0, delays, lr=0.5)
    assert torch.equal(poisoned[:, [0, 1, 3, 4]], path[:, [0, 1, 3, 4]])
    assert poisoned[-1, 2].isnan().all()
    single = async_descent(quadratic, torch.ones(3), torch.zeros(6, dtype=torch.int32), lr=1.0)
    torch.testing.assert_close(single[6], (1 - CURVATURES.float()) ** 6)


def test_expected_descent_against_enumeration():
    law, w0 = torch.tensor([0.2, 0.5, 0.3], dtype=DOUBLE), torch.ones(3, dtype=DOUBLE)
    total = torch.zeros(6, 3, dtype=DOUBLE)
    for delays in itertools.product(range(3), repeat=5):
        probability = math.prod(law[delay].item() for delay in delays)
        total += probability * loop_descent(quadratic, w0, delays, 0.7, 0.25)
    torch.testing.assert_close(expected_descent(quadratic, w0, law, lr=0.7, momentum=0.25, steps=5), total)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.95), st.floats(-0.6, 0.9), st.floats(0.01, 1.0))
def test_recursion_is_the_mean_of_geometric_staleness(mu, beta, lr):
    w0 = torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE)
    keep = {"lr": lr, "momentum": beta, "steps": 25}
    mean = expected_descent(quadratic, w0, geometric_staleness(mu, 60), **keep)
    recursion = momentum_recursion(quadratic, w0, staleness=mu, **keep)
    assert (mean - recursion).abs().max() < 1e-10 * (1 + mean.abs().max())


def test_recursion_cases():
    w0 = torch.ones(2, 3, 3, dtype=DOUBLE)
    plain = momentum_recursion(quadratic, w0, lr=0.5, staleness=0.0, steps=4)
    torch.testing.assert_close(plain[4], (1 - 0.5 * CURVATURES) ** 4 * w0)
    first = momentum_recursion(quadratic, w0, lr=0.5, staleness=0.8, momentum=0.3, steps=1)
    torch.testing.assert_close(first[1], (1 - 0.5 * CURVATURES) * w0)
    assert momentum_recursion(quadratic, w0, lr=0.5, staleness=0.5, steps=0).shape == (1, 2, 3, 3)
    mu = torch.tensor([0.0, 0.5, 0.9], dtype=DOUBLE)
    batch = momentum_recursion(quadratic, w0, lr=0.5, staleness=mu, steps=9)
    for j, value in enumerate(mu.tolist()):
        one = momentum_recursion(quadratic, w0[0, 0], lr=0.5, staleness=value, steps=9)
        torch.testing.assert_close(batch[:, 1, j], one)


def by_numpy(lam, lr, mu, beta):
    z = 1 + mu + beta - lr * (1 - mu) * lam
    return np.abs(np.roots([1, -z, mu + beta + mu * beta, -mu * beta])).max()


def test_rate_against_numpy_roots():
    generator = seeded(3)
    mu, beta, log_lr = torch.rand(3, 1500, generator=generator, dtype=DOUBLE)
    mu, beta, lr = 0.99 * mu, 2.4 * beta - 1.2, 10 ** (3 * log_lr - 1.5)
    rate = convergence_rate(CURVATURES, lr=lr, staleness=mu, momentum=beta)
    expected = [
        max(by_numpy(lam, *values) for lam in CURVATURES.tolist()) for values in torch.stack([lr, mu, beta], 1).tolist()
    ]
    torch.testing.assert_close(rate, torch.tensor(expected, dtype=DOUBLE), rtol=1e-9, atol=0)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-3, 5), st.floats(0, 0.99), st.floats(-1, 1.2))
def test_rate_of_one_mode(lr, mu, beta):
    rate = convergence_rate(torch.ones(1, dtype=DOUBLE), lr=lr, staleness=mu, momentum=beta).item()
    assert math.isclose(
        rate, by_numpy(1.0, lr, mu, beta), rel_tol=1e-5, abs_tol=1e-4
    )  # a triple root has a third of the digits


def test_rate_of_special_cases():
    lr = torch.linspace(0.05, 3, 40, dtype=DOUBLE)
    expected = (1 - lr[:, None] * CURVATURES).abs().amax(1)
    torch.testing.assert_close(convergence_rate(CURVATURES, lr=lr), expected, rtol=0, atol=1e-14)
    # Staleness and momentum are exchangeable in the polynomial, up to the factor 1 - mu of the step.
    a = convergence_rate(CURVATURES, lr=0.8, staleness=0.4, momentum=0.2)
    b = convergence_rate(CURVATURES, lr=0.8 * 0.6 / 0.8, staleness=0.2, momentum=0.4)
    torch.testing.assert_close(a, b)
    best = convergence_rate(
        torch.tensor([0.05, 1.0]).double(), lr=4 / (1 + 0.05**0.5) ** 2, momentum=polyak_momentum(20)
    )
    assert abs(best.item() - polyak_momentum(20) ** 0.5) < 1e-7
    assert convergence_rate(CURVATURES, lr=10.0).item() == pytest.approx(9)
    grid = convergence_rate(CURVATURES, lr=lr, staleness=torch.rand(2, 1, 1), momentum=torch.rand(3, 1))
    assert grid.shape == (2, 3, 40)


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-6, 1e-8])
def test_rate_where_three_roots_nearly_coincide(gap):
    mu = 1 - gap  # lr lambda = 0: the roots are 1 and mu, twice
    assert convergence_rate(torch.zeros(1), lr=1.0, staleness=mu, momentum=mu).item() == pytest.approx(1, abs=1e-5)


def test_rates_carry_no_graph():
    leaf = CURVATURES.clone().requires_grad_()
    grid = torch.full((1,), 0.1, dtype=DOUBLE, requires_grad=True)
    found = best_momentum(leaf, staleness=grid, momenta=grid, lrs=grid)
    assert not any(part.requires_grad for part in (*found, convergence_rate(leaf, lr=grid, momentum=grid)))


def test_best_momentum_against_a_loop():
    staleness, momenta = torch.tensor([0.0, 0.5, 0.9]).double(), torch.linspace(-0.6, 0.6, 13).double()
    lrs = torch.logspace(-1, 0.5, 7).double()
    best = best_momentum(CURVATURES, staleness=staleness, momenta=momenta, lrs=lrs)
    for i, mu in enumerate(staleness.tolist()):
        trials = {
            (beta, lr / (1 - mu)): convergence_rate(CURVATURES, lr=lr / (1 - mu), staleness=mu, momentum=beta).item()
            for beta in momenta.tolist()
            for lr in lrs.tolist()
        }
        (beta, lr), rate = min(trials.items(), key=lambda item: item[1])
        assert (best.momentum[i].item(), best.rate[i].item()) == pytest.approx((beta, rate))
        assert best.lr[i].item() == pytest.approx(lr)
    assert best.momentum[0] > 0 > best.momentum[2]


def test_polyak():
    assert polyak_momentum(1) == 0
    assert polyak_momentum(9.0) == pytest.approx(0.25)
    torch.testing.assert_close(polyak_momentum(torch.tensor([1.0, 9.0])), torch.tensor([0.0, 0.25]))
    for dtype in (torch.float32, DOUBLE):
        torch.testing.assert_close(polyak_momentum(torch.tensor(9.0, dtype=dtype)), torch.tensor(0.25, dtype=dtype))
    assert isinstance(polyak_momentum(9), float)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_second_moment_against_enumeration(workers):
    squares = torch.zeros(8, dtype=DOUBLE)
    for order in itertools.product(range(workers), repeat=7):
        w, reads = [1.0], [1.0] * workers
        for who in order:
            w.append(w[-1] - 0.6 * reads[who])
            reads[who] = w[-1]
        squares += torch.tensor(w, dtype=DOUBLE) ** 2 / workers**7
    torch.testing.assert_close(mean_square_path(workers, 0.3, 7, curvature=2.0), squares, rtol=0, atol=1e-12)


def test_mean_square_limit():
    assert mean_square_limit(1) == pytest.approx(2, abs=1e-9)
    assert mean_square_limit(4, 2.0) == pytest.approx(mean_square_limit(4) / 2)
    for workers in (2, 8):
        limit = mean_square_limit(workers)
        below, above = mean_square_rate(workers, torch.tensor([0.99, 1.01], dtype=DOUBLE) * limit)
        assert below < 1 < above
    single = mean_square_rate(1, torch.tensor([[0.5, 1.5]]))
    torch.testing.assert_close(single, torch.full((1, 2), 0.25, dtype=DOUBLE))


def test_sampled_rate():
    lambdas = torch.tensor([1.0, 0.4, 0.1], dtype=DOUBLE)
    beta = torch.tensor([-0.5, 0.0, 0.6], dtype=DOUBLE)
    full = sampled_momentum_rate(lambdas, lr=0.7, momentum=beta)
    torch.testing.assert_close(full, convergence_rate(lambdas, lr=0.7, momentum=beta) ** 2)
    # m isotropic samples in d dimensions without momentum: E |e|^2 shrinks by 1 - 2 lr + lr^2 (m + d + 1) / m.
    for m, square in ((1, 7), (3, 3)):
        isotropic = sampled_momentum_rate(torch.ones(5, dtype=DOUBLE), lr=torch.tensor([0.1, 0.2, 0.4]), batch_size=m)
        expected = torch.tensor([1 - 2 * lr + square * lr**2 for lr in (0.1, 0.2, 0.4)], dtype=DOUBLE)
        torch.testing.assert_close(isotropic, expected, rtol=0, atol=1e-6)


def test_sampled_rate_by_simulation():
    generator, n, lr, beta = seeded(), 200_000, 0.1, 0.5
    root = torch.tensor([1.0, 0.5], dtype=DOUBLE).sqrt()
    e, v, sizes = torch.ones(n, 2, dtype=DOUBLE), torch.zeros(n, 2, dtype=DOUBLE), []
    for _ in range(12):
        x = torch.randn(n, 2, generator=generator, dtype=DOUBLE) * root
        v = beta * v - lr * x * (x * e).sum(1, keepdim=True)
        e = e + v
        sizes.append((e**2).sum(1).mean().item())
    rate = sampled_momentum_rate(root**2, lr=lr, momentum=beta, batch_size=1).item()
    assert (sizes[-1] / sizes[-5]) ** 0.25 == pytest.approx(rate, rel=0.03)


@pytest.mark.parametrize(
    "call",
    [
        lambda: geometric_staleness(1.0, 5),
        lambda: geometric_staleness(-0.1, 5),
        lambda: geometric_staleness(0.5, 0),
        lambda: worker_staleness(0, 5),
        lambda: worker_staleness(2, 0),
        lambda: worker_staleness(2, 5, trials=0),
        lambda: worker_staleness(2.5, 5),
        lambda: worker_staleness(2, 5, service="gamma"),
        lambda: worker_staleness(2, 5, generator="3"),
        lambda: staleness_law(torch.zeros(3, 5), 4),
        lambda: staleness_law(torch.zeros(3, 5, dtype=torch.int64), 4, skip=5),
        lambda: async_descent(quadratic, torch.ones(3), torch.tensor([0, -1]), lr=0.1),
        lambda: async_descent(quadratic, torch.ones(3), torch.zeros(4), lr=0.1),
        lambda: async_descent(quadratic, torch.ones(3), torch.zeros(4, dtype=torch.int64), lr=0.0),
        lambda: async_descent(quadratic, torch.ones(3), torch.zeros(4, dtype=torch.int64), lr=0.1, momentum=math.nan),
        lambda: async_descent(quadratic, torch.ones(2, 3), torch.zeros(5, 4, dtype=torch.int64), lr=0.1),
        lambda: async_descent(lambda w: w[..., :1], torch.ones(3), torch.zeros(4, dtype=torch.int64), lr=0.1),
        lambda: async_descent(quadratic, [1.0], torch.zeros(4, dtype=torch.int64), lr=0.1),
        lambda: expected_descent(quadratic, torch.ones(3), torch.tensor([0.9, 0.3]), lr=0.1, steps=3),
        lambda: expected_descent(quadratic, torch.ones(3), torch.tensor([1.1, -0.1]), lr=0.1, steps=3),
        lambda: momentum_recursion(quadratic, torch.ones(3), lr=0.1, staleness=1.0, steps=3),
        lambda: momentum_recursion(quadratic, torch.ones(3), lr=0.1, staleness=0.5, steps=-1),
        lambda: convergence_rate(CURVATURES, lr=0.1, staleness=1.0),
        lambda: convergence_rate(CURVATURES, lr=0.1, staleness=torch.tensor([0.2, -0.1])),
        lambda: convergence_rate(CURVATURES[:0], lr=0.1),
        lambda: convergence_rate(CURVATURES, lr=math.inf),
        lambda: convergence_rate(CURVATURES, lr=torch.ones(2), momentum=torch.ones(3)),
        lambda: best_momentum(CURVATURES, staleness=torch.ones(1), momenta=torch.zeros(1), lrs=torch.ones(1)),
        lambda: best_momentum(CURVATURES, staleness=torch.zeros(1), momenta=torch.zeros(0), lrs=torch.ones(1)),
        lambda: polyak_momentum(0.5),
        lambda: mean_square_rate(0, 0.1),
        lambda: mean_square_rate(2, -0.1),
        lambda: mean_square_limit(2, 0.0),
        lambda: sampled_momentum_rate(-CURVATURES, lr=0.1),
        lambda: sampled_momentum_rate(CURVATURES, lr=0.1, batch_size=0),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"."):
        call()
