"""Prose and captions move into the executed copy without an execution; anything else still costs one."""

import pytest

from litrepro.build import check, execute, notebooks
from litrepro.build.execute import Settings

# The counter of executions: a file that every execution makes one byte longer.
TOY = """\
# %% [markdown]
# # A toy

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% mystnb={"figure": {"name": "toy", "caption": "Old caption."}, "image": {"alt": "Old text."}} tags=["hide-input"]
from pathlib import Path

with Path("executions").open("a") as file:
    file.write("x")
print("an output")
"""


def run(toy, **keywords):
    settings = Settings(**{"workers": 1, "timeout": 60} | keywords)
    return execute.run(toy.book, notebooks.discover(toy.book), settings, lambda _: None)[0].state


@pytest.fixture
def executed(toy):
    """A toy book whose notebook has been executed once."""
    toy.notebook("toy", TOY)
    (toy.chapter / "claims.yml").write_text("")
    assert run(toy) == "executed"
    return toy


def executions(toy) -> int:
    return len((toy.chapter / "executions").read_text())


def test_prose_and_captions_are_woven_in_and_give_what_an_execution_gives(executed):
    reworded = TOY.replace("A toy", "A better toy").replace("Old caption", "A caption").replace("Old text", "A text")
    executed.notebook("toy", reworded + "\n# %% [markdown]\n# A last word.\n")
    (pair,) = notebooks.discover(executed.book)
    assert execute.state_of(pair) == "reworded"
    assert run(executed) == "reworded"
    assert executions(executed) == 1
    assert execute.state_of(pair) == "fresh"
    woven = pair.executed.read_bytes()
    assert b"A better toy" in woven
    assert b"A caption" in woven
    assert run(executed, force=True) == "executed"
    assert pair.executed.read_bytes() == woven


def test_a_changed_caption_alone_is_found_by_the_check(executed):
    executed.notebook("toy", TOY.replace("Old caption", "A caption"))
    problems = [str(problem) for problem in check.check(executed.book, notebooks.discover(executed.book))]
    assert any("a caption or an alternative text has changed" in text for text in problems)


@pytest.mark.parametrize(
    ("old", "new"),
    [('print("an output")', 'print("another")'), ('tags=["hide-input"]', "")],
    ids=["code", "tags"],
)
def test_changed_code_or_tags_are_executed(executed, old, new):
    executed.notebook("toy", TOY.replace("A toy", "A better toy").replace(old, new))
    assert run(executed) == "executed"


def test_changed_surroundings_or_outputs_are_executed(executed):
    executed.notebook("toy", TOY.replace("A toy", "A better toy"))
    constraints = executed.root / "constraints.txt"
    constraints.write_text(constraints.read_text() + "numpy==0.1\n")
    assert run(executed) == "executed"
    executed.notebook("toy", TOY)
    (pair,) = notebooks.discover(executed.book)
    pair.executed.write_text(pair.executed.read_text().replace("an output", "a forged output"))
    assert run(executed) == "executed"
    assert "forged" not in pair.executed.read_text()
