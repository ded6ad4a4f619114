"""Interval bound propagation, margins and losses from it, and the schedule that training with it needs."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._arguments import Box
from litrepro.robustness._layers import Layers, affine_layers, run

Bounds = list[tuple[torch.Tensor, torch.Tensor]]


def input_box(
    layers: Layers, x: torch.Tensor, eps, box: Box, *, tracked: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """The l_inf ball of x (n, *shape) inside the box, as (low, high), each (n, d); ``tracked`` differentiable in x."""
    if not all(bool(torch.isfinite(part).all()) for layer in layers for part in layer):
        raise ValueError("the weights must be finite: a bound of nan certifies nothing")
    detached = arguments.images(x, box)
    x = (x if tracked else detached).flatten(1)
    if x.shape[1] != layers[0][0].shape[1]:
        raise ValueError(f"the network takes {layers[0][0].shape[1]} features, x has {x.shape[1]}")
    x = x.to(layers[0][0].dtype)
    eps = arguments.radius(eps, x)[:, None]
    low, high = x - eps, x + eps
    return (low, high) if box is None else (low.clamp(*box), high.clamp(*box))


def propagate(layers: Layers, low: torch.Tensor, high: torch.Tensor) -> Bounds:
    """Intervals (n, h) of the pre-activations of every layer."""
    found = []
    for number, (weight, bias) in enumerate(layers):
        if number:
            low, high = low.relu(), high.relu()
        middle, spread = (low + high) / 2, (high - low) / 2
        centre, reach = middle @ weight.mT + bias, spread @ weight.abs().mT
        low, high = centre - reach, centre + reach
        found.append((low, high))
    return found


def interval_bounds(
    layers: Layers | nn.Module, x: torch.Tensor, eps: float | torch.Tensor, *, box: Box = (0.0, 1.0)
) -> Bounds:
    """Interval bounds of every pre-activation over the l_inf ball (Gowal et al. 2018).

    Parameters
    ----------
    layers
        List of ``(W (h', h), b (h'))`` or a network that ``affine_layers`` converts.
    x
        (n, *shape) with d entries per example.
    eps
        Radius, a number or (n,).
    box
        (low, high) of valid inputs, or None.

    Returns
    -------
    For every affine layer ``(l, u)``, each (n, h'), with l <= W z + b <= u; differentiable in the weights and x.

    Raises
    ------
    ValueError
        A network that cannot be converted, weights that are not finite, a feature size that does not match, eps < 0, x
        outside its box.

    Examples
    --------
    >>> import torch
    >>> layers = [(torch.tensor([[1.0, -1.0]]), torch.tensor([0.5]))]
    >>> interval_bounds(layers, torch.tensor([[0.5, 0.5]]), 0.25)
    [(tensor([[0.]]), tensor([[1.]]))]
    """
    layers = affine_layers(layers)
    return propagate(layers, *input_box(layers, x, eps, box, tracked=True))


def ibp_margins(
    layers: Layers | nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    box: Box = (0.0, 1.0),
    merge_last: bool = True,
) -> torch.Tensor:
    """Lower bounds of f_y - f_j over the l_inf ball by intervals, (n, K), 0 at j = y; differentiable in weights and x.

    With ``merge_last`` the last layer is merged with the difference of classes: for c = W_d' (e_y - e_j) the bound is
    max(c, 0) l + min(c, 0) u + b_y - b_j on the box of the last hidden layer. Without it, l_y - u_j, never tighter.
    Arguments and errors as ``interval_bounds``; ``y (n,)`` holds the labels.

    Examples
    --------
    >>> import torch
    >>> layers = [(torch.eye(2), torch.zeros(2))]
    >>> ibp_margins(layers, torch.tensor([[0.75, 0.25]]), torch.tensor([0]), 0.125)
    tensor([[0.0000, 0.2500]])
    """
    layers = affine_layers(layers)
    low, high = input_box(layers, x, eps, box, tracked=True)
    y = class_labels(y, low, layers)
    if not merge_last:
        lower, upper = propagate(layers, low, high)[-1]
        margins = lower.gather(1, y[:, None]) - upper
        return margins.scatter(1, y[:, None], 0.0)
    if len(layers) > 1:
        low, high = (bound.relu() for bound in propagate(layers[:-1], low, high)[-1])
    weight, bias = layers[-1]
    middle, spread = (low + high) / 2, (high - low) / 2
    logits = middle @ weight.mT + bias
    differences = weight[y][:, None] - weight  # (n, K, h)
    reach = (differences.abs() @ spread[..., None])[..., 0]
    return logits.gather(1, y[:, None]) - logits - reach


def class_labels(y: torch.Tensor, x: torch.Tensor, layers: Layers) -> torch.Tensor:
    """Labels (n,) below the number of outputs."""
    y = arguments.labels(y, x)
    classes = layers[-1][0].shape[0]
    if y.numel() and (int(y.min()) < 0 or int(y.max()) >= classes):
        raise ValueError(f"labels must lie in 0..{classes - 1}, got {int(y.min())}..{int(y.max())}")
    return y


def certified(margins: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Whether every margin f_y - f_j, j != y, of ``margins (n, K)`` is positive, (n,) bool.

    Raises ``ValueError`` for margins that are no (n, K) tensor and labels that do not fit.

    Examples
    --------
    >>> import torch
    >>> certified(torch.tensor([[0.0, 0.1], [-0.1, 0.0]]), torch.tensor([0, 1]))
    tensor([ True, False])
    """
    _validate.float_tensor("margins", margins, 2)
    if margins.ndim != 2:
        raise ValueError(f"margins must be (n, K), got shape {tuple(margins.shape)}")
    y = arguments.labels(y, margins, "margins")
    if y.numel() and (int(y.min()) < 0 or int(y.max()) >= margins.shape[1]):
        raise ValueError(f"labels must lie in 0..{margins.shape[1] - 1}, got {int(y.min())}..{int(y.max())}")
    return (margins > 0).scatter(1, y[:, None], True).all(1)


def ibp_loss(
    model: Layers | nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    kappa: float = 0.5,
    box: Box = (0.0, 1.0),
) -> torch.Tensor:
    """The loss of certified training: kappa CE(f(x), y) + (1 - kappa) CE(-margins, y) (Gowal et al. 2018, eq. 12).

    The negative interval margins are upper bounds of f_j - f_y, so that their cross-entropy bounds the worst one.
    Arguments and errors as ``ibp_margins``, and ``ValueError`` for an empty batch; ``kappa`` in [0, 1]. Returns the
    mean over the batch, a scalar, differentiable in the weights and x.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    >>> x, y = torch.rand(3, 2), torch.tensor([0, 1, 0])
    >>> bool(ibp_loss(net, x, y, 0.1, kappa=0.0) >= ibp_loss(net, x, y, 0.0, kappa=0.0))
    True
    """
    kappa = _validate.real("kappa", kappa, 0, 1)
    layers = affine_layers(model)
    low, _ = input_box(layers, x, eps, box)
    if not len(low):
        raise ValueError("x must hold at least one example: the mean over an empty batch is not defined")
    y = class_labels(y, low, layers)
    worst = functional.cross_entropy(-ibp_margins(layers, x, y, eps, box=box), y)
    if kappa == 0:
        return worst
    x = x.to(low.dtype)
    logits = model(x) if isinstance(model, nn.Module) else run(layers, x.flatten(1))
    return kappa * functional.cross_entropy(logits, y) + (1 - kappa) * worst


def ramp(step: float, *, start: float, end: float, target: float) -> float:
    """A linear schedule: 0 up to ``start``, ``target`` from ``end`` on.

    Raises ``ValueError`` for numbers that are not finite and start > end.

    Examples
    --------
    >>> [ramp(step, start=10, end=20, target=0.5) for step in (5, 15, 30)]
    [0.0, 0.25, 0.5]
    """
    step, start = _validate.real("step", step), _validate.real("start", start)
    end, target = _validate.real("end", end, start), _validate.real("target", target)
    if step >= end:
        return target
    if step <= start:  # also where start and end coincide
        return 0.0
    return target * (step - start) / (end - start)
