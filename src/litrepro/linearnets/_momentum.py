"""Momentum on a plain and on a reparameterized quadratic: every momentum, step size, depth and seed in one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments
from litrepro.linearnets._median import usual_median
from litrepro.linearnets._runs import EVERY, Chains

if TYPE_CHECKING:
    import pandas as pd


class MomentumSweep(NamedTuple):
    """``steps`` and ``final`` (C, D, S, E, B): condition, depth, seed, step size, momentum.

    ``steps``: updates until the excess loss stays at or below the level, inf if it does not by the end. ``final``: last
    excess over the first, inf where it diverged.

    Examples
    --------
    >>> import torch
    >>> lrs, momenta = torch.tensor([0.05, 0.1]), torch.tensor([0.0, 0.5])
    >>> sweep = momentum_sweep([10.0], depths=(1, 2), lrs=lrs, momenta=momenta, seeds=[0], steps=50)
    >>> sweep.steps.shape, sweep.final.shape
    (torch.Size([1, 2, 1, 2, 2]), torch.Size([1, 2, 1, 2, 2]))
    """

    steps: torch.Tensor
    final: torch.Tensor


def momentum_sweep(
    conditions: Sequence[float],
    *,
    depths: Sequence[int] = (1, 2, 3),
    lrs: torch.Tensor,
    momenta: torch.Tensor,
    seeds: Sequence[int],
    steps: int,
    d: int = 10,
    norm: float = 2.0,
    start: float = 0.1,
    level: float = 1e-4,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    progress: Callable[[Iterable], Iterable] = iter,
) -> MomentumSweep:
    """Heavy ball on f(w) = (w - w*)^T H (w - w*) / 2 with w = w_1 s_1 ... s_{N-1}, at equal start w.

    H is diagonal with logarithmically spaced eigenvalues from 1 down to 1/condition; w* is a random direction of length
    ``norm``; the start is a random direction of length ``start``, factored so that all factors have equal norms.

    Parameters
    ----------
    conditions
        Condition numbers, >= 1.
    depths
        N >= 1; 1 is the plain model.
    lrs, momenta
        (E,) step sizes > 0 and (B,) values of beta of any sign.
    seeds
        One w* and one start each.
    steps
        Number of updates.
    level
        Share of the initial excess to be reached for good.
    batch_size
        None: full gradients. Else every update sees that many fresh samples x ~ N(0, H) of the noiseless regression
        y = <w*, x>, the same ones in every trial of a seed.

    Returns
    -------
    MomentumSweep.

    Raises ``ValueError`` for values outside these ranges.

    Source: section 3.2 and figure 5 of the review, which name neither step size nor start.

    Examples
    --------
    >>> import torch
    >>> lrs, momenta = torch.tensor([0.1]), torch.tensor([0.0, 0.8])
    >>> sweep = momentum_sweep([100.0], depths=(1,), lrs=lrs, momenta=momenta, seeds=[0], steps=300)
    >>> plain, heavy = sweep.final.flatten()
    >>> bool(heavy < plain / 10)
    True
    """
    depths, seeds = _arguments.integers("depths", depths, 1), _arguments.integers("seeds", seeds, 0)
    conditions = [_validate.real("condition", value, 1) for value in _validate.sequence("conditions", conditions)]
    steps, d = _validate.positive_int("steps", steps), _validate.positive_int("d", d)
    norm, start = (_validate.real(n, v, 0, open_low=True) for n, v in (("norm", norm), ("start", start)))
    level = _validate.real("level", level, 0, 1, open_low=True)
    batch_size = batch_size if batch_size is None else _validate.positive_int("batch_size", batch_size)
    for name, value in (("lrs", lrs), ("momenta", momenta)):
        _arguments.grid(name, value)
    device = _validate.device("device", device)
    _validate.function("progress", progress)
    _arguments.per_trial("lr", lrs, lrs[:, None, None])
    like = {"dtype": torch.float64, "device": device}
    shape = (len(conditions), len(depths), len(seeds), len(lrs), len(momenta))
    spread = -torch.tensor(conditions, **like).log() * torch.linspace(0, 1, d, **like)[:, None]
    h = spread.exp()[..., None, None]  # (d, C, 1, 1), beside iterates (d, C, S, E B)
    goal, w0 = (draw.mT[:, None, :, None].to(device) for draw in _directions(seeds, d, norm, start))
    rate = lrs.to(**like).repeat_interleave(len(momenta))
    beta = momenta.to(**like).repeat(len(lrs))
    roots = [start ** (1 / depth) for depth in depths]
    w = (w0 / start).expand(d, shape[0], shape[2], len(rate))
    runs = [Chains(w * root, root, depth, rate, beta) for root, depth in zip(roots, depths)]
    first = (h * (w0 - goal) ** 2).sum(0) / 2
    found = first.new_full((2, shape[1], shape[0], shape[2], len(rate)), torch.inf)  # steps and last excess
    last_above = [first.new_zeros(run.point.shape[1:]) for run in runs]
    errors = [run.point - goal for run in runs]
    sample = _sampler(h, seeds, batch_size)
    for step in progress(range(1, steps + 1)):
        gradient = sample()
        for n, run in enumerate(runs):
            run.move(gradient(errors[n]))
            if step % EVERY == 0:
                last_above[n] = last_above[n][..., run.drop_diverged()]
            error = errors[n] = run.point - goal
            now = (h * error.square()).sum(0) / 2
            last_above[n].masked_fill_(~(now <= level * first), step)  # nan is above
            if step == steps:
                reached = torch.where(last_above[n] < steps, last_above[n] + 1, torch.inf)
                found[:, n, ..., run.columns] = torch.stack([reached, now / first])
    reached, final = found.unflatten(-1, shape[3:]).transpose(1, 2)
    return MomentumSweep(reached, torch.nan_to_num(final, nan=torch.inf, posinf=torch.inf))


def _directions(seeds: Sequence[int], d: int, norm: float, start: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets and starts (S, d), each from its own seed."""
    draws = torch.stack(
        [
            torch.randn(2, d, generator=torch.Generator().manual_seed(int(s)), dtype=torch.float64, device="cpu")
            for s in seeds
        ]
    )
    unit = draws / draws.norm(dim=-1, keepdim=True)
    return norm * unit[:, 0], start * unit[:, 1]


def _sampler(h: torch.Tensor, seeds: Sequence[int], m: int | None) -> Callable:
    """A call returns the gradient of one step as a function of the error w - w*, both (d, C, S, K).

    Of all samples, or of m fresh ones per seed: X^T X (w - w*) / m with rows N(0, H).
    """
    if m is None:
        return lambda: lambda error: h * error
    generators = [torch.Generator().manual_seed(int(s) + 1_000_003) for s in seeds]
    root = h.sqrt()

    def sample() -> Callable:
        z = torch.stack(
            [torch.randn(m, len(h), generator=g, dtype=torch.float64, device="cpu") for g in generators], -1
        )
        if m > 4 * len(h):  # the second moments cost less than so many samples one after the other
            z = z.to(h)
            rows = torch.einsum("mis,mjs->jis", z, z)[:, :, None, :, None] * (root[:, None] * root) / m
            return lambda error: _total(row * part for row, part in zip(rows, error))
        x = z.to(h)[:, :, None, :, None] * root  # (m, d, C, S, 1): one batch of samples per condition and seed

        def gradient(error: torch.Tensor) -> torch.Tensor:
            return _total(row * ((row * error).sum(0) / m) for row in x)

        return gradient

    return sample


def _total(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    """Their sum, in the first of them."""
    total, *others = terms
    for other in others:
        total += other
    return total


def best_momenta(sweep: MomentumSweep, momenta: torch.Tensor) -> torch.Tensor:
    """The momentum with the fewest median steps at every step size, (C, D, E); nan where the median is inf for all.

    The median over seeds is that of ``summarize_momentum``. Ties go to the larger momentum. ``momenta`` (B,) is the
    grid of the sweep, increasing. Raises ``ValueError`` if it is not.

    Examples
    --------
    >>> import torch
    >>> lrs, momenta = torch.tensor([0.1]), torch.tensor([-0.5, 0.0, 0.8])
    >>> sweep = momentum_sweep([10.0], depths=(1,), lrs=lrs, momenta=momenta, seeds=[0, 1], steps=500)
    >>> best_momenta(sweep, momenta).flatten()
    tensor([0.8000], dtype=torch.float64)
    """
    _validate.instance("sweep", sweep, MomentumSweep)
    _arguments.grid("momenta", momenta)
    if len(momenta) != sweep.steps.shape[-1] or not bool((momenta.diff() > 0).all()):
        raise ValueError(f"momenta must be the increasing grid ({sweep.steps.shape[-1]},), got {tuple(momenta.shape)}")
    medians = usual_median(sweep.steps, 2)
    least = medians.amin(-1, keepdim=True)
    last = len(momenta) - 1 - (medians == least).to(torch.int8).flip(-1).argmax(-1)
    return torch.where(least[..., 0].isinf(), torch.nan, momenta.to(medians)[last])


def summarize_momentum(
    sweep: MomentumSweep,
    *,
    conditions: Sequence[float],
    depths: Sequence[int],
    lrs: torch.Tensor,
    momenta: torch.Tensor,
) -> pd.DataFrame:
    """Tidy table ``condition, depth, lr, beta, steps, failed``: median steps over seeds, and the share that failed.

    Of an even number of seeds the median is the mean of the middle two, and inf where half of the runs fail. Raises
    ``ValueError`` if the grids are not those of the sweep.

    Examples
    --------
    >>> import torch
    >>> momenta = torch.tensor([0.0, 0.8])
    >>> grids = {"conditions": [10.0], "depths": (1,), "lrs": torch.tensor([0.1]), "momenta": momenta}
    >>> table = summarize_momentum(momentum_sweep(**grids, seeds=[0, 1], steps=500), **grids)
    >>> table[["beta", "failed"]].round(2).values.tolist()
    [[0.0, 0.0], [0.8, 0.0]]
    """
    import pandas as pd

    _validate.instance("sweep", sweep, MomentumSweep)
    conditions = [_validate.real("condition", value, 1) for value in _validate.sequence("conditions", conditions)]
    depths = _arguments.integers("depths", depths, 1)
    grids = [conditions, depths, *(_arguments.grid(n, v).tolist() for n, v in (("lrs", lrs), ("momenta", momenta)))]
    c, d, _, e, b = sweep.steps.shape
    if [len(grid) for grid in grids] != [c, d, e, b]:
        raise ValueError(f"grids of lengths {[len(grid) for grid in grids]} are not those of a sweep {(c, d, e, b)}")
    index = pd.MultiIndex.from_product(grids, names=["condition", "depth", "lr", "beta"])
    columns = {
        "steps": usual_median(sweep.steps, 2).flatten().cpu().numpy(),
        "failed": sweep.steps.isinf().double().mean(2).flatten().cpu().numpy(),
    }
    return pd.DataFrame(columns, index=index).reset_index()


def minimizer_curvature(eigenvalues: torch.Tensor, w: torch.Tensor, depth: int) -> torch.Tensor:
    """The curvatures that descent on balanced factors of w meets at a minimizer w of a quadratic.

    With J the Jacobian of the product w_1 s_1 ... s_{N-1}, all factors of norm ||w||^{1/N}, the Hessian J^T H J has the
    eigenvalues of P^{1/2} H P^{1/2}, and zeros, where P = J J^T = ||w||^{2-2/N} (I + (N-1) u u^T), u = w/||w||. So near
    its minimizer a reparameterized model is a plain one with these curvatures.

    Parameters
    ----------
    eigenvalues
        (d,) eigenvalues of the diagonal H, >= 0.
    w
        (..., d), not zero.
    depth
        N >= 1; 1 gives the eigenvalues of H.

    Returns
    -------
    (..., d), increasing.

    Raises ``ValueError`` for sizes that do not fit, negative eigenvalues, w = 0, values that are not finite, dtypes
    that differ or are neither float32 nor float64.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([4.0, 0.0])
    >>> [minimizer_curvature(torch.ones(2), w, depth).round(decimals=4).tolist() for depth in (1, 2)]
    [[1.0, 1.0], [4.0, 8.0]]
    """
    _validate.decomposable("eigenvalues", eigenvalues, 1)
    _validate.decomposable("w", w, 1)
    _validate.same_kind(eigenvalues=eigenvalues, w=w)
    depth = _validate.positive_int("depth", depth)
    d = w.shape[-1]
    if eigenvalues.shape != (d,) or not bool((eigenvalues >= 0).all()):
        raise ValueError(f"eigenvalues must be ({d},) and >= 0, got shape {tuple(eigenvalues.shape)}")
    length = torch.linalg.vector_norm(w, dim=-1)[..., None, None]
    if not bool((length > 0).all()):
        raise ValueError("w must not be zero: its factors have no direction there")
    u = w / length[..., 0]
    # H^{1/2} P H^{1/2} has the same eigenvalues, and H^{1/2} is at hand.
    root = eigenvalues.sqrt()
    p = torch.eye(d, dtype=w.dtype, device=w.device) + (depth - 1) * u[..., :, None] * u[..., None, :]
    return torch.linalg.eigvalsh(length ** (2 - 2 / depth) * root[:, None] * p * root)
