"""The inverse Hessian as a Neumann series of minibatch Hessian-vector products: LiSSA (Agarwal et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.func import grad, vmap

from litrepro import _validate, runtime
from litrepro.optim.curvature._estimators import one_number, same_shape


class LissaResult(NamedTuple):
    """Iterates ``w (warm_start + steps + 1, ..., d)`` and the sample-level ``oracle_calls`` of one trial."""

    w: torch.Tensor
    oracle_calls: int


def neumann_solve(
    matvec: Callable[[torch.Tensor, int], torch.Tensor], b: torch.Tensor, *, depth: int, scale: float = 1.0
) -> torch.Tensor:
    """Approximate H^{-1} b by the truncated Neumann series, one product per term (Agarwal et al. 2017, eq. 7).

    y_0 = b/scale, y_j = b/scale + y_{j-1} - H_j y_{j-1}/scale. With independent unbiased H_j the result is unbiased for
    the truncated series; with one H_j used for all j it is not. For a fixed H it converges to H^{-1} b if and only if
    0 < H < 2 scale, and each term contracts the error by max |1 - lambda/scale|.

    Parameters
    ----------
    matvec
        Called as ``matvec(y, j)`` with y (..., d) and j = 1, ..., depth.
    b
        (..., d).
    depth
        Number of products, >= 0; 0 gives b/scale.
    scale
        Positive: an upper bound of the samples' eigenvalues.

    Returns
    -------
    (..., d). Raises ``ValueError`` for depth < 0, scale <= 0 and a ``matvec`` that changes the shape.

    Examples
    --------
    >>> round(neumann_solve(lambda y, j: 0.5 * y, torch.ones(1), depth=30).item(), 6)
    2.0
    """
    _validate.function("matvec", matvec)
    _validate.float_tensor("b", b, 1)
    depth = _validate.positive_int("depth", depth, 0)
    scale = _validate.real("scale", scale, 0, open_low=True)
    first = b / scale
    y = first
    for j in range(1, depth + 1):
        y = first + y - same_shape("matvec", matvec(y, j), y) / scale
    return y


def lissa(
    loss: Callable[..., torch.Tensor],
    w0: torch.Tensor,
    data: Sequence[torch.Tensor],
    *,
    s1: int = 1,
    s2: int,
    batch: int = 1,
    steps: int,
    scale: float = 1.0,
    warm_start: int = 0,
    warm_lr: float | None = None,
    seed: int = 0,
) -> LissaResult:
    """Linear-time stochastic second-order algorithm (Agarwal, Bullins and Hazan 2017, algorithm 1), all trials at once.

    Each step takes the full gradient g and w <- w minus the mean of ``s1`` independent Neumann solutions for g of depth
    ``s2``, in which every factor has a minibatch of its own, drawn with replacement.

    Parameters
    ----------
    loss
        ``loss(w (d,), *tensors) -> ()``: a mean over the rows of the tensors, plus terms of w alone. It is mapped by
        ``torch.func.vmap``.
    w0
        (..., d); leading dimensions are independent trials, each with its own stream of minibatches.
    data
        Tensors with one first dimension n.
    s1, s2, batch, steps
        Directions per step, depth of the series, rows per Hessian sample, steps.
    scale
        Upper bound of the eigenvalues of the minibatch Hessians.
    warm_start, warm_lr
        Full-gradient steps of size ``warm_lr`` before the first second-order step.

    Returns
    -------
    LissaResult; a trial that diverges becomes inf or nan and leaves the others alone. ``oracle_calls`` counts gradients
    and Hessian-vector products of single samples.

    Raises ``ValueError`` for s1, s2, batch or steps < 1, scale <= 0, data that is not finite or whose first
    dimensions differ or are 0, warm_start > 0 without a positive warm_lr, and a loss that is not one number.

    Examples
    --------
    >>> def loss(w, x, y):
    ...     return ((x @ w - y) ** 2).mean() / 2
    >>> x = torch.eye(2).repeat(4, 1)
    >>> lissa(loss, torch.zeros(3, 2), (x, x.sum(1)), s2=5, batch=4, steps=2).w.shape
    torch.Size([3, 3, 2])
    """
    if not _validate.float_tensor("w0", w0, 1).shape[-1]:
        raise ValueError(f"w0 must have weights, got shape {tuple(w0.shape)}")
    s1, s2 = _validate.positive_int("s1", s1), _validate.positive_int("s2", s2)
    batch, steps = _validate.positive_int("batch", batch), _validate.positive_int("steps", steps)
    warm_start = _validate.positive_int("warm_start", warm_start, 0)
    scale = _validate.real("scale", scale, 0, open_low=True)
    seed = _validate.seed("seed", seed)
    data, n = _check_data(data)
    if warm_start > 0:
        if warm_lr is None:
            raise ValueError(f"warm_start = {warm_start} needs warm_lr, the size of its gradient steps")
        warm_lr = _validate.real("warm_lr", warm_lr, 0, open_low=True)
    w = w0.detach().reshape(-1, w0.shape[-1])
    calls = warm_start * n + steps * (n + s1 * s2 * batch)
    if not len(w):
        return LissaResult(w0.new_zeros(warm_start + steps + 1, *w0.shape), calls)
    one_number(_validate.answer("loss", lambda at: loss(at, *data), w[0]))
    shared = (None,) * len(data)
    full_gradient = vmap(grad(loss), in_dims=(0, *shared))
    product = vmap(_product_of(loss))  # over trials and directions, which are one dimension: a second map costs time
    streams = runtime.streams(seed, len(w))
    path = [w]
    for _ in range(warm_start):
        w = w - warm_lr * full_gradient(w, *data)
        path.append(w)
    for _ in range(steps):
        g = full_gradient(w, *data)
        rows = torch.stack([torch.randint(n, (s2, s1, batch), generator=each, device="cpu") for each in streams], 1).to(
            w.device
        )
        repeated = w.repeat_interleave(s1, 0)

        def sampled(y: torch.Tensor, j: int, rows=rows, at=repeated) -> torch.Tensor:
            return product(at, y, *(part[rows[j - 1]].flatten(0, 1) for part in data))

        direction = neumann_solve(sampled, g.repeat_interleave(s1, 0), depth=s2, scale=scale)
        direction = direction.unflatten(0, (len(w), s1))
        w = w - direction.mean(1)
        path.append(w)
    return LissaResult(torch.stack(path).reshape(len(path), *w0.shape), calls)


def _product_of(loss):
    """Hessian-vector product of ``loss`` at w by two backward passes, which need no forward-mode formulas."""

    def product(w, v, *tensors):
        return grad(lambda at: (grad(loss)(at, *tensors) * v).sum())(w)

    return product


def _check_data(data) -> tuple[tuple[torch.Tensor, ...], int]:
    if not isinstance(data, torch.Tensor | Sequence):
        raise ValueError(f"data must be a tuple of tensors, got {type(data).__name__}")
    data = (data,) if isinstance(data, torch.Tensor) else tuple(data)
    shapes = [tuple(part.shape) if isinstance(part, torch.Tensor) else type(part).__name__ for part in data]
    lengths = {shape[0] for shape in shapes if isinstance(shape, tuple) and shape}
    if not data or len(lengths) != 1 or not all(isinstance(shape, tuple) and shape for shape in shapes) or 0 in lengths:
        raise ValueError(f"data must be tensors with one first dimension >= 1, got {shapes}")
    _validate.finite(**{f"data[{index}]": part for index, part in enumerate(data)})
    return data, lengths.pop()
