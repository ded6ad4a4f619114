"""Recorded full-scale results: a tidy CSV, its provenance as JSON beside it, and the verdicts of the same run.

A table is written whole or not at all (temporary file, then rename). The provenance holds the table's checksum and a
digest of the configuration that made it, so that a reader can tell a table that was edited by hand (an error) from one
whose configuration the code has since left behind (stale).
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

TABLE_MIME = "application/vnd.litrepro.table+json"
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")


class ResultsError(ValueError):
    """A recorded table that cannot be trusted; the message names the file and the remedy."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A recorded table and where it comes from."""

    frame: pd.DataFrame
    provenance: dict[str, Any]

    def stale(self, configuration: str) -> bool:
        """Whether the table was made with another configuration than the one with this digest."""
        return self.provenance["configuration_digest"] != configuration


def check_name(name: str) -> str:
    """``name`` if it can name a table (lower-case words joined by hyphens), else ``ValueError``."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(f"a table's name is lower-case words joined by hyphens, got {name!r}")
    return name


def check_frame(name: str, frame: Any) -> None:
    """A DataFrame with rows, to be the table ``name``."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame) or frame.empty:
        got = f"one of shape {frame.shape}" if isinstance(frame, pd.DataFrame) else type(frame).__name__
        raise ValueError(f"table {name!r} must be a DataFrame with rows and columns, got {got}")


def check_folder(folder: Any) -> Path:
    """A path."""
    if not isinstance(folder, str | Path):
        raise ValueError(f"folder must be a path, got {folder!r}")
    return Path(folder)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` whole or not at all; a full disk leaves the old file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_table(folder: Path, name: str, frame: pd.DataFrame, provenance: dict[str, Any]) -> Path:
    """Write ``folder/name.csv`` and ``folder/name.json``, numbers with nine digits; returns the path of the CSV.

    A named index carries data and becomes a column. Raises ``ValueError`` for a bad name, a frame that is none or
    empty, a folder that is no path, provenance that is no mapping.
    """
    folder = check_folder(folder)
    check_frame(check_name(name), frame)
    if not isinstance(provenance, Mapping):
        raise ValueError(f"provenance must be a mapping, got {type(provenance).__name__}")
    frame = indexed(frame)
    data = to_csv(frame, "%.9g")
    record = dict(provenance)
    record.update(
        table=name,
        rows=len(frame),
        columns=list(map(str, frame.columns)),
        sha256=hashlib.sha256(data).hexdigest(),
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    )
    path = folder / f"{name}.csv"
    write_atomically(path, data)
    write_atomically(folder / f"{name}.json", (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    return path


def indexed(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with a named index as a column: that carries data, an unnamed one says where the rows came from."""
    return frame.reset_index(drop=frame.index.nlevels == 1 and frame.index.name is None)


def to_csv(frame: pd.DataFrame, float_format: str | None = None) -> bytes:
    """A table as text, a named index as a column; numbers in full where no format is given."""
    return indexed(frame).to_csv(index=False, lineterminator="\n", float_format=float_format).encode()


def from_csv(data: bytes) -> pd.DataFrame:
    """What ``to_csv`` wrote: only an empty field is missing, "None" and "NA" are words."""
    import pandas as pd

    return pd.read_csv(io.BytesIO(data), keep_default_na=False, na_values=[""])


def load_table(folder: Path, name: str) -> Recorded | None:
    """The recorded table ``name``, or None if there is none.

    Raises
    ------
    ResultsError
        If only half of the pair is there, the provenance cannot be read, or the CSV is not the one it describes.
    """
    folder = check_folder(folder)
    check_name(name)
    csv, record = folder / f"{name}.csv", folder / f"{name}.json"
    if not csv.exists() and not record.exists():
        return None
    for path in (csv, record):
        if not path.exists():
            raise ResultsError(f"{path} is missing beside its pair; record the table again")
    try:
        provenance = json.loads(record.read_text(encoding="utf-8"))
        expected = provenance["sha256"]
        provenance["configuration_digest"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ResultsError(f"{record} is not a provenance record ({error!r}); record the table again") from error
    data = csv.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ResultsError(
            f"{csv} has sha256 {found}, but its provenance says {expected}: it was changed after it was recorded. "
            "Restore it or record it again"
        )
    return Recorded(from_csv(data), provenance)


def verdicts_path(folder: Path, notebook: str) -> Path:
    """Where the verdicts of a notebook's recorded full run lie."""
    return check_folder(folder) / f"{notebook}.verdicts.json"


def load_verdicts(folder: Path) -> dict[str, dict[str, Any]]:
    """Every recorded verdict of a chapter by claim id; ``ResultsError`` if a file cannot be read."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(check_folder(folder).glob("*.verdicts.json")):
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
            found.update({entry["id"]: {name: entry[name] for name in ("id", "verdict", "value")} for entry in entries})
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ResultsError(f"{path} is not a record of verdicts ({error!r}); record the notebook again") from error
    return found
