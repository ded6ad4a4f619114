"""Recording: which tables a page has, what is run, and how it ends."""

import ast
import json
import os
import subprocess
import sys
import time

import pandas as pd
import pytest
from typer.testing import CliRunner

from litrepro import Chapter
from litrepro.build import cli, notebooks, record

LITREPRO = [sys.executable, "-c", "from litrepro.build.cli import main; main()"]
FRAME = pd.DataFrame({"n": [1]})
OPEN = "from litrepro import Chapter\nch = Chapter('01-toy', notebook='other')\n"


def listed(toy):
    return {(each.table, each.state) for each in record.recordings(notebooks.discover(toy.book, ["*/other"]))}


def test_a_computed_name_is_listed_as_what_it_recorded_or_as_a_pattern(toy):
    toy.notebook("other", "# %%\nfor name in 'ab':\n    ch.save(f'phase-{name}', frame)\nch.save(name, frame)\n")
    assert listed(toy) == {("phase-*", "missing"), ("*", "missing")}
    for notebook, name in (("other", "phase-a"), ("toy", "phase-of-another")):
        Chapter("01-toy", profile="full", notebook=notebook).save(name, FRAME)
    assert listed(toy) == {("phase-a", "recorded")}


@pytest.mark.parametrize(("seconds", "minutes"), [(None, None), ("5", None), (90, 1.5)])
def test_lists_what_check_accepts(toy, seconds, minutes):
    """A magic in the source, provenance without a number of seconds, an estimate that is none."""
    opened = "# %%\n%matplotlib inline\nch = Chapter('01-toy', full_minutes=None)\n"
    toy.notebook("other", f"{opened}ch.save('runs', frame)\nch.save('b', frame)\n")
    Chapter("01-toy", profile="full", notebook="other").save("runs", FRAME)
    path = toy.chapter / "results" / "runs.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": seconds}))
    found = record.recordings(notebooks.discover(toy.book, ["*/other"]))
    assert [(each.table, each.state, each.minutes) for each in found] == [
        ("runs", "recorded", minutes),
        ("b", "missing", None),
    ]
    assert CliRunner().invoke(cli.app, ["record", "--list"]).exit_code == 0


def test_a_paused_page_is_not_recorded_and_a_named_page_is_run(toy):
    toy.notebook("other", "# %%\n" + OPEN + "ch.pause()\n")
    told = CliRunner().invoke(cli.app, ["record", "01-toy/other"])
    assert told.exit_code == 75
    assert "paused: run again 01-toy/other" in told.output
    told = CliRunner().invoke(cli.app, ["record", "01"])
    assert told.exit_code == 0
    assert "no table to record: 01-toy/other" in told.output
    assert "recorded 01-toy/toy" in told.output


def test_a_signal_ends_the_page_as_well(toy):
    toy.notebook(
        "toy",
        "# %%\nch = print\n# ch.save\nimport os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(100)\n",
    )
    process = subprocess.Popen([*LITREPRO, "record", "01-toy/toy"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    path, deadline = toy.chapter / "pid", time.monotonic() + 60
    while not (path.is_file() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.terminate()
    output = process.communicate(timeout=30)[0].decode()
    assert process.returncode == 130, output
    assert "Interrupted" in output
    with pytest.raises(ProcessLookupError):
        os.kill(int(path.read_text()), 0)


def test_scratch_is_that_of_the_command(toy, monkeypatch):
    monkeypatch.setenv("LITREPRO_SCRATCH", "scratch")
    toy.notebook("other", "# %%\n" + OPEN + "ch.scratch('x').touch()\n")
    assert record.record(notebooks.discover(toy.book, ["*/other"])[0], smoke=True)[0] == 0
    assert (toy.root / "scratch" / "smoke" / "01-toy" / "other" / "x").is_file()


def test_a_name_of_computed_parts_alone_is_one_pattern():
    call = ast.parse('ch.save(f"{a}{b}-x", frame)').body[0].value
    assert record._pattern(call) == "*-x"
