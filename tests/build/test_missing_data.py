"""Claims that need data which is not here are skipped with a reason, by `litrepro run --compare` and by nbval."""

import importlib.util
import logging
from pathlib import Path

import nbformat
import pytest

from litrepro.build import compare
from litrepro.claims import MIME
from litrepro.data import _locate, _registry


def cell(verdict, reason="", **others):
    outputs = []
    for name, judged, why in [("a", verdict, reason), *((name, other, "") for name, other in others.items())]:
        payload = {"id": name, "verdict": judged} | ({"reason": why} if why else {})
        data = {"text/plain": f"[{judged}] x/{name}" + (f" ({why})" if why else "")}
        outputs.append(nbformat.v4.new_output("display_data", data, metadata={MIME: payload}))
    return nbformat.v4.new_code_cell("ch.claim()", metadata={"tags": [compare.CHECK_TAG]}, outputs=outputs)


WITHOUT = "not run", "the tables are not available"


def test_missing_data_is_no_difference_and_anything_else_is(monkeypatch, tmp_path):
    class Pair:
        executed = tmp_path / "x.ipynb"

    Pair.executed.touch()
    committed = nbformat.v4.new_notebook(cells=[cell("reproduced")])
    monkeypatch.setattr(compare.notebooks, "read_executed", lambda pair: committed)
    monkeypatch.setattr(compare.notebooks, "clean", lambda notebook: None)
    monkeypatch.setattr(compare.notebooks, "cells_of", lambda notebook: len(notebook.cells))
    without = nbformat.v4.new_notebook(cells=[cell(*WITHOUT)])
    assert compare.differences(Pair, without) == []
    assert "the tables are not available" in compare.skipped(Pair, without)[0]
    for other in (cell("not run", "scikit-learn is not installed"), cell("partly")):
        fresh = nbformat.v4.new_notebook(cells=[other])
        assert compare.differences(Pair, fresh)
        assert compare.skipped(Pair, fresh) == []


def test_a_claim_without_data_hides_no_other(monkeypatch, tmp_path):
    class Pair:
        executed = tmp_path / "x.ipynb"

    Pair.executed.touch()
    committed = nbformat.v4.new_notebook(cells=[cell("reproduced", b="reproduced")])
    monkeypatch.setattr(compare.notebooks, "read_executed", lambda pair: committed)
    monkeypatch.setattr(compare.notebooks, "clean", lambda notebook: None)
    monkeypatch.setattr(compare.notebooks, "cells_of", lambda notebook: len(notebook.cells))
    for verdict, count in (("reproduced", 0), ("partly", 2)):
        fresh = nbformat.v4.new_notebook(cells=[cell(*WITHOUT, b=verdict)])
        assert len(compare.differences(Pair, fresh)) == count
        assert len(compare.skipped(Pair, fresh)) == 1


def test_nbval_reads_the_same_reason():
    spec = importlib.util.spec_from_file_location("root_conftest", Path(__file__).parents[2] / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    committed = cell("reproduced", b="reproduced").outputs
    assert module.missing_data(cell(*WITHOUT, b="reproduced").outputs, committed) == "the tables are not available"
    assert module.missing_data(cell(*WITHOUT, b="partly").outputs, committed) is None
    assert module.missing_data(cell(*WITHOUT).outputs, committed) is None
    assert module.missing_data(committed, committed) is None
    assert module.missing_data(None, None) is None


def test_what_a_reader_sees_is_compared_where_it_is_tagged(monkeypatch, tmp_path):
    class Pair:
        executed = tmp_path / "x.ipynb"

    def notebook(text, tags, verdict="reproduced"):
        shown = nbformat.v4.new_output("stream", name="stdout", text=text)
        one = cell(verdict)
        one.outputs.append(shown)
        one.metadata["tags"] = tags
        return nbformat.v4.new_notebook(cells=[one])

    assert "no committed copy" in compare.differences(Pair, notebook("1", []))[0]
    Pair.executed.touch()
    monkeypatch.setattr(compare.notebooks, "clean", lambda notebook: None)
    monkeypatch.setattr(compare.notebooks, "cells_of", lambda notebook: len(notebook.cells))
    for tags, count in (([compare.CHECK_TAG], 1), ([], 0)):
        monkeypatch.setattr(compare.notebooks, "read_executed", lambda pair, tags=tags: notebook("1", tags))
        assert compare.differences(Pair, notebook("1", tags)) == []
        found = compare.differences(Pair, notebook("2", tags))
        assert len(found) == count
        assert all("its output changed" in each for each in found)
        # A verdict counts whether its cell is tagged or not.
        changed = compare.differences(Pair, notebook("1", tags, "partly"))
        assert "verdict of a: reproduced in the committed copy, partly now" in changed[0]
    more = notebook("1", [])
    more.cells.append(cell("reproduced"))
    assert "made from another source" in compare.differences(Pair, more)[0]


def test_a_download_says_nothing_among_the_outputs_of_a_page(monkeypatch, tmp_path):
    """What pooch reports of a download would be output on stderr, which `litrepro check` refuses."""
    pooch = pytest.importorskip("pooch")
    heard = []

    def retrieve(*_, **__):
        heard.append(pooch.get_logger().isEnabledFor(logging.INFO))

    level = pooch.get_logger().level
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    try:
        pooch.get_logger().setLevel("INFO")
        _locate._download("digits", _registry.File("a/b.csv", "0", "https://example.org/b.csv"))
    finally:
        pooch.get_logger().setLevel(level)
    assert heard == [False]
