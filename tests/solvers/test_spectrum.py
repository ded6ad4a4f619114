"""Lanczos quadrature against matrix functions of dense matrices."""

import pytest
import torch

from litrepro.solvers import lanczos_quadrature


def problem(batch=(3,), d=12, seed=0):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(*batch, d, d, generator=g, dtype=torch.float64)
    return (a + a.mT) / 2, torch.randn(*batch, d, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_exact_for_polynomials(k):
    a, v0 = problem()
    nodes, weights = lanczos_quadrature(lambda v: torch.einsum("bij,bj->bi", a, v), v0, k)
    assert nodes.shape == weights.shape == (3, k)
    v = v0 / v0.norm(dim=-1, keepdim=True)
    power = v
    for degree in range(2 * k):
        expected = (v * power).sum(-1)
        torch.testing.assert_close((weights * nodes**degree).sum(-1), expected, rtol=1e-8, atol=1e-8)
        power = torch.einsum("bij,bj->bi", a, power)


def test_all_steps_give_the_eigenvalues_and_breakdowns_weigh_nothing():
    a, v0 = problem((), 6)
    nodes, weights = lanczos_quadrature(lambda v: a @ v, v0, 6)
    values, vectors = torch.linalg.eigh(a)
    torch.testing.assert_close(nodes, values)
    torch.testing.assert_close(weights, (vectors.T @ (v0 / v0.norm())) ** 2)
    nodes, weights = lanczos_quadrature(lambda v: 2 * v, v0, 4)
    assert weights.sum().item() == pytest.approx(1.0)
    assert (weights * nodes).sum().item() == pytest.approx(2.0)


def test_shares_of_eigenvalues_from_random_probes():
    g = torch.Generator().manual_seed(1)
    values = torch.cat([torch.zeros(300), torch.linspace(1, 5, 100)]).double()
    probes = torch.randn(40, 400, generator=g, dtype=torch.float64)
    nodes, weights = lanczos_quadrature(lambda v: values * v, probes, 30)
    share = torch.where(nodes.abs() < 0.5, weights, 0.0).sum(-1).mean().item()
    assert share == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(("v0", "k"), [(torch.zeros(3), 1), (torch.ones(3), 4), (torch.ones(3), 0)])
def test_bad_input(v0, k):
    with pytest.raises(ValueError):
        lanczos_quadrature(lambda v: v, v0, k)


def test_nodes_after_a_breakdown_stay_in_the_spectrum():
    nodes, weights = lanczos_quadrature(lambda v: 2 * v, torch.ones(3), 3)
    torch.testing.assert_close(nodes, torch.full((3,), 2.0))
    assert (weights * nodes.log()).sum().item() == pytest.approx(torch.tensor(2.0).log().item())
    values = torch.tensor([-3.0, -1.0, -1.0, 2.0, 2.0], dtype=torch.float64)  # three different ones
    start = torch.ones(2, 5, dtype=torch.float64)
    start[1, :2] = 0
    nodes, weights = lanczos_quadrature(lambda v: values * v, start, 5)
    assert (nodes.diff(dim=-1) >= 0).all()
    torch.testing.assert_close(nodes[0], torch.tensor([-3.0, -1.0, 2.0, 2.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(nodes[1, 0], torch.tensor(-1.0, dtype=torch.float64))
    for row, probe in enumerate(start):
        expected = (probe.square() * values.abs().log()).sum() / probe.square().sum()
        torch.testing.assert_close((weights[row] * nodes[row].abs().log()).sum(), expected)
