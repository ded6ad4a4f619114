"""The scoreboard: every claim of the book with its verdict, from the executed notebooks alone."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from litrepro import runtime
from litrepro.build import harvest
from litrepro.show import badge

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

ORDER = ("reproduced", "partly", "not reproduced", "not run")
COLOURS = {"reproduced": "#009E73", "partly": "#E69F00", "not reproduced": "#D55E00", "not run": "#8c8c8c"}


def load(book: Path | None = None) -> pd.DataFrame:
    """One row per claim: its ledger entry, verdict, value, and the page and anchor of the cell that judges it."""
    import pandas as pd

    columns = ["chapter", "notebook", "id", "kind", "claim", "source", "verdict", "profile_needed", "profile", "value"]
    columns += ["reported", "note", "page", "anchor", "at_full_scale"]
    return pd.DataFrame(harvest.verdicts(book or runtime.find_book()), columns=columns)


def counts(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """Number of claims by ``by`` (rows) and verdict (columns, in a fixed order)."""
    import pandas as pd

    table = pd.crosstab(frame[by], frame["verdict"]).reindex(columns=list(ORDER), fill_value=0)
    table.columns.name = None
    return table


def table(frame: pd.DataFrame) -> Any:
    """The filterable table as an IPython display object."""
    from IPython.display import HTML

    names = ("Verdict", "Chapter", "Kind", "Claim", "Measured", "Reported", "Note")
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(_row(row) for row in frame.to_dict("records"))
    return HTML(
        '<div class="lr-board"><div class="lr-filters"></div><p class="lr-count"></p>'
        f'<div class="lr-scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>'
    )


def _row(claim: dict[str, Any]) -> str:
    link = f'<a href="{escape(claim["page"])}.html#{escape(claim["anchor"])}">{escape(claim["claim"])}</a>'
    cells = (
        _verdicts(claim["verdict"], claim["at_full_scale"]),
        escape(claim["chapter"]),
        escape(claim["kind"]),
        link,
        escape(short(claim["value"])),
        escape(claim["reported"] or "-"),
        escape(claim["note"]),
    )
    data = " ".join(f'data-{key}="{escape(claim[key])}"' for key in ("chapter", "kind", "verdict"))
    return f"<tr {data}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _verdicts(quick: str, full: Any) -> str:
    """The badge, and below it the verdict of the recorded run where that is another one."""
    other = full if isinstance(full, str) and full != quick else None
    return badge(quick) + (f'<br><span class="lr-remark">at full scale: {escape(other)}</span>' if other else "")


def short(value: Any, limit: int = 160) -> str:
    """A value for people: three significant digits, names kept, cut at ``limit`` characters."""
    text = _plain(value)
    return text if len(text) <= limit else text[: limit - 1].rstrip(" ,;") + "…"


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return "; ".join(f"{_label(key)}: {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return str(value)


def _label(key: str) -> str:
    """A name as it is, a number that became one (JSON has no other keys) as short as any other number."""
    if key.lstrip("-").isdigit():
        return key
    try:
        return f"{float(key):.3g}"
    except ValueError:
        return key
