"""Projection on the matrices with given measurements, for a batch of problems of different sizes."""

from __future__ import annotations

import math

import torch

# A direction counts as measured if its eigenvalue of the Gram matrix exceeds this fraction of the largest. Rows that
# repeat others, or are zero, are absent; those that only nearly repeat others are left to singular values.
CUT = 1e-10


class AffineSet:
    """{X : <A_i, X> = b_i}, with the rows orthonormalized once; X is scaled so that the least-norm point has norm 1.

    ``eps`` is the rounding of the measurements: what depends on others up to a few times it is absent.
    ``scale (B,)`` is the norm of the least-norm point before scaling, ``start (B, p, q)`` that point after it. With
    ``symmetric`` only symmetric X are considered, and only their upper triangle is stored (off-diagonal entries times
    sqrt 2, so that norms stay): half the arithmetic, half the memory.
    """

    def __init__(self, A: torch.Tensor, b: torch.Tensor, symmetric: bool, eps: float):
        self.size = A.shape[-2:]
        self.symmetric = symmetric
        if symmetric:
            d = self.size[0]
            rows, columns = torch.triu_indices(d, d, device=A.device)
            self._upper, self._lower = rows * d + columns, columns * d + rows
            self._weight = torch.where(rows == columns, 0.5, 0.5 * math.sqrt(2)).to(A)
            place = torch.empty(d, d, dtype=torch.long, device=A.device)
            place[rows, columns] = place[columns, rows] = torch.arange(len(rows), device=A.device)
            self._place = place.flatten()
            self._unweight = torch.where(torch.eye(d, device=A.device, dtype=torch.bool), 1.0, math.sqrt(0.5)).to(A)
        rows = self._pack(A)
        # Row norms first: measurements of very different sizes would otherwise fall victim to the cut.
        length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
        rows = rows / torch.where(length > 0, length, 1.0)
        b = b / torch.where(length > 0, length, 1.0)[..., 0]
        w, v = torch.linalg.eigh(rows @ rows.mT)
        kept = w > CUT * w[..., -1:]
        factor = torch.where(kept, torch.where(kept, w, 1.0).rsqrt(), 0.0)
        turn = factor[..., None] * v.mT
        target, count = (turn @ b[..., None])[..., 0], kept.sum(-1)
        turned = turn @ rows
        sizes = torch.stack([(rows != 0).any(-1).sum(-1), (rows != 0).any(-2).sum(-1)])
        doubtful = (count < sizes.amin(0)).nonzero()[:, 0]
        if len(doubtful):  # a Gram matrix has lost half of the digits
            cut = (10 * eps * sizes[:, doubtful].amax(0)).clamp(max=CUT**0.5)
            *fine, found = _by_singular_values(rows[doubtful], b[doubtful], cut)
            more = found > count[doubtful]
            index = doubtful[more]
            turned[index], target[index], count[index] = fine[0][more], fine[1][more], found[more]
        self.scale = torch.linalg.vector_norm(target, dim=-1)
        most = max(int(count.max()), 1)  # eigenvalues ascend: absent rows come first
        self.rows = turned[:, -most:]
        self._offset = self._adjoint((target / torch.where(self.scale > 0, self.scale, 1.0)[:, None])[:, -most:])
        self.start = self._unpack(self._offset)

    def project(self, X: torch.Tensor) -> torch.Tensor:
        """Nearest matrix of the (scaled) set to every ``X (B, p, q)``."""
        x = self._pack(X)
        # Row vector times matrix in both products: several times faster on a CPU than matrix times column.
        along = (x[:, None, :] @ self.rows.mT)[:, 0]
        return self._unpack(x - self._adjoint(along) + self._offset)

    def keep(self, index: torch.Tensor) -> None:
        """Drop all problems but those of ``index``."""
        self.rows, self._offset = self.rows[index], self._offset[index]

    def _adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return (y[:, None, :] @ self.rows)[:, 0]

    def _pack(self, X: torch.Tensor) -> torch.Tensor:
        """(..., p, q) -> (..., n); in symmetric storage the symmetric part of X."""
        flat = X.flatten(-2)
        if not self.symmetric:
            return flat
        return (flat[..., self._upper] + flat[..., self._lower]) * self._weight

    def _unpack(self, x: torch.Tensor) -> torch.Tensor:
        if not self.symmetric:
            return x.unflatten(-1, self.size)
        return x[..., self._place].unflatten(-1, self.size) * self._unweight


def _by_singular_values(
    rows: torch.Tensor, b: torch.Tensor, cut: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Orthonormal rows (B, m, n) and their measurements (B, m), absent ones first, and how many (B,) are not absent:
    those of singular values above ``cut (B,)`` of the largest."""
    u, s, vh = torch.linalg.svd(rows, full_matrices=False)
    kept = s > cut[:, None] * s[:, :1]
    values = torch.where(kept, (b[:, None, :] @ u)[:, 0] / torch.where(kept, s, 1.0), 0.0)
    turned, target, r = torch.zeros_like(rows), torch.zeros_like(b), s.shape[-1]
    turned[:, -r:], target[:, -r:] = (vh * kept[..., None]).flip(1), values.flip(1)
    return turned, target, kept.sum(-1)
