"""Every rule of ``litrepro check`` finds its violation, and a good book passes."""

import json

import pytest
from typer.testing import CliRunner

from litrepro import claims, results
from litrepro.build import check, cli, execute, notebooks
from litrepro.build.execute import Settings


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Source and executed copy of the toy notebook, executed once for this module."""
    import os

    from tests.conftest import ToyBook

    toy = ToyBook(tmp_path_factory.mktemp("toy"))
    before = os.environ.get("LITREPRO_BOOK")
    os.environ["LITREPRO_BOOK"] = str(toy.book)
    try:
        execute.run(toy.book, notebooks.discover(toy.book), Settings(), lambda _: None)
    finally:
        os.environ.pop("LITREPRO_BOOK") if before is None else os.environ.update(LITREPRO_BOOK=before)
    return (toy.chapter / "toy.ipynb").read_text()


@pytest.fixture
def book(toy, executed):
    """The toy book, executed, with a table of contents."""
    (toy.chapter / "toy.ipynb").write_text(executed)
    (toy.root / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n  - file: 01-toy/toy\n")
    (toy.book / "intro.md").write_text("# Intro\n")
    return toy


def problems(book, level="error"):
    found = check.check(book.book, notebooks.discover(book.book))
    return " | ".join(f"{each.where}: {each.what}" for each in found if each.level == level)


def edit_source(book, old, new):
    path = book.chapter / "toy.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def edit_outputs(book, change):
    path = book.chapter / "toy.ipynb"
    notebook = json.loads(path.read_text())
    change(notebook)
    path.write_text(json.dumps(notebook))


def test_a_good_book_passes(book):
    assert problems(book) == ""
    assert problems(book, "warning") == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# # A toy", "# # Another toy", "differ in type, source or tags"),
        ('tags=["nbval-check-output"]', "", "judges two-is-two, big-run but is not tagged nbval-check-output"),
        ('"nbval-check-output"', '"nbval-check-ouput"', "unknown tag nbval-check-ouput"),
        ("seed = 0", "sed = 0", "must set profile and seed"),
        ('tags=["parameters"]', "", "expected one cell tagged 'parameters'"),
        ("ch.paper", "ch.paper(", "cell"),
    ],
)
def test_source_rules(book, old, new, message):
    edit_source(book, old, new)
    assert message in problems(book)


def test_ledger_rules(book):
    path = book.chapter / "claims.yml"
    good = path.read_text()
    path.write_text(good.replace("verdict: reproduced", "verdict: partly\n  note: x"))
    assert "two-is-two: the ledger says 'partly', 01-toy/toy measured 'reproduced'" in problems(book)
    path.write_text(good.replace("verdict: open", "verdict: reproduced"))
    assert "big-run: the ledger says 'reproduced', 01-toy/toy measured 'not run'" in problems(book)
    path.write_text(good.replace("id: two-is-two", "id: three-is-three"))
    assert "three-is-three has no verdict" in problems(book)
    assert "two-is-two is judged in 01-toy/toy but is not in the ledger" in problems(book)
    path.write_text(good + "  surprise: 1\n")
    assert "unknown key surprise" in problems(book)
    path.write_text(good.replace("|x - 2| < 1e-9", "|x - 2| < 1e-6"))
    assert "is stale" in problems(book)


def test_a_claim_judged_twice(book):
    (book.chapter / "copy.py").write_text((book.chapter / "toy.py").read_text())
    (book.chapter / "copy.ipynb").write_text((book.chapter / "toy.ipynb").read_text())
    assert "two-is-two is judged twice: 01-toy/copy and 01-toy/toy" in problems(book)


def test_missing_and_broken_copies(book):
    path = book.chapter / "toy.ipynb"
    path.write_text("{")
    assert "not a readable notebook" in problems(book)
    path.unlink()
    assert "has no executed copy" in problems(book)


def shows(book, *words):
    """Both commands end as they should: `check` with an error that has these words, `status` with a table."""
    found = problems(book)
    for word in words:
        assert word in found
    runner = CliRunner()
    assert runner.invoke(cli.app, ["check"]).exit_code == 1
    assert runner.invoke(cli.app, ["status"]).exit_code == 0
    assert runner.invoke(cli.app, ["record", "--list"]).exit_code == 0


@pytest.mark.parametrize("text", ["[]", "null", "3", "{}", '{"cells": 3, "nbformat": 4, "metadata": {}}'])
def test_json_that_is_no_notebook(book, text):
    (book.chapter / "toy.ipynb").write_text(text)
    shows(book, "toy.ipynb: not a readable notebook")
    assert execute.state_of(notebooks.discover(book.book)[0]) == "edited"  # so that it is executed again


@pytest.mark.parametrize(
    ("mime", "payload", "lacking"),
    [
        (claims.MIME, lambda old: {key: old[key] for key in old if key != "id"}, "id"),
        (claims.MIME, lambda old: old | {"verdict": 1}, "verdict"),
        (claims.MIME, lambda old: [], "chapter, id"),
        (results.TABLE_MIME, lambda old: {"table": "runs"}, "state"),
    ],
)
def test_claims_and_tables_without_what_is_read_of_them(book, mime, payload, lacking):
    def change(notebook):
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                if mime in output.get("metadata", {}):
                    output["metadata"][mime] = payload(output["metadata"][mime])

    edit_outputs(book, change)
    shows(book, "toy.ipynb: cell ", f"{mime} has no text in {lacking}")


@pytest.mark.parametrize("content", [b"- id: \xff\n", b"- {[a]: 1}\n", b"- claim: 2020-13-45\n", b"\0"])
def test_ledgers_that_cannot_be_read(book, content):
    (book.chapter / "claims.yml").write_bytes(content)
    shows(book, f"01-toy: {book.chapter / 'claims.yml'}: ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("runs.json", b"\xff"),
        ("runs.json", b"[]"),
        ("toy.verdicts.json", b"\xff"),
        ("toy.verdicts.json", b'{"verdicts": [{"id": "big-run"}]}'),
        ("toy.verdicts.json", b'{"verdicts": [{"id": []}]}'),
    ],
)
def test_records_that_cannot_be_read(book, name, content):
    (book.chapter / "results").mkdir()
    (book.chapter / "results" / "runs.csv").write_text("n\n1\n")
    (book.chapter / "results" / name).write_bytes(content)
    shows(book, f"01-toy: {book.chapter / 'results'}/", f"{name} is not a ")


def test_a_stream_of_blanks(book):
    edit_outputs(book, add_output({"output_type": "stream", "name": "stderr", "text": "\n"}))
    shows(book, "writes to stderr")


def add_output(output):
    return lambda notebook: notebook["cells"][-1]["outputs"].append(output)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"output_type": "error", "ename": "E", "evalue": "bad", "traceback": []}, "error output E: bad"),
        ({"output_type": "stream", "name": "stderr", "text": "careful\n"}, "writes to stderr: careful"),
        ({"output_type": "stream", "name": "stdout", "text": "saved to /home/me/x.csv"}, "absolute path: /home/me"),
        ({"output_type": "stream", "name": "stdout", "text": "x" * 1_100_000}, "the limit is 1 MB"),
        (
            {"output_type": "display_data", "data": {"image/png": "", "text/plain": "Figure"}, "metadata": {}},
            "no alternative text",
        ),
    ],
)
def test_output_rules(book, output, message):
    edit_outputs(book, add_output(output))
    found = problems(book)
    assert message in found
    assert "outputs were changed after it was executed" in found


def test_injected_parameters_are_found(book):
    cell = {
        "cell_type": "code",
        "execution_count": 1,
        "id": "x",
        "metadata": {"tags": ["injected-parameters"]},
        "outputs": [],
        "source": "seed = 1\nsed = 2",
    }
    edit_outputs(book, lambda notebook: notebook["cells"].insert(2, cell))
    assert "holds injected parameters (seed, sed); unknown: sed" in problems(book)


def test_tables(book):
    folder = book.chapter / "results"
    folder.mkdir()
    (folder / "runs.csv").write_text("n\n1\n")
    assert "runs.json is missing beside its pair" in problems(book)


def test_a_stale_table_or_verdict_is_a_warning(book, monkeypatch):
    import pandas as pd

    from litrepro import Chapter

    ch = Chapter("01-toy", profile="full", notebook="toy")
    ch.pick(quick=0, full=-1)  # what the page has never picked
    ch.save("runs", pd.DataFrame({"n": [1]}))
    ch.claim("big-run", value=1, holds=True)
    execute.run(book.book, notebooks.discover(book.book), Settings(), lambda _: None)
    assert "stale" not in problems(book)
    assert "recorded table runs is stale" in problems(book, "warning")
    assert "recorded verdict big-run is stale" in problems(book, "warning")


def test_what_a_renamed_page_leaves_behind(book):
    """An executed copy, verdicts and tables of a notebook that is gone, and provenance without a table."""
    import pandas as pd

    from litrepro import Chapter

    old = Chapter("01-toy", profile="full", notebook="old")
    old.save("runs", pd.DataFrame({"n": [30]}))
    old.claim("big-run", value=30, holds=True)
    results.write_atomically(book.chapter / "results" / "lost.json", b"{}")
    (book.chapter / "gone.ipynb").write_text((book.chapter / "toy.ipynb").read_text())
    (book.book / "away.ipynb").write_text((book.chapter / "toy.ipynb").read_text())
    found = problems(book)
    for words in (
        "01-toy: gone.ipynb has no source gone.py",
        "book: away.ipynb has no source away.py",
        "01-toy: results/old.verdicts.json holds verdicts, but there is no old.py",
        "01-toy: results/runs.csv was recorded by old, which is no notebook here",
        "01-toy: results/lost.json is the provenance of a table that is not there",
    ):
        assert words in found


def test_the_table_of_contents(book):
    path = book.root / "_toc.yml"
    path.write_text("root: intro\nparts:\n  - chapters:\n      - glob: 01-toy/*\n")
    assert problems(book) == ""
    path.write_text("root: intro\nchapters:\n  - file: 01-toy/review\n    sections:\n      - glob: 02-toy/*\n")
    found = problems(book)
    assert "01-toy/toy: is not in _toc.yml" in found
    assert "_toc.yml: 01-toy/review is no page of the book" in found
    assert "_toc.yml: 02-toy/* is no page of the book" in found
    path.write_text("root: [")
    assert "_toc.yml: cannot be read" in problems(book)


def test_lessons_are_complete(book, monkeypatch):
    (book.book / "lessons.yml").write_text("causes: {}\nerrata: {}\n")
    assert problems(book) == ""
    ledger = book.chapter / "claims.yml"
    ledger.write_text(ledger.read_text().replace("kind: theorem", "kind: erratum"))
    edit_outputs(book, lambda notebook: _as_erratum(notebook))
    assert "lessons: 01-toy/two-is-two has no entry in lessons.yml" in problems(book)
    monkeypatch.setattr(check.lessons, "AREAS", {"optimization": range(2, 8)})
    assert "lessons: no area has the chapter 01-toy" in problems(book)


def _as_erratum(notebook):
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            payload = output.get("metadata", {}).get(claims.MIME)
            if payload and payload["id"] == "two-is-two":
                payload["kind"] = "erratum"
