"""What training loops do with any module: lend it another mode, give it the values of another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import nn


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """The model in eval mode; afterwards every module is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)  # a model's own ``train`` may do more than set flags
        for module, training in modes:
            module.training = training


@torch.no_grad()
def put_values(model: nn.Module, values: Mapping[str, torch.Tensor]) -> None:
    """Copy values into parameters and buffers by name, whether they are saved with the model or not.

    A buffer of another shape or precision is replaced, and so is one that is None.
    """
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, value in values.items():
        target = own.get(name)
        if target is not None and (target.shape, target.dtype) == (value.shape, value.dtype):
            target.copy_(value)
        else:
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, value.clone())


def unsaved_buffers(model: nn.Module) -> dict[str, torch.Tensor]:
    """Buffers by name that ``state_dict`` leaves out (``persistent=False``)."""
    saved = model.state_dict()
    return {name: value.detach() for name, value in model.named_buffers() if name not in saved}


def has_sparse_gradients(model: nn.Module) -> bool:
    """Whether an embedding of the model says that its gradients are sparse."""
    return any(isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.sparse for module in model.modules())
