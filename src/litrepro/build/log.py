"""Times of an execution, for the execution report; they differ from run to run, so they are not committed."""

from __future__ import annotations

import datetime
import json
import os
import platform
from typing import Any

from litrepro import runtime
from litrepro.build import notebooks
from litrepro.results import write_atomically


def write(pair: notebooks.Pair, result: dict[str, Any]) -> None:
    """Note seconds and memory of a page's execution under ``book/_build/litrepro``."""
    log = {
        "notebook": pair.key,
        "seconds": result["seconds"],
        "cpu_seconds": result["cpu_seconds"],
        "max_rss_mib": result["max_rss_mib"],
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        # What quick runs on. Torch is not asked: its import here can swallow an interrupt.
        "device": os.environ.get("LITREPRO_DEVICE") or f"{platform.machine()} CPU",
        "versions": runtime.versions(),
    }
    path = pair.book / "_build" / "litrepro" / f"{pair.key.replace('/', '__')}.json"
    write_atomically(path, json.dumps(log, indent=1).encode())
