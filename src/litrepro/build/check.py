"""Is the book in order? Every rule that can be checked without executing anything.

An *error* fails the build; a *warning* (a stale table) is shown and waits for the next full-scale run.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from litrepro import claims, results
from litrepro.build import execute, harvest, lessons, notebooks
from litrepro.build.compare import CHECK_TAG, shown

MAX_BYTES = 1_000_000
_RECORDED_VERDICTS = ".verdicts.json"  # behind the name of the notebook
TAGS = {
    "parameters",
    "hide-input",
    "hide-output",
    "hide-cell",
    "remove-input",
    "remove-output",
    "remove-cell",
    "full-width",
    "scroll-output",
    CHECK_TAG,
    "nbval-ignore-output",
    "nbval-skip",
    "nbval-raises-exception",
}
# Home, temporary and checkout folders in an output would differ on every machine (and tell whose it was).
_PATHS = re.compile(
    r"(?<![\w./])(?:/(?:home|root|Users|tmp|work|opt|mnt|usr|var|private)/[\w.\-]+|[A-Z]:\\\\?[\w.\-]+\\)"
)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something out of order: ``level`` (error or warning), ``where`` it is and ``what`` it is."""

    level: str
    where: str
    what: str


def check(book: Path, pairs: Iterable[notebooks.Pair]) -> list[Problem]:
    """Every problem of the given notebooks and of the ledgers and recorded tables of their chapters.

    Where all notebooks are given, of the table of contents and of ``lessons.yml`` as well.
    """
    pairs = list(pairs)
    known = notebooks.discover(book)
    found: list[Problem] = []
    for pair in pairs:
        found += [Problem("error", pair.key, what) for what in _pair_problems(pair)]
    for folder in sorted({pair.folder for pair in pairs if pair.folder}):
        found += list(_chapter_problems(book / folder, [pair for pair in known if pair.folder == folder]))
    found += list(_contents_problems(book, pairs, whole=set(pairs) == set(known)))
    if set(pairs) == set(known):
        found += [Problem("error", "book", f"{name}.ipynb has no source {name}.py") for name in _orphans(book)]
        found += list(_lessons_problems(book))
    return found


# --- the whole book -----------------------------------------------------------------------------------------------


def _orphans(folder: Path) -> list[str]:
    """Names of executed copies in a folder whose source is gone."""
    return sorted(path.stem for path in folder.glob("*.ipynb") if not path.with_suffix(".py").is_file())


def _contents_problems(book: Path, pairs: list[notebooks.Pair], *, whole: bool) -> Iterator[Problem]:
    """Notebooks that no entry of the table of contents leads to and, for the whole book, entries without a page."""
    path = book.parent / "_toc.yml"
    try:
        entries = list(_entries_of(yaml.safe_load(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, yaml.YAMLError) as error:
        yield Problem("error", path.name, f"cannot be read: {error}")
        return
    shown: set[str] = set()
    for entry in entries:
        try:
            pages = [page for end in ("", ".md", ".py", ".ipynb") for page in book.glob(entry.lstrip("/") + end)]
        except (ValueError, NotImplementedError) as error:
            yield Problem("error", path.name, f"{entry!r} is no page or pattern of pages: {error}")
            continue
        shown |= {page.relative_to(book).with_suffix("").as_posix() for page in pages}
        if whole and not pages:
            yield Problem("error", path.name, f"{entry} is no page of the book")
    for pair in pairs:
        if pair.key not in shown:
            yield Problem("error", pair.key, f"is not in {path.name}, so the book does not show it")


def _entries_of(contents: Any) -> Iterator[str]:
    """Every page, and pattern of pages, that a part of the table of contents names."""
    if isinstance(contents, list):
        for each in contents:
            yield from _entries_of(each)
    elif isinstance(contents, dict):
        for key, value in contents.items():
            if key in ("root", "file", "glob"):
                yield str(value)
            else:
                yield from _entries_of(value)


def _lessons_problems(book: Path) -> Iterator[Problem]:
    if not (book / "lessons.yml").is_file():
        return
    try:
        lacking = lessons.missing(lessons.table(book))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        yield Problem("error", "lessons", f"{error}")
        return
    for claim in lacking:
        yield Problem(
            "error", "lessons", f"{claim} has no entry in lessons.yml: a failed claim needs a cause, an erratum a sort"
        )


# --- one notebook -------------------------------------------------------------------------------------------------


def _pair_problems(pair: notebooks.Pair) -> Iterator[str]:
    try:
        source = notebooks.read_source(pair)
        parameters = notebooks.parameters_of(source)
    except (ValueError, SyntaxError) as error:
        yield f"source: {error}"
        return
    if not {"profile", "seed"} <= set(parameters):
        yield f"the parameters cell must set profile and seed; it sets {', '.join(parameters) or 'nothing'}"
    yield from _source_problems(source)
    if not pair.executed.is_file():
        yield "has no executed copy: run `litrepro run`"
        return
    try:
        executed = notebooks.read_executed(pair)
    except ValueError as error:
        yield str(error)
        return
    yield from _injected_problems(executed, parameters)
    notebooks.clean(executed)
    if notebooks.cells_of(source) != notebooks.cells_of(executed):
        yield "the .py and the .ipynb differ in type, source or tags of their cells: run `litrepro run`"
    else:
        try:
            state = execute.state_of(pair)
        except (OSError, ValueError) as error:
            yield f"is made from something unreadable: {error}"
            state = ""
        if state == "reworded":
            yield "a caption or an alternative text has changed: run `litrepro run`, which executes nothing for it"
        elif state == "stale":
            yield "is stale: something it is made from has changed; run `litrepro run`"
        elif state == "edited":
            yield "its outputs were changed after it was executed: run `litrepro run`"
    yield from _output_problems(pair, executed)


def _source_problems(source: Any) -> Iterator[str]:
    for number, cell in enumerate(source.cells, start=1):
        tags = set(cell.metadata.get("tags", []))
        unknown = sorted(tags - TAGS)
        if unknown:
            yield f"cell {number}: unknown tag {', '.join(unknown)} (misspelt tags are ignored in silence)"
        if cell.cell_type != "code":
            continue
        try:
            judged = notebooks.claim_calls(cell.source)
        except SyntaxError as error:
            yield f"cell {number}: {error}"
            continue
        if judged and CHECK_TAG not in tags:
            yield f"cell {number}: judges {', '.join(judged)} but is not tagged {CHECK_TAG}"


def _injected_problems(executed: Any, parameters: dict[str, Any]) -> Iterator[str]:
    for cell in executed.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            names = re.findall(r"^(\w+)\s*=", cell.source, flags=re.M)
            unknown = sorted(set(names) - set(parameters))
            yield f"holds injected parameters ({', '.join(names)})" + (
                f"; unknown: {', '.join(unknown)}" if unknown else ""
            )


def _output_problems(pair: notebooks.Pair, executed: Any) -> Iterator[str]:
    size = pair.executed.stat().st_size
    if size > MAX_BYTES:
        yield f"its file has {size / 1e6:.1f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB"
    if not any(cell.get("outputs") for cell in executed.cells):
        yield "has no outputs: was it executed?"
    for number, cell in enumerate(executed.cells, start=1):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                yield f"cell {number}: error output {output['ename']}: {output['evalue']}"
            elif output.get("name") == "stderr":
                last = output["text"].strip().rpartition("\n")[2]
                yield f"cell {number}: writes to stderr: {last[:120]}"
            elif "image/png" in output.get("data", {}):
                yield from _figure_problems(number, cell)
        path = _PATHS.search(shown(cell))
        if path:
            yield f"cell {number}: its output names an absolute path: {path.group(0)}"


def _figure_problems(number: int, cell: Any) -> Iterator[str]:
    about = cell.metadata.get("mystnb", {})
    if not about.get("image", {}).get("alt"):
        yield f"cell {number}: its figure has no alternative text (mystnb image alt)"
    if not about.get("figure", {}).get("caption"):
        yield f"cell {number}: its figure has no caption (mystnb figure caption)"


# --- one chapter --------------------------------------------------------------------------------------------------


def _chapter_problems(folder: Path, pairs: list[notebooks.Pair]) -> Iterator[Problem]:
    where = folder.name
    yield from (Problem("error", where, f"{name}.ipynb has no source {name}.py") for name in _orphans(folder))
    try:
        ledger = claims.load_ledger(folder / "claims.yml")
    except (ValueError, TypeError) as error:
        yield Problem("error", where, _named(folder / "claims.yml", error))
        return
    yield from _verdict_problems(where, ledger, pairs)
    yield from _table_problems(where, folder, pairs)


def _named(path: Path, error: Exception) -> str:
    """What is wrong with a file, with its name: what the ledger and the tables raise themselves has it already."""
    own = isinstance(error, claims.LedgerError | results.ResultsError)
    return str(error) if own else f"{path}: {type(error).__name__}: {error}"


def _verdict_problems(where: str, ledger: claims.Ledger, pairs: list[notebooks.Pair]) -> Iterator[Problem]:
    judged: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        if not pair.executed.is_file():
            continue
        try:
            found = harvest.claims_in(pair)
        except ValueError:
            continue  # reported with the notebook
        for payload in found:
            name = payload["id"]
            if name in judged:
                yield Problem("error", where, f"{name} is judged twice: {judged[name]['page']} and {payload['page']}")
            judged[name] = payload
    for name, entry in ledger.items():
        if name not in judged:
            yield Problem("error", where, f"{name} has no verdict: no executed notebook judges it")
            continue
        verdict = judged[name]["verdict"]
        expected = claims.NOT_RUN if entry.verdict == "open" else entry.verdict
        if verdict != expected:
            page = judged[name]["page"]
            yield Problem("error", where, f"{name}: the ledger says {entry.verdict!r}, {page} measured {verdict!r}")
    for name in sorted(judged.keys() - set(ledger)):
        yield Problem("error", where, f"{name} is judged in {judged[name]['page']} but is not in the ledger")


def _lone_records(where: str, folder: Path, pairs: list[notebooks.Pair]) -> Iterator[Problem]:
    """Verdicts whose notebook is gone, and provenance whose table is."""
    names = {f"{pair.name}{_RECORDED_VERDICTS}" for pair in pairs}
    for path in sorted((folder / "results").glob("*.json")):
        if path.name.endswith(_RECORDED_VERDICTS):
            if path.name not in names:
                source = f"{path.name.removesuffix(_RECORDED_VERDICTS)}.py"
                yield Problem("error", where, f"results/{path.name} holds verdicts, but there is no {source}")
        elif not path.with_suffix(".csv").is_file():
            yield Problem("error", where, f"results/{path.name} is the provenance of a table that is not there")


def _table_problems(where: str, folder: Path, pairs: list[notebooks.Pair]) -> Iterator[Problem]:
    for path in sorted((folder / "results").glob("*.csv")):
        try:
            recorded = results.load_table(path.parent, path.stem)
        except (ValueError, TypeError) as error:
            yield Problem("error", where, _named(path, error))
            continue
        maker = recorded.provenance.get("notebook") if recorded else None
        if maker is not None and maker not in {pair.name for pair in pairs}:
            yield Problem("error", where, f"results/{path.name} was recorded by {maker}, which is no notebook here")
    yield from _lone_records(where, folder, pairs)
    try:
        results.load_verdicts(folder / "results")
    except (ValueError, TypeError) as error:
        yield Problem("error", where, _named(folder / "results" / "*.verdicts.json", error))
    for pair in pairs:
        if not pair.executed.is_file():
            continue
        try:
            tables, judged = harvest.tables_in(pair), harvest.claims_in(pair)
        except ValueError:
            continue
        for payload in tables:
            if payload["state"] == "stale":
                yield Problem("warning", pair.key, f"recorded table {payload['table']} is stale: record it again")
        for payload in judged:
            if payload.get("stale") and payload["recorded"]:
                yield Problem("warning", pair.key, f"recorded verdict {payload['id']} is stale: record it again")
