"""Mixed precision for whole training runs."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from litrepro import _validate


def half_precision(device: torch.device | str, *, cpu: bool = False) -> contextlib.AbstractContextManager[Any]:
    """Autocast to bfloat16 on a CUDA device, with ``cpu`` on a CPU too, and nothing elsewhere.

    Weights and their updates keep their precision. A CPU without instructions for bfloat16 is slower with it.

    Without autocast's cache: it is emptied only when the context ends, so around a whole training it would keep the
    rounded weights of the first step, and the network would never see what it has learnt.

    Raises ``ValueError`` for what is no device.

    Examples
    --------
    >>> with half_precision("cpu"):
    ...     (torch.eye(2) @ torch.eye(2)).dtype
    torch.float32
    """
    kind = _validate.device("device", device).type
    if kind != "cuda" and not (cpu and kind == "cpu"):
        return contextlib.nullcontext()
    return torch.autocast(kind, torch.bfloat16, cache_enabled=False)
