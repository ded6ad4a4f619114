"""Notebooks and recordings on a dask cluster of two processes: the same results, and a lost worker's work redone."""

import contextlib
import os
import signal
import threading
import time

import pytest

from litrepro.build import execute, notebooks, record
from litrepro.build.execute import Settings

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow
HEAD = '# %% tags=["parameters"]\nprofile = "quick"\nseed = 0\n\n# %%\n'


@contextlib.contextmanager
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as found:
        yield found


def run(toy, *patterns, **keywords):
    settings = Settings(**{"workers": 2, "timeout": 60} | keywords)
    outcomes = execute.run(toy.book, notebooks.discover(toy.book, patterns), settings, lambda _: None)
    return {outcome.pair.name: outcome for outcome in outcomes}


def test_notebooks_are_spread_and_come_out_the_same(toy):
    toy.notebook("second", HEAD + "print(2)\n")
    run(toy)
    here = {path.name: path.read_bytes() for path in toy.chapter.glob("*.ipynb")}
    for path in toy.chapter.glob("*.ipynb"):
        path.unlink()
    with cluster() as found:
        outcomes = run(toy, scheduler=found.scheduler_address)
    assert {outcome.state for outcome in outcomes.values()} == {"executed"}
    assert {path.name: path.read_bytes() for path in toy.chapter.glob("*.ipynb")} == here


def kill_the_busy_worker(address):
    """Kill the process of the first worker that is seen to be busy."""
    with distributed.Client(address) as client:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            busy = [worker for worker, tasks in client.processing().items() if tasks]
            if busy:
                time.sleep(1)
                os.kill(client.run(os.getpid, workers=busy[:1])[busy[0]], signal.SIGKILL)
                return
            time.sleep(0.1)


def test_the_notebook_of_a_killed_worker_runs_again(toy):
    log = toy.root / "log.txt"
    toy.notebook("toy", HEAD + f"import time\nopen({str(log)!r}, 'a').write('started ')\ntime.sleep(4)\nprint(1)\n")
    with cluster() as found:
        killer = threading.Thread(target=kill_the_busy_worker, args=[found.scheduler_address])
        killer.start()
        outcomes = run(toy, scheduler=found.scheduler_address)
        killer.join()
    assert outcomes["toy"].state == "executed", outcomes["toy"].error
    assert len(log.read_text().split()) >= 1


def test_recordings_come_back_from_the_workers(toy):
    toy.notebook("broken", HEAD + "1 / 0\n")
    pairs = notebooks.discover(toy.book)
    with cluster() as found:
        done = {pair.name: status for pair, status, _ in record.record_on_cluster(pairs, found.scheduler_address)}
    assert done == {"toy": 0, "broken": 1}
    assert (toy.chapter / "results" / "runs.csv").read_text() == "n\n30\n"


def test_a_scheduler_that_is_not_there_is_an_error(toy, monkeypatch):
    monkeypatch.setattr(execute, "SCHEDULER_WAIT", "1s")
    with pytest.raises(OSError):
        next(iter(record.record_on_cluster(notebooks.discover(toy.book), "tcp://127.0.0.1:9")))
