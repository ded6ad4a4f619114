"""Interrupt a run of ``fit``, and go on as if nothing had happened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save(path: Path, run: Any, epoch: int, over: bool) -> None:
    """Write the state after an epoch: to a temporary name, then renamed."""
    state = {
        "run": describe(run),
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
    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["run"] != describe(run):
        raise ValueError(
            f"{path} must belong to this run, but was written by {state['run']}: delete it to start afresh"
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
    """What two runs must share to be one run."""
    shapes = [[name, *value.shape] for name, value in run.model.state_dict().items()]
    settings = run.settings
    sizes = [settings.n, settings.epochs, settings.batch_size, settings.eval_every]
    return {"sizes": sizes, "seed": run.seed, "optimizer": type(run.stepper).__name__, "shapes": shapes}
