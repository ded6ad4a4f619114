"""Sudoku grids, puzzles with one solution, and an exact solver to compare with."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import torch

from litrepro import _validate

GREEDY_AFTER = 6  # random sets of holes tried before cells are dug one by one
FEWEST_GIVENS = {4: 4, 9: 17}  # that leave one solution; 17 by McGuire, Tugemann and Civario (2012)
ATTEMPTS = 400  # orders of digging before a puzzle with so many holes is taken not to exist


def sudoku_grids(box: int, count: int, *, seed: int) -> torch.Tensor:
    """Complete Sudoku grids of side n = box^2, digits 0..n-1.

    Parameters
    ----------
    box
        2: distinct grids out of all 288. Otherwise symmetries (digits, rows within bands, bands, columns,
        stacks, transposition) of
        one base grid.
    count, seed
        How many, and of the draw.

    Returns
    -------
    (count, n, n) int64. Raises ``ValueError`` for box < 2, count < 1, and more than 288 grids for box 2.

    Examples
    --------
    >>> sudoku_grids(2, 288, seed=0).unique(dim=0).shape
    torch.Size([288, 4, 4])
    """
    box = _validate.positive_int("box", box, 2)
    count = _validate.positive_int("count", count)
    generator = torch.Generator().manual_seed(_validate.seed("seed", seed))
    if box == 2:
        if count > 288:
            raise ValueError(f"there are 288 grids of side 4, got count {count}")
        return _all_small_grids()[torch.randperm(288, generator=generator, device="cpu")[:count]].clone()
    n = box * box
    row = torch.arange(n, device="cpu")
    base = (box * (row % box) + row // box)[:, None] + row
    digits = torch.rand(count, n, generator=generator, device="cpu").argsort(1)
    rows, columns = (_line_order(count, box, generator) for _ in range(2))
    grids = base.remainder(n)[rows[:, :, None], columns[:, None, :]]
    grids = digits.gather(1, grids.flatten(1)).view(count, n, n)
    flip = torch.rand(count, generator=generator, device="cpu") < 0.5
    return torch.where(flip[:, None, None], grids.mT, grids).contiguous()


def sudoku_puzzles(grids: torch.Tensor, holes: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Puzzles with a unique solution, as bits; bit (n row + column) n + digit.

    Parameters
    ----------
    grids
        (N, n, n) complete grids, digits 0..n-1.
    holes
        Cells to dig; exactly n^2 - holes cells stay. They must be at least 4 on 4x4 boards, 17 on 9x9 (McGuire et al.
        2012) and n - 1 on any: two digits that are both not given could change places.
    seed
        Of the choice of cells.

    Returns
    -------
    z (N, n^3) float32, the one-hot solution (not the puzzle), and known (N, n^3) bool, True on all bits of a
    given cell.

    Raises ``ValueError`` for grids that break a rule, for fewer givens than a single solution needs, and where no order
    of digging made so many holes.

    Examples
    --------
    >>> z, known = sudoku_puzzles(sudoku_grids(2, 3, seed=0), 6, seed=0)
    >>> z.shape, known.sum(1).tolist()
    (torch.Size([3, 64]), [40, 40, 40])
    """
    n = _check_grids(grids)
    device, grids = grids.device, grids.long().cpu()
    holes = _validate.positive_int("holes", holes, 0)
    most = n * n - FEWEST_GIVENS.get(n, n - 1)
    if holes > most:
        raise ValueError(f"holes must be in 0..{most}, with more no solution is the only one; got {holes}")
    generator = torch.Generator().manual_seed(_validate.seed("seed", seed))
    given = torch.ones(len(grids), n * n, dtype=torch.bool, device="cpu")
    open_ = torch.arange(len(grids), device="cpu")
    for _ in range(GREEDY_AFTER if holes and len(grids) else 0):
        order = torch.rand(len(open_), n * n, generator=generator, device="cpu").argsort(1)
        trial = torch.ones(len(open_), n * n, dtype=torch.bool, device="cpu").scatter(1, order[:, :holes], False)
        # Singles never guess: a puzzle they finish has one solution. The exact solver looks at the others.
        solved = _finished_by_singles(grids[open_], trial)
        for j in torch.where(~solved)[0].tolist() if n <= 4 else ():
            solved[j] = _unique(grids[open_[j]], trial[j])
        given[open_[solved]] = trial[solved]
        open_ = open_[~solved]
        if not len(open_):
            break
    for j in open_.tolist() if holes else ():
        given[j] = _dig(grids[j], holes, generator)
    z = torch.nn.functional.one_hot(grids.reshape(len(grids), n * n), n).flatten(1).float()
    return z.to(device), given.repeat_interleave(n, 1).to(device)


def solve_sudoku(puzzle: torch.Tensor, limit: int = 1) -> list[torch.Tensor]:
    """Solutions of a puzzle (n, n), -1 where a cell is empty: backtracking on the cell with the fewest candidates.

    Returns
    -------
    At most ``limit`` grids (n, n) int64; none for a contradiction. Raises ``ValueError`` unless n is a square
    > 1 and digits are
    in -1..n-1.

    Examples
    --------
    >>> grid = sudoku_grids(2, 1, seed=0)[0]
    >>> bool((solve_sudoku(grid)[0] == grid).all())
    True
    """
    n = _side(puzzle, 2)
    if int(puzzle.min()) < -1 or int(puzzle.max()) >= n:
        raise ValueError(f"digits must lie in -1..{n - 1}, got {int(puzzle.min())}..{int(puzzle.max())}")
    limit = _validate.positive_int("limit", limit)
    found = _search(puzzle.flatten().tolist(), n, limit)
    return [torch.tensor(solution, device=puzzle.device).view(n, n) for solution in found]


def _side(grids: Any, dims: int) -> int:
    if _validate.integer_tensor("a board", grids).ndim != dims:
        raise ValueError(f"boards must have {dims} dimensions here, got shape {tuple(grids.shape)}")
    n = grids.shape[-1]
    if n < 4 or grids.shape[-2] != n or round(n**0.5) ** 2 != n:
        raise ValueError(f"the side must be a square of at least 4, got shape {tuple(grids.shape)}")
    return n


def _check_grids(grids: Any) -> int:
    n = _side(grids, 3)
    box = round(n**0.5)
    digits = torch.arange(n, device=grids.device)
    blocks = grids.reshape(len(grids), box, box, box, box).transpose(2, 3).reshape(grids.shape)
    for lines in (grids, grids.mT, blocks):
        if not bool((lines.sort(-1).values == digits).all()):
            raise ValueError(f"grids must hold the digits 0..{n - 1} once in every row, column and box")
    return n


def _line_order(count: int, box: int, generator: torch.Generator) -> torch.Tensor:
    """(count, box^2): lines permuted within bands, and bands permuted."""
    bands = torch.rand(count, box, generator=generator, device="cpu").argsort(1)
    lines = torch.rand(count, box, box, generator=generator, device="cpu").argsort(2)
    return (box * bands[:, :, None] + lines).flatten(1)


@functools.cache
def _all_small_grids() -> torch.Tensor:
    """The 288 grids of side 4."""
    rows = torch.tensor(list(itertools.permutations(range(4))), device="cpu")
    top = torch.tensor([(a, b) for a in range(24) for b in range(24)], device="cpu")
    pairs = rows[top].flatten(1).view(-1, 2, 4)
    boxes = pairs.view(-1, 2, 2, 2).transpose(1, 2).reshape(-1, 2, 4)
    pairs = pairs[(boxes.sort(-1).values == torch.arange(4, device="cpu")).all((1, 2))]
    both = torch.cat([pairs.repeat_interleave(len(pairs), 0), pairs.repeat(len(pairs), 1, 1)], 1)
    return both[(both.mT.sort(-1).values == torch.arange(4, device="cpu")).all((1, 2))]


def _finished_by_singles(grids: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Whether naked and hidden singles fill the puzzle, (N,), all puzzles at once."""
    total, n = len(grids), grids.shape[-1]
    box = round(n**0.5)
    truth = torch.nn.functional.one_hot(grids.reshape(total, -1), n).bool()
    candidates = (truth | ~given[..., None]).view(total, box, box, box, box, n)
    # dimensions: band, row in band, stack, column in stack; rows, columns, boxes, cells as those that a unit runs over
    units = ((3, 4), (1, 2), (2, 4), (5,))
    for _ in range(n * n):
        before = int(candidates.sum())
        certain = candidates.sum(5, keepdim=True) == 1
        for unit in units[:3]:
            certain = certain | (candidates & (candidates.sum(unit, keepdim=True) == 1)).any(5, keepdim=True)
            hidden = candidates & (candidates.sum(unit, keepdim=True) == 1)
            candidates = torch.where(hidden.any(5, keepdim=True), hidden, candidates)
            placed = candidates & (candidates.sum(5, keepdim=True) == 1)
            taken = placed.any(unit[0], keepdim=True).any(unit[1], keepdim=True)
            candidates = candidates & (placed | ~taken)
        if int(candidates.sum()) == before:
            break
    return (candidates.sum(5) == 1).flatten(1).all(1)


def _unique(grid: torch.Tensor, given: torch.Tensor) -> bool:
    puzzle = torch.where(given, grid.flatten(), -1).tolist()
    return len(_search(puzzle, grid.shape[-1], 2)) == 1


def _dig(grid: torch.Tensor, holes: int, generator: torch.Generator) -> torch.Tensor:
    """Cells one by one in a random order, each only if the solution stays unique; from another order when stuck."""
    cells = grid.numel()
    for _ in range(ATTEMPTS):
        given, left = torch.ones(cells, dtype=torch.bool, device="cpu"), holes
        for position, cell in enumerate(torch.randperm(cells, generator=generator, device="cpu").tolist()):
            if not left or cells - position < left:
                break
            given[cell] = False
            if _unique(grid, given):
                left -= 1
            else:
                given[cell] = True
        if not left:
            return given
    raise ValueError(f"no puzzle with {holes} holes and one solution was found in {ATTEMPTS} orders of digging")


@functools.cache
def _peers(n: int) -> list[list[int]]:
    box = round(n**0.5)
    where = [(c // n, c % n) for c in range(n * n)]
    return [
        [
            d
            for d, (r2, c2) in enumerate(where)
            if d != c
            and (
                r2 == where[c][0]
                or c2 == where[c][1]
                or (r2 // box, c2 // box) == (where[c][0] // box, where[c][1] // box)
            )
        ]
        for c in range(n * n)
    ]


def _search(puzzle: list[int], n: int, limit: int) -> list[list[int]]:
    """Bit masks of candidates; depth first."""
    peers, masks, open_ = _peers(n), [(1 << n) - 1] * (n * n), set()
    for cell, digit in enumerate(puzzle):
        if digit < 0:
            open_.add(cell)
            continue
        for other in peers[cell]:
            masks[other] &= ~(1 << digit)
    if any(digit >= 0 and not masks[cell] >> digit & 1 for cell, digit in enumerate(puzzle)):
        return []
    found: list[list[int]] = []
    values = list(puzzle)

    def descend() -> None:
        if not open_:
            found.append(list(values))
            return
        cell = min(open_, key=lambda c: masks[c].bit_count())
        if not masks[cell]:
            return
        open_.remove(cell)
        for digit in range(n):
            bit = 1 << digit
            if not masks[cell] & bit:
                continue
            changed = [other for other in peers[cell] if other in open_ and masks[other] & bit]
            for other in changed:
                masks[other] &= ~bit
            values[cell] = digit
            descend()
            for other in changed:
                masks[other] |= bit
            if len(found) >= limit:
                break
        values[cell] = -1
        open_.add(cell)

    descend()
    return found
