"""Problems for flat models: weights, data and scores in one place, so that every optimizer meets the same task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.func import vmap
from torch.nn.functional import mse_loss

from litrepro import _validate
from litrepro.nets import StackedMLP
from litrepro.training import flat_weights, mlp_scores


class FlatProblem(NamedTuple):
    """A model of one flat weight vector and its data.

    ``model(w (d,), x (b, ...)) -> (b, o)``; ``loss(outputs, y) -> ()``; ``start(seeds) -> (S, d)``; ``train`` and
    ``test`` are (x, y); ``score(w (..., d), x, y) -> (...)`` is what counts in the end, larger is better.
    """

    name: str
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    start: Callable[[Sequence[int]], torch.Tensor]
    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]
    score: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def softmax_loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of scores (..., b, c) and one-hot labels (..., b, c), over all rows.

    Raises ``ValueError`` for shapes that do not fit.

    Examples
    --------
    >>> round(softmax_loss(torch.zeros(3, 2), torch.eye(2)[[0, 1, 0]]).item(), 4)
    0.6931
    """
    _alike(outputs, y)
    return (torch.logsumexp(outputs, -1) - (outputs * y).sum(-1)).mean()


def squared_loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Half the squared distance (b, o), summed over outputs and averaged over rows.

    Raises ``ValueError`` for shapes that do not fit.

    Examples
    --------
    >>> squared_loss(torch.zeros(2, 3), torch.ones(2, 3)).item()
    1.5
    """
    _alike(outputs, y)
    single = outputs.dtype in (torch.float32, torch.float64)  # a sum overflows in half precision
    if single and outputs.numel() and outputs.shape == y.shape and outputs.dtype == y.dtype:
        # One pass over the outputs for the loss and one for its gradient, in place of six.
        return mse_loss(outputs, y, reduction="sum") * (outputs.shape[-1] / (2 * outputs.numel()))
    return (outputs - y).square().sum(-1).mean() / 2


def _alike(outputs: torch.Tensor, y: torch.Tensor) -> None:
    """Outputs and targets of one shape, or of one width and shapes that broadcast; types and shapes only."""
    _validate.float_tensor("outputs", outputs, 1)
    if not isinstance(y, torch.Tensor) or y.is_complex() or y.ndim < 1:
        raise ValueError(f"y must be a real tensor like outputs, got {getattr(y, 'dtype', type(y).__name__)}")
    if outputs.shape != y.shape:
        _validate.broadcast(outputs=outputs.shape, y=y.shape)
        if outputs.shape[-1] != y.shape[-1]:
            raise ValueError(f"outputs and y must have one width, got {tuple(outputs.shape)} and {tuple(y.shape)}")


def perceptron(widths: Sequence[int], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32):
    """(model, start) of a tanh perceptron; a seed gives the same weights whatever its neighbours."""

    def model(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return mlp_scores(widths, w, x, "tanh")

    def start(seeds: Sequence[int]) -> torch.Tensor:
        members = [StackedMLP(widths, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.cat([flat_weights(member) for member in members]).to(device, dtype)

    return model, start


def accuracy_of(model) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """``score(w, x, y)``: the share of rows whose largest output is the label's; weights that are not finite get 0."""

    def score(w: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        flat = w.reshape(-1, w.shape[-1])
        with torch.no_grad():
            outputs = vmap(model, in_dims=(0, None))(flat, x)
        right = (outputs.argmax(-1) == y.argmax(-1)) & torch.isfinite(outputs).all(-1)
        return right.to(w.dtype).mean(-1).reshape(w.shape[:-1])

    return score


def digits_problem(
    *, n: int | None = None, widths: Sequence[int] = (64, 64, 64, 10), device: torch.device | str = "cpu"
) -> FlatProblem:
    """The 8 x 8 digits (1,437 train, or the first n of them; 360 test) and a tanh perceptron of the given widths.

    Raises ``ValueError`` for widths that do not begin with 64 and end with 10, and for n outside 1..1,437.

    Examples
    --------
    >>> problem = digits_problem(n=100)
    >>> problem.start([0, 1]).shape, problem.train[0].shape
    (torch.Size([2, 8970]), torch.Size([100, 64]))
    """
    from litrepro.data import digits

    widths = _validate.sequence("widths", widths)
    if len(widths) < 2 or widths[0] != 64 or widths[-1] != 10:
        raise ValueError(f"widths must begin with 64 and end with 10, got {tuple(widths)}")
    if n is not None and not 1 <= _validate.positive_int("n", n) <= 1437:
        raise ValueError(f"n must be in 1..1437, got {n}")
    sets = []
    for split, rows in (("train", n), ("test", None)):
        images = digits(split)
        x = images.images.flatten(1)[:rows].to(device)
        sets.append((x, torch.eye(10, device=device)[images.labels[:rows].to(device)]))
    model, start = perceptron(widths, device)
    return FlatProblem("digits", model, softmax_loss, start, *sets, accuracy_of(model))


def breast_cancer_problem(
    *, widths: Sequence[int] = (30, 2), train: int = 400, device: torch.device | str = "cpu"
) -> FlatProblem:
    """The 569 breast masses, standardized; the first ``train`` of a fixed shuffle to learn from.

    Softmax regression by default. Raises ``ValueError`` for train outside 1..568 and widths that do not fit 30 and 2.

    Examples
    --------
    >>> breast_cancer_problem().test[0].shape
    torch.Size([169, 30])
    """
    from litrepro.data import breast_cancer

    if not 1 <= _validate.positive_int("train", train) <= 568:
        raise ValueError(f"train must be in 1..568, got {train}")
    widths = _validate.sequence("widths", widths)
    if len(widths) < 2 or widths[0] != 30 or widths[-1] != 2:
        raise ValueError(f"widths must begin with 30 and end with 2, got {tuple(widths)}")
    table = breast_cancer()
    order = torch.randperm(len(table.features), generator=torch.Generator().manual_seed(0), device="cpu")
    x, y = table.features[order], torch.eye(2, device="cpu")[table.labels[order]]
    x = (x - x[:train].mean(0)) / x[:train].std(0)
    x, y = x.to(device), y.to(device)
    model, start = perceptron(widths, device)
    sets = ((x[:train], y[:train]), (x[train:], y[train:]))
    return FlatProblem("breast cancer", model, softmax_loss, start, *sets, accuracy_of(model))
