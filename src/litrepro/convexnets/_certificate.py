"""How far a trained two-layer ReLU network can be from the global optimum: a proof from the convex dual."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from litrepro import _validate
from litrepro.convexnets import _arguments


class Certificate(NamedTuple):
    """Objective of the network after rescaling, a lower bound of the optimum over all widths, their difference."""

    objective: Tensor
    lower: Tensor
    gap: Tensor


def relu_support(X: Tensor, v: Tensor, patterns: Tensor, *, iterations: int = 40) -> Tensor:
    """An upper bound of max |v'(X u)_+| over ||u|| <= 1, tight to rounding: ``X (n, d)``, ``v (..., n)`` -> (...).

    In the cell of pattern i the maximum of +-v'D_i X u is the norm of the projection of +-X'D_i v on a cone, which is
    the minimum over z >= 0 of ||+-X'D_i v + X'(2 D_i - I) z||. Every z >= 0 gives a bound; an interior-point method
    finds good ones for all cells at once. ``patterns (P, n)`` must be all patterns of X for the bound to hold over
    all u. Raises ``ValueError`` for shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> from litrepro.convexnets import activation_patterns
    >>> X = torch.eye(2, dtype=torch.float64)
    >>> round(relu_support(X, torch.tensor([3.0, -4.0], dtype=torch.float64), activation_patterns(X)).item(), 6)
    4.0
    """
    X, v = _arguments.data(X, v, names=("X", "v"))
    patterns, iterations = _cells(X, patterns, iterations)
    shape, v = v.shape[:-1], v.reshape(-1, v.shape[-1])
    if not len(v):
        return v.new_zeros(shape)
    return torch.stack([_support(X, one, patterns.to(X.device), iterations) for one in v]).view(shape)


def _cells(X: Tensor, patterns: Any, iterations: Any) -> tuple[Tensor, int]:
    """Patterns (P >= 1, n) of X (n, d), and a number of iterations."""
    patterns = _validate.boolean_tensor("patterns", patterns, 2)
    if X.ndim != 2 or patterns.shape[1:] != (len(X),) or len(patterns) < 1:
        got = f"{tuple(X.shape)}, {tuple(patterns.shape)}"
        raise ValueError(f"X must be (n, d) and patterns (P, n) with P >= 1, got {got}")
    return patterns, _validate.positive_int("iterations", iterations)


def _support(X: Tensor, v: Tensor, patterns: Tensor, iterations: int) -> Tensor:
    g = (patterns * v) @ X
    g, D = torch.cat([g, -g]), torch.cat([patterns, patterns])
    rows = X / X.norm(dim=1, keepdim=True).clamp(min=torch.finfo(X.dtype).tiny)
    # What a unit vector attains bounds the maximum from below: cells that cannot exceed it need not be refined.
    directions = g / g.norm(dim=1, keepdim=True).clamp(min=torch.finfo(X.dtype).tiny)
    floor = ((directions @ X.T).clamp(min=0) @ v).abs().max()
    norms = g.norm(dim=1)
    open_cells = norms > floor * (1 + 1e-12)
    if not bool(open_cells.any()):
        return floor
    signs = 2 * D[open_cells].to(X.dtype) - 1
    norms = norms[open_cells]
    bounds = norms * _projected_norms(directions[open_cells], signs, rows, iterations, floor / norms)
    return torch.maximum(floor, bounds.max())


def _projected_norms(g: Tensor, signs: Tensor, rows: Tensor, iterations: int, enough: Tensor) -> Tensor:
    """Upper bounds of the norms of the projections of unit vectors g (C, d) on {x: signs_c * (rows x) >= 0}.

    min ||x - g||^2 / 2 subject to s = C x >= 0, multipliers z: primal-dual steps with Mehrotra's corrector, one d x d
    system per cell. The norm of g + C'z is a bound at every step; the least is returned. A cell leaves
    when its bound is down to ``enough (C,)``.
    """
    outer = (rows[:, :, None] * rows[:, None, :]).flatten(1)
    eye = torch.eye(g.shape[1], dtype=g.dtype, device=g.device)
    x, s, z = g.clone(), torch.ones_like(signs), torch.ones_like(signs)
    best, index = torch.ones_like(g[:, 0]), torch.arange(len(g), device=g.device)
    for _ in range(iterations):
        up = (z * signs) @ rows
        best[index] = torch.minimum(best[index], (g + up).norm(dim=1))
        left = (best[index] > enough[index]).nonzero()[:, 0]
        if len(left) < len(index):
            index, g, signs, x, s, z, up = (part[left] for part in (index, g, signs, x, s, z, up))
        if not len(left):
            break
        r_x, r_s, mu = x - g - up, s - signs * (x @ rows.T), (s * z).mean(1, keepdim=True)
        if float(mu.max()) < 1e-13:
            break
        L = torch.linalg.cholesky_ex(eye + ((z / s) @ outer).unflatten(1, eye.shape)).L

        def direction(complement: Tensor, signs=signs, L=L, r_x=r_x, r_s=r_s, s=s, z=z) -> tuple[Tensor, ...]:
            rhs = -r_x - (signs * (complement - z * r_s) / s) @ rows
            dx = torch.cholesky_solve(rhs[:, :, None], L)[:, :, 0]
            ds = signs * (dx @ rows.T) - r_s
            return dx, ds, -(complement + z * ds) / s

        _, ds, dz = direction(s * z)
        sigma = (1 - _length(s, ds, z, dz)).clamp(min=0) ** 3
        dx, ds, dz = direction(s * z + ds * dz - sigma * mu)
        length = 0.99 * _length(s, ds, z, dz)
        # A cell at its limit of precision stays where it is.
        length = torch.where((mu > 1e-13) & length.isfinite(), length, torch.zeros_like(length))
        x, s, z = x + length * dx.nan_to_num(), s + length * ds.nan_to_num(), z + length * dz.nan_to_num()
    return best


def _length(s: Tensor, ds: Tensor, z: Tensor, dz: Tensor) -> Tensor:
    """The longest step (C, 1), at most 1 / 0.99, that keeps s and z nonnegative."""
    ratio = torch.maximum(-ds / s, -dz / z).amax(1, keepdim=True)
    return 1 / ratio.clamp(min=0.99)


def optimality_gap(
    X: Tensor, y: Tensor, beta: float, W: Tensor, a: Tensor, patterns: Tensor, *, iterations: int = 40
) -> Certificate:
    """Prove how close trained networks are to the best network of any width.

    The objective is ||(X W')_+ a - y||^2 / 2 + (beta / 2)(||W||^2 + ||a||^2), taken after every neuron is rescaled so
    that ||w_j|| = |a_j|, which costs nothing. The residual v = y - (X W')_+ a, scaled until max |v'(X u)_+| <= beta
    over the unit ball, is feasible in the dual max v'y - ||v||^2 / 2 and bounds the optimum from below.

    Parameters
    ----------
    X, y, beta
        (n, d), (n,), positive: a number, or of a shape that broadcasts with the batch of networks.
    W, a
        (..., m, d) and (..., m): many networks at once.
    patterns
        (P, n) bool: all patterns of X (``activation_patterns``), else the bound holds for those patterns only.

    Returns
    -------
    Certificate
        Tensors of batch shape.

    Raises
    ------
    ValueError
        beta <= 0, shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> from litrepro.convexnets import activation_patterns
    >>> X, y = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64)
    >>> W, a = torch.tensor([[0.9**0.5, 0.0]], dtype=torch.float64), torch.tensor([0.9**0.5], dtype=torch.float64)
    >>> bool(optimality_gap(X, y, 0.1, W, a, activation_patterns(X)).gap < 1e-9)
    True
    """
    X, y = _arguments.data(X, y)
    beta = _arguments.positive("beta", beta, X)
    W, a = _arguments.double("W", W, 2), _arguments.double("a", a, 1)
    if X.ndim != 2 or y.ndim != 1 or W.shape[:-1] != a.shape or W.shape[-1] != X.shape[1]:
        got = f"{tuple(X.shape)}, {tuple(y.shape)}, {tuple(W.shape)}, {tuple(a.shape)}"
        raise ValueError(f"expected X (n, d), y (n,), W (..., m, d), a (..., m), got {got}")
    _validate.broadcast(beta=beta.shape, W=W.shape[:-2])
    patterns, iterations = _cells(X, patterns, iterations)
    residual = y - ((X @ W.mT).clamp(min=0) @ a[..., None])[..., 0]
    objective = residual.square().sum(-1) / 2 + beta * (W.norm(dim=-1) * a.abs()).sum(-1)
    support = relu_support(X, residual, patterns, iterations=iterations)
    square, product = residual.square().sum(-1).clamp(min=1e-300), (residual * y).sum(-1)
    scale = torch.minimum(beta / support.clamp(min=1e-300), product / square).clamp(min=0)
    lower = scale * product - scale**2 * square / 2
    return Certificate(objective, lower, objective - lower)
