"""Compare a fresh execution with the committed copy: what a cell tagged ``nbval-check-output`` shows, and verdicts."""

from __future__ import annotations

from typing import Any

from litrepro.build import notebooks
from litrepro.claims import MIME, NOT_RUN

CHECK_TAG = "nbval-check-output"
UNAVAILABLE = "not available"  # in the reason of a claim that is not run for want of data
_COMPARED = ("text/plain", "text/html", "text/markdown", "text/latex")


def differences(pair: notebooks.Pair, fresh: Any) -> list[str]:
    """Every difference between ``fresh`` and the committed copy that matters, one line each, with the cell."""
    if not pair.executed.is_file():
        return ["there is no committed copy to compare with"]
    committed = notebooks.read_executed(pair)
    notebooks.clean(fresh)
    if notebooks.cells_of(fresh) != notebooks.cells_of(committed):
        return ["the committed copy was made from another source: run `litrepro run`"]
    found = []
    for number, (new, old) in enumerate(zip(fresh.cells, committed.cells, strict=True), start=1):
        if new.cell_type != "code":
            continue
        # A claim without data hides itself, and no other claim of its cell.
        new, old = (_without_claims(cell, _without_data(new, old)) for cell in (new, old))
        found += [f"cell {number}: {text}" for text in _verdict_changes(new, old)]
        if CHECK_TAG in new["metadata"].get("tags", []) and shown(new) != shown(old):
            found.append(f"cell {number}: its output changed\n--- committed\n{shown(old)}\n--- fresh\n{shown(new)}")
    return found


def skipped(pair: notebooks.Pair, fresh: Any) -> list[str]:
    """Claims that the committed copy judges and this machine cannot, for want of data: no differences, but said."""
    if not pair.executed.is_file():
        return []
    committed = notebooks.read_executed(pair)
    cells = zip(fresh.cells, committed.cells, strict=False)
    found = []
    for new, old in cells:
        if new.cell_type == "code":
            before = _verdicts(old)
            reasons = _without_data(new, old).items()
            found += [f"not run here: {claim} ({reason}); committed: {before[claim]}" for claim, reason in reasons]
    return found


def _without_data(new: Any, old: Any) -> dict[str, str]:
    """Ids of the claims of a cell that the committed copy judges and the fresh one cannot, with the reasons."""
    before = _verdicts(old)
    payloads = (output.get("metadata", {}).get(MIME) for output in new.get("outputs", []))
    return {
        payload["id"]: payload["reason"]
        for payload in payloads
        if payload
        and payload["verdict"] == NOT_RUN
        and UNAVAILABLE in payload.get("reason", "")
        and before.get(payload["id"], NOT_RUN) != NOT_RUN
    }


def _without_claims(cell: Any, ids: dict[str, str]) -> dict[str, Any]:
    """A cell with the outputs of some claims left out."""
    outputs = [o for o in cell.get("outputs", []) if (o.get("metadata", {}).get(MIME) or {}).get("id") not in ids]
    return {**cell, "outputs": outputs}


def shown(cell: Any) -> str:
    """What a reader sees of a cell's outputs as text: streams and text representations, no images, no metadata."""
    parts = []
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            parts.append(output["text"])
        elif output["output_type"] == "error":
            parts.append(f"{output['ename']}: {output['evalue']}")
        else:
            parts += [f"{kind}: {output['data'][kind]}" for kind in _COMPARED if kind in output.get("data", {})]
    return "\n".join(parts)


def _verdict_changes(new: Any, old: Any) -> list[str]:
    before, after = _verdicts(old), _verdicts(new)
    changed = [claim for claim in sorted(before.keys() | after.keys()) if before.get(claim) != after.get(claim)]
    return [
        f"verdict of {claim}: {before.get(claim)} in the committed copy, {after.get(claim)} now" for claim in changed
    ]


def _verdicts(cell: Any) -> dict[str, str]:
    payloads = (output.get("metadata", {}).get(MIME) for output in cell.get("outputs", []))
    return {payload["id"]: payload["verdict"] for payload in payloads if payload}
