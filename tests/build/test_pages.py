"""Scoreboard, generated pages and recordings, from an executed toy book."""

import json
import os
from pathlib import Path

import pytest

from litrepro.build import execute, notebooks, pages, record, scoreboard
from litrepro.build.execute import Settings


@pytest.fixture
def executed(toy):
    execute.run(toy.book, notebooks.discover(toy.book), Settings(), lambda _: None)
    return toy


def test_scoreboard_and_pages(executed):
    frame = scoreboard.load()
    assert frame.set_index("id").verdict.to_dict() == {"two-is-two": "reproduced", "big-run": "not run"}
    assert scoreboard.counts(frame, "kind").loc["theorem", "reproduced"] == 1
    html = scoreboard.table(frame).data
    assert html.count("<tr data-") == 2
    assert 'href="01-toy/toy.html#claim-two-is-two"' in html
    assert "at full scale:" not in html
    at_full_scale = ["reproduced" if name == "two-is-two" else "partly" for name in frame["id"]]  # as in quick; another
    assert scoreboard.table(frame.assign(at_full_scale=at_full_scale)).data.count("at full scale: partly") == 1
    folder = pages.generate(executed.root)
    assert "**2 claims** in 1 chapter" in (folder / "totals.md").read_text()
    assert "No erratum" in (folder / "errata.md").read_text()
    log = json.loads(next((executed.book / "_build" / "litrepro").glob("*.json")).read_text())
    assert log["notebook"] in (folder / "execution.md").read_text()
    assert f"Device: {log['device']}. Versions" in (folder / "execution.md").read_text()
    for path in (executed.book / "_build" / "litrepro").glob("*.json"):
        path.unlink()
    assert "up to date" in pages.execution(executed.book)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.123456, "0.123"),
        ({"a": 1.0, "b": [1, 2.5]}, "a: 1; b: 1, 2.5"),
        ({"0.07924465962305567": 3.0, "1000": True}, "0.0792: 3; 1000: yes"),
        (True, "yes"),
        (123456789, "123456789"),
    ],
)
def test_short_values(value, text):
    assert scoreboard.short(value) == text
    assert len(scoreboard.short({"key": "x" * 500})) <= 160


def test_recordings_by_state(executed):
    pairs = notebooks.discover(executed.book)
    (found,) = record.recordings(pairs)
    assert (found.table, found.state, found.minutes) == ("runs", "missing", None)
    kept = Path(os.environ["LITREPRO_SCRATCH"]) / "smoke" / pairs[0].key / "of an earlier one.pt"
    kept.parent.mkdir(parents=True)
    kept.touch()
    status, _ = record.record(pairs[0], smoke=True)
    assert not kept.exists(), "a smoke run starts afresh"
    assert status == 0
    assert record.recordings(pairs)[0].state == "missing", "a smoke run records nothing"
    status, _ = record.record(pairs[0])
    assert status == 0
    assert record.recordings(pairs)[0].state == "recorded"
    table = executed.chapter / "results" / "runs.csv"
    table.write_text(table.read_text() + "1\n")
    assert record.recordings(pairs)[0].state == "broken"


def test_a_recording_knows_its_limit(toy, monkeypatch):
    monkeypatch.delenv("LITREPRO_MINUTES", raising=False)
    toy.notebook("asks", "# %%\nimport os\nraise SystemExit(int(float(os.environ['LITREPRO_MINUTES'])))\n")
    assert record.record(notebooks.discover(toy.book, ["*/asks"])[0], limit=1200)[0] == 17


def test_a_recording_past_its_limit_is_stopped(toy):
    toy.notebook("slow", "# %%\nimport time\ntime.sleep(60)\n")
    status, seconds = record.record(notebooks.discover(toy.book, ["*/slow"])[0], limit=1)
    assert status == 124
    assert seconds < 20
