"""Products with the generalized Gauss-Newton matrix, and the L-BFGS two-loop recursion for a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.func import grad, jvp, vjp

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro.optim.curvature._estimators import one_number


def gauss_newton_product(
    model: Callable[[torch.Tensor], torch.Tensor],
    loss: Callable[[torch.Tensor], torch.Tensor],
    params: torch.Tensor,
    v: torch.Tensor,
) -> torch.Tensor:
    """Product J' L J v with the generalized Gauss-Newton matrix; no matrix is formed (Martens and Sutskever 2011).

    J is the Jacobian of ``model`` at ``params``, L the Hessian of ``loss`` at its outputs: forward mode, reverse over
    reverse, reverse mode. Positive semidefinite where ``loss`` is convex; the Hessian itself where the residual is 0.

    Parameters
    ----------
    model
        (d,) to outputs of any shape, differentiable in forward mode.
    loss
        Outputs to ().
    params, v
        (d,), of one shape.

    Returns
    -------
    (d,). Raises ``ValueError`` if the shapes or dtypes differ, ``model`` or ``loss`` cannot be called
    or ``loss`` does not return one number.

    Notes
    -----
    For many vectors or many models map it with ``torch.func.vmap``.

    Examples
    --------
    >>> gauss_newton_product(lambda w: w**2, lambda u: u.square().sum() / 2, torch.ones(2), torch.ones(2)).tolist()
    [4.0, 4.0]
    """
    _validate.float_tensor("params", params, 1)
    if not isinstance(v, torch.Tensor) or v.shape != params.shape:
        found = tuple(v.shape) if isinstance(v, torch.Tensor) else type(v).__name__
        raise ValueError(f"v must have the shape of params, {tuple(params.shape)}; got {found}")
    _validate.same_kind(params=params, v=v)
    outputs = _validate.answer("model", model, params.detach())
    if not isinstance(outputs, torch.Tensor):
        raise ValueError(f"model must return a tensor, got {type(outputs).__name__}")
    one_number(_validate.answer("loss", loss, outputs))
    return product(model, loss, params, v)


def product(model, loss, params: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """``gauss_newton_product`` without checks, for use under ``vmap``."""
    outputs, along = jvp(model, (params,), (v,))
    _, curve = vjp(grad(loss), outputs)  # the Hessian is symmetric, and torch writes forward over reverse in Python
    _, back = vjp(model, params)
    return back(*curve(along))[0]


def lbfgs_direction(
    grad: torch.Tensor, s: torch.Tensor, y: torch.Tensor, *, gamma: float | torch.Tensor | None = None
) -> torch.Tensor:
    """H g for the L-BFGS inverse Hessian of m pairs: the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4).

    Parameters
    ----------
    grad
        (..., d).
    s, y
        (..., m, d): steps and changes of the gradient, oldest first, with s_i.y_i > 0. The leading dimensions of
        gradients and pairs broadcast.
    gamma
        H_0 = gamma I; a positive number, or a tensor of them that broadcasts to the leading dimensions. Default:
        s_m.y_m / y_m.y_m; 1 for m = 0.

    Returns
    -------
    (..., d), a descent direction after a change of sign. With g = y_m it is s_m. Raises ``ValueError`` for shapes that
    do not fit, gamma <= 0, and a pair with s_i.y_i <= 0.

    Examples
    --------
    >>> s, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 1.0]])
    >>> lbfgs_direction(y[0], s, y).tolist()
    [1.0, 0.0]
    """
    _validate.float_tensor("grad", grad, 1)
    for name, value in (("s", s), ("y", y)):
        _validate.float_tensor(name, value, 2)
    shapes = [tuple(value.shape) for value in (grad, s, y)]
    try:
        batch = torch.broadcast_shapes(grad.shape[:-1], s.shape[:-2])
    except RuntimeError:
        batch = None
    if s.shape != y.shape or batch is None or s.shape[-1] != grad.shape[-1]:
        raise ValueError(f"need grad (..., d) and s, y (..., m, d), got {shapes[0]}, {shapes[1]} and {shapes[2]}")
    grad, s, y = grad.expand(*batch, -1), s.expand(*batch, -1, -1), y.expand(*batch, -1, -1)
    _validate.same_kind(grad=grad, s=s, y=y)
    curvature = (s * y).sum(-1)
    if not bool(((curvature > 0) & torch.isfinite(curvature)).all()):
        raise ValueError(f"every pair needs a finite s.y > 0, the smallest is {curvature.min().item():.3g}")
    if gamma is None:
        gamma = _last_scale(curvature[..., -1], y[..., -1, :]) if s.shape[-2] else 1.0
    elif not isinstance(gamma, torch.Tensor) or gamma.ndim == 0:
        gamma = _validate.real("gamma", gamma, 0, open_low=True)
    elif gamma.is_complex() or not bool(((gamma > 0) & torch.isfinite(gamma)).all()):
        raise ValueError(f"gamma must be real, positive and finite, got {gamma}")
    scale = torch.as_tensor(gamma, dtype=grad.dtype, device=grad.device)
    try:
        scale = scale.expand(grad.shape[:-1])
    except RuntimeError:
        raise ValueError(f"gamma must fit {tuple(grad.shape[:-1])}, got {tuple(scale.shape)}") from None
    return _two_loop(grad, s.unbind(-2), y.unbind(-2), (1 / curvature).unbind(-1), scale)


def _last_scale(curvature: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """s.y / y.y, (...), also where the squares of y are 0 or inf."""
    scale = binary_scale(y, -1)
    return curvature / scale[..., 0] / (y / scale).square().sum(-1) / scale[..., 0]


def _two_loop(g: torch.Tensor, s, y, rho, scale: torch.Tensor) -> torch.Tensor:
    """The recursion on m pairs (..., d), oldest first; rho_i (...) is 1/s.y, ``scale`` (...) gamma."""
    alphas: list[torch.Tensor] = []
    for a, b, r in zip(reversed(s), reversed(y), reversed(rho)):
        alpha = r * (a * g).sum(-1)
        g = torch.addcmul(g, alpha[..., None], b, value=-1)
        alphas.append(alpha)
    g = scale[..., None] * g
    for a, b, r, alpha in zip(s, y, rho, reversed(alphas)):
        beta = r * (b * g).sum(-1)
        g = torch.addcmul(g, (alpha - beta)[..., None], a)
    return g
