"""Compiled sweeps against those in PyTorch, and the batched exact assignment against SciPy."""

import pytest
import torch

from litrepro.layers import SATNet, _compiled, assignment_prices, clauses_to_matrix, hungarian, maxsat_sdp
from litrepro.layers._assignment import _in_step

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
