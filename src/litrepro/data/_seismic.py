"""A small acoustic earth: layered velocity models and the shots recorded on their surface."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from litrepro import _validate

SPONGE = 8  # cells of absorbing layer on each side
# Second derivative, fourth order in space.
_STENCIL = (-1 / 12, 4 / 3, -5 / 2, 4 / 3, -1 / 12)


def layered_velocity(
    count: int, *, size: int = 24, seed: int = 0, vmin: float = 1.5, vmax: float = 4.5
) -> torch.Tensor:
    """Velocity models of five dipping layers cut by one vertical fault, in km/s.

    Velocity grows with depth: in every column of every model it never falls from top to bottom. All models are drawn
    together: those of another ``count`` are others, not more of the same.

    Returns
    -------
    (count, size, size) float32, depth first, at most five distinct values per model.

    Raises ``ValueError`` if count < 1, size < 8, or not 0 < vmin < vmax.

    Examples
    --------
    >>> velocity = layered_velocity(3, size=16)
    >>> velocity.shape, bool((velocity.diff(dim=1) >= 0).all())  # never slower with depth
    (torch.Size([3, 16, 16]), True)
    """
    count, size = _validate.positive_int("count", count), _validate.positive_int("size", size, 8)
    vmin = _validate.real("vmin", vmin, 0, open_low=True)
    vmax = _validate.real("vmax", vmax, vmin, open_low=True)
    generator = torch.Generator().manual_seed(_validate.seed("seed", seed))

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64, device="cpu")

    speeds = torch.sort(vmin + (vmax - vmin) * uniform(count, 5), dim=1).values
    depths = torch.sort(uniform(count, 4), dim=1).values * 0.9 * size + 0.05 * size
    dip = (uniform(count, 1) - 0.5) * 0.5
    fault = (0.25 + 0.5 * uniform(count, 1)) * size
    throw = (uniform(count, 1) - 0.5) * 0.3 * size
    column = torch.arange(size, dtype=torch.float64, device="cpu")
    shift = dip * (column - size / 2) + torch.where(column > fault, throw, 0.0)
    depth = column[None, :, None] - shift[:, None, :]
    layer = (depth[..., None] >= depths[:, None, None, :]).sum(-1)
    return torch.gather(speeds, 1, layer.reshape(count, -1)).reshape(count, size, size).float()


def acoustic_shots(
    velocity: torch.Tensor,
    *,
    shots: int = 2,
    steps: int = 160,
    dx: float = 0.05,
    dt: float | None = None,
    frequency: float = 8.0,
    keep: int = 4,
) -> torch.Tensor:
    """Seismograms of a constant-density acoustic earth, all models and shots in one batch.

    u_tt = v^2 (u_xx + u_zz) + source, second order in time and fourth in space, with a sponge of 8 cells around the
    model. Sources are evenly spread along the surface, one per shot, with a Ricker wavelet; receivers are the surface
    row.

    Parameters
    ----------
    velocity
        (..., n, n) in km/s, depth first; floating point.
    shots, steps
        Number of sources and of time steps.
    dx, dt
        Cell in km and time step in s (default 0.5 dx / 4.5).
    frequency
        Peak frequency of the wavelet in Hz.
    keep
        Samples 0, keep, 2 keep, ... are returned.

    Returns
    -------
    (..., shots, ceil(steps/keep), n), dtype and device of the velocity; differentiable.

    Raises ``ValueError`` for a velocity that is not a square floating-point model, not positive and finite, or too
    fast for the time step (v dt/dx > 0.6), and for counts < 1.

    Examples
    --------
    >>> import torch
    >>> velocity = torch.full((2, 16, 16), 2.0)
    >>> acoustic_shots(velocity, shots=3, steps=40).shape  # models, shots, times, receivers
    torch.Size([2, 3, 10, 16])
    """
    _validate.float_tensor("velocity", velocity, 2)
    n = velocity.shape[-1]
    if velocity.shape[-2] != n or n < 1:
        raise ValueError(f"velocity must have shape (..., n, n) with n >= 1, got {tuple(velocity.shape)}")
    for name, value in (("shots", shots), ("steps", steps), ("keep", keep)):
        _validate.positive_int(name, value)
    dx = _validate.real("dx", dx, 0, open_low=True)
    dt = 0.5 * dx / 4.5 if dt is None else _validate.real("dt", dt, 0, open_low=True)
    frequency = _validate.real("frequency", frequency, 0, open_low=True)
    with torch.no_grad():
        if not bool((torch.isfinite(velocity) & (velocity > 0)).all()):
            raise ValueError("velocity must be positive and finite everywhere")
        courant = float(velocity.max()) * dt / dx if velocity.numel() else 0.0
    # The bound itself may be off by the rounding of the velocity; the scheme is stable a little beyond it, up to 0.612.
    if courant > 0.6 * (1 + torch.finfo(velocity.dtype).eps):
        raise ValueError(f"v dt/dx must be at most 0.6 for a stable scheme, got {courant:.6g}")
    batch = velocity.shape[:-2]
    traces = _propagate(velocity.reshape(-1, n, n), shots, steps, dx, dt, frequency, keep)
    return traces.reshape(*batch, shots, traces.shape[-2], n)


def _propagate(velocity, shots, steps, dx, dt, frequency, keep) -> torch.Tensor:
    """Time stepping on padded models: (m, n, n) to (m, shots, samples, n)."""
    m, n, _ = velocity.shape
    options = {"dtype": velocity.dtype, "device": velocity.device}
    padded = functional.pad(velocity[:, None], (SPONGE,) * 4, mode="replicate")
    speed2 = (padded * (dt / dx)) ** 2
    damping = _sponge(n, **options)
    # Second differences along an axis as a product with a banded matrix: for small models, several times as fast as a
    # convolution with one channel for each shot.
    width = n + 2 * SPONGE
    second = sum(
        torch.diag(torch.full((width - abs(place),), value, **options), place)
        for place, value in zip(range(-2, 3), _STENCIL)
    )
    columns = torch.linspace(0, n - 1, shots + 2, device="cpu")[1:-1].round().long().to(velocity.device) + SPONGE
    source = functional.one_hot(columns, width).to(velocity)
    previous = torch.zeros(m, shots, width, width, **options)
    current = previous
    kept = []
    for step in range(steps):
        if step % keep == 0:
            kept.append(current[:, :, SPONGE, SPONGE:-SPONGE])
        moved = torch.sub(current, previous).add_(current).addcmul_(speed2, (current @ second).add_(second @ current))
        moved[..., SPONGE + 1, :].add_(source, alpha=dt**2 * _ricker(step * dt, frequency))
        previous, current = current * damping, moved.mul_(damping)
    return torch.stack(kept, dim=2)


def _sponge(n: int, **options) -> torch.Tensor:
    """Cerjan's taper: 1 inside, falling smoothly through the absorbing cells."""
    distance = torch.zeros(n + 2 * SPONGE, **options)
    ramp = torch.arange(SPONGE, 0, -1, **options)
    distance[:SPONGE], distance[-SPONGE:] = ramp, ramp.flip(0)
    taper = torch.exp(-((0.045 * distance) ** 2))
    return taper[:, None] * taper[None, :]


def _ricker(time: float, frequency: float) -> float:
    """Ricker wavelet of unit peak, delayed by one and a half periods; the factor makes traces of order one."""
    argument = (math.pi * frequency * (time - 1.5 / frequency)) ** 2
    return 1e4 * (1 - 2 * argument) * math.exp(-argument)
