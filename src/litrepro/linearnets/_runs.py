"""Heavy ball on many chains at once, with the trials as last dimensions: sums over entries are then of long vectors."""

from __future__ import annotations

import torch

EVERY = 25  # steps between two looks for what has diverged


class Chains:
    """Iterates of w s_1 ... s_{N-1} for one depth N: ``point (d, ..., K)``, moved by a gradient of that shape.

    Every entry of ``w (d, ..., K)``, which is copied, has its own velocity, and so have the N - 1 numbers, which all
    start at ``root``. ``lr, momentum (K,)``.
    """

    def __init__(self, w: torch.Tensor, root: float, depth: int, lr: torch.Tensor, momentum: torch.Tensor):
        self.factors = [w.clone(), *(torch.full_like(w[0], root) for _ in range(depth - 1))]
        self.velocities = [torch.zeros_like(factor) for factor in self.factors]
        self.lr, self.momentum, self.columns = lr, momentum, torch.arange(len(lr), device=lr.device)
        self.point = self._product(range(depth))

    def move(self, gradient: torch.Tensor) -> None:
        """One step of all factors, from the gradient at ``point``."""
        w, others = self.factors[0], range(1, len(self.factors))
        slopes = [gradient * self._product(others) if others else gradient]
        along = (gradient * w).sum(0) if others else None
        slopes += [along * self._product([i for i in others if i != j]) for j in others]
        for factor, velocity, slope in zip(self.factors, self.velocities, slopes):
            velocity.mul_(self.momentum).addcmul_(slope, self.lr)
            factor.sub_(velocity)
        self.point = self._product(range(len(self.factors)))

    def drop_diverged(self) -> torch.Tensor:
        """Leave out the columns in which no trial is finite, for none of them will be again; a mask of those kept."""
        alive = self.point.isfinite().all(0).flatten(0, -2).any(0)
        if not bool(alive.all()):
            for values in (self.factors, self.velocities):
                values[:] = [value[..., alive] for value in values]
            self.lr, self.momentum, self.columns = (value[alive] for value in (self.lr, self.momentum, self.columns))
            self.point = self.point[..., alive]
        return alive

    def _product(self, chosen) -> torch.Tensor | float:
        """Product of some factors, 1 of none."""
        total = 1.0
        for index in reversed(chosen):
            total = self.factors[index] if isinstance(total, float) else total * self.factors[index]
        return total
