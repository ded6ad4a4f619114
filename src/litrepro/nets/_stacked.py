"""An ensemble of multi-layer perceptrons as one module of batched matrix products."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class StackedMLP(nn.Module):
    """``trials`` perceptrons with one shape and separate weights: ``(trials, n, d) -> (trials, n, c)``.

    Parameters
    ----------
    widths
        d, hidden widths, c: at least two.
    trials
        Number of members.
    activation
        ``"identity"``, ``"relu"``, ``"tanh"``, ``"sigmoid"``, one for all hidden layers or a sequence with one each.
    dropout
        Probability after each hidden activation, one for all or a sequence with one each; active in ``train()``. Masks
        are drawn for all members at once: they depend on how many there are.
    init
        ``"torch"``: weights and biases uniform in +-1/sqrt(fan-in). ``"glorot"``: weights uniform in
        +-sqrt(6/(fan-in + fan-out)), biases zero (Glorot and Bengio 2010).
    generator
        Source of the members' seeds, or a seed (None: 0). Every member draws its weights from a seed of
        its own, so the first members of a larger ensemble are the members of a smaller one.

    mask_groups
        One number per member; members with equal numbers get the same dropout masks (paired comparisons). None: every
        member its own.

    Raises
    ------
    ValueError
        Fewer than two widths, widths or trials < 1, unknown activation or init, dropout outside [0, 1), sequences of
        the wrong length; in ``forward`` an input that is neither (trials, n, d) nor (n, d).

    Notes
    -----
    Parameters are ``weights[l] (trials, n_in, n_out)`` and ``biases[l] (trials, 1, n_out)``: an optimizer with
    ``batch_dims=1`` takes one step size per member.

    Examples
    --------
    >>> import torch
    >>> model = StackedMLP((4, 3, 2), trials=5)
    >>> model(torch.zeros(7, 4)).shape, model.weights[0].shape, model.biases[0].shape
    (torch.Size([5, 7, 2]), torch.Size([5, 4, 3]), torch.Size([5, 1, 3]))
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        trials: int = 1,
        activation: str | Sequence[str] = "relu",
        dropout: float | Sequence[float] = 0.0,
        init: str = "torch",
        generator: torch.Generator | int | None = None,
        mask_groups: Sequence[int] | None = None,
    ):
        super().__init__()
        self.widths = tuple(_validate.positive_int("width", width) for width in _validate.sequence("widths", widths, 0))
        if len(self.widths) < 2:
            raise ValueError(f"widths must name input and output at least, got {self.widths}")
        self.trials = _validate.positive_int("trials", trials)
        hidden = len(self.widths) - 2
        named = functools.partial(_validate.choice, "activation", options=tuple(ACTIVATIONS))
        self.activation = _per_layer("activation", activation, hidden, named)
        probability = functools.partial(_validate.real, "dropout", low=0, high=1, open_high=True)
        self.dropout = _per_layer("dropout", dropout, hidden, probability)
        _validate.choice("init", init, ("torch", "glorot"))
        generator = _validate.random_source("generator", generator)
        seeds = [int(torch.randint(2**62, (), generator=generator, device=generator.device)) for _ in range(trials)]
        members = [_member(self.widths, init, seed) for seed in seeds]
        layers = range(len(self.widths) - 1)
        self.weights = nn.ParameterList(torch.stack([member[0][l] for member in members]) for l in layers)
        self.biases = nn.ParameterList(torch.stack([member[1][l] for member in members]) for l in layers)
        groups = range(trials) if mask_groups is None else _validate.sequence("mask_groups", mask_groups)
        if len(groups) != trials:
            raise ValueError(f"mask_groups needs one entry per member ({trials}), got {len(groups)}")
        order = {group: index for index, group in enumerate(dict.fromkeys(groups))}
        self._groups, self._paired = len(order), len(order) < trials
        self._mask_rows = torch.tensor([order[group] for group in groups], device="cpu")
        self._noise = torch.Generator().manual_seed(seeds[0] ^ 0x5DEECE66D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(trials, n, d), or (n, d) shared by all members, to (trials, n, c)."""
        if x.ndim == 2:
            x = x.expand(self.trials, *x.shape)
        if x.ndim != 3 or x.shape[0] != self.trials or x.shape[-1] != self.widths[0]:
            expected = f"({self.trials}, n, {self.widths[0]})"
            raise ValueError(f"input must have shape {expected} or (n, {self.widths[0]}), got {tuple(x.shape)}")
        if x.dtype != self.weights[0].dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(f"input must have the dtype of the weights, {self.weights[0].dtype}, got {x.dtype}")
        return self._from_first(torch.baddbmm(self.biases[0], x, self.weights[0]))

    def from_ones(self, indices: torch.Tensor) -> torch.Tensor:
        """Output (trials, n, c) for inputs of zeros and ones, given by the places (n, k) of their ones in 0..d-1.

        The first layer is a sum of k rows of its weights and not a product with d numbers, nearly all of them zero. A
        place that is named twice counts twice. Raises ``ValueError`` unless the places are int64, (n, k), in range.

        Examples
        --------
        >>> import torch
        >>> model = StackedMLP((4, 3, 2), trials=5)
        >>> torch.allclose(model.from_ones(torch.tensor([[0, 2]])), model(torch.tensor([[1.0, 0.0, 1.0, 0.0]])))
        True
        """
        if indices.ndim != 2 or indices.dtype != torch.int64:
            raise ValueError(f"indices must be (n, k) of int64, got {tuple(indices.shape)} of {indices.dtype}")
        # On a GPU the look would wait for the device, which checks by itself.
        if not indices.is_cuda and indices.numel() and not 0 <= indices.min() <= indices.max() < self.widths[0]:
            raise ValueError(f"indices must be in 0..{self.widths[0] - 1}, got {indices.min()} to {indices.max()}")
        members = torch.arange(self.trials, device=indices.device)[:, None, None] * self.widths[0]
        rows = (indices + members).flatten(0, 1)
        total = functional.embedding_bag(rows, self.weights[0].flatten(0, 1), mode="sum")
        return self._from_first(total.view(self.trials, len(indices), -1) + self.biases[0])

    def _from_first(self, x: torch.Tensor) -> torch.Tensor:
        """Output, given the first layer's sums (trials, n, width)."""
        for name, probability, weight, bias in zip(
            self.activation, self.dropout, list(self.weights)[1:], list(self.biases)[1:]
        ):
            x = self._drop(ACTIVATIONS[name](x), probability)
            x = torch.baddbmm(bias, x, weight)
        return x

    def noise_state(self) -> torch.Tensor:
        """State of the dropout masks' generator, for checkpoints."""
        return self._noise.get_state()

    def set_noise_state(self, state: torch.Tensor) -> None:
        """Continue with the masks that follow a saved state."""
        if self._noise.device != self.weights[0].device:
            self._noise = torch.Generator(self.weights[0].device)
            self._mask_rows = self._mask_rows.to(self.weights[0].device)
        self._noise.set_state(state)

    def _drop(self, x: torch.Tensor, probability: float) -> torch.Tensor:
        if not self.training or probability == 0:
            return x
        if self._noise.device != x.device:  # draw where the data are: no copies in the training loop
            self._noise = torch.Generator(x.device).manual_seed(self._noise.initial_seed())
            self._mask_rows = self._mask_rows.to(x.device)
        shape = (self._groups, *x.shape[1:])
        keep = torch.rand(shape, generator=self._noise, device=x.device) >= probability
        return x * (keep[self._mask_rows] if self._paired else keep) / (1.0 - probability)


def _per_layer(name: str, value, hidden: int, check) -> tuple:
    """One checked value per hidden layer; one for all is checked even where there are none."""
    if isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "ndim", None) == 0:
        return (check(value=value),) * hidden
    value = tuple(check(value=one) for one in _validate.sequence(name, value, 0))
    if len(value) != hidden:
        raise ValueError(f"{name} needs one entry per hidden layer ({hidden}), got {len(value)}")
    return value


def _member(widths: tuple[int, ...], init: str, seed: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Weights and biases of one member, drawn layer by layer from its own seed."""
    generator = torch.Generator().manual_seed(seed)
    weights, biases = [], []
    for fan_in, fan_out in itertools.pairwise(widths):
        bound = 1 / math.sqrt(fan_in) if init == "torch" else math.sqrt(6 / (fan_in + fan_out))
        weights.append((2 * torch.rand(fan_in, fan_out, generator=generator, device="cpu") - 1) * bound)
        bias = (2 * torch.rand(1, fan_out, generator=generator, device="cpu") - 1) * bound
        biases.append(bias if init == "torch" else torch.zeros(1, fan_out, device="cpu"))
    return weights, biases
