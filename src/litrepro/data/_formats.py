"""File formats of the image sets, read whole or not at all."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np

from litrepro.data._locate import corrupt, read_gzip

CIFAR_RECORD = 1 + 3 * 32 * 32


def read_idx(dataset: str, path: Path, each: tuple[int, ...]) -> np.ndarray:
    """Examples (n, *each) of unsigned bytes in MNIST's IDX layout; magic number, sizes and length must agree."""
    data = read_gzip(dataset, path)
    dims = 1 + len(each)
    header = 4 + 4 * dims
    if len(data) < header or data[:4] != bytes([0, 0, 8, dims]):
        raise corrupt(dataset, path, f"no IDX file of {dims} dimensions (starts with {data[:4]!r})")
    shape = tuple(int(size) for size in np.frombuffer(data, ">i4", dims, 4))
    if shape[1:] != each or shape[0] < 1:
        expected = ", ".join(["n", *map(str, each)])
        raise corrupt(dataset, path, f"it holds shape {shape}, expected ({expected})")
    if len(data) != header + int(np.prod(shape)):
        raise corrupt(dataset, path, f"it has {len(data)} bytes, expected {header + int(np.prod(shape))}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def read_cifar_binary(path: Path, data: bytes | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) and labels (n,) of a batch in CIFAR-10's binary layout."""
    data = path.read_bytes() if data is None else data
    if not data or len(data) % CIFAR_RECORD:
        raise corrupt("cifar-10", path, f"it has {len(data)} bytes, expected {CIFAR_RECORD} for every image")
    records = np.frombuffer(data, np.uint8).reshape(-1, CIFAR_RECORD)
    return _checked(path, records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0])


class _ArraysOnly(pickle.Unpickler):
    """The python layout is a pickle: nothing but arrays and plain containers may come out of it."""

    def find_class(self, module: str, name: str):
        allowed = {
            ("_codecs", "encode"),  # how Python 3 writes bytes in the old protocol
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a data file")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_cifar_python(path: Path, data: bytes | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) and labels (n,) of a batch in CIFAR-10's python layout."""
    data = path.read_bytes() if data is None else data
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
        images, labels = np.asarray(batch[b"data"], np.uint8), np.asarray(batch[b"labels"])
    except Exception as error:
        raise corrupt("cifar-10", path, f"no python batch of CIFAR-10 ({error})") from error
    if labels.ndim != 1 or not len(labels) or images.shape != (len(labels), CIFAR_RECORD - 1):
        raise corrupt("cifar-10", path, f"it holds shapes {images.shape} and {labels.shape}")
    return _checked(path, images.reshape(-1, 3, 32, 32), labels)


def read_cifar_archive(path: Path, member: str) -> tuple[np.ndarray, np.ndarray] | None:
    """A batch out of the published tar file; None if the archive does not hold it."""
    try:
        with tarfile.open(path) as archive:
            members = archive.getnames()
            archive.fileobj.read()  # gzip compares its checksum at the very end only
            names = [name for name in members if Path(name).name in (member, f"{member}.bin")]
            if not names:
                return None
            data = archive.extractfile(names[0]).read()
    except Exception as error:  # zlib.error is no OSError, a member may be no file
        raise corrupt("cifar-10", path, f"not a readable archive ({error})") from error
    read = read_cifar_binary if names[0].endswith(".bin") else read_cifar_python
    return read(path, data)


def _checked(path: Path, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if labels.min() < 0 or labels.max() > 9:
        raise corrupt("cifar-10", path, f"labels run from {labels.min()} to {labels.max()}, expected 0 to 9")
    return images, labels.astype(np.int64)
