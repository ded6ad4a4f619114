"""Recorded tables: whole or not at all, and never silently another table than the one recorded."""

import json
import os

import pandas as pd
import pytest
import torch

from litrepro import results

FRAME = pd.DataFrame({"seed": [0, 1], "error": [0.25, 1e-17]})
RECORD = {"configuration_digest": "abc", "device": "a GPU"}


def test_round_trip_is_exact(tmp_path):
    results.save_table(tmp_path, "a-table", FRAME, RECORD)
    recorded = results.load_table(tmp_path, "a-table")
    pd.testing.assert_frame_equal(recorded.frame, FRAME, check_exact=True)
    assert recorded.provenance["device"] == "a GPU"
    assert (recorded.provenance["rows"], recorded.provenance["columns"]) == (2, ["seed", "error"])
    assert not recorded.stale("abc")
    assert recorded.stale("abd")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a-table.csv", "a-table.json"]


def test_nothing_recorded_is_none(tmp_path):
    assert results.load_table(tmp_path, "a-table") is None


def test_a_named_index_is_kept_and_an_unnamed_one_dropped(tmp_path):
    results.save_table(tmp_path, "named", FRAME.set_index("seed"), RECORD)
    assert list(results.load_table(tmp_path, "named").frame) == ["seed", "error"]
    results.save_table(tmp_path, "filtered", FRAME[FRAME.seed > 0], RECORD)
    assert list(results.load_table(tmp_path, "filtered").frame) == ["seed", "error"]


def test_words_that_mean_missing_elsewhere_are_words(tmp_path):
    frame = pd.DataFrame({"kind": ["None", "NA", "nan", "ramp"], "value": [1.0, float("nan"), float("inf"), 2.0]})
    results.save_table(tmp_path, "words", frame, RECORD)
    pd.testing.assert_frame_equal(results.load_table(tmp_path, "words").frame, frame)


def test_records_that_are_no_text_name_the_file(tmp_path):
    results.save_table(tmp_path, "a-table", FRAME, RECORD)
    (tmp_path / "a-table.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(results.ResultsError, match=r"a-table\.json"):
        results.load_table(tmp_path, "a-table")
    for data in (b"\xff\xfe{", b'{"verdicts": [{"id": "b-full"}]}'):
        (tmp_path / "nb.verdicts.json").write_bytes(data)
        with pytest.raises(results.ResultsError, match=r"nb\.verdicts\.json"):
            results.load_verdicts(tmp_path)


def test_an_edited_table_is_refused(tmp_path):
    path = results.save_table(tmp_path, "a-table", FRAME, RECORD)
    path.write_text(path.read_text().replace("0.25", "0.20"))
    with pytest.raises(results.ResultsError, match=r"a-table\.csv has sha256 .* changed after it was recorded"):
        results.load_table(tmp_path, "a-table")


@pytest.mark.parametrize("victim", ["a-table.csv", "a-table.json"])
def test_half_a_pair_is_refused(tmp_path, victim):
    results.save_table(tmp_path, "a-table", FRAME, RECORD)
    (tmp_path / victim).unlink()
    with pytest.raises(results.ResultsError, match=victim):
        results.load_table(tmp_path, "a-table")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": "x"}'])
def test_broken_provenance_is_refused(tmp_path, text):
    results.save_table(tmp_path, "a-table", FRAME, RECORD)
    (tmp_path / "a-table.json").write_text(text)
    with pytest.raises(results.ResultsError, match="provenance"):
        results.load_table(tmp_path, "a-table")


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a_b", None])
def test_bad_names(tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        results.save_table(tmp_path, name, FRAME, RECORD)


@pytest.mark.parametrize("frame", [FRAME[:0], [1, 2], None])
def test_empty_or_foreign_frames(tmp_path, frame):
    with pytest.raises(ValueError, match="DataFrame with rows"):
        results.save_table(tmp_path, "a", frame, RECORD)


DOUBLE = pd.concat([FRAME, FRAME], axis=1)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (DOUBLE, "different names, got seed, error, seed, error"),
        (FRAME.rename(columns={"seed": 1, "error": "1"}), "different names"),
        (DOUBLE.set_axis(pd.MultiIndex.from_product([["a", "b"], ["seed", "error"]]), axis=1), "one level, got 2"),
        (FRAME.rename_axis("seed"), "seed"),
        (FRAME.rename_axis(0).rename(columns={"seed": "0"}), "different names"),
        (FRAME.assign(sizes=[[1, 2], [3]]), r"single values, got \[1, 2\] in column 'sizes'"),
        (FRAME.assign(sizes=[(1, 2), (3,)]).set_index("sizes"), "single values"),
        (FRAME.assign(x=pd.Series([1.0, torch.zeros(())], dtype=object)), "single values, got tensor"),
    ],
)
def test_what_a_csv_file_cannot_hold_is_refused(tmp_path, frame, message):
    with pytest.raises(ValueError, match=message):
        results.save_table(tmp_path, "a", frame, RECORD)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_pair(tmp_path, monkeypatch):
    results.save_table(tmp_path, "a-table", FRAME, RECORD)
    synced, fsync = [], os.fsync

    def full_disk(number):
        synced.append(number)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")
        fsync(number)

    monkeypatch.setattr(results.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        results.save_table(tmp_path, "a-table", FRAME + 1, RECORD)
    pd.testing.assert_frame_equal(results.load_table(tmp_path, "a-table").frame, FRAME)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a-table.csv", "a-table.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        results.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_broken_verdicts_are_refused(tmp_path):
    assert results.load_verdicts(tmp_path) == {}
    results.verdicts_path(tmp_path, "n").write_text(json.dumps({"verdict": []}))
    with pytest.raises(results.ResultsError, match=r"n\.verdicts\.json"):
        results.load_verdicts(tmp_path)


@pytest.mark.parametrize("word", ["maybe", "not run", None, ["reproduced"]])
def test_verdicts_are_words_of_the_vocabulary(tmp_path, word):
    record = {"verdicts": [{"id": "a", "verdict": word, "value": 1}]}
    results.verdicts_path(tmp_path, "n").write_text(json.dumps(record))
    with pytest.raises(results.ResultsError, match=r"n\.verdicts\.json: a: a verdict is one of reproduced, "):
        results.load_verdicts(tmp_path)


def test_the_verdict_of_the_named_notebook_wins(tmp_path):
    for notebook, word in (("a", "reproduced"), ("b", "partly")):
        record = {"seed": 3, "configuration": [1], "verdicts": [{"id": "x", "verdict": word, "value": 1}]}
        results.verdicts_path(tmp_path, notebook).write_text(json.dumps(record))
    found = results.load_verdicts(tmp_path, "a")["x"]
    assert found == {"id": "x", "verdict": "reproduced", "value": 1, "notebook": "a", "seed": 3, "configuration": [1]}
    assert results.load_verdicts(tmp_path, "b")["x"]["verdict"] == "partly"


def test_a_broken_record_of_verdicts_is_written_anew(tmp_path):
    path = results.verdicts_path(tmp_path, "n")
    path.write_text("{")
    judged = {"x": {"id": "x", "verdict": "partly", "value": 1}}
    results.save_verdicts(path, {"seed": 0, "configuration": []}, judged, judged)
    assert results.load_verdicts(tmp_path)["x"]["verdict"] == "partly"
