"""The direct extension of ADMM to several blocks, which need not converge (Chen, He, Ye and Yuan 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from litrepro import _validate


class AdmmTrace(NamedTuple):
    """What Gauss-Seidel ADMM did.

    ``x``: the blocks after the last sweep, a list of (..., n_i). ``residuals (iterations, ...)``: the norm of
    sum_i A_i x_i - c after each sweep. ``diverged``: whether the last residual exceeds the first; a bool, or a tensor
    of the batch shape where there is one.

    Examples
    --------
    >>> import torch
    >>> blocks = [torch.tensor([[1.0], [0.0]]), torch.tensor([[1.0], [1.0]])]
    >>> trace = multiblock_admm(blocks, torch.tensor([2.0, 3.0]), [torch.zeros(1), torch.zeros(1)])
    >>> bool(trace.residuals[-1] < 1e-4), trace.diverged
    (True, False)
    """

    x: list[torch.Tensor]
    residuals: torch.Tensor
    diverged: bool | torch.Tensor


def multiblock_admm(
    blocks: Sequence[torch.Tensor],
    c: torch.Tensor,
    x0: Sequence[torch.Tensor],
    *,
    rho: float = 1.0,
    iterations: int = 100,
) -> AdmmTrace:
    """Gauss-Seidel ADMM for "minimize 0 subject to sum_i A_i x_i = c", scaled dual u from 0.

    One sweep sets x_i to the minimizer of ||A_i x_i + sum_{j != i} A_j x_j - c + u|| for i = 1, 2, ... in turn (the
    shortest one where A_i has dependent columns), then adds sum_i A_i x_i - c to u. With two blocks it converges; with
    three it can diverge (Chen et al. 2016, section 3).

    Parameters
    ----------
    blocks
        At least two matrices (..., m, n_i) with the same m and batch shape.
    c
        (..., m).
    x0
        Starting blocks (..., n_i); the first is overwritten before it is used.
    rho
        Penalty, positive. With the objective 0 and a scaled dual it cancels from the updates.
    iterations
        Number of sweeps, at least 1.

    Raises ``ValueError`` for fewer than two blocks, unequal row counts or batch shapes, blocks that are not float32 or
    float64 or not finite, and shapes, dtypes or devices of ``c`` or ``x0`` that do not fit the blocks.

    Examples
    --------
    >>> import torch
    >>> columns = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 2.0], [1.0, 2.0, 2.0]], dtype=torch.float64)
    >>> start = [torch.ones(1, dtype=torch.float64)] * 3
    >>> blocks = [columns[:, i : i + 1] for i in range(3)]
    >>> multiblock_admm(blocks, torch.zeros(3, dtype=torch.float64), start).diverged  # Chen et al.'s three blocks
    True
    """
    blocks = _check_blocks(blocks)
    iterations = _validate.positive_int("iterations", iterations)
    _validate.real("rho", rho, 0, open_low=True)
    batch, m = blocks[0].shape[:-2], blocks[0].shape[-2]
    _check_vector("c", c, (*batch, m))
    x0 = _validate.sequence("x0", x0)
    if len(x0) != len(blocks):
        raise ValueError(f"x0 must have one start per block, {len(blocks)}, got {len(x0)}")
    for index, (start, block) in enumerate(zip(x0, blocks)):
        _check_vector(f"x0[{index}]", start, (*batch, block.shape[-1]))
    starts = {f"x0[{index}]": start for index, start in enumerate(x0)}
    _validate.same_kind(**{"blocks[0]": blocks[0], "c": c}, **starts)
    inverses = [torch.linalg.pinv(block) for block in blocks]
    x = [start[..., None] for start in x0]
    u = torch.zeros_like(c)[..., None]
    residuals = []
    for _ in range(iterations):
        x, u, gap = _sweep(blocks, inverses, x, u, c[..., None])
        residuals.append(torch.linalg.vector_norm(gap[..., 0], dim=-1))
    trace = torch.stack(residuals)
    diverged = ~(trace[-1] <= trace[0])  # nan counts as divergence
    return AdmmTrace([part[..., 0] for part in x], trace, diverged if batch else bool(diverged))


def multiblock_admm_operator(blocks: Sequence[torch.Tensor]) -> torch.Tensor:
    """The linear map (..., N + m, N + m) of one sweep of ``multiblock_admm`` on (x_1, ..., x_p, u) for c = 0.

    N is the sum of the n_i. A spectral radius above 1 means that the method diverges from almost every start. Raises
    ``ValueError`` as ``multiblock_admm``.

    Examples
    --------
    >>> import torch
    >>> columns = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 2.0], [1.0, 2.0, 2.0]], dtype=torch.float64)
    >>> M = multiblock_admm_operator([columns[:, i : i + 1] for i in range(3)])
    >>> round(torch.linalg.eigvals(M).abs().max().item(), 4)  # above 1: it diverges
    1.0278
    """
    blocks = _check_blocks(blocks)
    m, sizes = blocks[0].shape[-2], [block.shape[-1] for block in blocks]
    inverses = [torch.linalg.pinv(block) for block in blocks]
    identity = torch.eye(sum(sizes) + m, dtype=blocks[0].dtype, device=blocks[0].device)
    identity = identity.expand(*blocks[0].shape[:-2], *identity.shape)
    *x, u = identity.split([*sizes, m], dim=-2)
    x, u, _ = _sweep(blocks, inverses, x, u, torch.zeros_like(u[..., :1]))
    return torch.cat([*x, u], dim=-2)


def _sweep(
    blocks: Sequence[torch.Tensor],
    inverses: Sequence[torch.Tensor],
    x: Sequence[torch.Tensor],
    u: torch.Tensor,
    c: torch.Tensor,
) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """One sweep on k states at once, x_i (..., n_i, k) and u (..., m, k): the new x and u, and the constraint gap."""
    x = list(x)
    products = [block @ part for block, part in zip(blocks, x)]
    for index, (block, inverse) in enumerate(zip(blocks, inverses)):
        others = sum(product for other, product in enumerate(products) if other != index)
        x[index] = inverse @ (c - u - others)
        products[index] = block @ x[index]
    gap = sum(products) - c
    return x, u + gap, gap


def _check_blocks(blocks: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    if isinstance(blocks, torch.Tensor):
        raise ValueError("blocks must be a sequence of at least 2 matrices, got a tensor")
    blocks = _validate.sequence("blocks", blocks, 2)
    named = {f"blocks[{index}]": _validate.decomposable(f"blocks[{index}]", b) for index, b in enumerate(blocks)}
    _validate.same_kind(**named)
    if len({block.shape[:-1] for block in blocks}) > 1:
        raise ValueError(
            f"blocks must have one row count and batch shape, got {[tuple(block.shape) for block in blocks]}"
        )
    return blocks


def _check_vector(name: str, value: torch.Tensor, shape: tuple[int, ...]) -> None:
    _validate.float_tensor(name, value, 1)
    if value.shape != torch.Size(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(value.shape)}")
