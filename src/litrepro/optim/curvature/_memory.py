"""The memory of limited-memory BFGS for a batch of trials, each with pairs of its own, in compact form."""

from __future__ import annotations

import torch


class PairMemory:
    """The last ``size`` pairs (s, y) of every trial, and steps with the inverse Hessian that they stand for.

    The two-loop recursion passes over a gradient four times for each pair. What comes out is gamma g and a combination
    of the pairs, whose coefficients depend on inner products alone (Byrd, Nocedal and Schnabel 1994, theorem 2.2). So
    the pairs are read twice, in two matrix products; all else is as small as the memory, and in double precision.
    """

    def __init__(self, w: torch.Tensor, size: int):
        trials, d = w.shape
        self.size, self.filled = size, 0
        # By place, s and y in turn: a new pair takes the place of the oldest one, which is each trial's own.
        self.pairs = w.new_zeros(trials, 2 * size, d)
        self.oldest = torch.zeros(trials, dtype=torch.long, device=w.device)
        self.products = torch.zeros(trials, 2 * size, 2 * size, dtype=torch.float64, device=w.device)
        self.compact = torch.zeros_like(self.products)

    def add(
        self, s: torch.Tensor, y: torch.Tensor, inner: torch.Tensor, keep: torch.Tensor, scale: torch.Tensor
    ) -> None:
        """Take up pairs (trials, d) with products ``inner`` where ``keep``; gamma is ``scale`` (trials,) then."""
        self.filled = min(self.filled + 1, self.size)
        trials = torch.arange(len(s), device=s.device)[:, None]
        kind = torch.arange(2, device=s.device)
        at = 2 * self.oldest[:, None] + kind
        keep, new = keep[:, None, None], torch.stack([s, y], 1)
        if not bool(keep.all()):
            new = torch.where(keep, new, self.pairs[trials, at])
        self.pairs[trials, at] = new
        found = (new @ self.pairs.mT).double()
        # What has been found to be positive, and both times the same number.
        found[trials, kind, at.flip(1)] = inner.double()[:, None]
        found = torch.where(keep, found, self.products[trials, at])
        self.products[trials, at] = found
        self.products[trials, :, at] = found
        self.oldest = torch.where(keep[:, 0, 0], (self.oldest + 1) % self.size, self.oldest)
        self._renew(scale.double()[:, None, None])

    def _renew(self, scale: torch.Tensor) -> None:
        """The matrix that makes coefficients of the pairs from their inner products with a gradient."""
        age = torch.arange(self.size, device=scale.device)
        of_s = 2 * ((self.oldest[:, None] + age) % self.size)  # places, oldest pair first
        sy, yy = _part(self.products, of_s, of_s + 1), _part(self.products, of_s + 1, of_s + 1)
        own = sy.diagonal(dim1=1, dim2=2)
        triangle = sy.triu() + torch.diag_embed((own == 0).to(sy))  # a place without a pair multiplies zeros
        eye = torch.eye(self.size, dtype=sy.dtype, device=sy.device)
        inverse = torch.linalg.solve_triangular(triangle, eye, upper=True)
        corner = inverse.mT @ (torch.diag_embed(own) + scale * yy) @ inverse
        lower = -scale * inverse
        blocks = torch.cat([torch.cat([corner, lower.mT], 2), torch.cat([lower, torch.zeros_like(lower)], 2)], 1)
        back = torch.cat([of_s, of_s + 1], 1).argsort(1)
        self.compact = _part(blocks, back, back)

    def step(self, w: torch.Tensor, g: torch.Tensor, scale: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
        """w - rate H g, for w and g (trials, d), gamma ``scale`` (trials,) and ``rate`` (trials, 1)."""
        moved = torch.addcmul(w, g, rate * scale[:, None], value=-1)
        if not self.filled:
            return moved
        used = 2 * self.filled
        pairs = self.pairs[:, :used]
        along = (g[:, None] @ pairs.mT).double()
        coefficients = along @ self.compact[:, :used, :used]  # which is symmetric
        return moved[:, None].baddbmm_((coefficients * -rate[..., None]).to(w), pairs)[:, 0]


def _part(matrices: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Rows and columns (trials, m) of matrices (trials, n, n), which every trial has in an order of its own."""
    trials = torch.arange(len(matrices), device=matrices.device)[:, None, None]
    return matrices[trials, rows[:, :, None], columns[:, None, :]]
