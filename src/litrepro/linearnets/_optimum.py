"""The optimum of l_p regression, to which excess losses refer."""

from __future__ import annotations

import warnings

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.linearnets._power import check, power_loss, slope

TOLERANCE = 1e-8


def optimal_power_loss(
    x: torch.Tensor, y: torch.Tensor, p: float = 2.0, *, steps: int = 100
) -> tuple[torch.Tensor, torch.Tensor]:
    """Minimize ``power_loss``: exact least squares for p = 2, damped Newton from there otherwise.

    Parameters
    ----------
    x
        (m, d); computed in float64 whatever its dtype.
    y
        (k, m); brought to the device of x.
    p
        Power, > 1.
    steps
        Largest number of Newton steps.

    Returns
    -------
    W (k, d) and the loss (), summed over outputs; both float64. Of several minimizers the one without a component in
    the null space of x.

    Raises
    ------
    ValueError
        p <= 1, steps < 1, sizes that do not fit, data that are not finite.

    Warns
    -----
    ConvergenceWarning
        If the norm of the gradient of an output exceeds 1e-8 at the end (p != 2), in units in which the features are
        orthonormal and the residuals of least squares have size one: it depends neither on the units of x and y nor on
        the other outputs.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.ones(4, 1), torch.tensor([[1.0, 2.0, 3.0, 6.0]])
    >>> W, loss = optimal_power_loss(x, y)  # the mean, and half the variance
    >>> round(W.item(), 6), round(loss.item(), 6)
    (3.0, 1.75)
    """
    _validate.float_tensor("x", x, 2)
    _validate.float_tensor("y", y, 2)
    if x.ndim != 2 or y.ndim != 2:
        raise ValueError(f"x must be (m, d) and y (k, m), got {tuple(x.shape)} and {tuple(y.shape)}")
    steps = _validate.positive_int("steps", steps)
    x, y = x.detach().double(), y.detach().double().to(x.device)
    p = check(x.new_zeros(y.shape[0], x.shape[1]), x, y, p)
    if not bool(torch.isfinite(x).all() & torch.isfinite(y).all()):
        raise ValueError("x and y must be finite")
    # Newton's path does not depend on the basis of the features, its rounding errors do: work in an orthonormal one.
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    kept = s > s.amax() * max(x.shape) * torch.finfo(x.dtype).eps
    z = u[:, kept] * x.shape[0] ** 0.5
    back = (vh[kept].mT / s[kept]).mT * x.shape[0] ** 0.5
    c = y @ z / x.shape[0]
    if p != 2:
        # Residuals that are rounding errors call for no correction, and have no scale.
        residuals = y - c @ z.mT
        rounding = y.norm(dim=-1, keepdim=True) * max(x.shape) * torch.finfo(y.dtype).eps
        real = residuals.norm(dim=-1, keepdim=True) > rounding
        c = c + _correction(torch.where(real, residuals, 0.0), z, p, steps)
    W = c @ back
    return W, power_loss(W, x, y, p)


def _correction(y: torch.Tensor, z: torch.Tensor, p: float, steps: int) -> torch.Tensor:
    """The minimizer for the residuals y (k, m) of least squares, each output in units of its own."""
    unit = y.square().mean(-1, keepdim=True).sqrt()
    y = y / torch.where(unit > 0, unit, 1.0)
    c, taken = _newton(y.new_zeros(len(y), z.shape[1]), z, y, p, steps)
    norm = _gradient(c @ z.mT - y, z, p).norm(dim=-1).amax().item()
    if not norm <= TOLERANCE:
        message = f"gradient norm {norm:.2g} > {TOLERANCE:g} after {taken} Newton steps (p = {p:g})"
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    return unit * c


def _gradient(r: torch.Tensor, z: torch.Tensor, p: float) -> torch.Tensor:
    return slope(r, p) @ z / len(z)


def _newton(c: torch.Tensor, z: torch.Tensor, y: torch.Tensor, p: float, steps: int) -> tuple[torch.Tensor, int]:
    """Newton's method per output, each step cut back to the best of a geometric grid of lengths; and the steps taken.

    An output is left alone once its own gradient is small, or neither its loss nor its gradient falls any more.
    """
    # The length 0 is the current point: its loss comes out of the same product as those of the trials.
    lengths = torch.cat([c.new_zeros(1), 2.0 ** -torch.arange(-2, 30, dtype=c.dtype, device=c.device)])[:, None, None]
    full = 3  # place of the length 1
    found, active = c.clone(), torch.arange(len(c), device=c.device)
    moved = active >= 0
    for taken in range(steps + 1):
        r = c @ z.mT - y
        g = _gradient(r, z, p)
        size = g.norm(dim=-1)
        going = moved & (size > 1e-3 * TOLERANCE)
        if not bool(going.all()):
            found[active] = c
            active, c, y, r, g, size = (part[going] for part in (active, c, y, r, g, size))
        if taken == steps or len(active) == 0:
            break
        trials = c - lengths * _newton_direction(r, g, z, p)
        losses = (trials @ z.mT - y).abs().pow(p).sum(-1)
        # What two evaluations of one loss may differ by: rows of a product are rounded in several ways.
        rounding = 16 * p * torch.finfo(c.dtype).eps * losses[0]
        best = losses.min(0)
        falls = best.values < losses[0] - rounding
        chosen = best.indices
        if not bool(falls.all()):
            # Losses cannot tell the points apart any more, gradients can: the full step where it shortens the gradient.
            shorter = _gradient(trials[full] @ z.mT - y, z, p).norm(dim=-1) < 0.9 * size
            shorter &= losses[full] <= losses[0] + rounding
            chosen = torch.where(falls, chosen, torch.where(shorter, full, 0))
        moved = chosen > 0
        step = trials.gather(0, chosen[None, :, None].expand(1, *c.shape))[0]
        c = torch.where(moved[:, None], step, c)
    found[active] = c
    return found, taken


def _newton_direction(r: torch.Tensor, g: torch.Tensor, z: torch.Tensor, p: float) -> torch.Tensor:
    """(H + damping)^{-1} g; |r|^{p-2} is kept away from its pole (p < 2), H from singularity (p > 2)."""
    size = r.abs()
    floor = 1e-9 * size.mean(-1, keepdim=True) + 1e-150
    weights = (p - 1) * size.clamp(min=floor if p < 2 else None, max=None if p < 2 else torch.inf).pow(p - 2)
    h = torch.einsum("ki,ia,ib->kab", weights / len(z), z, z)
    ridge = 1e-14 * h.diagonal(dim1=-2, dim2=-1).mean(-1) + 1e-300
    h = h + ridge[:, None, None] * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    return torch.linalg.lstsq(h, g[..., None]).solution[..., 0]
