"""Gauss-Newton steps whose linear system is solved by a few conjugate-gradient steps, on part of the data."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import func

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.optim.curvature import gauss_newton_product


def conjugate_gradient(
    matvec: Callable[[torch.Tensor], torch.Tensor], b: torch.Tensor, *, steps: int, tol: float = 0.0
) -> torch.Tensor:
    """Solve A x = b for symmetric positive definite A by at most ``steps`` products, from zero, a batch at once.

    Parameters
    ----------
    matvec
        (..., d) to (..., d).
    b
        (..., d).
    tol
        A batch entry stops when its residual is at most tol ||b||.

    Returns
    -------
    (..., d). Raises ``ValueError`` for steps < 1 or tol < 0.

    Examples
    --------
    >>> conjugate_gradient(lambda v: torch.tensor([1.0, 2.0]) * v, torch.ones(2), steps=2).tolist()
    [1.0, 0.5]
    """
    _validate.float_tensor("b", b, 1)
    steps, tol = _validate.positive_int("steps", steps), _validate.real("tol", tol, 0)
    x, r, p = torch.zeros_like(b), b, b
    rr = r.square().sum(-1)
    # Past rounding a residual only makes noise.
    goal = max(tol, torch.finfo(b.dtype).eps) ** 2 * rr
    for _ in range(steps):
        active = rr > goal
        if not bool(active.any()):
            break
        product = matvec(p)
        curvature = (p * product).sum(-1)
        active = active & (curvature > 0)
        alpha = torch.where(active, rr / torch.where(active, curvature, 1.0), 0.0)
        x, r = x + alpha[..., None] * p, r - alpha[..., None] * product
        new = r.square().sum(-1)
        beta = torch.where(active, new / torch.where(active, rr, 1.0), 0.0)
        p, rr = r + beta[..., None] * p, torch.where(active, new, 0.0)
    return x


class GaussNewtonRun(NamedTuple):
    """``w (d,)``, relative gradient norms ``gradients (outer + 1,)``, whether it ``converged``, ``products`` used."""

    w: torch.Tensor
    gradients: torch.Tensor
    converged: bool
    products: int


def gauss_newton_cg(
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    w0: torch.Tensor,
    data: tuple[torch.Tensor, torch.Tensor],
    *,
    cg_steps: int,
    sample: int | None = None,
    damping: float = 1e-3,
    decay: float = 0.0,
    tol: float = 1e-3,
    outer: int = 50,
    seed: int = 0,
) -> GaussNewtonRun:
    """Hessian-free Gauss-Newton (Martens and Sutskever 2011): full gradient, damped products on ``sample`` rows.

    Each outer step solves (GGN + (decay + damping) I) delta = gradient by ``cg_steps`` products and halves the step
    until the loss falls enough (Armijo, 1e-4).

    Parameters
    ----------
    model, loss, data
        As ``sqgn``.
    sample
        Rows of a fresh random sub-sample for the curvature of each step; all if None.
    decay
        Coefficient of ||w||^2/2 in the objective.
    tol, outer
        Stop when the gradient norm is tol times that of the start, or after ``outer`` steps.

    Raises ``ValueError`` for counts < 1, sample above n, and negative damping, decay or tol. Warns with
    ``litrepro.ConvergenceWarning`` if the tolerance is not reached.

    Examples
    --------
    >>> x = torch.eye(3)
    >>> run = gauss_newton_cg(lambda w, x: (x * w).sum(-1, keepdim=True), lambda u, y: ((u - y) ** 2).mean(),
    ...                       torch.zeros(3), (x, torch.ones(3, 1)), cg_steps=3)
    >>> run.converged
    True
    """
    x, y = data
    cg_steps, outer = _validate.positive_int("cg_steps", cg_steps), _validate.positive_int("outer", outer)
    damping, decay, tol = (_validate.real(name, value, 0) for name, value in
                           (("damping", damping), ("decay", decay), ("tol", tol)))  # fmt: skip
    sample = len(x) if sample is None else _validate.positive_int("sample", sample)
    if sample > len(x) or len(x) != len(y):
        raise ValueError(f"need sample <= n and x, y of one length, got {sample}, {len(x)} and {len(y)}")

    def objective(w: torch.Tensor) -> torch.Tensor:
        return loss(model(w, x), y) + decay / 2 * w.square().sum()

    gradient = func.grad(objective)
    generator = torch.Generator().manual_seed(seed)
    w, g = w0, gradient(w0)
    first, products = g.norm(), 0
    norms = [torch.ones_like(first)]
    while norms[-1] > tol and len(norms) <= outer:
        rows = torch.randperm(len(x), generator=generator)[:sample].to(x.device)
        inputs, targets = (x, y) if sample == len(x) else (x[rows], y[rows])

        def matvec(v: torch.Tensor, w=w, inputs=inputs, targets=targets) -> torch.Tensor:
            curved = gauss_newton_product(lambda at: model(at, inputs), lambda out: loss(out, targets), w, v)
            return curved + (damping + decay) * v

        step = conjugate_gradient(matvec, g, steps=cg_steps)
        products += cg_steps
        size, value, slope = 1.0, objective(w), (g @ step).item()
        while size > 1e-6 and not objective(w - size * step) <= value - 1e-4 * size * slope:
            size /= 2
        w = w - size * step
        g = gradient(w)
        norms.append(g.norm() / first)
    converged = bool(norms[-1] <= tol)
    if not converged:
        message = f"gauss_newton_cg: gradient {norms[-1].item():.2g} of its start after {outer} steps, wanted {tol:g}"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return GaussNewtonRun(w.detach(), torch.stack(norms).detach(), converged, products)
