"""Interrupt a run of ``fit``, and go on as if nothing had happened."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from litrepro.training._batches import Targets

ROWS = 1000  # of every tensor that are looked at


def save(path: Path, run: Any, epoch: int, over: bool) -> None:
    """Write the state after an epoch: to a temporary name, then renamed."""
    state = {
        "run": run.identity,
        "epoch": epoch,
        "over": over,
        "model": run.model.state_dict(),
        "optimizer": run.stepper.state_dict(),
        "rows": run.rows,
        "seconds": run.clock.seconds,
        "noise": run.noise.get_state(),
        "random": torch.default_generator.get_state(),
    }
    if run.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(run.device)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f"{path.suffix}.{os.getpid()}.part")  # two processes may share the folder
    torch.save(state, temporary)
    temporary.replace(path)


def resume(path: Path | None, run: Any) -> int:
    """Put a saved state back; the epoch to go on with, 0 without a file, one past the last where it is finished.

    Raises ``ValueError`` if the file belongs to another run.
    """
    if path is None:
        return 0
    run.identity = describe(run)  # now: training changes the parameters
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    others = [name for name, value in run.identity.items() if state["run"].get(name) != value]
    if others:
        raise ValueError(
            f"{path} must belong to this run, but was written by one with other {', '.join(others)}: "
            "delete it to start afresh"
        )
    run.model.load_state_dict(state["model"])
    run.stepper.load_state_dict(state["optimizer"])
    run.rows.extend(tuple(row) for row in state["rows"])
    run.clock.seconds = state["seconds"]
    run.noise.set_state(state["noise"])
    torch.default_generator.set_state(state["random"])
    if "cuda" in state and run.device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], run.device)
    return run.settings.epochs + 1 if state["over"] else state["epoch"] + 1


def describe(run: Any) -> dict[str, Any]:
    """What two runs must share to be one run; functions by their names, which tell some of them apart."""
    shapes = [[name, *value.shape] for name, value in run.model.state_dict().items()]
    settings = run.settings
    data = [run.x, *_parts(run.y), *_parts(run.weights)]
    return {
        "sizes": [settings.n, settings.epochs, settings.batch_size, settings.eval_every],
        "seed": run.seed,
        "optimizer": type(run.stepper).__name__,
        "lr, momentum or weight_decay": run.hypers,
        "functions": {name: _name(value) for name, value in run.functions.items()},
        "shapes": shapes,
        "data": [_digest(part) for part in data],
        "initial parameters": [_digest(value) for value in run.model.state_dict().values()],
    }


def _parts(y: Targets | None) -> tuple[torch.Tensor, ...]:
    return y if isinstance(y, tuple) else (() if y is None else (y,))


def _name(value: Any) -> str | None:
    return (
        value if value is None or isinstance(value, str) else str(getattr(value, "__qualname__", type(value).__name__))
    )


def _digest(value: torch.Tensor) -> str:
    """Of evenly spaced rows, bit for bit: the same on every device."""
    rows = torch.atleast_1d(value.detach())
    rows = rows[:: max(1, len(rows) // ROWS)].cpu().contiguous()
    return hashlib.blake2b(rows.reshape(-1).view(torch.uint8).numpy(), digest_size=8).hexdigest()
