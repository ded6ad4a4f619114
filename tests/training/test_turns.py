"""Runs one by one: in order, until the time is up, and what is finished is kept."""

import pytest

from litrepro.training import train_in_turn


def test_all_runs_in_their_order():
    assert train_in_turn(list("abc"), str.upper) == (["A", "B", "C"], True)
    assert train_in_turn(iter(range(3)), lambda run: run) == ([0, 1, 2], True)  # 0 is a result, not an interruption


def test_an_interrupted_run_ends_the_list():
    begun = []

    def train(run):
        begun.append(run)
        return None if run == 2 else run

    assert train_in_turn([1, 2, 3], train) == ([1], False)
    assert begun == [1, 2]


def test_no_run_begins_after_the_time_is_up():
    begun = []

    def train(run):
        begun.append(run)
        return run

    assert train_in_turn([1, 2, 3], train, stop=lambda: len(begun) == 2) == ([1, 2], False)
    assert begun == [1, 2]
    assert train_in_turn([1], train, stop=lambda: True) == ([], False)


def test_progress_sees_all_runs():
    seen = []
    assert train_in_turn((1, 2), lambda run: -run, progress=lambda runs: seen.extend(runs) or runs) == ([-1, -2], True)
    assert seen == [1, 2]


@pytest.mark.parametrize(
    "arguments", [([], print), (None, print), ([1], None), ([1], print, {"stop": True}), ([1], print, {"progress": 3})]
)
def test_bad_input(arguments):
    runs, train, *rest = arguments
    with pytest.raises(ValueError, match=r"runs|train|stop|progress"):
        train_in_turn(runs, train, **(rest[0] if rest else {}))


def test_errors_of_a_run_are_its_own():
    with pytest.raises(ZeroDivisionError):
        train_in_turn([1, 0], lambda run: 1 / run)
