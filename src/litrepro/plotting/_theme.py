"""Sizes, fonts and colours of every figure in the book."""

from __future__ import annotations

from typing import Any

from litrepro import _validate

# Okabe and Ito's palette: eight colours that people with colour-vision deficiencies tell apart.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#6B6B6B", "#B8A800")
SEQUENTIAL = "viridis"
DIVERGING = "PuOr"
WIDTH = 7.2  # inches; a page's text column


# Seaborn's "whitegrid" style in its "notebook" context. As settings, because importing seaborn brings scipy.stats
# along, which costs every notebook more than half a second; a test compares them with seaborn's own.
WHITEGRID = {
    "axes.axisbelow": True,
    "axes.edgecolor": ".8",
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.labelcolor": ".15",
    "axes.linewidth": 1.25,
    "figure.facecolor": "white",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
    "font.size": 12.0,
    "grid.color": ".8",
    "grid.linestyle": "-",
    "lines.markersize": 6.0,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "patch.linewidth": 1.0,
    "text.color": ".15",
    **{f"{axis}tick.color": ".15" for axis in "xy"},
    **{f"{axis}tick.direction": "out" for axis in "xy"},
    **{f"{axis}tick.{which}.size": size for axis in "xy" for which, size in (("major", 6.0), ("minor", 4.0))},
    **{f"{axis}tick.{which}.width": width for axis in "xy" for which, width in (("major", 1.25), ("minor", 1.0))},
    **{
        f"{axis}tick.{side}": False
        for axis, sides in (("x", ("bottom", "top")), ("y", ("left", "right")))
        for side in sides
    },
}
OURS = {
    "figure.figsize": (WIDTH, 3.6),
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "figure.constrained_layout.use": True,
    "axes.formatter.useoffset": False,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
    "legend.frameon": False,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.cmap": SEQUENTIAL,
}


def theme() -> None:
    """Set the book's theme, seaborn's "whitegrid" in our sizes and colours; cheap to call again."""
    import matplotlib as mpl

    mpl.rcParams.update(WHITEGRID | OURS | {"axes.prop_cycle": mpl.cycler("color", PALETTE)})


def figure(rows: int = 1, columns: int = 1, *, height: float | None = None, width: float = WIDTH, **keywords: Any):
    """``plt.subplots`` in the book's size: ``height`` inches per row (default 3.6 for one column, 2.9 for more).

    Raises ``ValueError`` for counts that are not positive integers and sizes that are not positive.
    """
    rows, columns = _validate.positive_int("rows", rows), _validate.positive_int("columns", columns)
    if height is not None:
        _validate.real("height", height, 0, open_low=True)
    _validate.real("width", width, 0, open_low=True)
    import matplotlib.pyplot as plt

    height = height or (3.6 if columns == 1 else 2.9)
    return plt.subplots(rows, columns, figsize=(width, height * rows), layout="constrained", **keywords)
