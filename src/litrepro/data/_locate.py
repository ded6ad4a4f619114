"""Find a file: ``LITREPRO_DATA``, the user's cache, a checksummed download. Both variables are read at every call."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

from litrepro.data._registry import CIFAR_ARCHIVES, CIFAR_LAYOUTS, DATASETS, File


class DataUnavailableError(FileNotFoundError):
    """A data set that is missing, corrupt or truncated; the message names file, places searched and remedy.

    Examples
    --------
    >>> from litrepro.data import digits
    >>> try:
    ...     digits(source="full")
    ... except DataUnavailableError:
    ...     print("there are no more digits than the bundled ones")
    there are no more digits than the bundled ones
    """


class CorruptDataError(DataUnavailableError):
    """A file that is there but cannot be trusted: no reason to go on with another one."""


def data_folders() -> list[tuple[str, Path]]:
    """Where files are searched, in order: (name for people, folder)."""
    folders = []
    if os.environ.get("LITREPRO_DATA"):
        folders.append(("LITREPRO_DATA", Path(os.environ["LITREPRO_DATA"])))
    folders.append(("user cache", cache_folder()))
    return folders


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/litrepro`` or ``~/.cache/litrepro``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "litrepro"


def find(path: str) -> Path | None:
    """The first existing file or folder ``path`` below the data folders, or None."""
    for _, folder in data_folders():
        if (folder / path).exists():
            return folder / path
    return None


def locate(dataset: str, file: File, *, download: bool = True) -> Path:
    """The local path of a file, downloaded into the cache if need be.

    Raises
    ------
    DataUnavailableError
        Not found and not downloadable, or a download whose checksum is wrong.
    """
    found = find(file.path)
    if found is not None:
        return found
    if not download or file.url is None:
        raise unavailable(dataset, file.path)
    return _download(dataset, file)


def unavailable(dataset: str, path: str, reason: str = "", remedy: str = "") -> DataUnavailableError:
    """The error for a data set that is not there."""
    places = ", ".join(f"{folder} ({name})" for name, folder in data_folders())
    unset = "" if os.environ.get("LITREPRO_DATA") else " LITREPRO_DATA is not set."
    why = f" {reason}." if reason else ""
    remedy = remedy or DATASETS[dataset].remedy
    return DataUnavailableError(f"{dataset}: {path} is not available; searched {places}.{unset}{why} Remedy: {remedy}.")


def corrupt(dataset: str, path: Path, reason: str) -> CorruptDataError:
    """The error for a file that is there but cannot be trusted; it names the file, its checksum and the remedy."""
    expected = [file.sha256 for file in DATASETS[dataset].files if Path(file.path).name == path.name]
    published = f" (as published: {expected[0]})" if expected else ""
    return CorruptDataError(
        f"{dataset}: {path} is corrupt or truncated: {reason}; its sha256 is {sha256(path)}{published}. "
        f"Remedy: delete the file; {DATASETS[dataset].remedy}."
    )


def cifar_batch(folder: Path, name: str) -> Path | None:
    """The file of a batch in whichever layout lies in a folder, None if there is none."""
    places = [folder / sub / f"{name}{ending}" for sub, ending in CIFAR_LAYOUTS]
    return next((path for path in places if path.is_file()), None)


def cifar_archives(folder: Path) -> list[Path]:
    """The archives in a folder that hold all batches."""
    return [folder / name for name in CIFAR_ARCHIVES if (folder / name).is_file()]


def sha256(path: Path) -> str:
    """Checksum of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def read_gzip(dataset: str, path: Path) -> bytes:
    """The decompressed bytes of a file; a broken or short one is a ``DataUnavailableError``."""
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, ValueError) as error:
        raise corrupt(dataset, path, f"it does not decompress ({error})") from error
    except Exception as error:  # zlib.error is no OSError
        raise corrupt(dataset, path, f"it does not decompress ({error})") from error


def _download(dataset: str, file: File) -> Path:
    """Fetch into the cache: written to a temporary name, checked, then renamed."""
    target = cache_folder() / file.path
    try:
        import pooch
    except ImportError:
        raise unavailable(dataset, file.path, "pooch is not installed, so nothing was downloaded") from None
    pooch.get_logger().setLevel("WARNING")  # what it says of a download would stand among a page's outputs
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # pooch writes to a temporary file in the same folder, compares the checksum, then renames.
        pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=target.name, path=target.parent, progressbar=False)
    except Exception as error:
        raise unavailable(dataset, file.path, f"The download from {file.url} failed: {error}") from error
    return target
