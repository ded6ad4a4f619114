"""Newton's methods, directions of negative curvature, constants of theorems."""

import math

import pytest
import torch

from litrepro import optim
from litrepro.landscape import monkey_saddle, quadratic, quartic_saddle
from litrepro.optim import curvature, negative_curvature, newton_descent, pagd_constants, pgd_constants, psgd_constants


def test_newton_solves_a_quadratic_in_one_step():
    def fun(x):
        return quadratic(x - 1.0, [1.0, 4.0, -2.0])

    x0 = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    newton = newton_descent(fun, x0, 1, kind="newton").x[-1]
    torch.testing.assert_close(newton, torch.ones_like(x0))  # the saddle attracts Newton
    free = newton_descent(fun, x0, 1).x[-1]
    torch.testing.assert_close(free[:, :2], torch.ones(5, 2, dtype=torch.float64))
    torch.testing.assert_close(free[:, 2] - 1, 2 * (x0[:, 2] - 1))  # and repels the saddle-free variant


def test_saddle_free_newton_leaves_the_saddle_that_newton_finds():
    x0 = torch.full((4, 2), 0.1, dtype=torch.float64)
    assert newton_descent(quartic_saddle, x0, 20, kind="newton").f[-1].abs().max() < 1e-12
    torch.testing.assert_close(
        newton_descent(quartic_saddle, x0, 20).f[-1], torch.full((4,), -0.25, dtype=torch.float64)
    )


def test_damping_step_limits_and_divergence():
    x0 = torch.tensor([[3.0, 1.0], [math.inf, 1.0]], dtype=torch.float64)
    path = newton_descent(quartic_saddle, x0, 3, damping=1.0, max_step=0.5, lr=torch.tensor([1.0, 1.0]))
    assert (path.x.diff(dim=0)[:, 0].norm(dim=-1) <= 0.5 + 1e-12).all()
    torch.testing.assert_close(path.x[:, 0], newton_descent(quartic_saddle, x0[0], 3, damping=1.0, max_step=0.5).x)
    flat = newton_descent(monkey_saddle, torch.zeros(2, dtype=torch.float64), 2)
    assert torch.equal(flat.x[-1], torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize(
    "change", [{"kind": "gauss"}, {"damping": -1.0}, {"max_step": 0.0}, {"lr": 0.0}, {"steps": 0}, {"fun": None}]
)
def test_bad_newton(change):
    with pytest.raises(ValueError):
        newton_descent(**({"fun": quartic_saddle, "x0": torch.ones(2), "steps": 1} | change))


@pytest.mark.parametrize("steps", range(50, 90, 3))
def test_negative_curvature_of_a_shrunken_direction_is_of_unit_norm(steps):
    # u halves in every step: its squares are denormal numbers after sixty, and zero after eighty.
    v, found = negative_curvature(lambda x: x.square().sum(-1) / 2, torch.zeros(2), radius=1e-3, steps=steps, lr=0.5)
    assert v.norm().item() == pytest.approx(1.0, abs=1e-6)
    assert found.item() == pytest.approx(1.0, abs=1e-6)


def test_negative_curvature_finds_the_lowest_eigenvector():
    values = torch.tensor([1.0, 0.5, -0.3, 2.0], dtype=torch.float64)
    v, c = negative_curvature(
        lambda x: quadratic(x, values), torch.zeros(6, 4, dtype=torch.float64), radius=0.01, steps=200, lr=0.4
    )
    torch.testing.assert_close(c, torch.full((6,), -0.3, dtype=torch.float64))
    torch.testing.assert_close(v[:, 2].abs(), torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(v.norm(dim=-1), torch.ones(6, dtype=torch.float64))
    for bad in ({"radius": 0.0}, {"steps": 0}, {"lr": -1.0}):
        with pytest.raises(ValueError):
            negative_curvature(quartic_saddle, torch.zeros(2), **({"radius": 0.1, "steps": 2, "lr": 0.1} | bad))


PROBLEM = {"smoothness": 2.0, "hessian_lipschitz": 0.5, "eps": 0.01, "delta": 0.1, "gap": 3.0, "dim": 10}


def test_constants_by_hand():
    pgd = pgd_constants(**PROBLEM)
    chi = 3 * math.log(10 * 2 * 3 / (0.01**2 * 0.1))
    assert pgd["lr"] == 0.5
    assert pgd["g_thres"] == pytest.approx(0.01 / chi**2)
    assert pgd["radius"] == pytest.approx(0.01 / chi**2 / 2)
    assert pgd["f_thres"] == pytest.approx(math.sqrt(0.01**3 / 0.5) / chi**3)
    assert pgd["t_thres"] == math.ceil(chi * 2 / math.sqrt(0.5 * 0.01))
    pagd = pagd_constants(**PROBLEM, c=2.0)
    kappa = 2 / math.sqrt(0.005)
    assert pagd["lr"] == 0.125
    assert pagd["theta"] == pytest.approx(1 / (4 * math.sqrt(kappa)))
    assert pagd["gamma"] == pytest.approx(pagd["theta"] ** 2 / 0.125)
    assert pagd["s"] == pytest.approx(pagd["gamma"] / 2)
    psgd = psgd_constants(smoothness=2.0, hessian_lipschitz=0.5, eps=0.1, sigma=1.0, dim=7)
    assert psgd == pytest.approx({"N": 701.0, "lr": 1 / 1402, "radius": 0.1 * math.sqrt(701)})
    smooth = psgd_constants(smoothness=2.0, hessian_lipschitz=0.5, eps=0.1, sigma=1.0, dim=7, stochastic_lipschitz=3.0)
    assert smooth["N"] == pytest.approx(1 + 100 + 9 / (2 * math.sqrt(0.05)))


@pytest.mark.parametrize(
    "change",
    [
        {"smoothness": 0.0},
        {"eps": -1.0},
        {"delta": 0.0},
        {"delta": 1.5},
        {"gap": 0.0},
        {"dim": 0},
        {"c": 0.0},
        {"eps": 9.0},
    ],
)
def test_bad_constants(change):
    for constants in (pgd_constants, pagd_constants):
        with pytest.raises(ValueError):
            constants(**(PROBLEM | change))
    with pytest.raises(ValueError):
        psgd_constants(smoothness=2.0, hessian_lipschitz=0.5, eps=0.1, sigma=-1.0, dim=7)


def test_the_package_exports_what_its_curvature_has():
    assert set(curvature.__all__) <= set(optim.__all__)
    assert all(getattr(optim, name) is getattr(curvature, name) for name in curvature.__all__)


@pytest.mark.parametrize("kind", ["newton", "saddle-free"])
def test_a_step_is_limited_whatever_its_length(kind):
    """Along the second axis the Newton step is -1/curvature: its square overflows, or it is infinite."""
    for curvature_there in (1e-20, 0.0):
        path = newton_descent(
            lambda x, c=curvature_there: x[..., 0] ** 2 / 2 + x[..., 1] + c * x[..., 1] ** 2 / 2,
            torch.zeros(1, 2), 1, max_step=0.5, lr=torch.tensor([0.25]), kind=kind,
        )  # fmt: skip
        assert path.x[-1].tolist() == [[0.0, -0.5]]
    along = newton_descent(lambda x: 3 * x[..., 0] - 4 * x[..., 1], torch.zeros(2), 1, max_step=0.5, kind=kind).x[-1]
    torch.testing.assert_close(along, torch.tensor([-0.3, 0.4]))


def test_negative_curvature_of_a_trial_that_diverged_is_nan():
    x = torch.tensor([[math.nan, 1.0], [1.0, 1.0], [math.inf, 1.0]])
    v, found = negative_curvature(lambda x: x.square().sum(-1), x, radius=1e-3, steps=10, lr=0.3)
    assert v.isnan().all(-1).tolist() == [True, False, True]
    assert found.isnan().tolist() == [True, False, True]
    assert found[1].item() == pytest.approx(2.0)


def test_inference_mode_changes_nothing():
    x0 = torch.full((2, 2), 0.1, dtype=torch.float64)
    options = {"radius": 0.1, "steps": 5, "lr": 0.1}
    expected = newton_descent(quartic_saddle, x0, 3).x, *negative_curvature(quartic_saddle, x0, **options)
    with torch.inference_mode():
        found = newton_descent(quartic_saddle, x0, 3).x, *negative_curvature(quartic_saddle, x0, **options)
    assert all(torch.equal(*pair) for pair in zip(found, expected))
    assert not torch.equal(found[0][-1], x0)
