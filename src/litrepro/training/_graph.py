"""Record what a training step launches on a GPU, and launch all of it at once from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from litrepro import _validate

WARM = 3  # calls before the recording: libraries choose their kernels and allocate what they keep


class CudaGraph:
    """A function of tensors as one launch.

    The first calls run it as it is; the next one records every kernel, and later calls replay them. A small network
    keeps a GPU waiting for Python otherwise: hundreds of kernels of a few microseconds each.

    The function may change tensors in place and must not wait for the device. What it returns is overwritten by the
    next call. Inputs of another shape than the first are not recorded: they go through the function as it is. So does
    everything where there is no CUDA device.

    Source: the section on CUDA graphs of PyTorch's notes on CUDA semantics.

    Raises ``ValueError`` for what is no function.

    Examples
    --------
    >>> import torch
    >>> total = torch.zeros(())
    >>> step = CudaGraph(lambda x: total.add_(x.sum()))
    >>> for _ in range(5):
    ...     found = step(torch.ones(2))
    >>> found
    tensor(10.)
    """

    def __init__(self, function: Callable[..., Any]):
        self._function = _validate.function("function", function)
        self._stream = torch.cuda.Stream() if torch.cuda.is_available() else None
        self._calls, self._graph, self._result = 0, None, None
        self._inputs: list[torch.Tensor] = []
        self._shapes: list[torch.Size] | None = None

    def __call__(self, *inputs: torch.Tensor) -> Any:
        shapes = [value.shape for value in inputs]
        self._shapes = shapes if self._shapes is None else self._shapes
        if shapes != self._shapes or self._stream is None:
            return self._function(*inputs)
        if self._calls < WARM:
            self._calls += 1
            return self._beside(*inputs)
        if self._graph is None:
            self._record(*inputs)
        for kept, value in zip(self._inputs, inputs):
            kept.copy_(value)
        self._graph.replay()
        return self._result

    def _beside(self, *inputs: torch.Tensor) -> Any:
        """The function on a stream of its own, as recording needs it."""
        here = torch.cuda.current_stream()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            result = self._function(*inputs)
        here.wait_stream(self._stream)
        return result

    def _record(self, *inputs: torch.Tensor) -> None:
        self._inputs = [value.clone() for value in inputs]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            self._result = self._function(*self._inputs)
        self._graph = graph


def make_recordable(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Step sizes and counters of torch's SGD and Adam as tensors on the device, where a recorded step reads them."""
    for group in optimizer.param_groups:
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device).clone()
        if "capturable" in group:
            group["capturable"] = True
