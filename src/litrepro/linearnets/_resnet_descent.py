"""Gradient descent on linear residual networks between fixed maps, and the rate that is proved for it."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.linearnets import _arguments
from litrepro.linearnets._residual import check_blocks

LOOK = 10  # iterations between two looks for trials that have diverged


class DescentRun(NamedTuple):
    """What ``linear_resnet_descent`` returns.

    ``blocks (..., L, m, m)`` at the end, ``loss (..., iterations + 1)`` from the start on, ``diverged (...)``: the
    final loss is not finite. Blocks and loss of a trial that has diverged become inf or nan.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    >>> run = linear_resnet_descent(x, y, 3, step=0.1, iterations=50)
    >>> run.blocks.shape, run.loss.shape, bool(run.diverged)
    (torch.Size([3, 2, 2]), torch.Size([51]), False)
    """

    blocks: torch.Tensor
    loss: torch.Tensor
    diverged: torch.Tensor


def linear_resnet_descent(
    inputs: torch.Tensor,
    targets: torch.Tensor,
    depth: int,
    *,
    input_map: torch.Tensor | None = None,
    output_map: torch.Tensor | None = None,
    step: float | torch.Tensor,
    iterations: int,
    initial: torch.Tensor | None = None,
    residual: bool = True,
    batch_size: int | None = None,
    generator: torch.Generator | int | None = None,
) -> DescentRun:
    """(Stochastic) gradient descent on |B P A X - Y|_F^2 / 2, P = (I + A_L) ... (I + A_1), from zero blocks.

    Parameters
    ----------
    inputs, targets
        X (..., d, n) and Y (..., k, n): examples are columns.
    depth
        L >= 1.
    input_map, output_map
        A (..., m, d) and B (..., k, m), fixed; None is the identity (m = d, m = k).
    step
        Positive, a number or one per trial (...).
    iterations
        >= 0.
    initial
        Blocks (..., L, m, m) to start from, brought to the dtype of the inputs; None: zero.
    residual
        False: P = A_L ... A_1, a plain linear network.
    batch_size
        Columns per step, drawn without replacement, the gradient scaled by n / batch_size; None or n: all of them.
    generator
        Of the mini-batches, the same for all trials, or its seed (0 if None).

    Returns
    -------
    ``DescentRun``; batch dimensions broadcast. The loss is that of all examples.

    Raises
    ------
    ValueError
        Shapes that do not fit, depth < 1, step <= 0, iterations < 0, batch_size < 1.

    Warns
    -----
    ConvergenceWarning
        Some trial diverged; the others are not disturbed.

    Source: Zou, Long and Gu, arXiv:2003.01094, algorithms 1 and 2.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    >>> run = linear_resnet_descent(x, y, 3, step=0.1, iterations=50)
    >>> run.loss[0].item(), bool(run.loss[-1] < 1e-6)
    (0.5, True)
    """
    depth, iterations = _validate.positive_int("depth", depth), _validate.positive_int("iterations", iterations, 0)
    x, b, y, batch = _check_maps(inputs, targets, input_map, output_map)
    x, y, b = x.detach(), y.detach(), None if b is None else b.detach()
    m, n = x.shape[-2:]
    blocks = _start(initial, depth, m, batch, x).detach()
    batch = torch.broadcast_shapes(batch, blocks.shape[:-3])
    rate = _step(step, batch, x)
    if rate.ndim > 3:
        batch = torch.broadcast_shapes(batch, rate.shape[:-3])
    size = n if batch_size is None else min(_validate.positive_int("batch_size", batch_size), n)
    generator = _validate.random_source("generator", generator)
    # Trials in one dimension behind that of the depth, so that what a product reads and writes lies side by side.
    layers = blocks.expand(*batch, *blocks.shape[-3:]).reshape(-1, *blocks.shape[-3:]).transpose(0, 1).contiguous()
    given = [_flat(value, batch) for value in (x, y, b, rate[..., 0] if rate.ndim else rate)]
    loss = x.new_full((iterations + 1, layers.shape[1]), math.nan)
    blocks, trials = torch.full_like(layers, math.nan), torch.arange(layers.shape[1], device=x.device)
    chain = _Chain(layers, residual)
    for iteration in range(iterations + 1):
        x_, y_, b_, rate_ = given
        if iteration % LOOK == 0 and iteration:
            alive = layers.isfinite().flatten(2).all(-1).all(0)
            if not bool(alive.any()):
                break
            if not bool(alive.all()):
                trials, layers = trials[alive], layers[:, alive]
                x_, y_, b_, rate_ = given = [v[alive] if v is not None and v.ndim else v for v in given]
                chain = _Chain(layers, residual)
        product = chain.forward()
        readout = product if b_ is None else b_ @ product
        error = readout @ x_ - y_
        loss[iteration, trials] = 0.5 * error.square().sum((-2, -1))
        if iteration == iterations:
            break
        seen, columns = error, x_
        if size < n:
            chosen = torch.randperm(n, generator=generator, device=generator.device)[:size].to(x.device)
            seen, columns = error[..., chosen] * (n / size), x_[..., chosen]
        outer = rate_ * (seen @ columns.mT)
        chain.descend(outer if b_ is None else b_.mT @ outer)
    blocks[:, trials] = layers
    blocks = blocks.transpose(0, 1).reshape(*batch, depth, m, m)
    loss = loss.mT.reshape(*batch, iterations + 1)
    diverged = ~torch.isfinite(loss[..., -1])
    if bool(diverged.any()):
        warnings.warn(f"gradient descent diverged in {int(diverged.sum())} trial(s)", ConvergenceWarning, 2)
    return DescentRun(blocks, loss, diverged)


def zou_rate(
    inputs: torch.Tensor,
    input_map: torch.Tensor | None,
    output_map: torch.Tensor | None,
    depth: int,
    step: float | torch.Tensor,
) -> torch.Tensor:
    """Proved factor per iteration on loss - loss_min: 1 - step L sigma_min(A)^2 sigma_min(B)^2 sigma_r(X)^2 / e.

    sigma_r is the smallest singular value of X that is not zero. Parameters as ``linear_resnet_descent`` (None maps
    are identities); returns (...). It holds for steps and maps within the theorem's conditions, which are not checked.

    Raises
    ------
    ValueError
        depth < 1, step <= 0, inputs that are zero, shapes or dtypes that do not fit, values that are not finite.

    Source: Zou, Long and Gu, arXiv:2003.01094, theorem 3.1.

    Examples
    --------
    >>> import torch
    >>> round(zou_rate(torch.eye(2), None, None, 10, 0.01).item(), 4)  # 1 - 0.1/e
    0.9632
    """
    given = {"inputs": inputs, "input_map": input_map, "output_map": output_map}
    given = {name: value for name, value in given.items() if value is not None or name == "inputs"}
    for name, value in given.items():
        _validate.decomposable(name, _arguments.matrix(name, value))
    depth = _validate.positive_int("depth", depth)
    step = _check_step(step, _check_sizes(given))
    s = torch.linalg.svdvals(inputs)
    cut = max(inputs.shape[-2:]) * torch.finfo(s.dtype).eps * s[..., :1]
    if not bool((s[..., 0] > 0).all()):
        raise ValueError("inputs must not be zero")
    factor = torch.where(s > cut, s, torch.inf).amin(-1).square()
    for value in (input_map, output_map):
        if value is not None:
            factor = factor * torch.linalg.svdvals(value)[..., -1].square()
    return 1 - step * depth * factor / math.e


class _Chain:
    """The product of blocks (L, n, m, m), plus the identity if residual, and a step of gradient descent on them."""

    def __init__(self, blocks: torch.Tensor, residual: bool):
        self.blocks, self.identity = blocks, None
        self.factors = blocks
        if residual:
            self.identity = torch.eye(blocks.shape[-1], dtype=blocks.dtype, device=blocks.device)
            self.factors = torch.empty_like(blocks)
        self.below, self.above = torch.empty_like(blocks), torch.empty_like(blocks)

    def forward(self) -> torch.Tensor:
        """F_L ... F_1, (n, m, m); F_i ... F_1 are kept."""
        if self.identity is not None:
            torch.add(self.blocks, self.identity, out=self.factors)
        self.below[0] = self.factors[0]
        for i in range(1, len(self.blocks)):
            torch.bmm(self.factors[i], self.below[i - 1], out=self.below[i])
        return self.below[-1]

    def descend(self, outer: torch.Tensor) -> None:
        """Subtract the gradients of all blocks where that by the product is ``outer (n, m, m)``."""
        self.above[-1] = outer
        for i in range(len(self.blocks) - 1, 0, -1):
            torch.bmm(self.factors[i].mT, self.above[i], out=self.above[i - 1])
        self.blocks[0] -= self.above[0]
        if len(self.blocks) > 1:
            above, below = self.above[1:].flatten(0, 1), self.below[:-1].flatten(0, 1)
            self.blocks[1:].flatten(0, 1).baddbmm_(above, below.mT, alpha=-1)


def _flat(value: torch.Tensor | None, batch: torch.Size) -> torch.Tensor | None:
    """(..., a, b) with the batch dimensions as one; None and a number as they are."""
    if value is None or value.ndim == 0:
        return value
    return value.expand(*batch, *value.shape[-2:]).reshape(-1, *value.shape[-2:])


def _check_maps(inputs, targets, input_map, output_map):
    """(A X, B or None, Y, batch shape); raises ``ValueError`` where shapes do not fit."""
    given = {"inputs": inputs, "targets": targets, "input_map": input_map, "output_map": output_map}
    given = {name: value for name, value in given.items() if value is not None or name in ("inputs", "targets")}
    for name, value in given.items():
        _arguments.matrix(name, value)
    batch = _check_sizes(given)
    return (inputs if input_map is None else input_map @ inputs), output_map, targets, batch


def _check_sizes(given: dict[str, torch.Tensor]) -> torch.Size:
    """The batch shape of inputs, maps and targets whose sizes fit; those that are not given fit."""
    x, input_map, output_map = (given.get(name) for name in ("inputs", "input_map", "output_map"))
    m = x.shape[-2] if input_map is None else input_map.shape[-2]
    k = m if output_map is None else output_map.shape[-2]
    fits = (
        (input_map is None or input_map.shape[-1] == x.shape[-2])
        and (output_map is None or output_map.shape[-1] == m)
        and ("targets" not in given or given["targets"].shape[-2:] == (k, x.shape[-1]))
    )
    shapes = {name: tuple(value.shape) for name, value in given.items()}
    if not fits:
        expected = "inputs (..., d, n), input_map (..., m, d), output_map (..., k, m), targets (..., k, n)"
        raise ValueError(f"expected {expected}; got {shapes}")
    _validate.same_kind(**given)
    return _validate.broadcast(**{name: shape[:-2] for name, shape in shapes.items()})


def _start(initial, depth: int, m: int, batch, like: torch.Tensor) -> torch.Tensor:
    if initial is None:
        return torch.zeros(*batch, depth, m, m, dtype=like.dtype, device=like.device)
    check_blocks(initial)
    if tuple(initial.shape[-3:]) != (depth, m, m):
        raise ValueError(f"initial must have shape (..., {depth}, {m}, {m}), got {tuple(initial.shape)}")
    try:
        torch.broadcast_shapes(initial.shape[:-3], batch)
    except RuntimeError:
        raise ValueError(f"batch of initial must broadcast with {tuple(batch)}, got {tuple(initial.shape)}") from None
    return initial.to(like)


def _check_step(step, batch):
    """A number, or a tensor that broadcasts against the batch; finite and positive."""
    if not isinstance(step, torch.Tensor):
        return _validate.real("step", step, 0, open_low=True)
    if step.is_complex() or not bool((torch.isfinite(step) & (step > 0)).all()):
        raise ValueError(f"step must be real, finite and > 0, got {step}")
    _validate.broadcast(step=step.shape, batch=batch)
    return step


def _step(step, batch, like: torch.Tensor) -> torch.Tensor:
    """The step sizes, to multiply blocks (..., L, m, m) with."""
    step = _check_step(step, batch)
    if not isinstance(step, torch.Tensor):
        return torch.tensor(step, dtype=like.dtype, device=like.device)
    return step.to(like)[..., None, None, None] if step.ndim else step.to(like)
