"""The worst margin of a tiny network by enumeration of its activation patterns: slow, and obviously right."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn

from litrepro import _validate
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._arguments import Box
from litrepro.robustness._intervals import class_labels, input_box
from litrepro.robustness._layers import Layers, affine_layers

MOST_UNITS = 14


def activation_pattern_minimum(
    layers: Layers | nn.Module, x: torch.Tensor, label: int, other: int, eps: float, *, box: Box = (0.0, 1.0)
) -> float:
    """The exact minimum of f_label - f_other over the l_inf ball of a network with one hidden layer.

    Every pattern of active units makes the network linear on a polytope, where a linear program finds the minimum; the
    smallest of them is the answer. It stands in for a solver over theories (Katz et al. 2017) on networks of this size.

    Parameters
    ----------
    layers
        Two affine layers with at most 14 hidden units.
    x
        (d,), one example.
    label, other
        Classes.
    eps, box
        As ``exact_margins``.

    Returns
    -------
    The minimum.

    Raises
    ------
    ValueError
        Not two layers, too many units, sizes, labels or radius that do not fit.

    Examples
    --------
    >>> layers = [(torch.eye(2), torch.zeros(2)), (torch.eye(2), torch.zeros(2))]
    >>> round(activation_pattern_minimum(layers, torch.tensor([0.75, 0.25]), 0, 1, 0.125), 6)
    0.25
    """
    linprog = arguments.optimizer("linprog")

    layers = [(w.detach().double(), b.detach().double()) for w, b in affine_layers(layers)]
    if len(layers) != 2 or len(layers[0][1]) > MOST_UNITS:
        raise ValueError(f"enumeration needs one hidden layer of at most {MOST_UNITS} units")
    _validate.float_tensor("x", x, 1)
    low, high = input_box(layers, x[None], eps, box)
    label, other = _validate.positive_int("label", label, 0), _validate.positive_int("other", other, 0)
    for index in (label, other):
        class_labels(torch.tensor([index], device=x.device), low, layers)
    (W, b), (V, c) = ((w.cpu().numpy(), v.cpu().numpy()) for w, v in layers)
    limits = np.stack([low[0].cpu().numpy(), high[0].cpu().numpy()], 1)
    best = np.inf
    for pattern in itertools.product((0.0, 1.0), repeat=len(b)):
        active = np.array(pattern)
        gain = (V[label] - V[other]) * active
        signs = (1 - 2 * active)[:, None]  # W x + b <= 0 where inactive, >= 0 where active
        found = linprog(gain @ W, A_ub=signs * W, b_ub=-signs[:, 0] * b, bounds=limits, method="highs")
        if found.status == 0:
            best = min(best, found.fun + gain @ b + c[label] - c[other])
    return float(best)
