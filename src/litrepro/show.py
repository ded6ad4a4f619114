"""How a claim, a recorded table and a ledger look in a notebook.

The text and the HTML are what nbval compares, so they hold words only, no measured number; the machine-readable
payload rides in the output's metadata, which nbval ignores and papermill and jupytext keep.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from html import escape
from typing import Any

from litrepro.claims import MIME, Claim
from litrepro.results import TABLE_MIME


def _display(text: str, html: str, metadata: dict[str, Any]) -> None:
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(text)
        return
    from IPython.display import display

    display({"text/plain": text, "text/html": html}, raw=True, metadata=metadata)


def badge(verdict: str) -> str:
    """The HTML of a verdict's badge."""
    return f'<span class="lr-badge lr-badge-{escape(verdict.replace(" ", "-"))}">{escape(verdict)}</span>'


def claim(payload: dict[str, Any]) -> None:
    """Show a judged claim: one stable line as text, a badge with claim and criterion as HTML, the payload aside."""
    verdict = payload["verdict"]
    remarks = []
    if payload.get("reason"):
        remarks.append(payload["reason"])
    if payload["recorded"]:
        remarks.append("recorded at full scale")
    if payload.get("at_full_scale") not in (None, verdict):
        remarks.append(f"at full scale: {payload['at_full_scale']}")
    if payload.get("stale") and remarks:
        remarks[-1] += ", stale: its configuration is no longer the one of this notebook"
    if verdict != "not run" and payload["ledger"] not in (verdict, "open"):
        remarks.append(f"the ledger says: {payload['ledger']}")
    aside = f" ({'; '.join(remarks)})" if remarks else ""
    text = f"[{verdict}] {payload['chapter']}/{payload['id']}{aside}"
    rows = [f'<span class="lr-kind">{escape(payload["kind"])}</span> {escape(payload["claim"])}']
    details = [("Source", payload["source"]), ("Reported", payload["reported"]), ("Criterion", payload["criterion"])]
    rows += [
        f'<span class="lr-criterion"><b>{name}:</b> {escape(value)}</span>'
        for name, value in details
        if value and value != "-"
    ]
    if remarks:
        rows.append(f'<span class="lr-remark">{escape("; ".join(remarks))}</span>')
    html = f'<div class="lr-claim" id="claim-{escape(payload["id"])}">{badge(verdict)} {"<br>".join(rows)}</div>'
    _display(text, html, {MIME: payload})


def table(payload: dict[str, Any]) -> None:
    """Show in one line whether a full-scale table is recorded, stale or missing."""
    name, state = payload["table"], payload["state"]
    if state == "missing":
        text = f"Full-scale table {name}: not recorded yet; only the quick run is shown."
    else:
        text = f"Full-scale table {name}: recorded on {payload['device']}, {payload['date']}."
        if state == "stale":
            text += " It is stale: its configuration is no longer the one of this notebook."
    html = f'<p class="lr-table lr-table-{state}">{escape(text)}</p>'
    _display(text, html, {TABLE_MIME: payload})


def ledger(entries: Mapping[str, Claim], pages: Mapping[str, str]) -> None:
    """Show a chapter's ledger as one table; ``pages`` maps a claim to the notebook that judges it."""
    head = "".join(f"<th>{name}</th>" for name in ("Verdict", "Kind", "Claim", "Source", "Reported", "Note"))
    lines, body = [], []
    for entry in entries.values():
        name = escape(entry.claim)
        if entry.id in pages:
            name = f'<a href="{pages[entry.id]}.html#claim-{entry.id}">{name}</a>'
        cells = (badge(entry.verdict), escape(entry.kind), name, escape(entry.source), escape(entry.reported or "-"))
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + f"<td>{escape(entry.note)}</td></tr>")
        lines.append(f"[{entry.verdict}] {entry.id}: {entry.claim}")
    html = (
        '<div class="lr-scroll"><table class="lr-ledger"><thead><tr>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )
    _display("\n".join(lines), html, {})
