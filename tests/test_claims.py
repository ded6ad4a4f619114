"""The ledger refuses what it does not understand, and names the file and the entry."""

import math

import numpy as np
import pytest
import torch
import yaml

from litrepro import claims

GOOD = {
    "id": "a-claim",
    "kind": "theorem",
    "claim": "Something.",
    "source": "section 1",
    "criterion": "x < 1",
    "profile": "quick",
    "verdict": "reproduced",
}


def write(tmp_path, *entries):
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump(list(entries), sort_keys=False))
    return path


def test_reads_entries_in_order(tmp_path):
    second = GOOD | {"id": "b", "reported": 0.75, "note": "Why.", "verdict": "partly"}
    ledger = claims.load_ledger(write(tmp_path, GOOD, second))
    assert list(ledger) == ["a-claim", "b"]
    assert ledger["b"].reported == "0.75"
    assert ledger.chapter == tmp_path.name
    with pytest.raises(ValueError, match="no claim 'c'; it has: a-claim, b"):
        ledger["c"]


def test_a_ledger_that_is_no_utf_8_is_named(tmp_path):
    path = write(tmp_path, GOOD)
    path.write_bytes(path.read_bytes().replace(b"Something", b"\xe9tude"))
    with pytest.raises(claims.LedgerError, match=r"claims\.yml: not UTF-8"):
        claims.load_ledger(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdikt": "x"}, r"entry 1 \(a-claim\): unknown key verdikt"),
        ({"kind": "lemma"}, "kind must be one of theorem"),
        ({"profile": "huge"}, "profile must be one of quick, full"),
        ({"verdict": "maybe"}, "verdict must be one of reproduced"),
        ({"verdict": "open"}, "only the full profile"),
        ({"verdict": "not reproduced"}, "needs a note"),
        ({"verdict": "partly"}, "needs a note"),
        *(({key: ""}, f"missing {key}") for key in ("claim", "kind", "source", "criterion", "profile", "verdict")),
        ({"claim": ["a", "b"]}, "claim must be text"),
        ({"id": "Not an id"}, "lower-case words"),
    ],
)
def test_bad_entry_names_file_and_entry(tmp_path, change, message):
    path = write(tmp_path, GOOD | change)
    with pytest.raises(claims.LedgerError, match=message) as error:
        claims.load_ledger(path)
    assert str(path) in str(error.value)
    assert isinstance(error.value, ValueError)


def test_duplicate_ids_and_keys_are_errors(tmp_path):
    with pytest.raises(claims.LedgerError, match="entry 2: duplicate id 'a-claim'"):
        claims.load_ledger(write(tmp_path, GOOD, GOOD))
    path = write(tmp_path, GOOD)
    path.write_text(path.read_text() + "  verdict: partly\n")
    with pytest.raises(claims.LedgerError, match="repeated key verdict"):
        claims.load_ledger(path)


@pytest.mark.parametrize("text", ["", "a: [", "just words", "- 3", "[]"])
def test_a_file_that_is_no_ledger(tmp_path, text):
    (tmp_path / "claims.yml").write_text(text)
    with pytest.raises(claims.LedgerError, match=r"claims\.yml"):
        claims.load_ledger(tmp_path / "claims.yml")


def test_a_missing_file(tmp_path):
    with pytest.raises(claims.LedgerError, match="cannot be read"):
        claims.load_ledger(tmp_path / "claims.yml")


@pytest.mark.parametrize(
    ("holds", "verdict"),
    [
        (True, "reproduced"),
        (np.bool_(False), "not reproduced"),
        (torch.tensor(True), "reproduced"),
        ("partly", "partly"),
    ],
)
def test_verdicts(holds, verdict):
    assert claims.verdict_of(holds) == verdict


@pytest.mark.parametrize("holds", [1, 0.0, None, "reproduced", "yes", np.array([True]), torch.tensor([True, False])])
def test_other_verdicts_are_refused(holds):
    with pytest.raises(ValueError, match="holds must be True, False or 'partly'"):
        claims.verdict_of(holds)


def test_values_become_plain():
    value = {"a": np.float64(1.5), "b": torch.tensor([1, 2]), "c": (True, "word")}
    assert claims.plain_value(value) == {"a": 1.5, "b": [1, 2], "c": [True, "word"]}


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, {"a": [1.0, -math.inf]}, torch.tensor(math.nan), None, [], {}, object()]
)
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="value"):
        claims.plain_value(value)
