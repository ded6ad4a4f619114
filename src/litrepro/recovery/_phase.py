"""Phase diagrams of recovery: every size, number of measurements and trial in one batch."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.recovery._consensus import RecoveryResult, structured_recovery
from litrepro.recovery._greedy import structured_iht
from litrepro.recovery._norms import NORMS
from litrepro.recovery._problems import KINDS, linear_measurements, measure, sparse_low_rank

if TYPE_CHECKING:
    import pandas as pd

    Weights = Callable[[int], Mapping[str, float]]


class _Cell(NamedTuple):
    d: int
    m: int
    signals: torch.Tensor  # (trials, d, d)
    rows: torch.Tensor  # (trials, m, d, d)


def phase_diagram(
    ds: Sequence[int],
    ms: Sequence[int],
    k: int,
    *,
    rank: int = 1,
    trials: int,
    weights: Weights | None,
    psd: bool = True,
    kind: str = "gaussian",
    success: float = 1e-3,
    tol: float = 1e-5,
    max_iter: int = 2000,
    generator: torch.Generator | int | None = None,
    chunk_bytes: int = 2**30,
    dtype: torch.dtype = torch.float64,
) -> pd.DataFrame:
    """Try to recover random sparse low-rank matrices for all sizes ``ds`` and numbers of measurements ``ms``.

    The whole grid is one call of ``structured_recovery``: smaller problems are padded with zero coordinates and zero
    measurements. It is split where the padded measurements would exceed ``chunk_bytes`` and between sizes whose
    ``weights`` name other norms; a problem's result depends, but for rounding, neither on the split nor on the grid.

    Parameters
    ----------
    ds, ms, k, rank, trials, psd, kind
        Sizes of signals (``sparse_low_rank``), measurements (``linear_measurements``), and trials per cell.
    weights
        From d to the weights of the norms, at least one, called once for every d. A norm of weight 0 takes part in the
        iteration (with ``psd`` the nuclear norm always does). None: ``structured_iht``, which is told k and rank,
        instead.
    success
        A trial succeeds if ||X - X0||_F < success; X0 has norm 1.
    tol, max_iter
        Of the solver (for ``structured_iht`` max_iter bounds its iterations; it keeps its own tolerance).
    generator
        Draws the problems, on its device, where they are also solved; or its seed (0 if None). The draws do not depend
        on ``weights``, so that one seed compares norms on the same problems.

    Returns
    -------
    One row per trial: ``d, m, trial, error, success, iterations, converged``. Problems that did not converge are marked
    there; no warning is issued.

    Raises ``ValueError`` for empty or invalid sizes, another kind, weights that are no function or not its values,
    trials < 1, success <= 0 and what the solver refuses.

    Examples
    --------
    >>> table = phase_diagram([4], [4, 16], 1, trials=3, weights=lambda d: {"l1": 1.0})
    >>> table.groupby("m")["success"].mean().loc[16].item()  # as many measurements as entries
    1.0
    """
    import pandas as pd

    ds = [_validate.positive_int("ds", d) for d in _validate.sequence("ds", ds)]
    ms = [_validate.positive_int("ms", m) for m in _validate.sequence("ms", ms)]
    k, rank = _validate.positive_int("k", k), _validate.positive_int("rank", rank)
    if min(ds) < k or rank > k:
        raise ValueError(f"every d must be at least k = {k}, and k at least rank = {rank}, got d = {min(ds)}")
    _validate.choice("kind", kind, KINDS)
    tol, max_iter = _validate.real("tol", tol, 0, open_low=True), _validate.positive_int("max_iter", max_iter)
    if weights is not None and not callable(weights):
        raise ValueError(f"weights must be None or a function from d to weights, got {type(weights).__name__}")
    tables = None if weights is None else {d: _weights_of(d, weights(d)) for d in dict.fromkeys(ds)}
    trials = _validate.positive_int("trials", trials)
    success = _validate.real("success", success, 0, open_low=True)
    chunk_bytes = _validate.positive_int("chunk_bytes", chunk_bytes)
    options = {"generator": _validate.random_source("generator", generator), "dtype": dtype}
    cells = (
        _Cell(
            d,
            m,
            sparse_low_rank(d, k, rank, batch=(trials,), psd=psd, **options),
            linear_measurements(d, m, kind, batch=(trials,), **options),
        )
        for d in ds
        for m in ms
    )
    frames = []
    for chunk in _chunks(cells, chunk_bytes, _norms_of(tables or {}, psd)):
        signals, rows = _pad(chunk)
        b = measure(rows, signals)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            if tables is None:
                found = structured_iht(rows, b, k, rank, psd=psd, iterations=max_iter)
            else:
                stacked = _stack_weights(chunk, tables, signals)
                found = structured_recovery(rows, b, stacked, psd=psd, tol=tol, max_iter=max_iter)
        frames.append(_frame(pd, chunk, found, torch.linalg.matrix_norm(found.X - signals), success))
    return pd.concat(frames, ignore_index=True)


def success_threshold(frame: pd.DataFrame, by: str = "d") -> pd.Series:
    """The number of measurements at which recovery starts to succeed, for every value of column ``by``.

    m50 = m_1 + sum_j w_j (1 - p_j): the area of failure, p_j the success rate at m_j and w_j the width of its cell
    (edges: the smallest m, midpoints, the largest m). For a step it is the place of the step, up to half a cell.

    Raises ``ValueError`` if a column (``by``, ``m``, ``success``) is missing, m or success are no numbers or nan, or
    a group has fewer than two values of m.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"d": 8, "m": [10, 20, 30, 40], "success": [0.0, 0.0, 1.0, 1.0]})
    >>> success_threshold(frame).to_dict()
    {8: 25.0}
    """
    _validate.table("frame", frame, (by,), ("m", "success"))
    if frame[["m", "success"]].isna().any(axis=None):
        raise ValueError("m and success must hold numbers, got missing values")
    thresholds = {}
    for value, part in frame.groupby(by):
        rate = part.groupby("m")["success"].mean().sort_index()
        m = rate.index.to_numpy(float)
        if len(m) < 2:
            raise ValueError(f"{by} = {value}: at least two numbers of measurements are needed, got {len(m)}")
        edges = [m[0], *((m[1:] + m[:-1]) / 2), m[-1]]
        widths = [right - left for left, right in itertools.pairwise(edges)]
        failing = sum(width * (1 - float(p)) for width, p in zip(widths, rate))
        thresholds[value] = float(m[0] + failing)
    import pandas as pd

    series = pd.Series(thresholds, name="m50", dtype=float)
    series.index.name = by
    return series


def threshold_error(frame: pd.DataFrame, by: str = "d") -> pd.Series:
    """Standard error of ``success_threshold``, from the spread of the thresholds of single trials.

    Parameters
    ----------
    frame
        Rows of single trials as ``phase_diagram`` returns them, with a column ``trial``.
    by
        As ``success_threshold``.

    Returns
    -------
    One number per value of ``by``.

    Raises ``ValueError`` for missing columns, fewer than two trials, and as ``success_threshold``.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = {"d": 8, "trial": [0, 0, 1, 1], "m": [10, 20, 10, 20], "success": [0.0, 1.0, 1.0, 1.0]}
    >>> threshold_error(pd.DataFrame(cells)).to_dict()  # thresholds 15 and 10
    {8: 2.5}
    """
    import pandas as pd

    _validate.table("frame", frame, (by, "trial"), ("m", "success"))
    single = {trial: success_threshold(part, by) for trial, part in frame.groupby("trial")}
    if len(single) < 2:
        raise ValueError(f"a spread needs at least two trials, got {len(single)}")
    return pd.DataFrame(single).std(axis=1) / math.sqrt(len(single))


def turns(frame: pd.DataFrame, by: str = "d") -> bool:
    """Whether recovery goes from less than half at the smallest m to more than half at the largest.

    For every value of column ``by``: where it does, a ``success_threshold`` is that of a transition that was seen.

    Raises ``ValueError`` as ``success_threshold``.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"d": 8, "m": [10, 20, 30], "success": [0.0, 0.0, 1.0]})
    >>> turns(frame), turns(frame[frame.m < 30])
    (True, False)
    """
    success_threshold(frame, by)  # checks the table
    rates = (part.groupby("m")["success"].mean().sort_index() for _, part in frame.groupby(by))
    return all(bool(rate.iloc[0] < 0.5 < rate.iloc[-1]) for rate in rates)


def _chunks(cells: Iterator[_Cell], chunk_bytes: int, norms: Mapping[int, frozenset[str]]) -> Iterator[list[_Cell]]:
    """Cells in order, as many at a time as fit when padded to the largest of them and have the same norms."""
    chunk: list[_Cell] = []
    for cell in cells:
        trial = [*chunk, cell]
        d, m = max(c.d for c in trial), max(c.m for c in trial)
        size = sum(len(c.signals) for c in trial) * m * d * d * cell.rows.element_size()
        if chunk and (size > chunk_bytes or norms.get(cell.d) != norms.get(chunk[-1].d)):
            yield chunk
            trial = [cell]
        chunk = trial
    yield chunk


def _pad(chunk: list[_Cell]) -> tuple[torch.Tensor, torch.Tensor]:
    """Signals (B, d, d) and measurements (B, m, d, d) of a chunk, zeros added."""
    d, m = max(cell.d for cell in chunk), max(cell.m for cell in chunk)
    count = sum(len(cell.signals) for cell in chunk)
    signals = chunk[0].signals.new_zeros(count, d, d)
    rows = chunk[0].rows.new_zeros(count, m, d, d)
    start = 0
    for cell in chunk:
        stop = start + len(cell.signals)
        signals[start:stop, : cell.d, : cell.d] = cell.signals
        rows[start:stop, : cell.m, : cell.d, : cell.d] = cell.rows
        start = stop
    return signals, rows


def _weights_of(d: int, weights: Any) -> Mapping[str, float]:
    """What the user's function returned for d."""
    if not isinstance(weights, Mapping) or not weights or set(weights) - set(NORMS):
        got = sorted(map(str, weights)) if isinstance(weights, Mapping) else type(weights).__name__
        raise ValueError(f"weights({d}) must map at least one of {', '.join(NORMS)} to numbers, got {got}")
    return {name: _validate.real(f"weights({d})[{name!r}]", weight, 0) for name, weight in weights.items()}


def _norms_of(tables: Mapping[int, Mapping[str, float]], psd: bool) -> dict[int, frozenset[str]]:
    """For every d the norms that the solver keeps a copy for, also those of weight 0: each changes its iteration."""
    return {d: frozenset(table) | ({"nuclear"} if psd else set()) for d, table in tables.items()}


def _stack_weights(
    chunk: list[_Cell], tables: Mapping[int, Mapping[str, float]], like: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The weights of every problem of the chunk; the nuclear norm, which psd adds, is 0 where a d does not name it."""
    sizes = {cell.d: tables[cell.d] for cell in chunk}
    names = list(dict.fromkeys(name for table in sizes.values() for name in table))
    return {
        name: torch.cat([like.new_full((len(cell.signals),), float(sizes[cell.d].get(name, 0.0))) for cell in chunk])
        for name in names
    }


def _frame(pd: object, chunk: list[_Cell], found: RecoveryResult, error: torch.Tensor, success: float) -> pd.DataFrame:
    index = [(cell.d, cell.m, trial) for cell in chunk for trial in range(len(cell.signals))]
    frame = pd.DataFrame(index, columns=["d", "m", "trial"])
    frame["error"] = error.cpu().numpy()
    frame["success"] = frame["error"] < success
    frame["iterations"] = found.iterations.cpu().numpy()
    frame["converged"] = found.converged.cpu().numpy()
    return frame
