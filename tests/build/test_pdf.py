"""The printed book: what it needs, and what it says when that is missing."""

import pytest

from litrepro.build import pdf


def test_without_a_browser_it_says_what_to_install(toy, monkeypatch):
    monkeypatch.setattr(pdf.shutil, "which", lambda _: None)
    with pytest.raises(RuntimeError, match="printing needs one of chromium"):
        pdf.build(toy.root)


def test_a_browser_that_prints_nothing_is_an_error_and_leaves_the_old_file(toy, monkeypatch, tmp_path):
    page, target = tmp_path / "intro.html", tmp_path / "book.pdf"
    page.write_text("<html></html>")
    target.write_bytes(b"old")
    monkeypatch.setattr(pdf, "_single_page", lambda _: page)
    monkeypatch.setattr(pdf.shutil, "which", lambda _: "/bin/true")
    with pytest.raises(RuntimeError, match="printed nothing"):
        pdf.build(toy.root, target)
    assert target.read_bytes() == b"old"
