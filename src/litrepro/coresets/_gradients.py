"""Gradients of single examples: of the last layer in closed form, of all layers under vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional

from litrepro import _validate
from litrepro._recording import recordable, recording


def last_layer_gradients(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, bias: bool = True, batch_size: int = 1024
) -> torch.Tensor:
    r"""Cross-entropy gradients with respect to ``model.head``, one row per example, by one forward pass.

    The row is :math:`(\mathrm{softmax}(z) - e_y) \otimes (\phi, 1)` for features :math:`\phi` (q) and scores z (K).

    Parameters
    ----------
    model
        Has ``features(x) -> (B, q)`` and ``head``, an ``nn.Linear``; it is put in eval mode (batch norm must not mix
        examples).
    x, y
        (n, ...) and (n,) int64 labels 0..K-1.
    bias
        Whether the K columns of the bias are appended.
    batch_size
        Examples at a time.

    Returns
    -------
    (n, K (q + 1)): the weight's columns row by row, then the bias'; (n, K q) without bias.

    Raises
    ------
    ValueError
        No features, a head that is no ``nn.Linear``, lengths that differ, labels outside 0..K-1, batch_size < 1.

    Notes
    -----
    Source: Killamsetty et al., arXiv:2103.00123, section 4; Katharopoulos and Fleuret 2018.

    Examples
    --------
    >>> from litrepro.nets import mlp
    >>> last_layer_gradients(mlp(4, [5], 3), torch.ones(2, 4), torch.tensor([0, 2])).shape
    torch.Size([2, 18])
    """
    features, scores = forward(model, x, y, batch_size)
    return outer(residuals(scores, y), features, bias)


def last_layer_refresh(model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, step: float) -> Callable:
    r"""The summed last-layer gradient after a virtual step on the examples chosen so far, for ``glister``.

    Parameters
    ----------
    model, x, y
        As in ``last_layer_gradients``; features and scores are computed once, the model is not changed.
    step
        :math:`\eta \ge 0` of the step :math:`\theta - \eta \sum_{j} g_j` on weight and bias of the head, with the
        gradients at the head as it is.

    Returns
    -------
    ``refresh(chosen (m,) int64) -> (K (q + 1),)``.

    Raises
    ------
    ValueError
        As ``last_layer_gradients``; a negative step.

    Notes
    -----
    Source: Killamsetty et al., arXiv:2012.10630, algorithm 1, with the training set as the outer one.

    Examples
    --------
    >>> from litrepro.nets import mlp
    >>> refresh = last_layer_refresh(mlp(4, [5], 3), torch.ones(2, 4), torch.tensor([0, 2]), step=0.1)
    >>> refresh(torch.tensor([1])).shape
    torch.Size([18])
    """
    step = _validate.real("step", step, 0)
    features, scores = forward(model, x, y, 256)
    gaps = residuals(scores, y)
    padded = torch.cat([features, torch.ones_like(features[:, :1])], 1)
    labels = functional.one_hot(y, scores.shape[1]).to(scores)

    def refresh(chosen: torch.Tensor) -> torch.Tensor:
        moved = gaps[chosen].mT @ padded[chosen]  # (K, q + 1)
        after = (scores - step * padded @ moved.mT).softmax(1) - labels
        total = after.mT @ padded
        return torch.cat([total[:, :-1].flatten(), total[:, -1]])

    return refresh


def per_sample_gradients(model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, batch_size: int = 128) -> torch.Tensor:
    """Cross-entropy gradients with respect to all trainable parameters, one row per example.

    Parameters
    ----------
    model
        ``(B, ...) -> (B, K)``; put in eval mode.
    x, y
        (n, ...) and (n,) int64 labels.
    batch_size
        Examples at a time; memory is ``batch_size`` times that of a gradient and its activations.

    Returns
    -------
    (n, P), parameters in the order of ``model.parameters()``.

    Raises
    ------
    ValueError
        No module, lengths that differ, labels outside 0..K-1, batch_size < 1, nothing to train.

    Examples
    --------
    >>> from litrepro.nets import mlp
    >>> per_sample_gradients(mlp(4, [5], 3), torch.ones(2, 4), torch.tensor([0, 2])).shape
    torch.Size([2, 43])
    """
    batch_size = _validate.positive_int("batch_size", batch_size)
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch module, got {type(model).__name__}")
    _check_labels(x, y)
    model.eval()
    state = {name: value.detach() for name, value in [*model.named_parameters(), *model.named_buffers()]}
    params = {name: state.pop(name) for name, value in model.named_parameters() if value.requires_grad}
    if not params:
        raise ValueError("model must have trainable parameters, got none")
    with torch.no_grad():
        classes = _validate.answer("model", model, x[:1]).shape[-1]
    check_range(y, classes)

    def loss(weights: dict, example: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        scores = functional_call(model, (weights, state), (example[None],))
        return functional.cross_entropy(scores, label[None])

    with recording():
        state, params = ({name: recordable(value) for name, value in each.items()} for each in (state, params))
    # Every example has parameters of its own, all views of one: ``torch.func.grad`` would load all of torch's compiler.
    sizes = [value.numel() for value in params.values()]
    rows = next(iter(params.values())).new_empty(len(y), sum(sizes))
    for part, xs, ys in zip(rows.split(batch_size), x.split(batch_size), y.split(batch_size)):
        with recording():
            own = {name: value.expand(len(ys), *value.shape).requires_grad_(True) for name, value in params.items()}
            losses = vmap(loss)(own, recordable(xs), recordable(ys))
            found = torch.autograd.grad(losses.sum(), list(own.values()), allow_unused=True, materialize_grads=True)
        for gradient, columns in zip(found, part.split(sizes, 1)):
            columns.copy_(gradient.flatten(1))
    return rows


@torch.no_grad()
def forward(model: nn.Module, x: torch.Tensor, y: torch.Tensor, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (n, q) and scores (n, K) in eval mode, after the checks."""
    batch_size = _validate.positive_int("batch_size", batch_size)
    head = getattr(model, "head", None)
    if not callable(getattr(model, "features", None)) or not isinstance(head, nn.Linear):
        got = f"{type(model).__name__} with head {type(head).__name__}"
        raise ValueError(f"model must have features(x) and head, an nn.Linear, got {got}")
    _check_labels(x, y)
    model.eval()
    _validate.answer("features of the model", model.features, x[:1])
    features = torch.cat([model.features(part) for part in x.split(batch_size)])
    scores = model.head(features)
    check_range(y, scores.shape[1])
    return features, scores


def residuals(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """softmax(z) - e_y, (n, K): the gradient of the cross-entropy with respect to the scores."""
    return scores.softmax(1) - functional.one_hot(y, scores.shape[1]).to(scores)


def outer(gaps: torch.Tensor, features: torch.Tensor, bias: bool) -> torch.Tensor:
    """Rows (gap x features, gap)."""
    weight = (gaps[:, :, None] * features[:, None, :]).flatten(1)
    return torch.cat([weight, gaps], 1) if bias else weight


def _check_labels(x: Any, y: Any) -> None:
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor) or y.ndim != 1 or y.dtype != torch.int64:
        raise ValueError(f"x must be a tensor and y int64 labels (n,), got {getattr(y, 'shape', type(y).__name__)}")
    if x.ndim < 1 or len(x) != len(y) or len(x) < 1:
        raise ValueError(f"x and y must have the same number n >= 1 of examples, got {tuple(x.shape)} and {len(y)}")


def check_range(y: torch.Tensor, classes: int) -> None:
    if int(y.min()) < 0 or int(y.max()) >= classes:
        raise ValueError(f"labels must lie in 0..{classes - 1}, got {int(y.min())}..{int(y.max())}")
