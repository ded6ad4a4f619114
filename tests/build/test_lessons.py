"""The book's lesson is complete: every failure has a cause, every erratum a sort."""

import pandas as pd
import pytest

from litrepro.build import lessons


def test_the_vocabulary_covers_the_book():
    frame = lessons.table()
    if frame.empty:
        pytest.skip("no executed notebook")
    assert lessons.missing(frame) == []
    assert frame["area"].notna().all()


def test_every_entry_is_a_claim_of_a_ledger():
    from litrepro import claims, runtime

    book = runtime.find_book()
    notes = lessons.load(book)
    ledgers = {path.parent.name: claims.load_ledger(path) for path in book.glob("[0-9]*/claims.yml")}
    for part in ("causes", "errata"):
        for key in notes[part]:
            slug, _, name = key.partition("/")
            assert name in ledgers[slug], f"{part}: {key} is no claim"
            assert (ledgers[slug][name].kind == "erratum") == (part == "errata"), key


def test_shares_and_missing():
    frame = pd.DataFrame(
        {
            "chapter": "01-toy", "id": ["a", "b", "c", "d"], "kind": ["figure", "figure", "erratum", "figure"],
            "verdict": ["reproduced", "partly", "reproduced", "not run"], "area": "x", "cause": "", "sort": "",
        }
    )  # fmt: skip
    assert lessons.missing(frame) == ["01-toy/b", "01-toy/c"]
    shares = lessons.shares(frame[frame.kind == "figure"], "area").loc["x"]
    assert shares[["reproduced", "partly", "not reproduced", "claims"]].tolist() == [0.5, 0.5, 0.0, 2]


@pytest.mark.parametrize(
    "text", ["causes: {}\n", "causes: {a/b: nonsense}\nerrata: {}\n", "causes: {ab: wrong}\nerrata: {}\n"]
)
def test_a_broken_file_is_an_error(toy, text):
    (toy.book / "lessons.yml").write_text(text)
    with pytest.raises(ValueError, match=r"lessons\.yml"):
        lessons.load()


def test_a_chapter_without_an_area_is_an_error(toy, monkeypatch):
    (toy.book / "lessons.yml").write_text("causes: {}\nerrata: {}\n")
    row = {"chapter": "21-new", "id": "a", "kind": "figure", "verdict": "reproduced"}
    monkeypatch.setattr(lessons.scoreboard, "load", lambda book=None: pd.DataFrame([row]))
    with pytest.raises(ValueError, match=r"no area has the chapter 21-new: add its number to lessons\.AREAS"):
        lessons.table()
