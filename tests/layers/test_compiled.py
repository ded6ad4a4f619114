"""Compiled sweeps against those in PyTorch, and the batched exact assignment against SciPy."""

import pytest
import torch

from litrepro.layers import SATNet, _compiled, assignment_prices, clauses_to_matrix, hungarian, maxsat_sdp
from litrepro.layers._assignment import _in_step
from litrepro.layers._descent import mixing_sweeps, normalized, without_diagonal
from litrepro.layers._satnet import _solve

DTYPES = [torch.float32, torch.float64]


def needs_compiler(dtype):
    if not _compiled.available(torch.zeros(1, dtype=dtype)):
        pytest.skip("no C compiler")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("k", "tol"), [(3, 0.0), (8, 1e-4), (19, 1e-3), (57, 0.0)])
def test_layer_is_the_same_compiled_or_not(monkeypatch, dtype, k, tol):
    needs_compiler(dtype)
    layer = SATNet(9, 12, 4, k=k, max_iter=15, tol=tol, method="mixing", dtype=dtype)
    g = torch.Generator().manual_seed(k)
    z, known = torch.rand(5, 9, generator=g, dtype=torch.float64).to(dtype), torch.rand(5, 9, generator=g) < 0.5
    found = []
    for flag in ("1", "0"):
        monkeypatch.setenv("LITREPRO_COMPILE", flag)
        found.append(layer(z, known).detach())
    margin = 1e-5 if dtype == torch.float32 else 1e-12
    assert torch.allclose(*found, atol=margin)


@pytest.mark.parametrize("dtype", DTYPES)
def test_relaxation_is_the_same_compiled_or_not(monkeypatch, dtype):
    needs_compiler(dtype)
    g = torch.Generator().manual_seed(1)
    signs = torch.where(torch.rand(3, 30, 8, generator=g) < 0.5, -1.0, 1.0) * (
        torch.rand(3, 30, 8, generator=g).argsort(-1) < 2
    )
    S = clauses_to_matrix(signs.to(dtype))
    found = []
    for flag in ("1", "0"):
        monkeypatch.setenv("LITREPRO_COMPILE", flag)
        found.append(maxsat_sdp(S, max_iter=3000, tol=1e-6 if dtype == torch.float32 else 1e-10))
    assert found[0][2]
    assert found[1][2]
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-5)
    # An instance does not see its neighbours.
    monkeypatch.setenv("LITREPRO_COMPILE", "1")
    alone = maxsat_sdp(S[1], max_iter=3000, tol=1e-6 if dtype == torch.float32 else 1e-10)
    assert torch.allclose(alone[0], found[0][0][1], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (40, 4, 7), (30, 5, 5), (2, 3, 2, 6)])
def test_assignment_in_step_is_that_of_scipy_and_proved_by_its_prices(shape):
    C = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    X = _in_step(C)
    assert torch.equal(X, hungarian(C))
    u, v = assignment_prices(C)
    assert float((C - u[..., :, None] - v[..., None, :]).min()) > -1e-12
    assert float(v.max()) <= 0
    assert torch.allclose((X * C).sum((-2, -1)), u.sum(-1) + v.sum(-1))
    ties = torch.zeros(2, 3, 4)
    assert torch.equal(_in_step(ties).sum(-1), torch.ones(2, 3))
    with pytest.raises(ValueError):
        assignment_prices(torch.zeros(3, 2))


@pytest.mark.parametrize("compiled", ["1", "0"])
@pytest.mark.parametrize("method", ["mixing", "block"])
def test_variables_in_no_clause_stay_finite(monkeypatch, compiled, method):
    monkeypatch.setenv("LITREPRO_COMPILE", compiled)
    layer = SATNet(5, 6, 2, method=method)
    with torch.no_grad():
        layer.S[:, 3] = 0
    known = torch.tensor([[True, True, False, False, False]] * 3)
    found = layer(torch.rand(3, 5, generator=torch.Generator().manual_seed(0)), known)
    found.sum().backward()
    assert found.isfinite().all()
    assert layer.S.grad.isfinite().all()


@pytest.mark.parametrize(("n", "aux", "k"), [(9, 0, 6), (13, 4, 8), (21, 11, 19)])
def test_gradients_are_the_same_compiled_or_not(monkeypatch, n, aux, k):
    needs_compiler(torch.float64)
    layer = SATNet(n, 2 * n, aux, k=k, max_iter=2000, tol=0, method="mixing", cg_iter=300, dtype=torch.float64)
    g = torch.Generator().manual_seed(n)
    z, known = torch.rand(5, n, generator=g, dtype=torch.float64), torch.rand(5, n, generator=g) < 0.5
    known[0], known[1] = True, False  # no row is free (without auxiliary ones), or all are
    weights, found = torch.rand(5, n, generator=g, dtype=torch.float64), []
    for flag in ("1", "0"):
        monkeypatch.setenv("LITREPRO_COMPILE", flag)
        inputs = z.clone().requires_grad_()
        found.append(torch.autograd.grad((layer(inputs, known) * weights).sum(), [inputs, layer.S]))
    for compiled, plain in zip(*found, strict=True):
        assert plain.norm() > 0.1
        assert (compiled - plain).norm() < 1e-6 * plain.norm()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_few_steps_of_the_backward_pass_are_the_same_compiled_or_not(monkeypatch, dtype):
    needs_compiler(dtype)
    g = torch.Generator().manual_seed(3)
    S = torch.randn(30, 21, generator=g, dtype=torch.float64).to(dtype)
    C = without_diagonal(S.mT @ S)
    V, grad = (torch.randn(21, 4, 11, generator=g, dtype=torch.float64).to(dtype) for _ in range(2))
    free = torch.rand(21, 4, 1, generator=g) < 0.6
    free[:, 0], free[:, 1] = False, True
    V, _ = mixing_sweeps(S, normalized(V), free, 300, 1e-7)
    for steps, damping in ((1, 0.0), (3, 0.0), (8, 0.0), (8, 0.3)):
        found = []
        for flag in ("1", "0"):
            monkeypatch.setenv("LITREPRO_COMPILE", flag)
            found.append(_solve(C, V, free, grad, steps, damping))
        assert (found[0] - found[1]).norm() < (1e-4 if dtype == torch.float32 else 1e-10) * found[1].norm()
        assert found[0][~free[..., 0]].abs().max() == 0


def test_a_sample_that_met_a_negative_curvature_stays_where_it_is_compiled_or_not(monkeypatch):
    needs_compiler(torch.float64)
    g = torch.Generator().manual_seed(3)
    S = torch.randn(30, 21, generator=g, dtype=torch.float64)
    C = without_diagonal(S.mT @ S)
    V, grad = (torch.randn(21, 9, 11, generator=g, dtype=torch.float64) for _ in range(2))
    free = torch.rand(21, 9, 1, generator=g) < 0.7
    V, _ = mixing_sweeps(S, normalized(V), free, 2, 0.0)  # far from a minimum
    monkeypatch.setenv("LITREPRO_COMPILE", "1")
    few, many = (_solve(C, V, free, grad, steps, 0.0) for steps in (12, 30))
    monkeypatch.setenv("LITREPRO_COMPILE", "0")
    stopped = (few == many).flatten(2).all(2).all(0)
    assert 0 < stopped.sum() < 9
    torch.testing.assert_close(_solve(C, V, free, grad, 30, 0.0)[:, stopped], many[:, stopped], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("compiled", ["1", "0"])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_backward_pass_solves_the_damped_system(monkeypatch, compiled, damping):
    monkeypatch.setenv("LITREPRO_COMPILE", compiled)
    g = torch.Generator().manual_seed(5)
    S = torch.randn(20, 18, generator=g, dtype=torch.float64)
    C = without_diagonal(S.mT @ S)
    V, grad = (torch.randn(18, 3, 6, generator=g, dtype=torch.float64) for _ in range(2))
    free = torch.rand(18, 3, 1, generator=g) < 0.5
    free[:6] = False  # rows that span the space, or a rotation of the others would change nothing
    V, _ = mixing_sweeps(S, normalized(V), free, 3000, 0.0)
    found = _solve(C, V, free, grad, 500, damping)
    for b in range(3):
        rows = free[:, b, 0].nonzero()[:, 0]
        v = V[rows, b]
        w = (C @ V[:, b])[rows].norm(dim=1)
        w = w + damping * w.mean()
        P = torch.eye(6, dtype=torch.float64) - v[:, :, None] * v[:, None]  # (f, k, k)
        full = torch.diag_embed(w)[..., None, None] * torch.eye(6, dtype=torch.float64)
        full = full + C[rows][:, rows][..., None, None] * torch.eye(6, dtype=torch.float64)
        full = torch.einsum("iab,ijbc,jcd->iajd", P, full, P).reshape(6 * len(rows), -1)
        exact = torch.linalg.pinv(full, rtol=1e-9) @ (P @ grad[rows, b][..., None]).reshape(-1)
        assert (found[rows, b].reshape(-1) - exact).norm() < 1e-6 * exact.norm()


def test_samples_stop_by_themselves(monkeypatch):
    needs_compiler(torch.float64)
    layer = SATNet(30, 40, 10, k=9, max_iter=300, tol=1e-5, method="mixing", dtype=torch.float64)
    g = torch.Generator().manual_seed(0)
    z, known = torch.rand(6, 30, generator=g, dtype=torch.float64), torch.rand(6, 30, generator=g) < 0.5
    together = layer(z, known)
    alone = torch.cat([layer(z[i : i + 1], known[i : i + 1]) for i in range(6)])
    # Alone or together they differ by the rounding of a product at most, far below what another sweep would move.
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    # Stopped by the tolerance: neither at the limit of sweeps nor where nothing moves any more.
    finer = SATNet(30, 40, 10, k=9, max_iter=300, tol=1e-9, method="mixing", dtype=torch.float64)
    assert finer.residual(z, known).max() < 0.1 * layer.residual(z, known).min()
