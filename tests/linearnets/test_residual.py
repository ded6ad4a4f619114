"""Linear residual networks: autograd, brute force, scipy's matrix roots, the theorems' bounds."""

import math

import numpy as np
import pytest
import torch

from litrepro import ConvergenceWarning
from litrepro.linearnets import (
    gradient_lower_bound,
    identity_factorization,
    linear_resnet_descent,
    residual_gradient,
    residual_product,
    residual_risk,
    zou_rate,
)


def draw(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(d, seed=9):
    root = draw(d, d, seed=seed)
    return root @ root.T / d


def rotation(angles, extra=()):
    """Block-diagonal rotation by angles, then the diagonal ``extra``."""
    blocks = [torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) for a in angles]
    return torch.block_diag(*blocks, *(torch.tensor([[float(value)]]) for value in extra)).double()


@pytest.mark.parametrize(("depth", "d"), [(1, 3), (4, 3), (5, 1)])
def test_risk_and_gradient_against_autograd(depth, d):
    blocks, target, sigma = draw(6, depth, d, d, scale=0.5).requires_grad_(), draw(6, d, d, seed=1), covariance(d)
    product = torch.eye(d, dtype=torch.float64)
    for i in range(depth):
        product = (torch.eye(d, dtype=torch.float64) + blocks[:, i]) @ product
    error = product - target
    expected = torch.stack([torch.trace(e @ sigma @ e.T) for e in error])
    torch.testing.assert_close(residual_product(blocks), product)
    torch.testing.assert_close(residual_risk(blocks, target, sigma), expected)
    torch.testing.assert_close(residual_risk(blocks, target), error.square().sum((-2, -1)))
    (gradient,) = torch.autograd.grad(expected.sum(), blocks)
    torch.testing.assert_close(residual_gradient(blocks, target, sigma), gradient)
    one = residual_gradient(blocks[2].detach(), target[2], sigma)
    torch.testing.assert_close(one, gradient[2])
    shared = residual_gradient(blocks[0].detach(), target, sigma)
    torch.testing.assert_close(shared[0], gradient[0])
    assert shared.shape == blocks.shape


@pytest.mark.parametrize("sigma", [None, covariance(4)])
def test_large_batches_have_the_same_gradient(sigma):
    for depth in (1, 3):
        blocks, target = draw(2, 300, depth, 4, 4, scale=0.5), draw(300, 4, 4, seed=1)
        found = residual_gradient(blocks, target, sigma)  # a batch of 600 small matrices takes another path
        assert found.shape == blocks.shape
        for index in (0, 7, 299):
            torch.testing.assert_close(found[1, index], residual_gradient(blocks[1, index], target[index], sigma))


def test_gradient_bound_holds_and_is_tight():
    for depth in (1, 2, 5):
        blocks, target = draw(500, depth, 4, 4, scale=0.2), draw(500, 4, 4, seed=1)
        sigma = covariance(4)
        left = residual_gradient(blocks, target, sigma).square().sum((-3, -2, -1))
        right = gradient_lower_bound(blocks, target, sigma)
        tau = torch.linalg.matrix_norm(blocks, 2).amax(-1)
        assert bool((right[tau >= 1] == 0).all())
        assert bool((left >= right * (1 - 1e-9)).all())
    eye = torch.eye(3, dtype=torch.float64)
    blocks, target = (-0.3 * eye).expand(4, 3, 3), 0.9 * eye
    ratio = residual_gradient(blocks, target).square().sum() / gradient_lower_bound(blocks, target)
    assert ratio == pytest.approx(1, abs=1e-9)
    # The first power of the smallest eigenvalue: a square would break the bound for large covariances.
    scaled = 100 * eye
    left = residual_gradient(blocks, target, scaled).square().sum()
    assert left == pytest.approx(gradient_lower_bound(blocks, target, scaled).item(), rel=1e-9)


TARGETS = {
    "random": draw(3, 5, 5, seed=4) + 2 * torch.eye(5, dtype=torch.float64),
    "identity": torch.eye(4, dtype=torch.float64),
    "minus identity": -torch.eye(4, dtype=torch.float64),
    "half-turns and angles": rotation([math.pi, 0.3, 0.3, math.pi - 1e-9], [1]),
    "reflections in pairs": torch.diag(torch.tensor([-2.0, 3.0, -0.1, 1.0], dtype=torch.float64)),
    "equal angles": rotation([1.0, 1.0, -1.0]),
    "stretch": torch.diag(torch.tensor([0.01, 1.0, 50.0], dtype=torch.float64)),
    "number": torch.full((1, 1), 0.2, dtype=torch.float64),
    "hidden half-turn": torch.linalg.qr(draw(6, 6, seed=7)).Q
    @ rotation([math.pi, math.pi, 0.0])
    @ torch.linalg.qr(draw(6, 6, seed=7)).Q.T,
}


@pytest.mark.parametrize("name", TARGETS)
def test_identity_factorization(name):
    target = TARGETS[name]
    if name == "random":
        target = target[torch.linalg.det(target) > 0]
    s = torch.linalg.svdvals(target)
    gamma = s.log().abs().amax(-1)
    for depth in (1, 2, 7, 40):
        blocks = identity_factorization(target, depth)
        assert blocks.shape == (*target.shape[:-2], depth, *target.shape[-2:])
        assert blocks.dtype == target.dtype
        torch.testing.assert_close(residual_product(blocks), target, atol=1e-11, rtol=1e-9)
        largest = torch.linalg.matrix_norm(blocks, 2).amax(-1)
        bound = 2 * (math.pi**0.5 + (3 * gamma) ** 0.5) ** 2 / depth
        assert bool((largest <= bound + 1e-6)[depth >= 3 * gamma].all())


def test_identity_factorization_splits_as_well_as_possible():
    turn = identity_factorization(rotation([1.2]), 6)
    assert torch.linalg.matrix_norm(turn, 2).tolist() == pytest.approx([2 * math.sin(0.1)] * 6, abs=1e-5)
    stretch = identity_factorization(2 * torch.eye(2, dtype=torch.float64), 5)
    assert torch.linalg.matrix_norm(stretch, 2).tolist() == pytest.approx([2 ** (1 / 5) - 1] * 5, abs=1e-6)
    mixed = identity_factorization(4 * rotation([2.0]), 10)
    best = min(max(4 ** (1 / a) - 1, 2 * math.sin(1 / (10 - a))) for a in range(1, 10))
    assert torch.linalg.matrix_norm(mixed, 2).max().item() == pytest.approx(best, abs=1e-5)
    assert identity_factorization(torch.eye(3), 4).abs().max() < 1e-6


@pytest.mark.parametrize("angles", [[1.0, 2.0], [0.0, 0.0]])  # the second is all stretch
def test_identity_factorization_of_a_nearly_singular_matrix(angles):
    depth, sides = 2000, torch.matrix_exp(draw(2, 4, 4, seed=5) - draw(2, 4, 4, seed=5).mT)  # rotations
    stretch = sides[0] @ torch.logspace(0, -14, 4, dtype=torch.float64).diag() @ sides[0].T
    target = sides[1] @ rotation(angles) @ sides[1].T @ stretch
    blocks = identity_factorization(torch.stack([target, sides[1]]), depth)
    bound = 2 * (math.pi**0.5 + (3 * 14 * math.log(10)) ** 0.5) ** 2 / depth
    assert bool((torch.linalg.matrix_norm(blocks, 2) <= bound).all())
    torch.testing.assert_close(residual_product(blocks[0]), target, atol=1e-11, rtol=0)
    torch.testing.assert_close(residual_product(blocks[1]), sides[1])


def test_identity_factorization_of_a_root_that_cannot_be_divided_by():
    target = torch.tensor([[-2.9999999999999996, -0.9999999999999996], [-3.0, -1.0]], dtype=torch.float64)
    blocks = identity_factorization(target, 4)
    torch.testing.assert_close(residual_product(blocks), target)


def test_identity_factorization_against_scipy():
    from scipy.linalg import fractional_matrix_power, polar

    target = TARGETS["random"][0] if torch.linalg.det(TARGETS["random"][0]) > 0 else TARGETS["random"][1]
    u, p = polar(target.numpy())
    depth = 8
    found = identity_factorization(target, depth).numpy()
    distances = []
    for l1 in range(1, depth):
        stretch, turn = fractional_matrix_power(p, 1 / l1), fractional_matrix_power(u, 1 / (depth - l1))
        expected = np.stack([stretch] * l1 + [turn] * (depth - l1)) - np.eye(5)
        distances.append(abs(found - expected).max())
    assert min(distances) < 1e-5


@pytest.mark.parametrize(
    "bad",
    [
        lambda: identity_factorization(torch.diag(torch.tensor([1.0, -1.0])), 5),
        lambda: identity_factorization(torch.zeros(2, 2), 5),
        lambda: identity_factorization(torch.eye(2), 0),
        lambda: identity_factorization(torch.ones(2, 3), 2),
        lambda: identity_factorization(torch.full((2, 2), torch.nan), 2),
        lambda: residual_product(torch.ones(2, 2)),
        lambda: residual_product(torch.ones(0, 2, 2)),
        lambda: residual_product(torch.ones(3, 2, 4)),
        lambda: residual_risk(torch.ones(3, 2, 2), torch.ones(3, 3)),
        lambda: residual_gradient(torch.ones(4, 3, 2, 2), torch.ones(5, 2, 2)),
        lambda: gradient_lower_bound(torch.ones(3, 2, 2), torch.ones(2, 2), torch.ones(2, 2).double()),
        lambda: residual_risk(torch.ones(3, 2, 2), torch.ones(2, 2), draw(2, 2).float()),
        lambda: residual_gradient(torch.ones(3, 2, 2).half(), torch.ones(2, 2).half(), draw(4, 2, 2).half()),
        lambda: linear_resnet_descent(torch.ones(2, 5), torch.ones(3, 5), 2, step=0.1, iterations=1),
        lambda: linear_resnet_descent(torch.ones(2, 5), torch.ones(2, 5), 0, step=0.1, iterations=1),
        lambda: linear_resnet_descent(torch.ones(2, 5), torch.ones(2, 5), 2, step=0.0, iterations=1),
        lambda: linear_resnet_descent(torch.ones(2, 5), torch.ones(2, 5), 2, step=0.1, iterations=-1),
        lambda: linear_resnet_descent(torch.ones(2, 5), torch.ones(2, 5), 2, step=0.1, iterations=1, batch_size=0),
        lambda: linear_resnet_descent(
            torch.ones(2, 5), torch.ones(2, 5), 2, step=0.1, iterations=1, initial=torch.ones(3, 2, 2)
        ),
        lambda: linear_resnet_descent(torch.ones(2, 5), torch.ones(2, 5).double(), 2, step=0.1, iterations=1),
        lambda: zou_rate(torch.zeros(2, 5), None, None, 2, 0.1),
        lambda: zou_rate(torch.ones(2, 5), None, None, 2, -0.1),
    ],
)
def test_bad_input(bad):
    with pytest.raises(ValueError, match=r"must|expected|broadcast"):
        bad()


def descent_by_autograd(x, y, depth, a, b, step, iterations, residual, start):
    blocks = [start[i].clone().requires_grad_() for i in range(depth)]
    losses = []
    for _ in range(iterations + 1):
        z = a @ x
        for block in blocks:
            z = block @ z + (z if residual else 0)
        loss = 0.5 * (b @ z - y).square().sum()
        losses.append(loss.item())
        for block, gradient in zip(blocks, torch.autograd.grad(loss, blocks)):
            block.data -= step * gradient
    return losses


@pytest.mark.parametrize("residual", [True, False])
def test_descent_against_autograd(residual):
    x, y, a, b = draw(4, 6), draw(3, 6, seed=1), draw(5, 4, seed=2), draw(3, 5, seed=3)
    start = draw(3, 5, 5, seed=4, scale=0.3)
    steps = torch.tensor([1e-4, 3e-4], dtype=torch.float64)
    run = linear_resnet_descent(
        x, y, 3, input_map=a, output_map=b, step=steps, iterations=8, initial=start, residual=residual
    )
    assert run.loss.shape == (2, 9)
    for trial, step in enumerate(steps.tolist()):
        expected = descent_by_autograd(x, y, 3, a, b, step, 8, residual, start)
        assert run.loss[trial].tolist() == pytest.approx(expected, rel=1e-9)


def test_descent_in_batches_and_mini_batches():
    x, y = draw(3, 4, 10), draw(3, 4, 10, seed=1)
    run = linear_resnet_descent(x, y, 2, step=0.01, iterations=5)
    for trial in range(3):
        alone = linear_resnet_descent(x[trial], y[trial], 2, step=0.01, iterations=5)
        torch.testing.assert_close(run.loss[trial], alone.loss)
        torch.testing.assert_close(run.blocks[trial], alone.blocks)
    whole = linear_resnet_descent(x, y, 2, step=0.01, iterations=5, batch_size=99)
    torch.testing.assert_close(whole.loss, run.loss)
    # One step from zero: the mean of all mini-batch gradients of size 1 is the full gradient.
    full = linear_resnet_descent(x[0], y[0], 1, step=0.01, iterations=1).blocks
    generator = torch.Generator().manual_seed(3)
    many = [
        linear_resnet_descent(x[0], y[0], 1, step=0.01, iterations=1, batch_size=4, generator=generator).blocks
        for _ in range(3000)
    ]
    drawn = torch.stack(many)
    error = drawn.std(0) / 3000**0.5
    assert bool(((drawn.mean(0) - full).abs() < 5 * error + 1e-12).all())


def test_plain_zero_is_stuck_and_divergence_is_told():
    x, y = draw(3, 6), draw(3, 6, seed=1)
    plain = linear_resnet_descent(x, y, 3, step=0.1, iterations=4, residual=False)
    assert plain.loss.std() == 0
    steps = torch.tensor([1e-3, 1e3], dtype=torch.float64)
    with pytest.warns(ConvergenceWarning):
        run = linear_resnet_descent(x, y, 3, step=steps, iterations=30)
    assert run.diverged.tolist() == [False, True]
    assert run.loss[0, -1] < run.loss[0, 0]
    assert linear_resnet_descent(x, y, 3, step=0.1, iterations=0).loss.shape == (1,)


def test_zou_rate_by_hand():
    x, a, b = draw(3, 8), draw(5, 3, seed=1), draw(2, 5, seed=2)
    low_rank = torch.outer(x[:, 0], x[0])
    expected = 1 - 0.01 * 4 * torch.linalg.svdvals(a)[-1] ** 2 * torch.linalg.svdvals(b)[-1] ** 2 / math.e * (
        torch.linalg.matrix_norm(low_rank, 2) ** 2
    )
    torch.testing.assert_close(zou_rate(low_rank, a, b, 4, 0.01), expected)
    assert zou_rate(x, None, None, 2, torch.tensor([0.1, 0.2])).shape == (2,)


@pytest.mark.parametrize("bad", [-torch.eye(4).double(), draw(4, 4, seed=3)])
def test_a_bound_needs_a_covariance(bad):
    with pytest.raises(ValueError, match=r"covariance must be (symmetric|positive semidefinite)"):
        gradient_lower_bound(draw(2, 4, 4, scale=0.1), draw(4, 4, seed=1), bad)
    for fine in (covariance(4), torch.zeros(4, 4).double(), torch.full((4, 4), torch.nan).double()):
        gradient_lower_bound(draw(2, 4, 4, scale=0.1), draw(4, 4, seed=1), fine)


def test_descent_leaves_no_graph():
    x, y = draw(3, 9).requires_grad_(), draw(3, 9, seed=1)
    run = linear_resnet_descent(x, y, 2, step=0.01, iterations=3)
    assert not run.loss.requires_grad
    assert not run.blocks.requires_grad
