"""The multi-layer perceptron, and how many parameters a module has."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn

from litrepro import _validate
from litrepro.nets._seeded import build_seeded, check_sizes

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "identity": nn.Identity}


def count_parameters(model: nn.Module, trainable: bool = True) -> int:
    """How many numbers the parameters of ``model`` hold; frozen ones only if ``trainable`` is False.

    Raises ``ValueError`` for what is no module.

    Examples
    --------
    >>> from torch import nn
    >>> count_parameters(nn.Linear(3, 2))
    8
    >>> count_parameters(nn.Linear(3, 2).requires_grad_(False)), count_parameters(nn.Linear(3, 2), trainable=False)
    (0, 8)
    """
    _validate.instance("model", model, nn.Module)
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable)


def mlp(
    in_features: int, hidden: Sequence[int], out_features: int, *, activation: str = "relu", seed: int = 0
) -> nn.Module:
    """A multi-layer perceptron that flattens its input.

    Parameters
    ----------
    in_features
        Size of one flattened example.
    hidden
        Widths of the hidden layers; may be empty (a linear model).
    out_features
        Number of outputs.
    activation
        ``"relu"``, ``"tanh"``, ``"sigmoid"`` or ``"identity"``, after every hidden layer.
    seed
        Same seed, same weights (torch's default initialization: uniform in +-1/sqrt(fan-in)).

    Returns
    -------
    Module ``(B, ...) -> (B, out_features)`` with ``features(x) -> (B, q)``, q the last hidden width, and ``head``.

    Raises
    ------
    ValueError
        Sizes < 1, unknown activation.

    Examples
    --------
    >>> import torch
    >>> model = mlp(4, (8, 3), 2)
    >>> model(torch.zeros(5, 2, 2)).shape, model.features(torch.zeros(5, 4)).shape
    (torch.Size([5, 2]), torch.Size([5, 3]))
    >>> torch.equal(model.head.weight, mlp(4, (8, 3), 2, seed=0).head.weight)
    True
    """
    check_sizes(in_features=in_features, out_features=out_features)
    widths = tuple(_validate.positive_int("hidden", width) for width in _validate.sequence("hidden", hidden, 0))
    _validate.choice("activation", activation, tuple(ACTIVATIONS))
    return build_seeded(lambda: _MLP((in_features, *widths), out_features, ACTIVATIONS[activation]), seed)


class _MLP(nn.Module):
    def __init__(self, widths: tuple[int, ...], out_features: int, activation: type[nn.Module]):
        super().__init__()
        layers: list[nn.Module] = []
        for width, following in itertools.pairwise(widths):
            layers += [nn.Linear(width, following), activation()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], out_features)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the head sees, (B, q)."""
        return self.body(x.flatten(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))
