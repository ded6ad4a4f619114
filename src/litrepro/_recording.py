"""Derivatives whatever mode the caller is in."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def recording() -> AbstractContextManager:
    """A context in which autograd records: ``torch.enable_grad`` alone does not leave ``torch.inference_mode``."""
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else torch.enable_grad()


def recordable(x: torch.Tensor) -> torch.Tensor:
    """x, or while recording a copy of one that was made in inference mode, which autograd refuses."""
    return x.clone() if x.is_inference() else x
