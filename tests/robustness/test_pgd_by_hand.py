"""Projected gradient ascent against a plain loop, its random starts against their laws, its restarts one by one."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from litrepro.robustness import pgd, project_ball
from litrepro.robustness._balls import random_point

F64 = torch.float64


def network(d=6, hidden=16, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(d, hidden), nn.Tanh(), nn.Linear(hidden, classes)).double()
    model.requires_grad_(False)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=F64)
    return model


def examples(n=8, d=6, classes=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, d, generator=generator, dtype=F64), torch.randint(0, classes, (n,), generator=generator)


def by_hand(model, x, y, eps, norm, steps, momentum, targeted):
    """One example x (d,) after another, as the formulas say."""
    step, sign = 2.5 * eps / steps, -1 if targeted else 1
    loss = lambda point: nn.functional.cross_entropy(model(point[None]), y[None])  # noqa: E731
    feasible = lambda delta: (x + project_ball(delta[None], eps, norm)[0]).clamp(0, 1) - x  # noqa: E731
    seen, delta, previous = [x], torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(steps):
        ahead = feasible(delta + momentum * (delta - previous))
        point = (x + ahead).requires_grad_(True)
        gradient = sign * torch.autograd.grad(loss(point), point)[0]
        seen.append(x + delta)
        if norm == "linf":
            direction = gradient.sign()
        elif norm == "l2":
            direction = gradient / gradient.norm()
        else:
            free = ((x + ahead > 0) | (gradient > 0)) & ((x + ahead < 1) | (gradient < 0))
            place = (gradient.abs() * free).argmax()
            direction = torch.zeros_like(x)
            direction[place] = gradient[place].sign()
        previous, delta = delta, feasible(ahead + step * direction)
    seen.append(x + delta)
    return max(seen, key=lambda point: sign * float(loss(point)))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize(("momentum", "targeted"), [(0.0, False), (0.8, False), (0.8, True)])
def test_steps_are_those_of_the_formulas(norm, momentum, targeted):
    model, (x, y) = network(), examples()
    eps = {"linf": 0.15, "l2": 0.4, "l1": 1.0}[norm]
    for steps in (1, 2, 7):
        found = pgd(model, x, y, eps, norm=norm, steps=steps, momentum=momentum, targeted=targeted, random_start=False)
        expected = [by_hand(model, one, label, eps, norm, steps, momentum, targeted) for one, label in zip(x, y)]
        torch.testing.assert_close(found, torch.stack(expected))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_random_start_is_uniform_in_the_ball(norm):
    n, d, eps = 4000, 3, 0.5
    x = torch.zeros(n, d, dtype=F64)
    points = random_point(x, torch.full((n,), eps, dtype=F64), norm, torch.Generator().manual_seed(0))
    length = points.norm(p={"linf": math.inf, "l2": 2, "l1": 1}[norm], dim=1) / eps
    assert stats.kstest((length**d).numpy(), "uniform").pvalue > 1e-3  # a ball's volume grows like the power d
    assert abs((points > 0).double().mean() - 0.5) < 0.03
    assert (points.mean(0).abs() < 5 * points.std(0) / n**0.5).all()
    assert (points.T.corrcoef() - torch.eye(d)).abs().max() < 0.08
    spread = points.square().mean(0)
    assert (spread.max() / spread.min()) < 1.15


def test_restarts_keep_the_best_of_starts_of_their_own():
    waves = lambda z: torch.stack([torch.sin(40 * z).sum(1), torch.zeros(len(z), dtype=F64)], 1)  # noqa: E731
    x, y = examples(d=2, n=40)[0], torch.zeros(40, dtype=torch.int64)

    def height(restarts, **options):
        found = pgd(waves, x, y, 0.3, restarts=restarts, steps=2, step_size=1e-3, loss="margin", **options)
        return -waves(found)[:, 0]

    one, many = height(1), height(8)
    assert bool((many >= one).all())
    assert float((many > one + 0.1).double().mean()) > 0.6  # eight times the same start would gain nothing
    generator = torch.Generator().manual_seed(0)
    singly = torch.stack([height(1, generator=generator) for _ in range(8)])
    torch.testing.assert_close(many, singly.amax(0))
