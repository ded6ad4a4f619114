"""Full-scale runs carried to a bare machine and back."""

import importlib.util
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("bundle", ROOT / "scripts" / "bundle.py")
bundle = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bundle)


@pytest.fixture
def checkout(toy, monkeypatch):
    """The toy book with the library beside it, as a checkout; the bundle runs on its own variables."""
    (toy.root / "src").mkdir()
    (toy.root / "src" / "litrepro").symlink_to(ROOT / "src" / "litrepro")
    monkeypatch.delenv("LITREPRO_BOOK")
    data = toy.root / "data"
    (data / "mnist").mkdir(parents=True)
    (data / "mnist" / "images.gz").write_bytes(b"123")
    monkeypatch.setenv("LITREPRO_DATA", str(data))
    return toy


def unpacked(checkout, tmp_path):
    bundle.pack(checkout.root, tmp_path / "b.tar.gz", ["01"], ["mnist"], None, 10)
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "litrepro-bundle"


def test_there_and_back_again(checkout, tmp_path):
    folder = unpacked(checkout, tmp_path)
    assert (folder / "data" / "mnist" / "images.gz").read_bytes() == b"123"
    assert not (folder / "book" / "01-toy" / "toy.ipynb").exists()
    done = subprocess.run(
        [sys.executable, folder / "bundle.py", "run", "--minutes", "2", "--out", tmp_path / "r.tar.gz"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (checkout.chapter / "results").exists()
    assert bundle.collect(checkout.root, tmp_path / "r.tar.gz") == ["book/01-toy/results/runs.csv"]
    assert (checkout.chapter / "results" / "runs.csv").read_text() == "n\n30\n"
    provenance = json.loads((checkout.chapter / "results" / "runs.json").read_text())
    assert provenance["configuration"] == [30]
    assert provenance["commit"] == "unknown"  # the toy checkout is no repository


def test_a_failing_script_fails_the_run_and_the_others_count(checkout, tmp_path):
    checkout.notebook("broken", "1 / 0\n")
    folder = unpacked(checkout, tmp_path)
    assert bundle.run(folder, 2, tmp_path / "r.tar.gz") == 1
    assert bundle.collect(checkout.root, tmp_path / "r.tar.gz") == ["book/01-toy/results/runs.csv"]


def test_no_time_is_no_failure_and_smoke_runs_are_no_results(checkout, tmp_path):
    folder = unpacked(checkout, tmp_path)
    assert bundle.run(folder, 0, tmp_path / "r.tar.gz", smoke=True) == 0
    with pytest.raises(ValueError, match="smoke run"):
        bundle.collect(checkout.root, tmp_path / "r.tar.gz")


def test_bad_input_writes_nothing(checkout, tmp_path):
    target = tmp_path / "b.tar.gz"
    with pytest.raises(ValueError, match="no notebook matches '07'"):
        bundle.pack(checkout.root, target, ["07"], [], None, 10)
    with pytest.raises(ValueError, match="nothing below LITREPRO_DATA matches 'cifar'"):
        bundle.pack(checkout.root, target, [], ["cifar"], None, 10)
    with pytest.raises(ValueError, match="over the limit"):
        bundle.pack(checkout.root, target, ["01"], [], None, 0.001)
    assert not target.exists()


LIGHT = """\
import hashlib, json, pathlib
folder = pathlib.Path("results")
folder.mkdir(exist_ok=True)
(folder / "light.csv").write_text("n\\n3\\n")
about = {"sha256": hashlib.sha256(b"n\\n3\\n").hexdigest(), "configuration_digest": "0"}
(folder / "light.json").write_text(json.dumps(about))
"""


def test_what_only_travelled_does_not_come_back(checkout, tmp_path):
    """Recorded again here in the meantime: the older table that went along must not replace it."""
    checkout.notebook("light", LIGHT)
    folder = checkout.chapter / "results"
    folder.mkdir()
    for name, old in (("other.csv", "n\n1\n"), ("other.json", json.dumps({"sha256": "of it"}))):
        (folder / name).write_text(old)
    bundled = unpacked(checkout, tmp_path)
    (folder / "other.csv").write_text("n\n2\n")
    for _ in range(2):  # what an earlier command recorded belongs to the last archive as well
        assert bundle.run(bundled, 2, tmp_path / "r.tar.gz", only=["01-toy/light"]) == 0
        assert bundle.collect(checkout.root, tmp_path / "r.tar.gz") == ["book/01-toy/results/light.csv"]
    assert (folder / "other.csv").read_text() == "n\n2\n"


def test_a_paused_script_is_no_failure(checkout, tmp_path):
    checkout.notebook("pauses", "from litrepro import Chapter\nChapter('01-toy').pause()\n")
    folder = unpacked(checkout, tmp_path)
    assert bundle.run(folder, 2, tmp_path / "r.tar.gz", only=["01-toy/pauses"]) == 0
    with tarfile.open(tmp_path / "r.tar.gz") as tar:
        (entry,) = json.loads(tar.extractfile("run.json").read())["log"]
    assert entry["state"] == "paused: run again to continue"


def test_the_example_of_its_documentation_matches_notebooks():
    (line,) = [line for line in bundle.__doc__.splitlines() if " pack " in line]
    patterns = line.split("--notebooks ")[1].split(" --")[0].split()
    assert all(bundle._scripts(ROOT, [pattern]) for pattern in patterns)


TABLE = "book/01-toy/results/a.csv"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({TABLE: b"n\n1\n", TABLE.replace("csv", "json"): b'{"sha256": "0"}'}, "provenance describes"),
        ({TABLE: b"n\n1\n"}, "no provenance"),
        ({"src/evil.py": b""}, "no recorded table"),
        ({"book/01-toy/results/../../x.csv": b""}, "no recorded table"),
    ],
)
def test_what_comes_back_is_checked(checkout, tmp_path, members, message):
    with tarfile.open(tmp_path / "r.tar.gz", "w:gz") as tar:
        for name, content in members.items():
            bundle._add_text(tar, name, content.decode())
    with pytest.raises(ValueError, match=message):
        bundle.collect(checkout.root, tmp_path / "r.tar.gz")
    assert not list(checkout.book.rglob("*.csv"))


def test_chosen_scripts_side_by_side_some_on_the_cpu(checkout, tmp_path):
    for name in ("left", "right", "unwanted"):
        checkout.notebook(name, "import os\nimport from_a_wheel\nprint(os.environ.get('LITREPRO_DEVICE', 'default'))\n")
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "from_a_wheel-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("from_a_wheel.py", "")
    bundle.pack(checkout.root, tmp_path / "b.tar.gz", ["01"], [], tmp_path / "wheels", 10)
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    out = tmp_path / "r.tar.gz"
    chosen = {"only": ["01-toy/left", "*/right"], "cpu": ["01-toy/right"]}
    assert bundle.run(tmp_path / "litrepro-bundle", 2, out, jobs=1, cpu_jobs=1, **chosen) == 0
    with tarfile.open(out) as tar:
        logs = {member: tar.extractfile(member).read().split()[-1] for member in tar.getnames() if "logs/" in member}
    assert logs == {"logs/01-toy.left.txt": b"default", "logs/01-toy.right.txt": b"cpu"}
    assert bundle.collect(checkout.root, out) == []  # nothing was recorded, and logs are no tables
