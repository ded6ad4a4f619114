"""The structured lasso against cvxpy, brute force, its own KKT conditions; the classic one against scikit-learn."""

import math
import warnings

import pytest
import torch
from scipy.optimize import minimize_scalar

from litrepro import ConvergenceWarning, graphs
from litrepro.graphs._objective import eigenvalue_update, spectrum

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(p=8, n=20, batch=(), seed=0):
    """Covariances of a random graph's signals, and the prior of its graphon."""
    W = graphs.graphon("quadratic")
    g = seeded(seed)
    A = graphs.sample_graph(W, p, batch=batch, generator=g).adjacency
    L = torch.diag_embed(A.sum(-1)) - A + 0.05 * (torch.eye(p, dtype=F64) - 1 / p)
    S = graphs.sample_covariance(graphs.sample_signals(L, n, generator=g))
    return S, graphs.spectral_prior(W, p)


def test_without_prior_it_is_cvxpys_optimum():
    import cvxpy as cp

    p, beta, alpha = 6, 0.7, 0.2
    S, mu = problem(p, 12)
    ours = graphs.spectral_graphical_lasso(S, mu, alpha=alpha, beta=beta, tol=1e-9, max_iter=20_000)
    # With gamma = 0 the minimum over (U, lam) is over all positive semidefinite X with X1 = 0, once -log det is convex.
    m, J = p * (p - 1) // 2, torch.full((p, p), 1 / p, dtype=F64).numpy()
    w, X = cp.Variable(m, nonneg=True), cp.Variable((p, p), symmetric=True)
    columns = graphs.laplacian(torch.eye(m, dtype=F64)).numpy()
    L = sum(w[k] * columns[k] for k in range(m))
    cost = -cp.log_det(X + J) + cp.trace(S.numpy() @ L) + alpha * cp.sum(w) + beta / 2 * cp.sum_squares(L - X)
    cp.Problem(cp.Minimize(cost), [X @ torch.ones(p).numpy() == 0]).solve(solver="CLARABEL")
    assert bool(ours.converged)
    assert abs(ours.objective.item() - cost.value) < 1e-5
    assert (ours.w - torch.tensor(w.value)).abs().max() < 1e-3


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_both_methods_reach_stationary_points(gamma):
    S, mu = problem(7, 15, batch=(3,))
    fast = graphs.spectral_graphical_lasso(S, mu, beta=0.5, gamma=gamma, tol=1e-8, max_iter=8000)
    slow = graphs.spectral_graphical_lasso(S, mu, beta=0.5, gamma=gamma, tol=1e-7, max_iter=60_000, method="mm")
    penalties = {"alpha": 0.0, "beta": 0.5, "gamma": gamma}
    for result, tol in ((fast, 1e-8), (slow, 1e-7)):
        residuals = graphs.kkt_residuals(result.w, result.U, result.lam, S, mu, **penalties)
        assert bool(result.converged.all())
        assert torch.allclose(residuals.w, result.residual, rtol=1e-3, atol=1e-12)
        assert residuals.w.max() <= 1.01 * tol
        assert residuals.U.max() < 1e-9
        assert residuals.lam.max() < 1e-8
        objective = graphs.spectral_objective(result.w, result.U, result.lam, S, mu, **penalties)
        assert torch.allclose(objective, result.objective, atol=1e-9)
    if gamma == 0:
        assert torch.allclose(fast.objective, slow.objective, atol=1e-6)


def reference_step(w, S, mu, alpha, beta, gamma, inner):
    """One MM iteration as the review writes it (with its errata), one problem at a time."""
    p = S.shape[-1]
    sigma, U = torch.linalg.eigh(graphs.laplacian(w))
    d = (beta * sigma + gamma * mu) / (beta + gamma)
    lam = (d + torch.sqrt(d**2 + 4 / (beta + gamma))) / 2
    lam[0] = 0
    c = graphs.laplacian_adjoint(U @ torch.diag(lam) @ U.T - S / beta) - alpha / beta
    for _ in range(inner):
        w = torch.clamp(w - (graphs.laplacian_gram(w) - c) / (2 * p), min=0)
    return w


@pytest.mark.parametrize("inner", [1, 3])
def test_mm_is_the_written_iteration(inner):
    S, mu = problem(6, 10, batch=(2,))
    w = torch.rand(2, 15, generator=seeded(1), dtype=F64)
    with pytest.warns(ConvergenceWarning, match="2 of 2 problems"):
        ours = graphs.spectral_graphical_lasso(
            S, mu, alpha=0.1, beta=0.8, gamma=0.3, w0=w, method="mm", inner=inner, max_iter=4, tol=0.0
        )
    assert ours.iterations == 4
    for k in range(2):
        v = w[k]
        for _ in range(4):
            v = reference_step(v, S[k], mu, 0.1, 0.8, 0.3, inner)
        assert torch.allclose(ours.w[k], v, atol=1e-11)


def test_mm_descends_and_history_has_every_objective():
    S, mu = problem(10, 8, batch=(3,))
    gamma = torch.tensor([[0.0], [1.0]], dtype=F64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = graphs.spectral_graphical_lasso(
            S, mu, beta=0.5, gamma=gamma, method="mm", max_iter=150, tol=1e-9, history=True
        )
        quick = graphs.spectral_graphical_lasso(S, mu, beta=0.5, gamma=gamma, max_iter=400, tol=1e-3, history=True)
    assert result.history.shape == (result.iterations + 1, 2, 3)
    assert result.history.diff(dim=0).max() < 1e-10
    assert torch.allclose(result.history[-1], result.objective)
    assert torch.allclose(quick.history[-1], quick.objective)
    assert quick.history.shape == (quick.iterations + 1, 2, 3)
    assert torch.allclose(quick.history[0], result.history[0])  # both start from the complete graph


def test_default_start_is_the_best_complete_graph():
    S, mu = problem(6, 5)
    with pytest.warns(ConvergenceWarning):
        first = graphs.spectral_graphical_lasso(S, mu, beta=1e6, max_iter=1, history=True, tol=0.0).history[0]
    pull = graphs.laplacian_adjoint(S).sum().item()
    # With beta large, (1) along w = a 1 is -5 log(6 a) + a pull.
    best = minimize_scalar(lambda a: -5 * math.log(6 * a) + a * pull, bounds=(1e-3, 1e3), method="bounded")
    assert abs(first.item() - best.fun) < 1e-3


def test_batch_members_do_not_see_each_other():
    S, mu = problem(7, 12, batch=(4,))
    gamma = torch.tensor([0.0, 0.2, 1.0, 5.0], dtype=F64)
    options = {"beta": 0.5, "tol": 1e-9, "max_iter": 6000}
    whole = graphs.spectral_graphical_lasso(S, mu, gamma=gamma, **options)
    for k in range(4):
        alone = graphs.spectral_graphical_lasso(S[k], mu, gamma=gamma[k].item(), **options)
        # Rounding differs between batch sizes and may move a restart, so only the limits agree to many digits.
        assert torch.allclose(alone.w, whole.w[k], atol=1e-7)
        assert torch.allclose(alone.lam, whole.lam[k], atol=1e-7)
    shared = graphs.spectral_graphical_lasso(S[0], mu, gamma=gamma, **options)
    assert shared.w.shape == (4, 21)
    assert shared.U.shape == (4, 7, 7)


def test_order_of_the_prior_does_not_matter():
    S, mu = problem(7, 12)
    shuffled = mu[torch.tensor([0, 3, 1, 6, 2, 5, 4])]
    options = {"beta": 0.5, "gamma": 0.5, "tol": 1e-7, "max_iter": 6000}
    one, two = (graphs.spectral_graphical_lasso(S, m, **options) for m in (mu, shuffled))
    assert torch.allclose(one.w, two.w, atol=1e-8)
    penalties = {"alpha": 0.0, "beta": 0.5, "gamma": 0.5}
    assert max(graphs.kkt_residuals(two.w, two.U, two.lam, S, shuffled, **penalties)) < 1e-6
    assert torch.allclose(
        graphs.spectral_objective(two.w, two.U, two.lam, S, shuffled, **penalties), two.objective, atol=1e-9
    )


def test_block_updates_minimize():
    g = seeded(3)
    sigma, mu = 5 * torch.rand(6, generator=g, dtype=F64), 5 * torch.rand(6, generator=g, dtype=F64)
    beta, gamma = torch.tensor([0.7], dtype=F64), torch.tensor([0.4], dtype=F64)
    lam = eigenvalue_update(sigma, mu, beta, gamma)
    assert lam[0] == 0
    for s, m, found in zip(sigma[1:].tolist(), mu[1:].tolist(), lam[1:].tolist()):
        best = minimize_scalar(
            lambda x, s=s, m=m: -math.log(x) + 0.35 * (x - s) ** 2 + 0.2 * (x - m) ** 2,
            bounds=(1e-6, 20),
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert abs(best.x - found) < 1e-6
    steep = eigenvalue_update(torch.full((2,), -1e9, dtype=F64), torch.zeros(2, dtype=F64), beta, gamma * 0)
    assert math.isclose(steep[1].item(), 1 / (0.7 * 1e9), rel_tol=1e-9)


def test_the_constant_vector_is_the_first_eigenvector():
    w = torch.zeros(10, dtype=F64)
    w[0] = 1.0  # three more null vectors
    negative = -torch.rand(10, generator=seeded(), dtype=F64)
    for v in (w, negative):
        sigma, U = spectrum(v)
        assert torch.allclose(U[:, 0].abs(), torch.full((5,), 5**-0.5, dtype=F64))
        assert torch.allclose((U * sigma) @ U.T, graphs.laplacian(v), atol=1e-12)


def test_iterative_hard_thresholding_keeps_k_edges():
    S, mu = problem(8, 2000, batch=(2,), seed=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = graphs.spectral_graphical_lasso(S, mu, beta=2.0, edges=9, max_iter=8000, tol=1e-5)
        one = graphs.spectral_graphical_lasso(S, mu, beta=2.0, edges=9, max_iter=1, tol=0.0)
        two = graphs.spectral_graphical_lasso(S, mu, beta=2.0, edges=9, max_iter=2, tol=0.0)
        plain = graphs.spectral_graphical_lasso(S, mu, beta=2.0, max_iter=1, method="mm", tol=0.0)
        counts = torch.tensor([9, 5])
        mixed = graphs.spectral_graphical_lasso(S, mu, beta=2.0, edges=counts, max_iter=300, tol=1e-9)
        five = graphs.spectral_graphical_lasso(S[1], mu, beta=2.0, edges=5, max_iter=300, tol=1e-9)
    assert torch.allclose(mixed.w[1], five.w, atol=1e-9)
    assert ((mixed.w > 0).sum(-1) <= counts).all()
    assert ((result.w > 0).sum(-1) <= 9).all()
    kept = plain.w.topk(9).values.sort().values
    assert torch.allclose(one.w.topk(9).values.sort().values, kept)
    assert torch.allclose(two.residual, 16 * (two.w - one.w).abs().amax(-1))
    assert bool(result.converged.all())
    support = result.w > 0  # a fixed point is stationary on its support
    penalties = {"alpha": 0.0, "beta": 2.0, "gamma": 0.0}
    pull = graphs.laplacian_adjoint((result.U * result.lam[..., None, :]) @ result.U.mT - S / 2.0)
    gradient = graphs.laplacian_gram(result.w) - pull
    assert (gradient * support).abs().max() < 1e-4
    assert graphs.kkt_residuals(result.w, result.U, result.lam, S, mu, **penalties).U.max() < 1e-9


def test_edge_cases_run():
    for p, n in ((2, 5), (9, 1)):  # the smallest graph; a single sample
        S, mu = problem(p, n, seed=2)
        result = graphs.spectral_graphical_lasso(S, mu, beta=0.5, gamma=0.1, max_iter=20_000, tol=1e-5)
        assert bool(result.converged)
    two = torch.block_diag(*[graphs.laplacian(torch.ones(3, dtype=F64))] * 2)
    S = graphs.sample_covariance(graphs.sample_signals(two, 50, generator=seeded()))
    tied = torch.tensor([0.0, 0.0, 3.0, 3.0, 3.0, 3.0], dtype=F64)
    result = graphs.spectral_graphical_lasso(S, tied, beta=0.5, gamma=1.0, max_iter=20_000, tol=1e-5)
    assert bool(result.converged)
    assert bool(result.w.isfinite().all())


def test_a_strong_prior_becomes_an_equality():
    S, mu = problem(6, 20)
    mu = torch.linspace(0, 6, 6, dtype=F64)
    result = graphs.spectral_graphical_lasso(S, mu, beta=1.0, gamma=1e5, max_iter=20_000, tol=1e-6)
    assert (result.lam - mu)[1:].abs().max() < 1e-3


def test_classic_lasso_is_that_of_scikit_learn():
    from sklearn.covariance import graphical_lasso

    S, _ = problem(8, 30, batch=(2,), seed=1)
    S = S / S.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    alphas = torch.tensor([[0.05], [0.3]], dtype=F64)
    ours = graphs.classic_graphical_lasso(S, alphas, tol=1e-8, max_iter=5000)
    assert ours.precision.shape == (2, 2, 8, 8)
    assert bool(ours.converged.all())
    for a, alpha in enumerate((0.05, 0.3)):
        for k in range(2):
            _, theirs = graphical_lasso(S[k].numpy(), alpha, tol=1e-8, enet_tol=1e-8, max_iter=1000)
            assert (ours.precision[a, k] - torch.tensor(theirs)).abs().max() < 1e-3 * abs(theirs).max()
    with pytest.warns(ConvergenceWarning, match="4 of 4"):
        graphs.classic_graphical_lasso(S, alphas, max_iter=2)


def test_single_precision_reaches_the_same_point():
    S, mu = problem(10, 30)
    options = {"beta": 0.5, "gamma": 0.1, "inner": 8, "max_iter": 6000}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = graphs.spectral_graphical_lasso(S.float(), mu.float(), **options, history=True)
        exact = graphs.spectral_graphical_lasso(S.float().double(), mu.float().double(), **options)
    assert bool(found.converged)
    assert found.residual <= 1e-6
    assert {part.dtype for part in (*found[:5], found.history)} == {torch.float32}
    torch.testing.assert_close(found.w, exact.w.float())
    torch.testing.assert_close(found.objective, exact.objective.float())


def test_a_prior_of_integers():
    S, _ = problem(6, 30)
    mu = torch.tensor([0, 5, 2, 3, 1, 5])  # such as the degrees of another graph
    options = {"beta": 0.5, "gamma": 0.1, "inner": 8, "max_iter": 6000}
    found = graphs.spectral_graphical_lasso(S, mu, **options)
    assert torch.equal(found.w, graphs.spectral_graphical_lasso(S, mu.double(), **options).w)
    assert graphs.spectral_graphical_lasso(S.float(), mu, **options).w.dtype == torch.float32


def test_no_gradients_are_recorded_and_the_warning_names_its_caller():
    S, mu = problem(6, 30)
    with pytest.warns(ConvergenceWarning) as caught:
        found = graphs.spectral_graphical_lasso(S.requires_grad_(), mu, max_iter=3, history=True)
    assert not any(part.requires_grad for part in found if isinstance(part, torch.Tensor))
    assert caught[0].filename == __file__


EYE, MU = torch.eye(3, dtype=F64), torch.tensor([0.0, 1.0, 2.0], dtype=F64)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"S": torch.ones(3, 2, dtype=F64)}, "S must be square"),
        ({"S": EYE + torch.ones(3, 3, dtype=F64).triu(1)}, "S must be symmetric"),
        ({"S": EYE * math.inf}, "S must be finite"),
        ({"mu": MU[:2]}, "mu must have 3 entries"),
        ({"mu": MU * math.nan}, "mu must be finite"),
        ({"beta": 0.0}, "beta must be finite and > 0"),
        ({"alpha": -1.0}, "alpha must be finite and >= 0"),
        ({"gamma": torch.tensor([1.0, -1.0])}, "gamma must be finite and >= 0"),
        ({"gamma": "much"}, "gamma must be a finite number"),
        ({"edges": 0}, "edges must be an integer >= 1"),
        ({"edges": 4}, r"edges must be in 1\.\.3"),
        ({"edges": 2, "alpha": 0.1}, "alpha must be 0 where edges"),
        ({"edges": torch.tensor([1.0, 2.0])}, "integer tensor"),
        ({"edges": torch.tensor([1, 7])}, r"edges must be in 1\.\.3"),
        ({"method": "newton"}, "method must be one of"),
        ({"w0": torch.tensor([1.0, -1.0, 0.0], dtype=F64)}, "w0 must be nonnegative"),
        ({"w0": torch.ones(4, dtype=F64)}, "w0 must have 3 entries"),
        ({"inner": 0}, "inner must be"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"S": EYE.expand(2, 3, 3), "gamma": torch.ones(3)}, "batch dimensions must broadcast"),
    ],
)
def test_bad_input(change, match):
    arguments = {"S": EYE, "mu": MU} | change
    with pytest.raises(ValueError, match=match):
        graphs.spectral_graphical_lasso(arguments.pop("S"), arguments.pop("mu"), **arguments)


def test_bad_input_of_the_objective_and_of_the_classic_lasso():
    w, penalties = torch.ones(3, dtype=F64), {"alpha": 0.0, "beta": 1.0, "gamma": 0.0}
    with pytest.raises(ValueError, match="U must be 3 x 3"):
        graphs.spectral_objective(w, torch.eye(4, dtype=F64), MU, EYE, MU, **penalties)
    with pytest.raises(ValueError, match="lam must have 3 entries"):
        graphs.kkt_residuals(w, EYE, MU[:2], EYE, MU, **penalties)
    with pytest.raises(ValueError, match="alpha must be finite and > 0"):
        graphs.classic_graphical_lasso(EYE, 0.0)
    with pytest.raises(ValueError, match="positive diagonal"):
        graphs.classic_graphical_lasso(EYE * 0, 0.1)


def test_kkt_residuals_are_gradients_of_the_objective():
    """Away from a stationary point, with every penalty in play, by autograd; the rotation by its definition."""
    p, penalties = 5, {"alpha": 0.3, "beta": 0.7, "gamma": 0.4}
    S, mu = problem(p, 12)
    w = torch.rand(10, generator=seeded(1), dtype=F64).requires_grad_()
    U = torch.linalg.qr(torch.randn(p, p, generator=seeded(2), dtype=F64)).Q
    lam = torch.cat([torch.zeros(1), torch.rand(p - 1, generator=seeded(3)) + 0.5]).to(F64).requires_grad_()
    value = graphs.spectral_objective(w, U, lam, S, mu, **penalties)
    by_w, by_lam = torch.autograd.grad(value, (w, lam))
    found = graphs.kkt_residuals(w.detach(), U, lam.detach(), S, mu, **penalties)
    torch.testing.assert_close(found.w, torch.minimum(w.detach(), by_w / 0.7).abs().max())
    torch.testing.assert_close(found.lam, by_lam[1:].abs().max())
    rotated, scaled = U.T @ graphs.laplacian(w.detach()) @ U, torch.diag(lam.detach())
    torch.testing.assert_close(found.U, (rotated @ scaled - scaled @ rotated).norm())


def test_acceleration_is_the_written_iteration():
    S, mu = problem(6, 10)
    numbers = {"alpha": 0.1, "beta": 0.8, "gamma": 0.3}
    w = torch.rand(15, generator=seeded(1), dtype=F64)
    before, t, restarts = w, 1.0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = graphs.spectral_graphical_lasso(S, mu, **numbers, w0=w, max_iter=60, tol=0.0)
    for _ in range(60):
        ahead = (1 + math.sqrt(1 + 4 * t * t)) / 2
        y = w + (t - 1) / ahead * (w - before)
        new = reference_step(y, S, mu, *numbers.values(), 1)
        uphill = (y - new) @ (new - w) > 0
        before, w, t, restarts = w, new, 1.0 if uphill else ahead, restarts + int(uphill)
    assert restarts > 0
    torch.testing.assert_close(ours.w, w, atol=1e-9, rtol=0)


def test_hard_thresholding_repeats_its_inner_steps():
    S, mu = problem(6, 40)
    w = torch.rand(15, generator=seeded(1), dtype=F64)
    with pytest.warns(ConvergenceWarning):
        ours = graphs.spectral_graphical_lasso(S, mu, beta=0.8, gamma=0.3, edges=7, w0=w, inner=3, max_iter=1, tol=0.0)
    sigma, U = spectrum(w)
    beta, gamma = torch.tensor([0.8], dtype=F64), torch.tensor([0.3], dtype=F64)
    lam = eigenvalue_update(sigma, mu, beta, gamma)
    c = graphs.laplacian_adjoint(U @ torch.diag(lam) @ U.T - S / 0.8)
    for _ in range(3):
        w = torch.clamp(w - (graphs.laplacian_gram(w) - c) / 12, min=0)
        w = torch.where(w >= w.topk(7).values[-1], w, 0.0)
    torch.testing.assert_close(ours.w, w)


def test_units_of_the_data_do_not_end_the_iteration():
    S, mu = problem(5, 30, batch=(2,))
    penalties = {"alpha": 0.1, "beta": 0.5, "gamma": 0.2}
    plain = graphs.spectral_graphical_lasso(S, mu, **penalties)
    assert bool(plain.converged.all())
    for size in (2.0**20, 2.0**-20):  # weights over size: the same problem
        scaled = {"alpha": 0.1 * size, "beta": 0.5 * size**2, "gamma": 0.2 * size**2}
        found = graphs.spectral_graphical_lasso(size * S, mu / size, **scaled)
        assert bool(found.converged.all())
        torch.testing.assert_close(size * found.w, plain.w, rtol=0, atol=1e-4)
    for arguments in ({"S": 1e-6 * S, "beta": 0.5}, {"S": S, "beta": 1e9}):  # where the gradients over beta are tiny
        with pytest.warns(ConvergenceWarning, match="2 of 2 problems"):
            found = graphs.spectral_graphical_lasso(mu=mu, max_iter=20, **arguments)
        assert found.iterations == 20
