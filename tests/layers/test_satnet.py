"""SATNet: its gradient against finite differences, its invariances, and that it learns."""

import math

import pytest
import torch

from litrepro.layers import ConvNetSudoku, ParityChain, SATNet, VisualSudoku, clauses_to_matrix, maxsat_sdp

D = torch.float64


def setting(method="mixing", seed=0, **keywords):
    layer = SATNet(6, 10, 3, k=6, max_iter=3000, tol=0, method=method, cg_iter=200, seed=seed, dtype=D, **keywords)
    g = torch.Generator().manual_seed(seed + 1)
    z = torch.rand(4, 6, generator=g, dtype=D)
    known = torch.rand(4, 6, generator=g) < 0.5
    known[:, 0], known[:, 5] = True, False
    weights = torch.randn(4, 6, generator=g, dtype=D)
    return layer, z, known, weights


@pytest.mark.parametrize("method", ["mixing", "block"])
def test_gradient_is_that_of_finite_differences(method):
    layer, z, known, weights = setting(method)
    z.requires_grad_(True)
    (layer(z, known) * weights).sum().backward()
    g = torch.Generator().manual_seed(9)
    dS, dz = torch.randn(layer.S.shape, generator=g, dtype=D), torch.randn(z.shape, generator=g, dtype=D)
    dz = torch.where((z > 1e-3) & (z < 1 - 1e-3), dz, 0.0)
    base, eps, values = layer.S.detach().clone(), 1e-5, []
    with torch.no_grad():
        for sign in (1, -1):
            layer.S.copy_(base + sign * eps * dS)
            moved = torch.where(known, z + sign * eps * dz, z)
            values.append(float((layer(moved, known) * weights).sum()))
    numeric = (values[0] - values[1]) / (2 * eps)
    exact = float((layer.S.grad * dS).sum() + (z.grad * dz).sum())
    assert abs(exact - numeric) < 1e-5 * abs(numeric)
    assert bool((z.grad[~known] == 0).all())
    assert float(layer.residual(z.detach(), known).max()) < 1e-6


@pytest.mark.parametrize("compiled", ["1", "0"])
@pytest.mark.parametrize("method", ["mixing", "block"])
@pytest.mark.parametrize(("sizes", "iterations"), [((9, 70), 40), ((10, 30, 4), 40), ((9, 70), 400)])
def test_gradient_in_single_precision_is_that_in_double(monkeypatch, compiled, method, sizes, iterations):
    # More iterations than the system has dimensions: what is left for them is rounding along the rotations.
    monkeypatch.setenv("LITREPRO_COMPILE", compiled)
    for seed in range(4):
        g = torch.Generator().manual_seed(seed)
        z, known = torch.rand(6, sizes[0], generator=g, dtype=D), torch.rand(6, sizes[0], generator=g) < 0.5
        found = []
        for dtype in (torch.float32, D):
            layer = SATNet(*sizes, method=method, cg_iter=iterations, seed=seed).to(dtype)
            inputs = z.to(dtype, copy=True).requires_grad_(True)
            found.append(torch.autograd.grad(layer(inputs, known).sum(), [layer.S, inputs]))
        for single, double in zip(*found, strict=True):
            assert (single - double).norm() < 1e-4 * double.norm()


@pytest.mark.parametrize("compiled", ["1", "0"])
@pytest.mark.parametrize("method", ["mixing", "block"])
@pytest.mark.parametrize("scale", [1e-9, 2.0**-70, 1e30])
def test_scale_of_the_clauses_does_not_matter(monkeypatch, compiled, method, scale):
    monkeypatch.setenv("LITREPRO_COMPILE", compiled)
    layer, z, known, weights = setting(method)
    layer.max_iter, found = 100, []
    for factor in (1.0, scale):
        with torch.no_grad():
            layer.S.mul_(factor)
        output = layer(z, known)
        found.append((output, factor * torch.autograd.grad((output * weights).sum(), layer.S)[0]))
        found[-1] += (layer.residual(z, known),)
    (output, gradient, gap), (output_there, gradient_there, gap_there) = found
    assert torch.allclose(output_there, output, rtol=0, atol=1e-12)
    assert (gradient_there - gradient).norm() < 1e-8 * gradient.norm()
    assert torch.allclose(gap_there, gap, atol=1e-12)


@pytest.mark.parametrize("layer", [SATNet(64, 5), ConvNetSudoku(4, True, 2, 1, seed=0)])
def test_known_entries_of_a_wider_dtype_come_back_as_they_are(layer):
    g = torch.Generator().manual_seed(0)
    z, known = torch.rand(3, 64, generator=g, dtype=D), torch.rand(3, 64, generator=g) < 0.5
    found = layer(z, known)
    assert found.dtype == layer(z[:0], known[:0]).dtype == D
    assert torch.equal(found[known], z[known])
    single = layer(z.float(), known)
    assert single.dtype == torch.float32
    assert torch.equal(found[~known], single[~known].double())
    assert layer(z.bfloat16(), known).dtype == torch.float32
    wide = layer.double()(z.float(), known)
    assert wide.dtype == D
    assert torch.equal(wide[known], z.float()[known].double())


def test_layer_starts_as_its_seed_says_and_at_its_scale():
    layer, other = SATNet(40, 60, 20, seed=3), SATNet(40, 60, 20, seed=4)
    assert torch.equal(SATNet(40, 60, 20, seed=3).S, layer.S)
    for name in ("S", "V0", "U"):
        assert not torch.allclose(getattr(layer, name), getattr(other, name)), name
    assert abs(layer.S.std().item() * math.sqrt((61 + 60) / 0.5) - 1) < 0.05
    # An input is a rotation from the truth by pi z in the plane of its own direction.
    assert (layer.U @ layer.V0[0]).abs().max() < 1e-6
    for rows in (layer.U, layer.V0):
        assert torch.allclose(rows.norm(dim=1), torch.ones(len(rows)))


def test_unknown_entries_that_are_no_numbers_leave_gradients_finite():
    layer, z, known, weights = setting()
    expected = layer(z, known)
    z = torch.where(known, z, torch.nan).requires_grad_(True)
    found = layer(z, known)
    assert torch.equal(found, expected)
    (found * weights).sum().backward()
    assert bool(z.grad.isfinite().all())
    assert bool(layer.S.grad.isfinite().all())


def test_output_is_the_minimum_that_the_sdp_finds():
    # No input known: the layer relaxes MAXSAT for its own S, and any minimizer has the same Gram matrix.
    signs = torch.sign(torch.randn(30, 5, generator=torch.Generator().manual_seed(0)))
    S = clauses_to_matrix(signs.double())
    layer = SATNet(5, 30, method="mixing", max_iter=2000, tol=0, dtype=D)
    layer.S.data = S
    V, _, converged = maxsat_sdp(S, tol=1e-14, max_iter=5000)
    found = layer(torch.full((5,), torch.nan, dtype=D), torch.zeros(5, dtype=torch.bool))
    assert converged
    assert torch.allclose(found, torch.arccos(-(V[1:] @ V[0])) / math.pi, atol=1e-5)


@pytest.mark.parametrize("method", ["mixing", "block"])
def test_samples_do_not_see_each_other_and_unknown_values_do_not_matter(method):
    layer, z, known, _ = setting(method)
    layer.tol, layer.max_iter = 1e-3, 60
    together = layer(z, known)
    for i in range(4):
        assert torch.allclose(layer(z[i], known[i]), together[i], atol=1e-10)
    junk = torch.where(known, z, torch.full_like(z, 7.0))
    assert torch.equal(layer(junk, known), together)
    assert torch.equal(together[known], z[known])
    assert bool((together >= 0).all() and (together <= 1).all())
    assert layer(z.view(2, 2, 6), known.view(2, 2, 6)).shape == (2, 2, 6)
    assert layer(z[:0], known[:0]).shape == (0, 6)


def test_permuting_the_variables_permutes_the_output():
    layer, z, known, _ = setting("block")
    z = z.round()
    other = SATNet(6, 10, 3, k=6, max_iter=3000, tol=0, method="block", dtype=D)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(2))
    columns = torch.cat([torch.tensor([0]), order + 1, torch.arange(7, 10)])
    with torch.no_grad():
        other.S.copy_(layer.S[:, columns])
        other.V0.copy_(layer.V0[columns])
    assert torch.allclose(other(z[:, order], known[:, order]), layer(z, known)[:, order], atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_edges(dtype):
    layer = SATNet(3, 4, dtype=dtype)
    z = torch.tensor([0.2, 1.0, 0.0], dtype=dtype, requires_grad=True)
    everything = layer(z, torch.ones(3, dtype=torch.bool))
    everything.sum().backward()
    assert torch.equal(everything, z)
    assert torch.equal(z.grad, torch.ones(3, dtype=dtype))
    assert float(layer.S.grad.abs().max()) == 0
    layer.S.data.zero_()
    for method in ("mixing", "block"):
        layer.method = method
        nothing = layer(torch.zeros(3, dtype=dtype), torch.zeros(3, dtype=torch.bool))
        expected = torch.arccos(-(layer.V0[1:] @ layer.V0[0])) / math.pi
        assert torch.allclose(nothing, expected, atol=1e-5)
        nothing.sum().backward()
        assert bool(torch.isfinite(layer.S.grad).all())


@pytest.mark.parametrize("method", ["mixing", "block"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_clauses_must_be_finite(method, value):
    layer = SATNet(3, 4, method=method)
    layer.S.data[1, 2] = value
    with pytest.raises(ValueError, match="S must be finite"):
        layer(torch.ones(3), torch.tensor([True, True, False]))


def test_it_learns_exclusive_or():
    bits = torch.tensor([[a, b, float(a != b)] for a in (0.0, 1.0) for b in (0.0, 1.0)])
    known = torch.tensor([True, True, False]).expand(4, 3)
    layer = SATNet(3, 8, 8, method="mixing", max_iter=100, seed=3)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(100):
        loss = torch.nn.functional.binary_cross_entropy(layer(bits, known)[:, 2].clamp(1e-6, 1 - 1e-6), bits[:, 2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert bool(((layer(bits, known)[:, 2] > 0.5) == (bits[:, 2] > 0.5)).all())


@pytest.mark.parametrize("by", ["z", "S"])
def test_second_derivatives_are_refused(by):
    layer, z, known, weights = setting()
    z.requires_grad_(True)
    (slope,) = torch.autograd.grad((layer(z, known) * weights).square().sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(slope.sum(), z if by == "z" else layer.S)


def test_composed_networks_pass_gradients():
    chain = ParityChain(4, 2, method="mixing")
    assert chain(torch.rand(2, 3, 4)).shape == (2, 3)
    chain(torch.tensor([[0.0, 1.0, 1.0]])).sum().backward()
    assert float(chain.cell.S.grad.abs().max()) > 0
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 4))
    model = VisualSudoku(classifier, SATNet(64, 20))
    images, given = torch.rand(2, 16, 1, 2, 2), torch.rand(2, 16) < 0.5
    out = model(images, given)
    unknown = ~given[..., None].expand(2, 16, 4).flatten(1)
    out[unknown].sum().backward()
    assert float(classifier[1].weight.grad.abs().max()) > 0
    shown = out.view(2, 16, 4)[given]
    assert torch.allclose(shown, classifier(images[given]).softmax(-1))


@pytest.mark.parametrize(
    "call",
    [
        lambda: SATNet(0, 3),
        lambda: SATNet(3, 0),
        lambda: SATNet(3, 3, -1),
        lambda: SATNet(3, 3, method="newton"),
        lambda: SATNet(3, 3)(torch.zeros(4), torch.ones(4, dtype=torch.bool)),
        lambda: SATNet(3, 3)(torch.zeros(3), torch.ones(3)),
        lambda: SATNet(3, 3)(torch.full((3,), 1.5), torch.ones(3, dtype=torch.bool)),
        lambda: SATNet(3, 3)(torch.full((3,), torch.nan), torch.ones(3, dtype=torch.bool)),
        lambda: ParityChain()(torch.zeros(1)),
        lambda: VisualSudoku(torch.nn.Identity(), SATNet(3, 3))(torch.zeros(1, 2), torch.zeros(1, 2)),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()
