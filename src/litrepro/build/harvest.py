"""What the executed notebooks say: their claims and their recorded tables, read from output metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litrepro.build import notebooks
from litrepro.claims import MIME
from litrepro.results import TABLE_MIME


def payloads(pair: notebooks.Pair, mime: str) -> Iterator[dict[str, Any]]:
    """Payloads of one kind in a notebook's executed copy, in order."""
    for cell in notebooks.read_executed(pair).cells:
        for output in cell.get("outputs", []):
            payload = output.get("metadata", {}).get(mime)
            if payload is not None:
                yield dict(payload)


def claims_in(pair: notebooks.Pair) -> list[dict[str, Any]]:
    """Claims that a notebook's executed copy judges, each with its ``page`` and ``anchor``."""
    found = []
    for payload in payloads(pair, MIME):
        found.append(payload | {"page": pair.key, "anchor": f"claim-{payload['id']}"})
    return found


def tables_in(pair: notebooks.Pair) -> list[dict[str, Any]]:
    """Full-scale tables that a notebook asked for, and whether they were recorded, stale or missing."""
    return [payload | {"page": pair.key} for payload in payloads(pair, TABLE_MIME)]


def verdicts(book: Path) -> list[dict[str, Any]]:
    """Every judged claim of the book, in the order of its chapters, from the executed notebooks alone.

    Raises ``ValueError`` naming the file if an executed notebook cannot be read.
    """
    found = []
    for pair in notebooks.discover(book):
        if pair.folder and pair.executed.is_file():
            found += claims_in(pair)
    return found
