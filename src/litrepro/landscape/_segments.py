"""Reparametrization and lines through weight space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from litrepro import _validate


def rescale_relu(
    weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], alpha: float
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The same two-layer ReLU network with other weights: (alpha W1, alpha b1, W2/alpha, b2) (Dinh et al. 2017).

    Parameters
    ----------
    weights
        [W1 (..., h, d), W2 (..., c, h)].
    biases
        [b1, b2].
    alpha
        > 0: a ReLU is positively homogeneous.

    Raises ``ValueError`` for alpha <= 0, anything but two layers of floating-point tensors, shapes that do not
    chain, leading dimensions that do not broadcast.

    Examples
    --------
    >>> import torch
    >>> weights, biases = rescale_relu([torch.ones(2, 1), torch.ones(1, 2)], [torch.ones(2), torch.zeros(1)], 4.0)
    >>> weights[0].flatten().tolist(), weights[1].flatten().tolist(), biases[0].tolist()
    ([4.0, 4.0], [0.25, 0.25], [4.0, 4.0])
    """
    alpha = _validate.real("alpha", alpha, 0, open_low=True)
    weights, biases = _validate.sequence("weights", weights, 0), _validate.sequence("biases", biases, 0)
    if len(weights) != 2 or len(biases) != 2:
        raise ValueError(f"need two weights and two biases, got {len(weights)} and {len(biases)}")
    for layer in range(2):
        _validate.float_tensor(f"weights[{layer}]", weights[layer], 2)
        _validate.float_tensor(f"biases[{layer}]", biases[layer], 1)
    if weights[0].shape[-2] != weights[1].shape[-1]:
        raise ValueError(
            f"weights must be (..., h, d) and (..., c, h), got {tuple(weights[0].shape)} and {tuple(weights[1].shape)}"
        )
    if any(bias.shape[-1] != weight.shape[-2] for weight, bias in zip(weights, biases)):
        raise ValueError(
            f"biases must be (..., h) and (..., c) to go with the weights, got {[tuple(bias.shape) for bias in biases]}"
        )
    leading = {f"weights[{layer}]": weights[layer].shape[:-2] for layer in range(2)}
    _validate.broadcast(**leading, **{f"biases[{layer}]": biases[layer].shape[:-1] for layer in range(2)})
    return [alpha * weights[0], weights[1] / alpha], [alpha * biases[0], biases[1].clone()]


def segment(
    loss: Callable[[torch.Tensor], torch.Tensor], w0: torch.Tensor, w1: torch.Tensor, ts: torch.Tensor
) -> torch.Tensor:
    """Loss along the line w0 + t (w1 - w0): ``w0``, ``w1`` (d,), ``ts`` (A,); (A,).

    ``loss`` maps (A, d) to (A,); one that does not is asked point by point, (d,) to (). So is every loss that takes a
    point where A = d, since there the shape of what it returns does not tell whether it took rows for coordinates.
    For A = 0 it is not asked.

    Raises ``ValueError`` for shapes that do not fit, tensors that are not floating point, ends of two dtypes or
    devices, and a loss that cannot be called, does not take the points or does not return one value per point.

    Examples
    --------
    >>> import torch
    >>> ends = torch.zeros(2), torch.tensor([3.0, 4.0])
    >>> segment(lambda w: w.norm(dim=-1), *ends, torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 2.5000, 5.0000])
    """
    _validate.function("loss", loss)
    for name, value in (("w0", w0), ("w1", w1), ("ts", ts)):
        _validate.float_tensor(name, value)
    _validate.same_kind(w0=w0, w1=w1)
    if w0.ndim != 1 or w0.shape != w1.shape or ts.ndim != 1:
        raise ValueError(f"need (d,), (d,), (A,); got {tuple(w0.shape)}, {tuple(w1.shape)}, {tuple(ts.shape)}")
    points = w0 + ts[:, None].to(w0) * (w1 - w0)
    if not len(ts):
        return points.new_zeros(0)
    ambiguous = len(ts) == len(w0)
    if ambiguous and (one_by_one := _point_by_point(loss, points)) is not None:
        return one_by_one
    values, refusal = None, None
    try:
        values = _validate.answer("loss", loss, points)
    except ValueError as error:
        refusal = error
    fits = isinstance(values, torch.Tensor) and values.shape == ts.shape
    if not fits and not ambiguous and (one_by_one := _point_by_point(loss, points)) is not None:
        return one_by_one
    if refusal is not None:
        raise refusal
    if not fits:
        found = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
        raise ValueError(f"loss must map ({len(ts)}, {len(w0)}) to ({len(ts)},), got {found}")
    return values


def _point_by_point(loss: Callable[[torch.Tensor], torch.Tensor], points: torch.Tensor) -> torch.Tensor | None:
    """The loss of each point; None if it does not map a point (d,) to ()."""
    values = []
    for point in points:
        try:
            value = _validate.answer("loss", loss, point)
        except ValueError:
            return None
        if not isinstance(value, torch.Tensor) or value.ndim:
            return None
        values.append(value)
    return torch.stack(values)
