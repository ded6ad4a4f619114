"""A ReLU network as a list of affine layers, the form in which it can be certified."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from litrepro.nets import mlp

Layers = Sequence[tuple[torch.Tensor, torch.Tensor]]


def affine_layers(model: nn.Module | Layers) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The affine layers of a ReLU network: f(x) = W_d relu(... relu(W_1 x + b_1) ...) + b_d.

    Parameters
    ----------
    model
        ``nn.Sequential`` of Flatten, Linear and ReLU, a perceptron of ``litrepro.nets.mlp``, or a list of
        ``(W (h', h), b (h'))``, which is checked and returned.

    Returns
    -------
    List of ``(W, b)``, the model's own parameters (not detached); a missing bias is zero. Layers of several dtypes come
    in their common one.

    Raises
    ------
    ValueError
        Another layer or module, one of these types with a ``forward`` of its own, two Linear layers in a row, a ReLU at
        the end or before the first Linear, Flatten elsewhere than in front, shapes that do not chain.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> [tuple(w.shape) for w, b in affine_layers(net)]
    [(3, 4), (2, 3)]
    """
    if isinstance(model, nn.Module):
        return _check(_from_modules(_flat(model)))
    if not isinstance(model, Sequence):
        raise ValueError(f"layers must be a list of (W, b) or an nn.Sequential, got {type(model).__name__}")
    strange = [layer for layer in model if not isinstance(layer, tuple | list)]
    if strange:
        raise ValueError(f"layers must hold pairs (W, b), got {type(strange[0]).__name__}")
    return _check([tuple(layer) for layer in model])


def _flat(model: nn.Module) -> list[nn.Module]:
    """The modules of nested Sequentials in order; a perceptron is a body and a head behind an implicit Flatten."""
    if _is(model, nn.Sequential):
        return [each for child in model for each in _flat(child)]
    if type(model) is _perceptron():
        return [nn.Flatten(), *_flat(model.body), model.head]
    return [model]


@functools.cache
def _perceptron() -> type[nn.Module]:
    """The type of what ``litrepro.nets.mlp`` returns."""
    return type(mlp(1, (), 1))


def _is(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module computes what ``kind`` does: a certificate of a subclass's parts says nothing of its forward."""
    return isinstance(module, kind) and type(module).forward is kind.forward


def _from_modules(modules: list[nn.Module]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    layers: list[tuple[torch.Tensor, torch.Tensor]] = []
    activated = True  # an affine layer may come next
    for module in modules:
        name = type(module).__name__
        if _is(module, nn.Flatten):
            if layers or module.start_dim != 1 or module.end_dim != -1:
                raise ValueError("Flatten may only stand in front, over all dimensions but the first")
        elif _is(module, nn.Linear):
            if not activated:
                raise ValueError("two Linear layers without a ReLU between them: multiply them into one")
            bias = module.bias if module.bias is not None else module.weight.new_zeros(module.out_features)
            layers.append((module.weight, bias))
            activated = False
        elif _is(module, nn.ReLU):
            if activated:
                raise ValueError("a ReLU must follow a Linear layer")
            activated = True
        else:
            raise ValueError(f"only Flatten, Linear and ReLU layers can be certified, got {name}")
    if activated:
        raise ValueError("the network must end with a Linear layer")
    return layers


def _check(layers: list[Any]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    if not layers:
        raise ValueError("a network needs at least one affine layer")
    width: int | None = None
    for number, layer in enumerate(layers, start=1):
        tensors = len(layer) == 2 and all(isinstance(part, torch.Tensor) for part in layer)
        if not tensors or layer[0].ndim != 2 or layer[1].shape != layer[0].shape[:1]:
            raise ValueError(f"layer {number} must be (W (h', h), b (h')), got {_shapes(layer)}")
        if not layer[0].dtype.is_floating_point:
            raise ValueError(f"layer {number} must be floating point, got {layer[0].dtype}")
        if width is not None and layer[0].shape[1] != width:
            raise ValueError(f"layer {number} takes {layer[0].shape[1]} inputs, layer {number - 1} gives {width}")
        width = layer[0].shape[0]
    dtype = functools.reduce(torch.promote_types, (part.dtype for layer in layers for part in layer))
    return [tuple(part.to(dtype) for part in layer) for layer in layers]


def _shapes(layer: Any) -> str:
    return ", ".join(str(tuple(part.shape)) if isinstance(part, torch.Tensor) else repr(part) for part in layer)


def run(layers: Layers, x: torch.Tensor) -> torch.Tensor:
    """The network of the layers at x (..., d): logits (..., K)."""
    for weight, bias in layers[:-1]:
        x = torch.relu(x @ weight.mT + bias)
    weight, bias = layers[-1]
    return x @ weight.mT + bias
