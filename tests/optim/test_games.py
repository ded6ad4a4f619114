"""Spectra of games against brute force, scipy and the iterates themselves; optimizers against torch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from litrepro.optim import (
    GameAdam,
    GameSGD,
    bilinear_game,
    consensus_gradients,
    consensus_matrix,
    field_jacobian,
    gradient_rate,
    momentum_eigenvalues,
    momentum_interval,
    momentum_rate,
    optimal_momentum,
    optimal_step_size,
    optimistic_eigenvalues,
    play,
    quadratic_game,
    step_size_bounds,
)


def spectra(n=40, m=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = torch.rand(n, m, generator=generator, dtype=torch.float64) * 3 + 0.2
    angle = (torch.rand(n, m, generator=generator, dtype=torch.float64) - 0.5) * math.pi * 0.98
    return torch.polar(size, angle)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_fields_and_their_jacobians():
    A = randn(3, 2)
    w = randn(5)
    x, y = w[:3].clone().requires_grad_(), w[3:].clone().requires_grad_()
    value = x @ A @ y + 0.3 * x @ x / 2 - 0.3 * y @ y / 2
    gx, gy = torch.autograd.grad(value, (x, y))
    field = bilinear_game(A, mu=0.3)
    assert torch.allclose(field(w), torch.cat((gx, -gy)))
    J = field_jacobian(field, w)
    assert torch.allclose(J @ w, field(w))
    M = randn(4, 3, 3)
    batch = field_jacobian(quadratic_game(M), randn(4, 3, seed=1))
    assert torch.allclose(batch, M)
    cubic = field_jacobian(lambda w: w**3, randn(4, 3))
    assert torch.allclose(cubic, torch.diag_embed(3 * randn(4, 3) ** 2))


def test_a_split_may_be_a_number_of_numpy():
    field, keywords = bilinear_game(torch.eye(2)), {"eta": 0.1, "method": "alternating"}
    found = play(field, torch.ones(4), 2, split=np.int64(2), **keywords)
    assert torch.equal(found, play(field, torch.ones(4), 2, split=2, **keywords))


def test_optimal_step_size_known_values():
    eta, rate = optimal_step_size(torch.tensor([[1.0, 4.0, 9.0], [2.0, 2.0, 2.0]], dtype=torch.float64))
    assert torch.allclose(eta, torch.tensor([0.2, 0.5], dtype=torch.float64))
    assert torch.allclose(rate, torch.tensor([0.8, 0.0], dtype=torch.float64))
    eta, rate = optimal_step_size(torch.tensor([2 + 1j, 2 - 1j], dtype=torch.complex128))
    assert eta.item() == pytest.approx(0.4)
    assert rate.item() == pytest.approx(1 / math.sqrt(5))


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e20), ("float32", 1e-20), ("float64", 1e200)])
def test_spectra_at_any_scale(dtype, size):
    dtype = getattr(torch, dtype)
    eigs = torch.tensor([1.0, 4.0, 9.0], dtype=dtype)
    eta, rate = optimal_step_size(size * eigs)
    bounds, ordinary = step_size_bounds(size * eigs), step_size_bounds(eigs)
    low, high = momentum_interval(size * eigs)
    assert {value.dtype for value in (eta, rate, low, high, *bounds.values())} == {dtype}
    assert (eta * size).item() == pytest.approx(0.2)  # 2 / (1 + 9)
    assert rate.item() == pytest.approx(0.8)
    for name in bounds:
        assert bounds[name].item() == pytest.approx(ordinary[name].item() / (size if "eta" in name else 1), rel=1e-5)
    assert (size * low).tolist() == (size * high).tolist() == pytest.approx([1, 1 / 4, 1 / 9])


def test_rates_that_single_precision_does_not_tell_apart():
    eta, _ = optimal_step_size(torch.tensor([1e-5, 1.0, 1e3]))
    assert eta.item() == pytest.approx(2 / (1e3 + 1e-5))


def test_optimal_step_size_against_scipy_and_bounds():
    eigs = spectra()
    eta, rate = optimal_step_size(eigs)
    bounds = step_size_bounds(eigs)
    for k in range(len(eigs)):
        lam = eigs[k].numpy()
        found = minimize_scalar(
            lambda e, lam=lam: np.abs(1 - e * lam).max() ** 2, bounds=(0, 2 * bounds["eta_upper"][k].item()),
            method="bounded", options={"xatol": 1e-10},
        )  # fmt: skip
        assert rate[k].item() == pytest.approx(math.sqrt(found.fun), abs=1e-8)
    assert torch.allclose(gradient_rate(eigs, eta), rate)
    assert bool((rate**2 >= bounds["rate2_lower"] - 1e-12).all() and (rate**2 <= bounds["rate2_upper"] + 1e-12).all())
    assert bool((eta >= bounds["eta_lower"] - 1e-12).all() and (eta <= bounds["eta_upper"] + 1e-12).all())
    one = [optimal_step_size(row)[1] for row in eigs]
    assert torch.equal(torch.stack(one), rate)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 2), st.floats(-0.99, 0.99))
def test_momentum_eigenvalues_are_the_roots(seed, eta, beta):
    eigs = spectra(3, 4, seed)
    plus, minus = momentum_eigenvalues(eigs, eta, beta)
    s = 1 - eta * eigs + beta
    assert torch.allclose(plus + minus, s, atol=1e-12)
    assert torch.allclose(plus * minus, torch.full_like(s, beta), atol=1e-12)
    assert bool((plus.abs() >= minus.abs() - 1e-12).all())
    assert torch.allclose(momentum_rate(eigs, eta, beta), torch.maximum(plus.abs(), minus.abs()).amax(-1))
    assert bool((plus.abs() >= minus.abs() - 1e-12).all())  # the first is the larger one


def test_momentum_branches_and_zero_sum():
    eigs = spectra(10)
    plus, minus = momentum_eigenvalues(eigs, 0.3, 1e-9)
    assert torch.allclose(plus, 1 - 0.3 * eigs, atol=1e-7)
    assert float(minus.abs().max()) < 1e-6
    plus, minus = momentum_eigenvalues(torch.tensor([0.5], dtype=torch.float64), 1.0, -0.5)  # s = 0
    assert torch.allclose(plus, torch.tensor([0.5**0.5 + 0j], dtype=torch.complex128))
    assert torch.allclose(minus, -plus)
    plus, minus = momentum_eigenvalues(torch.tensor([1.0], dtype=torch.float64), 1.0, 0.0)
    assert plus.abs().item() == 0
    assert minus.abs().item() == 0
    plus, _ = momentum_eigenvalues(torch.tensor([1.0], dtype=torch.float64), 1.0, 0.5)  # Delta a negative number
    assert plus.imag.item() > 0
    grid = momentum_rate(eigs[:1], torch.rand(6).double(), torch.linspace(-0.5, 0.5, 6).double())
    assert grid.shape == (6,)


def test_momentum_matches_the_iterates():
    J = torch.tensor([[0.5, 1.0], [-1.0, 0.2]], dtype=torch.float64)
    rate = momentum_rate(torch.linalg.eigvals(J), 0.3, -0.2)
    path = play(quadratic_game(J), torch.ones(2, dtype=torch.float64), 400, eta=0.3, beta=-0.2)
    assert (path[-1].norm() / path[200].norm()).item() ** (1 / 200) == pytest.approx(rate.item(), rel=1e-2)


def test_momentum_interval_is_the_sign_of_the_derivative():
    generator = torch.Generator().manual_seed(3)
    lam = spectra(200, 1, 4)[:, 0]
    lo, hi = momentum_interval(lam)
    plain = (lam.abs() - lam.imag.abs()) / (lam.abs() * lam.real)
    assert torch.allclose(lo, plain, rtol=1e-6)
    eta = torch.rand(200, generator=generator, dtype=torch.float64) * 1.3 * hi
    gap = 1e-7
    slope = momentum_rate(lam[:, None], eta, gap) - momentum_rate(lam[:, None], eta, -gap)
    clear = ((eta - lo).abs() > 1e-2 * lo) & ((eta - hi).abs() > 1e-2 * hi) & ((1 - eta * lam).abs() > 1e-2)
    assert bool(((slope > 0) == ((eta > lo) & (eta < hi)))[clear].all())


def test_optimal_momentum_against_nelder_mead():
    for psi in (0.3, 0.8, 1.3, -1.1):
        lam = torch.polar(torch.tensor(1.7, dtype=torch.float64), torch.tensor(psi, dtype=torch.float64))
        eta, beta, rate = optimal_momentum(lam)
        assert momentum_rate(lam[None], eta, beta).item() == pytest.approx(rate.item(), abs=1e-7)
        best = min(
            minimize(
                lambda p, lam=lam: momentum_rate(lam[None], float(p[0]), float(p[1])).item(),
                [eta.item() * 0.8, start], method="Nelder-Mead", options={"maxiter": 150},
            ).fun
            for start in (-0.1, 0.1)
        )  # fmt: skip
        assert rate.item() <= best + 1e-6
        assert rate.item() < optimal_step_size(lam[None])[1].item()
    lam = torch.tensor([2.0], dtype=torch.float64)
    assert [v.item() for v in optimal_momentum(lam)] == [0.5, 0.0, 0.0]


def test_optimistic_eigenvalues_and_last_iterate():
    eigs = spectra(4)
    plus, minus = optimistic_eigenvalues(eigs, torch.tensor([0.1, 0.2, 0.3, 0.4]))
    eta = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)[:, None]
    assert torch.allclose(plus + minus, 1 - 2 * eta * eigs, atol=1e-6)
    assert torch.allclose(plus * minus, -eta * eigs, atol=1e-6)
    field = bilinear_game(torch.eye(1, dtype=torch.float64))
    path = play(field, torch.ones(2, dtype=torch.float64), 1000, eta=0.4, method="optimistic")
    rate = (path[1000].norm() / path[500].norm()).item() ** (1 / 500)
    plus, minus = optimistic_eigenvalues(torch.tensor([1j], dtype=torch.complex128), 0.4)
    assert rate == pytest.approx(max(plus.abs().item(), minus.abs().item()), abs=1e-6)
    assert rate == pytest.approx(0.8944, abs=1e-4)


@pytest.mark.parametrize("eta", [1e-4, 0.01, 0.3, 20.0])  # from 1/(2 lam) on the second root is the larger one
def test_optimistic_eigenvalues_keep_the_digits_of_the_small_root(eta):
    eigs = torch.cat([spectra(3), torch.full((3, 1), 1e-3, dtype=torch.complex128)], 1).to(torch.complex64)
    step = eta * eigs.to(torch.complex128)
    roots = [(1 - 2 * step + sign * torch.sqrt(1 + 4 * step**2)) / 2 for sign in (1, -1)]  # of 1e-7 at least 9 digits
    for found, expected in zip(optimistic_eigenvalues(eigs, eta), roots):
        torch.testing.assert_close(found, expected.to(torch.complex64), rtol=3e-6, atol=0)


def test_play_methods_by_hand_and_in_batches():
    A = randn(2, 2)
    field, w0 = bilinear_game(A), randn(4, seed=5)
    J = field_jacobian(field, w0)
    eye = torch.eye(4, dtype=torch.float64)
    path = play(field, w0, 3, eta=0.1)
    assert path.shape == (4, 4)
    assert torch.allclose(path[3], torch.matrix_power(eye - 0.1 * J, 3) @ w0)
    extra = play(field, w0, 1, eta=0.1, method="extragradient")[1]
    assert torch.allclose(extra, w0 - 0.1 * J @ (w0 - 0.1 * J @ w0))
    consensus = play(field, w0, 2, eta=0.1, method="consensus", gamma=0.5)[2]
    assert torch.allclose(consensus, torch.matrix_power(eye - 0.1 * consensus_matrix(J, 0.5), 2) @ w0)
    x = w0[:2] - 0.1 * A @ w0[2:]
    alternating = play(field, w0, 1, eta=0.1, method="alternating", split=2)[1]
    assert torch.allclose(alternating, torch.cat((x, w0[2:] + 0.1 * A.T @ x)))
    first, second = play(field, w0, 2, eta=0.1, method="optimistic")[1:]
    assert torch.allclose(first, w0 - 0.1 * J @ w0)
    assert torch.allclose(second, first - 0.2 * J @ first + 0.1 * J @ w0)
    heavy = play(field, w0, 2, eta=0.1, beta=0.3)
    assert torch.allclose(heavy[2], heavy[1] - 0.1 * J @ heavy[1] + 0.3 * (heavy[1] - heavy[0]))
    etas = torch.tensor([0.1, 0.2, 0.3])
    for method in ("simultaneous", "optimistic", "consensus", "extragradient", "alternating"):
        batch = play(field, w0, 5, eta=etas, method=method, gamma=0.1, beta=-0.1, split=2)
        assert batch.shape == (6, 3, 4)
        alone = play(field, w0, 5, eta=0.2, method=method, gamma=0.1, beta=-0.1, split=2)
        assert torch.allclose(batch[:, 1], alone, atol=1e-6)
    many = play(bilinear_game(randn(3, 2, 2)), w0, 2, eta=0.1)
    assert many.shape == (3, 3, 4)


@pytest.mark.parametrize("method", ["simultaneous", "optimistic", "consensus", "extragradient", "alternating"])
@pytest.mark.parametrize("beta", [0.3, -0.4])
def test_every_method_has_momentum_for_both_players(method, beta):
    A, w0, eta = randn(2, 2), randn(4, seed=5), 0.1
    field = bilinear_game(A, mu=0.2)
    J = field_jacobian(field, w0)
    path, last = [w0], J @ w0
    for step in range(4):
        w, momentum = path[-1], beta * (path[-1] - path[max(step - 1, 0)])
        moved = w - eta * J @ w + momentum
        if method == "optimistic":
            moved, last = w - 2 * eta * J @ w + eta * last + momentum, J @ w
        elif method == "consensus":
            moved = w - eta * consensus_matrix(J, 0.5) @ w + momentum
        elif method == "extragradient":
            moved = w - eta * J @ (w - eta * J @ w) + momentum
        elif method == "alternating":
            between = torch.cat((moved[:2], w[2:]))
            moved = torch.cat((moved[:2], (w - eta * J @ between + momentum)[2:]))
        path.append(moved)
    found = play(field, w0, 4, eta=eta, method=method, beta=beta, gamma=0.5, split=2)
    assert torch.allclose(found, torch.stack(path))


@pytest.mark.parametrize("optimizer", [GameSGD, GameAdam])
def test_optimizers_evaluate_their_closure(optimizer):
    def start():
        return torch.nn.Parameter(torch.tensor([1.0, -2.0]))

    def closure():
        assert torch.is_grad_enabled()
        stepper.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    w = start()
    stepper = optimizer([w], lr=0.1)
    assert stepper.step(closure).item() == 5.0
    plain = start()
    other = optimizer([plain], lr=0.1)
    (plain**2).sum().backward()
    assert other.step() is None
    assert torch.equal(w, plain)


def test_simultaneous_grows_and_alternation_with_negative_momentum_shrinks():
    field, w0 = bilinear_game(torch.eye(1, dtype=torch.float64)), torch.ones(2, dtype=torch.float64)
    path = play(field, w0, 50, eta=0.4)
    assert torch.allclose(path[1:].norm(dim=-1) / path[:-1].norm(dim=-1), torch.tensor(1.16**0.5, dtype=torch.float64))
    shrinks = play(field, w0, 800, eta=0.4, beta=-0.5, method="alternating", split=1)[-1].norm()
    grows = play(field, w0, 800, eta=0.4, beta=-0.5)[-1].norm()
    assert shrinks < 1e-6 < 1e3 < grows


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (GameSGD, {"lr": -0.3}),
        (GameSGD, {"momentum": -1.0}),
        (GameSGD, {"optimism": math.inf}),
        (GameAdam, {"lr": 0.0}),
        (GameAdam, {"eps": 0.0}),
        (GameAdam, {"betas": (0.5, 1.0)}),
        (GameAdam, {"betas": 0.5}),
        (GameAdam, {"optimism": "x"}),
        (GameSGD, {"weight_decay": 0.1}),
        (GameAdam, {"maximize": True}),
    ],
)
def test_options_of_a_group_are_checked(optimizer, options):
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))]} for _ in range(2)]
    with pytest.raises(ValueError, match="must be"):
        optimizer([groups[0], groups[1] | options], lr=0.1)
    stepper = optimizer([groups[0]], lr=0.1)
    with pytest.raises(ValueError, match="must be"):
        stepper.add_param_group(groups[1] | options)
    assert len(stepper.param_groups) == 1


@pytest.mark.parametrize(("ours", "theirs"), [(GameSGD, torch.optim.SGD), (GameAdam, torch.optim.Adam)])
def test_a_group_follows_its_own_options(ours, theirs):
    ends = []
    for optimizer in (ours, theirs):
        first, second = (torch.nn.Parameter(randn(3, seed=seed)) for seed in (1, 2))
        stepper = optimizer([{"params": first, "lr": 0.3}], lr=0.1)
        stepper.add_param_group({"params": [second]})
        for _ in range(3):
            stepper.zero_grad()
            (first.square().sum() + second.pow(4).sum()).backward()
            stepper.step()
        ends.append(torch.cat([first, second]).detach())
    torch.testing.assert_close(*ends, rtol=1e-7, atol=1e-9)


def test_leading_dimensions_of_games_broadcast_or_are_refused():
    A, w = randn(2, 3, 5), randn(4, 1, 8, seed=1)
    found = bilinear_game(A, 0.2)(w)
    assert found.shape == (4, 2, 8)
    torch.testing.assert_close(found[3, 1], bilinear_game(A[1], 0.2)(w[3, 0]))
    for field in (bilinear_game(A), quadratic_game(randn(2, 8, 8))):
        with pytest.raises(ValueError, match=r"\(2, ., .\) and \(3, 8\)"):
            field(randn(3, 8))


def quadratic_step(optimizer_class, steps, **keywords):
    p = torch.nn.Parameter(randn(6, seed=2))
    optimizer = optimizer_class([p], **keywords)
    for t in range(steps):
        optimizer.zero_grad()
        (p.square() * torch.arange(1, 7)).sum().mul(1 + 0.1 * t).backward()
        optimizer.step()
    return p.detach()


def test_empty_batches_of_spectra_stay_empty():
    eigs = torch.zeros(0, 3, dtype=torch.complex64)
    assert gradient_rate(eigs, 0.1).shape == momentum_rate(eigs, 0.1, 0.2).shape == (0,)
    assert [part.shape for part in optimal_step_size(eigs)] == [(0,), (0,)]
    assert [part.shape for part in optimal_momentum(eigs)] == [(0, 3)] * 3
    with pytest.raises(ValueError, match="m >= 1"):
        gradient_rate(torch.zeros(2, 0), 0.1)


def test_optimizers_equal_torch_without_optimism():
    for betas in ((0.9, 0.999), (0.0, 0.9)):
        ours = quadratic_step(GameAdam, 20, lr=0.05, betas=betas)
        assert torch.allclose(ours, quadratic_step(torch.optim.Adam, 20, lr=0.05, betas=betas), atol=1e-10)
    ours = quadratic_step(GameAdam, 20, lr=0.05, eps=0.5)
    assert torch.allclose(ours, quadratic_step(torch.optim.Adam, 20, lr=0.05, eps=0.5), atol=1e-10)
    ours = quadratic_step(GameSGD, 20, lr=0.01, momentum=0.9)
    assert torch.allclose(ours, quadratic_step(torch.optim.SGD, 20, lr=0.01, momentum=0.9), atol=1e-12)


def test_complex_parameters_move_as_with_torch():
    ends = []
    for make in (
        lambda p: GameAdam([p], lr=0.05),
        lambda p: torch.optim.Adam([p], lr=0.05),
        lambda p: GameSGD([p], lr=0.05, momentum=0.5),
        lambda p: torch.optim.SGD([p], lr=0.05, momentum=0.5),
    ):
        p = torch.nn.Parameter(torch.complex(randn(4, seed=1), randn(4, seed=2)))
        optimizer = make(p)
        for _ in range(6):
            optimizer.zero_grad()
            (p * (1 + 2j) - 0.3).abs().pow(3).sum().backward()
            optimizer.step()
        ends.append(p.detach())
    torch.testing.assert_close(ends[0], ends[1])
    torch.testing.assert_close(ends[2], ends[3])


def test_optimistic_optimizers_by_hand():
    c = torch.arange(1, 7)
    p = randn(6, seed=2)
    before, buffer = None, torch.zeros(6, dtype=torch.float64)
    for t in range(5):
        g = 2 * p * c * (1 + 0.1 * t)
        buffer = -0.5 * buffer + 2 * g - (g if before is None else before)
        p, before = p - 0.01 * buffer, g
    assert torch.allclose(p, quadratic_step(GameSGD, 5, lr=0.01, momentum=-0.5, optimism=1.0), atol=1e-12)
    p, m, v, d0 = randn(6, seed=2), 0.0, 0.0, 0.0
    for t in range(5):
        g = 2 * p * c * (1 + 0.1 * t)
        m, v = -0.5 * m + 1.5 * g, 0.9 * v + 0.1 * g * g
        d = m / (1 - (-0.5) ** (t + 1)) / ((v / (1 - 0.9 ** (t + 1))).sqrt() + 1e-8)
        p, d0 = p - 0.05 * (2 * d - d0), d
    ours = quadratic_step(GameAdam, 5, lr=0.05, betas=(-0.5, 0.9), optimism=1.0)
    assert torch.allclose(p, ours, atol=1e-10)


def test_consensus_gradients_match_the_field():
    M = randn(4, 4, seed=3)
    w = randn(4, seed=4)
    x, y = w[:2].clone().requires_grad_(), w[2:].clone().requires_grad_()
    unused = torch.ones(3, dtype=torch.float64, requires_grad=True)
    z = torch.cat((x, y))
    # losses whose own gradients are the rows of M
    first = (M[:2, 2:] @ y) @ x + x @ (M[:2, :2] + M[:2, :2].T) @ x / 4
    second = (M[2:, :2] @ x) @ y + y @ (M[2:, 2:] + M[2:, 2:].T) @ y / 4 + 0 * z.sum()
    J = M.clone()
    J[:2, :2] = (M[:2, :2] + M[:2, :2].T) / 2
    J[2:, 2:] = (M[2:, 2:] + M[2:, 2:].T) / 2
    found = consensus_gradients([first, second], [[x, unused], [y]], 0.7)
    v = J @ w
    expected = v + 0.7 * J.T @ v
    assert torch.allclose(torch.cat((found[0][0], found[1][0])), expected)
    assert not found[0][1].any()
    assert not found[0][0].requires_grad
    plain = consensus_gradients([first, second], [[x, unused], [y]], 0.0)
    assert torch.allclose(torch.cat((plain[0][0], plain[1][0])), v)
    linear = consensus_gradients([3 * x.sum()], [[x]], 0.5)  # |v|^2 is constant
    assert torch.equal(linear[0][0], torch.full((2,), 3.0, dtype=torch.float64))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_consensus_gradients_without_recording(mode):
    x, y = (torch.tensor(value, requires_grad=True) for value in (1.0, 2.0))
    losses = [x * y, -x * y]
    with mode():
        found = consensus_gradients(losses, [[x], [y]], 0.5)
    assert [g.item() for player in found for g in player] == [2.5, 0.0]  # (y + x / 2, -x + y / 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bilinear_game(torch.eye(2))(torch.ones(3)),
        lambda: bilinear_game(torch.eye(1))(torch.tensor([1, 2])),
        lambda: quadratic_game(torch.eye(2))(torch.tensor([1, 2])),
        lambda: quadratic_game(torch.eye(2))(torch.ones(2).double()),
        lambda: quadratic_game(torch.ones(2, 3)),
        lambda: consensus_matrix(torch.ones(2, 3), 0.1),
        lambda: optimal_step_size(torch.tensor([1.0, -1.0])),
        lambda: optimal_step_size(torch.tensor([1j])),
        lambda: step_size_bounds(torch.tensor([0.0])),
        lambda: momentum_interval(torch.tensor(1j)),
        lambda: optimal_momentum(torch.tensor(-1.0)),
        lambda: gradient_rate(torch.tensor([1.0, float("nan")]), 0.1),
        lambda: gradient_rate(torch.ones(3, 2), torch.ones(4)),
        lambda: play(bilinear_game(torch.eye(1)), torch.ones(2), 3, eta=0.1, method="newton"),
        lambda: play(bilinear_game(torch.eye(1)), torch.ones(2), 3, eta=0.1, method="alternating"),
        lambda: play(bilinear_game(torch.eye(1)), torch.ones(2), 3, eta=0.1, method="alternating", split=2),
        lambda: play(bilinear_game(torch.eye(1)), torch.ones(2), -1, eta=0.1),
        lambda: GameSGD([torch.nn.Parameter(torch.ones(1))], lr=0),
        lambda: GameSGD([torch.nn.Parameter(torch.ones(1))], lr=0.1, momentum=-1.0),
        lambda: GameAdam([torch.nn.Parameter(torch.ones(1))], betas=(1.0, 0.9)),
        lambda: GameAdam([torch.nn.Parameter(torch.ones(1))], betas=(0.5, 1.0)),
        lambda: consensus_gradients([torch.ones(())], [[], []], 0.1),
        lambda: consensus_gradients([torch.ones(())], [[]], -0.1),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()


def test_a_start_that_is_not_finite_disturbs_nobody():
    w0 = torch.tensor([[1.0, 1.0], [math.nan, 1.0]])
    path = play(bilinear_game(torch.eye(1)), w0, 3, eta=0.1)
    assert torch.equal(path[:, 0], play(bilinear_game(torch.eye(1)), w0[0], 3, eta=0.1))
    assert path[1:, 1].isnan().any(-1).all()
    mapped = torch.func.vmap(lambda A, w: play(quadratic_game(A), w, 2, eta=0.1))(torch.eye(2).expand(2, 2, 2), w0)
    torch.testing.assert_close(mapped[0], play(quadratic_game(torch.eye(2)), w0[0], 2, eta=0.1))
