"""A primal-dual interior-point method for least squares with a sum of norms over polyhedral cones, many at once.

Minimize ||sum_b F_b x_b - y||^2 / 2 + beta sum_bj ||x_bj|| over x with A_b x_b >= 0, where block b of x consists of m
groups of length d. Both convex programs of ReLU networks have this form. The method is the standard one for quadratic
objectives over the nonnegative orthant and second-order cones (Nesterov-Todd scaling, Mehrotra's predictor and
corrector; Vandenberghe 2010, "The CVXOPT linear and quadratic cone program solvers"). What makes it fast here is the
structure of its linear systems: eliminating slacks and the heads of the cones leaves one small matrix per block, all
factorized as one batch, plus a term of rank n, which Woodbury's formula turns into one n x n system.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

REFINEMENTS = 2
STEP = 0.99  # fraction of the way to the boundary of the cones


class Blocks(Protocol):
    """The linear maps of a problem; N problems, B blocks of p = m d variables, n samples, q constraints per block."""

    groups: int

    def forward(self, x: Tensor) -> Tensor:
        """sum_b F_b x_b: (N, B, p) -> (N, n)."""

    def adjoint(self, v: Tensor) -> Tensor:
        """F_b' v: (N, n) -> (N, B, p)."""

    def constrain(self, x: Tensor) -> Tensor:
        """A_b x_b: (N, B, p) -> (N, B, q)."""

    def constrain_adjoint(self, z: Tensor) -> Tensor:
        """A_b' z_b: (N, B, q) -> (N, B, p)."""

    def gram(self, weights: Tensor) -> Tensor:
        """A_b' diag(weights) A_b: (N, B, q) -> (N, B, p, p)."""

    def schur(self, inverse: Tensor) -> Tensor:
        """sum_b F_b inverse_b F_b': (N, B, p, p) -> (N, n, n)."""


class Solution(NamedTuple):
    """Blocks x (N, B, p); certified lower bound (N,) of the optimum; primal value, flag and iterations (N,)."""

    x: Tensor
    lower: Tensor
    objective: Tensor
    converged: Tensor
    iterations: Tensor


class _State(NamedTuple):
    """Primal x and heads t, slacks s of A x, multipliers z of the slacks and (zt, zx) of the second-order cones."""

    x: Tensor
    t: Tensor
    s: Tensor
    z: Tensor
    zt: Tensor
    zx: Tensor

    def plus(self, step: Tensor, other: _State) -> _State:
        return _State(*(a + step.view(-1, *[1] * (a.ndim - 1)) * b for a, b in zip(self, other)))


def value(blocks: Blocks, y: Tensor, beta: Tensor, x: Tensor) -> Tensor:
    """The objective (N,) at x (N, B, p); ``beta (N,)``."""
    norms = x.unflatten(-1, (blocks.groups, -1)).norm(dim=-1).sum((-1, -2))
    return (blocks.forward(x) - y).square().sum(-1) / 2 + beta * norms


def lower_bound(blocks: Blocks, y: Tensor, beta: Tensor, v: Tensor, z: Tensor) -> Tensor:
    """A bound (N,) that no feasible x can beat, from any v (N, n) and z (N, B, q) >= 0.

    The dual maximizes v'y - ||v||^2 / 2 over ||(F_b'v + A_b'z_b)_j|| <= beta; (v, z) is scaled until it is feasible,
    and then for the best value.
    """
    g = blocks.adjoint(v) + blocks.constrain_adjoint(z)
    largest = g.unflatten(-1, (blocks.groups, -1)).norm(dim=-1).amax((-1, -2))
    square, product = v.square().sum(-1), (v * y).sum(-1)
    tiny = torch.finfo(v.dtype).tiny
    scale = torch.minimum(beta / largest.clamp(min=tiny), product / square.clamp(min=tiny)).clamp(min=0)
    return scale * product - scale**2 * square / 2


def solve(blocks: Blocks, y: Tensor, beta: Tensor, *, max_iter: int, tol: float) -> Solution:
    """Solve N problems at once; ``y (N, n)``, ``beta (N,)`` > 0, scaled so that y and the F_b'y are of order one.

    A problem stops when its duality gap is below ``tol`` times its objective and its constraints hold to ``tol`` times
    the size of its solution. Its trajectory does not depend on its neighbours.
    """
    state = _start(blocks, y, beta)
    best = Solution(
        torch.zeros_like(state.x),
        torch.zeros_like(beta),
        y.square().sum(-1) / 2,
        torch.zeros_like(beta, dtype=torch.bool),
        torch.zeros_like(beta, dtype=torch.long),
    )
    active = torch.ones_like(best.converged)
    for iteration in range(max_iter + 1):
        best = _judge(blocks, y, beta, state, best, active, tol, iteration)
        active = active & ~best.converged
        if iteration == max_iter or not bool(active.any()):
            break
        moved, usable = _iterate(blocks, y, beta, state)
        active = active & usable
        state = _State(
            *(torch.where(active.view(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(state, moved, strict=True))
        )
    return best


def _start(blocks: Blocks, y: Tensor, beta: Tensor) -> _State:
    g = blocks.adjoint(y)
    x = torch.zeros_like(g)
    s = torch.ones_like(blocks.constrain(x))
    t = torch.ones_like(x.unflatten(-1, (blocks.groups, -1))[..., 0])
    head = beta.view(-1, 1, 1) * t
    return _State(x, t, s, head[..., :1] * s, head, torch.zeros_like(x.unflatten(-1, (blocks.groups, -1))))


def _judge(blocks, y, beta, state: _State, best: Solution, active, tol: float, iteration: int) -> Solution:
    """The better of the incumbent and the current point, with blocks that complementarity calls zero set to zero."""
    x = _clean(blocks, state)
    feasible = (blocks.constrain(x) >= -tol * x.abs().amax((-1, -2))[:, None, None] - 1e-300).all(-1).all(-1)
    objective = value(blocks, y, beta, x)
    residual = y - blocks.forward(state.x)
    lower = torch.maximum(best.lower, lower_bound(blocks, y, beta, residual, state.z))
    better = active & feasible & (objective < best.objective)
    new_x = torch.where(better[:, None, None], x, best.x)
    new_objective = torch.where(better, objective, best.objective)
    lower = torch.where(active, lower, best.lower)
    done = best.converged | (active & (new_objective - lower <= tol * new_objective))
    steps = torch.where(active, torch.full_like(best.iterations, iteration), best.iterations)
    return Solution(new_x, lower, new_objective, done, steps)


def _clean(blocks: Blocks, state: _State) -> Tensor:
    """x without the groups whose norm is smaller, in proportion, than the slack of their multiplier."""
    slack = (state.zt - state.zx.norm(dim=-1)) / state.zt
    size = state.t / state.t.amax((-1, -2), keepdim=True)
    # A block of several groups is constrained as a whole: it is dropped or kept as a whole.
    keep = (size > slack).any(-1)
    return state.x * keep[..., None]


def _iterate(blocks: Blocks, y, beta, state: _State) -> tuple[_State, Tensor]:
    """One predictor-corrector step; also which problems could take one."""
    newton = _Newton(blocks, y, beta, state)
    zero = torch.zeros_like(beta)
    affine = newton.direction(zero, None)
    ahead = _longest(state, affine)
    sigma = (1 - ahead.clamp(max=1)) ** 3
    step = newton.direction(sigma, affine)
    length = (STEP * _longest(state, step)).clamp(max=1)
    usable = torch.stack([part.flatten(1).isfinite().all(1) for part in step]).all(0) & (length > 1e-10)
    step = _State(*(part.nan_to_num(0, 0, 0) for part in step))
    return state.plus(length.nan_to_num(0), step), usable


class _Newton:
    """The factorized system of one iteration."""

    def __init__(self, blocks: Blocks, y: Tensor, beta: Tensor, state: _State):
        self.blocks, self.state = blocks, state
        m = blocks.groups
        x = state.x.unflatten(-1, (m, -1))
        self.x, d = x, x.shape[-1]
        self.scaling = _Scaling(state.t, x, state.zt, state.zx)
        degree = state.s[0].numel() + state.t[0].numel()
        soc = (state.t * state.zt).sum((-1, -2)) + (x * state.zx).sum((-1, -2, -3))
        self.mu = ((state.s * state.z).sum((-1, -2)) + soc) / degree
        H = blocks.gram(state.z / state.s)
        cone = self.scaling.reduced()
        for j in range(m):
            H[..., j * d : (j + 1) * d, j * d : (j + 1) * d] += cone[..., j, :, :]
        jitter = torch.diag_embed(1e-14 * H.diagonal(dim1=-2, dim2=-1).amax(-1, keepdim=True).expand(H.shape[:-1]))
        # The shift keeps the factorization alive; refinement removes its effect.
        self.H, self.L = H, torch.linalg.cholesky_ex(H + jitter).L
        n = y.shape[-1]
        eye = torch.eye(n, dtype=y.dtype, device=y.device)
        self.K = torch.linalg.cholesky_ex(eye + blocks.schur(torch.cholesky_inverse(self.L))).L
        self.r_t = beta[:, None, None] - state.zt
        gradient = blocks.adjoint(blocks.forward(state.x) - y) - blocks.constrain_adjoint(state.z)
        self.r_x = gradient - state.zx.flatten(-2)
        self.r_s = state.s - blocks.constrain(state.x)

    def _solve(self, rhs: Tensor) -> Tensor:
        """(H + F'F)^{-1} rhs with iterative refinement."""
        x = self._woodbury(rhs)
        for _ in range(REFINEMENTS):
            applied = (self.H @ x[..., None])[..., 0] + self.blocks.adjoint(self.blocks.forward(x))
            x = x + self._woodbury(rhs - applied)
        return x

    def _woodbury(self, rhs: Tensor) -> Tensor:
        inner = torch.cholesky_solve(rhs[..., None], self.L)[..., 0]
        shift = torch.cholesky_solve(self.blocks.forward(inner)[..., None], self.K)[..., 0]
        return inner - torch.cholesky_solve(self.blocks.adjoint(shift)[..., None], self.L)[..., 0]

    def direction(self, sigma: Tensor, affine: _State | None) -> _State:
        """The step towards sigma mu; with ``affine`` its second-order term is corrected (and residuals shrink less)."""
        state, scaling = self.state, self.scaling
        target = (sigma * self.mu)[:, None, None]
        ds = state.s * state.z - target
        if affine is not None:
            ds = ds + affine.s * affine.z
        c_t, c_x = scaling.complement(target, affine, self.x.shape)
        keep = (1 - sigma).view(-1, 1, 1)
        r_t, r_x, r_s = keep * self.r_t, keep * self.r_x, keep * self.r_s
        b_t = -r_t - c_t
        b_x = -r_x - c_x.flatten(-2) - self.blocks.constrain_adjoint((ds - state.z * r_s) / state.s)
        n_tt, n_tx = scaling.head()
        dx = self._solve(b_x - (n_tx * (b_t / n_tt)[..., None]).flatten(-2))
        gx = dx.unflatten(-1, (self.blocks.groups, -1))
        dt = (b_t - (n_tx * gx).sum(-1)) / n_tt
        d_s = self.blocks.constrain(dx) - r_s
        dz = (-ds - state.z * d_s) / state.s
        nt, nx = scaling.square(dt, gx)
        return _State(dx, dt, d_s, dz, -c_t - nt, -c_x - nx)


class _Scaling:
    """Nesterov-Todd scaling of second-order cones (..., m): points (t, x) and multipliers (zt, zx)."""

    def __init__(self, t: Tensor, x: Tensor, zt: Tensor, zx: Tensor):
        s_norm, z_norm = _hyperbolic(t, x).sqrt(), _hyperbolic(zt, zx).sqrt()
        st, sx, ut, ux = t / s_norm, x / s_norm[..., None], zt / z_norm, zx / z_norm[..., None]
        gamma = ((1 + st * ut + (sx * ux).sum(-1)) / 2).sqrt()
        self.w1 = (sx - ux) / (2 * gamma)[..., None]
        self.w0 = (1 + self.w1.square().sum(-1)).sqrt()
        self.eta = (s_norm / z_norm).sqrt()
        self.lt, self.lx = self._apply(zt, zx, 1.0)

    def _apply(self, t: Tensor, x: Tensor, sign: float) -> tuple[Tensor, Tensor]:
        """W (sign 1) or its inverse (sign -1)."""
        scale = self.eta**sign
        inner = (self.w1 * x).sum(-1)
        head = self.w0 * t + sign * inner
        tail = x + (inner / (1 + self.w0) + sign * t)[..., None] * self.w1
        return scale * head, scale[..., None] * tail

    def square(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """W^{-2} = eta^{-2} (2 (Jw)(Jw)' - J)."""
        inner = 2 * (self.w0 * t - (self.w1 * x).sum(-1))
        scale = self.eta**-2
        return scale * (inner * self.w0 - t), scale[..., None] * (x - inner[..., None] * self.w1)

    def head(self) -> tuple[Tensor, Tensor]:
        """The entry and the row of W^{-2} that belong to t."""
        scale = self.eta**-2
        return scale * (2 * self.w0**2 - 1), -2 * (scale * self.w0)[..., None] * self.w1

    def reduced(self) -> Tensor:
        """W^{-2} after t is eliminated, (..., d, d)."""
        w = self.w1
        eye = torch.eye(w.shape[-1], dtype=w.dtype, device=w.device)
        weight = 2 / (1 + 2 * w.square().sum(-1))
        outer = (weight[..., None] * w)[..., :, None] * w[..., None, :]
        return (self.eta**-2)[..., None, None] * (eye - outer)

    def complement(self, target: Tensor, affine: _State | None, shape) -> tuple[Tensor, Tensor]:
        """W^{-1} (lambda \\ d) for d = lambda o lambda - target e + (W^{-1} ds) o (W dz)."""
        lt, lx = self.lt, self.lx
        dt, dx = lt**2 + lx.square().sum(-1) - target, 2 * lt[..., None] * lx
        if affine is not None:
            at, ax = self._apply(affine.t, affine.x.view(shape), -1.0)
            bt, bx = self._apply(affine.zt, affine.zx, 1.0)
            dt = dt + at * bt + (ax * bx).sum(-1)
            dx = dx + at[..., None] * bx + bt[..., None] * ax
        ct = (lt * dt - (lx * dx).sum(-1)) / _hyperbolic(lt, lx)
        cx = (dx - ct[..., None] * lx) / lt[..., None]
        return self._apply(ct, cx, -1.0)


def _hyperbolic(t: Tensor, x: Tensor) -> Tensor:
    """t^2 - ||x||^2 without cancellation in the squares."""
    norm = x.norm(dim=-1)
    return ((t - norm) * (t + norm)).clamp(min=torch.finfo(t.dtype).tiny)


def _longest(state: _State, step: _State) -> Tensor:
    """The largest multiple (N,) of the step that stays in the cones."""
    shape = state.zx.shape
    limits = [
        _ray(state.s, step.s),
        _ray(state.z, step.z),
        _cone(state.t, state.x.view(shape), step.t, step.x.view(shape)),
        _cone(state.zt, state.zx, step.zt, step.zx),
    ]
    return torch.stack([part.flatten(1).amin(1) for part in limits]).amin(0)


def _ray(s: Tensor, ds: Tensor) -> Tensor:
    return torch.where(ds < 0, -s / ds, torch.inf)


def _cone(t: Tensor, x: Tensor, dt: Tensor, dx: Tensor) -> Tensor:
    a = dt**2 - dx.square().sum(-1)
    b = t * dt - (x * dx).sum(-1)
    c = _hyperbolic(t, x)
    root = b**2 - a * c
    denominator = root.clamp(min=0).sqrt() - b
    return torch.where((root >= 0) & (denominator > 0), c / denominator, torch.inf)
