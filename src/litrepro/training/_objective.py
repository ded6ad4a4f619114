"""Stacked perceptrons as functions of one flat weight vector per member, and the sharpness of the minima they reach."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch

from litrepro import _validate
from litrepro.nets import StackedMLP
from litrepro.solvers import hvp
from litrepro.solvers._lanczos import extreme_pair
from litrepro.training._arguments import labelled, layer_widths

_ACTIVATIONS = {"identity": lambda u: u, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def flat_weights(model: StackedMLP) -> torch.Tensor:
    """All weights of a stack, one row per member: (trials, P), layer by layer, weights before biases.

    Raises ``ValueError`` for another kind of model.

    Examples
    --------
    >>> from litrepro.nets import StackedMLP
    >>> flat_weights(StackedMLP((4, 3, 2), trials=5)).shape  # 4 * 3 + 3 + 3 * 2 + 2 weights
    torch.Size([5, 23])
    """
    _validate.instance("model", model, StackedMLP)
    parts = itertools.chain.from_iterable(zip(model.weights, model.biases))
    return torch.cat([part.detach().flatten(1) for part in parts], 1)


def mlp_scores(widths: Sequence[int], w: torch.Tensor, x: torch.Tensor, activation: str = "relu") -> torch.Tensor:
    """Outputs of perceptrons given by flat weights: w (..., P) and x (n, d) to (..., n, c).

    Raises ``ValueError`` for weights or inputs that do not fit ``widths`` or each other, and an unknown activation.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import StackedMLP
    >>> model, x = StackedMLP((4, 3, 2), trials=5), torch.ones(7, 4)
    >>> torch.allclose(mlp_scores((4, 3, 2), flat_weights(model), x), model(x))
    True
    """
    shapes = list(itertools.pairwise(layer_widths(widths)))
    _validate.choice("activation", activation, tuple(_ACTIVATIONS))
    _validate.float_tensor("w", w, 1)
    _validate.float_tensor("x", x)
    _validate.same_kind(w=w, x=x)
    count = sum((a + 1) * b for a, b in shapes)
    if w.shape[-1] != count or x.ndim != 2 or x.shape[1] != widths[0]:
        raise ValueError(
            f"widths {tuple(widths)} need w (..., {count}) and x (n, {widths[0]}), "
            f"got {tuple(w.shape)} and {tuple(x.shape)}"
        )
    sizes = [size for a, b in shapes for size in (a * b, b)]
    parts = w.split(sizes, -1)
    values = x
    for layer, (a, b) in enumerate(shapes):
        weight, bias = parts[2 * layer], parts[2 * layer + 1]
        values = values @ weight.reshape(*weight.shape[:-1], a, b) + bias[..., None, :]
        values = _ACTIVATIONS[activation](values) if layer < len(shapes) - 1 else values
    return values


def mlp_objective(
    widths: Sequence[int], x: torch.Tensor, y: torch.Tensor, *, activation: str = "relu", loss: str = "cross_entropy"
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The empirical risk of a perceptron as a function of all its weights, (..., P) -> (...).

    Parameters
    ----------
    widths
        d, hidden widths, number of classes.
    x, y
        (n, d) inputs and (n,) int64 labels.
    loss
        ``"cross_entropy"``, or ``"mse"``: squared distance to the one-hot label, summed over classes and halved.

    Raises ``ValueError`` for data that do not fit, an unknown activation or loss.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.eye(2), torch.tensor([0, 1])
    >>> fun = mlp_objective((2, 2), x, y)
    >>> fun(torch.zeros(3, 6))  # log 2 for three members without weights
    tensor([0.6931, 0.6931, 0.6931])
    """
    widths = layer_widths(widths)
    _validate.choice("loss", loss, ("cross_entropy", "mse"))
    _validate.choice("activation", activation, tuple(_ACTIVATIONS))
    x, y = labelled("(x, y)", (x, y), features=widths[0], classes=widths[-1])
    hot = (y[:, None] == torch.arange(widths[-1], device=y.device)).to(x.dtype)  # one_hot does not go under vmap

    def fun(w: torch.Tensor) -> torch.Tensor:
        scores = mlp_scores(widths, w, x, activation)
        if loss == "mse":
            return (scores - hot).square().sum(-1).mean(-1) / 2
        return (torch.logsumexp(scores, -1) - (scores * hot).sum(-1)).mean(-1)

    return fun


def sharpness(
    fun: Callable[[torch.Tensor], torch.Tensor],
    w: torch.Tensor,
    *,
    steps: int = 25,
    generator: torch.Generator | int | None = None,
) -> torch.Tensor:
    """Largest eigenvalue of the Hessian of ``fun`` (..., P) -> (...) at w: (...), by ``steps`` Lanczos steps.

    Use float64: the Krylov basis loses its orthogonality otherwise. ``generator`` may be a seed (None: 0).
    Raises ``ValueError`` as ``lanczos_extreme``, and for a ``fun`` that does not take w.

    Examples
    --------
    >>> import torch
    >>> h = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    >>> fun = lambda w: (h * w.square()).sum(-1) / 2
    >>> top = sharpness(fun, torch.zeros(3, dtype=torch.float64), generator=torch.Generator().manual_seed(0))
    >>> round(top.item(), 4)
    5.0
    """
    _validate.float_tensor("w", w, 1)
    _validate.function("fun", fun)
    generator = _validate.random_source("generator", generator)
    start = torch.randn(w.shape, generator=generator, dtype=w.dtype, device=generator.device).to(w.device)

    def top(v: torch.Tensor) -> torch.Tensor:
        return extreme_pair(lambda u: hvp(fun, w, u), v, steps=steps, which="max").value

    return _validate.answer("fun", top, start)
