"""The two iterations for min <C, V V'> over unit rows, for samples that share C: sequential sweeps, parallel blocks.

Everything is laid out (N, B, k), rows first. A coordinate of all samples is then one contiguous row, its gradient one
matrix-vector product, and a parallel update one product of an (N, N) and an (N, B k) matrix, on either device.
"""

from __future__ import annotations

import torch

from litrepro.layers import _compiled

# Weight of a row's own vector: it decides only where the gradient vanishes, and there it keeps the row as it is.
KEEP = 1e-15
DAMPING = 0.6  # of the largest eigenvalue: half as many iterations as the provably monotone 1
CHECK_EVERY = 4  # parallel iterations between looks at the objective (each look waits for the device)
DENSE = 512  # up to this order the largest eigenvalue is computed densely


def largest_eigenvalue(S: torch.Tensor) -> torch.Tensor:
    """lambda_max(S' S), (...), of S (..., m, N)."""
    m, n = S.shape[-2:]
    gram = S @ S.mT if m <= n else S.mT @ S
    size = gram.shape[-1]
    if size <= DENSE:
        return torch.linalg.eigvalsh(gram)[..., -1]
    from litrepro.solvers import extreme_eigenvalues

    generator = torch.Generator().manual_seed(0)
    start = torch.randn(size, generator=generator, dtype=torch.float64, device="cpu").to(gram).expand(gram.shape[:-1])
    # Ritz values approach from below; forty steps are within a few per mille for the spectra met here.
    return extreme_eigenvalues(lambda v: (gram @ v[..., None])[..., 0], start.clone(), 40)[1]


def without_diagonal(C: torch.Tensor) -> torch.Tensor:
    """C (..., N, N) with a zero diagonal."""
    return C - torch.diag_embed(C.diagonal(dim1=-2, dim2=-1))


def damped(C: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A = c I - C (..., N, N), its diagonal kept positive, and the constant with <V, C V> = constant - <V, A V>."""
    diagonal = C.diagonal(dim1=-2, dim2=-1)
    own = (c[..., None] - diagonal).clamp(min=KEEP)
    return torch.diag_embed(own) - without_diagonal(C), (own + diagonal).sum(-1)


def normalized(x: torch.Tensor) -> torch.Tensor:
    """Unit vectors along the last dimension."""
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)


class _Active:
    """Samples that still move; those that stopped keep their rows whatever their neighbours do."""

    def __init__(self, V: torch.Tensor, free: torch.Tensor, tol: float):
        self.result, self.V, self.free, self.tol = V.clone(), V, free, tol
        self.index = torch.arange(V.shape[1], device=V.device)

    def drop(self, done: torch.Tensor) -> None:
        """Write out the samples that are done, and continue with the others."""
        if not bool(done.any()):
            return
        self.result[:, self.index[done]] = self.V[:, done]
        stay = ~done
        self.index, self.V, self.free = self.index[stay], self.V[:, stay].contiguous(), self.free[:, stay].contiguous()

    def finish(self) -> torch.Tensor:
        """All samples (N, B, k)."""
        if len(self.index):
            self.result[:, self.index] = self.V
        return self.result

    def still(self, before: torch.Tensor, after: torch.Tensor, moved: torch.Tensor | None) -> torch.Tensor:
        """Which samples stop: relative change of the objective, or no movement at all where tol is 0."""
        if self.tol == 0:
            limit = 4 * torch.finfo(self.V.dtype).eps
            return (self.V - moved).abs().amax((0, 2)) <= limit
        return (after - before).abs() <= self.tol * after.abs()


def block_iterations(
    S: torch.Tensor, V: torch.Tensor, free: torch.Tensor, max_iter: int, tol: float
) -> tuple[torch.Tensor, int]:
    """V <- normalize(c V - S'S V) on all free rows at once. V (N, B, k), free (N, B, 1) -> (V, iterations)."""
    A, constant = damped(S.mT @ S, DAMPING * largest_eigenvalue(S))
    work = _Active(V, free, tol)
    before, iteration = None, 0
    for iteration in range(1, max_iter + 1):
        V = work.V
        W = (A @ V.flatten(1)).view_as(V)
        objective = constant - torch.linalg.vecdot(V, W).sum(0)
        work.V = torch.where(work.free, normalized(W), V)
        if before is not None and iteration % CHECK_EVERY == 0:
            done = work.still(before, objective, V)
            if bool(done.any()):
                work.drop(done)
                objective = objective[~done]
            if not len(work.index):
                break
        before = objective
    return work.finish(), iteration


def mixing_sweeps(
    S: torch.Tensor, V: torch.Tensor, free: torch.Tensor, max_iter: int, tol: float
) -> tuple[torch.Tensor, int]:
    """Coordinate by coordinate, v_i <- -g_i / ||g_i||. V (N, B, k), free (N, B, 1) -> (V, sweeps)."""
    C = without_diagonal(S.mT @ S)
    trace = (S * S).sum()
    if _compiled.available(V) and _compiled.available(C):
        return _compiled_sweeps(C, trace, V, free, max_iter, tol)
    minus = -C + KEEP * torch.eye(len(C), dtype=C.dtype, device=C.device)
    work = _Active(V.clone(), free, tol)
    rows = [int(i) for i in torch.where(free.flatten(1).any(1))[0].tolist()]
    before, sweep = None, 0
    for sweep in range(1, max_iter + 1):  # noqa: B007
        V, free = work.V, work.free
        moved = V.clone() if tol == 0 else None
        flat = V.flatten(1)
        shape = V.shape[1:]
        for i in rows:
            step = torch.mv(flat.T, minus[i]).view(shape)
            V[i] = torch.where(free[i], normalized(step), V[i])
        objective = trace + torch.linalg.vecdot(V, (C @ flat).view_as(V)).sum(0)
        if before is not None:
            done = work.still(before, objective, moved)
            if bool(done.any()):
                work.drop(done)
                objective = objective[~done]
            if not len(work.index):
                break
        before = objective
    return work.finish(), sweep


def _compiled_sweeps(
    C: torch.Tensor, trace: torch.Tensor, V: torch.Tensor, free: torch.Tensor, max_iter: int, tol: float
) -> tuple[torch.Tensor, int]:
    """The same in machine code, sample by sample; the fall of the objective comes with a sweep."""
    objective = (trace + torch.linalg.vecdot(V, (C @ V.flatten(1)).view_as(V)).sum(0)).double()
    return _compiled.Shared(C, free).descend(V, objective, max_iter, tol, KEEP)


ITERATIONS = {"block": block_iterations, "mixing": mixing_sweeps}


def stationarity(S: torch.Tensor, V: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """max over free rows of ||v + g / ||g|| ||, (B,): 0 at a fixed point; rows without a gradient do not count."""
    g = (without_diagonal(S.mT @ S) @ V.flatten(1)).view_as(V)
    norm = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
    counted = free & (norm > KEEP)
    gap = torch.linalg.vector_norm(V + g / norm.clamp(min=KEEP), dim=-1)
    return torch.where(counted[..., 0], gap, 0.0).amax(0)
