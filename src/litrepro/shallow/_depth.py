"""Initializations of deep networks, plain and residual: the signal at the start, and training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from litrepro import _validate

_INITS = ("he", "xavier", "zero")


class DepthStudy(NamedTuple):
    """``second_moment`` (layers, M): mean square of each layer's output at the start; ``accuracy`` (epochs + 1, M).

    Examples
    --------
    >>> import torch
    >>> x, y = torch.rand(20, 4), torch.arange(20) % 2
    >>> members = [("he", True, 0.1, 0), ("xavier", False, 0.1, 0)]
    >>> study = depth_study((x, y), (x, y), members, depth=4, width=8, epochs=2, batch_size=10, classes=2)
    >>> study.second_moment.shape, study.accuracy.shape
    (torch.Size([4, 2]), torch.Size([3, 2]))
    """

    second_moment: torch.Tensor
    accuracy: torch.Tensor


def depth_study(
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    members: Sequence[tuple[str, bool, float, int]],
    *,
    depth: int,
    width: int = 32,
    epochs: int = 10,
    batch_size: int = 64,
    classes: int = 10,
) -> DepthStudy:
    """Train ReLU networks that differ in initialization, shortcuts, rate and seed, all at once by SGD.

    Hidden layers come in pairs, h <- relu(skip h + V relu(U h)), between a first and a last layer; skip is 1 for
    residual members and 0 for plain ones, so that both run through the same products.

    Parameters
    ----------
    train, test
        Inputs (n, d) and labels (n,) int64.
    members
        (initialization, residual, rate, seed) of each member; ``"he"`` has weight variance 2/fan-in, ``"xavier"``
        2/(fan-in + fan-out), ``"zero"`` none; biases start at zero. Members with one seed share their normal numbers
        and the order of their batches.
    depth
        Layers with weights, even, at least 2.
    epochs, batch_size
        Passes over the data; the last, smaller batch of a pass is left out.

    Returns
    -------
    ``DepthStudy``. A member that diverges has accuracy 0 and disturbs no other.

    Raises
    ------
    ValueError
        Odd depth, no members, an unknown initialization, a batch larger than the data, inputs and labels that do not
        fit, labels outside [0, classes).

    Source: Glorot and Bengio 2010; He et al. 2015; section 3.3.2 of the review.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.tensor([[-1.0], [1.0]]).repeat(20, 1), torch.arange(40) % 2
    >>> study = depth_study((x, y), (x, y), [("he", True, 0.1, 0)], depth=4, epochs=20, batch_size=10, classes=2)
    >>> study.accuracy[-1]
    tensor([1.], dtype=torch.float64)
    """
    depth = _validate.positive_int("depth", depth, 2)
    if depth % 2:
        raise ValueError(f"depth must be even, got {depth}")
    _check_members(members)
    width, classes = _validate.positive_int("width", width), _validate.positive_int("classes", classes)
    epochs = _validate.positive_int("epochs", epochs, 0)
    (x, labels), (x_test, labels_test) = (_examples(*part, classes) for part in (("train", train), ("test", test)))
    _validate.same_kind(train=x, test=x_test)
    if x.shape[1] != x_test.shape[1]:
        raise ValueError(f"train and test must share d, got {tuple(x.shape)} and {tuple(x_test.shape)}")
    batch_size = _validate.positive_int("batch_size", batch_size)
    if batch_size > len(x):
        raise ValueError(f"batch_size must be at most the number of samples {len(x)}, got {batch_size}")
    fans = [x.shape[1], *[width] * (depth - 1), classes]
    weights = [_stack(members, layer, fans, x) for layer in range(depth)]
    biases = [x.new_zeros(len(members), 1, fan) for fan in fans[1:]]
    skip = x.new_tensor([float(residual) for _, residual, _, _ in members])[:, None, None]
    rates = x.new_tensor([rate for _, _, rate, _ in members])[:, None, None]
    parameters = [each.requires_grad_() for each in (*weights, *biases)]

    def accuracy() -> torch.Tensor:
        with torch.no_grad():
            scores = _forward(x_test.expand(len(members), -1, -1), weights, biases, skip)
            return (scores.argmax(-1) == labels_test).double().mean(-1) * scores.isfinite().all(-1).all(-1)

    moments: list[torch.Tensor] = []
    with torch.no_grad():
        _forward(x.expand(len(members), -1, -1), weights, biases, skip, moments)
    history = [accuracy()]
    for epoch in range(epochs):
        order = _orders([seed for *_, seed in members], len(x), epoch).to(x.device)
        for first in range(0, len(x) - batch_size + 1, batch_size):
            chosen = order[:, first : first + batch_size]
            scores = _forward(x[chosen], weights, biases, skip)
            losses = functional.cross_entropy(scores.flatten(0, 1), labels[chosen].flatten(), reduction="none")
            gradients = torch.autograd.grad(losses.reshape(len(members), -1).mean(-1).sum(), parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients):
                    parameter -= rates * gradient
        history.append(accuracy())
    return DepthStudy(torch.stack(moments), torch.stack(history))


def _check_members(members: Any) -> None:
    """A ValueError unless members is a sequence of (initialization, residual, rate, seed)."""
    if not isinstance(members, Sequence) or isinstance(members, str) or not members:
        got = "none" if isinstance(members, Sequence) and not members else repr(members)
        raise ValueError(f"members must name at least one (initialization, residual, rate, seed), got {got}")
    for member in members:
        if not isinstance(member, tuple | list) or len(member) != 4:
            raise ValueError(f"each of members must be (initialization, residual, rate, seed), got {member!r}")
        init, residual, rate, seed = member
        _validate.choice("initialization", init, _INITS)
        if residual not in (False, True):
            raise ValueError(f"residual must be True or False, got {residual!r}")
        _validate.real("rate", rate)
        _validate.seed("seed", seed)


def _examples(name: str, part: Any, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (n, d) and labels (n,) in [0, classes), n >= 1."""
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise ValueError(f"{name} must be (inputs, labels), got {type(part).__name__}")
    x, labels = part
    _validate.float_tensor(f"{name} inputs", x, 2)
    if not isinstance(labels, torch.Tensor) or labels.dtype not in (torch.int64, torch.uint8):
        got = labels.dtype if isinstance(labels, torch.Tensor) else type(labels).__name__
        raise ValueError(f"{name} labels must be an int64 tensor, got {got}")
    if x.ndim != 2 or min(x.shape) < 1 or labels.shape != x.shape[:1]:
        got = f"{tuple(x.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"{name} must be inputs (n, d) and labels (n,) with n, d >= 1, got {got}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"{name} labels must lie in [0, {classes}), got {low} to {high}")
    return x, labels


def _forward(
    x: torch.Tensor,
    weights: list[torch.Tensor],
    biases: list[torch.Tensor],
    skip: torch.Tensor,
    moments: list[torch.Tensor] | None = None,
) -> torch.Tensor:
    """Scores (M, n, classes); the mean square (M,) of each layer's output is appended to ``moments``."""

    def seen(output: torch.Tensor) -> torch.Tensor:
        if moments is not None:
            moments.append(output.square().mean((-2, -1)))
        return output

    last = len(weights) - 1
    h = seen(functional.relu(torch.baddbmm(biases[0], x, weights[0])))
    for layer in range(1, last, 2):
        inner = seen(functional.relu(torch.baddbmm(biases[layer], h, weights[layer])))
        h = seen(functional.relu(skip * h + torch.baddbmm(biases[layer + 1], inner, weights[layer + 1])))
    return seen(torch.baddbmm(biases[last], h, weights[last]))


def _stack(members: Sequence[tuple], layer: int, fans: list[int], like: torch.Tensor) -> torch.Tensor:
    """Weights (M, fan-in, fan-out) of one layer."""
    into, out = fans[layer], fans[layer + 1]
    scale = {"he": math.sqrt(2 / into), "xavier": math.sqrt(2 / (into + out)), "zero": 0.0}
    drawn = []
    for init, _, _, seed in members:
        source = torch.Generator().manual_seed(1000 * seed + layer)
        drawn.append(scale[init] * torch.randn(into, out, generator=source, device="cpu"))
    return torch.stack(drawn).to(like)


def _orders(seeds: list[int], n: int, epoch: int) -> torch.Tensor:
    by_seed = {
        s: torch.randperm(n, generator=torch.Generator().manual_seed(77_000 * (s + 1) + epoch), device="cpu")
        for s in seeds
    }
    return torch.stack([by_seed[seed] for seed in seeds])
