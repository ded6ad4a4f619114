"""What a notebook can do with its chapter, in each profile."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from litrepro import Chapter, claims, results, runtime, show
from litrepro.claims import MIME

FRAME = pd.DataFrame({"n": [1, 2]})


@pytest.fixture
def shown(monkeypatch):
    """Everything that a chapter displays: (text, html, metadata)."""
    log = []
    monkeypatch.setattr(show, "_display", lambda *parts: log.append(parts))
    return log


def verdict(shown):
    return shown[-1][2][MIME]["verdict"]


def test_pick_by_profile(toy, monkeypatch):
    assert Chapter("01-toy").pick(quick=1, full=2) == 1
    assert Chapter("01-toy", profile="full").pick(quick=1, full=2, smoke=0) == 2
    monkeypatch.setenv("LITREPRO_PROFILE", "full")
    assert Chapter("01-toy").pick(quick=1, full=2) == 2
    monkeypatch.setenv("LITREPRO_SMOKE", "1")
    assert Chapter("01-toy").pick(quick=1, full=2, smoke=0) == 0
    assert Chapter("01-toy").pick(quick=1, full=2) == 1  # a smoke run is as small as quick where nothing else is said


def test_what_was_picked_is_the_configuration_whatever_becomes_of_it(toy):
    ch, other = (Chapter("01-toy", profile="full", notebook="toy") for _ in range(2))
    ch.pick(quick=[1], full=[2, 3]).append(4)
    other.pick(quick=[1], full=[2, 3])
    assert ch._configuration_digest() == other._configuration_digest()
    assert Chapter("01-toy").pick(quick=1, full=2) == 1


@pytest.mark.parametrize(
    ("keywords", "message"),
    [({"profile": "huge"}, "profile"), ({"seed": -1}, "seed"), ({"seed": 1.0}, "seed"), ({"seed": True}, "seed")],
)
def test_bad_openings(toy, keywords, message):
    with pytest.raises(ValueError, match=message):
        Chapter("01-toy", **keywords)


def test_a_chapter_without_ledger(toy):
    with pytest.raises(ValueError, match=r"claims\.yml"):
        Chapter("02-nothing")


def test_another_verdict_at_full_scale_is_said(toy, shown):
    for holds in (False, True):
        Chapter("01-toy", profile="full", notebook="toy").claim("two-is-two", value=2.0, holds=holds)
        Chapter("01-toy", notebook="toy").claim("two-is-two", value=2.0, holds=True)
    assert [text for text, *_ in shown if text.startswith("[rep")] == [
        "[reproduced] 01-toy/two-is-two (at full scale: not reproduced)",
        "[reproduced] 01-toy/two-is-two",
        "[reproduced] 01-toy/two-is-two",
    ]


def test_claims_are_checked(toy, shown):
    ch = Chapter("01-toy")
    with pytest.raises(ValueError, match="no claim 'three'"):
        ch.claim("three", value=1, holds=True)
    with pytest.raises(ValueError, match="not finite"):
        ch.claim("two-is-two", value=float("nan"), holds=True)
    with pytest.raises(ValueError, match="holds"):
        ch.claim("two-is-two", value=1, holds="reproduced")
    assert shown == []
    ch.claim("two-is-two", value=torch.tensor(2.5), holds=False)
    text, html, metadata = shown[0]
    payload = metadata[MIME]
    assert text == "[not reproduced] 01-toy/two-is-two (the ledger says: reproduced)"
    assert (payload["value"], payload["profile"], payload["seed"]) == (2.5, "quick", 0)
    assert torch.__version__.startswith(payload["versions"]["torch"])  # without "+cu124" in some wheels
    assert 'id="claim-two-is-two"' in html
    assert "2.5" not in text + html


def test_html_is_escaped(toy, shown):
    path = toy.chapter / "claims.yml"
    path.write_text(path.read_text().replace("Two is two.", "'<script>alert(1)</script>'"))
    Chapter("01-toy").claim("two-is-two", value=2, holds=True)
    assert "<script>" not in shown[0][1]


def test_a_claim_for_full_ignores_what_quick_measured(toy, shown):
    ch = Chapter("01-toy")
    ch.claim("big-run", value=100, holds=True)
    assert verdict(shown) == "not run"
    assert shown[-1][2][MIME]["reason"]


def test_a_recorded_verdict_is_shown_in_quick(toy, shown):
    full = Chapter("01-toy", profile="full", notebook="toy")
    full.claim("big-run", value=30, holds=False)
    assert verdict(shown) == "not reproduced"
    Chapter("01-toy").claim("big-run", value=3, holds=True)
    payload = shown[-1][2][MIME]
    assert (payload["verdict"], payload["value"], payload["recorded"]) == ("not reproduced", 30, True)
    assert payload["profile"] == "full"


def test_a_verdict_from_a_recorded_table(toy, shown):
    ch = Chapter("01-toy")
    ch.claim("big-run", value=None, holds=None, table="runs")
    assert verdict(shown) == "not run"
    Chapter("01-toy", profile="full").save("runs", FRAME)
    ch.claim("big-run", value=2, holds=True, table="runs")
    assert verdict(shown) == "reproduced"
    payload = shown[-1][2][MIME]
    assert (payload["profile"], payload["recorded"], payload["value"]) == ("full", True, 2)


def test_a_full_run_records_every_verdict(toy, shown):
    full = Chapter("01-toy", profile="full", notebook="toy")
    full.claim("two-is-two", value=2, holds=True)
    full.claim("big-run", value=30, holds="partly")
    found = results.load_verdicts(toy.chapter / "results")
    assert {name: entry["verdict"] for name, entry in found.items()} == {
        "two-is-two": "reproduced",
        "big-run": "partly",
    }
    full.claim("big-run", value=31, holds=True)  # judged again: the last word counts
    again = results.load_verdicts(toy.chapter / "results")
    assert (again["big-run"]["verdict"], again["big-run"]["value"], len(again)) == ("reproduced", 31, 2)


def test_a_run_that_ends_early_keeps_the_verdicts_of_an_earlier_one(toy, shown):
    def run(*ids, first=30, second=5, holds=True):
        ch = Chapter("01-toy", profile="full", notebook="toy")
        for claim_id in ids:
            ch.pick(quick=3, full=first if claim_id == ids[0] else second)
            ch.claim(claim_id, value=first, holds=holds)
        return {name: entry["verdict"] for name, entry in results.load_verdicts(toy.chapter / "results").items()}

    both = ("two-is-two", "big-run")
    assert run(*both) == dict.fromkeys(both, "reproduced")
    assert run("two-is-two", holds=False) == {"two-is-two": "not reproduced", "big-run": "reproduced"}
    assert run(*both) == dict.fromkeys(both, "reproduced")
    assert run("two-is-two", first=31) == {"two-is-two": "reproduced"}  # of another configuration, nothing stays
    run(*both)
    # What is kept stays of the whole configuration: another second size leaves it behind.
    run("two-is-two")
    for second, remark in ((5, ""), (6, ", stale: its configuration is no longer the one of this notebook")):
        ch = Chapter("01-toy", notebook="toy")
        ch.pick(quick=3, full=30)
        ch.pick(quick=3, full=second)
        ch.claim("big-run", value=1, holds=True)
        assert shown[-1][0] == f"[reproduced] 01-toy/big-run (recorded at full scale{remark})"
        assert shown[-1][2][MIME]["stale"] == bool(remark)


def test_a_stale_verdict_of_a_full_run_is_said(toy, shown):
    full = Chapter("01-toy", profile="full", notebook="toy")
    full.pick(quick=1, full={2: (3, 4), 10: range(2)})
    full.claim("two-is-two", value=2.0, holds=False)
    full.claim("big-run", value=2.0, holds=True)
    path = results.verdicts_path(toy.chapter / "results", "toy")
    for sizes, seed, stale in (
        ({2: (3, 4), 10: range(2)}, 0, False),
        ({2: (3, 5)}, 0, True),
        (None, 0, False),
        (None, 1, True),
    ):
        ch = Chapter("01-toy", seed=seed, notebook="toy")
        if sizes is not None:
            ch.pick(quick=1, full=sizes)
        ch.claim("big-run", value=0, holds=True)
        assert (", stale: " in shown[-1][0]) == (", stale: " in shown[-1][1]) == stale
        ch.claim("two-is-two", value=0, holds=True)
        assert ("at full scale: not reproduced, stale: " in shown[-1][0]) == stale
    # Of a file without a configuration, or of another notebook's, nothing can be said.
    record = json.loads(path.read_text())
    path.write_text(json.dumps({"verdicts": record["verdicts"]}))
    Chapter("01-toy", seed=1, notebook="toy").claim("big-run", value=0, holds=True)
    path.with_name("old.verdicts.json").write_text(json.dumps(record))
    path.unlink()
    Chapter("01-toy", seed=1, notebook="toy").claim("big-run", value=0, holds=True)
    assert [text for text, *_ in shown[-2:]] == ["[reproduced] 01-toy/big-run (recorded at full scale)"] * 2


def test_the_page_s_own_verdict_comes_first(toy, shown):
    for notebook, holds in (("zz-old", False), ("toy", True)):
        Chapter("01-toy", profile="full", notebook=notebook).claim("big-run", value=1, holds=holds)
    Chapter("01-toy", notebook="toy").claim("big-run", value=1, holds=False)
    assert verdict(shown) == "reproduced"


def test_profiles_do_not_share_their_checkpoints(toy, monkeypatch):
    paths = [Chapter("01-toy", profile=profile, notebook="toy").scratch("part") for profile in ("quick", "full")]
    monkeypatch.setenv("LITREPRO_SMOKE", "1")
    paths.append(Chapter("01-toy", profile="full", notebook="toy").scratch("part"))
    paths.append(Chapter("01-toy", profile="full", notebook="other").scratch("part"))
    assert len(set(paths)) == 4
    assert all(path.parent.is_dir() for path in paths)


def test_a_control_that_fails_ends_the_notebook(toy, monkeypatch):
    for profile in ("quick", "full"):
        ch = Chapter("01-toy", profile=profile)
        ch.require(torch.tensor(True), "it works")
        ch.require(np.bool_(True), "it works")
        for fails in (False, np.bool_(False), torch.tensor(0.0) > 1):
            with pytest.raises(ValueError, match=r"^nothing was learnt$"):
                ch.require(fails, "nothing was learnt")
    monkeypatch.setenv("LITREPRO_SMOKE", "1")
    Chapter("01-toy", profile="full").require(False, "nothing was learnt")
    with pytest.raises(ValueError, match="learnt"):
        Chapter("01-toy").require(False, "nothing was learnt")


@pytest.mark.parametrize("condition", [torch.tensor([True, True]), np.array([True, True]), FRAME])
def test_a_control_is_true_or_false(toy, monkeypatch, condition):
    monkeypatch.setenv("LITREPRO_SMOKE", "1")
    for profile in ("quick", "full"):
        with pytest.raises(ValueError, match=f"condition .* {type(condition).__name__}"):
            Chapter("01-toy", profile=profile).require(condition, "it works")


@pytest.mark.parametrize("message", ["", "  ", None, 3, True])
def test_a_control_says_what_did_not_work(toy, monkeypatch, message):
    monkeypatch.setenv("LITREPRO_SMOKE", "1")
    for profile in ("quick", "full"):
        for condition in (True, False):
            with pytest.raises(ValueError, match="message"):
                Chapter("01-toy", profile=profile).require(condition, message)


def test_not_run_needs_a_reason(toy, shown):
    ch = Chapter("01-toy")
    with pytest.raises(ValueError, match="reason"):
        ch.not_run("two-is-two", " ")
    ch.not_run("two-is-two", "its data cannot be had")
    assert "its data cannot be had" in shown[-1][0]


def test_tables_by_profile(toy, shown):
    quick = Chapter("01-toy", notebook="toy")
    quick.pick(quick=1, full=10)
    quick.save("runs", FRAME)
    assert not (toy.chapter / "results").exists()
    assert quick.paper("runs") is None
    full = Chapter("01-toy", profile="full", notebook="toy")
    full.pick(quick=1, full=10)
    assert full.table("runs", FRAME) is FRAME
    pd.testing.assert_frame_equal(quick.paper("runs"), FRAME)
    assert "stale" not in shown[-1][0]
    record = json.loads((toy.chapter / "results" / "runs.json").read_text())
    assert record["configuration"] == [10]
    assert {"device", "versions", "commit", "seconds", "sha256", "seed"} <= set(record)


def test_a_figure_shows_this_run_and_the_recorded_one_once(toy, shown):
    other = FRAME.copy()
    quick, full = Chapter("01-toy", notebook="toy"), Chapter("01-toy", profile="full", notebook="toy")
    assert list(quick.scales(FRAME, None)) == ["quick"]
    both = quick.scales(FRAME, other)
    assert list(both) == ["quick", "full scale"]
    assert both["quick"] is FRAME
    assert both["full scale"] is other
    assert list(full.scales(FRAME, FRAME)) == ["full scale"]


def test_a_stopwatch_takes_the_best_after_a_warm_up(toy, monkeypatch):
    ch, calls = Chapter("01-toy"), []
    ticks = iter([0.0, 3.0, 3.0, 5.0])
    monkeypatch.setattr(ch, "clock", lambda: next(ticks))
    assert ch.seconds(lambda: calls.append(1), 2) == 2.0
    assert len(calls) == 3
    with pytest.raises(ValueError, match="repeats"):
        ch.seconds(print, 0)
    monkeypatch.undo()
    began = ch.clock()
    assert 0 <= ch.clock() - began < 1


def test_functions_race_in_turns(toy, monkeypatch):
    ch, calls = Chapter("01-toy"), []
    ticks = iter([20, 22, 22, 25, 30, 33, 33, 35])  # 2 and 3, then 3 and 2
    monkeypatch.setattr(ch, "clock", lambda: next(ticks))
    assert ch.race({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2) == {"a": 2, "b": 2}
    assert calls == ["a", "b"] * 3
    for bad in ({}, print, {"a": None}):
        with pytest.raises(ValueError):
            ch.race(bad)


def test_a_full_command_ends_in_time(toy, monkeypatch, capsys):
    quick, full = Chapter("01-toy"), Chapter("01-toy", profile="full")
    for ch in (quick, full):
        monkeypatch.setattr(ch, "elapsed", lambda: 300.0)
    assert not full.out_of_time()
    assert full.out_of_time(4.9)
    assert not full.out_of_time(5.1)
    monkeypatch.setenv("LITREPRO_MINUTES", "3.5")
    assert full.out_of_time()
    assert not full.out_of_time(10.1)
    assert not quick.out_of_time()
    monkeypatch.setenv("LITREPRO_MINUTES", "0")
    assert full.out_of_time()
    for text in ("7m", "nan", "-1"):
        monkeypatch.setenv("LITREPRO_MINUTES", text)
        with pytest.raises(ValueError, match=f"LITREPRO_MINUTES .* '{text}'"):
            full.out_of_time()
    with pytest.raises(SystemExit) as ended:
        full.pause()
    assert ended.value.code == 75
    assert "goes on from here" in capsys.readouterr().out


def test_finished_parts_are_kept_by_configuration(toy, monkeypatch):
    made = []

    def make():
        made.append(len(made))
        return FRAME.assign(x=0.1 + made[-1])

    def opened(full=10, profile="full"):
        ch = Chapter("01-toy", profile=profile, notebook="toy")
        ch.pick(quick=1, full=full)
        return ch

    first = opened().kept("part", make)
    assert opened().kept("part", make).equals(first)
    assert len(made) == 1
    assert opened().kept("other", make).x[0] == 1.1
    assert opened(full=11).kept("part", make).x[0] == 2.1  # another configuration's part is not this one's
    assert opened(profile="quick").kept("part", make).x[0] == 3.1
    named = [opened().kept("named", lambda: FRAME.rename_axis("row").assign(word="None")) for _ in range(2)]
    assert named[0].equals(named[1])
    assert list(named[0]) == ["row", *FRAME, "word"]
    late = opened()
    monkeypatch.setattr(late, "elapsed", lambda: 1000.0)
    assert late.kept("part", make).equals(first)
    with pytest.raises(SystemExit):
        late.kept("new", make)
    monkeypatch.setenv("LITREPRO_SMOKE", "1")
    assert opened().kept("part", make).x[0] == 4.1
    assert opened().kept("part", make).x[0] == 5.1
    for bad in (lambda ch: ch.kept("/root", make), lambda ch: ch.kept("part", FRAME), lambda ch: ch.kept("p", dict)):
        with pytest.raises(ValueError):
            bad(opened())


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(np.arange(4.0).reshape(2, 2)),  # names that are numbers
        FRAME.assign(code=["01", "2"]),
        FRAME.assign(day=pd.to_datetime(["2020-01-01", "2021-01-01"])),
        FRAME.assign(x=np.float32([0.1, 0.2])),
        FRAME.assign(x=[1 / 3, 1e-300], word=["None", ""]),
    ],
)
def test_a_part_has_the_same_types_when_it_is_made_and_when_it_is_kept(toy, frame):
    made, kept = (Chapter("01-toy", profile="full", notebook="toy").kept("part", lambda: frame) for _ in range(2))
    pd.testing.assert_frame_equal(made, kept, check_exact=True)
    assert made.shape == frame.shape
    assert Chapter("01-toy", notebook="toy").kept("part", lambda: frame) is frame


@pytest.mark.parametrize("content", [b"", b"\xff\xfe,1\n", b"a\n1,2,3\n4\n1,2,3,4,5\n"])
def test_a_kept_part_that_cannot_be_read_is_named(toy, content):
    ch = Chapter("01-toy", profile="full", notebook="toy")
    ch.kept("part", lambda: FRAME)
    (path,) = ch.scratch("part").parent.glob("*.csv")
    path.write_bytes(content)
    with pytest.raises(results.ResultsError, match=rf"(?s){path.name} .* delete it"):
        ch.kept("part", lambda: FRAME)


def test_a_full_run_beside_the_book_leaves_what_is_recorded(toy, shown, monkeypatch):
    from litrepro.build import execute, notebooks

    def run(seed, n):
        ch = Chapter("01-toy", profile="full", seed=seed, notebook="toy")
        ch.save("runs", FRAME + n)
        ch.claim("big-run", value=n, holds=n > 10)
        return ch.paper("runs")

    run(0, 30)
    before = {path.name: path.read_bytes() for path in (toy.chapter / "results").iterdir()}
    (pair,) = notebooks.discover(toy.book)
    for number, options in enumerate(({"parameters": {"seed": 7}}, {"compare": True})):
        environment = execute._environment(pair, execute.Settings(profile="full", **options))
        monkeypatch.setenv("LITREPRO_RESULTS", environment["LITREPRO_RESULTS"])
        pd.testing.assert_frame_equal(run(7, number), FRAME + number)
        assert {path.name: path.read_bytes() for path in (toy.chapter / "results").iterdir()} == before
        beside = toy.book / environment["LITREPRO_RESULTS"]
        assert beside.is_relative_to(toy.book / "_build" / "runs")
        assert {path.name for path in beside.iterdir()} == set(before)
    for profile in ("quick", "full"):
        assert "LITREPRO_RESULTS" not in execute._environment(pair, execute.Settings(profile=profile))


@pytest.mark.parametrize("change", ["size", "seed", "notebook"])
def test_another_configuration_is_stale(toy, shown, change):
    full = Chapter("01-toy", profile="full", notebook="toy")
    full.pick(quick=1, full=10)
    full.save("runs", FRAME)
    seed, name = (1 if change == "seed" else 0), ("other" if change == "notebook" else "toy")
    quick = Chapter("01-toy", seed=seed, notebook=name)
    quick.pick(quick=1, full=11 if change == "size" else 10)
    quick.save("runs", FRAME)
    assert quick.paper("runs") is not None
    assert "stale" in shown[-1][0]


def test_a_smoke_run_records_nothing(toy, shown, monkeypatch):
    monkeypatch.setenv("LITREPRO_SMOKE", "1")
    ch = Chapter("01-toy", profile="full")
    ch.save("runs", FRAME)
    ch.claim("big-run", value=1, holds=True)
    assert not (toy.chapter / "results").exists()


def test_saving_nonsense_fails_in_quick_too(toy):
    ch = Chapter("01-toy")
    with pytest.raises(ValueError, match="name"):
        ch.save("No Name", FRAME)
    with pytest.raises(ValueError, match="rows"):
        ch.save("runs", FRAME[:0])


def test_generators_are_independent_and_repeatable(toy):
    ch = Chapter("01-toy", seed=3)
    first, again, other = (torch.rand(4, generator=ch.generator(k)) for k in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, torch.rand(4, generator=Chapter("01-toy", seed=4).generator(1)))


def test_devices(toy, monkeypatch):
    assert Chapter("01-toy").device == torch.device("cpu")
    monkeypatch.setenv("LITREPRO_DEVICE", "nonsense")
    with pytest.raises(ValueError, match="LITREPRO_DEVICE"):
        _ = Chapter("01-toy").device


def test_digest_refuses_what_has_no_stable_text():
    assert runtime.digest([range(3), torch.tensor([1.0])]) == runtime.digest([[0, 1, 2], [1.0]])
    with pytest.raises(ValueError, match="stable"):
        runtime.digest(object())
    for keys in ({(1, 2): 3}, {1: 2, "a": 3}, {"x": [{(1, 2): 3}]}):
        with pytest.raises(ValueError, match=r"stable .* keys of mappings"):
            runtime.digest(keys)


def test_a_plain_script_needs_no_jupyter_and_no_plotting(toy):
    """The .py runs at full scale on a machine with torch, numpy and pandas alone."""
    blocked = ("IPython", "seaborn", "matplotlib", "sklearn", "scipy", "tqdm", "papermill", "jupytext", "nbformat")
    code = (
        "import sys, runpy\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        f"runpy.run_path({str(toy.chapter / 'toy.py')!r}, run_name='__main__')\n"
    )
    environment = {**os.environ, "LITREPRO_PROFILE": "full"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[reproduced] 01-toy/big-run" in done.stdout
    assert (toy.chapter / "results" / "runs.csv").is_file()


def test_a_script_belongs_to_its_own_book(toy, tmp_path, monkeypatch):
    other = type(toy)(tmp_path / "other")
    script = other.notebook("page", "")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", os.path.relpath(script), raising=False)
    assert Chapter("01-toy").folder == toy.chapter  # as LITREPRO_BOOK says
    monkeypatch.delenv("LITREPRO_BOOK")
    ch = Chapter("01-toy")
    assert (ch.folder, ch.notebook) == (other.chapter, "page")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "runner.py"))
    assert Chapter("01-toy").folder == toy.chapter  # of a script that is no page, the working directory


def test_ledger_links_to_the_notebooks(toy, shown):
    Chapter("01-toy").ledger()
    assert 'href="toy.html#claim-two-is-two"' in shown[-1][1]


@pytest.mark.parametrize(
    "call",
    [
        lambda ch: Chapter(None),
        lambda ch: Chapter("01-toy", notebook=3),
        lambda ch: Chapter("01-toy", full_minutes="long"),
        lambda ch: ch.pick(quick=1, full={(1, 2): 3}),
        lambda ch: ch.pick(quick=1, full=object()),
        lambda ch: ch.generator(1.5),
        lambda ch: ch.progress(5),
        lambda ch: ch.seconds(None),
        lambda ch: ch.out_of_time("now"),
        lambda ch: ch.scratch("/root"),
        lambda ch: ch.scratch("../elsewhere"),
        lambda ch: ch.save("sizes", FRAME["n"]),
        lambda ch: ch.claim(["two-is-two"], 1, True),
        lambda ch: ch.claim("two-is-two", 1, True, table="No Name"),
        lambda ch: ch.not_run("two-is-two", 3),
        lambda ch: runtime.pick_device("huge"),
        lambda ch: runtime.device_name("nowhere"),
        lambda ch: runtime.versions("torch"),
        lambda ch: runtime.commit(None),
        lambda ch: runtime.find_book(3),
        lambda ch: claims.load_ledger(None),
        lambda ch: claims.plain_value(1j),
        lambda ch: results.save_table(None, "sizes", FRAME, {}),
        lambda ch: results.save_table(ch.folder, "sizes", FRAME, None),
        lambda ch: results.load_table(3, "sizes"),
        lambda ch: results.load_verdicts(None),
    ],
)
def test_odd_arguments_are_refused(toy, shown, call):
    ch = Chapter("01-toy")
    with pytest.raises(ValueError):
        call(ch)
    assert not shown


def test_paths_may_be_text_and_seeds_numbers_of_numpy(toy, monkeypatch):
    chapter = Chapter("01-toy", seed=np.int64(3))
    assert chapter.generator(2).initial_seed() == 3 * 1_000_003 + 2
    monkeypatch.delenv("LITREPRO_BOOK")
    assert runtime.find_book(str(toy.book)) == runtime.find_book(toy.book) == toy.book.resolve()
    assert results.load_table(str(toy.book), "sizes") is None


def test_progress_without_widgets(toy, monkeypatch, capsys):
    """A plain bar where ipywidgets is not installed: what tqdm chooses by itself would warn in a kernel."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.delenv("LITREPRO_BUILD", raising=False)
    assert list(Chapter("01-toy").progress([1, 2], "counting")) == [1, 2]
    assert "counting" in capsys.readouterr().err
