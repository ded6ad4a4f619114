"""Several networks of one shape as one network with grouped convolutions."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from litrepro import _validate


def grouped(models: Sequence[nn.Module]) -> nn.Module:
    """Merge M convolutional classifiers of one structure into one module that runs them side by side.

    Their channels lie next to each other: convolutions become grouped, batch norms longer, and linear layers a batched
    product. A step launches as many kernels as for one network, and launches are what small networks on a GPU wait
    for. With a loss that sums over members and an optimizer that works element by element, every member trains as it
    would alone.

    Parameters
    ----------
    models
        M >= 1 networks such as ``cnn5`` or ``resnet18`` (convolutions without groups, ``BatchNorm2d``, linear layers on
        flattened features; layers without parameters are kept). They are not changed.

    Returns
    -------
    Module ``(B, C, H, W) -> (B, M, K)``; every member sees the same images.

    Raises
    ------
    ValueError
        No models or what is no module, structures that differ, a layer with parameters that cannot be merged.

    Examples
    --------
    >>> from litrepro.nets import cnn5
    >>> grouped([cnn5(2, size=8, seed=s) for s in range(3)])(torch.zeros(4, 3, 8, 8)).shape
    torch.Size([4, 3, 10])
    """
    models = [_validate.instance("models", model, nn.Module) for model in _validate.sequence("models", models, 0)]
    if not models:
        raise ValueError("models must hold at least one network, got none")
    layout = [(name, tuple(value.shape)) for name, value in models[0].state_dict().items()]
    for model in models[1:]:
        if [(name, tuple(value.shape)) for name, value in model.state_dict().items()] != layout:
            raise ValueError("models must have one structure: names or shapes of their weights differ")
    return _Grouped(_merge(models), len(models)).train(models[0].training)


class _Grouped(nn.Module):
    def __init__(self, body: nn.Module, members: int):
        super().__init__()
        self.body, self.members = body, members

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x.repeat(1, self.members, 1, 1))


class _GroupedLinear(nn.Module):
    """(B, M q) -> (B, M, K)."""

    def __init__(self, layers: Sequence[nn.Linear]):
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().mT for layer in layers]))  # (M, q, K)
        biases = [layer.bias for layer in layers]
        self.bias = None if biases[0] is None else nn.Parameter(torch.stack([bias.detach() for bias in biases]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        members, q, _ = self.weight.shape
        out = torch.einsum("bmq,mqk->bmk", x.view(len(x), members, q), self.weight)
        return out if self.bias is None else out + self.bias


def _merge(layers: Sequence[nn.Module]) -> nn.Module:
    """One layer from the members' layers in one place of the structure."""
    first = layers[0]
    if isinstance(first, nn.Conv2d):
        return _convolution(layers)
    if isinstance(first, nn.BatchNorm2d):
        return _norm(layers)
    if isinstance(first, nn.Linear):
        return _GroupedLinear(layers)
    if list(first.parameters(recurse=False)) or list(first.buffers(recurse=False)):
        raise ValueError(f"cannot merge layers of type {type(first).__name__}")
    merged = copy.deepcopy(first)
    for name, _ in first.named_children():
        setattr(merged, name, _merge([getattr(layer, name) for layer in layers]))
    return merged


def _convolution(layers: Sequence[nn.Conv2d]) -> nn.Conv2d:
    first = layers[0]
    if first.groups != 1:
        raise ValueError(f"cannot merge a convolution that already has {first.groups} groups")
    merged = nn.Conv2d(
        len(layers) * first.in_channels, len(layers) * first.out_channels, first.kernel_size, first.stride,
        first.padding, first.dilation, len(layers), first.bias is not None, first.padding_mode,
        device=first.weight.device, dtype=first.weight.dtype,
    )  # fmt: skip
    with torch.no_grad():
        merged.weight.copy_(torch.cat([layer.weight for layer in layers]))
        if first.bias is not None:
            merged.bias.copy_(torch.cat([layer.bias for layer in layers]))
    return merged


def _norm(layers: Sequence[nn.BatchNorm2d]) -> nn.BatchNorm2d:
    first = layers[0]
    merged = nn.BatchNorm2d(
        len(layers) * first.num_features, first.eps, first.momentum, first.affine, first.track_running_stats
    )
    state = {
        name: value if value.ndim == 0 else torch.cat([layer.state_dict()[name] for layer in layers])
        for name, value in first.state_dict().items()
    }
    merged = merged.to(next(iter(state.values())))  # device and precision
    merged.load_state_dict(state)
    return merged
