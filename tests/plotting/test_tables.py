"""Counts in tables."""

import pandas as pd
import pytest

from litrepro.plotting import counted


def test_counts_are_whole_and_what_was_not_reached_says_so():
    table = pd.DataFrame(
        {("steps", 1): [90.0, float("inf")], ("loss", 1): [0.5, 0.25], "n": [1234, 5]}, index=["a", "b"]
    )
    shown = counted(table, [("steps", 1)])
    assert shown["steps", 1].tolist() == ["90", "not reached"]
    assert shown["loss", 1].tolist() == [0.5, 0.25]
    assert counted(table[["n"]]).n.tolist() == ["1,234", "5"]
    assert counted(pd.DataFrame({"k": [float("nan")]}), never="-").k.tolist() == ["-"]
    assert table["steps", 1].iloc[0] == 90.0  # the table itself is as it was


def test_a_column_that_is_not_there():
    with pytest.raises(ValueError, match="no column 'k'"):
        counted(pd.DataFrame({"n": [1]}), ["k"])
