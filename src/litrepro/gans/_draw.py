"""Pictures of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from litrepro import _validate
from litrepro.gans._tables import thumbnail_images

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FRAME = 1  # pixels around a sample


def draw_thumbnails(table: pd.DataFrame, count: int = 12) -> Axes:
    """Samples as one image: a row for every variant, the same noise in every column.

    Parameters
    ----------
    table
        Of ``thumbnails``, fresh or recorded.
    count
        Columns; fewer where the table has fewer samples.

    Returns
    -------
    The axes of a new figure. Raises ``ValueError`` for count < 1 and a table that is none or has no rows.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"variant": ["a", "b"], "image": [0, 0], "pixels": ["f" * 784, "0" * 784]})
    >>> [label.get_text() for label in draw_thumbnails(table).get_yticklabels()]
    ['a', 'b']
    """
    from litrepro.plotting import figure

    count = _validate.positive_int("count", count)
    if _validate.table("table", table, ("variant", "pixels")).empty:
        raise ValueError("table must have rows, got none")
    pictures = thumbnail_images(table)
    framed = [torch.nn.functional.pad(images[:count], [FRAME] * 4, value=-1.0) for images in pictures.values()]
    rows = [torch.cat(list(images), 1) for images in framed]
    side = len(rows[0])
    _, ax = figure(height=0.7 * len(rows))
    ax.imshow(torch.cat(rows).numpy(), cmap="gray", vmin=-1, vmax=1)
    ax.set(xticks=[], yticks=[side * (k + 0.5) for k in range(len(rows))], yticklabels=list(pictures))
    ax.grid(False)
    return ax
