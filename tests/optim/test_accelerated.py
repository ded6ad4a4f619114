"""Accelerated descent: counts and iterates against plain loops, guarantees of the lemmas, batches against loops."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro import ConvergenceWarning
from litrepro.landscape import hessian
from litrepro.optim import _cubic_newton
from litrepro.optim.accelerated import (
    accelerated_gradient,
    accelerated_nonconvex,
    almost_convex_agd,
    ball_penalty,
    cubic_newton,
    default_alpha,
    gradient_descent,
    guarded_agd,
    negative_curvature_descent,
    polyak_bound_holds,
    polyak_parameters,
)

F64 = {"dtype": torch.float64}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rotation(d, seed=0):
    return torch.linalg.qr(torch.randn(d, d, generator=generator(seed), **F64))[0]


def cosine(d, seed=0, low=0.5):
    """sum a_i (1 - cos u_i), u = Q x: L1 = L2 = 1; and Q."""
    q, a = rotation(d, seed), torch.linspace(low, 1, d, **F64)
    return (lambda x: (a * (1 - torch.cos(x @ q.T))).sum(-1)), q


def near_saddles(q, trials, flipped, seed=1, spread=0.05):
    """Starts within ``spread`` of critical points with ``flipped`` coordinates at a maximum."""
    u = spread * (2 * torch.rand(trials, len(q), generator=generator(seed), **F64) - 1)
    u[:, :flipped] += math.pi
    return u @ q


def quadratic(eigenvalues):
    return lambda x: 0.5 * (eigenvalues * x.square()).sum(-1)


def plain_gradient(fn, x):
    x = x.clone().requires_grad_(True)
    return torch.autograd.grad(fn(x), x)[0]


# --- gradient descent and its acceleration ----------------------------------------------------------------------


def test_gradient_descent_counts_and_closed_form():
    e = torch.tensor([1.0, 0.1], **F64)
    x0 = torch.tensor([[0.0, 1.0], [0.0, 1e-9], [1.0, 0.5]], **F64)
    found = gradient_descent(quadratic(e), x0, lr=1.0, tol=1e-6)
    # The gradient along the second axis is 0.1 * 0.9^t x_0.
    expected = [math.ceil(math.log(1e-6 / (0.1 * s)) / math.log(0.9)) for s in (1.0, 0.5)]
    assert found.steps.tolist() == [expected[0], 0, expected[1]]
    assert found.oracle_calls.tolist() == [expected[0] + 1, 1, expected[1] + 1]
    assert found.converged.all()
    assert (found.grad_norm <= 1e-6).all()
    torch.testing.assert_close(found.x[1], x0[1])  # a stationary start is not touched


def test_gradient_descent_takes_a_step_size_per_trial_and_freezes_what_diverges():
    fn = quadratic(torch.ones(2, **F64))
    with pytest.warns(ConvergenceWarning):
        found = gradient_descent(
            fn, torch.ones(3, 2, **F64), lr=torch.tensor([0.5, 1e200, 0.1], **F64), tol=1e-8, max_steps=500
        )
    assert found.converged.tolist() == [True, False, True]
    alone = gradient_descent(fn, torch.ones(2, **F64), lr=0.1, tol=1e-8)
    torch.testing.assert_close(found.x[2], alone.x)
    assert found.steps[2] == alone.steps


@pytest.mark.parametrize(("size", "lr"), [(2.0**-84, 2.0**83), (2.0**70, 2.0**-71)])
def test_gradients_whose_squares_leave_the_numbers(size, lr):
    """f = size |x|^2/2 with lr size = 1/2: every step halves x, and its gradient of norm 5 size."""
    found = gradient_descent(lambda x: size * x.square().sum(-1) / 2, torch.tensor([3.0, 4.0]), lr=lr, tol=size)
    assert (found.steps, found.oracle_calls) == (3, 4)
    assert found.grad_norm.item() == 5 / 8 * size
    assert found.x.tolist() == [3 / 8, 4 / 8]


def test_inference_mode_changes_nothing():
    x = torch.ones(2, **F64)

    def wavy(x):
        return (x**4).sum(-1) / 4 + x[..., 0] ** 2 - x[..., 1] ** 2 / 4

    runs = (
        lambda at: gradient_descent(wavy, at, lr=0.1, tol=1.0),
        lambda at: cubic_newton(wavy, at, hessian_lipschitz=8.0, tol=1.0),
        lambda at: guarded_agd(wavy, at, smoothness=8.0, hessian_lipschitz=8.0, tol=1.0),
    )
    for run in runs:
        expected = run(x)
        assert expected.steps > 0
        with torch.inference_mode():
            found = run(x.clone())
        assert all(torch.equal(*pair) for pair in zip(found, expected))


def loop_agd(fn, y, smoothness, strong, tol):
    """Algorithm 2, one trial, as printed."""
    root = math.sqrt(smoothness / strong)
    beta, z, steps, calls = (root - 1) / (root + 1), y, 0, 0
    while True:
        calls += 1
        if plain_gradient(fn, y).norm() <= tol:
            return y, steps, calls
        calls += 1
        y, previous = z - plain_gradient(fn, z) / smoothness, y
        z = (1 + beta) * y - beta * previous
        steps += 1


def test_accelerated_gradient_is_algorithm_2_in_a_batch():
    e = torch.logspace(-2, 0, 5, **F64)
    starts = torch.randn(2, 3, 5, generator=generator(), **F64)
    found = accelerated_gradient(quadratic(e), starts, smoothness=1.0, strong_convexity=0.01, tol=1e-5)
    for i in range(2):
        for j in range(3):
            y, steps, calls = loop_agd(quadratic(e), starts[i, j], 1.0, 0.01, 1e-5)
            torch.testing.assert_close(found.x[i, j], y)
            assert (found.steps[i, j], found.oracle_calls[i, j]) == (steps, calls)


def test_accelerated_gradient_beats_gradient_descent_at_the_square_root_of_kappa():
    calls = {}
    for kappa in (1e2, 1e4):
        e = torch.logspace(-math.log10(kappa), 0, 20, **F64)
        x = torch.ones(20, **F64)
        fast = accelerated_gradient(quadratic(e), x, smoothness=1.0, strong_convexity=1 / kappa, tol=1e-5)
        slow = gradient_descent(quadratic(e), x, lr=1.0, tol=1e-5)
        calls[kappa] = (int(fast.oracle_calls), int(slow.oracle_calls))
    assert calls[1e2][0] < calls[1e2][1]
    assert math.log(calls[1e4][0] / calls[1e2][0]) / math.log(100) < 0.6
    assert math.log(calls[1e4][1] / calls[1e2][1]) / math.log(100) > 0.7


@pytest.mark.parametrize("seed", range(3))
def test_almost_convex_agd_reaches_lemma_24(seed):
    # Curvature -0.05 at most: sum of quadratic and shallow cosines is 0.05-almost convex.
    d, gamma, tol = 6, 0.05, 1e-4
    q = rotation(d, seed)
    weights = torch.logspace(-3, -0.1, d, **F64)

    def fn(x):
        u = x @ q.T
        return (weights * u.square() / 2 + 0.05 * (1 - torch.cos(u))).sum(-1)

    z = 3 * torch.randn(4, d, generator=generator(seed), **F64)
    found = almost_convex_agd(fn, z, smoothness=1.0, gamma=gamma, tol=tol)
    assert found.converged.all()
    assert (found.grad_norm <= tol).all()
    moved = (found.x - z).norm(dim=-1)
    bound = torch.minimum(gamma * moved**2, tol / math.sqrt(10) * moved)
    assert (fn(z) - fn(found.x) >= bound).all()
    one = almost_convex_agd(fn, z[2], smoothness=1.0, gamma=gamma, tol=tol)
    torch.testing.assert_close(one.x, found.x[2], rtol=1e-9, atol=1e-12)
    assert (one.steps, one.oracle_calls) == (found.steps[2], found.oracle_calls[2])


def test_almost_convex_agd_on_a_quadratic_is_the_proximal_point_method():
    # z_{j+1} = 2 gamma/(L + 2 gamma) z_j up to the inner tolerance.
    fn, gamma = quadratic(torch.tensor([1.0], **F64)), 0.5
    found = almost_convex_agd(fn, torch.ones(1, **F64), smoothness=1.0, gamma=gamma, tol=1e-6)
    assert int(found.steps) == math.ceil(math.log(1e-6) / math.log(0.5))
    with pytest.warns(ConvergenceWarning):
        short = almost_convex_agd(fn, torch.ones(1, **F64), smoothness=1.0, gamma=gamma, tol=1e-6, max_outer=3)
    assert int(short.steps) == 3
    assert not short.converged
    assert float(short.x) == pytest.approx(0.125, abs=1e-6)
    two = quadratic(torch.tensor([1.0, 0.3], **F64))
    with pytest.warns(ConvergenceWarning):
        stuck = almost_convex_agd(two, torch.ones(2, **F64), smoothness=1.0, gamma=1e-3, tol=1e-9, max_steps=1)
    assert not stuck.converged
    assert int(stuck.steps) == 1


# --- negative curvature -----------------------------------------------------------------------------------------


def test_negative_curvature_descent_moves_as_algorithm_1():
    # f = -x_1^2/2 + x_2^2/2: one step moves along the first axis by 2/L2 against the slope.
    fn = quadratic(torch.tensor([-1.0, 1.0], **F64))
    x = torch.tensor([[0.25, 1.0], [-0.25, 1.0], [0.0, 0.0]], **F64)
    with pytest.warns(ConvergenceWarning):
        found = negative_curvature_descent(fn, x, hessian_lipschitz=4.0, alpha=0.5, gap=1e-6)
    # The cap is two looks; the slope of -x^2/2 at 0.25 is -0.25, so that the move is uphill in x: away from 0.
    torch.testing.assert_close(found.x[:2, 0].abs(), torch.full((2,), 1.25, **F64))
    assert (found.x[:2, 0].sign() == x[:2, 0].sign()).all()
    torch.testing.assert_close(found.x[:2, 1], x[:2, 1])
    assert float(found.x[2, 0].abs()) == pytest.approx(1.0)  # no slope: sign(0) = 1, it moves all the same
    torch.testing.assert_close(found.curvature, torch.full((3,), -1.0, **F64))
    assert found.steps.tolist() == [2, 2, 2]


def test_a_saddle_without_slope_is_left():
    fn = quadratic(torch.tensor([-1.0, 1.0], **F64))
    with pytest.warns(ConvergenceWarning):
        found = negative_curvature_descent(fn, torch.zeros(5, 2, **F64), hessian_lipschitz=1.0, alpha=0.5, gap=1e-6)
    assert (found.steps >= 1).all()
    assert (found.x[:, 0].abs() > 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("place", ["saddle", "ridge"])
def test_a_trial_without_slope_goes_one_way_whoever_its_neighbours_are(place, dtype):
    """On the ridge the slope along v is rounding. The sign is that of v's largest entry, and f has a minimum there."""
    q = rotation(5, 3).to(dtype)
    low = q[:, 0] * q[:, 0][q[:, 0].abs().argmax()].sign()

    def fn(x):
        y = x @ q
        return (y * y * torch.tensor([-1.0, 1, 2, 3, 0.5], dtype=dtype)).sum(-1) / 2 + y[..., 0] ** 4 / 4

    start = torch.zeros(5, dtype=dtype) if place == "saddle" else q[:, 1]
    for trials in (1, 2, 3, 8):
        found = negative_curvature_descent(fn, start.expand(trials, 5), hessian_lipschitz=6.0, alpha=0.5, gap=0.25)
        assert (found.x @ low < -0.5).all()


@pytest.mark.parametrize("alpha", [0.5, 0.2])
def test_negative_curvature_descent_keeps_lemma_23(alpha):
    fn, q = cosine(8)
    x = near_saddles(q, 12, 3)
    gap = float(fn(x).max())
    found = negative_curvature_descent(fn, x, hessian_lipschitz=1.0, alpha=alpha, gap=gap, generator=generator())
    lowest = torch.linalg.eigvalsh(hessian(fn, found.x))[:, 0]
    torch.testing.assert_close(found.curvature, lowest)
    assert found.converged.all()
    assert (lowest > -alpha / 2).all()
    decrease = fn(x) - fn(found.x)
    assert (decrease >= found.steps * alpha**3 / 12).all()
    assert (found.steps + 1 <= 1 + 12 * decrease / alpha**3).all()
    # d products per look and one gradient per move.
    assert (found.oracle_calls == (found.steps + 1) * 8 + found.steps).all()


def test_curvature_descent_in_a_batch_equals_the_loop():
    fn, q = cosine(5)
    x = near_saddles(q, 6, 2).reshape(2, 3, 5)
    options = {"hessian_lipschitz": 1.0, "alpha": 0.3, "gap": 10.0}
    found = negative_curvature_descent(fn, x, **options)
    for i in range(2):
        for j in range(3):
            one = negative_curvature_descent(fn, x[i, j], **options)
            torch.testing.assert_close(one.x, found.x[i, j])
            assert (one.steps, one.oracle_calls) == (found.steps[i, j], found.oracle_calls[i, j])


def test_the_full_batch_is_always_evaluated():
    # One function per entry: it must never see a part of the batch.
    scale = torch.tensor([1.0, 2.0, 3.0], **F64)
    shapes = set()

    def fn(x):
        shapes.add(tuple(x.shape))
        return scale * (1 - torch.cos(x)).sum(-1)

    x = torch.tensor([[3.1, 0.1], [0.0, 0.0], [0.5, 3.0]], **F64)
    found = accelerated_nonconvex(fn, x, smoothness=3.0, hessian_lipschitz=3.0, gap=20.0, tol=0.1)
    assert shapes == {(3, 2)}
    assert found.converged.all()


def test_convex_functions_and_one_dimension():
    fn = quadratic(torch.tensor([1.0, 2.0, 3.0], **F64))
    convex = negative_curvature_descent(fn, torch.ones(2, 3, **F64), hessian_lipschitz=1.0, alpha=0.1, gap=5.0)
    assert convex.steps.tolist() == [0, 0]
    assert convex.converged.all()
    torch.testing.assert_close(convex.curvature, torch.ones(2, **F64))
    line, _ = cosine(1)
    one = negative_curvature_descent(line, torch.tensor([3.0], **F64), hessian_lipschitz=1.0, alpha=0.2, gap=2.0)
    assert one.converged
    assert one.x.shape == (1,)
    assert float(one.curvature) > -0.1


def test_a_cap_on_lanczos_counts_its_products():
    fn, q = cosine(40)
    x = near_saddles(q, 3, 4)
    found = negative_curvature_descent(fn, x, hessian_lipschitz=1.0, alpha=0.3, gap=20.0, lanczos_steps=7)
    assert (found.oracle_calls == 7 * (found.steps + 1) + found.steps).all()


# --- the whole method -------------------------------------------------------------------------------------------


def test_default_alpha():
    assert default_alpha(smoothness=1.0, hessian_lipschitz=4.0, gap=10.0, tol=0.01) == pytest.approx(0.2)
    assert default_alpha(smoothness=1.0, hessian_lipschitz=1e-6, gap=0.01, tol=0.05) == pytest.approx(0.25)
    assert default_alpha(smoothness=0.1, hessian_lipschitz=4.0, gap=10.0, tol=0.01) == pytest.approx(0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 3.0))
def test_penalty(seed, radius):
    center = torch.randn(4, generator=generator(seed), **F64)
    x = center + 3 * torch.randn(5, 4, generator=generator(seed + 1), **F64)
    value = ball_penalty(x, center, smoothness=2.0, radius=radius)
    torch.testing.assert_close(value, 2 * ((x - center).norm(dim=-1) - radius).clamp(min=0) ** 2)
    eigenvalues = torch.linalg.eigvalsh(hessian(lambda z: ball_penalty(z, center, smoothness=2.0, radius=radius), x))
    assert eigenvalues.min() >= -1e-10
    assert eigenvalues.max() <= 4 + 1e-10


def test_penalty_at_the_centre():
    center = torch.ones(3, **F64)
    at = center.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(ball_penalty(at, center, smoothness=1.0, radius=0.5), at, create_graph=True)
    assert torch.equal(slope, torch.zeros(3, **F64))
    assert not hessian(lambda z: ball_penalty(z, center, smoothness=1.0, radius=0.5), center).any()


def test_second_order_points_from_starts_near_saddles():
    fn, q = cosine(6)
    x = near_saddles(q, 10, 2)
    found = accelerated_nonconvex(fn, x, smoothness=1.0, hessian_lipschitz=1.0, gap=float(fn(x).max()), tol=0.05)
    assert found.converged.all()
    assert (found.grad_norm <= 0.05).all()
    lowest = torch.linalg.eigvalsh(hessian(fn, found.x))[:, 0]
    assert (lowest >= -2 * math.sqrt(0.05)).all()
    assert (fn(found.x) < 0.1).all()  # plain descent stops at the saddle, f near 2
    alone = accelerated_nonconvex(fn, x[3], smoothness=1.0, hessian_lipschitz=1.0, gap=float(fn(x).max()), tol=0.05)
    torch.testing.assert_close(alone.x, found.x[3], rtol=1e-6, atol=1e-8)
    assert (alone.steps, alone.oracle_calls) == (found.steps[3], found.oracle_calls[3])


def test_algorithm_4_is_made_of_its_parts():
    fn, q = cosine(4)
    x = near_saddles(q, 3, 0, spread=1.0)  # at a minimum's basin: no negative curvature to follow
    alpha, tol = 0.3, 0.05
    whole = accelerated_nonconvex(fn, x, smoothness=1.0, hessian_lipschitz=1.0, gap=5.0, tol=tol, alpha=alpha)

    def penalized(z):
        return fn(z) + ball_penalty(z, x, smoothness=1.0, radius=alpha)

    part = almost_convex_agd(penalized, x, smoothness=5.0, gamma=3 * alpha, tol=tol / 2)
    first = whole.steps == 1
    assert first.any()
    torch.testing.assert_close(whole.x[first], part.x[first], rtol=1e-6, atol=1e-9)
    # Two tests, two looks of d products, and the method itself.
    assert (whole.oracle_calls[first] == part.oracle_calls[first] + 2 + 2 * 4).all()


def test_alpha_above_the_smoothness_leaves_curvature_out():
    fn = quadratic(torch.tensor([1.0, 0.5], **F64))
    found = accelerated_nonconvex(
        fn, torch.ones(2, **F64), smoothness=1.0, hessian_lipschitz=1.0, gap=1.0, tol=0.01, alpha=2.0
    )
    assert found.converged
    assert math.isnan(found.curvature)
    still = accelerated_nonconvex(fn, torch.zeros(2, **F64), smoothness=1.0, hessian_lipschitz=1.0, gap=1.0, tol=0.01)
    assert int(still.steps) == 0
    assert still.converged


def test_caps_speak_up():
    # x^8 far out: the true smoothness is not 1, and the method cannot converge in one round.
    fn, q = cosine(4)
    x = near_saddles(q, 2, 1, spread=1.0)
    with pytest.warns(ConvergenceWarning):
        found = accelerated_nonconvex(
            fn, x, smoothness=1.0, hessian_lipschitz=1.0, gap=5.0, tol=1e-3, alpha=0.1, max_outer=1
        )
    assert not found.converged.any()
    assert torch.isfinite(found.grad_norm).all()


@pytest.mark.parametrize(
    ("fn", "start"),
    [
        (lambda x: -x.abs().pow(1.5).sum(-1), 0.0),  # strict maxima, with a second derivative that is infinite
        (lambda x: -x.norm(dim=-1), 0.0),
        (lambda x: -x.sqrt().sum(-1), -1.0),  # not a number there
    ],
)
def test_a_point_without_a_hessian_is_not_certified(fn, start):
    x = torch.full((2,), start, **F64)
    with pytest.warns(ConvergenceWarning):
        down = negative_curvature_descent(fn, x, hessian_lipschitz=1.0, alpha=0.1, gap=1.0)
    with pytest.warns(ConvergenceWarning):
        found = accelerated_nonconvex(fn, x, smoothness=10.0, hessian_lipschitz=1.0, gap=1.0, tol=0.1)
    for result in (down, found):
        assert result.curvature.isnan()
        assert not result.converged
    # Beside a neighbour that has one, which is certified as alone.
    both = lambda x: torch.where(x[..., 0] > 5, x.square().sum(-1), fn(torch.where(x > 5, 1.0, x)))  # noqa: E731
    with pytest.warns(ConvergenceWarning):
        pair = negative_curvature_descent(both, torch.stack([x, x + 10]), hessian_lipschitz=1.0, alpha=0.1, gap=1.0)
    assert pair.converged.tolist() == [False, True]
    assert float(pair.curvature[1]) == pytest.approx(2.0)


def test_torch_hessian_is_never_called(monkeypatch):
    def forbidden(*args, **keywords):
        raise AssertionError("a dense Hessian")

    monkeypatch.setattr(torch.autograd.functional, "hessian", forbidden)
    monkeypatch.setattr(torch.func, "hessian", forbidden)
    fn, q = cosine(4)
    accelerated_nonconvex(fn, near_saddles(q, 2, 1), smoothness=1.0, hessian_lipschitz=1.0, gap=5.0, tol=0.1)


def test_guarded_descent_finds_minima():
    fn, q = cosine(6)
    x = near_saddles(q, 8, 2)
    found = guarded_agd(fn, x, smoothness=1.0, hessian_lipschitz=1.0, tol=0.01)
    assert found.converged.all()
    assert (fn(found.x) < 0.01).all()
    alone = guarded_agd(fn, x[5], smoothness=1.0, hessian_lipschitz=1.0, tol=0.01)
    torch.testing.assert_close(alone.x, found.x[5], rtol=1e-6, atol=1e-8)
    assert alone.oracle_calls == found.oracle_calls[5]
    e = torch.logspace(-3, 0, 10, **F64)
    convex = guarded_agd(quadratic(e), torch.ones(3, 10, **F64), smoothness=1.0, hessian_lipschitz=0.1, tol=1e-4)
    assert convex.converged.all()


def test_guarded_descent_is_accelerated_between_its_tests():
    """Condition number 1,000: some 30 gradients for a digit, where descent without momentum needs 1,000."""
    curvatures = torch.logspace(-3, 0, 20, **F64)
    found = guarded_agd(
        quadratic(curvatures), torch.ones(20, **F64), smoothness=1.0, hessian_lipschitz=1.0, tol=1e-5, alpha=1e-3
    )
    assert found.converged
    assert found.oracle_calls < 7000  # 3,333; 13,891 with the momentum of a problem that is well conditioned


# --- cubic Newton -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["random", "convex", "hard", "zero gradient part", "flat"])
def test_cubic_step_is_the_global_minimizer(kind):
    d, l2 = 4, 1.3
    q = rotation(d, 3)
    values = {
        "convex": torch.tensor([0.2, 1.0, 2.0, 3.0], **F64),
        "flat": torch.zeros(d, **F64),
    }.get(kind, torch.tensor([-1.0, -0.3, 0.4, 2.0], **F64))
    matrix = q @ torch.diag(values) @ q.T
    g = q @ torch.tensor([0.0 if "hard" in kind or "zero" in kind else 0.7, 0.1, -0.2, 0.1], **F64)
    if kind == "zero gradient part":  # long enough without the lowest eigenvector: not a hard case
        g = q @ torch.tensor([0.0, 30.0, 0.0, 0.0], **F64)
    s = _cubic_newton.cubic_step(matrix, g, l2)

    def model(s):
        square = s.square().sum(-1)
        return s @ g + 0.5 * (s * (s @ matrix)).sum(-1) + l2 / 6 * square**1.5

    shifted = matrix + l2 / 2 * s.norm() * torch.eye(d, **F64)
    torch.testing.assert_close(shifted @ s, -g, rtol=1e-9, atol=1e-9)
    assert torch.linalg.eigvalsh(shifted)[0] >= -1e-9
    others = s + torch.randn(2000, d, generator=generator(), **F64) * torch.logspace(-3, 1, 2000, **F64)[:, None]
    assert model(others).min() >= model(s) - 1e-9


def test_cubic_newton_counts_and_batches():
    fn, q = cosine(3)
    x = near_saddles(q, 4, 1, spread=0.5)
    found = cubic_newton(fn, x, hessian_lipschitz=1.0, tol=1e-6)
    assert found.converged.all()
    assert (found.oracle_calls == 4 * found.steps + 1).all()
    assert (torch.linalg.eigvalsh(hessian(fn, found.x))[:, 0] > 0).all()
    alone = cubic_newton(fn, x[1], hessian_lipschitz=1.0, tol=1e-6)
    torch.testing.assert_close(alone.x, found.x[1])
    assert cubic_newton(fn, torch.zeros(3, **F64), hessian_lipschitz=1.0, tol=1e-6).steps == 0


def test_cubic_step_in_single_precision():
    # -s^2/2 + g s + (L2/6) |s|^3, s < 0: g = -|s| + (L2/2) s^2, whose positive root is a closed form.
    g = torch.logspace(-4, 1, 60, **F64)
    exact = -(1 + (1 + 2 * 100.0 * g).sqrt()) / 100
    found = _cubic_newton.cubic_step(torch.full((60, 1, 1), -1.0), g.float()[:, None], 100.0)[:, 0]
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=0)


def test_cubic_newton_follows_its_input_whatever_the_default_dtype():
    x = torch.rand(2, 3, generator=generator(7))
    expected = cubic_newton(lambda v: (1 - v.cos()).sum(-1), x, hessian_lipschitz=1.0, tol=1e-4)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = cubic_newton(lambda v: (1 - v.cos()).sum(-1), x, hessian_lipschitz=1.0, tol=1e-4)
    finally:
        torch.set_default_dtype(default)
    assert found.x.dtype == torch.float32
    assert torch.equal(found.x, expected.x)


def test_cubic_newton_in_one_dimension_has_a_closed_form():
    # f = x^3/6 for x > 0 (L2 = 1): x s + s^2/2 |s| ... the step is x (1 - sqrt(2)) from x.
    fn = lambda x: x.abs().pow(3).sum(-1) / 6  # noqa: E731
    with pytest.warns(ConvergenceWarning):
        found = cubic_newton(fn, torch.tensor([2.0], **F64), hessian_lipschitz=1.0, tol=1e-9, max_steps=1)
    # -x^2/2 = (x + |s|/2) s with s < 0: s^2/2 - x s - x^2/2 = 0, s = x (1 - sqrt 2).
    assert float(found.x) == pytest.approx(2.0 * (2 - math.sqrt(2)), rel=1e-12)


# --- parameters and bad input -----------------------------------------------------------------------------------


def test_polyak_parameters():
    lr, momentum = polyak_parameters(1.0, 4.0)
    assert (lr, momentum) == (0.25, 0.5625)
    lr, momentum = polyak_parameters(torch.tensor([1.0, 4.0]), 4.0)
    torch.testing.assert_close(momentum, torch.tensor([0.5625, 0.25]))
    torch.testing.assert_close(lr, torch.tensor([0.25, 0.25]))
    # An integer tensor takes the numbers beside it as they are.
    for found in (
        polyak_parameters(torch.tensor(1), 2.5),
        polyak_parameters(1, torch.tensor(2.5)),
        polyak_parameters(torch.tensor(1), torch.tensor(2.5)),
    ):
        assert [float(value) for value in found] == pytest.approx(polyak_parameters(1, 2.5), rel=1e-6)
    assert float(polyak_parameters(torch.tensor(1), 4)[0]) == 0.25


def test_polyak_bound_holds_for_the_heavy_ball_and_not_for_slower_ones():
    curvatures = torch.logspace(-2, 0, 5, **F64)
    lr, momentum = polyak_parameters(0.01, 1.0)
    x = before = torch.ones(3, 5, **F64)  # the heavy ball, gradient descent with a short step, one that stands still
    steps = torch.tensor([[lr], [0.1 * lr], [0.0]], **F64)
    beta = torch.tensor([[momentum], [0.0], [0.0]], **F64)
    norms = [x.norm(dim=1)]
    for _ in range(600):
        x, before = x - steps * curvatures * x + beta * (x - before), x
        norms.append(x.norm(dim=1))
    relative = torch.stack(norms) / norms[0]
    assert polyak_bound_holds(relative, 100.0).tolist() == [True, False, False]
    assert bool(polyak_bound_holds(relative[:, 0], 100.0))
    late = torch.tensor([1.0, 1e-11, 50.0, math.nan], **F64)
    assert polyak_bound_holds(late[:3], 4.0)
    assert polyak_bound_holds(late, 4.0)
    assert not polyak_bound_holds(torch.tensor([1.0, math.nan]), 4.0)
    for bad in ((torch.tensor([1, 2]), 4.0), (torch.tensor(1.0), 4.0), (torch.ones(0), 4.0), (late, 0.5), (late, "4")):
        with pytest.raises(ValueError, match=r"residuals|kappa"):
            polyak_bound_holds(*bad)


X = torch.ones(2, **F64)
GOOD = {
    gradient_descent: {"lr": 0.1, "tol": 1e-3},
    accelerated_gradient: {"smoothness": 1.0, "strong_convexity": 0.1, "tol": 1e-3},
    almost_convex_agd: {"smoothness": 1.0, "gamma": 0.1, "tol": 1e-3},
    negative_curvature_descent: {"hessian_lipschitz": 1.0, "alpha": 0.1, "gap": 1.0, "fail": 0.1},
    accelerated_nonconvex: {"smoothness": 1.0, "hessian_lipschitz": 1.0, "gap": 1.0, "tol": 0.1, "fail": 0.1,
                            "alpha": 0.5},
    cubic_newton: {"hessian_lipschitz": 1.0, "tol": 1e-3},
    guarded_agd: {"smoothness": 1.0, "hessian_lipschitz": 1.0, "tol": 1e-3},
}  # fmt: skip


@pytest.mark.parametrize("method", GOOD, ids=lambda m: m.__name__)
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, "1"])
def test_constants_out_of_range(method, bad):
    def never(x):
        raise AssertionError("worked before checking")

    for name in GOOD[method]:
        with pytest.raises(ValueError, match="must be"):
            method(never, X, **(GOOD[method] | {name: bad}))
    with pytest.raises(ValueError):
        method(never, torch.ones(2, dtype=torch.int64), **GOOD[method])


def test_more_bad_input():
    fn = quadratic(torch.ones(2, **F64))
    with pytest.raises(ValueError, match="strong_convexity"):
        accelerated_gradient(fn, X, smoothness=1.0, strong_convexity=2.0, tol=0.1)
    with pytest.raises(ValueError, match="gamma"):
        almost_convex_agd(fn, X, smoothness=1.0, gamma=1.5, tol=0.1)
    for fail in (0.0, 1.0, 2.0):
        with pytest.raises(ValueError, match="fail"):
            negative_curvature_descent(fn, X, hessian_lipschitz=1.0, alpha=0.1, gap=1.0, fail=fail)
    with pytest.raises(ValueError, match="lanczos_steps"):
        negative_curvature_descent(fn, X, hessian_lipschitz=1.0, alpha=0.1, gap=1.0, lanczos_steps=0)
    with pytest.raises(ValueError, match="fun must map"):
        gradient_descent(lambda x: x, X, lr=0.1, tol=0.1)
    for bad in ((0.0, 1.0), (2.0, 1.0), (1.0, math.inf), (torch.tensor(2.0), torch.tensor(1.0))):
        with pytest.raises(ValueError):
            polyak_parameters(*bad)
    with pytest.raises(ValueError):
        ball_penalty(X, torch.ones(3, **F64), smoothness=1.0, radius=1.0)
    with pytest.raises(ValueError):
        default_alpha(smoothness=1.0, hessian_lipschitz=1.0, gap=0.0, tol=0.1)


def test_nothing_is_said_when_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient_descent(quadratic(torch.ones(2, **F64)), X, lr=0.5, tol=1e-6)
