"""Projection on the matrices with given measurements, for a batch of problems of different sizes."""

from __future__ import annotations

import math

import torch

# A direction counts as measured if its eigenvalue of the Gram matrix exceeds this fraction of the largest: rows that
# repeat others, or are zero, are absent.
CUT = 1e-10


class AffineSet:
    """{X : <A_i, X> = b_i}, with the rows orthonormalized once; X is scaled so that the least-norm point has norm 1.

    ``scale (B,)`` is the norm of the least-norm point before scaling, ``start (B, p, q)`` that point after it. With
    ``symmetric`` only symmetric X are considered, and only their upper triangle is stored (off-diagonal entries times
    sqrt 2, so that norms stay): half the arithmetic, half the memory.
    """

    def __init__(self, A: torch.Tensor, b: torch.Tensor, symmetric: bool):
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
        target = (turn @ b[..., None])[..., 0]
        self.scale = torch.linalg.vector_norm(target, dim=-1)
        most = max(int(kept.sum(-1).max()), 1)  # eigenvalues ascend: absent rows come first
        self.rows = (turn @ rows)[:, -most:]
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
