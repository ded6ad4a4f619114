"""When is an executed notebook still good? When nothing that it is made from has changed.

The digest covers the notebook's source, the library modules that it imports (transitively), the entries of the ledger
that it judges (all of them where it shows the ledger), the recorded tables that it draws, the checksums of the data it
may read, its parameters and the pinned versions. It is noted in the executed copy itself, so a fresh clone knows what
is stale without a cache.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litrepro.build import notebooks

SCHEMA = 1  # raise it when executed copies have to be made again for a reason that no file shows
PACKAGE = "litrepro"


def notebook_digest(pair: notebooks.Pair, notebook: Any, parameters: dict[str, Any]) -> str:
    """Digest of everything that the executed copy of ``notebook`` depends on (see the module).

    Raises ``ValueError`` or ``OSError`` naming the file if one of these cannot be read.
    """
    code = "\n".join(_python_of(c.source) for c in notebook.cells if c.cell_type == "code")
    modules = module_closure(imported_modules(code))
    chapter = pair.book / pair.folder
    files = [path for _, path in sorted(modules.items())]
    files += _recorded(chapter, pair.source.stem, code) if pair.folder else []
    files += [pair.book.parent / "constraints.txt", *([pair.book / "lessons.yml"] if pair.is_scoreboard else [])]
    parts: dict[str, Any] = {
        "schema": SCHEMA,
        "cells": notebooks.cells_of(notebook),
        "metadata": [c.metadata for c in notebook.cells],
        "parameters": parameters,
        "ledger": _entries(chapter / "claims.yml", code) if pair.folder else [],
        "files": [(_name(path, pair.book), _sha(path)) for path in files if path.is_file()],
    }
    if pair.is_scoreboard:
        parts["claims"] = [_claims_digest(other) for other in notebooks.discover(pair.book) if other != pair]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _python_of(source: str) -> str:
    """A cell's Python; nothing for a cell that is none, as the kernel will say."""
    try:
        return notebooks.python_of(source)
    except SyntaxError:
        return ""


def _recorded(chapter: Path, stem: str, code: str) -> list[Path]:
    """Recorded tables that the code names, and the verdicts of the notebook's own full run."""
    words = {word for word in _words(code) if isinstance(word, str)}
    starts = tuple(word for word in words if re.fullmatch(r"[a-z0-9-]+-", word))  # of f"phase-{name}"

    def drawn(path: Path) -> bool:
        return path.stem in words or path.stem.startswith(starts) or path.name == f"{stem}.verdicts.json"

    return [path for path in sorted(chapter.glob("results/*")) if drawn(path)]


def _entries(ledger: Path, code: str) -> list[dict[str, str]]:
    """The ledger's entries whose claims the code names; all of them where the code shows the ledger."""
    if not ledger.is_file():
        return []
    stat = ledger.stat()
    entries = _ledger_of(ledger, stat.st_mtime_ns, stat.st_size)
    named = _words(code)
    return [dict(entry) for entry in entries if ".ledger(" in code or dict(entry).get("id") in named]


@functools.lru_cache(maxsize=256)
def _ledger_of(path: Path, modified: int, size: int) -> tuple[tuple[tuple[str, str], ...], ...]:
    """What a ledger says, however it is written: comments, quotes and the order of keys do not count."""
    import yaml

    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error})") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: not valid YAML ({error})") from error
    found = [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    return tuple(tuple(sorted((str(key), str(value).strip()) for key, value in each.items())) for each in found)


def _words(code: str) -> set[Any]:
    """The constants in a piece of code."""
    return {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}


def _name(path: Path, book: Path) -> str:
    """A name that is the same in every checkout."""
    for base in (book.parent, package_root().parent):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return path.name


def _sha(path: Path) -> str:
    stat = path.stat()
    return _sha_of(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=4096)
def _sha_of(path: Path, modified: int, size: int) -> str:
    data = path.read_bytes()
    return hashlib.sha256(code_of(data.decode()).encode() if path.suffix == ".py" else data).hexdigest()


def code_of(source: str) -> str:
    """A module's lines without its docstrings, and without the map of a package's lazy exports.

    Documenting a function, or exporting one more, changes nothing that a notebook computes: which modules the names of
    the map lead to is in the list of files already. Comments count, because they cannot be told from code line by line.
    """
    tree = ast.parse(source)
    dropped: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        owner = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if owner and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            dropped.update(range(body[0].lineno, body[0].end_lineno + 1))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_exports":
            dropped.update(range(node.lineno, node.end_lineno + 1))
    return "\n".join(line for number, line in enumerate(source.splitlines(), start=1) if number not in dropped)


def _claims_digest(pair: notebooks.Pair) -> tuple[str, str]:
    """What the scoreboard reads of another notebook: its claims, not its figures."""
    from litrepro.build import harvest

    if not pair.executed.is_file():
        return pair.key, "missing"
    text = json.dumps(harvest.claims_in(pair), sort_keys=True)
    return pair.key, hashlib.sha256(text.encode()).hexdigest()


# --- which modules does a piece of code import? -------------------------------------------------------------------


def package_root() -> Path:
    """The folder of the ``litrepro`` package."""
    return Path(__file__).resolve().parents[1]


def module_path(name: str) -> Path | None:
    """The file of a module of the package, by its dotted name; None if there is none."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return None
    base = package_root().joinpath(*parts[1:])
    if base.is_dir() and (base / "__init__.py").is_file():
        return base / "__init__.py"
    path = base.with_suffix(".py")
    return path if len(parts) > 1 and path.is_file() else None


def module_closure(names: set[str]) -> dict[str, Path]:
    """``names`` and every module of the package that they import, directly or not, with their files."""
    found: dict[str, Path] = {}
    pending = set(names)
    while pending:
        name = pending.pop()
        path = module_path(name)
        if name in found or path is None:
            continue
        found[name] = path
        pending |= _imports_of(name, path, path.stat().st_mtime_ns)
    return found


@functools.lru_cache(maxsize=4096)
def _imports_of(name: str, path: Path, modified: int) -> frozenset[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    parents = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
    return frozenset(_modules_in(_tree(path), package) | parents)


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path}: not readable as Python ({error})") from error


def imported_modules(source: str, package: str = "") -> set[str]:
    """Modules of the package that a source imports, anywhere in it; lazy exports are followed to their module."""
    return _modules_in(ast.parse(source), package)


def _modules_in(tree: ast.Module, package: str) -> set[str]:
    found: set[str] = set()
    for name, attributes in _import_statements(tree, package):
        if name.split(".")[0] != PACKAGE:
            continue
        found.add(name)
        for attribute in attributes:
            if module_path(f"{name}.{attribute}") is not None:
                found.add(f"{name}.{attribute}")
            elif attribute == "*":
                found |= {defining_module(name, each) for each in lazy_exports_of(name)}
            else:
                found.add(defining_module(name, attribute))
    # `from litrepro import optim` and then `optim.descend`: any attribute that a package in sight exports.
    for name in list(found):
        found |= _attributes_used(tree, name)
    return found


def defining_module(package: str, name: str) -> str:
    """The module behind an exported name; a re-export from another package is followed to its end."""
    target = lazy_exports_of(package).get(name)
    return package if target is None else defining_module(target, name)


def _import_statements(tree: ast.AST, package: str) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, []
        elif isinstance(node, ast.ImportFrom):
            base = package
            for _ in range(node.level - 1):
                base = base.rpartition(".")[0]
            module = node.module or ""
            name = ".".join(part for part in (base, module) if part) if node.level else module
            yield name, [alias.name for alias in node.names]


def _attributes_used(tree: ast.AST, package: str) -> set[str]:
    exports = lazy_exports_of(package)
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} if exports else set()
    return {defining_module(package, name) for name in used & set(exports)}


def lazy_exports_of(package: str) -> dict[str, str]:
    """From exported name to the module that defines it, read from a package's ``lazy_exports`` table."""
    path = module_path(package)
    if path is None or path.name != "__init__.py":
        return {}
    return dict(_exports_in(package, path, path.stat().st_mtime_ns))


@functools.lru_cache(maxsize=1024)
def _exports_in(package: str, path: Path, modified: int) -> tuple[tuple[str, str], ...]:
    found = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_exports":
            for module, names in ast.literal_eval(node.args[1]).items():
                target = module if module.startswith(f"{PACKAGE}.") else f"{package}.{module}"
                found += [(name, target) for name in names]
    return tuple(found)
