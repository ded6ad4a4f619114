"""Notebook pairs: the percent-format source, the executed copy beside it, and how the two are compared.

The direction is one-way: the ``.ipynb`` is made from the ``.py`` (plus outputs), never the other way round. Cell ids
are a hash of the cell, so that executing an unchanged notebook again gives the same bytes.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import fnmatch
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from litrepro.claims import MIME
from litrepro.results import TABLE_MIME

# What an execution leaves behind that says nothing about the result and differs from run to run.
_VOLATILE_CELL = ("papermill", "execution", "lines_to_next_cell", "collapsed", "scrolled", "trusted")
NAMESPACE = "litrepro"  # key of our own entry in a notebook's metadata
SCOREBOARD = "scoreboard"
# What the build reads of a claim and of a table in an output's metadata, each of them text.
_PAYLOADS = {
    MIME: ("chapter", "id", "kind", "claim", "source", "reported", "verdict"),
    TABLE_MIME: ("table", "state"),
}


@dataclasses.dataclass(frozen=True, order=True)
class Pair:
    """A notebook of the book: ``book/<folder>/<name>.py`` and ``.ipynb``."""

    folder: str  # the chapter's slug, "" for the book's own notebooks
    name: str
    book: Path = dataclasses.field(compare=False)

    @property
    def key(self) -> str:
        """The name people use: ``02-momentum/iris``."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def source(self) -> Path:
        return self.book / self.folder / f"{self.name}.py"

    @property
    def executed(self) -> Path:
        return self.book / self.folder / f"{self.name}.ipynb"

    @property
    def is_scoreboard(self) -> bool:
        """Whether this notebook reads the other notebooks' outputs, so that it runs last."""
        return self.folder == ""


def discover(book: Path, patterns: Iterable[str] = ()) -> list[Pair]:
    """Every notebook of the book, chapters in order, the book's own notebooks last.

    ``patterns`` are shell patterns or plain prefixes of ``chapter/notebook``; none means all. A pattern that matches
    nothing is a ``ValueError`` that lists what there is.
    """
    sources = [*book.glob("[0-9]*/*.py"), *book.glob("*.py")]
    pairs = [Pair(path.parent.name if path.parent != book else "", path.stem, book) for path in sources]
    pairs.sort(key=lambda pair: (pair.is_scoreboard, pair.folder, pair.name != "review", pair.name))
    chosen: set[Pair] = set()
    patterns = list(patterns)
    for pattern in patterns:
        plain = pattern.removeprefix("book/").removesuffix(".py").removesuffix(".ipynb").rstrip("/")
        hits = {pair for pair in pairs if _matches(pair.key, plain)}
        if not hits:
            raise ValueError(f"no notebook matches {pattern!r}; there are: {', '.join(pair.key for pair in pairs)}")
        chosen |= hits
    return [pair for pair in pairs if pair in chosen] if patterns else pairs


def _matches(key: str, pattern: str) -> bool:
    return key == pattern or key.startswith(pattern) or fnmatch.fnmatch(key, pattern)


def read_source(pair: Pair) -> Any:
    """The notebook of a pair's ``.py``, with stable cell ids, without outputs; ``ValueError`` if it cannot be read."""
    import jupytext

    try:
        notebook = jupytext.read(pair.source, fmt="py:percent")
    except (OSError, ValueError) as error:
        raise ValueError(f"{pair.source}: not a readable notebook ({error})") from error
    clean(notebook)
    return notebook


def read_executed(pair: Pair) -> Any:
    """The executed copy; ``ValueError`` naming the file if it is not a notebook, or a claim or table in it is none."""
    import nbformat

    try:
        notebook = nbformat.read(pair.executed, as_version=4)
    # Of JSON that is no notebook at all, nbformat says only what it tripped over.
    except (OSError, ValueError, TypeError, AttributeError, nbformat.ValidationError) as error:
        raise ValueError(f"{pair.executed}: not a readable notebook ({error})") from error
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            for mime, keys in _PAYLOADS.items():
                payload = output.get("metadata", {}).get(mime, dict.fromkeys(keys, ""))
                wrong = [key for key in keys if not isinstance(payload, dict) or not isinstance(payload.get(key), str)]
                if wrong:
                    raise ValueError(f"{pair.executed}: cell {number}: {mime} has no text in {', '.join(wrong)}")
    return notebook


def clean(notebook: Any) -> None:
    """Drop what differs between two runs and give every cell its id, in place."""
    notebook.cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        for key in _VOLATILE_CELL:
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        digest = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, -1) + 1
        cell["id"] = f"{digest}-{seen[digest]}" if seen[digest] else digest
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop("execution", None)
    kept = {key: notebook.metadata[key] for key in ("kernelspec", NAMESPACE) if key in notebook.metadata}
    notebook.metadata.clear()
    notebook.metadata.update(kept)
    notebook.nbformat, notebook.nbformat_minor = 4, 5


def dump(notebook: Any) -> bytes:
    """The bytes of a notebook file: sorted keys, one space, a final newline."""
    return (json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def cells_of(notebook: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    """What the two halves of a pair must agree on: type, source and tags of every cell."""
    return [(c.cell_type, c.source.strip(), tuple(sorted(c.metadata.get("tags", [])))) for c in notebook.cells]


def outputs_digest(notebook: Any) -> str:
    """A digest of every output: an edited output no longer matches the one noted when it was executed."""
    outputs = [cell.get("outputs", []) for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()[:16]


def parameters_of(notebook: Any) -> dict[str, Any]:
    """Names and defaults of the cell tagged ``parameters``.

    Raises ``ValueError`` if there is not exactly one such cell or a default is no literal, ``SyntaxError`` if the cell
    is no Python.
    """
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"expected one cell tagged 'parameters', found {len(cells)}")
    found: dict[str, Any] = {}
    for statement in ast.parse(python_of(cells[0].source)).body:
        single = isinstance(statement, ast.Assign) and len(statement.targets) == 1
        if single or (isinstance(statement, ast.AnnAssign) and statement.value is not None):
            name = ast.unparse(statement.targets[0] if single else statement.target)
            try:
                found[name] = ast.literal_eval(statement.value)
            except (ValueError, TypeError):
                got = ast.unparse(statement.value)
                raise ValueError(
                    f"parameter {name} must be set to a number, text or another literal, got {got}"
                ) from None
    return found


def python_of(source: str) -> str:
    """A cell as plain Python: magics become the calls that IPython makes of them, ``%%time`` gives way to its cell.

    Raises ``SyntaxError`` if it is neither Python nor a magic.
    """
    with contextlib.suppress(SyntaxError):
        ast.parse(source)
        return source
    from IPython.core.inputtransformer2 import TransformerManager

    if source.startswith("%%"):
        with contextlib.suppress(SyntaxError):  # else it is of another language, and a text to Python
            return python_of(source.partition("\n")[2])
    python = TransformerManager().transform_cell(source)
    ast.parse(python)
    return python


def claim_calls(source: str) -> list[str]:
    """Ids of the claims that a cell judges (``ch.claim("id", ...)`` or ``ch.not_run``), in order."""
    return [call.args[0].value for call in chapter_calls(source, ("claim", "not_run"))]


def chapter_calls(source: str, methods: tuple[str, ...]) -> list[ast.Call]:
    """Calls of ``ch.<method>`` with a literal first argument in a piece of notebook source."""
    calls = calls_of_chapter(ast.parse(python_of(source)), methods)
    return [c for c in calls if isinstance(c.args[0], ast.Constant) and isinstance(c.args[0].value, str)]


def calls_of_chapter(tree: ast.AST, methods: tuple[str, ...]) -> list[ast.Call]:
    """Calls of ``ch.<method>`` with a first argument, in order."""
    found = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in methods
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "ch"
            and node.args
        ):
            found.append(node)
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))
