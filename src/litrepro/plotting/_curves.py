"""Lines with bands: loss against step, error against size, success against samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from litrepro import _validate
from litrepro.plotting._theme import PALETTE

if TYPE_CHECKING:
    import pandas as pd

ERRORS = ("se", "sd", "range", "quartiles", "none")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def curves(
    frame: pd.DataFrame,
    x: str,
    y: str,
    hue: str | None = None,
    *,
    ax: Any,
    error: str = "se",
    order: list | None = None,
    labels: Mapping[Any, str] | None = None,
    markers: bool = False,
    logx: bool = False,
    logy: bool = False,
    **line: Any,
) -> Any:
    """Draw the mean of column ``y`` against ``x``, one line per value of ``hue``, with a band over repetitions.

    Parameters
    ----------
    frame
        Tidy table; rows with equal ``x`` and ``hue`` are repetitions (seeds, trials).
    error
        ``"se"`` two standard errors, ``"sd"`` one standard deviation, ``"range"``, ``"quartiles"`` (then the line is
        the median), or ``"none"``.
    order, labels
        Values of ``hue`` in the order of the legend, and their names.

    Returns
    -------
    The axes. Colours follow the order of the lines, and so do markers if asked for.

    Raises
    ------
    ValueError
        A frame that is none or lacks a column, an unknown ``error``, axes that are none.
    """
    check_columns(frame, x, y, hue)
    check_axes(ax)
    _validate.choice("error", error, ERRORS)
    values = [None] if hue is None else list(order if order is not None else dict.fromkeys(frame[hue]))
    for index, value in enumerate(values):
        part = frame if hue is None else frame[frame[hue] == value]
        groups = part.groupby(x)[y]
        middle = groups.median() if error == "quartiles" else groups.mean()
        low, high = _limits(groups, middle, error)
        style = {"color": PALETTE[index % len(PALETTE)]}
        if markers:
            style.update(marker=MARKERS[index % len(MARKERS)], markersize=4.5)
        style.update(line)
        label = None if hue is None else (labels or {}).get(value, str(value))
        band(middle.index, middle, low, high, ax=ax, label=label, **style)
    if logx:
        ax.set_xscale("log")
    if logy:
        ax.set_yscale("log")
    return ax


def check_columns(frame: Any, *names: Any) -> None:
    """A table with these columns or levels of its index; None is no name."""
    levels = _validate.table("frame", frame).index.names
    _validate.table("frame", frame, [name for name in names if name is not None and name not in levels])


def check_axes(ax: Any) -> None:
    """Axes of matplotlib."""
    if not hasattr(ax, "plot"):
        raise ValueError(f"ax must be matplotlib axes, got {type(ax).__name__}")


def _limits(groups: Any, middle: Any, error: str) -> tuple[Any, Any]:
    if error == "none":
        return None, None
    if error == "range":
        return groups.min(), groups.max()
    if error == "quartiles":
        return groups.quantile(0.25), groups.quantile(0.75)
    spread = groups.std().fillna(0.0)
    if error == "se":
        spread = 2 * spread / groups.count() ** 0.5
    return middle - spread, middle + spread


def band(x: Any, middle: Any, low: Any = None, high: Any = None, *, ax: Any, label: str | None = None, **line: Any):
    """A line with a shaded band between ``low`` and ``high`` (none if they are None).

    Raises ``ValueError`` for axes that are none, and for one limit without the other.
    """
    check_axes(ax)
    if (low is None) != (high is None):
        raise ValueError("low and high must come together, got only one of them")
    (drawn,) = ax.plot(x, middle, label=label, **line)
    if low is not None:
        ax.fill_between(x, low, high, color=drawn.get_color(), alpha=0.18, linewidth=0)
    return drawn


def sweep(frame: pd.DataFrame, x: str, y: str, hue: str, **keywords: Any) -> Any:
    """``curves`` for a parameter sweep: logarithmic x axis, markers at the values that were run."""
    return curves(frame, x, y, hue, **({"logx": True, "markers": True, "error": "se"} | keywords))


def reference_slope(ax: Any, x: tuple[float, float], anchor: float, slope: float, label: str) -> None:
    """A dashed line y = anchor (x / x_0)^slope on logarithmic axes, the rate that theory predicts.

    Raises ``ValueError`` unless x holds two positive numbers, and for an anchor or a slope that is no number.
    """
    check_axes(ax)
    if len([_validate.real("x", value, 0, open_low=True) for value in _validate.sequence("x", x)]) != 2:
        raise ValueError(f"x must be the two ends of the line, got {len(x)} numbers")
    for name, value in (("anchor", anchor), ("slope", slope)):
        if not hasattr(value, "__float__"):  # nan draws nothing
            raise ValueError(f"{name} must be a number, got {value!r}")
    ends = [anchor, anchor * (x[1] / x[0]) ** slope]
    ax.plot(x, ends, linestyle="--", color="0.35", linewidth=1.2, label=label)
