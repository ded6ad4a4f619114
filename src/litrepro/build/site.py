"""Render the site with Jupyter Book: generated parts first, warnings as errors, formulas without a network."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from litrepro.build import pages

_THEBE = re.compile(r"<script[^>]*>const THEBE_JS_URL|<script[^>]*sphinx-thebe\.js|<link[^>]*sphinx-thebe\.css")
_NOISE = re.compile(r"\x1b\[[0-9;]*m")


def build(root: Path, *, strict: bool = True) -> Path:
    """Render ``root/book`` to ``root/book/_build/html`` and return the path of its ``index.html``.

    Raises
    ------
    RuntimeError
        Rendering failed, or (``strict``) there were warnings; the message holds them.
    ValueError
        An executed notebook cannot be read.
    """
    pages.generate(root)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "book"]
    command += ["--config", str(root / "_config.yml"), "--toc", str(root / "_toc.yml")]
    command += ["--path-output", str(root / "book"), "--keep-going"]
    command += ["-W", "-n"] if strict else ["-n"]
    # Everything is rendered anew: an incremental build reports the warnings of changed pages only.
    command.append("--all")
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    html = root / "book" / "_build" / "html"
    if done.returncode != 0:
        log = _NOISE.sub("", done.stdout + done.stderr).splitlines()
        relevant = [line for line in log if "WARNING" in line or "ERROR" in line or "Error" in line]
        raise RuntimeError("rendering the book failed:\n" + "\n".join(relevant[:40] or log[-40:]))
    vendor_mathjax(html / "_static" / "mathjax")
    drop_thebe(html)
    return html / "index.html"


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
