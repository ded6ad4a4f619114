"""Execution: caching, isolation, and every way in which a notebook can fail."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from litrepro.build import cli, execute, notebooks, record
from litrepro.build.execute import Settings

LITREPRO = [sys.executable, "-c", "from litrepro.build.cli import main; main()"]


def run(toy, *patterns, **keywords):
    outcomes = execute.run(
        toy.book,
        notebooks.discover(toy.book, patterns),
        Settings(**{"workers": 2, "timeout": 60} | keywords),
        lambda _: None,
    )
    return {outcome.pair.name: outcome for outcome in outcomes}


def command(*arguments, **keywords):
    return subprocess.run([*LITREPRO, *arguments], capture_output=True, text=True, check=False, **keywords)


def test_executed_once_then_fresh_and_the_same_bytes_again(toy):
    assert run(toy)["toy"].state == "executed"
    path = toy.chapter / "toy.ipynb"
    first = path.read_bytes()
    assert run(toy)["toy"].state == "fresh"
    assert run(toy, force=True)["toy"].state == "executed"
    assert path.read_bytes() == first
    # A claim that changes its mind in the committed copy is found by executing again ...
    path.write_text(first.decode().replace("[reproduced]", "[not reproduced]"))
    compared = run(toy, compare=True)["toy"]
    assert compared.state == "differs"
    assert "its output changed" in compared.problems[0]
    # The summary at the end says which and how once more: a CI server shows the end of its log.
    told = CliRunner().invoke(cli.app, ["run", "--compare", "--workers", "1"])
    summary = told.output[told.output.index("CPU-seconds") :]
    assert told.exit_code == 1
    assert "differs 01-toy/toy" in summary
    assert "its output changed" in summary
    # ... and, because outputs are sealed, even without executing.
    assert execute.state_of(notebooks.discover(toy.book)[0]) == "edited"
    assert run(toy)["toy"].state == "executed"
    assert path.read_bytes() == first


def test_failures_name_the_cell_and_spare_the_others_and_the_old_copy(toy):
    toy.notebook("raises", '# %% tags=["parameters"]\nprofile = "quick"\nseed = 0\n\n# %%\nprint(1)\n')
    assert run(toy, "*/raises")["raises"].good
    old = (toy.chapter / "raises.ipynb").read_bytes()
    head = '# %% tags=["parameters"]\nprofile = "quick"\nseed = 0\n\n'
    toy.notebook("raises", head + "# %%\nx = 1\n\n# %%\n1 / 0\n")
    toy.notebook("dies", head + "# %%\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    toy.notebook("hangs", head + "# %%\nimport time\ntime.sleep(600)\n")
    outcomes = run(toy, timeout=12)
    assert outcomes["toy"].state == "executed"
    for name, cell, reason in (
        ("raises", 3, "ZeroDivisionError: division by zero"),
        ("dies", 2, "DeadKernelError"),
        ("hangs", 2, "CellTimeoutError"),
    ):
        assert outcomes[name].state == "failed"
        assert outcomes[name].error["cell"] == cell, outcomes[name].error
        assert outcomes[name].error["reason"].startswith(reason)
    assert (toy.chapter / "raises.ipynb").read_bytes() == old
    assert not (toy.chapter / "dies.ipynb").exists()
    assert not list(toy.chapter.glob(".*.part"))


HEAD = '# %% tags=["parameters"]\nprofile = "quick"\nseed = 0\nnote = "x"\n\n'


def test_what_cannot_be_read_fails_alone(toy):
    """A syntax error is the kernel's to report, with the cell; a broken ledger or source is named; the others go on."""
    toy.notebook("magic", HEAD + "# %%\n# %matplotlib inline\n# !echo hi\n\n# %%\n# %%bash\n# echo hi | cat\n")
    toy.notebook("syntax", HEAD + "# %%\nx = 1\n\n# %%\nx = = 2\n")
    (toy.chapter / "bytes.py").write_bytes(b"# %%\n'\xff'\n")
    other = toy.book / "02-other"
    other.mkdir()
    (other / "alone.py").write_text(HEAD)
    (other / "claims.yml").write_bytes(b"- id: \xff\n")
    outcomes = run(toy)
    assert outcomes["toy"].state == outcomes["magic"].state == "executed"
    assert outcomes["syntax"].error["cell"] == 3
    assert outcomes["syntax"].error["reason"].startswith("SyntaxError")
    for name, file in (("bytes", "01-toy/bytes.py"), ("alone", "02-other/claims.yml")):
        assert outcomes[name].state == "failed"
        assert str(toy.book / file) in outcomes[name].error["reason"]
    assert run(toy)["magic"].state == "fresh"
    listed = {each.pair.name: each.state for each in record.recordings(notebooks.discover(toy.book))}
    assert listed == {"toy": "missing", "syntax": "broken", "bytes": "broken"}


def test_a_full_disk_is_a_failure_and_keeps_the_old_copy(toy, monkeypatch):
    run(toy)
    old = (toy.chapter / "toy.ipynb").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(execute, "write_atomically", full)
    outcome = run(toy, force=True)["toy"]
    assert outcome.state == "failed"
    assert "No space left" in outcome.error["reason"]
    assert (toy.chapter / "toy.ipynb").read_bytes() == old


def test_a_worker_that_is_killed_is_reported(toy, monkeypatch):
    monkeypatch.setattr(execute.sys, "executable", "/bin/false")
    outcome = run(toy)["toy"]
    assert outcome.state == "failed"
    assert "the worker ended with 1" in outcome.error["reason"]


def test_parameters_are_checked_before_anything_runs(toy):
    with pytest.raises(ValueError, match="toy has no parameter sed; it declares: profile, seed"):
        run(toy, parameters={"sed": 1})
    assert not (toy.chapter / "toy.ipynb").exists()
    assert run(toy, parameters={"seed": 1})["toy"].state == "executed"
    assert not (toy.chapter / "toy.ipynb").exists(), "only the notebooks' own parameters make the committed copy"
    assert len(list((toy.book / "_build" / "runs").rglob("toy.ipynb"))) == 1


@pytest.mark.parametrize("text", ["@x", "[1", "[1]", "{a: 1}", "2020-01-01", "2020-13-45", "!!set {a}"])
def test_a_parameter_is_a_plain_value(text):
    with pytest.raises(ValueError, match="parameter note must be a plain value"):
        cli._parameters([f"note={text}"])


def test_plain_values_of_parameters():
    found = cli._parameters(["a=1", "b=0.5", "c=true", "d=word", "e=", "f='2020-01-01'"])
    assert found == {"a": 1, "b": 0.5, "c": True, "d": "word", "e": None, "f": "2020-01-01"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("1e3", 1e3), ("-2.5E+2", -250.0), ("+.5", 0.5), ("1.", 1.0), ("010", 10), ("-7", -7),
        ("12:30", "12:30"), ("1:02:03.5", "1:02:03.5"), ("1e", "1e"), ("nan", "nan"), ("1_000", 1000), ("'1e3'", "1e3"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_python_reads_them(text, value):
    found = cli._parameters([f"note={text}"])["note"]
    assert found == value
    assert type(found) is type(value)


def test_a_cell_of_parameters_that_cannot_be_read_names_its_notebook(toy):
    toy.notebook("other", HEAD.replace("seed = 0", "seed = int(0)"))
    with pytest.raises(ValueError, match="01-toy/other: parameter seed must be set to"):
        run(toy, parameters={"seed": 1})


@pytest.mark.parametrize("note", ["x/../../..", "../../../01-toy", "..", "/tmp/x", "y" * 1000, "a\nb", "a\\b", "", "é"])
def test_copies_of_other_parameters_stay_in_their_folder(toy, note):
    (pair,) = notebooks.discover(toy.book)
    runs = toy.book / "_build" / "runs"
    target = execute._target(pair, Settings(parameters={"note": note}))
    assert target.resolve().relative_to(runs.resolve()).parts[1:] == ("01-toy", "toy.ipynb")
    assert len(target.relative_to(runs).parts[0]) <= 120
    others = [execute._target(pair, Settings(parameters={"note": each})) for each in (f"{note}.", 1, "1", "1 ", "1/")]
    assert len({target, *others}) == 6


def test_a_profile_that_is_none_is_refused_whatever_the_environment_says(toy, monkeypatch):
    with pytest.raises(ValueError, match="profile must be one of quick, full; got 'quik'"):
        Settings(profile="quik")
    monkeypatch.setenv("LITREPRO_PROFILE", "full")
    done = command("run", "--profile", "quik")
    assert done.returncode == 2
    assert "got 'quik'" in done.stdout
    assert not (toy.book / "_build").exists()


def test_exit_status_and_message(toy):
    toy.notebook("bad", '# %% tags=["parameters"]\nprofile = "quick"\nseed = 0\n\n# %%\n1 / 0\n')
    done = command("run", "*/bad")
    assert done.returncode == 1
    assert "chapter 01-toy, notebook bad, cell 2: ZeroDivisionError" in done.stdout
    assert "1 / 0" in done.stdout
    assert command("run", "nothing").returncode == 2


def test_a_page_that_leaves_early_has_failed(toy):
    """The kernel is told to exit, papermill calls that success; the copy that is there stays."""
    toy.notebook("leaves", HEAD + "# %%\nprint(1)\n")
    run(toy, "*/leaves")
    old = (toy.chapter / "leaves.ipynb").read_bytes()
    toy.notebook("leaves", HEAD + "# %%\nimport sys\n\n# %%\nsys.exit(0)\n\n# %%\nprint(1)\n")
    outcome = run(toy, "*/leaves")["leaves"]
    assert (outcome.state, outcome.error["cell"], outcome.error["reason"]) == ("failed", 3, "SystemExit: 0")
    assert (toy.chapter / "leaves.ipynb").read_bytes() == old
    toy.notebook("leaves", HEAD + "# %%\nfrom litrepro import Chapter\nChapter('01-toy').pause()\n")
    outcome = run(toy, "*/leaves")["leaves"]
    assert outcome.state == "paused"
    assert not outcome.good
    assert (toy.chapter / "leaves.ipynb").read_bytes() == old


def test_a_source_that_names_no_kernel_takes_parameters(toy):
    (toy.chapter / "bare.py").write_text(HEAD + "# %%\nprint(seed)\n")
    assert run(toy, "*/bare", parameters={"seed": 7})["bare"].state == "executed"
    (copy,) = (toy.book / "_build" / "runs").rglob("bare.ipynb")
    assert '"7\\n"' in copy.read_text()


def test_relative_folders_are_those_of_the_command(toy, monkeypatch):
    toy.notebook(
        "asks", HEAD + "# %%\nimport os\nprint(*sorted(os.environ[f'LITREPRO_{n}'] for n in ('DATA', 'SCRATCH')))\n"
    )
    monkeypatch.setenv("LITREPRO_BOOK", "book")
    monkeypatch.setenv("LITREPRO_DATA", "data")
    monkeypatch.setenv("LITREPRO_SCRATCH", "scratch")
    (pair,) = notebooks.discover(toy.book, ["*/asks"])
    expected = f"{toy.root / 'data'} {toy.root / 'scratch'}"
    outcome = execute.run_job(execute.make_job(toy.book, pair, Settings(timeout=60)))
    assert outcome["ok"], outcome
    assert expected in outcome["notebook"]
    told = CliRunner().invoke(cli.app, ["data"])
    assert f"LITREPRO_DATA is {toy.root / 'data'}, which does not exist or is no folder" in told.output.replace(
        "\n", ""
    )
    assert os.environ["LITREPRO_BOOK"] == str(toy.book)


def test_a_socket_has_room_in_a_deep_temporary_folder(tmp_path, monkeypatch):
    from litrepro.build import worker

    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(worker.tempfile, "tempdir", str(deep))
    folder = worker._socket_folder()
    os.rmdir(folder)
    assert len(folder) <= 90
    assert not list(deep.iterdir())


SLOW = '# %% tags=["parameters"]\nprofile = "quick"\nseed = 0\n\n# %%\nimport time\ntime.sleep(300)\n'


def test_an_interrupt_that_is_swallowed_ends_the_run(toy):
    """Whatever runs when the signal comes can swallow the exception; the workers end all the same."""
    toy.notebook("slow", SLOW)

    def report(outcome):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)  # the handler runs here

    before = signal.signal(signal.SIGINT, execute.interrupt)
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            execute.run(toy.book, notebooks.discover(toy.book), Settings(workers=2), report)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - started < 60
    assert not (toy.chapter / "slow.ipynb").exists()
    assert run(toy, "*/toy")["toy"].state == "fresh"  # and the next run starts afresh


def test_interrupted_runs_resume(toy):
    toy.notebook("slow", SLOW)
    process = subprocess.Popen([*LITREPRO, "run", "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while not (toy.chapter / "toy.ipynb").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0].decode()
    assert process.returncode == 130
    assert "Interrupted" in output
    assert not (toy.chapter / "slow.ipynb").exists()
    left = subprocess.run(["pgrep", "-f", str(toy.root)], capture_output=True, text=True, check=False).stdout.split()
    assert not [pid for pid in left if int(pid) != os.getpid()]
    assert run(toy, "*/toy")["toy"].state == "fresh"
