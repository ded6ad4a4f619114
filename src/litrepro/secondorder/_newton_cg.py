"""Gauss-Newton steps whose linear system is solved by a few conjugate-gradient steps, on part of the data."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.func import vmap

from litrepro import _validate, runtime
from litrepro._warnings import ConvergenceWarning
from litrepro.secondorder import _arguments


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
    _validate.function("matvec", matvec)
    _validate.float_tensor("b", b, 1)
    steps, tol = _validate.positive_int("steps", steps), _validate.real("tol", tol, 0)
    return _solve(matvec, b, steps, tol)[0]


def _solve(matvec, b: torch.Tensor, steps: int, tol: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The solution (..., d) and the products that each entry of the batch needed (...)."""
    x, r, p = torch.zeros_like(b), b, b
    products = torch.zeros(b.shape[:-1], dtype=torch.int64, device=b.device)
    rr = r.square().sum(-1)
    # Past rounding a residual only makes noise.
    goal = max(tol, torch.finfo(b.dtype).eps) ** 2 * rr
    for _ in range(steps):
        active = rr > goal
        if not bool(active.any()):
            break
        products = products + active
        product = matvec(p)
        curvature = (p * product).sum(-1)
        active = active & (curvature > 0)
        alpha = torch.where(active, rr / torch.where(active, curvature, 1.0), 0.0)
        x, r = x + alpha[..., None] * p, r - alpha[..., None] * product
        new = r.square().sum(-1)
        beta = torch.where(active, new / torch.where(active, rr, 1.0), 0.0)
        p, rr = r + beta[..., None] * p, torch.where(active, new, 0.0)
    return x, products


class GaussNewtonRun(NamedTuple):
    """``w (..., d)``, relative gradient norms ``gradients (outer + 1, ...)``, ``converged``, ``outer``, ``products``.

    Whether a trial converged, the outer steps that it took, and its curvature products: a bool and two ints for one
    trial, tensors (...) for several. A trial that is done keeps its last gradient norm.
    """

    w: torch.Tensor
    gradients: torch.Tensor
    converged: bool | torch.Tensor
    outer: int | torch.Tensor
    products: int | torch.Tensor


def gauss_newton_cg(
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    w0: torch.Tensor,
    data: tuple[torch.Tensor, torch.Tensor],
    *,
    cg_steps: int,
    cg_tol: float = 0.0,
    sample: int | None = None,
    damping: float = 1e-3,
    decay: float = 0.0,
    tol: float = 1e-3,
    outer: int = 50,
    seed: int = 0,
) -> GaussNewtonRun:
    """Hessian-free Gauss-Newton (Martens and Sutskever 2011): full gradient, damped products on ``sample`` rows.

    Each outer step solves (GGN + (decay + damping) I) delta = gradient by conjugate gradients and halves the step until
    the loss falls enough (Armijo, 1e-4). Independent trials run as one batch.

    Parameters
    ----------
    model, loss, data
        As ``sqgn``; the model is mapped over trials by ``torch.func.vmap``.
    w0
        (d,), or (..., d) for independent trials.
    cg_steps, cg_tol
        An inner solve ends after so many products, or when its residual is at most cg_tol of the gradient.
    sample
        Rows of a fresh random sub-sample for the curvature of each step and trial; all if None.
    decay
        Coefficient of ||w||^2/2 in the objective.
    tol, outer
        Stop when the gradient norm is tol times that of the start, or after ``outer`` steps.

    Raises ``ValueError`` for counts < 1, sample above n, negative damping, decay or tolerances, data of different
    lengths, a model that does not take them, and a loss that is not one number. Warns with
    ``litrepro.ConvergenceWarning`` if the tolerance is not reached.

    Examples
    --------
    >>> x = torch.eye(3)
    >>> run = gauss_newton_cg(lambda w, x: (x * w).sum(-1, keepdim=True), lambda u, y: ((u - y) ** 2).mean(),
    ...                       torch.zeros(2, 3), (x, torch.ones(3, 1)), cg_steps=3)
    >>> run.converged.tolist(), run.w.shape
    ([True, True], torch.Size([2, 3]))
    """
    x, y = _arguments.task(model, loss, _arguments.trials(w0), data)
    seed = _validate.seed("seed", seed)
    cg_steps, outer = _validate.positive_int("cg_steps", cg_steps), _validate.positive_int("outer", outer)
    reals = {"damping": damping, "decay": decay, "tol": tol, "cg_tol": cg_tol}
    damping, decay, tol, cg_tol = (_validate.real(name, value, 0) for name, value in reals.items())
    sample = len(x) if sample is None else _validate.positive_int("sample", sample)
    if sample > len(x):
        raise ValueError(f"sample must not exceed the {len(x)} rows, got {sample}")

    def objective(w: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return loss(model(w, inputs), targets) + decay / 2 * w.square().sum()

    value_of = vmap(objective, in_dims=(0, None, None))
    w = w0.detach().reshape(-1, w0.shape[-1]).clone()
    streams = runtime.streams(seed, len(w))
    g = _gradient(value_of, w, x, y)
    first = g.norm(dim=-1)
    norms = [torch.ones_like(first)]
    steps = torch.zeros(len(w), dtype=torch.int64, device=w.device)
    products = torch.zeros_like(steps)
    for _ in range(outer):
        at = (norms[-1] > tol).nonzero()[:, 0]  # the trials that still move
        if not len(at):
            break
        picked = None
        if sample < len(x):
            picked = torch.stack(
                [torch.randperm(len(x), generator=streams[t], device="cpu")[:sample] for t in at.tolist()]
            ).to(x.device)
        curvature = _linearized(model, loss, w[at], x, y, picked)
        step, used = _solve(lambda v, c=curvature: c(v) + (damping + decay) * v, g[at], cg_steps, cg_tol)
        w[at] = _line_search(lambda v: value_of(v, x, y), w[at], step, (g[at] * step).sum(-1))
        g[at] = _gradient(value_of, w[at], x, y)
        steps[at], products[at] = steps[at] + 1, products[at] + used
        norms.append(g.norm(dim=-1) / first)
    converged = norms[-1] <= tol
    if not bool(converged.all()):
        worst = norms[-1].max().item()
        message = f"gauss_newton_cg: gradient {worst:.2g} of its start after {outer} steps, wanted {tol:g}"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    path = torch.stack(norms)
    if w0.ndim == 1:
        return GaussNewtonRun(w[0], path[:, 0], bool(converged[0]), int(steps[0]), int(products[0]))
    shape = w0.shape[:-1]
    found = (part.reshape(shape) for part in (converged, steps, products))
    return GaussNewtonRun(w.reshape(w0.shape), path.reshape(-1, *shape), *found)


def _gradient(value_of, w, x, y):
    """Trials share no weight: the gradient of the sum of their objectives holds that of each."""
    weights = w.detach().requires_grad_()
    return torch.autograd.grad(value_of(weights, x, y).sum(), weights)[0]


def _linearized(model, loss, w, x, y, rows):
    """Function of v (T, d): Gauss-Newton products at w, on data shared by the trials or on ``rows`` (T, b) of them.

    The conjugate-gradient steps of one solve stay at one point, so that the graph is built once and the model is not
    evaluated again. J v is the derivative of J' u, which is linear in u, with respect to u.
    """
    dims = (0, None, None) if rows is None else (0, 0, 0)
    inputs, targets = (x, y) if rows is None else (x[rows], y[rows])
    weights = w.detach().requires_grad_()
    outputs = vmap(model, in_dims=dims[:2])(weights, inputs)
    u = torch.zeros_like(outputs, requires_grad=True)
    (pulled,) = torch.autograd.grad(outputs, weights, u, create_graph=True)
    at = outputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(vmap(loss, in_dims=(0, *dims[2:]))(at, targets).sum(), at, create_graph=True)

    def product(v: torch.Tensor) -> torch.Tensor:
        (along,) = torch.autograd.grad(pulled, u, v, retain_graph=True)
        (curved,) = torch.autograd.grad(slope, at, along, retain_graph=True)
        return torch.autograd.grad(outputs, weights, curved, retain_graph=True)[0]

    return product


def _line_search(value_of, w: torch.Tensor, step: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """w minus the largest of step, step/2, ... that satisfies Armijo's condition, trial by trial."""
    with torch.no_grad():
        value, size = value_of(w), torch.ones_like(slope)
        for _ in range(20):
            short = ~(value_of(w - size[:, None] * step) <= value - 1e-4 * size * slope)
            if not bool(short.any()):
                break
            size = torch.where(short, size / 2, size)
        return w - size[:, None] * step
