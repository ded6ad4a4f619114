"""The depth study against torch.nn, and the map of learnability."""

import itertools

import pytest
import torch
from torch import nn

from litrepro import shallow
from litrepro.shallow import _depth


def data(n=96, d=6, classes=3, seed=0):
    source = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=source)
    return x, (x @ torch.randn(d, classes, generator=source)).argmax(-1)


def test_one_step_of_plain_and_residual_members_is_that_of_autograd():
    train, test = data(32), data(500, seed=4)
    members = [("he", False, 0.2, 3), ("xavier", True, 0.1, 3)]
    fans = [6, 5, 5, 5, 3]
    for index, (_, residual, rate, seed) in enumerate(members):
        layers = [nn.Linear(into, out) for into, out in itertools.pairwise(fans)]
        for layer, module in enumerate(layers):
            module.weight.data = _depth._stack(members, layer, fans, train[0])[index].T.clone()
            module.bias.data.zero_()

        def forward(x, layers=layers, residual=residual):
            h = layers[0](x).relu()
            h = (residual * h + layers[2](layers[1](h).relu())).relu()
            return layers[3](h)

        optimizer = torch.optim.SGD([p for layer in layers for p in layer.parameters()], lr=rate)
        study = shallow.depth_study(train, test, members, depth=4, width=5, epochs=3, batch_size=16, classes=3)
        for epoch in range(3):
            order = _depth._orders([seed], 32, epoch)[0]
            for first in (0, 16):
                chosen = order[first : first + 16]
                optimizer.zero_grad()
                nn.functional.cross_entropy(forward(train[0][chosen]), train[1][chosen]).backward()
                optimizer.step()
            reference = (forward(test[0]).argmax(-1) == test[1]).double().mean()
            torch.testing.assert_close(study.accuracy[epoch + 1, index], reference)


def test_second_moments_and_zero_start():
    source = torch.Generator().manual_seed(1)
    x = torch.randn(2000, 200, generator=source)
    labels = torch.arange(2000) % 3
    members = [("he", False, 0.1, 0), ("xavier", False, 0.1, 0), ("zero", False, 0.1, 0), ("zero", True, 0.1, 0)]
    study = shallow.depth_study((x, labels), (x, labels), members, depth=6, width=200, epochs=0, classes=3)
    # A ReLU layer with weight variance 2/fan-in keeps the mean square, 1/fan-in halves it.
    torch.testing.assert_close(study.second_moment[:5, 0], torch.ones(5), rtol=0.5, atol=0)
    torch.testing.assert_close(study.second_moment[:5, 1], 0.5 ** torch.arange(1.0, 6.0), rtol=0.5, atol=0)
    assert (study.second_moment[:, 2:] == 0).all()
    trained = shallow.depth_study(data(), data(), members, depth=4, width=8, epochs=3, batch_size=32, classes=3)
    assert trained.accuracy[-1, 0] > trained.accuracy[0, 2]
    chance = torch.bincount(data()[1]).max() / 96
    assert (trained.accuracy[:, 2:] <= chance + 1e-6).all()


def test_map_is_tidy_and_separates_easy_from_hard():
    table = shallow.learnability_map([8, 600], [1.0, 3.0], neurons=2, d=4, trials=3, iterations=150, generator=1)
    assert list(table.columns) == ["algorithm", "n", "condition", "trial", "error", "success"]
    assert len(table) == 2 * 2 * 3 * len(shallow.ALGORITHMS)
    success = table[table.condition == 1.0].groupby(["algorithm", "n"])["success"].mean().unstack()
    assert (success[8] <= 0.4).all()
    assert success.loc["tensor + alternating", 600] == 1
    assert success.loc["low rank", 600] == 1
    again = shallow.learnability_map([8, 600], [1.0, 3.0], neurons=2, d=4, trials=3, iterations=150, generator=1)
    assert table.equals(again)


@pytest.mark.parametrize(
    "call",
    [
        lambda: shallow.depth_study(data(), data(), [("he", True, 0.1, 0)], depth=3),
        lambda: shallow.depth_study(data(), data(), [], depth=2),
        lambda: shallow.depth_study(data(), data(), [("lecun", True, 0.1, 0)], depth=2),
        lambda: shallow.depth_study(data(), data(), [("he", True, 0.1, 0)], depth=2, batch_size=1000),
        lambda: shallow.learnability_map([], [1.0]),
        lambda: shallow.learnability_map([0], [1.0]),
        lambda: shallow.learnability_map([10], [1.0], neurons=5, d=4),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r"must"):
        call()


def test_seeds_draw_weights_and_orders_and_a_member_that_diverges_has_accuracy_zero():
    members = [("he", True, 0.1, 0), ("he", True, 1e30, 0), ("he", False, 0.1, 0), ("he", True, 0.1, 1)]
    options = {"depth": 4, "width": 8, "epochs": 2, "batch_size": 32, "classes": 3}
    study = shallow.depth_study(data(), data(), members, **options)
    assert study.accuracy[-1, 1] == 0
    alone = shallow.depth_study(data(), data(), members[:1], **options)
    torch.testing.assert_close(study.accuracy[:, 0], alone.accuracy[:, 0])
    same, other = study.second_moment[0, 2], study.second_moment[0, 3]
    assert study.second_moment[0, 0] == same != other  # the first layer has no shortcut
    orders = [_depth._orders([0, 1], 96, epoch) for epoch in (0, 1)]
    assert not torch.equal(orders[0][0], orders[0][1])
    assert not torch.equal(orders[0][0], orders[1][0])


def test_the_map_is_its_six_algorithms():
    n, K, d, conditions = 60, 2, 4, [1.0, 4.0]
    table = shallow.learnability_map(
        [n], conditions, neurons=K, d=d, trials=3, iterations=50, tolerance=0.3, generator=5
    )
    g, f64 = torch.Generator().manual_seed(5), torch.float64
    teachers = [shallow.planted_teacher(K, d, condition=c, batch=(3,), generator=g) for c in conditions]
    teacher = torch.stack(teachers)
    X = torch.randn(3, n, d, generator=g, dtype=f64).expand(2, 3, n, d)
    start = torch.randn(3, K, d, generator=g, dtype=f64).expand(2, 3, K, d) / 2
    y = shallow.relu_network(X, teacher)
    near = shallow.tensor_initialization(X, y, K, iterations=100, restarts=10, generator=g)
    L = teacher.mT @ teacher
    quadratic = ((X @ L) * X).sum(-1)
    found = {
        "gradient descent": shallow.relu_gradient_descent(X, y, start, step=1.0, iterations=50)[-1],
        "tensor + gradient": shallow.relu_gradient_descent(X, y, near, step=1.0, iterations=50)[-1],
        "alternating": shallow.alternating_minimization(X, y, start, iterations=10)[-1],
        "identity + alternating": shallow.alternating_minimization(
            X, y, torch.eye(K, d, dtype=f64).expand(2, 3, K, d), iterations=10
        )[-1],
        "tensor + alternating": shallow.alternating_minimization(X, y, near, iterations=10)[-1],
    }
    errors = {name: shallow.permutation_distance(W, teacher) / teacher.norm(dim=(-2, -1)) for name, W in found.items()}
    low = shallow.rank_one_recovery(lambda t: (X, quadratic), d, K, iterations=20)[-1]
    errors["low rank"] = (low - L).norm(dim=(-2, -1)) / L.norm(dim=(-2, -1))
    for row in table.itertuples():
        expected = min(errors[row.algorithm][conditions.index(row.condition), row.trial].item(), 1e3)
        assert row.error == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert row.success == (expected < 0.3)
    assert ((table.error > 1e-2) & (table.success == 1)).any()
