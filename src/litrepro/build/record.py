"""Record full-scale results: the notebooks' ``.py`` as plain scripts, one process each, without Jupyter."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litrepro import results, runtime
from litrepro.build import environment, execute, harvest, notebooks


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
    is one broken table without a name. A name that is computed stands for the tables recorded by this notebook that
    fit it; where there is none it is listed as a pattern, ``phase-*``.
    """
    found = []
    for pair in pairs:
        try:
            tree = ast.parse(notebooks.python_of(pair.source.read_text(encoding="utf-8")))
        except (ValueError, SyntaxError):
            found.append(Recording(pair, "?", "broken", None))
            continue
        seen, estimate = _states(pair), _minutes(tree)
        for name in _names(pair, tree):
            try:
                recorded = None if "*" in name else results.load_table(pair.source.parent / "results", name)
            except (ValueError, TypeError):
                found.append(Recording(pair, name, "broken", estimate))
                continue
            if recorded is None:
                found.append(Recording(pair, name, "missing", estimate))
                continue
            state = "stale" if seen.get(name) == "stale" else "recorded"
            minutes = _in_minutes(recorded.provenance.get("seconds"), 60)
            found.append(Recording(pair, name, state, minutes, str(recorded.provenance.get("device", ""))))
    return found


def _names(pair: notebooks.Pair, tree: ast.AST) -> list[str]:
    """Tables that a source saves, in order; patterns for computed names of which no table is recorded."""
    names: dict[str, None] = {}
    for pattern in map(_pattern, notebooks.calls_of_chapter(tree, ("save", "table"))):
        fits = _recorded(pair, pattern) if "*" in pattern else []
        names |= dict.fromkeys(fits or [pattern])
    return list(names)


def _pattern(call: ast.Call) -> str:
    """The table's name, with ``*`` for what is computed in it."""
    name = call.args[0]
    parts = name.values if isinstance(name, ast.JoinedStr) else [name]
    texts = [part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "*" for part in parts]
    return re.sub(r"\*+", "*", "".join(texts))


def _recorded(pair: notebooks.Pair, pattern: str) -> list[str]:
    """Tables of the chapter that fit a pattern and that this notebook recorded; one that cannot be read counts."""
    found = []
    for path in sorted((pair.source.parent / "results").glob(f"{pattern}.csv")):
        try:
            recorded = results.load_table(path.parent, path.stem)
            if recorded is not None and recorded.provenance.get("notebook") == pair.name:
                found.append(path.stem)
        except (ValueError, TypeError):
            found.append(path.stem)
    return found


def _states(pair: notebooks.Pair) -> dict[str, str]:
    if not pair.executed.is_file():
        return {}
    try:
        return {payload["table"]: payload["state"] for payload in harvest.tables_in(pair)}
    except ValueError:
        return {}


def _minutes(tree: ast.AST) -> float | None:
    """The estimate that a notebook gives when it opens its chapter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Chapter":
            for keyword in node.keywords:
                if keyword.arg == "full_minutes" and isinstance(keyword.value, ast.Constant):
                    return _in_minutes(keyword.value.value, 1)
    return None


def _in_minutes(value: Any, per_minute: float) -> float | None:
    """A number in minutes, None for what is none."""
    return value / per_minute if isinstance(value, int | float) and not isinstance(value, bool) else None


def record(pair: notebooks.Pair, *, smoke: bool = False, limit: float | None = None) -> tuple[int, float]:
    """Run a notebook's source in the full profile; returns exit status (124: past ``limit`` seconds) and seconds.

    Long experiments keep checkpoints (``ch.scratch``), so running the same command again continues where this stopped;
    the status of one that ended itself to be continued is ``runtime.PAUSED``. Whatever interrupts this function ends
    the notebook's process, and those that it started, as well.
    """
    variables = {**os.environ, "LITREPRO_PROFILE": "full", "LITREPRO_BOOK": str(pair.book)}
    variables["LITREPRO_SMOKE"] = "1" if smoke else ""
    environment.make_absolute(variables)
    if limit:  # an experiment that keeps checkpoints ends in time, with its tables written, before it would be killed
        variables.setdefault("LITREPRO_MINUTES", f"{limit / 60 * 0.85:.2f}")
    package = str(Path(__file__).resolve().parents[2])
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    if smoke:  # what an earlier smoke run kept may be of other code or other data
        scratch = Path(variables.get("LITREPRO_SCRATCH") or pair.book / "_build" / "scratch")
        shutil.rmtree(scratch / "smoke" / pair.key, ignore_errors=True)
    started = time.perf_counter()
    command = [sys.executable, str(pair.source.absolute())]
    process = subprocess.Popen(command, cwd=pair.source.parent, env=variables, start_new_session=True)
    try:
        status = process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        execute.kill(process)
        status = 124
    except BaseException:
        execute.kill(process)
        raise
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
    (pair,) = (found for found in notebooks.discover(runtime.find_book(), [key]) if found.key == key)
    folder = pair.source.parent / "results"
    before = _contents(folder)
    status, seconds = record(pair, smoke=smoke, limit=limit)
    written = {name: content for name, content in _contents(folder).items() if before.get(name) != content}
    return {"status": status, "seconds": seconds, "files": written}


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.suffix in (".csv", ".json")}
