"""Numbers in tables as people write them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def counted(table: pd.DataFrame, columns: list | None = None, never: str = "not reached") -> pd.DataFrame:
    """A copy of ``table`` in which counts are whole numbers, with ``never`` where there is none (inf or nan).

    ``columns`` are those that hold counts, all if None; the others stay as they are. Raises ``ValueError`` for a
    column that the table does not have.

    Examples
    --------
    >>> import pandas as pd
    >>> counted(pd.DataFrame({"steps": [2580.0, float("inf")]})).steps.tolist()
    ['2,580', 'not reached']
    """
    columns = list(table.columns) if columns is None else list(columns)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(f"the table has no column {missing[0]!r}; it has {list(table.columns)}")
    table = table.astype(dict.fromkeys(columns, object))
    for name in columns:
        table[name] = table[name].map(lambda n: f"{n:,.0f}" if math.isfinite(n) else never)
    return table
