"""Fixtures that several rooms use: a toy book in a temporary folder."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

HEADER = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""

LEDGER = """\
- id: two-is-two
  kind: theorem
  claim: Two is two.
  source: section 1
  reported: "2"
  criterion: "|x - 2| < 1e-9"
  profile: quick
  verdict: reproduced
- id: big-run
  kind: figure
  claim: It grows with scale.
  source: figure 1
  criterion: n > 10
  profile: full
  verdict: open
  note: No run at full scale is recorded yet.
"""

NOTEBOOK = """\
# %% [markdown]
# # A toy

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
from litrepro import Chapter
import pandas as pd

ch = Chapter("01-toy", profile=profile, seed=seed, notebook="toy")
n = ch.pick(quick=3, full=30)
ch.save("runs", pd.DataFrame({"n": [n]}))

# %% tags=["nbval-check-output"]
ch.claim("two-is-two", value=2.0, holds=True)
ch.claim("big-run", value=n, holds=n > 10)

# %%
ch.paper("runs");
"""


class ToyBook:
    """A book of one chapter, for tests of the ledger and of the build."""

    def __init__(self, root: Path):
        self.root = root
        self.book = root / "book"
        self.chapter = self.book / "01-toy"
        self.chapter.mkdir(parents=True)
        (root / "_toc.yml").write_text("format: jb-book\nroot: intro\n")
        (root / "constraints.txt").write_text("torch==2.13.0\n")
        (self.chapter / "claims.yml").write_text(LEDGER)
        self.notebook("toy", NOTEBOOK)

    def notebook(self, name: str, text: str) -> Path:
        """Write a notebook's source into the chapter."""
        path = self.chapter / f"{name}.py"
        path.write_text(HEADER + textwrap.dedent(text))
        return path


@pytest.fixture
def toy(tmp_path, monkeypatch) -> ToyBook:
    """A toy book; the working directory and LITREPRO_BOOK point to it, profiles and scratch are its own."""
    book = ToyBook(tmp_path / "toy")
    for name in ("LITREPRO_PROFILE", "LITREPRO_SMOKE", "LITREPRO_NOTEBOOK", "LITREPRO_DEVICE", "LITREPRO_PLOTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LITREPRO_BOOK", str(book.book))
    monkeypatch.setenv("LITREPRO_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.chdir(book.root)
    return book
