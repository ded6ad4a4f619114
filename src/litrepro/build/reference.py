"""The library's reference: one page per package, written from the docstrings of what it exports.

Docstrings are plain text in numpy's layout. They are turned into Markdown here, character by character safe, instead of
being parsed as reStructuredText: a norm or a starred name in a docstring must not break the book.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SECTION = re.compile(r"^(?P<title>[A-Z][A-Za-z ]+)\n-{3,}$", re.MULTILINE)
_LISTS = ("Parameters", "Attributes", "Other Parameters")
_SPECIAL = re.compile(r"([\\*_\[\]<>|$#~^{}])")


def packages(root: Path) -> list[str]:
    """Public packages of the library with exports, by name; the build itself is none of them."""
    found = []
    for init in sorted((root / "src" / "litrepro").glob("*/__init__.py")):
        if init.parent.name != "build" and "lazy_exports" in init.read_text(encoding="utf-8"):
            found.append(init.parent.name)
    return found


def page(package: str) -> str:
    """Markdown of a package's page: what it is, a table of its names, and each of them."""
    module = importlib.import_module(f"litrepro.{package}")
    names = sorted(module.__all__, key=str.lower)
    objects = {name: getattr(module, name) for name in names}
    lines = [f"# `litrepro.{package}`", "", _text(inspect.getdoc(module) or ""), ""]
    lines += ["| name | what it is |", "|---|---|"]
    for name, value in objects.items():
        lines.append(f"| [`{name}`](#api-{package}-{_anchor(name)}) | {_cell(_summary(value))} |")
    for name, value in objects.items():
        lines += ["", f"(api-{package}-{_anchor(name)})=", f"## `{name}`", "", *_entry(name, value)]
    return "\n".join(lines) + "\n"


def _anchor(name: str) -> str:
    return name.lower().replace("_", "-") + ("-class" if name[:1].isupper() else "")


def _summary(value: Any) -> str:
    if not (inspect.isclass(value) or callable(value)):
        return "a constant"
    return (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")


def _entry(name: str, value: Any) -> Iterator[str]:
    if not (inspect.isclass(value) or callable(value)):
        text = repr(value)
        yield from ("```python", f"{name} = {text if len(text) < 300 else text[:300] + ' ...'}", "```")
        return
    yield from ("```python", *_signature(name, value), "```", "")
    yield from markdown(inspect.getdoc(value) or "")
    if inspect.isclass(value):
        yield from _methods(value)


def _signature(name: str, value: Any) -> list[str]:
    """The call as people write it, one parameter per line when it is long; no annotations: the text has the shapes."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return [f"{name}(...)"]
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    text = f"{name}{signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)}"
    text = re.sub(r"<(?:function|class) '?([\w.]+).*?>", r"\1", text)
    if len(text) <= 88:
        return [text]
    pieces: list[str] = []
    kinds = [parameter.kind for parameter in bare]
    for index, parameter in enumerate(bare):
        first_keyword = parameter.kind == parameter.KEYWORD_ONLY and parameter.KEYWORD_ONLY not in kinds[:index]
        if first_keyword and parameter.VAR_POSITIONAL not in kinds:
            pieces.append("*")
        pieces.append(re.sub(r"<(?:function|class) '?([\w.]+).*?>", r"\1", str(parameter)))
    return [f"{name}(", *(f"    {piece}," for piece in pieces), ")"]


def _methods(value: type) -> Iterator[str]:
    """Public methods and properties that the class itself defines and documents."""
    for name, member in vars(value).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        documented = inspect.isfunction(function) and inspect.getdoc(function)
        if name.startswith("_") or not documented:
            continue
        call = f"`.{name}`" if isinstance(member, property) else f"`.{_signature(name, function)[0]}`"
        yield f"- {call}: {_text(_summary(function))}"


def markdown(doc: str) -> Iterator[str]:
    """A docstring in numpy's layout as Markdown lines."""
    pieces = _SECTION.split(doc)
    yield from _paragraphs(pieces[0])
    for title, body in zip(pieces[1::2], pieces[2::2]):
        yield f"**{title}**"
        yield ""
        if title in _LISTS:
            yield from _definitions(body)
        elif title.startswith("Example"):
            yield from ("```python", *inspect.cleandoc(body).splitlines(), "```", "")
        else:
            yield from _paragraphs(body)


def _definitions(body: str) -> Iterator[str]:
    """``name`` on one line, its description indented below: a list with one item per name."""
    term: str | None = None
    words: list[str] = []
    lines = inspect.cleandoc(body).splitlines()
    # Many docstrings close their list with a sentence on errors.
    tail = next((k for k, line in enumerate(lines) if re.match(r"(Raises|A|The|Any) ", line)), len(lines))
    for line in [*lines[:tail], "end"]:
        if line and not line[0].isspace():
            if term is not None:
                yield f"- `{term}`: {_text(' '.join(words))}" if words else f"- `{term}`"
            term, words = line.strip(), []
        elif line.strip():
            words.append(line.strip())
    yield ""
    yield from _paragraphs("\n".join(lines[tail:]))


def _paragraphs(body: str) -> Iterator[str]:
    """Paragraphs; what is indented or looks like a list keeps its lines."""
    for block in re.split(r"\n\s*\n", inspect.cleandoc(body)):
        if not block.strip():
            continue
        lines = block.splitlines()
        kept = any(line.startswith((" ", ">>>")) for line in lines)
        if kept or (len(lines) > 1 and block.lstrip()[:2] in ("- ", "| ")):
            yield from ("```text", *lines, "```", "")
        else:
            yield _text(" ".join(line.strip() for line in lines))
            yield ""


def _text(text: str) -> str:
    """Plain text as Markdown: ``code`` and formulas become such, what else Markdown would interpret is escaped."""
    parts = re.split(r"(``.+?``|:math:`.+?`)", text.replace("\n", " "))
    return "".join(_piece(part) for part in parts)


def _piece(part: str) -> str:
    if part.startswith("``"):
        return f"`{part[2:-2]}`"
    if part.startswith(":math:`"):  # without bars, which would end the cell of a table
        return "$" + part[7:-1].replace("\\|", "\\Vert ").replace("|", "\\vert ").strip() + "$"
    return _SPECIAL.sub(r"\\\1", part)


def _cell(text: str) -> str:
    """Text for a cell of a table, where a bar inside code would end the cell."""
    return re.sub(r"`[^`]*`", lambda m: m.group().replace("|", "\\|"), _text(text))


def parts(root: Path) -> dict[str, str]:
    """What ``book/reference/*.md`` include: from file name to Markdown, one per package."""
    return {f"reference-{package}.md": page(package) for package in packages(root)}
