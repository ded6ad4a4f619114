"""Descent with noise, to leave saddle points: noisy and perturbed gradient descent, accelerated, and for networks.

Noise is drawn for the whole batch at every step at which any trial may need it, so a trial's noise depends on the step,
its place in the batch and the number of trials, never on what its neighbours do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate
from litrepro._scaling import length
from litrepro.optim._descend import Path, Recorder, check_start, gradient_at, objective
from litrepro.optim._noise import KINDS, check_radius, noise
from litrepro.optim._psgd import PSGD
from litrepro.optim._steps import expand_lr

__all__ = ["PSGD", "noise", "noisy_descent", "perturbed_agd", "perturbed_gd"]

Fun = Callable[[torch.Tensor], torch.Tensor]


def noisy_descent(
    fun: Fun | None,
    x0: torch.Tensor,
    *,
    lr: float | torch.Tensor,
    steps: int,
    radius: float | torch.Tensor = 0.0,
    kind: str = "sphere",
    grad: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
    normalize: bool = False,
    every: int = 1,
    generator: torch.Generator | int | None = None,
    record_every: int = 1,
) -> Path:
    """x <- x - lr (g + xi), with noise xi only when t is a multiple of ``every`` (t = 1..steps).

    Ge et al. 2015's noisy gradient descent has ``kind="sphere"``; PSGD ``"gaussian"`` with a stochastic ``grad(x, t)``;
    Saddle-NGD (Levy 2016) ``normalize=True`` (g/|g|, 0 for g = 0), ``"gaussian"`` and ``every`` > 1.

    Parameters
    ----------
    fun, x0, steps, grad, record_every
        As in ``descend``.
    lr, radius
        Numbers, or tensors over leading dimensions of x0.

    Returns
    -------
    Path without events.

    Raises ``ValueError`` as ``descend`` and ``noise``, and for every < 1.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4  # a saddle at 0
    >>> run = noisy_descent(f, torch.zeros(8, 2), lr=0.1, steps=200, radius=0.1)
    >>> bool((run.f[-1] < -0.2).all())  # all trials came down, where the gradient is 0 at the start
    True
    """
    x = check_start(fun, x0, steps, grad, record_every)
    every = _validate.positive_int("every", every)
    _validate.choice("kind", kind, KINDS)
    step_size = expand_lr(lr, x)
    scale = check_radius(radius, tuple(x.shape), x.dtype, x.device)
    generator = _validate.random_source("generator", generator)
    record = Recorder(fun, steps, record_every)
    record(0, x)
    for t in range(1, steps + 1):
        g = gradient_at(fun, grad, x, t)
        if normalize:
            # By the largest entry first: the squares of a tiny or huge gradient leave the range of its numbers.
            largest = g.abs().amax(-1, keepdim=True)
            g = g / torch.where(largest != 0, largest, 1.0)
            g = g / torch.where(largest != 0, g.norm(dim=-1, keepdim=True), 1.0)
        if t % every == 0:
            g = g + scale * noise(kind, x.shape, 1.0, generator=generator, dtype=x.dtype, device=x.device)
        x = x - step_size * g
        record(t, x)
    return record.path()


def perturbed_gd(
    fun: Fun,
    x0: torch.Tensor,
    *,
    lr: float | torch.Tensor,
    steps: int,
    radius: float,
    g_thres: float,
    t_thres: int,
    f_thres: float | None = None,
    generator: torch.Generator | int | None = None,
    record_every: int = 1,
) -> Path:
    """Perturbed gradient descent (Jin et al. 2017, arXiv 1703.00887, algorithm 2), per trial.

    Where the gradient is at most ``g_thres`` and the last perturbation more than ``t_thres`` steps ago, remember the
    point and add noise uniform in a ball. If ``t_thres`` steps later the objective has not fallen by ``f_thres``, the
    trial ends at the remembered point.

    Parameters
    ----------
    f_thres
        None: trials never end.

    Returns
    -------
    Path; ``events`` holds ``perturbations (...)``, ``finished (...)`` and ``stopped_at (...)`` (``steps`` where a trial
    did not end). The run stops when every trial has ended.

    Raises ``ValueError`` as ``descend``; for radius <= 0, g_thres <= 0, f_thres < 0 and t_thres < 1.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4  # a saddle at 0
    >>> run = perturbed_gd(f, torch.zeros(8, 2), lr=0.1, steps=200, radius=0.1, g_thres=0.01, t_thres=150)
    >>> bool((run.f[-1] < -0.2).all()), bool((run.events["perturbations"] >= 1).all())
    (True, True)
    """
    x = check_start(fun, x0, steps, None, record_every)
    _validate.real("radius", radius, 0, open_low=True)
    _check_thresholds(radius, g_thres, t_thres)
    if f_thres is not None:
        f_thres = _validate.real("f_thres", f_thres, 0)
    step_size = expand_lr(lr, x)
    generator = _validate.random_source("generator", generator)
    batch = x.shape[:-1]
    last_noise = torch.full(batch, -t_thres - 1, dtype=torch.int64, device=x.device)
    count = torch.zeros_like(last_noise)
    stopped_at = torch.full_like(last_noise, steps)
    finished = torch.zeros(batch, dtype=torch.bool, device=x.device)
    remembered, f_remembered = x.clone(), torch.zeros(batch, dtype=x.dtype, device=x.device)
    record = Recorder(fun, steps, record_every)
    record(0, x)
    for t in range(steps):
        g = gradient_at(fun, None, x, t)
        kick = (length(g) <= g_thres) & (t - last_noise > t_thres) & ~finished
        shake = noise("ball", x.shape, radius, generator=generator, dtype=x.dtype, device=x.device)
        if bool(kick.any()):
            with torch.no_grad():
                f_remembered = torch.where(kick, objective(fun, x), f_remembered)
            remembered = torch.where(kick[..., None], x, remembered)
            last_noise, count = torch.where(kick, t, last_noise), count + kick
            x = torch.where(kick[..., None], x + shake, x)
            g = torch.where(kick[..., None], gradient_at(fun, None, x, t), g)
        if f_thres is not None:
            due = (t - last_noise == t_thres) & ~finished
            if bool(due.any()):
                with torch.no_grad():
                    ends = due & (objective(fun, x) - f_remembered > -f_thres)
                x = torch.where(ends[..., None], remembered, x)
                stopped_at, finished = torch.where(ends, t, stopped_at), finished | ends
        x = torch.where(finished[..., None], x, x - step_size * g)
        if f_thres is not None and bool(finished.all()):
            record.last(t + 1, x)
            break
        record(t + 1, x)
    return record.path(perturbations=count, finished=finished, stopped_at=stopped_at)


def perturbed_agd(
    fun: Fun,
    x0: torch.Tensor,
    *,
    lr: float | torch.Tensor,
    steps: int,
    radius: float,
    g_thres: float,
    t_thres: int,
    theta: float,
    gamma: float,
    s: float,
    nce: bool = True,
    generator: torch.Generator | int | None = None,
    record_every: int = 1,
) -> Path:
    """Perturbed accelerated gradient descent (Jin, Netrapalli and Jordan 2017, arXiv 1711.10456, algorithms 2 and 3).

    y = x + (1 - theta) v, x+ = y - lr grad f(y), v+ = x+ - x, perturbed like ``perturbed_gd`` (radius 0: never). Where
    f between x and y is too non-convex, f(x) <= f(y) + <grad f(y), x - y> - gamma/2 |x - y|^2, negative curvature
    exploitation (``nce``) resets v and, if |v| < s, moves x to the lower of f(x +- s v/|v|). Unlike in the
    paper, f(x) must be below the bound by 4 eps max(|f(x)|, |bound|): near a minimum both agree to rounding.

    Returns
    -------
    Path; ``events`` holds ``perturbations (...)``, ``exploitations (...)``, and ``resets (steps, ...)``, where v was
    reset.

    Raises ``ValueError`` as ``perturbed_gd``, but for a radius of 0; for theta outside (0, 1], gamma < 0 and s < 0.

    Examples
    --------
    >>> import torch
    >>> f = lambda x: x[..., 0] ** 2 / 2 - x[..., 1] ** 2 / 2 + x[..., 1] ** 4 / 4  # a saddle at 0
    >>> options = {"radius": 0.1, "g_thres": 0.01, "t_thres": 150, "theta": 0.2, "gamma": 0.1, "s": 0.1}
    >>> run = perturbed_agd(f, torch.zeros(8, 2), lr=0.1, steps=200, **options)
    >>> bool((run.f[-1] < -0.2).all()), bool((run.events["perturbations"] >= 1).all())
    (True, True)
    """
    x = check_start(fun, x0, steps, None, record_every)
    _check_thresholds(radius, g_thres, t_thres)
    theta = _validate.real("theta", theta, 0, 1, open_low=True)
    gamma, s = _validate.real("gamma", gamma, 0), _validate.real("s", s, 0)
    step_size = expand_lr(lr, x)
    generator = _validate.random_source("generator", generator)
    last_noise = torch.full(x.shape[:-1], -t_thres - 1, dtype=torch.int64, device=x.device)
    kicks, exploited = torch.zeros_like(last_noise), torch.zeros_like(last_noise)
    v = torch.zeros_like(x)
    resets = []
    record = Recorder(fun, steps, record_every)
    record(0, x)
    for t in range(steps):
        if radius > 0:
            kick = (length(gradient_at(fun, None, x, t)) <= g_thres) & (t - last_noise > t_thres)
            shake = noise("ball", x.shape, radius, generator=generator, dtype=x.dtype, device=x.device)
            x = torch.where(kick[..., None], x + shake, x)
            last_noise, kicks = torch.where(kick, t, last_noise), kicks + kick
        y = x + (1 - theta) * v
        g = gradient_at(fun, None, y, t)
        x_next = y - step_size * g
        v_next = x_next - x
        if nce:
            x_next, v_next, used = _exploit(fun, x, y, v, g, x_next, v_next, gamma, s)
            exploited = exploited + used
            resets.append(used.bool())
        x, v = x_next, v_next
        record(t + 1, x)
    never = torch.zeros(steps, *x.shape[:-1], dtype=torch.bool, device=x.device)
    when = torch.stack(resets) if resets else never
    return record.path(perturbations=kicks, exploitations=exploited, resets=when)


@torch.no_grad()
def _exploit(fun, x, y, v, g, x_next, v_next, gamma: float, s: float):
    """Negative curvature exploitation on the trials whose certificate holds; also says which."""
    gap = x - y
    speed = v.norm(dim=-1)
    bound = objective(fun, y) + (g * gap).sum(-1) - gamma / 2 * gap.square().sum(-1)
    here = objective(fun, x)
    rounding = 4 * torch.finfo(x.dtype).eps * torch.maximum(here.abs(), bound.abs())
    concave = (here <= bound - rounding) & (speed > 0)
    unit = v / torch.where(speed > 0, speed, 1.0)[..., None]
    ahead, behind = x + s * unit, x - s * unit
    lower = torch.where((objective(fun, ahead) <= objective(fun, behind))[..., None], ahead, behind)
    moved = torch.where((speed >= s)[..., None], x, lower)
    x_next = torch.where(concave[..., None], moved, x_next)
    return x_next, torch.where(concave[..., None], torch.zeros_like(v), v_next), concave.to(torch.int64)


def _check_thresholds(radius: float, g_thres: float, t_thres: int) -> None:
    _validate.real("radius", radius, 0)
    _validate.real("g_thres", g_thres, 0, open_low=True)
    _validate.positive_int("t_thres", t_thres)
