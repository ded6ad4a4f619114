"""A site is rendered again exactly when something that it is made from has changed."""

import subprocess
from types import SimpleNamespace

import pytest

from litrepro.build import pages, site


@pytest.fixture
def rendered(tmp_path, monkeypatch):
    """A tiny root, and the list of renderings so far; the renderer itself is replaced."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "intro.md").write_text("# Title")
    for name in ("_config.yml", "_toc.yml", "constraints.txt"):
        (tmp_path / name).write_text("")
    runs = []

    def run(command, **_):
        runs.append(command)
        html = tmp_path / "book" / "_build" / "html"
        html.mkdir(parents=True, exist_ok=True)
        (html / "index.html").write_text("page")
        return SimpleNamespace(returncode=0, stdout="", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(pages, "generate", lambda root: None)
    monkeypatch.setattr(site, "vendor_mathjax", lambda target: None)
    return tmp_path, runs


def test_an_unchanged_book_is_not_rendered_twice(rendered):
    root, runs = rendered
    index = site.build(root)
    assert site.build(root) == index
    assert len(runs) == 1
    site.build(root, force=True)
    assert len(runs) == 2


@pytest.mark.parametrize(
    "name", ["book/intro.md", "book/new.ipynb", "_toc.yml", "constraints.txt", "book/_build/litrepro/log.json"]
)
def test_whatever_changes_is_rendered(rendered, name):
    root, runs = rendered
    site.build(root)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("changed")
    site.build(root)
    assert len(runs) == 2


def test_warnings_that_were_let_pass_are_looked_for_again(rendered):
    root, runs = rendered
    site.build(root, strict=False)
    site.build(root)
    assert len(runs) == 2


def test_a_failed_rendering_leaves_no_stamp(rendered, monkeypatch):
    root, runs = rendered
    site.build(root)
    (root / "book" / "intro.md").write_text("# Other")
    with monkeypatch.context() as broken:
        broken.setattr(
            subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1, stdout="WARNING: no", stderr="")
        )
        with pytest.raises(RuntimeError, match="WARNING: no"):
            site.build(root)
    (root / "book" / "intro.md").write_text("# Title")
    site.build(root)
    assert len(runs) == 2
