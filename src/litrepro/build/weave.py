"""New prose beside old outputs: a corrected sentence or caption does not cost an execution.

What an executed copy shows of its code depends on the code alone. When nothing but text cells and the captions and
alternative texts of figures (``mystnb`` in a cell's metadata) differ, the outputs are those of an execution.
"""

from __future__ import annotations

from typing import Any

from litrepro.build import digest, notebooks

_SHOWN_ONLY = ("mystnb",)  # metadata that the renderer reads and no kernel sees


def only_prose_changed(pair: notebooks.Pair, source: Any, executed: Any) -> bool:
    """Whether the executed copy is what its source says except for text cells, captions and alternative texts."""
    noted = executed.metadata.get(notebooks.NAMESPACE, {})
    if noted.get("outputs") != notebooks.outputs_digest(executed):
        return False
    # The copy's own cells with today's library, ledger and tables: equal only if none of those has changed since.
    if noted.get("digest") != digest.notebook_digest(pair, executed, {}):
        return False
    return _code_of(source) == _code_of(executed)


def woven(pair: notebooks.Pair, source: Any, executed: Any) -> Any:
    """The source with the outputs of the executed copy, which ``only_prose_changed`` has approved."""
    noted = dict(executed.metadata[notebooks.NAMESPACE], digest=digest.notebook_digest(pair, source, {}))
    outputs = iter([cell for cell in executed.cells if cell.cell_type == "code"])
    for cell in source.cells:
        if cell.cell_type == "code":
            old = next(outputs)
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
    notebooks.clean(source)
    source.metadata[notebooks.NAMESPACE] = noted
    return source


def _code_of(notebook: Any) -> list[tuple[str, dict[str, Any]]]:
    return [
        (cell.source.strip(), {key: value for key, value in cell.metadata.items() if key not in _SHOWN_ONLY})
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
