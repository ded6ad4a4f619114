"""One notebook, one process: ``python -m litrepro.build.worker JOB RESULT`` executes a prepared notebook by papermill.

The process exists so that nothing of one notebook can touch another: papermill changes the working directory of its
whole process, and a kernel that takes its parent down takes only this one. JOB and RESULT are paths of JSON files.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any


def main(job_path: str, result_path: str) -> int:
    """Execute the job and write its result; the exit status is 0 whenever a result was written."""
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    started = time.perf_counter()
    result: dict[str, Any] = {"key": job["key"], "ok": False}
    try:
        left = _exit_in(_execute(job))
        result |= {"error": left} if left else {"ok": True}
    except Exception as error:
        result["error"] = _describe(error, Path(job["output"]))
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF)
    result["seconds"] = round(time.perf_counter() - started, 2)
    result["cpu_seconds"] = round(usage.ru_utime + usage.ru_stime + own.ru_utime + own.ru_stime, 2)
    result["max_rss_mib"] = round(usage.ru_maxrss / 1024)
    Path(result_path).write_text(json.dumps(result), encoding="utf-8")
    return 0


_LONGEST_FOLDER = 90
# Failures of the kernel itself: our own stack would tell a reader nothing.
_KERNEL_FAILURES = {
    "DeadKernelError": "the kernel died while this cell ran",
    "CellTimeoutError": "the notebook's time limit ran out in this cell",
}


def _execute(job: dict[str, Any]) -> Any:
    """Execute the notebook into the job's output and return it; papermill raises what a cell raises."""
    import papermill
    from jupyter_client.manager import AsyncKernelManager

    # Sockets in a private folder instead of TCP ports: no races between kernels, nothing that listens.
    folder = _socket_folder()

    class IpcKernelManager(AsyncKernelManager):
        def __init__(self, **keywords: Any):
            super().__init__(**keywords)
            self.transport = "ipc"
            self.connection_file = f"{folder}/kernel.json"
            self.ip = f"{folder}/kernel"

    try:
        return papermill.execute_notebook(
            job["input"],
            job["output"],
            parameters=job["parameters"] or None,
            kernel_name="python3",
            language="python",  # of a source that names no kernel
            cwd=job["cwd"],
            progress_bar=False,
            log_output=False,
            execution_timeout=job["timeout"],
            start_timeout=120,
            kernel_manager_class=IpcKernelManager,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _socket_folder() -> str:
    """A new folder whose path leaves room for a socket's name: a socket's whole path has at most 103 characters."""
    folder = tempfile.mkdtemp(prefix="lr-")
    if len(folder) <= _LONGEST_FOLDER:
        return folder
    Path(folder).rmdir()
    return tempfile.mkdtemp(prefix="lr-", dir="/tmp")


def _exit_in(notebook: Any) -> dict[str, Any] | None:
    """The cell in which a notebook left before its end: papermill takes ``sys.exit(0)`` for success."""
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error" and "raises-exception" not in cell.metadata.get("tags", []):
                reason = f"{output['ename']}: {output['evalue']}".removesuffix(": ")
                trace = "\n".join(output["traceback"])
                return {"cell": number, "source": cell.source, "reason": reason, "traceback": trace}
    return None


def _describe(error: Exception, output: Path) -> dict[str, Any]:
    """Where and why a notebook failed, for people: the cell counted from 1, its source, the trace."""
    cell, source = _last_started_cell(output)
    if hasattr(error, "cell_index"):  # papermill's own error carries the kernel's traceback
        text = "\n".join(error.traceback)
        reason = f"{error.ename}: {error.evalue}"
    else:
        reason = _KERNEL_FAILURES.get(type(error).__name__, "")
        text = "" if reason else "".join(traceback.format_exception(error))
        reason = f"{type(error).__name__}: {reason or error}".strip()
    return {"cell": cell, "source": source, "reason": reason, "traceback": text}


def _last_started_cell(output: Path) -> tuple[int | None, str]:
    """The last code cell that papermill started: the one that failed, hung, or ran when the kernel died."""
    try:
        cells = json.loads(output.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return None, ""
    # papermill puts banners into a failed notebook; they are not the reader's cells.
    cells = [c for c in cells if "papermill-error-cell-tag" not in c.get("metadata", {}).get("tags", [])]
    started = [
        (number, "".join(cell["source"]))
        for number, cell in enumerate(cells, start=1)
        if cell["cell_type"] == "code" and cell["metadata"].get("papermill", {}).get("start_time")
    ]
    return started[-1] if started else (None, "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
