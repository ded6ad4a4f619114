"""Grain growth by the Potts model: Monte Carlo on four sublattices whose sites never neighbour each other."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.materials import _arguments

_NEIGHBOURS = [(di, dj) for di in (-1, 0, 1) for dj in (-1, 0, 1) if (di, dj) != (0, 0)]


def potts_growth(
    labels: torch.Tensor,
    sweeps: int,
    *,
    temperature: float = 0.5,
    record: int | None = None,
    seed: int | torch.Generator = 0,
) -> torch.Tensor:
    """Curvature-driven grain growth: every site is offered the label of a random neighbour, Metropolis decides.

    A sweep visits the four sublattices (even or odd row, even or odd column) one after the other. Sites of one
    sublattice are independent under the 8-neighbourhood, so a whole sublattice of all images is updated at once. A
    proposal is accepted with probability min(1, exp(-dE / T)); dE is the change of ``boundary_energy``.

    Parameters
    ----------
    labels
        (b, n, n) integers, n even; periodic; not modified.
    sweeps
        >= 0.
    temperature
        T >= 0 in units of one unlike pair; at 0 a proposal is accepted if dE <= 0.
    record
        Keep the state after sweeps record, 2 record, ...; the same seed gives the same states with and without.
    seed
        A seed, or a generator on the device of the labels. All images draw from it together: what becomes of one
        depends on how many there are, not on what the others show.

    Returns
    -------
    (b, n, n), or (sweeps // record, b, n, n) with ``record``; in the dtype of the labels.

    Raises
    ------
    ValueError
        Odd n, T < 0, labels of another shape or dtype.

    Source: Anderson, Srolovitz, Grest and Sahni 1984, with the sublattice order instead of random sites.

    Examples
    --------
    >>> import torch
    >>> labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    >>> labels[0, 3, 3] = 1
    >>> states = potts_growth(labels, 3, temperature=0.0, record=1)
    >>> [len(state.unique()) for state in states]  # a grain of one site does not survive
    [1, 1, 1]
    """
    _arguments.label_images(labels, dims=3)
    b, n = labels.shape[0], labels.shape[-1]
    if n % 2:
        raise ValueError(f"the images must have an even size, got n = {n}")
    temperature = _validate.real("temperature", temperature, 0)
    # Below that, float32 rounds T to 0, and 0 / 0 accepts nothing.
    temperature = max(temperature, 1e-30) if temperature > 0 else 0.0
    sweeps, record = _arguments.frames(sweeps, record)
    source = _validate.random_source("seed", seed, labels.device)
    # Four quarter images, in 32 bits where the labels fit: half the memory traffic.
    small = labels.numel() > 0 and int(labels.abs().max()) < 2**31
    work = labels.to(torch.int32) if small else labels
    quarters = [[work[:, p::2, q::2].clone() for q in (0, 1)] for p in (0, 1)]
    kept = []
    for sweep in range(1, sweeps + 1):
        for p in (0, 1):
            for q in (0, 1):
                _update(quarters, p, q, temperature, source)
        if record is not None and sweep % record == 0:
            kept.append(_assemble(quarters, labels))
    if record is None:
        return _assemble(quarters, labels)
    return torch.stack(kept) if kept else labels.new_empty(0, b, n, n)


def _update(quarters: list, p: int, q: int, temperature: float, source: torch.Generator) -> None:
    """One Metropolis step of every site of the sublattice (p, q)."""
    old = quarters[p][q]
    around = torch.stack([_shifted(quarters, p + di, q + dj) for di, dj in _NEIGHBOURS])
    choice = torch.randint(8, old.shape, generator=source, device=old.device)
    new = around.gather(0, choice[None])[0]
    # dE = like neighbours lost - like neighbours gained; in 8 bits, which is half the time of summing booleans.
    change = ((around == old).view(torch.int8) - (around == new).view(torch.int8)).sum(0, dtype=torch.int8)
    if temperature > 0:
        draw = torch.rand(old.shape, generator=source, device=old.device)
        accept = draw < (-change / temperature).exp()
    else:
        accept = change <= 0
    quarters[p][q] = torch.where(accept, new, old)


def _shifted(quarters: list, row: int, column: int) -> torch.Tensor:
    """The quarter image whose site (i, j) is the site (2 i + row, 2 j + column) of the whole, row and column in -1 ..
    2."""
    quarter = quarters[row % 2][column % 2]
    shift = (-((row - row % 2) // 2), -((column - column % 2) // 2))
    return quarter.roll(shift, (-2, -1)) if shift != (0, 0) else quarter


def _assemble(quarters: list, like: torch.Tensor) -> torch.Tensor:
    whole = torch.empty_like(like)
    for p in (0, 1):
        for q in (0, 1):
            whole[:, p::2, q::2] = quarters[p][q]
    return whole
