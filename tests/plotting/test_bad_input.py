"""What cannot be drawn is refused before anything is drawn."""

import pandas as pd
import pytest

from litrepro.plotting import band, curves, figure, frames, heatmap, reference_slope, sweep

plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")
TABLE = pd.DataFrame({"n": [1, 1, 2], "error": [3.0, 4.0, 5.0]})


@pytest.fixture(scope="module")
def ax():
    drawing, axes = figure()
    yield axes
    plt.close(drawing)


@pytest.mark.parametrize(
    "call",
    [
        lambda ax: curves(None, "n", "error", ax=ax),
        lambda ax: curves(TABLE, "n", "loss", ax=ax),
        lambda ax: curves(TABLE, "n", "error", "method", ax=ax),
        lambda ax: curves(TABLE, "n", "error", ax=None),
        lambda ax: curves(TABLE, "n", "error", ax=ax, error="two"),
        lambda ax: sweep(TABLE, "m", "error", None, ax=ax),
        lambda ax: band([1], [1.0], [0.5], ax=ax),
        lambda ax: band([1], [1.0], ax="axes"),
        lambda ax: reference_slope(ax, (0, 1), 1.0, 1.0, "slope"),
        lambda ax: reference_slope(ax, (1, 2, 3), 1.0, 1.0, "slope"),
        lambda ax: reference_slope(ax, (1, 2), "high", 1.0, "slope"),
        lambda ax: heatmap(TABLE, "n", "m", "error", ax=ax),
        lambda ax: figure(0),
        lambda ax: figure(height="tall"),
        lambda ax: frames({"a": None}, label="n", alt="", name="a"),
        lambda ax: frames({"a": ax.figure}, label="n", alt=None, name="a"),
    ],
)
def test_refused(call, ax):
    with pytest.raises(ValueError, match="must"):
        call(ax)
    assert not ax.lines


def test_a_level_of_the_index_is_a_column(ax):
    curves(TABLE.set_index("n"), "n", "error", ax=ax)
    assert ax.lines[0].get_xdata().tolist() == [1, 2]
    ax.clear()
