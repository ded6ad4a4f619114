"""Attacks against closed forms on linear models, scipy, and what they promise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import nn

from litrepro.robustness import carlini_wagner, deepfool, fgsm, pgd, project_ball


def network(d=6, hidden=16, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, classes)).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def inputs(n=8, d=6, seed=1):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(classes=2, d=5, seed=0):
    W = torch.randn(classes, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return W, lambda x: x @ W.T


def norms(delta, norm):
    return delta.flatten(1).norm(p={"linf": torch.inf, "l2": 2, "l1": 1}[norm], dim=1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["linf", "l2", "l1"]), st.floats(0, 3))
def test_projection_is_nearest_and_idempotent(seed, norm, eps):
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(4, 2, 3, generator=generator, dtype=torch.float64)
    found = project_ball(delta, eps, norm)
    assert found.shape == delta.shape
    assert bool((norms(found, norm) <= eps + 1e-9).all())
    assert torch.allclose(project_ball(found, eps, norm), found, atol=1e-9)
    # obtuse angle to every other point of the ball: the optimality condition of a projection
    other = project_ball(torch.randn(4, 2, 3, generator=generator, dtype=torch.float64), eps, norm)
    angle = ((delta - found) * (other - found)).flatten(1).sum(1)
    assert bool((angle <= 1e-9).all())


def test_l2_projection_of_lengths_whose_squares_leave_the_range():
    far = torch.tensor([[3e19, 4e19], [3e38, 3e38], [3e-30, 4e-30], [0.0, 0.0]])
    found = project_ball(far, torch.tensor([1.0, 1.0, 5e-31, 0.0]), "l2")
    expected = torch.tensor([[0.6, 0.8], [0.5**0.5, 0.5**0.5], [3e-31, 4e-31], [0.0, 0.0]])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_a_seed_is_a_source_of_starts():
    model, (x, y) = network(), (X, Y)
    drawn = pgd(model, x, y, 0.1, steps=2, generator=torch.Generator().manual_seed(3))
    assert torch.equal(pgd(model, x, y, 0.1, steps=2, generator=3), drawn)


def test_projection_takes_a_radius_per_example():
    delta = torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]])
    found = project_ball(delta, torch.tensor([1.0, 10.0, 0.0]), "l2")
    assert torch.allclose(found, torch.tensor([[0.6, 0.8], [3.0, 4.0], [0.0, 0.0]]))


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", torch.inf)])
def test_a_linear_model_falls_by_eps_times_the_dual_norm(norm, dual):
    W, model = linear()
    x, y = inputs(d=5), torch.zeros(8, dtype=torch.int64)
    found = pgd(model, x, y, 0.1, norm=norm, box=None, loss="margin", steps=60, step_size=0.1)
    drop = (model(x) - model(found))[:, 0] - (model(x) - model(found))[:, 1]
    expected = 0.1 * (W[0] - W[1]).norm(p=dual)
    assert torch.allclose(drop, expected.expand(8), rtol=1e-6)
    assert bool((norms(found - x, norm) <= 0.1 + 1e-9).all())


def test_fgsm_on_a_linear_model_is_exact_and_targeted_goes_the_other_way():
    W, model = linear()
    x, y = inputs(d=5), torch.tensor([0, 1] * 4)
    found = fgsm(model, x, y, 0.1, box=None)
    gap = lambda x: model(x).gather(1, y[:, None])[:, 0] - model(x).gather(1, 1 - y[:, None])[:, 0]  # noqa: E731
    assert torch.allclose(gap(x) - gap(found), 0.1 * (W[0] - W[1]).abs().sum().expand(8))
    assert torch.allclose(fgsm(model, x, 1 - y, 0.1, targeted=True, box=None), found)
    assert torch.equal(fgsm(model, x, y, 0.0), x)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_pgd_stays_inside_never_below_the_clean_loss_and_follows_its_generator(norm, momentum):
    model, x = network(), inputs()
    y = model(x).argmax(1)
    eps = torch.linspace(0.0, 0.4, 8, dtype=torch.float64)

    def attack(seed, **keywords):
        generator = torch.Generator().manual_seed(seed)
        return pgd(model, x, y, eps, norm=norm, steps=10, momentum=momentum, generator=generator, **keywords)

    found = attack(0)
    loss = lambda x: nn.functional.cross_entropy(model(x), y, reduction="none")  # noqa: E731
    assert bool((norms(found - x, norm) <= eps + 1e-9).all())
    assert bool(((found >= 0) & (found <= 1)).all())
    assert torch.equal(found[0], x[0])
    assert bool((loss(found) >= loss(x) - 1e-12).all())
    assert bool((loss(found) - loss(x))[-1] > 0.1)
    assert torch.equal(attack(0), found)
    assert bool((loss(attack(0, restarts=4)) >= loss(found) - 1e-12).all())
    assert not found.requires_grad


def test_targeted_pgd_reaches_its_class():
    model, x = network(), inputs(n=20)
    target = (model(x).argmax(1) + 1) % 3
    found = pgd(model, x, target, 1.0, targeted=True, steps=50)
    loss = lambda x: nn.functional.cross_entropy(model(x), target, reduction="none")  # noqa: E731
    assert bool((loss(found) <= loss(x)).all())
    assert float((model(found).argmax(1) == target).double().mean()) > 0.5


def test_images_keep_their_shape():
    model, x = network(), inputs().reshape(8, 1, 2, 3)
    y = model(x).argmax(1)
    flat = pgd(model, x.flatten(1), y, 0.1, steps=5)
    assert torch.allclose(pgd(model, x, y, 0.1, steps=5).flatten(1), flat)
    assert deepfool(model, x).shape == x.shape
    assert carlini_wagner(model, x, y, steps=5, binary_steps=1).shape == x.shape


def test_deepfool_on_an_affine_model_is_the_nearest_boundary():
    W, model = linear(classes=4)
    x = inputs(d=5)
    found = deepfool(model, x)
    label = model(x).argmax(1)
    distance = torch.stack(
        [
            torch.stack([(model(x)[i, label[i]] - model(x)[i, j]) / (W[label[i]] - W[j]).norm() for j in range(4)
                         if j != label[i]]).min()
            for i in range(8)
        ]
    )  # fmt: skip
    assert torch.allclose((found - x).norm(dim=1), 1.02 * distance)
    assert bool((model(found).argmax(1) != label).all())


def test_deepfool_batch_is_the_loop_and_constant_models_end():
    model, x = network(), inputs()
    together = deepfool(model, x)
    alone = torch.cat([deepfool(model, x[i : i + 1]) for i in range(8)])
    assert torch.allclose(together, alone)
    flat = deepfool(lambda x: torch.stack([x.sum(1) * 0 + 1, x.sum(1) * 0], 1), x, steps=3)
    assert torch.equal(flat, x)
    boxed = deepfool(model, x, box=(0.0, 1.0))
    assert bool(((boxed >= 0) & (boxed <= 1)).all())


def test_carlini_wagner_against_slsqp_on_an_affine_model():
    W, model = linear(classes=2, d=3)
    x = inputs(n=4, d=3) * 0.6 + 0.2
    y = model(x).argmax(1)
    found = carlini_wagner(model, x, y, steps=500, binary_steps=8, lr=0.02)
    for i in range(4):
        w = (W[y[i]] - W[1 - y[i]]).numpy()
        start = x[i].numpy()
        best = minimize(
            lambda p, start=start: ((p - start) ** 2).sum(), start, method="SLSQP", bounds=[(0, 1)] * 3,
            constraints={"type": "ineq", "fun": lambda p, w=w: -p @ w},
        )  # fmt: skip
        if best.success:
            assert float((found[i] - x[i]).norm()) == pytest.approx(np.sqrt(best.fun), rel=0.05, abs=0.01)
            assert model(found[i : i + 1]).argmax(1) != y[i]


def test_carlini_wagner_returns_what_needs_no_change_and_what_cannot_be_changed():
    model, x = network(), inputs()
    y = model(x).argmax(1)
    assert torch.equal(carlini_wagner(model, x, (y + 1) % 3, steps=3), x)
    never = lambda x: torch.stack([x.sum(1) * 0 + 1, x.sum(1) * 0], 1)  # noqa: E731
    assert torch.equal(carlini_wagner(never, x, torch.zeros(8, dtype=torch.int64), steps=3, binary_steps=2), x)
    sure = carlini_wagner(model, x, y, steps=200, lr=0.05, confidence=0.5)
    changed = (sure != x).any(1)
    lead = model(sure).scatter(1, y[:, None], -torch.inf).amax(1) - model(sure).gather(1, y[:, None])[:, 0]
    assert bool((lead[changed] >= 0.5).all())
    target = (y + 1) % 3
    aimed = carlini_wagner(model, x, target, steps=200, lr=0.05, targeted=True)
    changed = (aimed != x).any(1)
    assert bool((model(aimed).argmax(1)[changed] == target[changed]).all())


X, Y = inputs(), torch.zeros(8, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: fgsm(m, X, Y, -0.1), "eps"),
        (lambda m: fgsm(m, X, Y, float("nan")), "eps"),
        (lambda m: fgsm(m, X, Y, torch.zeros(3)), "eps"),
        (lambda m: fgsm(m, X, Y[:5], 0.1), "same length"),
        (lambda m: fgsm(m, X, Y.double(), 0.1), "integer labels"),
        (lambda m: fgsm(m, X + 1, Y, 0.1), "box"),
        (lambda m: fgsm(m, X, Y, 0.1, loss="hinge"), "loss"),
        (lambda m: fgsm(m, X, Y + 7, 0.1), "labels"),
        (lambda m: fgsm(m, X, Y, 0.1, box=(1, 0)), "box"),
        (lambda m: pgd(m, X, Y, 0.1, norm="l3"), "norm"),
        (lambda m: pgd(m, X, Y, 0.1, steps=0), "steps"),
        (lambda m: pgd(m, X, Y, 0.1, restarts=0), "restarts"),
        (lambda m: pgd(m, X, Y, 0.1, momentum=1.0), "momentum"),
        (lambda m: pgd(m, X, Y, 0.1, step_size=0.0), "step_size"),
        (lambda m: pgd(m, X, Y, 0.1, step_size="large"), "step_size"),
        (lambda m: pgd(m, X, Y, 0.1, generator="x"), "generator"),
        (lambda m: pgd(m, X, Y, 0.1, generator=2**70), "generator"),
        (lambda m: fgsm(m, X, Y, "large"), "eps"),
        (lambda m: fgsm(lambda x: m(x).detach(), X, Y, 0.1), "no gradient"),
        (lambda m: deepfool(lambda x: m(x).detach(), X), "no gradient"),
        (lambda m: deepfool(lambda x: m(x.detach()), X), "no gradient"),
        (lambda m: carlini_wagner(lambda x: m(x).detach(), X, Y), "no gradient"),
        (lambda m: carlini_wagner(lambda x: m(x.detach()), X, Y), "no gradient"),
        (lambda m: deepfool(m, X, steps=0), "steps"),
        (lambda m: deepfool(lambda x: x.sum(1, keepdim=True), X), "two classes"),
        (lambda m: carlini_wagner(m, X, Y, box=None), "box"),
        (lambda m: carlini_wagner(m, X, Y, box=(0, torch.inf)), "box"),
        (lambda m: carlini_wagner(m, X, Y, binary_steps=0), "binary_steps"),
        (lambda m: carlini_wagner(m, X, Y, c=0.0), "c must"),
        (lambda m: project_ball(X, -1.0), "eps"),
        (lambda m: project_ball(X, 1.0, "l0"), "norm"),
        (lambda m: project_ball(X * torch.inf, 1.0, "l2"), "finite"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(network())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("overshoot", [0.0, 0.02])
def test_deepfool_leaves_an_exact_tie(dtype, overshoot):
    # Both first classes score 1.5 on (0.5, 0); the boundary passes through the point, the infimum of lengths is 0.
    weights = torch.tensor([[3.0, 4.0], [3.0, -4.0], [0.0, 0.0]], dtype=dtype)
    x = torch.tensor([[0.5, 0.0], [100.0, 0.0]], dtype=dtype)
    found = deepfool(lambda x: x @ weights.T, x, overshoot=overshoot)
    assert (found @ weights.T).argmax(1).tolist() == [1, 1]
    assert bool(((found - x).norm(dim=1) <= 2e-3 * x.norm(dim=1)).all())
    constant = torch.zeros(2, 3, dtype=dtype)  # a tie everywhere, and nowhere to go
    assert torch.equal(deepfool(lambda x: x @ constant, x, steps=2), x)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_empty_batches(norm):
    model, x, y = network(), X[:0], Y[:0]
    for found in (
        fgsm(model, x, y, 0.1),
        pgd(model, x, y, 0.1, norm=norm),
        deepfool(model, x),
        carlini_wagner(model, x, y, steps=1),
        project_ball(x, 1.0, norm),
    ):
        assert found.shape == x.shape
