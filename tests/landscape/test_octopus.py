"""The octopus function is twice differentiable in its tubes and has the minima and escape times it should."""

import itertools
import math

import pytest
import torch

from litrepro.landscape import hessian, octopus, octopus_domain, octopus_escape_ratio, tensor_decomposition
from litrepro.optim import descend

TAU = math.e


@pytest.mark.parametrize(("L", "gamma", "tau"), [(1.0, 1.0, math.e), (3.0, 1.0, 1.0), (2.0, 0.5, 2.0)])
def test_minima_and_mirrors(L, gamma, tau):
    d = 4
    signs = torch.tensor([[1, 1, 1, 1], [-1, 1, -1, 1]], dtype=torch.float64)
    values = octopus(4 * tau * signs, L=L, gamma=gamma, tau=tau)
    # nu from its definition: g1(2 tau) integrates the derivative over [tau, 2 tau] by quadrature.
    s = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    h = (2 * s**3 - 3 * s**2 + 1, s**3 - 2 * s**2 + s, -2 * s**3 + 3 * s**2, s**3 - s**2)
    slope = -2 * gamma * tau * h[0] + tau * -2 * gamma * h[1] - 4 * L * tau * h[2] + tau * 2 * L * h[3]
    nu = -(-gamma * tau**2 + tau * slope.mean()) + 4 * L * tau**2
    torch.testing.assert_close(values, torch.full((2,), -d * nu.item(), dtype=torch.float64), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        hessian(lambda x: octopus(x, L=L, gamma=gamma, tau=tau), 4 * tau * signs),
        2 * L * torch.eye(d).double().expand(2, d, d),
    )


@pytest.mark.parametrize("k", [0, 1, 2])
@pytest.mark.parametrize("at", [1.0, 2.0])
def test_twice_differentiable_across_the_joints(k, at):
    base = torch.zeros(3, dtype=torch.float64)
    base[:k] = 4 * TAU
    if k + 1 < 3:
        base[k + 1] = 0.3
    below, above = base.clone(), base.clone()
    below[k], above[k] = at * TAU - 1e-7, at * TAU + 1e-7
    pair = torch.stack([below, above])
    f, h = octopus(pair, L=2.0), hessian(lambda x: octopus(x, L=2.0), pair)
    assert (f[0] - f[1]).abs() < 1e-5
    torch.testing.assert_close(h[0], h[1], atol=1e-4, rtol=1e-4)


def test_saddles_have_one_negative_direction():
    for k in range(3):
        x = torch.zeros(3, dtype=torch.float64)
        x[:k] = 4 * TAU
        values = torch.linalg.eigvalsh(hessian(octopus, x))
        assert (values < 0).sum() == 1


def test_gradient_descent_needs_the_predicted_multiple_at_each_saddle():
    L, lr = 1.5, 1 / 6
    x0 = (
        torch.full((6, 4), 0.1, dtype=torch.float64)
        * torch.rand(6, 1, generator=torch.Generator().manual_seed(0)).double()
    )
    path = descend(lambda x: octopus(x, L=L), x0, "sgd", lr, 3000)
    crossed = [(path.x[:, :, k].abs() >= 2 * TAU).int().argmax(0).double() for k in range(4)]
    waits = [b - a for a, b in zip([torch.zeros(6).double(), *crossed], crossed)]
    predicted = octopus_escape_ratio(L, 1.0, lr)
    for before, after in itertools.pairwise(waits[1:]):
        assert (after / before).mean().item() == pytest.approx(predicted, rel=0.25)


def test_the_escape_ratio_of_small_steps_is_its_limit():
    for lr in (1e-12, 1e-17, 1e-300):
        assert octopus_escape_ratio(2.0, 1.0, lr) == pytest.approx(3.0, rel=1e-11)


def test_one_smoothness_per_trial():
    x = 12 * torch.rand(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    several = torch.tensor([1.0, 1.5, 3.0])
    together = octopus(x.expand(3, -1, -1), L=several[:, None])
    torch.testing.assert_close(together, torch.stack([octopus(x, L=L) for L in several.tolist()]))
    for bad in (torch.tensor([1.0, 2.0]), torch.full((50,), 0.5), torch.full((50,), math.nan), torch.ones(3, 50)):
        with pytest.raises(ValueError):
            octopus(x, L=bad)


def test_domain():
    x = torch.tensor([[0.1, 0.1], [5.0, 3.0], [6.0, 3.0], [17.0, 0.1], [0.1, 3.0], [11.0, 11.0]], dtype=torch.float64)
    assert octopus_domain(x).tolist() == [True, False, True, False, False, True]


@pytest.mark.parametrize("keywords", [{"L": 0.5, "gamma": 1.0}, {"gamma": 0.0}, {"tau": 0.0}, {"L": math.nan}])
def test_bad_constants(keywords):
    with pytest.raises(ValueError):
        octopus(torch.ones(2), **keywords)
    with pytest.raises(ValueError):
        octopus_escape_ratio(1.0, 1.0, 0.5)


def test_tensor_decomposition_by_its_definition():
    d, k = 4, 3
    basis = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    x = torch.randn(2, k * d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tensor = torch.einsum("la,lb,lc,le->abce", basis, basis, basis, basis)
    u = x.reshape(2, k, d)
    expected = sum(
        torch.einsum("abce,na,nb,nc,ne->n", tensor, u[:, i], u[:, i], u[:, j], u[:, j])
        for i in range(k)
        for j in range(k)
        if i != j
    )
    torch.testing.assert_close(tensor_decomposition(x, basis), expected)
    assert tensor_decomposition(basis[[2, 0, 3]].reshape(-1), basis).abs() < 1e-12
    for bad in ((x, 2 * basis), (x[:, :5], basis), (x, basis[:2])):
        with pytest.raises(ValueError):
            tensor_decomposition(*bad)
