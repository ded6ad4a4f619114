"""Heat maps: phase diagrams, spectra, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litrepro.plotting._curves import check_axes, check_columns
from litrepro.plotting._theme import SEQUENTIAL

if TYPE_CHECKING:
    import pandas as pd


def heatmap(
    frame: pd.DataFrame,
    x: str,
    y: str,
    value: str,
    *,
    ax: Any,
    cmap: str = SEQUENTIAL,
    vmin: float | None = 0.0,
    vmax: float | None = 1.0,
    label: str | None = None,
    colorbar: bool = True,
) -> Any:
    """Mean of ``value`` over the grid of ``x`` and ``y``; cells are drawn at their true coordinates.

    Returns the mesh, for a shared colour bar. Raises ``ValueError`` for a frame that is none or lacks a column, and for
    axes that are none.
    """
    check_columns(frame, x, y, value)
    check_axes(ax)
    grid = frame.pivot_table(index=y, columns=x, values=value, aggfunc="mean").sort_index()
    mesh = ax.pcolormesh(
        grid.columns.to_numpy(float),
        grid.index.to_numpy(float),
        grid.to_numpy(),
        cmap=cmap,
        vmin=vmin,
        vmax=vmax,
        shading="nearest",
    )
    ax.grid(False)
    ax.set(xlabel=x, ylabel=y)
    if colorbar:
        ax.figure.colorbar(mesh, ax=ax, label=label or value)
    return mesh


def corner_note(ax: Any, text: str) -> None:
    """A small note inside the axes, e.g. "quick run, 3 seeds"."""
    ax.text(0.98, 0.02, text, transform=ax.transAxes, ha="right", va="bottom", fontsize=8, color="0.35")
