"""Time two ways of doing one thing in one run; a first call of each is not timed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch


def best_of(function: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest repetition after one warm-up call."""
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def report(rows: list[tuple[str, str, float, float]]) -> None:
    """Print a tidy table of (task, peer, our seconds, the peer's seconds) with the ratio."""
    print(f"{'task':<52} {'peer':<28} {'ours (s)':>10} {'peer (s)':>10} {'peer/ours':>10}")
    for task, peer, ours, theirs in rows:
        print(f"{task:<52} {peer:<28} {ours:>10.4f} {theirs:>10.4f} {theirs / ours:>10.1f}")


def skip(task: str, peer: str, reason: object) -> None:
    """Say that a peer cannot run here, and why."""
    print(f"{task:<52} {peer:<28} skipped: {reason}")


def arguments(description: str) -> argparse.Namespace:
    """``--quick`` for small sizes, ``--threads``, ``--device``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes, under 30 seconds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    return parsed
