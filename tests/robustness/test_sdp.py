"""The semidefinite certificate against brute force, cvxpy and eigenvalue solvers."""

import itertools

import cvxpy
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litrepro.robustness import (
    dual_margins,
    exact_margins,
    gradient_sdp_matrix,
    ibp_margins,
    lanczos_max,
    lp_margins,
    pgd,
    sdp_dual_value,
    sdp_gradient_bound,
    sdp_margins,
)


def problem(m=4, d=3, seed=0, batch=()):
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(*batch, m, generator=generator, dtype=torch.float64)
    return v, torch.randn(*batch, m, d, generator=generator, dtype=torch.float64)


def brute_force(v, W):
    """max over s in {0, 1}^m of ||W' diag(v) s||_1."""
    s = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(v))), dtype=v.dtype)
    return float(((s * v) @ W).abs().sum(1).max())


def test_the_matrix_writes_the_norm_as_a_quadratic_form():
    v, W = problem()
    M = gradient_sdp_matrix(v, W)
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=7)), dtype=v.dtype)
    y = torch.cat([torch.ones(len(signs), 1, dtype=v.dtype), signs], 1)
    assert float((y @ M * y).sum(1).max()) / 4 == pytest.approx(brute_force(v, W))
    assert torch.equal(M, M.mT)


def test_every_dual_point_is_a_bound_and_the_best_one_is_near():
    v, W = problem(batch=(30,))
    found = sdp_gradient_bound(v, W, steps=200)
    truth = torch.tensor([brute_force(v[i], W[i]) for i in range(30)], dtype=v.dtype)
    assert bool((found.bound >= truth - 1e-9).all())
    assert float((found.bound / truth).mean()) < 1.1
    assert torch.allclose(sdp_dual_value(v, W, found.c), found.bound, rtol=1e-12)
    c = 3 * torch.randn(20, 30, 8, generator=torch.Generator().manual_seed(1), dtype=v.dtype)
    assert bool((sdp_dual_value(v, W, c) >= truth - 1e-9).all())
    assert bool((found.bound <= (v.abs() * W.abs().sum(-1)).sum(-1) + 1e-9).all())


@pytest.mark.parametrize(("outer", "inner"), [(60, 60), (110, 0), (-70, -50), (110, -110)])
def test_the_bound_is_as_good_in_other_units(outer, inner):
    v, W = (part.float() for part in problem(batch=(3,)))
    plain, found = sdp_gradient_bound(v, W, steps=50), sdp_gradient_bound(v * 2.0**outer, W * 2.0**inner, steps=50)
    assert torch.equal(found.bound, plain.bound * 2.0 ** (outer + inner))
    assert torch.equal(found.c, plain.c * 2.0 ** (outer + inner))


@pytest.mark.parametrize(("m", "d"), [(6, 5), (14, 9)])
def test_the_bound_is_the_semidefinite_programs_value(m, d):
    v, W = problem(m, d, seed=3)
    M = gradient_sdp_matrix(v, W).numpy()
    P = cvxpy.Variable(M.shape, PSD=True)
    value = cvxpy.Problem(cvxpy.Maximize(cvxpy.trace(M @ P) / 4), [cvxpy.diag(P) <= 1]).solve(
        solver=cvxpy.SCS, eps=1e-6
    )
    assert float(sdp_gradient_bound(v, W, steps=800).bound) == pytest.approx(value, rel=2e-3)
    assert value * (1 - 1e-3) <= float(sdp_gradient_bound(v, W, steps=400, lr=0.3).bound) <= value * 1.05


@pytest.mark.parametrize("lr", [None, 0.05])
def test_a_bound_is_the_dual_value_of_its_point(lr):
    v, W = (part.float() for part in problem())
    found = sdp_gradient_bound(v, W, steps=100, lr=lr)
    assert torch.equal(found.bound, sdp_dual_value(v, W, found.c))


def test_a_batch_is_its_loop():
    v, W = problem(batch=(3, 2))
    together = sdp_gradient_bound(v, W, steps=50)
    assert together.c.shape == (3, 2, 8)
    alone = sdp_gradient_bound(v[1, 1], W[1, 1], steps=50)
    assert torch.allclose(together.bound[1, 1], alone.bound)
    assert float(sdp_gradient_bound(torch.zeros(4), torch.zeros(4, 3)).bound) == 0


def test_the_dual_value_is_differentiable():
    v, W = problem()
    c = torch.rand(8, dtype=v.dtype)
    tensors = [part.requires_grad_(True) for part in (v, W, c)]
    assert torch.autograd.gradcheck(sdp_dual_value, tensors)


def test_lanczos_max_against_eigh():
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(5, 30, 30, generator=generator, dtype=torch.float64)
    A = A + A.mT
    value, vector = lanczos_max(A)
    assert torch.allclose(value, torch.linalg.eigvalsh(A)[:, -1])
    assert torch.allclose(vector.norm(dim=-1), torch.ones(5, dtype=torch.float64))
    same = lanczos_max(2 * torch.eye(4).expand(2, 4, 4))  # one step exhausts a degenerate spectrum
    assert torch.allclose(same.value, torch.full((2,), 2.0))
    A = A[0].requires_grad_(True)
    value, vector = lanczos_max(A)
    (gradient,) = torch.autograd.grad(value, A)
    assert torch.allclose(gradient, torch.outer(vector, vector))


def test_margins_hold_against_attacks_and_reuse_their_bounds():
    generator = torch.Generator().manual_seed(2)
    W, V = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((6, 4), (3, 6)))
    layers = [(W, torch.randn(6, generator=generator, dtype=torch.float64)), (V, torch.zeros(3, dtype=torch.float64))]
    x, y = torch.rand(5, 4, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])
    forward = lambda z: torch.relu(z @ W.T + layers[0][1]) @ V.T  # noqa: E731
    margins = sdp_margins(layers, x, y, 0.2, steps=100)
    attacked = forward(pgd(forward, x, y, 0.2, loss="margin", box=None))
    assert bool((margins <= attacked.gather(1, y[:, None]) - attacked + 1e-9).all())
    assert torch.equal(margins.gather(1, y[:, None]), torch.zeros(5, 1, dtype=torch.float64))
    assert torch.allclose(sdp_margins(layers, x, y, 0.0, steps=5), ibp_margins(layers, x, y, 0.0))
    B = torch.zeros(3, 3, dtype=torch.float64)
    assert torch.allclose(sdp_margins(layers, x, y, 0.2, bounds=B), ibp_margins(layers, x, y, 0.0))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_no_corner_of_the_ball_beats_a_bound(seed, eps):
    v, W = problem(5, 4, seed)
    generator = torch.Generator().manual_seed(seed)
    V = torch.randn(3, 5, generator=generator, dtype=v.dtype)
    layers = [(W, v), (V, torch.zeros(3, dtype=v.dtype))]
    x, y = torch.randn(3, 4, generator=generator, dtype=v.dtype), torch.tensor([0, 1, 2])
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4)), dtype=v.dtype)
    inside = 2 * torch.rand(50, 4, generator=generator, dtype=v.dtype) - 1
    points = x[:, None] + eps * torch.cat([corners, inside])
    logits = torch.relu(points @ W.T + v) @ V.T
    lowest = (logits.gather(2, y[:, None, None].expand(-1, logits.shape[1], 1)) - logits).amin(1)
    bounds = {
        "interval": ibp_margins(layers, x, y, eps, box=None),
        "dual": dual_margins(layers, x, y, eps, box=None, steps=10),
        "program": lp_margins(layers, x, y, eps, box=None),
        "semidefinite": sdp_margins(layers, x, y, eps, steps=50),
        "exact": exact_margins(layers, x, y, eps, box=None).margin,
    }
    for name, bound in bounds.items():
        assert bool((bound <= lowest + 1e-6).all()), name
        assert bool((bound <= bounds["exact"] + 1e-6).all()), name


def test_bad_input():
    v, W = problem()
    layers = [(W, v), (torch.rand(2, 4, dtype=v.dtype), torch.zeros(2, dtype=v.dtype))]
    x, y = torch.rand(2, 3), torch.tensor([0, 1])
    for call, message in (
        (lambda: gradient_sdp_matrix(v[:3], W), "agree"),
        (lambda: gradient_sdp_matrix(torch.rand(2, 4), torch.rand(3, 4, 3)), "broadcast"),
        (lambda: sdp_dual_value(v, W, torch.rand(7, dtype=v.dtype)), "c must"),
        (lambda: sdp_gradient_bound(v, W, steps=0), "steps"),
        (lambda: sdp_gradient_bound(v * float("nan"), W), "v must be finite"),
        (lambda: sdp_dual_value(v, W, torch.full((8,), torch.inf, dtype=v.dtype)), "c must be finite"),
        (lambda: sdp_gradient_bound(v, W, lr=-1.0), "lr"),
        (lambda: sdp_gradient_bound(v.half(), W.half()), "v must be float32 or float64"),
        (lambda: lanczos_max(torch.rand(3, 4)), "n, n"),
        (lambda: lanczos_max(torch.full((2, 2), torch.nan)), "A must be finite"),
        (lambda: lanczos_max(torch.eye(2), generator=2.5), "generator"),
        (lambda: sdp_margins(layers[:1], x, y, 0.1), "two affine layers"),
        (lambda: sdp_margins(layers, x[:, :2], y, 0.1), "features"),
        (lambda: sdp_margins(layers, x, y, -0.1), "eps"),
        (lambda: sdp_margins(layers, x, y, 0.1, bounds=torch.zeros(3, 3)), "bounds"),
        (lambda: sdp_margins(layers, x, y, 0.1, bounds=torch.eye(2) - 1), "bounds"),
        (lambda: sdp_margins(layers, x, y, 0.1, bounds=torch.eye(2)), "bounds"),
        (lambda: sdp_margins(layers, x, y, 0.1, bounds=torch.tensor([[0.0, 1.0], [2.0, 0.0]])), "bounds"),
        (lambda: sdp_margins([(W * torch.nan, v), layers[1]], x, y, 0.1, bounds=torch.zeros(2, 2)), "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert np.isfinite(float(sdp_margins(layers, x, y, 0.1).sum()))
