"""Where depth starts to help: a map over the power of the loss and the conditioning of the data."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments
from litrepro.linearnets._chains import steps_to, train_chains


def speedup_map(
    powers: torch.Tensor,
    conditions: torch.Tensor,
    *,
    depth: int,
    lrs: torch.Tensor,
    m: int = 60,
    d: int = 4,
    steps: int = 1000,
    every: int = 10,
    level: float = 1e-2,
    seed: int = 0,
) -> torch.Tensor:
    """Steps of depth 1 over steps of depth N, each at its best step size, to ``level`` of the initial loss.

    Every cell is a noiseless regression y = w* x with Gaussian x whose d columns have squared scales from 1 down to
    1/condition (logarithmically), w* with equal contributions of all columns to y, and the l_p loss. The start is
    balanced, of norm 0.01 d^{1/2}. All cells, both depths and all step sizes are one batch.

    Parameters
    ----------
    powers, conditions
        (P,) > 1 and (C,) >= 1: powers p and condition numbers of the second moments of x.
    depth
        N >= 2.
    lrs
        (E,) step sizes, in units of 1/(largest eigenvalue of the second moments).
    level
        Share of the initial loss to be reached.

    Returns
    -------
    (P, C); nan where neither depth gets there, inf where only the deep one does, 0 where only the shallow one does.

    Computed in float64 on the device of ``powers``. Raises ``ValueError`` for powers <= 1, conditions < 1, depth < 2,
    m < d, grids that are empty or not finite, a level outside (0, 1].

    Examples
    --------
    >>> import torch
    >>> powers, conditions = torch.tensor([2.0, 4.0]), torch.tensor([1.0, 10.0, 100.0])
    >>> speedup_map(powers, conditions, depth=2, lrs=torch.tensor([0.1, 0.3]), steps=50).shape
    torch.Size([2, 3])
    """
    depth = _validate.positive_int("depth", depth, 2)
    for name, value in (("powers", powers), ("conditions", conditions), ("lrs", lrs)):
        _arguments.grid(name, value)
    d = _validate.positive_int("d", d)
    m = _validate.positive_int("m", m, d)
    level = _validate.real("level", level, 0, 1, open_low=True)
    seed = _validate.seed("seed", seed)
    _validate.same_kind(powers=powers, conditions=conditions)
    if not bool((powers > 1).all() & (conditions >= 1).all()):
        raise ValueError(f"powers must be > 1 and conditions >= 1, got {powers} and {conditions}")
    generator = torch.Generator().manual_seed(seed)
    z = torch.linalg.qr(torch.randn(m, d, generator=generator, dtype=torch.float64, device="cpu"))[0] * m**0.5
    w0 = 0.01 * torch.randn(d, generator=generator, dtype=torch.float64, device="cpu")
    z, w0 = z.to(powers.device), w0.to(powers.device)
    decay = torch.linspace(0, -0.5, d, dtype=torch.float64, device=powers.device)
    x = z * (conditions.double()[:, None, None] ** decay)  # (C, m, d)
    y = z.sum(1) / d**0.5
    exponent = powers.double()[:, None, None, None, None, None]  # (P, C, 2, E, m) with the batch below
    batch = (len(powers), len(conditions), 2, len(lrs))

    def residual(v: torch.Tensor) -> torch.Tensor:
        return torch.einsum("pcned,cmd->pcnem", v, x) - y

    def loss(v: torch.Tensor) -> torch.Tensor:
        return residual(v).abs().pow(exponent[..., 0]).mean(-1) / exponent[..., 0, 0]

    def grad(v: torch.Tensor) -> torch.Tensor:
        r = residual(v)
        return torch.einsum("pcnem,cmd->pcned", r.sign() * r.abs().pow(exponent[..., 0] - 1), x) / m

    norm = w0.norm()
    w = w0.expand(*batch, d).clone()
    w[:, :, 1] = w0 * norm ** (1 / depth - 1)
    scalars = (norm ** (1 / depth)).expand(*batch, depth - 1)
    depths = _depths(batch, (1, depth), powers.device)
    run = train_chains(grad, loss, w, scalars, depths, lr=lrs.to(w).expand(batch), steps=steps, every=every)
    best = steps_to(run.t, run.loss, level * run.loss[0]).amin(-1)
    return best[..., 0] / best[..., 1]


def _depths(batch: tuple[int, ...], values: Sequence[int], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, device=device)[None, None, :, None].expand(batch)
