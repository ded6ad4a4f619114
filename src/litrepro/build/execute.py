"""Execute notebooks: what is stale, in parallel, each in a process of its own, here or on a dask cluster.

The coordinator prepares a notebook, hands it out as a job, and moves the result into place only when it succeeded, so
a failure, a full disk or an interruption leaves the previous good copy as it was, and a later run resumes.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from litrepro import _validate, runtime
from litrepro.build import digest, environment, log, notebooks, weave
from litrepro.results import write_atomically

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
SCHEDULER_WAIT = "30s"  # for the address of a dask scheduler to answer
GRACE = 60  # seconds that a worker gets beyond a notebook's limit to report by itself


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to execute: ``profile``, ``timeout`` in seconds per notebook, extra ``parameters``, ``force``, ``compare``.

    ``compare`` executes everything asked for, writes nothing, and compares with the committed copies.
    Raises ``ValueError`` for a profile that is none.
    """

    profile: str = "quick"
    workers: int = 2
    force: bool = False
    timeout: int = 900
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    compare: bool = False
    scheduler: str | None = None

    def __post_init__(self):
        _validate.choice("profile", self.profile, runtime.PROFILES)

    @property
    def committed(self) -> bool:
        """Whether this run makes the copies that are committed: quick, with the notebooks' own parameters."""
        return self.profile == "quick" and not self.parameters


@dataclasses.dataclass
class Outcome:
    """What became of one notebook: fresh, reworded, executed, same, differs, failed, paused, interrupted."""

    pair: notebooks.Pair
    state: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    error: dict[str, Any] | None = None
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.state in ("fresh", "reworded", "executed", "same")


Report = Callable[[Outcome], None]


def state_of(pair: notebooks.Pair) -> str:
    """``fresh``, ``reworded`` (only prose changed), ``stale``, ``edited`` (outputs changed by hand) or ``missing``.

    Raises ``ValueError`` or ``OSError`` naming the file if something that the notebook is made from cannot be read.
    """
    if not pair.executed.is_file():
        return "missing"
    try:
        executed = notebooks.read_executed(pair)
    except ValueError:
        return "edited"
    noted = executed.metadata.get(notebooks.NAMESPACE, {})
    source = notebooks.read_source(pair)
    if noted.get("digest") != digest.notebook_digest(pair, source, {}):
        return "reworded" if weave.only_prose_changed(pair, source, executed) else "stale"
    same_cells = notebooks.cells_of(source) == notebooks.cells_of(executed)
    return "fresh" if same_cells and noted.get("outputs") == notebooks.outputs_digest(executed) else "edited"


def run(book: Path, pairs: Iterable[notebooks.Pair], settings: Settings, report: Report) -> list[Outcome]:
    """Execute what is stale among ``pairs``; the scoreboard last. Every outcome is reported as soon as it is known.

    Where only prose or captions have changed, the new ones are woven into the executed copy and nothing is executed.
    A notebook of which a part cannot be read has failed, and the others go on.

    Raises
    ------
    ValueError
        A parameter that some notebook does not declare, or a cell of parameters that cannot be read; nothing has been
        executed then.
    KeyboardInterrupt
        After the running notebooks were stopped; finished ones are kept.
    """
    _stopping.clear()
    pairs = list(pairs)
    for pair in pairs:
        _check_parameters(pair, settings.parameters)
    outcomes: list[Outcome] = []
    for batch in ([p for p in pairs if not p.is_scoreboard], [p for p in pairs if p.is_scoreboard]):
        jobs = {}
        for pair in batch:
            as_it_is = settings.committed and not settings.force and not settings.compare
            try:
                state = state_of(pair) if as_it_is else ""
                if state == "reworded":
                    _reword(pair)
                elif state != "fresh":
                    jobs[pair] = make_job(book, pair, settings)
                    continue
                outcomes.append(Outcome(pair, state))
            except (OSError, ValueError) as error:
                outcomes.append(Outcome(pair, "failed", error=_error(f"{type(error).__name__}: {error}")))
            report(outcomes[-1])
        if jobs:
            outcomes += _execute_all(jobs, settings, report)
    return outcomes


def _reword(pair: notebooks.Pair) -> None:
    """The source's prose in the executed copy; nothing is executed."""
    notebook = weave.woven(pair, notebooks.read_source(pair), notebooks.read_executed(pair))
    write_atomically(pair.executed, notebooks.dump(notebook))


def _check_parameters(pair: notebooks.Pair, parameters: dict[str, Any]) -> None:
    if not parameters:
        return
    try:
        known = notebooks.parameters_of(notebooks.read_source(pair))
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"{pair.key}: {error}") from error
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ValueError(f"{pair.key} has no parameter {', '.join(unknown)}; it declares: {', '.join(known)}")


def _execute_all(jobs: dict[notebooks.Pair, dict[str, Any]], settings: Settings, report: Report) -> list[Outcome]:
    outcomes = []
    with _pool(settings) as submit:
        futures = {submit(job): pair for pair, job in jobs.items()}
        for future, result in _as_completed(futures):
            pair = futures[future]
            outcomes.append(_finish(pair, jobs[pair], result, settings))
            report(outcomes[-1])
            if _stopping.is_set():
                raise KeyboardInterrupt
    return outcomes


def make_job(book: Path, pair: notebooks.Pair, settings: Settings) -> dict[str, Any]:
    """Everything that another process, here or elsewhere, needs to execute a notebook (JSON-ready)."""
    source = notebooks.read_source(pair)
    return {
        "key": pair.key,
        "notebook": notebooks.dump(source).decode(),
        "digest": digest.notebook_digest(pair, source, settings.parameters),
        "parameters": settings.parameters,
        "timeout": settings.timeout,
        "book": str(book),
        "folder": pair.folder,
        "environment": _environment(pair, settings),
    }


def _environment(pair: notebooks.Pair, settings: Settings) -> dict[str, str]:
    threads = "1" if settings.profile == "quick" else str(max(1, (os.cpu_count() or 2) // max(1, settings.workers)))
    variables = dict.fromkeys(THREAD_VARIABLES, threads)
    # One hash seed and one thread: executing an unchanged notebook again on the same machine gives the same bytes.
    variables |= {"PYTHONHASHSEED": "0", "LITREPRO_BUILD": "1", "LITREPRO_NOTEBOOK": pair.name}
    variables["LITREPRO_PROFILE"] = "" if "profile" in settings.parameters else settings.profile
    if settings.parameters or settings.compare:  # relative to the book, which may lie elsewhere where the job runs
        variables["LITREPRO_RESULTS"] = (_target(pair, settings).parent / "results").relative_to(pair.book).as_posix()
    return variables


# --- one job, in the process that executes it ---------------------------------------------------------------------

_running: set[subprocess.Popen] = set()
_lock = threading.Lock()
_stopping = threading.Event()


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Execute a job in a process of its own; the result holds the executed notebook's text or the error."""
    book = Path(os.environ.get("LITREPRO_BOOK") or job["book"])
    try:
        with tempfile.TemporaryDirectory(prefix="litrepro-") as name:
            folder = Path(name)
            (folder / "in.ipynb").write_text(job["notebook"], encoding="utf-8")
            order = {
                "key": job["key"],
                "input": str(folder / "in.ipynb"),
                "output": str(folder / "out.ipynb"),
                "cwd": str(book / job["folder"]),
                "parameters": job["parameters"],
                "timeout": job["timeout"],
            }
            (folder / "job.json").write_text(json.dumps(order), encoding="utf-8")
            variables = {**os.environ, **job["environment"], "LITREPRO_BOOK": str(book)}
            environment.make_absolute(variables)
            died = _supervise(folder, variables, job["timeout"] + GRACE)
            result = _read_result(folder, job["key"], died)
            if result["ok"]:
                result["notebook"] = (folder / "out.ipynb").read_text(encoding="utf-8")
            return result
    except OSError as error:
        return {"key": job["key"], "ok": False, "error": _error(f"{type(error).__name__}: {error}")}


def _supervise(folder: Path, variables: dict[str, str], limit: float) -> str:
    """Run the worker process to its end; returns why it died, or an empty string."""
    if _stopping.is_set():
        return "interrupted"
    command = [sys.executable, "-m", "litrepro.build.worker", str(folder / "job.json"), str(folder / "result.json")]
    with (folder / "log.txt").open("wb") as said:
        # A process group of its own, so that stopping the worker stops its kernel as well.
        process = subprocess.Popen(command, env=variables, stdout=said, stderr=said, start_new_session=True)
        with _lock:
            _running.add(process)
        if _stopping.is_set():  # came while the process started
            kill(process)
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            kill(process)
            return f"stopped after {limit:.0f} seconds, the limit of a notebook"
        finally:
            with _lock:
                _running.discard(process)
    if _stopping.is_set():
        return "interrupted"
    if code == 0:
        return ""
    return f"the worker was killed by {signal.Signals(-code).name}" if code < 0 else f"the worker ended with {code}"


def _read_result(folder: Path, key: str, died: str) -> dict[str, Any]:
    try:
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-4000:]
        return {"key": key, "ok": False, "error": _error(died or "the worker left no result", said)}


def _error(reason: str, text: str = "") -> dict[str, Any]:
    return {"cell": None, "source": "", "reason": reason, "traceback": text}


def kill(process: subprocess.Popen) -> None:
    """End a process and all of its group, where there are groups: first asked to, after five seconds made to."""
    if not hasattr(os, "killpg"):
        process.kill()
        process.wait()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def interrupt(*_: Any) -> None:
    """What a signal does: ends the workers at once, then raises ``KeyboardInterrupt``.

    The exception alone can be lost: an import or a finalizer that happens to run swallows it. Workers that have been
    told to end, and the flag, end the loop over the notebooks all the same. No lock is taken: the loop may hold it.
    """
    _stopping.set()
    for process in tuple(_running):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
    raise KeyboardInterrupt


def stop_all() -> None:
    """Stop every worker that runs, with its kernel."""
    _stopping.set()
    with _lock:
        running = list(_running)
    for process in running:
        kill(process)


# --- where jobs run -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _pool(settings: Settings):
    """A function that submits a job and returns its future: local threads around processes, or a dask cluster."""
    if settings.scheduler:
        from dask.distributed import Client

        with Client(settings.scheduler, timeout=SCHEDULER_WAIT) as client:
            # A notebook is not a pure function of its job as dask sees it: it may read tables on the worker.
            yield lambda job: client.submit(
                run_job, job, key=f"litrepro-{job['key']}-{os.urandom(4).hex()}", pure=False
            )
        return
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=max(1, settings.workers))
    try:
        yield lambda job: pool.submit(run_job, job)
    except BaseException:
        stop_all()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _as_completed(futures: dict[Any, notebooks.Pair]):
    """Pairs of future and result, as they finish; a future that raised gives an error result."""
    if all(isinstance(future, concurrent.futures.Future) for future in futures):
        done = concurrent.futures.as_completed(futures)
    else:
        from dask.distributed import as_completed

        done = as_completed(list(futures))
    for future in done:
        try:
            yield future, future.result()
        except Exception as error:
            yield future, {"ok": False, "error": _error(f"{type(error).__name__}: {error}")}


# --- what comes back ----------------------------------------------------------------------------------------------


def _finish(pair: notebooks.Pair, job: dict[str, Any], result: dict[str, Any], settings: Settings) -> Outcome:
    seconds, cpu = result.get("seconds", 0.0), result.get("cpu_seconds", 0.0)
    if not result["ok"]:
        state = {"interrupted": "interrupted", f"SystemExit: {runtime.PAUSED}": "paused"}.get(
            result["error"]["reason"], "failed"
        )
        if state == "paused":
            result["error"] = _error("its time was up: the same command goes on from here")
        return Outcome(pair, state, seconds, cpu, error=result["error"])
    import nbformat

    try:
        notebook = nbformat.reads(result["notebook"], as_version=4)
        if settings.compare:
            from litrepro.build import compare

            problems = compare.differences(pair, notebook)
            notes = compare.skipped(pair, notebook)
            return Outcome(pair, "differs" if problems else "same", seconds, cpu, problems=[*problems, *notes])
        target = _target(pair, settings)
        _note(notebook, job, settings)
        write_atomically(target, notebooks.dump(notebook))
        log.write(pair, result)
    except (OSError, ValueError) as error:
        return Outcome(pair, "failed", seconds, cpu, error=_error(f"{type(error).__name__}: {error}"))
    return Outcome(pair, "executed", seconds, cpu)


def _target(pair: notebooks.Pair, settings: Settings) -> Path:
    """The committed copy, or a place under ``_build`` for other profiles and parameters."""
    if settings.committed:
        return pair.executed
    label = settings.profile
    if settings.parameters:
        # The values for people, of which only what can stand in a folder's name is kept, and the digest to tell apart.
        values = "-".join(f"{name}={value}" for name, value in sorted(settings.parameters.items()))
        label += f"-{re.sub(r'[^A-Za-z0-9_=.]+', '-', values)[:80]}-{runtime.digest(settings.parameters)[:8]}"
    return pair.book / "_build" / "runs" / label / pair.folder / f"{pair.name}.ipynb"


def _note(notebook: Any, job: dict[str, Any], settings: Settings) -> None:
    """Clean the executed notebook and note what it was made from."""
    notebooks.clean(notebook)
    notebook.metadata[notebooks.NAMESPACE] = {
        "digest": job["digest"],
        "outputs": notebooks.outputs_digest(notebook),
        "profile": settings.profile,
    }
