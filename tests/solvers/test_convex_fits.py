"""Least squares in an l1 ball and with a nuclear norm, against scikit-learn, closed forms and optimality conditions."""

import warnings

import numpy as np
import pytest
import torch

from litrepro import ConvergenceWarning
from litrepro.solvers import l1_ball_least_squares, nuclear_norm_least_squares

DOUBLE = torch.float64


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def test_ball_fit_is_the_lasso_of_its_radius():
    linear_model = pytest.importorskip("sklearn.linear_model")
    A, b = draw(3, 30, 8, seed=1), draw(3, 30, seed=2)
    lassos = [
        linear_model.Lasso(alpha=0.2, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(m.numpy(), v.numpy()).coef_
        for m, v in zip(A, b)
    ]
    radius = torch.tensor([np.abs(x).sum() for x in lassos], dtype=DOUBLE)
    fit = l1_ball_least_squares(A, b, radius)
    assert np.allclose(fit.x.numpy(), lassos, atol=1e-6)
    assert torch.allclose(fit.loss, ((A @ fit.x[..., None])[..., 0] - b).square().sum(-1))
    assert (fit.gap >= -1e-10).all()
    assert (fit.gap < 1e-6).all()


def test_ball_fit_in_a_large_ball_is_least_squares_and_in_none_it_is_zero():
    A, b = draw(20, 4, seed=3), draw(20, seed=4)
    assert torch.allclose(l1_ball_least_squares(A, b, 1e3).x, torch.linalg.lstsq(A, b[:, None]).solution[:, 0])
    nothing = l1_ball_least_squares(A, b, 0.0)
    assert nothing.x.abs().max() == 0
    assert nothing.loss.item() == pytest.approx(b.square().sum().item())
    assert l1_ball_least_squares(0 * A, b, 1.0).x.isfinite().all()


def test_one_ball_fit_for_several_radii():
    A, b = draw(25, 10, seed=5), draw(25, seed=6)
    path = l1_ball_least_squares(A, b, torch.tensor([0.2, 0.8], dtype=DOUBLE), iterations=50)
    for k, radius in enumerate((0.2, 0.8)):
        for several, one in zip(path, l1_ball_least_squares(A, b, radius, iterations=50)):
            assert torch.allclose(several[k], one, atol=1e-9)


def test_the_gap_bounds_what_early_stopping_leaves():
    A, b = draw(25, 10, seed=5), draw(25, seed=6)
    best = l1_ball_least_squares(A, b, 0.4).loss
    early = l1_ball_least_squares(A, b, 0.4, iterations=3)
    assert 1e-8 < early.loss - best <= early.gap


def test_nuclear_norm_fit_meets_its_optimality_conditions():
    X, Y = draw(2, 20, 6, seed=7), draw(2, 20, 4, seed=8)
    W = nuclear_norm_least_squares(X, Y, 12.0)
    U, s, Vh = torch.linalg.svd(W, full_matrices=False)
    dual = X.mT @ (Y - X @ W)
    assert (torch.linalg.matrix_norm(dual, 2) <= 12.0 * (1 + 1e-9)).all()
    kept = (s > 1e-8).double()  # on its singular vectors the dual is beta, elsewhere it is at most that
    assert 0 < kept.sum() < kept.numel()
    assert torch.allclose((U * kept[:, None]).mT @ dual @ (Vh * kept[..., None]).mT, 12.0 * torch.diag_embed(kept))


def test_nuclear_norm_fit_of_orthonormal_data_is_a_threshold():
    Q, Y = torch.linalg.qr(draw(9, 5, seed=9)).Q, draw(9, 4, seed=10)
    U, s, Vh = torch.linalg.svd(Q.T @ Y, full_matrices=False)
    expected = (U * (s - 1.5).clamp(min=0)) @ Vh
    assert torch.allclose(nuclear_norm_least_squares(Q, Y, 1.5, iterations=50), expected, atol=1e-12)
    assert nuclear_norm_least_squares(Q, Y, 100.0, iterations=5).abs().max() == 0


def test_nuclear_norm_fits_that_still_move_say_so():
    Q, scales = torch.linalg.qr(draw(9, 5, seed=9)).Q, torch.linspace(0.1, 1, 5, dtype=DOUBLE)
    both, Y = torch.stack([Q, Q * scales]), draw(2, 9, 4, seed=10)
    with pytest.warns(ConvergenceWarning, match="1 of 2 fits have not converged in 30 steps"):
        nuclear_norm_least_squares(both, Y, 0.1, iterations=30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nuclear_norm_least_squares(both, Y, 0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: l1_ball_least_squares(torch.ones(3, 2), torch.ones(2), 1.0), "A and b"),
        (lambda: l1_ball_least_squares(torch.ones(3, 0), torch.ones(3), 1.0), "A and b"),
        (lambda: l1_ball_least_squares(torch.ones(3, 2), torch.ones(3), -1.0), "radius"),
        (lambda: l1_ball_least_squares(torch.ones(3, 2), torch.ones(3), torch.tensor([1.0, -1.0])), "radius"),
        (lambda: l1_ball_least_squares(torch.ones(2, 3, 2), torch.ones(2, 3), torch.ones(4)), "radius"),
        (lambda: l1_ball_least_squares(torch.ones(3, 2), torch.ones(3, dtype=DOUBLE), 1.0), "dtype"),
        (lambda: l1_ball_least_squares(torch.ones(3, 2) * torch.nan, torch.ones(3), 1.0), "A"),
        (lambda: l1_ball_least_squares(torch.ones(3, 2), torch.ones(3), 1.0, iterations=0), "iterations"),
        (lambda: nuclear_norm_least_squares(torch.ones(3, 2), torch.ones(2, 2), 1.0), "X and Y"),
        (lambda: nuclear_norm_least_squares(torch.ones(3, 2), torch.ones(3), 1.0), "Y"),
        (lambda: nuclear_norm_least_squares(torch.ones(3, 2), torch.ones(3, 2), 0.0), "beta"),
        (lambda: nuclear_norm_least_squares(torch.ones(3, 2), torch.ones(3, 2), 1.0, iterations=2.5), "iterations"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_fits_of_every_size_are_those_of_their_own():
    A, b, radius = draw(12, 4, seed=1).float(), draw(12, seed=2).float(), 0.3
    expected = l1_ball_least_squares(A, b, radius, iterations=100)
    sizes = torch.tensor([2.0**84, 1.0, 2.0**-84])[:, None]  # squares of the first and last are infinite and zero
    fits = l1_ball_least_squares(A * sizes[..., None], b * sizes, radius, iterations=100)
    torch.testing.assert_close(fits.x, expected.x.expand(3, 4))
    torch.testing.assert_close(fits.loss[1], expected.loss)
    assert not fits.gap.isnan().any()
    X, Y = draw(9, 5, seed=3).float(), draw(9, 4, seed=4).float()
    smaller = nuclear_norm_least_squares(X, Y, 1.0, iterations=400)
    larger = nuclear_norm_least_squares(X * 2.0**62, Y * 2.0**62, 2.0**124, iterations=400)
    assert torch.equal(larger, smaller)


def test_a_slow_nuclear_norm_fit_says_so():
    X, Y = torch.diag(torch.tensor([1e4, 1.0])), torch.tensor([[0.0], [1.0]])
    with pytest.warns(ConvergenceWarning, match="1 of 1"):
        W = nuclear_norm_least_squares(X, Y, 1e-6, iterations=3000)
    assert abs(W[1, 0] - 1) > 0.9  # the optimum is 1 - 1e-6
