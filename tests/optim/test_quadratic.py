"""Momentum on a noisy quadratic against simulation, scipy and closed forms."""

import math

import pytest
import torch

from litrepro.optim import descend, quadratic_dynamics, rule, spectral_radius, stationary_variance, steps_to_shrink

LINEAR = {"sgd": {}, "heavy-ball": {}, "sgdm": {}, "nag": {}, "qhm": {"beta1": 0.95}}


@pytest.mark.parametrize("name", LINEAR)
def test_the_recursion_is_the_method(name):
    r = rule(name, **LINEAR[name])
    transition = quadratic_dynamics(r, 2.0, 0.1).transition
    z, states = torch.tensor([1.0, 0.0], dtype=torch.float64), []
    for _ in range(30):
        z = transition @ z
        states.append(z[0])
    path = descend(lambda x: x.square().sum(-1), torch.ones(1, dtype=torch.float64), r, 0.1, 30)
    torch.testing.assert_close(path.x[1:, 0], torch.stack(states), rtol=1e-10, atol=1e-12)


def test_variance_of_sgd_has_a_closed_form():
    h, lr = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64), 0.5
    found = stationary_variance(quadratic_dynamics(rule("sgd"), h, lr))
    torch.testing.assert_close(found, lr**2 / (1 - (1 - lr * h) ** 2))


@pytest.mark.parametrize("name", LINEAR)
def test_variance_solves_the_lyapunov_equation(name):
    scipy_linalg = pytest.importorskip("scipy.linalg")
    dynamics = quadratic_dynamics(rule(name, **LINEAR[name]), 1.3, 0.3)
    noise = dynamics.noise.numpy()
    expected = scipy_linalg.solve_discrete_lyapunov(dynamics.transition.numpy(), noise[:, None] * noise[None])[0, 0]
    assert stationary_variance(dynamics).item() == pytest.approx(expected, rel=1e-9)


def test_no_variance_where_it_diverges():
    dynamics = quadratic_dynamics(rule("sgd"), torch.tensor([1.0, 5.0]), 0.5)
    assert torch.isnan(stationary_variance(dynamics)).tolist() == [False, True]
    assert (spectral_radius(dynamics.transition) > 1).tolist() == [False, True]


def test_heavy_ball_is_fastest_at_polyaks_point():
    beta = 0.81
    at_optimum = quadratic_dynamics(rule("heavy-ball", beta1=beta), 1.0, (1 - math.sqrt(beta)) ** 2)
    assert spectral_radius(at_optimum.transition).item() == pytest.approx(math.sqrt(beta), abs=1e-6)


def test_steps_to_shrink():
    dynamics = quadratic_dynamics(rule("sgd"), torch.tensor([1.0, 0.1]), 0.5)
    expected = [math.ceil(math.log(1e-3) / math.log(1 - 0.5 * h)) for h in (1.0, 0.1)]
    assert steps_to_shrink(dynamics, 1e-3).tolist() == expected
    assert steps_to_shrink(quadratic_dynamics(rule("sgd"), 1.0, 3.0), 1e-3, most=100).item() == 100


def test_what_diverges_beyond_all_numbers_never_shrinks():
    dynamics = quadratic_dynamics("sgd", 1.0, torch.tensor([0.5, 3.0]))
    assert steps_to_shrink(dynamics, 0.1, most=5000).tolist() == [4, 5000]
    assert steps_to_shrink(quadratic_dynamics("heavy-ball", 1.0, 30.0), 0.1, most=1000).item() == 1000
    assert steps_to_shrink(dynamics, 0.1).tolist() == [4, 1_000_000]  # and one need not wait for it


def test_a_recursion_on_the_edge_has_no_variance_and_leaves_the_others_theirs():
    found = stationary_variance(quadratic_dynamics("sgd", 1.0, torch.tensor([0.5, 2.0])))  # the second has radius 1
    torch.testing.assert_close(found, torch.tensor([1 / 3, math.nan], dtype=torch.float64), equal_nan=True)
    assert stationary_variance(quadratic_dynamics("sgd", 1.0, 2.0)).isnan()


@pytest.mark.parametrize("name", ["adam", "adagrad", "demon", "nadam"])
def test_other_rules_are_refused(name):
    with pytest.raises(ValueError, match="constant linear recursion"):
        quadratic_dynamics(rule(name, **({"total_steps": 5} if name == "demon" else {})), 1.0, 0.1)


@pytest.mark.parametrize(("h", "lr"), [(0.0, 0.1), (1.0, -0.1), (math.nan, 0.1)])
def test_bad_constants(h, lr):
    with pytest.raises(ValueError, match="positive"):
        quadratic_dynamics(rule("sgd"), h, lr)
