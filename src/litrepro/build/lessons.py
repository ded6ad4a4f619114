"""What reproduces and what does not: verdicts by area and evidence, causes of failure, errata by sort.

Verdicts come from the executed notebooks. Two things no notebook knows are written down in ``book/lessons.yml``: why a
claim failed, and what sort of mistake an erratum is. A test keeps the file complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from litrepro import runtime
from litrepro.build import scoreboard

if TYPE_CHECKING:
    import pandas as pd

AREAS = {
    "optimization": range(1, 8),
    "networks": range(8, 12),
    "structure and kernels": range(12, 15),
    "robustness, data, games": range(15, 20),
    "applications": range(20, 21),
}
EVIDENCE = {
    "theorem": "a proof or a formula",
    "table": "a table of numbers",
    "figure": "a figure",
    "statement": "a sentence",
}
CAUSES = {
    "condition left out": "holds under a condition that is not stated",
    "untuned baseline": "the comparison changes when every method is tuned",
    "one seed": "the difference is within the spread over seeds",
    "undertraining": "the order changes when training goes on",
    "misprint": "the formula as printed does something else",
    "overstatement": "true in direction, not in the strength claimed",
    "other setting": "true where it was proved or measured, not where we could test it",
    "wrong": "false as stated",
}
SORTS = {
    "sign or direction": "a sign, an inequality, an order of arguments",
    "factor or exponent": "a constant, an exponent, a rate",
    "index or symbol": "an index, a transposition, a missing inverse or term",
    "condition": "an assumption or a case left out",
    "algorithm": "a step of a procedure",
    "attribution or number": "a source, a number, a name",
}


def load(book: Path | None = None) -> dict[str, dict[str, str]]:
    """``book/lessons.yml``: ``causes`` and ``errata``, each from ``slug/claim-id`` to a word of the vocabulary.

    Raises ``ValueError`` for a missing part, an unknown word or a claim that is no ``slug/id``.
    """
    import yaml

    path = (book or runtime.find_book()) / "lessons.yml"
    found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for part, words in (("causes", CAUSES), ("errata", SORTS)):
        entries = found.get(part)
        if not isinstance(entries, dict):
            raise ValueError(f"{path.name} needs a mapping {part!r}")
        for key, word in entries.items():
            if word not in words or key.count("/") != 1:
                raise ValueError(f"{path.name}: {part}: {key}: {word!r} is none of {', '.join(words)}")
    return found


def table(book: Path | None = None) -> pd.DataFrame:
    """Every claim with its ``area``, ``evidence``, and the ``cause`` or ``sort`` written down for it (else empty).

    Raises ``ValueError`` for a chapter whose number is in none of ``AREAS``, and what ``load`` raises.
    """
    notes = load(book)
    frame = scoreboard.load(book)
    keys = frame["chapter"] + "/" + frame["id"]
    number = frame["chapter"].str[:2].astype(int)
    area = {n: name for name, numbers in AREAS.items() for n in numbers}
    frame["area"] = number.map(area)
    without = sorted(set(frame["chapter"][frame["area"].isna()]))
    if without:
        raise ValueError(f"no area has the chapter {', '.join(without)}: add its number to lessons.AREAS")
    frame["evidence"] = frame["kind"].map(EVIDENCE).fillna("erratum")
    frame["cause"] = [notes["causes"].get(key, "") for key in keys]
    frame["sort"] = [notes["errata"].get(key, "") for key in keys]
    return frame


def missing(frame: pd.DataFrame) -> list[str]:
    """Claims that fail without a cause, and errata without a sort, as ``slug/id``."""
    keys = frame["chapter"] + "/" + frame["id"]
    failed = frame["verdict"].isin(["partly", "not reproduced"]) & (frame["kind"] != "erratum")
    lacking = (failed & (frame["cause"] == "")) | ((frame["kind"] == "erratum") & (frame["sort"] == ""))
    return sorted(keys[lacking])


def shares(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """Share of each verdict among the judged claims, by ``by``; the last column counts them."""
    judged = frame[frame["verdict"] != "not run"]
    counts = scoreboard.counts(judged, by)[["reproduced", "partly", "not reproduced"]]
    total = counts.sum(axis=1)
    return counts.div(total, axis=0).assign(claims=total)


def bars(counts: pd.DataFrame, ax: Any, label: str) -> None:
    """Stacked horizontal bars of verdicts, in the book's colours, with the number of claims behind each."""
    shown = counts.drop(columns="claims")
    shown.plot.barh(stacked=True, ax=ax, color=[scoreboard.COLOURS[name] for name in shown.columns], width=0.7)
    for position, total in enumerate(counts["claims"]):
        ax.text(1.01, position, str(total), va="center", fontsize=8, color="0.35")
    ax.invert_yaxis()
    ax.set(xlabel=label, ylabel="", xlim=(0, 1))
    ax.legend(title="", ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
