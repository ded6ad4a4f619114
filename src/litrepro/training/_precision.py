"""Mixed precision for whole training runs."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import nn

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


class Rounded(nn.Module):
    """A classifier whose ``features`` are computed in bfloat16; its head, its answers and the loss stay as they are.

    Weights and their updates keep theirs too, so that only products and convolutions are rounded. On a CPU that has no
    instructions for bfloat16, and for depthwise convolutions on any, this is slower.

    Parameters
    ----------
    net
        A network with ``features(x) -> (B, q)`` and ``head``; its weights are moved to channels last, which
        convolutions prefer, and shared.
    cpu
        Round on a CPU too; else on a CUDA device alone.

    Raises
    ------
    ValueError
        What has no ``features`` or no ``head``.

    Examples
    --------
    >>> from litrepro.nets import resnet18
    >>> net = Rounded(resnet18(2)).eval()
    >>> net(torch.zeros(1, 3, 8, 8)).shape, net.features(torch.zeros(1, 3, 8, 8)).dtype
    (torch.Size([1, 10]), torch.float32)
    """

    def __init__(self, net: nn.Module, *, cpu: bool = False):
        super().__init__()
        if not isinstance(net, nn.Module) or not callable(getattr(net, "features", None)) or not hasattr(net, "head"):
            raise ValueError(f"net must be a network with features and head, got {type(net).__name__}")
        self.body, self.cpu = net.to(memory_format=torch.channels_last), bool(cpu)
        self.head = net.head

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the head sees, (B, q), rounded on the way and given in float32."""
        with half_precision(x.device, cpu=self.cpu):
            return self.body.features(x).float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, K)."""
        return self.head(self.features(x))
