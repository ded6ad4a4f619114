"""Texts: tiny Shakespeare, and sentences and paragraphs about materials synthesis."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from litrepro import _validate
from litrepro.data._locate import corrupt, locate, read_gzip
from litrepro.data._registry import DATASETS
from litrepro.data._tables import registered

if TYPE_CHECKING:
    import pandas as pd


def tiny_shakespeare(*, download: bool = True) -> str:
    """1,115,394 characters of Shakespeare's plays, 65 of them distinct (Karpathy's char-rnn).

    Raises ``DataUnavailableError`` if the file is missing or is not that text.

    Examples
    --------
    >>> tiny_shakespeare()[:14]  # doctest: +SKIP
    'First Citizen:'
    """
    file = DATASETS["tiny-shakespeare"].files[0]
    path = locate("tiny-shakespeare", file, download=download)
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() != file.sha256:
        raise corrupt("tiny-shakespeare", path, f"{len(text)} characters, {len(set(text))} of them distinct")
    return text.decode("ascii")


_TEXTS = {
    "sofc": ("sofc_exp_sentences", "text", "Friedrich et al., ACL 2020 (SOFC-Exp), CC BY 4.0"),
    "huo": ("huo2019_labelled_redacted", "text_redacted", "Huo et al., npj Comput. Mater. 5, 62 (2019), MIT"),
}


def synthesis_text(source: str = "sofc", *, download: bool = True) -> pd.DataFrame:
    """Labelled text about materials synthesis: columns ``text, label`` first, others as published.

    Parameters
    ----------
    source
        ``"sofc"``: sentences of 45 papers, label 1 if one describes an experiment, with the published ``split``.
        ``"huo"``: paragraphs by five kinds of synthesis, redacted by the authors to their first and last 50 characters.

    Returns
    -------
    DataFrame with its provenance in ``attrs``.

    Raises
    ------
    ValueError
        Unknown source.
    DataUnavailableError
        The file is missing or corrupt.

    Examples
    --------
    >>> table = synthesis_text("sofc")  # doctest: +SKIP
    >>> list(table.columns[:2]), sorted(table["label"].unique().tolist())  # doctest: +SKIP
    (['text', 'label'], [0, 1])
    """
    import pandas as pd

    _validate.choice("source", source, tuple(_TEXTS))
    stem, column, origin = _TEXTS[source]
    file = registered("synthesis-text", stem)
    path = locate("synthesis-text", file, download=download)
    content = read_gzip("synthesis-text", path)
    try:
        rows = [json.loads(line) for line in content.decode("utf-8").splitlines() if line.strip()]
        frame = pd.DataFrame.from_records([dict(row) for row in rows]).rename(columns={column: "text"})
        frame = frame[["text", "label"] + [name for name in frame if name not in ("text", "label")]]
        if frame["label"].isna().any() or not frame["text"].map(lambda text: isinstance(text, str)).all():
            raise ValueError("a row without a text or a label")
    except (ValueError, KeyError, TypeError) as error:
        raise corrupt("synthesis-text", path, f"not labelled JSON lines ({error})") from error
    if len(frame) != file.rows:
        raise corrupt("synthesis-text", path, f"it holds {len(frame)} of {file.rows} rows")
    frame.attrs.update(origin=origin, source=source, file=f"synthesis-text/{path.name}")
    return frame
