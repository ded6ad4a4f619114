"""Generated parts of the book's pages: totals, chapter cards, errata, the execution report.

They are written to ``book/_generated`` before rendering, from the executed notebooks and the execution logs, and are
not committed.
"""

from __future__ import annotations

import json
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from litrepro.build import harvest, notebooks, reference
from litrepro.build.scoreboard import COLOURS, ORDER
from litrepro.results import write_atomically
from litrepro.show import badge

# The twenty reviews; a chapter that stands links to its pages, the others are announced.
TITLES = {
    "01-nonconvex-optimization": "Non-convex optimization",
    "02-momentum": "Momentum in stochastic methods",
    "03-escaping-saddle-points": "Escaping saddle points",
    "04-accelerated-nonconvex": "Accelerated non-convex optimization",
    "05-second-order": "Second-order methods",
    "06-implicit-acceleration": "Implicit acceleration by depth",
    "07-double-acceleration": "Asynchrony and double acceleration",
    "08-residual-networks": "Residual networks",
    "09-double-descent": "Double descent",
    "10-shallow-networks": "Provable shallow networks",
    "11-convex-networks": "Convex neural networks",
    "12-structured-recovery": "Recovery of structured matrices",
    "13-graphon-lasso": "Graphons and the graphical lasso",
    "14-random-features": "Random features",
    "15-distillation": "Knowledge distillation",
    "16-coresets": "Coresets",
    "17-certified-defenses": "Certified defenses",
    "18-gan-training": "Training of GANs",
    "19-discrete-layers": "Discrete layers",
    "20-materials": "Machine learning for materials",
}


def generate(root: Path) -> Path:
    """Write every generated part; returns their folder. Raises ``ValueError`` if a notebook cannot be read."""
    book = root / "book"
    folder = book / "_generated"
    judged = harvest.verdicts(book)
    parts = {
        "totals.md": totals(judged),
        "chapters.md": chapters(book, judged),
        "errata.md": errata(judged),
        "execution.md": execution(book),
        **reference.parts(root),
    }
    for name, text in parts.items():
        write_atomically(folder / name, text.encode())
    return folder


def totals(judged: list[dict[str, Any]]) -> str:
    """One sentence and one bar: how many claims, by verdict."""
    count = Counter(claim["verdict"] for claim in judged)
    shown = [name for name in ORDER if count[name]]
    chapters = len({claim["chapter"] for claim in judged})
    bar = "".join(
        f'<span style="width:{100 * count[name] / len(judged):.2f}%;background:{COLOURS[name]}" '
        f'title="{count[name]} {name}"></span>'
        for name in shown
    )
    words = " ".join(f"{badge(name)} {count[name]}" for name in shown)
    plural = "s" if chapters != 1 else ""
    return (
        f"**{len(judged)} claims** in {chapters} chapter{plural}, judged by their notebooks "
        f"([scoreboard](scoreboard.ipynb)):\n\n"
        f'<p class="lr-totals">{words}</p>\n<div class="lr-bar" role="img" '
        f'aria-label="{escape(", ".join(f"{count[n]} {n}" for n in shown))}">{bar}</div>\n'
    )


def chapters(book: Path, judged: list[dict[str, Any]]) -> str:
    """A card per chapter that stands, and the list of those to come."""
    cards, planned = [], []
    for slug, title in TITLES.items():
        if not (book / slug / "review.ipynb").is_file():
            planned.append(title)
            continue
        count = Counter(claim["verdict"] for claim in judged if claim["chapter"] == slug)
        words = ", ".join(f"{count[name]} {name}" for name in ORDER if count[name])
        number = int(slug[:2])
        cards.append(
            f":::{{grid-item-card}} {number} {title}\n:link: {slug}/review\n:link-type: doc\n\n"
            f"{sum(count.values())} claims: {words}\n:::\n"
        )
    grid = "::::{grid} 1 1 2 2\n:gutter: 3\n\n" + "\n".join(cards) + "\n::::\n"
    coming = f'\n<p class="lr-muted">In preparation: {escape("; ".join(planned))}.</p>\n' if planned else ""
    return grid + coming


def errata(judged: list[dict[str, Any]]) -> str:
    """Every erratum by chapter, with what was printed and a link to the check."""
    found = [claim for claim in judged if claim["kind"] == "erratum"]
    if not found:
        return "No erratum has been checked yet.\n"
    parts = []
    for slug in dict.fromkeys(claim["chapter"] for claim in found):
        rows = "".join(
            f'<tr><td><a href="{claim["page"]}.html#{claim["anchor"]}">{badge(claim["verdict"])}</a></td>'
            f"<td>{escape(claim['source'])}</td><td>{escape(claim['reported'])}</td>"
            f"<td>{escape(claim['claim'])}</td></tr>"
            for claim in found
            if claim["chapter"] == slug
        )
        head = "<tr><th>Check</th><th>Where</th><th>Printed</th><th>Correct</th></tr>"
        parts.append(
            f"## {TITLES.get(slug, slug)}\n\n"
            f'<div class="lr-scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>\n'
        )
    return "\n".join(parts)


def execution(book: Path) -> str:
    """Time, memory and versions of the last execution of every notebook, from the logs below ``_build``."""
    logs = []
    for pair in notebooks.discover(book):
        path = book / "_build" / "litrepro" / f"{pair.key.replace('/', '__')}.json"
        try:
            logs.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    if not logs:
        return "Every notebook was up to date when this site was built, so none was executed.\n"
    rows = "".join(
        f"<tr><td>{escape(log['notebook'])}</td><td>{log['seconds']:.1f}</td><td>{log['cpu_seconds']:.1f}</td>"
        f"<td>{log['max_rss_mib']}</td><td>{escape(log['finished'][:10])}</td></tr>"
        for log in logs
    )
    last = max(logs, key=lambda log: log["finished"])
    device = last.get("device", "not noted")  # logs of an older version have none
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    total = sum(log["cpu_seconds"] for log in logs)
    head = "<tr><th>Notebook</th><th>Seconds</th><th>CPU-seconds</th><th>Memory (MiB)</th><th>Date</th></tr>"
    return (
        f"Device: {escape(device)}. Versions: {escape(versions)}. In all {total:.0f} CPU-seconds.\n\n"
        f'<div class="lr-scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>\n'
    )
