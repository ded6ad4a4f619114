"""Record full-scale results: the notebooks' ``.py`` as plain scripts, one process each, without Jupyter."""

from __future__ import annotations

import ast
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

from litrepro import results
from litrepro.build import harvest, notebooks


@dataclasses.dataclass(frozen=True)
class Recording:
    """A table that a notebook records: its state (recorded, stale, missing, broken) and its estimated cost."""

    pair: notebooks.Pair
    table: str
    state: str
    minutes: float | None
    device: str = ""


def recordings(pairs: list[notebooks.Pair]) -> list[Recording]:
    """Every full-scale table of the given notebooks, read from their sources; nothing is executed.

    Whether a recorded table is stale is what the notebook's last quick execution found.
    """
    found = []
    for pair in pairs:
        source = pair.source.read_text(encoding="utf-8")
        seen = _states(pair)
        for name in dict.fromkeys(call.args[0].value for call in notebooks.chapter_calls(source, ("save", "table"))):
            try:
                recorded = results.load_table(pair.source.parent / "results", name)
            except results.ResultsError:
                found.append(Recording(pair, name, "broken", _minutes(source)))
                continue
            if recorded is None:
                found.append(Recording(pair, name, "missing", _minutes(source)))
                continue
            state = "stale" if seen.get(name) == "stale" else "recorded"
            minutes = recorded.provenance.get("seconds", 0) / 60
            found.append(Recording(pair, name, state, minutes, str(recorded.provenance.get("device", ""))))
    return found


def _states(pair: notebooks.Pair) -> dict[str, str]:
    if not pair.executed.is_file():
        return {}
    try:
        return {payload["table"]: payload["state"] for payload in harvest.tables_in(pair)}
    except ValueError:
        return {}


def _minutes(source: str) -> float | None:
    """The estimate that a notebook gives when it opens its chapter."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Chapter":
            for keyword in node.keywords:
                if keyword.arg == "full_minutes" and isinstance(keyword.value, ast.Constant):
                    return float(keyword.value.value)
    return None


def record(pair: notebooks.Pair, *, smoke: bool = False, limit: float | None = None) -> tuple[int, float]:
    """Run a notebook's source in the full profile; returns exit status (124: past ``limit`` seconds) and seconds.

    Long experiments keep checkpoints (``ch.scratch``), so running the same command again continues where this stopped.
    """
    environment = {**os.environ, "LITREPRO_PROFILE": "full", "LITREPRO_BOOK": str(pair.book)}
    environment["LITREPRO_SMOKE"] = "1" if smoke else ""
    package = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    started = time.perf_counter()
    try:
        command = [sys.executable, str(pair.source)]
        status = subprocess.run(command, cwd=pair.source.parent, env=environment, timeout=limit, check=False).returncode
    except subprocess.TimeoutExpired:
        status = 124
    return status, time.perf_counter() - started
