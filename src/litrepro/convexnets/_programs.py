"""The convex program of a two-layer ReLU network, and the network that attains its optimum."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from litrepro import ConvergenceWarning
from litrepro.convexnets import _arguments, _interior


class ReluProgram(NamedTuple):
    """Blocks v, u (..., P, d); objective, violation, converged, iterations: numbers for one problem, else (...)."""

    v: Tensor
    u: Tensor
    objective: float | Tensor
    violation: float | Tensor
    converged: bool | Tensor
    iterations: int | Tensor


class ReluNetwork(NamedTuple):
    """Hidden weights W (m, d) and output weights a (m,) of x -> (x W')_+ a."""

    W: Tensor
    a: Tensor


class TwoLayer:
    """The maps of the program for ``X (N | 1, n, d)`` and ``patterns (N | 1, P, n)``; blocks v_1..v_P, u_1..u_P."""

    groups = 1

    def __init__(self, X: Tensor, patterns: Tensor):
        self.X, self.D = X, patterns.to(X.dtype)
        self.signs = 2 * self.D - 1
        # The cone does not change when its rows are scaled, its conditioning does.
        self.rows = X / X.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(X.dtype).tiny)
        self.outer = (self.rows[..., :, None] * self.rows[..., None, :]).flatten(-2)

    def forward(self, x: Tensor) -> Tensor:
        v, u = x.chunk(2, 1)
        return (((v - u) @ self.X.mT) * self.D).sum(1)

    def adjoint(self, v: Tensor) -> Tensor:
        g = (v[:, None, :] * self.D) @ self.X
        return torch.cat([g, -g], 1)

    def constrain(self, x: Tensor) -> Tensor:
        return ((x @ self.rows.mT).unflatten(1, (2, -1)) * self.signs[:, None]).flatten(1, 2)

    def constrain_adjoint(self, z: Tensor) -> Tensor:
        return (z.unflatten(1, (2, -1)) * self.signs[:, None]).flatten(1, 2) @ self.rows

    def gram(self, weights: Tensor) -> Tensor:
        d = self.X.shape[-1]
        return (weights @ self.outer).unflatten(-1, (d, d))

    def schur(self, inverse: Tensor) -> Tensor:
        v, u = inverse.chunk(2, 1)
        # v_i and u_i share F_i up to a sign: one factor for both halves the product.
        root = torch.linalg.cholesky_ex(v + u).L
        d = self.X.shape[-1]
        columns = self.X @ root.permute(0, 2, 1, 3).flatten(2)  # (N, n, P d)
        masked = columns.unflatten(-1, (-1, d)) * self.D.mT[..., None]
        masked = masked.flatten(-2)
        return masked @ masked.mT


def convex_relu_program(
    X: Tensor, y: Tensor, beta: float | Tensor, patterns: Tensor, *, max_iter: int = 5000, tol: float = 1e-6
) -> ReluProgram:
    """The convex program whose optimum is that of a two-layer ReLU network with weight decay.

    Minimize ||sum_i D_i X (v_i - u_i) - y||^2 / 2 + beta sum_i (||v_i|| + ||u_i||) subject to (2 D_i - I) X v_i >= 0
    and (2 D_i - I) X u_i >= 0, D_i = diag(patterns_i) (Pilanci and Ergen 2020, theorem 1). With all patterns of X, and
    enough neurons, the minimum equals that of ||(X W)_+ a - y||^2 / 2 + (beta / 2) (||W||^2 + ||a||^2).

    Parameters
    ----------
    X, y
        (..., n, d) inputs, floating point, and (..., n) targets, integers too; solved in float64 at least.
    beta
        Positive number, or a tensor of positive numbers (...): a whole path at once.
    patterns
        (..., P, n) bool, see ``activation_patterns``.
    max_iter
        Of the interior-point iteration, which needs about 15 to 40.
    tol
        Relative duality gap at which a problem is solved; it is certified by a feasible dual point.

    Returns
    -------
    ReluProgram
        Blocks that are zero at the optimum are exactly zero. ``violation`` is the largest entry of -(2 D_i - I) X v_i.

    Raises
    ------
    ValueError
        beta <= 0, shapes that do not fit, patterns that are not bool, values that are not finite.

    Examples
    --------
    >>> import torch
    >>> from litrepro.convexnets import activation_patterns, convex_relu_program
    >>> X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)
    >>> y = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    >>> found = convex_relu_program(X, y, 0.1, activation_patterns(X))
    >>> found.converged, round(found.objective, 4)
    (True, 0.32)
    """
    X, y, beta, patterns = _arguments.program(X, y, beta, patterns)
    max_iter, tol = _arguments.budget(max_iter, tol)
    shape = torch.broadcast_shapes(X.shape[:-2], y.shape[:-1], beta.shape, patterns.shape[:-2])
    count = shape.numel()
    flat_y = y.expand(*shape, y.shape[-1]).reshape(count, -1)
    flat_beta = beta.expand(shape).reshape(count)
    flat_X, flat_D = _arguments.flatten(X, shape, 2), _arguments.flatten(patterns, shape, 2)
    found = solve_scaled(lambda kappa: TwoLayer(flat_X / kappa, flat_D), flat_y, flat_beta, max_iter, tol)
    v, u = found.x.chunk(2, 1)
    true = TwoLayer(flat_X, flat_D)
    slack = ((found.x @ flat_X.mT).unflatten(1, (2, -1)) * true.signs[:, None]).flatten(1)
    violation = (-slack).amax(1).clamp(min=0)
    objective = _interior.value(true, flat_y, flat_beta, found.x)
    if not bool(found.converged.all()):
        gap = ((found.objective - found.lower) / found.objective.clamp(min=1e-300)).max().item()
        steps = found.iterations.max().item()
        message = f"the convex program stopped after {steps} iterations with a relative gap of {gap:.1e}"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    parts = (objective, violation, found.converged, found.iterations)
    if not shape:
        return ReluProgram(v[0], u[0], *(part.item() for part in parts))
    return ReluProgram(v.unflatten(0, shape), u.unflatten(0, shape), *(part.view(shape) for part in parts))


def solve_scaled(build, y: Tensor, beta: Tensor, max_iter: int, tol: float) -> _interior.Solution:
    """Solve in units in which ||y|| = 1 and beta is a fraction of the beta above which (without cones) all is zero.

    ``build(kappa)`` makes the blocks for inputs divided by kappa (N | 1, 1, 1).
    """
    one = torch.ones(1, 1, 1, dtype=y.dtype, device=y.device)
    norm = y.norm(dim=-1)
    plain = build(one)
    norm_or_one = torch.where(norm > 0, norm, 1.0)
    target = y / norm_or_one[:, None]
    kappa = plain.adjoint(target).unflatten(-1, (plain.groups, -1)).norm(dim=-1).amax((-1, -2))
    kappa = torch.where(kappa > 0, kappa, 1.0)
    blocks = build(kappa[:, None, None])
    found = _interior.solve(blocks, target, beta / (norm_or_one * kappa), max_iter=max_iter, tol=tol)
    square = norm_or_one**2
    return found._replace(
        x=found.x * (norm / kappa)[:, None, None], lower=found.lower * square, objective=found.objective * square
    )


def to_network(v: Tensor, u: Tensor) -> ReluNetwork:
    """The two-layer network of a solution of the convex program: one neuron per nonzero block.

    Parameters
    ----------
    v, u
        (P, d).

    Returns
    -------
    ``ReluNetwork``: W (m, d) and a (m,) with w = v / sqrt(||v||), a = sqrt(||v||), and a = -sqrt(||u||) for the blocks
    u, so that (X W')_+ a is the prediction and (||W||^2 + ||a||^2) / 2 the sum of norms. Raises ``ValueError`` for
    other shapes and values that are not finite.

    Examples
    --------
    >>> import torch
    >>> W, a = to_network(torch.tensor([[4.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 9.0]]))
    >>> W.tolist(), a.tolist()
    ([[2.0, 0.0], [0.0, 3.0]], [2.0, -3.0])
    """
    v, u = _arguments.pair("v", v, "u", u)
    blocks = torch.cat([v, u])
    signs = torch.cat([torch.ones_like(v[:, 0]), -torch.ones_like(u[:, 0])])
    norms = blocks.norm(dim=-1)
    live = norms > 0
    root = norms[live].sqrt()
    return ReluNetwork(blocks[live] / root[:, None], signs[live] * root)
