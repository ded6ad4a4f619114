"""Render the site with Jupyter Book: generated parts first, warnings as errors, formulas without a network."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from litrepro.build import pages

_THEBE = re.compile(r"<script[^>]*>const THEBE_JS_URL|<script[^>]*sphinx-thebe\.js|<link[^>]*sphinx-thebe\.css")
_STAMP = ".made-from"
_NOISE = re.compile(r"\x1b\[[0-9;]*m")


def build(root: Path, *, strict: bool = True, force: bool = False) -> Path:
    """Render ``root/book`` to ``root/book/_build/html`` and return the path of its ``index.html``.

    A site that was rendered without warnings from just these files stays as it is, unless ``force``.

    Raises
    ------
    RuntimeError
        Rendering failed, or (``strict``) there were warnings; the message holds them.
    ValueError
        An executed notebook cannot be read.
    """
    html = root / "book" / "_build" / "html"
    stamp, now = html / _STAMP, fingerprint(root)
    if not force and (html / "index.html").is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == now:
        return html / "index.html"
    stamp.unlink(missing_ok=True)
    pages.generate(root)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "book"]
    command += ["--config", str(root / "_config.yml"), "--toc", str(root / "_toc.yml")]
    command += ["--path-output", str(root / "book"), "--keep-going"]
    command += ["-W", "-n"] if strict else ["-n"]
    # Everything is rendered anew: an incremental build reports the warnings of changed pages only.
    command.append("--all")
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        log = _NOISE.sub("", done.stdout + done.stderr).splitlines()
        relevant = [line for line in log if "WARNING" in line or "ERROR" in line or "Error" in line]
        raise RuntimeError("rendering the book failed:\n" + "\n".join(relevant[:40] or log[-40:]))
    vendor_mathjax(html / "_static" / "mathjax")
    drop_thebe(html)
    if strict:
        stamp.write_text(now, encoding="utf-8")
    return html / "index.html"


def fingerprint(root: Path) -> str:
    """Hash of all that the site is made from: book, configuration, execution logs, library, pinned versions."""
    book = root / "book"
    built = {book / "_build", book / "_generated"}
    files = [path for path in book.rglob("*") if not built & set(path.parents)]
    files += (book / "_build" / "litrepro").rglob("*.json")
    files += Path(__file__).resolve().parents[1].rglob("*.py")
    files += (root / name for name in ("_config.yml", "_toc.yml", "constraints.txt"))
    total = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file() and ".ipynb_checkpoints" not in path.parts):
        total.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def vendor_mathjax(target: Path) -> None:
    """Copy MathJax's one script and its fonts (1.7 MB of the package's 24) beside the pages."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("sphinx-mathjax-offline is not installed: formulas would need a network")
    source = Path(next(iter(spec.submodule_search_locations))) / "static" / "mathjax"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source / "tex-chtml-full.js", target)
    fonts = Path("output") / "chtml" / "fonts"
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)


def drop_thebe(html: Path) -> None:
    """Take live-code scripts out of every page: they are included twice (an error) and point to another host."""
    for page in html.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        kept = [line for line in text.splitlines(keepends=True) if not _THEBE.search(line)]
        page.write_text("".join(kept), encoding="utf-8")
