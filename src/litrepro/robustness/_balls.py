"""Norm balls of perturbations: projections and random points."""

from __future__ import annotations

import torch

from litrepro import _validate, solvers
from litrepro._scaling import binary_scale
from litrepro.robustness._arguments import NORMS, per_example, radius


def project_ball(delta: torch.Tensor, eps: float | torch.Tensor, norm: str = "linf") -> torch.Tensor:
    """Euclidean projection of every perturbation on its ball.

    Parameters
    ----------
    delta
        (n, *shape); the norm is over all dimensions but the first.
    eps
        Radius >= 0, a number or (n,).
    norm
        ``"linf"``, ``"l2"`` or ``"l1"`` (exact, by sorting).

    Returns
    -------
    (n, *shape); a perturbation inside its ball is returned as it is.

    Raises
    ------
    ValueError
        eps < 0 or of another length, an unknown norm, delta not floating point or not finite.

    Examples
    --------
    >>> import torch
    >>> project_ball(torch.tensor([[3.0, -0.5]]), 1.0)
    tensor([[ 1.0000, -0.5000]])
    >>> project_ball(torch.tensor([[3.0, 4.0]]), 1.0, "l2").norm().item()
    1.0
    """
    _validate.float_tensor("delta", delta, 2)
    _validate.finite(delta=delta)
    _validate.choice("norm", norm, NORMS)
    return project(delta, radius(eps, delta), norm)


def project(delta: torch.Tensor, eps: torch.Tensor, norm: str) -> torch.Tensor:
    """``project_ball`` for a valid radius (n,)."""
    if norm == "linf":
        bound = per_example(eps, delta)
        return torch.minimum(torch.maximum(delta, -bound), bound)
    flat = delta.flatten(1)
    if norm == "l1":
        return solvers.project_l1_ball(flat, eps).reshape(delta.shape)
    scale = binary_scale(flat, 1)
    unit = flat / scale
    length = unit.norm(dim=1, keepdim=True)
    nearest = unit * (eps[:, None] / length.clamp(min=torch.finfo(delta.dtype).tiny))
    return torch.where(length > eps[:, None] / scale, nearest, flat).reshape(delta.shape)


def random_point(x: torch.Tensor, eps: torch.Tensor, norm: str, generator: torch.Generator) -> torch.Tensor:
    """A uniformly drawn point of every ball, of the shape of x."""

    def draw(kind, columns: int) -> torch.Tensor:
        return kind(len(x), columns, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)

    d = x[0].numel()
    if norm == "linf":
        return (2 * draw(torch.rand, d) - 1).mul(eps[:, None]).reshape(x.shape)
    if norm == "l2":
        direction = draw(torch.randn, d)
        direction = direction / direction.norm(dim=1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
        return (direction * (eps[:, None] * draw(torch.rand, 1) ** (1 / d))).reshape(x.shape)
    # Exponentials over their sum are uniform on a simplex; leaving one out makes it the solid one.
    parts = -torch.log1p(-draw(torch.rand, d + 1).clamp(max=1 - 1e-7))
    signs = torch.where(draw(torch.rand, d) < 0.5, -1.0, 1.0)
    inside = parts[:, :d] / parts.sum(1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
    return (signs * inside * eps[:, None]).reshape(x.shape).to(x.dtype)
