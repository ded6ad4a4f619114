"""Many small matrices at once: with the batch as last dimension a product is d multiply-adds of long vectors.

Batched matrix products on a CPU take one call of a kernel per matrix, which for 5 x 5 costs several times the
arithmetic. Here the gradient of ``residual_risk`` in that layout.
"""

from __future__ import annotations

import torch

SMALL, MANY = 8, 500  # largest d, and smallest batch, for which this is faster


def pays(blocks: torch.Tensor, batch: torch.Size) -> bool:
    """Whether this layout is worth the two copies."""
    return blocks.device.type == "cpu" and blocks.shape[-1] <= SMALL and batch.numel() >= MANY


def gradient(factors: torch.Tensor, target: torch.Tensor, covariance: torch.Tensor | None, batch) -> torch.Tensor:
    """Gradient of tr((P - R) Sigma (P - R)^T) by the factors (..., L, d, d); the batch shape is given."""
    depth, d = factors.shape[-3], factors.shape[-1]
    f = factors.expand(*batch, depth, d, d).reshape(-1, depth, d, d).permute(1, 2, 3, 0).contiguous()
    prefix = [f[0]]
    for i in range(1, depth):
        prefix.append(_product(f[i], prefix[-1]))
    arriving = 2 * (prefix[-1] - _last(target, batch))
    if covariance is not None:
        arriving = _product(arriving, _last(covariance, batch))
    result = torch.empty_like(f)
    for i in range(depth - 1, 0, -1):
        result[i] = _product(arriving, prefix[i - 1].transpose(0, 1))
        arriving = _product(f[i].transpose(0, 1), arriving)
    result[0] = arriving
    return result.permute(3, 0, 1, 2).reshape(*batch, depth, d, d)


def _last(matrix: torch.Tensor, batch) -> torch.Tensor:
    """(..., d, d) to (d, d, batch)."""
    size = matrix.shape[-2:]
    return matrix.expand(*batch, *size).reshape(-1, *size).permute(1, 2, 0).contiguous()


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Matrix product over the first two dimensions."""
    total = left[:, 0, None, :] * right[None, 0]
    for k in range(1, left.shape[1]):
        total.addcmul_(left[:, k, None, :], right[None, k])
    return total
