"""Record full-scale results: the notebooks' ``.py`` as plain scripts, one process each, without Jupyter."""

from __future__ import annotations

import ast
import dataclasses
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litrepro import results
from litrepro.build import execute, harvest, notebooks


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

    Whether a recorded table is stale is what the notebook's last quick execution found. A source that cannot be read
    is one broken table without a name.
    """
    found = []
    for pair in pairs:
        try:
            source = pair.source.read_text(encoding="utf-8")
            calls = notebooks.chapter_calls(source, ("save", "table"))
        except (ValueError, SyntaxError):
            found.append(Recording(pair, "?", "broken", None))
            continue
        seen = _states(pair)
        for name in dict.fromkeys(call.args[0].value for call in calls):
            try:
                recorded = results.load_table(pair.source.parent / "results", name)
            except (ValueError, TypeError):
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
    if limit:  # an experiment that keeps checkpoints ends in time, with its tables written, before it would be killed
        environment.setdefault("LITREPRO_MINUTES", f"{limit / 60 * 0.85:.2f}")
    package = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    if smoke:  # what an earlier smoke run kept may be of other code or other data
        scratch = Path(os.environ.get("LITREPRO_SCRATCH") or pair.book / "_build" / "scratch")
        shutil.rmtree(scratch / "smoke" / pair.key, ignore_errors=True)
    started = time.perf_counter()
    try:
        command = [sys.executable, str(pair.source)]
        status = subprocess.run(command, cwd=pair.source.parent, env=environment, timeout=limit, check=False).returncode
    except subprocess.TimeoutExpired:
        status = 124
    return status, time.perf_counter() - started


def record_on_cluster(
    pairs: list[notebooks.Pair], scheduler: str, *, smoke: bool = False, limit: float | None = None
) -> Iterator[tuple[notebooks.Pair, int, float]]:
    """As ``record``, spread over the workers of a ``dask.distributed`` cluster; yields each notebook when it is done.

    A worker needs a checkout of the same commit, found as ``litrepro.runtime.find_book`` does. What it records comes
    back with its result, so that it need not share a file system with this machine. The notebook of a worker that is
    lost runs again on another one; 1 is the status of a notebook that no worker could finish.
    """
    from dask.distributed import Client, as_completed

    with Client(scheduler, timeout=execute.SCHEDULER_WAIT) as client:
        futures = {}
        for pair in pairs:
            key = f"litrepro-record-{pair.key}-{os.urandom(4).hex()}"
            futures[client.submit(record_job, pair.key, smoke, limit, key=key, pure=False)] = pair
        for future in as_completed(list(futures)):
            pair = futures[future]
            try:
                found = future.result()
            except Exception as error:
                print(f"{pair.key}: {type(error).__name__}: {error}", file=sys.stderr)
                yield pair, 1, 0.0
                continue
            for name, content in found["files"].items():
                results.write_atomically(pair.source.parent / "results" / name, content)
            yield pair, found["status"], found["seconds"]


def record_job(key: str, smoke: bool, limit: float | None) -> dict[str, Any]:
    """One notebook on a worker: its status, seconds, and the files that it wrote to its chapter's results."""
    from litrepro import runtime

    (pair,) = (found for found in notebooks.discover(runtime.find_book(), [key]) if found.key == key)
    folder = pair.source.parent / "results"
    before = _contents(folder)
    status, seconds = record(pair, smoke=smoke, limit=limit)
    written = {name: content for name, content in _contents(folder).items() if before.get(name) != content}
    return {"status": status, "seconds": seconds, "files": written}


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.suffix in (".csv", ".json")}
