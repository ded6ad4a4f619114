"""Features of a composition: statistics of its elements' properties."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from litrepro import _validate
from litrepro.materials._elements import PROPERTIES, TABLE
from litrepro.materials._formulas import parse_formula

if TYPE_CHECKING:
    import pandas as pd

STATISTICS = ("mean", "deviation", "min", "max", "range")


def element_table() -> pd.DataFrame:
    """The packaged properties of 97 elements, H to Bk: one row per symbol (the index), 22 columns of float64.

    Source: Magpie (Ward, Agrawal, Choudhary and Wolverton 2016), as distributed with CBFV and CrabNet (MIT).

    Examples
    --------
    >>> table = element_table()
    >>> table.shape, float(table.loc["Fe", "atomic_number"])
    ((97, 22), 26.0)
    """
    import pandas as pd

    return pd.read_csv(
        io.StringIO(TABLE), names=["element", *PROPERTIES], keep_default_na=False, na_values=[""]
    ).set_index("element")


def composition_features(formulas: Sequence[str], table: pd.DataFrame | None = None) -> tuple[torch.Tensor, list[str]]:
    """Statistics of elemental properties, weighted by the elements' fractions.

    For each property: its ``mean``, its ``deviation`` (mean absolute deviation from that mean), its ``min``, ``max``
    and ``range`` over the elements present. They do not depend on the order of elements or on a common factor.

    Parameters
    ----------
    formulas
        N formulas that ``parse_formula`` reads.
    table
        One row per element (symbols in the index or in a column ``element``), p numeric columns; default
        ``element_table()``. Missing values are replaced by the mean of their column.

    Returns
    -------
    X (N, 5 p) float64 and the names of the columns, ``"mean atomic_number"`` and so on, all means first.

    Raises
    ------
    ValueError
        Formulas that cannot be parsed, an element that the table lacks (naming the formula), a table without numbers
        or with infinite ones.

    Source: Ward, Agrawal, Choudhary and Wolverton 2016, section "general-purpose attributes".

    Examples
    --------
    >>> X, names = composition_features(["Fe2O3", "O6Fe4"])
    >>> bool((X[0] == X[1]).all()), round(X[0, names.index("mean atomic_number")].item(), 4)  # 0.4 * 26 + 0.6 * 8
    (True, 15.2)
    """
    if isinstance(formulas, str):
        raise ValueError(f"formulas must be a sequence of formulas, got the single text {formulas!r}")
    formulas = _validate.sequence("formulas", formulas, 0)
    amounts = [parse_formula(formula) for formula in formulas]
    symbols, properties, values = _numbers(element_table() if table is None else table)
    place = {symbol: row for row, symbol in enumerate(symbols)}
    names = [f"{statistic} {name}" for statistic in STATISTICS for name in properties]
    for formula, parts in zip(formulas, amounts):
        missing = [symbol for symbol in parts if symbol not in place]
        if missing:
            raise ValueError(f"formula {formula!r}: the element table has no row for {', '.join(missing)}")
    if not amounts:
        return torch.zeros(0, len(names), dtype=torch.float64), names
    most = max(map(len, amounts))
    index = torch.zeros(len(amounts), most, dtype=torch.int64)
    fraction = torch.zeros(len(amounts), most, dtype=torch.float64)
    for row, parts in enumerate(amounts):
        # Sorted, so that the order in which elements are written does not even change the last digit.
        ordered = sorted(parts)
        index[row, : len(ordered)] = torch.tensor([place[symbol] for symbol in ordered])
        fraction[row, : len(ordered)] = torch.tensor([parts[symbol] for symbol in ordered], dtype=torch.float64)
    fraction /= fraction.sum(1, keepdim=True)
    return _statistics(values[index], fraction[..., None]), names


def _statistics(each: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
    """each (N, m, p), fraction (N, m, 1) that is 0 where there is no element -> (N, 5 p)."""
    absent = fraction == 0
    mean = (fraction * each).sum(1)
    deviation = (fraction * (each - mean[:, None]).abs()).sum(1)
    low = each.masked_fill(absent, torch.inf).amin(1)
    high = each.masked_fill(absent, -torch.inf).amax(1)
    return torch.cat([mean, deviation, low, high, high - low], 1)


def _numbers(table: pd.DataFrame) -> tuple[list[str], list[str], torch.Tensor]:
    """Symbols, property names and values without gaps."""
    if "element" in _validate.table("table", table).columns:
        table = table.set_index("element")
    numeric = table.select_dtypes("number").astype(float)
    if bool(numeric.isin([math.inf, -math.inf]).any(axis=None)):
        raise ValueError("table must hold finite numbers (or gaps), got an infinite one")
    if numeric.empty:
        raise ValueError("table must have numeric columns and one row per element, got none")
    if numeric.index.has_duplicates:
        raise ValueError(
            f"table must name each element once, got {numeric.index[numeric.index.duplicated()][0]!r} twice"
        )
    numeric = numeric.fillna(numeric.mean())
    gaps = [str(name) for name in numeric if numeric[name].isna().any()]
    if gaps:
        raise ValueError(f"table has columns without any value: {', '.join(gaps)}")
    return list(map(str, numeric.index)), list(map(str, numeric.columns)), torch.tensor(numeric.to_numpy())
