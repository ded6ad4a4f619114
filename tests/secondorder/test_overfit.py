"""The generalization gap at equal training loss, against runs one by one."""

import math

import pytest
import torch

from litrepro.secondorder import digits_problem, gap_at_level, train_flat

PROBLEM = digits_problem(n=60, widths=(64, 10))
OPTIONS = {"lr": 0.05, "epochs": 6, "batch": 20, "seed": 3}


def by_hand(seeds, level):
    """The stack's path, every loss on its own, and the first epoch that is low enough."""
    weights = []
    train_flat(
        "adamw", PROBLEM.model, PROBLEM.loss, PROBLEM.start(seeds), PROBLEM.train,
        on_epoch=lambda _, w: weights.append(w.clone()), **OPTIONS,
    )  # fmt: skip
    gaps = []
    for s in range(len(seeds)):
        gaps.append(math.nan)
        for w in weights:
            (fitted, unseen) = (
                PROBLEM.loss(PROBLEM.model(w[s], x), y).item() for x, y in (PROBLEM.train, PROBLEM.test)
            )
            if fitted <= level:
                gaps[-1] = unseen - fitted
                break
    return gaps


@pytest.mark.parametrize("level", [2.0, 0.6])
def test_gap_is_that_of_the_first_epoch_below_the_level(level):
    found = gap_at_level("adamw", PROBLEM, [0, 1, 2], level=level, **OPTIONS)
    expected = by_hand([0, 1, 2], level)
    assert not any(math.isnan(value) for value in expected)
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_a_level_that_is_met_at_the_start_and_one_that_is_never_met():
    start = PROBLEM.start([0, 1])
    losses = [
        torch.stack([PROBLEM.loss(PROBLEM.model(w, x), y) for w in start]) for x, y in (PROBLEM.test, PROBLEM.train)
    ]
    at_start = gap_at_level("sgd", PROBLEM, [0, 1], level=100.0, lr=0.01, epochs=1, batch=20)
    torch.testing.assert_close(at_start, losses[0] - losses[1])
    assert gap_at_level("sgd", PROBLEM, [0, 1], level=1e-9, lr=0.01, epochs=1, batch=20).isnan().all()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"level": 0.0}, "level"),
        ({"level": math.nan}, "level"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seed"),
        ({"method": "newton"}, "method"),
        ({"problem": None}, "FlatProblem"),
        ({"lr": -1.0}, "lr"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_bad_arguments(change, what):
    given = {"method": "sgd", "problem": PROBLEM, "seeds": [0], "level": 1.0, "lr": 0.1, "epochs": 1} | change
    with pytest.raises(ValueError, match=what):
        gap_at_level(given.pop("method"), given.pop("problem"), given.pop("seeds"), **given)
