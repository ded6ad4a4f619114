"""The race at equal numbers of oracle calls: every racer against its method by itself, and who counts as the best."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from litrepro import secondorder as so

DOUBLE = torch.float64
RATES = torch.tensor([0.5, 2.0], dtype=DOUBLE)


def problem(n=30, d=3):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    x = x / x.norm(dim=1).max()
    return x, torch.where(x[:, 0] + 0.3 * x[:, 1] > 0, 1.0, -1.0).double()


def race(decay=0.1, **options):
    grids = {"svrg_rates": RATES, "descent_rates": RATES, "sgd_rates": RATES[:1]}
    settings = {"depths": [3, 20], "inner": [5, 30], "calls": 400, "seeds": 4} | grids | options
    return so.logistic_race(*problem(), decay, **settings)


def test_racers_are_the_methods_by_themselves():
    (x, y), racers = problem(), race(seed=5)
    optimum = minimize(
        lambda w: np.logaddexp(0, -y.numpy() * (x.numpy() @ w)).mean() + 0.05 * w @ w, np.zeros(3), tol=1e-12
    ).x
    named = {(racer.method, racer.setting): racer for racer in racers}
    assert len(named) == len(racers) == 2 + 4 + 2 + 1 + 1
    alone = {
        ("SVRG", (5, 2.0)): so.logistic_svrg(x, y, 0.1, lr=RATES[1:], epochs=10, seeds=range(4), inner=5)[:, 0],
        ("SGD", 0.5): so.logistic_svrg(x, y, 0.1, lr=RATES[:1], epochs=40, seeds=range(3), plain=True)[:, 0],
        ("gradient descent", 2.0): so.logistic_descent(x, y, 0.1, lr=RATES, steps=900)[:, 1:],
        ("Newton", None): so.logistic_newton(x, y, 0.1, steps=12)[:, None],
        ("LiSSA", 20): so.lissa(
            so.logistic_loss(0.1), torch.zeros(4, 3, dtype=DOUBLE), (x, y), s2=20, steps=11, scale=0.35, seed=5
        ).w,
    }
    costs = {"SVRG": 40, "SGD": 30, "gradient descent": 30, "Newton": 120, "LiSSA": 50}
    for key, path in alone.items():
        expected = np.linalg.norm(path.numpy() - optimum, axis=-1)
        np.testing.assert_allclose(named[key].distance.numpy(), expected, atol=1e-6)
        assert named[key].cost == costs[key[0]]
        assert named[key].distance[-1].median() < named[key].distance[0].median()


def test_best_is_the_first_to_arrive_or_else_the_nearest():
    racers = race()
    best = so.best_racers(racers, 1e-6)
    for method, (calls, racer) in best.items():
        mine = [each for each in racers if each.method == method]
        arrivals = [
            torch.tensor([next((t * r.cost for t, v in enumerate(c) if v <= 1e-6), math.inf) for c in r.distance.T])
            .median()
            .item()
            for r in mine
        ]
        assert calls == min(arrivals)
        if math.isfinite(calls):
            assert arrivals[next(i for i, each in enumerate(mine) if each is racer)] == calls
        else:
            assert racer.distance[-1].median() == min(each.distance[-1].median() for each in mine)
    assert math.isfinite(best["Newton"][0])
    assert math.isinf(best["SGD"][0])


@pytest.mark.parametrize(
    "call",
    [
        lambda: race(decay=0.0),
        lambda: race(depths=[]),
        lambda: race(depths=[0]),
        lambda: race(inner=[]),
        lambda: race(seeds=0),
        lambda: race(calls=80),
        lambda: race(svrg_rates=-RATES),
        lambda: race(descent_rates=None),
        lambda: race(sgd_epochs=0),
        lambda: race(newton_steps=0),
        lambda: so.logistic_race(
            problem()[0], None, 0.1, depths=[1], inner=[1], svrg_rates=RATES, descent_rates=RATES, sgd_rates=RATES,
            calls=99, seeds=1,
        ),
        lambda: so.best_racers([], 0.1),
        lambda: so.best_racers([None], 0.1),
        lambda: so.best_racers(race(), 0.0),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()
