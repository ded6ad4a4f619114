"""Networks given as layers: their logits, and the margins that attacks leave, the upper end of every certificate."""

from __future__ import annotations

import torch
from torch import nn

from litrepro import _validate
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._arguments import Box
from litrepro.robustness._gradient_attacks import pgd
from litrepro.robustness._layers import Layers, affine_layers, run


def layer_logits(model: nn.Module | Layers, x: torch.Tensor) -> torch.Tensor:
    """Logits (..., K) of a network given as layers, in the layers' dtype and on their device.

    Parameters
    ----------
    model
        What ``affine_layers`` accepts.
    x
        (..., d), flat inputs.

    Raises ``ValueError`` for what is no network of affine layers and inputs that do not fit.

    Examples
    --------
    >>> layer_logits([(torch.ones(2, 3), torch.tensor([0.0, 1.0]))], torch.ones(5, 3)).shape
    torch.Size([5, 2])
    """
    layers = affine_layers(model)
    _validate.float_tensor("x", x, 1)
    if x.shape[-1] != layers[0][0].shape[1]:
        raise ValueError(f"x must have shape (..., {layers[0][0].shape[1]}), got {tuple(x.shape)}")
    return run(layers, x.to(layers[0][0]))


def attack_margins(
    model: nn.Module | Layers,
    x: torch.Tensor,
    y: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    classes: torch.Tensor | None = None,
    steps: int = 40,
    restarts: int = 1,
    box: Box = (0.0, 1.0),
) -> torch.Tensor:
    r"""Margins :math:`f_y - f_j` at the worst points that PGD finds: upper bounds of the exact ones.

    Parameters
    ----------
    model
        What ``affine_layers`` accepts.
    x, y
        (n, d) and labels (n,).
    eps
        Radius in the l_inf norm, a number or (n,).
    classes
        (n,), classes aimed at besides: the margins are then the smallest over an untargeted attack, a targeted one, and
        the images themselves. None: those of the untargeted attack.
    steps, restarts
        Of ``pgd`` with the margin loss; the targeted attack has one start.
    box
        (low, high) of valid inputs, or None.

    Returns
    -------
    (n, K), detached; 0 for the label.

    Raises
    ------
    ValueError
        As ``pgd`` and ``layer_logits``.

    Examples
    --------
    >>> net = [(torch.tensor([[1.0, -2.0], [0.0, 0.0]]), torch.zeros(2))]
    >>> attack_margins(net, torch.tensor([[0.9, 0.1]]), torch.tensor([0]), 0.1).round(decimals=3)
    tensor([[0.0000, 0.4000]])
    """
    layers = [(weight.detach(), bias.detach()) for weight, bias in affine_layers(model)]
    y = arguments.labels(y, arguments.images(x, box))

    def logits(points: torch.Tensor) -> torch.Tensor:
        return layer_logits(layers, points)

    points = [pgd(logits, x, y, eps, steps=steps, restarts=restarts, box=box, loss="margin")]
    if classes is not None:
        points += [pgd(logits, x, classes, eps, steps=steps, targeted=True, box=box), x]
    scores = torch.stack([logits(each) for each in points])
    true = scores.gather(2, y.expand(len(points), -1)[..., None])
    return (true - scores).amin(0)
