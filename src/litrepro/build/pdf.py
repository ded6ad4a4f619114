"""The book as one PDF: Sphinx writes a single page, headless Chromium prints it with formulas, links and an outline.

Chromium prints what readers of the site see, figures and formulas included; LaTeX would need a distribution of
gigabytes and a second set of styles. It needs Chromium (``chromium``, ``chromium-browser`` or ``google-chrome``).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from litrepro.build import pages, site

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# What a screen needs and paper does not; a figure and its caption stay on one page; hidden code stays hidden.
PRINT_STYLE = """
<style>
@page { size: A4; margin: 18mm 16mm 20mm; }
.bd-header, .bd-header-article, .bd-sidebar-primary, .bd-sidebar-secondary, .bd-footer, .prev-next-footer,
.bd-footer-content, .headerlink, .copybtn, .header-article, #pst-back-to-top, .search-button__wrapper, .skip-link,
details.hide, .lr-filters,
.tag_hide-input > .cell_input { display: none !important; }
html { font-size: 10.5pt; }
body, .bd-main, .bd-content, .bd-article-container, .bd-article { display: block !important; max-width: none !important;
  width: auto !important; padding: 0 !important; margin: 0 !important; overflow: visible !important; }
span[id^="document-"] + section, span[id^="document-"] > section { break-before: page; }
.bd-article h1, .bd-article h2 { font-size: 1.7em; }
.bd-article h3 { font-size: 1.3em; } .bd-article h4 { font-size: 1.1em; }
figure, .lr-claim, img, mjx-container[display="true"] { break-inside: avoid; }
h2, h3 { break-after: avoid; }
.lr-scroll { overflow: visible; }
.lr-scroll table { min-width: 0; width: 100%; font-size: 0.66em; }
.lr-scroll td, .lr-scroll th { overflow-wrap: break-word; hyphens: auto; padding: 0.2rem 0.25rem; }
.lr-badge { font-size: 0.95em; padding: 0 0.3rem; }
mjx-container[display="true"] { font-size: 92% !important; overflow: visible !important; }
.lr-scroll tr { break-inside: avoid; }
.lr-board .lr-scroll { display: none; } /* the ledgers of the chapters hold the same rows */
table.dataframe { font-size: 0.75em; }
.lr-scroll thead th { position: static; }
figcaption p, .caption-text { color: #444 !important; }
pre { white-space: pre-wrap; }
</style>
"""


def build(root: Path, target: Path | None = None, *, seconds: float = 600) -> Path:
    """Print ``root/book`` to ``target`` (default ``book/_build/litrepro.pdf``) and return its path.

    Raises
    ------
    RuntimeError
        Chromium is not installed, the single page could not be rendered, or nothing was printed within ``seconds``.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise RuntimeError(f"printing needs one of {', '.join(BROWSERS)}; install Debian's package chromium, say")
    target = target or root / "book" / "_build" / "litrepro.pdf"
    page = _single_page(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="litrepro-") as profile:
        part = Path(profile) / "book.pdf"
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-quic"]
        command += [f"--user-data-dir={profile}", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
        command += ["--virtual-time-budget=120000", f"--print-to-pdf={part}", page.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"Chromium printed nothing within {seconds:.0f} seconds") from error
        if done.returncode != 0 or not part.is_file() or part.stat().st_size == 0:
            raise RuntimeError(f"Chromium printed nothing (status {done.returncode}):\n{done.stderr[-2000:]}")
        shutil.move(part, target)
    return target


def _single_page(root: Path) -> Path:
    """The whole book as one HTML page, made fit for paper."""
    pages.generate(root)
    output = root / "book" / "_build" / "print"
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "book"]
    command += ["--config", str(root / "_config.yml"), "--toc", str(root / "_toc.yml"), "--path-output", str(output)]
    command += ["--builder", "singlehtml", "--keep-going", "--all"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    html = output / "_build" / "singlehtml"
    page = html / "intro.html"
    if done.returncode != 0 or not page.is_file():
        raise RuntimeError("the single page could not be rendered:\n" + (done.stdout + done.stderr)[-3000:])
    site.vendor_mathjax(html / "_static" / "mathjax")
    text = page.read_text(encoding="utf-8").replace("</head>", PRINT_STYLE + "</head>", 1)
    # A picture that loads when it is scrolled to would stay white.
    page.write_text(text.replace('loading="lazy"', ""), encoding="utf-8")
    site.drop_thebe(html)
    return page
