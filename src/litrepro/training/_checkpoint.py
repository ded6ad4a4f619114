"""Interrupt a run of ``fit``, and go on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from litrepro._resume import check_same_run, summary, write_state
from litrepro.training._batches import Targets
from litrepro.training._modules import put_values, unsaved_buffers


def save(path: Path, run: Any, epoch: int, over: bool) -> None:
    """Write the state after an epoch."""
    state = {
        "run": run.identity,
        "epoch": epoch,
        "over": over,
        "model": run.model.state_dict(),
        "buffers": unsaved_buffers(run.model),
        "optimizer": _readable(run.stepper.state_dict()),
        "rows": run.rows,
        "seconds": run.clock.seconds,
        "noise": run.noise.get_state(),
        "random": torch.default_generator.get_state(),
    }
    if run.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(run.device)
    write_state(path, state)


def resume(path: Path | None, run: Any) -> int:
    """Put a saved state back; the epoch to go on with, 0 without a file, one past the last where it is finished.

    Raises ``ValueError`` if the file belongs to another run.
    """
    if path is None:
        return 0
    run.identity = describe(run)
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    check_same_run(path, state["run"], run.identity)
    run.model.load_state_dict(state["model"])
    put_values(run.model, {name: value.to(run.device) for name, value in state.get("buffers", {}).items()})
    run.stepper.load_state_dict(state["optimizer"])
    run.rows.extend(tuple(row) for row in state["rows"])
    run.clock.seconds = state["seconds"]
    run.noise.set_state(state["noise"])
    torch.default_generator.set_state(state["random"])
    if "cuda" in state and run.device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], run.device)
    return run.settings.epochs + 1 if state["over"] else state["epoch"] + 1


def describe(run: Any) -> dict[str, Any]:
    """What two runs must share to be one run; functions by their names, which tell some of them apart.

    Not the initial parameters: a run that was interrupted goes on with the model that it has trained already.
    """
    shapes = [[name, *value.shape] for name, value in run.model.state_dict().items()]
    settings = run.settings
    data = [run.x, *_parts(run.y), *_parts(run.weights)]
    others = {name: (x, *_parts(y)) for name, (x, y, _, _) in run.sets.items() if name != "train"}
    return {
        "sizes": [settings.n, settings.epochs, settings.batch_size, settings.eval_every],
        "seed": run.seed,
        "optimizer": type(run.stepper).__name__,
        "lr, momentum or weight_decay": run.hypers,
        "functions": {name: _name(value) for name, value in run.functions.items()},
        "shapes": shapes,
        "data": [summary(part) for part in data],
        "names in evaluate_on": list(others),
        "data of evaluate_on": [summary(part) for parts in others.values() for part in parts],
        "metrics": [list(functions) for *_, functions in run.sets.values()],
    }


def _readable(state: Any) -> Any:
    """An optimizer's state with Python's numbers for numpy's, which ``torch.load`` would not read back."""
    if isinstance(state, dict):
        return {name: _readable(value) for name, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)(map(_readable, state))
    return state.item() if isinstance(state, np.generic) else state


def _parts(y: Targets | None) -> tuple[torch.Tensor, ...]:
    return y if isinstance(y, tuple) else (() if y is None else (y,))


def _name(value: Any) -> str | None:
    return (
        value if value is None or isinstance(value, str) else str(getattr(value, "__qualname__", type(value).__name__))
    )
