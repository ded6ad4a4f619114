"""SATNet: MAXSAT with learned clauses as a layer, differentiated at its fixed point."""

from __future__ import annotations

import math

import torch
from torch import nn

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro.layers import _compiled
from litrepro.layers._descent import ITERATIONS, stationarity, without_diagonal
from litrepro.layers._partial import partly_known
from litrepro.layers._sdp import METHODS, default_rank, starting_rows

RELATIVE_RESIDUAL = 1e-10
# In rounding units. Below it conjugate gradients chase rounding along the rotations, whose curvature is zero.
RESIDUAL_UNITS = 100
# A largest entry of S between 1 / ORDINARY and twice it is left as it is, any other is brought to [1, 2).
ORDINARY = 1024


class SATNet(nn.Module):
    """A layer that completes a partly known assignment by a learned MAXSAT instance (Wang et al. 2019).

    Parameters
    ----------
    n, m, aux
        Variables, clauses, auxiliary variables that no input or output shows.
    k
        Rank; ceil(sqrt(2 (n + aux + 1))) + 1 if None.
    max_iter, tol
        Of the forward pass. A sample stops when the relative change of its objective is at most tol; 0 runs to
        ``max_iter`` or until nothing moves.
    method
        ``"block"``: all rows at once, the faster one on a GPU; ``"mixing"``: one after the other, far more
        progress per pass.
    cg_iter
        Iterations of conjugate gradients in the backward pass, which stops at a relative residual of 1e-10, in
        float32 of 1.2e-5, a hundred rounding units.
    damping
        Of the backward pass: this share of a sample's mean ||g_o|| is added to every ||g_o||. 0 gives the gradient at
        the fixed point. A forward pass that stops short of it leaves directions of hardly any or of negative
        curvature, which conjugate gradients blow up: on 9x9 boards 0.3 keeps the gradient one to learn from. (The
        authors' code adds 0.01 to every ||g_o||.)
    seed
        Of the parameter ``S`` (m, n + 1 + aux), N(0, 1) sqrt(0.5 / (n + 1 + aux + m)), and of the buffers: ``V0``
        (n + 1 + aux, k), the starting rows, row 0 the truth vector, and ``U`` (n, k), unit vectors orthogonal to it.

    Notes
    -----
    ``forward(z (..., n), known (..., n) bool) -> (..., n)``: known entries are returned as they came; unknown entries
    of z do not matter, and their gradient is exactly 0. The layer computes in the dtype of ``S``; the output has it too
    unless z has a wider one. The scale of ``S`` does not matter. The result of a sample depends on the rest of the
    batch by rounding alone; where that decides when the sample stops, by as much as the tolerance of the stopping test
    allows.
    The backward pass solves the linearized fixed-point equations by conjugate gradients and never looks at the
    iterations: it is the gradient where the forward pass converged (see ``residual``). It has no derivative of its
    own: asking for a second one raises ``RuntimeError``.

    Raises ``ValueError`` for sizes < 1, an unknown method, another last dimension, a mask that is not boolean, known
    entries outside [0, 1], and an ``S`` that is not finite.

    Examples
    --------
    >>> layer = SATNet(3, 8, aux=2)
    >>> layer(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([True, True, False])).shape
    torch.Size([3])
    """

    def __init__(
        self,
        n: int,
        m: int,
        aux: int = 0,
        *,
        k: int | None = None,
        max_iter: int = 40,
        tol: float = 1e-4,
        method: str = "block",
        cg_iter: int = 40,
        damping: float = 0.0,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype must be torch.float32 or torch.float64, got {dtype!r}")
        self.n, self.m = _validate.positive_int("n", n), _validate.positive_int("m", m)
        self.aux = _validate.positive_int("aux", aux, 0)
        self.k = default_rank(n + aux) if k is None else _validate.positive_int("k", k, 2)
        self.max_iter, self.tol = _validate.positive_int("max_iter", max_iter), _validate.real("tol", tol, 0)
        self.method = _validate.choice("method", method, METHODS)
        self.cg_iter = _validate.positive_int("cg_iter", cg_iter)
        self.damping = _validate.real("damping", damping, 0)
        seed = _validate.seed("seed", seed)
        columns = n + 1 + aux
        generator = torch.Generator().manual_seed(seed)
        S = torch.randn(m, columns, generator=generator, dtype=torch.float64, device="cpu") * math.sqrt(
            0.5 / (columns + m)
        )
        rows = starting_rows(columns + n, self.k, seed + 1)
        V0, U = rows[:columns], rows[columns:]
        U = U - (U @ V0[0])[:, None] * V0[0]
        self.S = nn.Parameter(S.to(dtype))
        self.register_buffer("V0", V0.to(dtype))
        self.register_buffer("U", (U / U.norm(dim=1, keepdim=True)).to(dtype))

    def extra_repr(self) -> str:
        """Sizes and method, for printing."""
        return f"n={self.n}, m={self.m}, aux={self.aux}, k={self.k}, method={self.method}, max_iter={self.max_iter}"

    def forward(self, z: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """(..., n) in [0, 1] and (..., n) bool -> (..., n)."""
        known = self._check(z, known)
        flat, mask = z.reshape(-1, self.n), known.reshape(-1, self.n)
        if not len(flat):
            return z.to(torch.promote_types(z.dtype, self.S.dtype)).clone()
        start, free = self._start(flat, mask)
        S = self._clauses()
        V = _FixedPoint.apply(S, start, free, self.method, self.max_iter, self.tol, self.cg_iter, self.damping)
        # The slope of arccos is infinite at the ends.
        limit = 1 - torch.finfo(V.dtype).eps
        cosine = -(V[1 : self.n + 1] @ self.V0[0]).T
        found = torch.arccos(cosine.clamp(-limit, limit)) / math.pi
        return torch.where(mask, flat, found).reshape(z.shape)

    @torch.no_grad()
    def residual(self, z: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """How far from its fixed point the forward pass ends: max over free rows of ||v + g/||g|| ||, (...)."""
        known = self._check(z, known)
        start, free = self._start(z.reshape(-1, self.n), known.reshape(-1, self.n))
        S = self._clauses()
        V, _ = ITERATIONS[self.method](S, start, free, self.max_iter, self.tol)
        return stationarity(S, V, free).reshape(z.shape[:-1])

    def _check(self, z: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        known = partly_known(z, known, self.n)
        _validate.finite(S=self.S)
        return known

    def _clauses(self) -> torch.Tensor:
        """S at an ordinary scale, of which the fixed point is independent; the guards of the iterations are not."""
        scale = binary_scale(self.S.flatten(), 0)
        ordinary = (scale >= 1 / ORDINARY) & (scale <= ORDINARY)
        return self.S / torch.where(ordinary, 1.0, scale)

    def _start(self, z: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows (n + 1 + aux, B, k) before the first iteration, and which of them are free (n + 1 + aux, B, 1)."""
        angle = math.pi * torch.where(known, z.to(self.S.dtype), 0.5).T[..., None]
        inputs = -torch.cos(angle) * self.V0[0] + torch.sin(angle) * self.U[:, None]
        mask = known.T[..., None]
        batch = z.shape[0]
        shown = torch.where(mask, inputs, self.V0[1 : self.n + 1, None])
        start = torch.cat(
            [self.V0[:1, None].expand(-1, batch, -1), shown, self.V0[self.n + 1 :, None].expand(-1, batch, -1)]
        )
        free = torch.ones(len(start), batch, 1, dtype=torch.bool, device=z.device)
        free[0] = False
        free[1 : self.n + 1] = ~mask
        return start, free


class _FixedPoint(torch.autograd.Function):
    """Rows at the fixed point g_o / ||g_o|| = -v_o, as a function of S and of the rows that are not free."""

    @staticmethod
    def forward(ctx, S, start, free, method, max_iter, tol, cg_iter, damping):
        V, _ = ITERATIONS[method](S.detach(), start.detach().contiguous(), free, max_iter, tol)
        ctx.save_for_backward(S, V, free)
        ctx.settings = cg_iter, damping
        return V

    @staticmethod
    def backward(ctx, grad):
        S, V, free = ctx.saved_tensors
        return *_Gradient.apply(S, V, free, grad, ctx.settings), None, None, None, None, None, None


class _Gradient(torch.autograd.Function):
    """The gradients of ``_FixedPoint`` by S and by the rows that are not free. Autograd cannot follow how u is found.

    ``once_differentiable`` would not do: ``autograd.grad`` by z alone passes its error by.
    """

    @staticmethod
    def forward(ctx, S, V, free, grad, settings):
        C = without_diagonal(S.mT @ S)
        U = -_solve(C, V, free, grad.contiguous(), *settings)
        M = U.flatten(1) @ V.flatten(1).T
        M.fill_diagonal_(0)
        return S @ (M + M.T), torch.where(free, 0.0, grad + (C @ U.flatten(1)).view_as(U))

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError("SATNet has no second derivative")


def _solve(
    C: torch.Tensor, V: torch.Tensor, free: torch.Tensor, grad: torch.Tensor, iterations: int, damping: float = 0.0
) -> torch.Tensor:
    """u with P_o(w_o u_o + sum_j C_oj u_j) = P_o grad_o on free rows, by conjugate gradients for every sample.

    w_o is ||g_o|| plus ``damping`` times its mean over the free rows. The scaling by 1 / w_o commutes with the
    projections P_o, which makes it a preconditioner for free.
    """
    residual = max(RELATIVE_RESIDUAL, RESIDUAL_UNITS * torch.finfo(V.dtype).eps)
    if all(map(_compiled.available, (C, V, grad))):
        return _compiled.Shared(C, free).solve(V, grad, iterations, damping, residual)

    def product(u: torch.Tensor) -> torch.Tensor:
        return (C @ u.flatten(1)).view_as(u)

    def tangent(x: torch.Tensor) -> torch.Tensor:
        return torch.where(free, x - torch.linalg.vecdot(x, V)[..., None] * V, 0.0)

    def inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vecdot(a, b).sum(0)

    weight = torch.where(free, torch.linalg.vector_norm(product(V), dim=-1, keepdim=True), 0.0)
    weight = weight + damping * weight.sum(0) / free.sum(0).clamp(min=1)
    scale = 1 / weight.clamp(min=1e-30).maximum(1e-3 * weight.amax(0))
    r = tangent(grad)
    u = torch.zeros_like(r)
    y = scale * r
    p, rho = y, inner(r, y)
    target = residual**2 * inner(r, r)
    go = torch.ones_like(target, dtype=torch.bool)
    for _ in range(iterations):
        Ap = tangent(weight * p + product(p))
        curvature = inner(p, Ap)
        # Past its target, or where the forward pass stopped short of a minimum, a sample keeps what it has for good.
        go = go & (inner(r, r) > target) & (curvature > 0)
        if not bool(go.any()):
            break
        alpha = torch.where(go, rho / torch.where(go, curvature, 1.0), 0.0)[:, None]
        u = u + alpha * p
        r = r - alpha * Ap
        y = scale * r
        new = inner(r, y)
        p = y + torch.where(go & (rho > 0), new / torch.where(rho > 0, rho, 1.0), 0.0)[:, None] * p
        rho = new
    return u
