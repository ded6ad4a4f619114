"""Recorded full-scale results: a tidy CSV, its provenance as JSON beside it, and the verdicts of the same run.

A table is written whole or not at all (temporary files, then rename). The provenance holds the table's checksum and a
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
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litrepro import runtime
from litrepro.claims import VERDICTS

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
    """A DataFrame with rows, to be the table ``name``: a CSV file must be able to hold it.

    Its columns have one level, and names that differ as text, a named index included; its cells are single values.
    Raises ``ValueError`` otherwise.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame) or frame.empty:
        got = f"one of shape {frame.shape}" if isinstance(frame, pd.DataFrame) else type(frame).__name__
        raise ValueError(f"table {name!r} must be a DataFrame with rows and columns, got {got}")
    if frame.columns.nlevels > 1:
        raise ValueError(f"table {name!r} must have columns of one level, got {frame.columns.nlevels}")
    try:
        whole = indexed(frame)
    except ValueError as error:
        raise ValueError(f"table {name!r}: the index cannot become a column ({error})") from error
    names = [str(column) for column in whole.columns]
    if len(set(names)) < len(names):
        raise ValueError(f"table {name!r} must have columns of different names, got {', '.join(names)}")
    for column, dtype in whole.dtypes.items():
        cells = whole[column] if pd.api.types.is_object_dtype(dtype) else ()
        # To pandas a tensor without dimensions is a scalar; in a file it is the text "tensor(...)".
        odd = next((cell for cell in cells if not pd.api.types.is_scalar(cell) or hasattr(cell, "detach")), None)
        if odd is not None:
            raise ValueError(f"table {name!r} must hold single values, got {odd!r} in column {column!r}")


def check_folder(folder: Any) -> Path:
    """A path."""
    if not isinstance(folder, str | Path):
        raise ValueError(f"folder must be a path, got {folder!r}")
    return Path(folder)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` whole or not at all; a full disk leaves the old file as it was."""
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none is replaced before all lie on the disk."""
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in files}
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(files[path])
                file.flush()
                os.fsync(file.fileno())
        for path, part in parts.items():
            os.replace(part, path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def save_table(folder: Path, name: str, frame: pd.DataFrame, provenance: dict[str, Any]) -> Path:
    """Write ``folder/name.csv`` and ``folder/name.json``, numbers with nine digits; returns the path of the CSV.

    A named index carries data and becomes a column. Raises ``ValueError`` for a bad name, a frame that cannot be a
    table (``check_frame``), a folder that is no path, provenance that is no mapping.
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
    write_together({path: data, folder / f"{name}.json": _json(record)})
    return path


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


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


def read_kept(path: Path) -> pd.DataFrame:
    """A table that an earlier command wrote with ``to_csv``; ``ResultsError`` if it is none."""
    try:
        return from_csv(path.read_bytes())
    except ValueError as error:  # pandas' errors of parsing are ValueErrors as well
        raise ResultsError(f"{path} is not a table ({error}); delete it, and it is made again") from error


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


def save_verdicts(
    path: Path, provenance: Mapping[str, Any], judged: Mapping[str, Mapping[str, Any]], known: Container[str]
) -> None:
    """Write what a run has ``judged`` so far: by claim id, mappings of ``id, verdict, value``.

    A run may pause or fail before it has judged everything. Verdicts that an earlier run of the same configuration left
    in the file, of claims still ``known`` and not judged yet, therefore stay, with the whole of that configuration.
    """
    record = dict(provenance)
    try:
        earlier = _verdict_record(path) if path.is_file() else {}
    except ResultsError:
        earlier = {}
    kept = []
    if same_run(earlier, record["seed"], record["configuration"]):
        kept = [entry for entry in earlier["verdicts"] if entry["id"] in known and entry["id"] not in judged]
    if kept:
        record |= {name: earlier[name] for name in ("configuration", "configuration_digest") if name in earlier}
    write_atomically(path, _json(record | {"verdicts": [*kept, *judged.values()]}))


def same_run(record: Mapping[str, Any], seed: int, configuration: list[Any]) -> bool:
    """Whether ``record`` is of this seed and its configuration begins with this one (JSON-ready).

    What is picked later does not tell a run that is under way from one that is complete.
    """
    found = record.get("configuration")
    if not isinstance(found, list) or record.get("seed") != seed:
        return False
    return runtime.digest(found[: len(configuration)]) == runtime.digest(configuration)


def load_verdicts(folder: Path, notebook: str | None = None) -> dict[str, dict[str, Any]]:
    """Every recorded verdict of a chapter by claim id; where several notebooks judged a claim, that of ``notebook``.

    An entry has ``id, verdict, value`` and, of the run, ``notebook, seed, configuration`` (None where the file does not
    say). Raises ``ResultsError`` if a file cannot be read or holds a verdict outside the vocabulary.
    """
    found: dict[str, dict[str, Any]] = {}
    paths = check_folder(folder).glob("*.verdicts.json")
    for path in sorted(paths, key=lambda path: (path.name == f"{notebook}.verdicts.json", path.name)):
        record = _verdict_record(path)
        run = {"notebook": path.name.removesuffix(".verdicts.json")}
        run |= {name: record.get(name) for name in ("seed", "configuration")}
        for entry in record["verdicts"]:
            found[entry["id"]] = {name: entry[name] for name in ("id", "verdict", "value")} | run
    return found


def _verdict_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        entries = [(entry["id"], entry["verdict"], entry["value"]) for entry in record["verdicts"]]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} is not a record of verdicts ({error!r}); record the notebook again") from error
    for claim_id, verdict, _ in entries:
        if verdict not in VERDICTS:
            raise ResultsError(f"{path}: {claim_id}: a verdict is one of {', '.join(VERDICTS)}; got {verdict!r}")
    return record
