"""How stale a gradient is: the geometric law, and a simulation of workers that come and go."""

from __future__ import annotations

import torch

from litrepro import _validate

SERVICES = ("exponential", "constant")


def geometric_staleness(mu: float, size: int) -> torch.Tensor:
    """The geometric law q_l = (1 - mu) mu^l of the staleness l = 0, ..., size - 1.

    Parameters
    ----------
    mu
        In [0, 1). M memoryless workers have mu = 1 - 1/M.
    size
        Number of probabilities, >= 1. They are not renormalized: the tail mu^size is missing.

    Returns
    -------
    (size,) float64.

    Raises ``ValueError`` for mu outside [0, 1) or size < 1.

    Source: Mitliagkas, Zhang, Hadjis and Re 2016, theorem 3.

    Examples
    --------
    >>> geometric_staleness(0.5, 4)
    tensor([0.5000, 0.2500, 0.1250, 0.0625], dtype=torch.float64)
    """
    mu = _validate.real("mu", mu, 0, 1, open_high=True)
    size = _validate.positive_int("size", size)
    return (1 - mu) * torch.tensor(mu, dtype=torch.float64) ** torch.arange(size)


def worker_staleness(
    workers: int,
    steps: int,
    *,
    trials: int = 1,
    service: str = "exponential",
    generator: torch.Generator | int | None = None,
) -> torch.Tensor:
    """Delays of the updates of M asynchronous workers, by simulating which of them finishes when.

    At the start every worker has read iterate 0. Update t is made by the worker that finishes next; its delay is t
    minus the iterate that it had read; then it reads iterate t + 1.

    Parameters
    ----------
    workers
        M >= 1; one worker has no delay.
    steps, trials
        Number of updates, and of independent simulations, >= 1.
    service
        ``"exponential"``: memoryless service times, so that every worker is equally likely to finish next.
        ``"constant"``: equal service times, a random order per trial, round robin.
    generator
        Source of randomness, or its seed (0 if None); the delays are on its device.

    Returns
    -------
    (trials, steps) int64, entry t in [0, t].

    Raises ``ValueError`` for sizes that are not positive integers, an unknown service or a generator that is none.

    Source: Mitliagkas et al. 2016, section III (the queuing model); their law is the limit of large t.

    Examples
    --------
    >>> worker_staleness(3, 8, service="constant").shape
    torch.Size([1, 8])
    >>> worker_staleness(3, 8, service="constant")[0, 3:].unique()  # round robin: always two behind
    tensor([2])
    """
    workers = _validate.positive_int("workers", workers)
    steps = _validate.positive_int("steps", steps)
    trials = _validate.positive_int("trials", trials)
    _validate.choice("service", service, SERVICES)
    generator = _validate.random_source("generator", generator)
    device = generator.device
    if service == "exponential":
        turns = torch.randint(workers, (steps, trials), generator=generator, device=device)
    else:
        order = torch.rand(trials, workers, generator=generator, device=device).argsort(1).T
        turns = order[torch.arange(steps, device=device) % workers]
    last_read = torch.zeros(trials * workers, dtype=torch.int64, device=device)
    first = workers * torch.arange(trials, device=device)
    for t in range(steps):
        who = first + turns[t]
        turns[t] = t - last_read.index_select(0, who)  # the turn has been taken: its place holds the delay
        last_read.index_fill_(0, who, t + 1)
    return turns.T.contiguous()


def staleness_law(delays: torch.Tensor, size: int, *, skip: int = 0) -> torch.Tensor:
    """Observed frequencies of the delays 0, ..., size - 1.

    Parameters
    ----------
    delays
        (..., T) integers >= 0.
    size
        Number of frequencies, >= 1; larger delays count in the total only.
    skip
        Updates at the beginning to leave out: the queue starts from an exceptional state.

    Returns
    -------
    (size,) float64.

    Raises ``ValueError`` for delays that are not integers or negative, or if nothing is left.

    Examples
    --------
    >>> import torch
    >>> staleness_law(torch.tensor([0, 1, 1, 2]), 3)
    tensor([0.2500, 0.5000, 0.2500], dtype=torch.float64)
    """
    check_delays(delays)
    size = _validate.positive_int("size", size)
    skip = _validate.positive_int("skip", skip, 0)
    kept = delays[..., skip:].reshape(-1).to(torch.int64)
    if not len(kept):
        raise ValueError(f"skip must leave some of the {delays.shape[-1]} updates, got {skip}")
    return torch.bincount(kept.clamp(max=size), minlength=size + 1)[:size].double() / len(kept)


def check_delays(delays: torch.Tensor) -> None:
    """A tensor (..., T) of integers >= 0."""
    whole = isinstance(delays, torch.Tensor) and not (
        delays.dtype.is_floating_point or delays.dtype.is_complex or delays.dtype == torch.bool
    )
    if not whole or delays.ndim < 1:
        got = f"{delays.dtype} {tuple(delays.shape)}" if isinstance(delays, torch.Tensor) else type(delays).__name__
        raise ValueError(f"delays must be an integer tensor (..., T), got {got}")
    if delays.numel() and int(delays.min()) < 0:
        raise ValueError(f"delays must be >= 0, got {int(delays.min())}")
