"""Several networks of one shape as one network with grouped convolutions."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import nn

from litrepro import _validate
from litrepro.nets._structure import check_one_structure

_ALONE = ("pooling", "dropout", "padding", "upsampling", "container")  # modules of torch.nn that mix no channels
_TOGETHER = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d, nn.GLU)  # activations that do


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
        flattened features). Of layers without parameters those that look at several channels, such as a softmax, see
        one member at a time; one's own, and functions in a ``forward``, must treat every channel alone. Parameters
        with ``requires_grad=False`` have it in the result too. They are not changed.

    Returns
    -------
    Module ``(B, C, H, W) -> (B, M, K)``; every member sees the same images.

    Raises
    ------
    ValueError
        No models or what is no module, structures that differ (modules and their settings too), a layer with parameters
        that cannot be merged, a parameter that is in several layers.

    Examples
    --------
    >>> from litrepro.nets import cnn5
    >>> grouped([cnn5(2, size=8, seed=s) for s in range(3)])(torch.zeros(4, 3, 8, 8)).shape
    torch.Size([4, 3, 10])
    """
    models = [_validate.instance("models", model, nn.Module) for model in _validate.sequence("models", models, 0)]
    if not models:
        raise ValueError("models must hold at least one network, got none")
    check_one_structure("models must be", models)
    own = [p for module in models[0].modules() for p in module._parameters.values() if p is not None]
    if len({id(p) for p in own}) < len(own):
        raise ValueError("models must not share one parameter between layers")
    return _Grouped(_merge(models, {}), len(models), models[0].training)


class _Grouped(nn.Module):
    def __init__(self, body: nn.Module, members: int, training: bool):
        super().__init__()
        self.body, self.members, self.training = body, members, training

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x.repeat(1, self.members, 1, 1))


class _GroupedLinear(nn.Module):
    """(B, M q) -> (B, M, K)."""

    def __init__(self, layers: Sequence[nn.Linear]):
        super().__init__()
        weights, biases = [layer.weight.mT for layer in layers], [layer.bias for layer in layers]
        self.weight = _parameter(weights, torch.stack)  # (M, q, K)
        self.bias = None if biases[0] is None else _parameter(biases, torch.stack)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        members, q, _ = self.weight.shape
        out = torch.einsum("bmq,mqk->bmk", x.view(len(x), members, q), self.weight)
        return out if self.bias is None else out + self.bias


class _OneByOne(nn.Module):
    """A layer without parameters that sees one member at a time: the members join the examples."""

    def __init__(self, layer: nn.Module, members: int):
        super().__init__()
        self.layer, self.members = layer, members

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 3 and x.shape[1] == self.members:  # behind a linear layer, (B, M, ...)
            return self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        each = x.unflatten(1, (self.members, -1))
        return self.layer(each.flatten(0, 1)).unflatten(0, each.shape[:2]).flatten(1, 2)


def _parameter(values: Sequence[torch.Tensor], join: Callable[[Sequence[torch.Tensor]], torch.Tensor]) -> nn.Parameter:
    """The members' values in one parameter, which is trained if theirs are."""
    return nn.Parameter(join([value.detach() for value in values]), requires_grad=values[0].requires_grad)


def _merge(layers: Sequence[nn.Module], done: dict[int, nn.Module]) -> nn.Module:
    """One layer from the members' layers in one place of the structure; ``done`` holds those that are in several."""
    first = layers[0]
    if id(first) not in done:
        merged = done[id(first)] = _merged(layers, done)
        merged.training = first.training
    return done[id(first)]


def _merged(layers: Sequence[nn.Module], done: dict[int, nn.Module]) -> nn.Module:
    first = layers[0]
    for kind, merge in ((nn.Conv2d, _convolution), (nn.BatchNorm2d, _norm), (nn.Linear, _GroupedLinear)):
        if isinstance(first, kind):
            others = sorted({name for name, _ in first.named_parameters()} - {"weight", "bias"})
            if others:
                raise ValueError(f"cannot merge layers of type {type(first).__name__} with {', '.join(others)}")
            return merge(layers)
    norm = isinstance(first, nn.modules.batchnorm._BatchNorm)  # over examples: members must not join them
    if norm or list(first.parameters(recurse=False)) or list(first.buffers(recurse=False)):
        raise ValueError(f"cannot merge layers of type {type(first).__name__}")
    merged = copy.deepcopy(first)
    for name, layer in first._modules.items():  # all names: named_children leaves out the second of one layer
        if layer is not None:
            setattr(merged, name, _merge([getattr(member, name) for member in layers], done))
    return _OneByOne(merged, len(layers)) if _mixes_channels(first) else merged


def _mixes_channels(layer: nn.Module) -> bool:
    """Whether a layer of torch's looks at several channels at once, as far as is known."""
    kind = type(layer).__module__.removeprefix("torch.nn.modules.")
    if kind == "activation":
        return isinstance(layer, _TOGETHER)
    return kind != type(layer).__module__ and kind not in _ALONE and not isinstance(layer, nn.Flatten | nn.Identity)


def _convolution(layers: Sequence[nn.Conv2d]) -> nn.Conv2d:
    first = layers[0]
    if first.groups != 1:
        raise ValueError(f"cannot merge a convolution that already has {first.groups} groups")
    merged = nn.Conv2d(
        len(layers) * first.in_channels, len(layers) * first.out_channels, first.kernel_size, first.stride,
        first.padding, first.dilation, len(layers), first.bias is not None, first.padding_mode,
        device="meta",
    )  # fmt: skip
    merged.weight = _parameter([layer.weight for layer in layers], torch.cat)
    if first.bias is not None:
        merged.bias = _parameter([layer.bias for layer in layers], torch.cat)
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
    for value in itertools.islice(state.values(), 1):  # device and precision; a norm may have no state at all
        merged.to(value)
    merged.load_state_dict(state)
    for name, parameter in first.named_parameters():
        merged.get_parameter(name).requires_grad_(parameter.requires_grad)
    return merged
