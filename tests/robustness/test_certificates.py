"""Certificates: against sampling, enumeration, cvxpy, and each other; no attack ever beats one."""

import itertools

import cvxpy
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from litrepro import ConvergenceWarning
from litrepro.robustness import (
    activation_pattern_minimum,
    affine_layers,
    certified,
    dual_bounds,
    dual_margins,
    exact_margins,
    ibp_loss,
    ibp_margins,
    interval_bounds,
    lp_margins,
    pgd,
    ramp,
)


def layers(widths=(4, 6, 5, 3), seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            scale * torch.randn(b, a, generator=generator, dtype=torch.float64),
            0.3 * torch.randn(b, generator=generator, dtype=torch.float64),
        )
        for a, b in itertools.pairwise(widths)
    ]


def forward(net, x):
    for W, b in net[:-1]:
        x = torch.relu(x @ W.T + b)
    return x @ net[-1][0].T + net[-1][1]


def batch(n=4, d=4, seed=1, classes=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, d, generator=generator, dtype=torch.float64), torch.randint(
        0, classes, (n,), generator=generator
    )


def true_margins(net, x, y):
    logits = forward(net, x)
    return logits.gather(1, y[:, None]) - logits


def enumerate_exact(net, x, y, j, low, high):
    """Worst margin of a one-hidden-layer network by a linear program per activation pattern."""
    (W, b), (V, c) = ((w.numpy(), v.numpy()) for w, v in net)
    worst = np.inf
    for pattern in itertools.product((0, 1), repeat=len(b)):
        p = np.array(pattern)
        point = cvxpy.Variable(len(low))
        value = (V[y] - V[j]) @ (cvxpy.multiply(p, W @ point + b)) + c[y] - c[j]
        signs = cvxpy.multiply(2 * p - 1, W @ point + b) >= 0
        problem = cvxpy.Problem(cvxpy.Minimize(value), [signs, point >= low, point <= high])
        problem.solve(solver=cvxpy.CLARABEL)
        if problem.status == "optimal":
            worst = min(worst, problem.value)
    return worst


def test_exact_is_the_enumeration_of_patterns_and_the_witness_attains_it():
    net = layers((3, 5, 3), seed=3)
    x, y = batch(2, 3)
    found = exact_margins(net, x, y, 0.2)
    assert bool(found.optimal.all())
    for i in range(2):
        low, high = (x[i] - 0.2).clamp(0, 1).numpy(), (x[i] + 0.2).clamp(0, 1).numpy()
        for j in range(3):
            if j == int(y[i]):
                assert float(found.margin[i, j]) == 0
                assert torch.equal(found.x_adv[i, j], x[i])
                continue
            assert float(found.margin[i, j]) == pytest.approx(
                enumerate_exact(net, x, int(y[i]), j, low, high), abs=1e-5
            )
            witness = found.x_adv[i, j][None]
            assert float(true_margins(net, witness, y[i : i + 1])[0, j]) == pytest.approx(
                float(found.margin[i, j]), abs=1e-5
            )
            assert bool(((witness >= torch.tensor(low) - 1e-6) & (witness <= torch.tensor(high) + 1e-6)).all())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.5))
def test_the_ladder_is_ordered_and_no_attack_gets_below(seed, eps):
    net = layers(seed=seed)
    x, y = batch(2, seed=seed + 1)
    ibp = ibp_margins(net, x, y, eps)
    fixed, tuned = dual_margins(net, x, y, eps), dual_margins(net, x, y, eps, steps=15)
    lp = lp_margins(net, x, y, eps)
    exact = exact_margins(net, x, y, eps).margin
    attacked = pgd(lambda z: forward(net, z), x, y, eps, loss="margin", steps=10)
    assert bool((ibp_margins(net, x, y, eps, merge_last=False) <= ibp + 1e-9).all())
    assert bool((ibp <= lp + 1e-6).all())
    assert bool((fixed <= tuned).all())
    assert bool((tuned <= lp + 1e-6).all())
    assert bool((lp <= exact + 1e-6).all())
    assert bool((exact <= true_margins(net, attacked, y) + 1e-6).all())
    points = x[:, None] + (2 * torch.rand(2, 200, 4, generator=torch.Generator().manual_seed(seed)) - 1) * eps
    points = points.clamp(0, 1)
    for i in range(2):
        sampled = true_margins(net, points[i], y[i].expand(200))
        assert bool((exact[i] <= sampled + 1e-6).all())


def test_the_optimized_dual_reaches_the_linear_program():
    net, (x, y) = layers(seed=5), batch(3)
    gap = lp_margins(net, x, y, 0.15) - dual_margins(net, x, y, 0.15, steps=150)
    assert float(gap.max()) < 1e-2
    tight = dual_bounds(net, x, 0.15, steps=20)
    gap = lp_margins(net, x, y, 0.15, bounds=tight) - dual_margins(net, x, y, 0.15, steps=150, bounds=tight)
    assert float(gap.max()) < 1e-2
    assert bool((lp_margins(net, x, y, 0.15, bounds=tight) >= lp_margins(net, x, y, 0.15) - 1e-7).all())


def test_the_linear_program_against_cvxpy():
    net, (x, y) = layers((4, 6, 3), seed=2), batch(2)
    eps = 0.3
    values, points = lp_margins(net, x, y, eps, return_x=True)
    (W, b), (V, c) = ((w.numpy(), v.numpy()) for w, v in net)
    (lower, upper) = (bound.numpy() for bound in interval_bounds(net, x, eps)[0])
    for i in range(2):
        point, hidden = cvxpy.Variable(4), cvxpy.Variable(6)
        low, high = (x[i] - eps).clamp(0, 1).numpy(), (x[i] + eps).clamp(0, 1).numpy()
        rules = [point >= low, point <= high, hidden >= 0, hidden >= W @ point + b]
        for k in range(6):
            if upper[i, k] <= 0:
                rules.append(hidden[k] == 0)
            elif lower[i, k] >= 0:
                rules.append(hidden[k] == W[k] @ point + b[k])
            else:
                slope = upper[i, k] / (upper[i, k] - lower[i, k])
                rules.append(hidden[k] <= slope * (W[k] @ point + b[k] - lower[i, k]))
        for j in range(3):
            if j == int(y[i]):
                continue
            problem = cvxpy.Problem(cvxpy.Minimize((V[y[i]] - V[j]) @ hidden + c[y[i]] - c[j]), rules)
            assert float(values[i, j]) == pytest.approx(problem.solve(solver=cvxpy.CLARABEL), abs=1e-5)
            assert bool((points[i, j] >= torch.tensor(low) - 1e-7).all())


def test_intervals_hold_and_shrink_to_the_point():
    net, (x, y) = layers(), batch(5)
    bounds = interval_bounds(net, x, torch.linspace(0, 0.4, 5))
    for _ in range(20):
        z = (x + (2 * torch.rand_like(x) - 1) * torch.linspace(0, 0.4, 5)[:, None]).clamp(0, 1)
        for number, ((W, b), (lower, upper)) in enumerate(zip(net, bounds)):
            z = z if number == 0 else z.relu()
            z = z @ W.T + b
            assert bool(((lower <= z + 1e-9) & (z <= upper + 1e-9)).all())
    for pair in dual_bounds(net, x, 0.2):
        assert bool((pair[0] <= pair[1]).all())
    tight, loose = dual_bounds(net, x, 0.2)[-1], interval_bounds(net, x, 0.2)[-1]
    assert bool((tight[0] >= loose[0] - 1e-9).all())
    assert bool((tight[1] < loose[1]).any())
    exact = true_margins(net, x, y)
    for found in (
        ibp_margins(net, x, y, 0.0),
        ibp_margins(net, x, y, 0.0, merge_last=False),
        dual_margins(net, x, y, 0.0),
        lp_margins(net, x, y, 0.0),
        exact_margins(net, x, y, 0.0).margin,
    ):
        assert torch.allclose(found, exact, atol=1e-6)


def test_a_single_layer_is_exact_everywhere():
    net, (x, y) = layers((4, 3)), batch()
    W, _ = net[0]
    low, high = (x - 0.2).clamp(0, 1), (x + 0.2).clamp(0, 1)
    d = W[y][:, None] - W
    reach = (d.clamp(min=0) * low[:, None] + d.clamp(max=0) * high[:, None]).sum(-1) + net[0][1][y][:, None] - net[0][1]
    for found in (ibp_margins, dual_margins, lp_margins):
        assert torch.allclose(found(net, x, y, 0.2), reach, atol=1e-7)
    assert torch.allclose(exact_margins(net, x, y, 0.2).margin, reach, atol=1e-7)


def test_stable_units_need_no_binary_variables():
    net = layers((4, 6, 3))
    net[0] = (net[0][0], torch.tensor([50.0, -50.0, 50.0, -50.0, 50.0, -50.0], dtype=torch.float64))
    x, y = batch()
    assert torch.allclose(exact_margins(net, x, y, 0.2).margin, lp_margins(net, x, y, 0.2), atol=1e-6)


def test_only_the_classes_asked_for_are_solved_and_a_time_limit_is_a_bound():
    net, (x, y) = layers((4, 12, 12, 3), seed=4), batch(2)
    classes = (y + 1) % 3
    whole, part = exact_margins(net, x, y, 0.3), exact_margins(net, x, y, 0.3, classes=classes)
    rows = torch.arange(2)
    assert torch.allclose(part.margin[rows, classes], whole.margin[rows, classes], atol=1e-6)
    assert part.optimal.sum() == 4
    other = (y + 2) % 3
    assert torch.allclose(part.margin[rows, other], ibp_margins(net, x, y, 0.3)[rows, other])
    with pytest.warns(ConvergenceWarning, match="limit"):
        cut = exact_margins(net, x, y, 0.3, time_limit=1e-6)
    assert bool((cut.margin <= whole.margin + 1e-6).all())
    assert bool(torch.isfinite(cut.margin).all())


def test_training_pieces():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    x, y = batch(6)
    clean = nn.functional.cross_entropy(model(x), y)
    assert torch.allclose(ibp_loss(model, x, y, 0.1, kappa=1.0), clean)
    assert torch.allclose(ibp_loss(model, x, y, 0.0, kappa=0.3), clean)
    attacked = pgd(model, x, y, 0.1, steps=20)
    loss = ibp_loss(model, x, y, 0.1, kappa=0.0)
    assert bool(loss >= nn.functional.cross_entropy(model(attacked), y) - 1e-9)
    loss.backward()
    assert all(bool((p.grad != 0).any()) for p in model.parameters())
    assert [ramp(s, start=1, end=3, target=0.2) for s in (0, 1, 2, 3, 9)] == [0, 0, 0.1, 0.2, 0.2]
    assert [ramp(s, start=2, end=2, target=0.2) for s in (1, 2, 3)] == [0, 0.2, 0.2]  # a jump
    assert torch.equal(
        certified(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), torch.tensor([0, 1])), torch.tensor([True, False])
    )
    assert not certified(torch.zeros(1, 2), torch.tensor([0]))[0]  # a tie is not certain


def test_the_loss_of_certified_training_is_differentiable_in_the_inputs():
    net, (x, y) = layers(), batch(2)
    for eps in (0.0, 0.05):
        assert torch.autograd.gradcheck(lambda x: ibp_loss(net, x, y, eps), x.clone().requires_grad_(True))  # noqa: B023


class Normalizing(nn.Module):
    """The parts of a perceptron, and another function."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(4, 5), nn.ReLU()), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.body((x - 0.5) / 0.1))


class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


class Halved(nn.Linear):
    def forward(self, x):
        return super().forward(x) / 2


def test_networks_that_can_and_cannot_be_certified():
    from litrepro.nets import mlp

    model = mlp(4, [5], 3)
    x, _ = batch()
    assert torch.allclose(forward(affine_layers(model), x.float()), model(x.float()), atol=1e-6)
    assert affine_layers(model)[0][0] is model.body[0].weight
    without = nn.Sequential(nn.Linear(4, 3, bias=False))
    assert torch.equal(affine_layers(without)[0][1], torch.zeros(3))
    for bad, message in (
        (nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), "Tanh"),
        (nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)), "two Linear"),
        (nn.Sequential(nn.Linear(4, 5), nn.ReLU()), "end with"),
        (nn.Sequential(nn.ReLU(), nn.Linear(4, 5)), "must follow"),
        (Normalizing(), "Normalizing"),
        (Doubled(nn.Linear(4, 3)), "Doubled"),
        (nn.Sequential(nn.Linear(4, 5), nn.ReLU(), Doubled(nn.Linear(5, 3))), "Doubled"),
        (nn.Sequential(Halved(4, 3)), "Halved"),
        (nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(5, 3)), "in front"),
        (nn.Sequential(), "end with"),
        ([(torch.rand(3, 4), torch.rand(4))], "layer 1"),
        ([(torch.rand(3, 4), torch.rand(3)), (torch.rand(2, 5), torch.rand(2))], "layer 2 takes"),
        ([], "at least one"),
        (3, "list"),
        (mlp(4, [5], 3, activation="tanh"), "Tanh"),
    ):
        with pytest.raises(ValueError, match=message):
            affine_layers(bad)


@pytest.mark.parametrize("certificate", [ibp_margins, dual_margins, lp_margins, exact_margins])
def test_bad_input(certificate):
    net, (x, y) = layers((4, 3)), batch()
    for arguments, message in (
        ((net, x, y, -0.1), "eps"),
        ((net, x[:, :3], y, 0.1), "features"),
        ((net, x + 2, y, 0.1), "box"),
        ((net, x, y[:2], 0.1), "same length"),
        ((net, x, y + 5, 0.1), "labels"),
    ):
        with pytest.raises(ValueError, match=message):
            certificate(*arguments)
    assert certificate(net, x + 2, y, 0.1, box=None) is not None


def spoilt(net):
    return [(net[0][0] * torch.nan, net[0][1]), *net[1:]]


def endless(net, x):
    widths = [torch.full((len(x), len(b)), torch.inf, dtype=torch.float64) for _, b in net]
    return [(-width, width) for width in widths]


def test_dual_bounds_at_radius_zero_are_ordered_and_serve_again():
    for seed in range(10):
        net = layers((6, 12, 12, 3), seed=seed)
        x = torch.rand(9, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        bounds, y = dual_bounds(net, x, 0.0), torch.zeros(9, dtype=torch.int64)
        assert all(bool((lower <= upper).all()) for lower, upper in bounds)
        logits = forward(net, x)
        torch.testing.assert_close(dual_margins(net, x, y, 0.0, bounds=bounds), logits[:, :1] - logits)


def test_bad_bounds_and_numbers():
    net, (x, y) = layers(), batch()
    model = nn.Sequential(nn.Linear(4, 3)).double()
    for call, message in (
        (lambda: dual_margins(net, x, y, 0.1, bounds=[]), "bounds"),
        (lambda: dual_margins(net, x, y, 0.1, bounds=interval_bounds(net, x[:2], 0.1)), "bounds"),
        (lambda: dual_margins(net, x, y, 0.1, steps=-1), "steps"),
        (lambda: exact_margins(net, x, y, 0.1, time_limit=0), "time_limit"),
        (lambda: ibp_loss(model, x, y, 0.1, kappa=1.5), "kappa"),
        (lambda: ibp_loss(model, x[:0], y[:0], 0.1), "at least one example"),
        (lambda: ibp_loss(model, x, y - 100, 0.1), "labels"),
        (lambda: dual_margins(net, x, y, 0.1, bounds=3), "bounds"),
        (lambda: dual_margins(net, x, y, 0.1, bounds=[("a", "b")]), "bounds"),
        (lambda: dual_margins(net, x, y, 0.1, bounds=[(x, x, x)]), "bounds"),
        (lambda: dual_margins(net, x, y, 0.1, bounds=endless(net, x)), "finite"),
        (lambda: dual_margins(spoilt(net), x, y, 0.1), "finite"),
        (lambda: dual_bounds(spoilt(net), x, 0.1), "finite"),
        (lambda: interval_bounds(spoilt(net), x, 0.1), "finite"),
        (lambda: ibp_margins(spoilt(net), x, y, 0.1), "finite"),
        (lambda: certified(torch.ones(2, 3, 4), y), r"margins must be \(n, K\)"),
        (lambda: certified(torch.ones(len(y) + 1, 3), y), "margins and y"),
        (lambda: ramp(1, start=3, end=2, target=1), "end"),
        (lambda: certified(torch.rand(3), y), "margins"),
        (lambda: activation_pattern_minimum(net, x[0], 0, 1, 0.1), "one hidden layer"),
        (lambda: activation_pattern_minimum(layers((4, 5, 3)), x[0], 0, 3, 0.1), "labels"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_integer_labels_of_any_width():
    (x, y), model = batch(), nn.Sequential(nn.Linear(4, 3)).double()
    expected = ibp_loss(model, x, y, 0.1)
    for kind in (torch.int32, torch.int16, torch.uint8):
        assert torch.equal(ibp_loss(model, x, y.to(kind), 0.1), expected)
    torch.testing.assert_close(ibp_loss(model, x.float(), y, 0.1), expected, atol=1e-6, rtol=0)
    assert torch.equal(ibp_loss(affine_layers(model), x, y, 0.1), expected)


@pytest.mark.parametrize("eps", [0.05, 0.4])
def test_enumeration_of_patterns_is_the_integer_program(eps):
    """Two exact methods that share no code: a linear program for every pattern of units, and one integer program."""
    net = layers((3, 5, 3), seed=7)
    x = torch.rand(1, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    label = forward(net, x).argmax(-1)
    others = [j for j in range(3) if j != label]
    found = [activation_pattern_minimum(net, x[0], int(label), j, eps) for j in others]
    assert found == pytest.approx(exact_margins(net, x, label, eps).margin[0, others].tolist(), abs=1e-6)


def test_programs_do_not_depend_on_the_units():
    """A solver's tolerances are absolute: with small inputs or units it would certify what is not so."""
    s = 3e-7
    W, V = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double(), torch.tensor([[-1.0, -1.0], [0.0, 0.0]]).double() / s
    net, x, y = (
        [(W, torch.zeros(2).double()), (V, torch.tensor([1.0, 0.0]).double())],
        torch.zeros(1, 2),
        torch.zeros(1),
    )
    found = exact_margins(net, x, y.long(), 0.75 * s, box=None)
    assert found.margin[0, 1].item() == pytest.approx(-0.5, abs=1e-9)  # at 0.75 s (1, -1): 1 - 1.5
    assert bool(found.optimal.all())
    net, (x, y) = layers(seed=1), batch(1)
    (W1, b1), (W2, b2), (W3, b3) = net
    exact, relaxed = exact_margins(net, x, y, 0.2).margin, lp_margins(net, x, y, 0.2)
    units = [
        (10.0 ** (16 * torch.rand(n, generator=torch.Generator().manual_seed(n)) - 8)).double()[:, None] for n in (6, 5)
    ]
    first, second = units
    mixed = [(first * W1, first[:, 0] * b1), (second * W2 / first.mT, second[:, 0] * b2), (W3 / second.mT, b3)]
    for other, point, eps, box in (
        (mixed, x, 0.2, (0, 1)),
        ([(W1 * 1e9, b1), *net[1:]], x * 1e-9, 0.2e-9, (0, 1e-9)),
    ):
        torch.testing.assert_close(exact_margins(other, point, y, eps, box=box).margin, exact, rtol=0, atol=1e-7)
        torch.testing.assert_close(lp_margins(other, point, y, eps, box=box), relaxed, rtol=0, atol=1e-7)


@pytest.mark.parametrize("off", [-1.0, 1.0])
def test_a_solution_that_the_network_contradicts_is_not_believed(monkeypatch, off):
    import scipy.optimize

    net, (x, y) = layers((4, 3)), batch(1)
    exact, plain = exact_margins(net, x, y, 0.2), dual_margins(net, x, y, 0.2)
    for name in ("milp", "linprog"):
        solve = getattr(scipy.optimize, name)

        def wrong(cost, *args, solve=solve, **options):
            found = solve(cost, *args, **options)
            found.fun += off * np.abs(cost).sum()
            return found

        monkeypatch.setattr(scipy.optimize, name, wrong)
    with pytest.warns(ConvergenceWarning, match="contradict"):
        found = exact_margins(net, x, y, 0.2)
    assert int(found.optimal.sum()) == 1
    assert bool((found.margin <= exact.margin + 1e-9).all())
    with pytest.warns(ConvergenceWarning, match="dual bounds"):
        torch.testing.assert_close(lp_margins(net, x, y, 0.2), plain)
