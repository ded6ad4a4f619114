"""Sufficient numbers for sums of norms, by the formula in plain loops, and the error of thresholds."""

import math

import pandas as pd
import pytest

from litrepro.recovery import gaussian_distance_sq, success_threshold, sufficient_for_sum, threshold_error


@pytest.mark.parametrize(("norm", "weight"), [("l1", 0.7), ("l12", 1.5)])
def test_the_formula_of_theorem_51(norm, weight):
    d, k, w, t = 9, 3, 2.0, 1.0
    values = []
    for i in range(1, 60):
        a = 0.25 * i
        sparse = math.sqrt(gaussian_distance_sq(norm, d, a, k=k))
        for j in range(9):
            b = math.sqrt(d) * (0.6 + 0.2 * j)
            nuclear = math.sqrt(gaussian_distance_sq("nuclear", d, b, rank=1, samples=20))
            share = (weight / a) / (weight / a + w / b)
            values.append((share * sparse + (1 - share) * nuclear + t) ** 2 + 1)
    assert sufficient_for_sum(d, {norm: weight, "nuclear": w}, k=k, t=t) == pytest.approx(min(values))


def test_more_certainty_costs_measurements_and_scaling_weights_nothing():
    few = sufficient_for_sum(12, {"l1": 1.0, "nuclear": 2.0}, k=3, t=0.0)
    assert sufficient_for_sum(12, {"nuclear": 20.0, "l1": 10.0}, k=3, t=0.0) == pytest.approx(few)
    assert sufficient_for_sum(12, {"l1": 1.0, "nuclear": 2.0}, k=3) > few


@pytest.mark.parametrize(
    "weights",
    [
        {"l1": 1.0},
        {"nuclear": 1.0},
        {"l1": 1.0, "l12": 1.0},
        {"l1": 1.0, "l12": 1.0, "nuclear": 1.0},
        {"l1": 0.0, "nuclear": 1.0},
        {"l1": 1.0, "nuclear": -1.0},
        {"l1": 1.0, "nuclear": "one"},
        {"l2": 1.0, "nuclear": 1.0},
        [1.0, 1.0],
        None,
    ],
)
def test_weights_that_are_none_of_such_a_sum(weights):
    with pytest.raises(ValueError, match="weights"):
        sufficient_for_sum(8, weights, k=2)


@pytest.mark.parametrize("options", [{"k": 9}, {"k": 0}, {"k": 2, "rank": 9}, {"k": 2, "t": -1.0}])
def test_sizes_that_do_not_fit(options):
    with pytest.raises(ValueError, match="must be"):
        sufficient_for_sum(8, {"l1": 1.0, "nuclear": 1.0}, **options)


def frame(trials=4):
    rows = [
        {"d": d, "trial": t, "m": m, "success": float(m > 10 * (1 + (t + d) % 3))}
        for d in (8, 9)
        for t in range(trials)
        for m in (10, 20, 30, 40)
    ]
    return pd.DataFrame(rows)


def test_error_is_that_of_a_mean_of_thresholds():
    table = frame()
    found = threshold_error(table)
    for d in (8, 9):
        own = [success_threshold(part)[d] for _, part in table[table.d == d].groupby("trial")]
        mean = sum(own) / 4
        assert found[d] == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in own) / 3 / 4))
        assert success_threshold(table)[d] == pytest.approx(mean)  # the threshold is linear in the successes
    renamed = table.rename(columns={"d": "beta"})
    assert threshold_error(renamed, "beta").tolist() == found.tolist()


def test_frames_without_a_spread():
    with pytest.raises(ValueError, match="two trials"):
        threshold_error(frame(1))
    with pytest.raises(ValueError, match="columns"):
        threshold_error(frame().drop(columns="trial"))
    with pytest.raises(ValueError, match="columns"):
        threshold_error(frame(), "beta")
