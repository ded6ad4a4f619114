"""Stacked training equals training one network at a time."""

import math

import pandas as pd
import pytest
import torch
from torch.nn import functional

from litrepro.nets import StackedMLP
from litrepro.optim import Uniform, rule
from litrepro.training import (
    draw_splits,
    expected_best,
    paired_difference,
    seconds_per_step,
    summarize_runs,
    train_stacked,
)

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(40, 3, generator=GENERATOR)
Y = torch.randint(3, (40,), generator=GENERATOR)
WIDTHS = (3, 8, 3)


def test_splits_partition_and_cover():
    splits = draw_splits(40, [0, 1, 5], train=30, batch=10, steps=7)
    for k in range(3):
        assert sorted(torch.cat([splits.train[k], splits.test[k]]).tolist()) == list(range(40))
        assert sorted(splits.batches[k, :3].flatten().tolist()) == sorted(splits.train[k].tolist())
    assert torch.equal(draw_splits(40, [5], train=30, batch=10, steps=7).batches[0], splits.batches[2])
    assert not torch.equal(splits.train[0], splits.train[1])


@pytest.mark.parametrize("name", ["sgd", "nag", "adam"])
def test_every_trial_is_its_own_network(name):
    splits = draw_splits(40, [0, 1], train=30, batch=10, steps=6)
    runs = train_stacked(X, Y, splits, rule(name), [0.01, 0.1], WIDTHS, record_every=4)
    assert sorted(runs.step.unique()) == [0, 4, 6]
    seeds = StackedMLP(WIDTHS, trials=2, generator=torch.Generator().manual_seed(0))
    for seed in range(2):
        for lr in (0.01, 0.1):
            model = StackedMLP(WIDTHS)
            for target, source in zip(model.parameters(), seeds.parameters()):
                target.data = source.data[seed : seed + 1].clone()
            optimizer = Uniform(model.parameters(), name, lr)
            for rows in splits.batches[seed]:

                def closure(rows=rows, model=model, optimizer=optimizer):
                    optimizer.zero_grad()
                    functional.cross_entropy(model(X[rows])[0], Y[rows]).backward()

                optimizer.step(closure)
            last = runs[(runs.seed == seed) & (runs.lr == lr) & (runs.step == 6)].iloc[0]
            train, test = splits.train[seed], splits.test[seed]
            expected = functional.cross_entropy(model(X[train])[0], Y[train]).item()
            assert last.train_loss == pytest.approx(expected, rel=1e-4)
            accuracy = (model(X[test])[0].argmax(-1) == Y[test]).double().mean().item()
            assert last.test_accuracy == pytest.approx(accuracy, abs=1e-6)


def test_the_batch_loss_is_that_of_the_next_batch_before_it_is_used():
    splits = draw_splits(40, [0], train=30, batch=10, steps=2)
    runs = train_stacked(X, Y, splits, rule("sgd"), [0.5], WIDTHS, record_every=1, init_seed=7)
    model = StackedMLP(WIDTHS, trials=1, generator=torch.Generator().manual_seed(7))
    optimizer, expected = torch.optim.SGD(model.parameters(), lr=0.5), []
    for rows in (*splits.batches[0], None):
        rows = splits.batches[0, -1] if rows is None else rows  # at the end there is no next one
        loss = functional.cross_entropy(model(X[rows])[0], Y[rows])
        expected.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert runs.batch_loss.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_time_is_the_best_of_the_repeats_over_the_number_of_steps(monkeypatch):
    splits = draw_splits(40, [0], train=30, batch=10, steps=3)
    assert seconds_per_step(X, Y, splits, rule("sgd"), 0.1, WIDTHS, repeats=1) > 0
    readings = iter([0.0, 9.0, 20.0, 26.0, 30.0, 42.0])
    monkeypatch.setattr("time.process_time", lambda: next(readings))
    assert seconds_per_step(X, Y, splits, rule("sgd"), 0.1, WIDTHS, repeats=3) == pytest.approx(2.0)


@pytest.mark.parametrize("keywords", [{"batch": 50}, {"train": 41}, {"steps": 0}, {"seeds": []}, {"n": 0}])
def test_bad_splits(keywords):
    with pytest.raises(ValueError):
        draw_splits(**({"n": 40, "seeds": [0], "train": 30, "batch": 10, "steps": 3} | keywords))


def test_expected_best_by_enumeration():
    values = torch.tensor([3.0, 1.0, 2.0])
    two = torch.cartesian_prod(values, values).min(1).values.mean().item()
    three = torch.cartesian_prod(values, values, values).min(1).values.mean().item()
    torch.testing.assert_close(expected_best(values, 3), torch.tensor([2.0, two, three], dtype=torch.float64))
    assert expected_best(values.expand(4, 3), 2).shape == (4, 2)
    for bad in (torch.tensor([1.0, math.nan]), torch.empty(0), torch.tensor([1, 2])):
        with pytest.raises(ValueError):
            expected_best(bad, 2)


def test_summaries():
    steps = [0, 20, 40, 60, 80]
    run = pd.DataFrame({"rule": "a", "lr": 0.1, "seed": 0, "step": steps, "test_accuracy": 0.5})
    run["train_loss"], run["batch_loss"] = [5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 1.0, 2.0, 1.0]
    row = summarize_runs(run).iloc[0]
    assert (row.auc, row.final, row.late, row.roughness, row.roughness_train, row.turns) == (
        3.0,
        1.0,
        2.5,
        2.0,
        0.0,
        1.0,
    )


def test_a_diverged_run_is_never_the_best():
    run = pd.DataFrame({"rule": "a", "lr": 1.0, "seed": 0, "step": [0, 1, 2], "test_accuracy": [0.5, 0.5, math.nan]})
    run["train_loss"] = run["batch_loss"] = [2.0, 1.0, math.nan]
    row = summarize_runs(run).iloc[0]
    assert row.auc == row.final == row.late == math.inf
    assert row[["test_accuracy", "roughness", "turns"]].isna().all()
    pairs = pd.DataFrame({"rule": ["a", "b"] * 3, "seed": [0, 0, 1, 1, 2, 2], "final": [1.0, math.nan, 3, 1, 4, 2]})
    assert all(math.isnan(number) for number in paired_difference(pairs, "final", {"rule": "a"}, {"rule": "b"}))


def test_paired_differences():
    table = pd.DataFrame({"rule": ["a", "a", "b", "b"], "seed": [0, 1, 1, 0], "final": [1.0, 2.0, 4.0, 2.0]})
    mean, error = paired_difference(table, "final", {"rule": "a"}, {"rule": "b"})
    assert (mean, error) == (-1.5, 0.5)
    with pytest.raises(ValueError, match="same seeds"):
        paired_difference(table[:3], "final", {"rule": "a"}, {"rule": "b"})


@pytest.mark.parametrize("missing", [math.nan, None])
def test_runs_without_a_setting_are_kept(missing):
    runs = pd.DataFrame([
        {"rule": rule, "beta": beta, "seed": s, "step": t, "batch_loss": 0, "train_loss": loss - t, "test_accuracy": 0}
        for rule, beta, loss in (("sgd", missing, 5.0), ("adam", 0.9, 3.0), ("adam", 0.5, 7.0))
        for s in (0, 1) for t in (0, 1)
    ])  # fmt: skip
    found = summarize_runs(runs, by=("rule", "beta", "seed"))
    assert found.rule.tolist() == ["sgd", "adam", "adam"] * 2 or found.rule.tolist() == ["sgd"] * 2 + ["adam"] * 4
    assert found.sort_values(["rule", "beta", "seed"]).final.tolist() == [6.0, 6.0, 2.0, 2.0, 4.0, 4.0]
    assert found.beta.isna().tolist() == (found.rule == "sgd").tolist()
    alone = summarize_runs(runs, by=["beta"])
    assert alone.auc.tolist() == [4.5, 2.5, 6.5]
