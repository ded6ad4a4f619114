"""Tables and texts: the real files where they are at hand, fakes for what can go wrong."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from litrepro import data
from litrepro.data import DataUnavailableError

SIBLING = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL = Path(os.environ.get("LITREPRO_DATA") or SIBLING)
real = pytest.mark.skipif(not (REAL / "materials").is_dir(), reason="the real data sets are not at hand")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LITREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def real_data(monkeypatch):
    monkeypatch.setenv("LITREPRO_DATA", str(REAL))


def test_diabetes_is_scikit_learns():
    from sklearn.datasets import load_diabetes

    x, y = data.diabetes()
    table = load_diabetes()
    np.testing.assert_allclose(x, (table.data - table.data.mean(0)) / table.data.std(0), atol=1e-10)
    np.testing.assert_allclose(y[0], (table.target - table.target.mean()) / table.target.std(), atol=1e-10)


def test_iris_is_scikit_learns():
    from sklearn.datasets import load_iris

    x, y = data.iris()
    np.testing.assert_allclose(x, load_iris().data, rtol=1e-6)
    assert y.tolist() == load_iris().target.tolist()
    assert data.iris().classes == ("setosa", "versicolor", "virginica")
    assert len(data.iris()) == 150


@real
def test_real_tables(real_data):
    x, y = data.gas_sensor_ethanol()
    assert x.shape == (1316, 128)
    assert y.shape == (1, 1316)
    for column in (x, y.T):
        torch.testing.assert_close(column.mean(0), torch.zeros(column.shape[1], dtype=torch.float64))
        torch.testing.assert_close(column.std(0, correction=0), torch.ones(column.shape[1], dtype=torch.float64))
    for source, rows in (("elastic2015", 1181), ("matbench", 10987), ("aflow", 4896)):
        frame = data.moduli(source)
        assert list(frame)[:3] == ["formula", "K_VRH", "G_VRH"]
        assert len(frame) == rows
        assert frame.attrs["unit"] == "GPa"
        assert 50 < frame["K_VRH"].median() < 200
    assert len(data.vickers_hardness()) == 1062
    assert len(data.tiny_shakespeare()) == 1_115_394
    huo, sofc = data.synthesis_text("huo"), data.synthesis_text("sofc")
    assert huo["label"].value_counts()["solid_state_ceramic_synthesis"] == 965
    assert (len(huo), len(sofc), int(sofc["label"].sum())) == (5780, 9466, 876)
    states = {record["dataset"]: record for record in data.inventory(verify=True)}
    assert states["materials"]["state"] == "complete"
    assert states["fashion-mnist"]["checksum"] == "published"


LOADERS = {
    "gas-sensor/gas-drift-conc-8of10-ethanol.csv.gz": data.gas_sensor_ethanol,
    "materials/elastic_tensor_2015.csv.gz": data.moduli,
    "materials/vickers_hardness.csv.gz": data.vickers_hardness,
    "synthesis-text/sofc_exp_sentences.jsonl.gz": data.synthesis_text,
    "text/tinyshakespeare.txt": data.tiny_shakespeare,
}


@pytest.mark.parametrize("path", LOADERS)
def test_missing_files(folder, path):
    with pytest.raises(DataUnavailableError, match=path):
        LOADERS[path](download=False)


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", gzip.compress(b"a,b\n1,2\n"), gzip.compress(b"{")],
    ids=["empty", "nonsense", "another table", "half a line"],  # the bytes carry the time, and would name the tests
)
@pytest.mark.parametrize("path", LOADERS)
def test_corrupt_files(folder, path, content):
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_bytes(content)
    with pytest.raises(DataUnavailableError, match="corrupt or truncated"):
        LOADERS[path](download=False)


SENSORS = ",".join(["ppm", *(f"f{k}" for k in range(1, 129))])
SENTENCE = b'{"text": "a", "label": 1}\n'


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("materials/elastic_tensor_2015.csv.gz", b"formula,K_VRH,G_VRH\nFe,1.0,2.0\nNi,soft,2.0\n"),
        ("materials/matbench_log10_K_G.csv.gz", b"formula,log10_K_VRH,log10_G_VRH\nFe,1.0,2.0\nNi,soft,2.0\n"),
        ("materials/vickers_hardness.csv.gz", b"composition,hardness_GPa,load_N\nFe,hard,1.0\n"),
        ("gas-sensor/gas-drift-conc-8of10-ethanol.csv.gz", f"{SENSORS}\n{'1,' * 128}1\n{'2,' * 128}much\n".encode()),
        ("gas-sensor/gas-drift-conc-8of10-ethanol.csv.gz", f"{SENSORS}\n{'1,' * 128}1\n".encode()),
        ("synthesis-text/sofc_exp_sentences.jsonl.gz", SENTENCE + b'{"text": "\xff", "label": 1}\n'),
        ("synthesis-text/sofc_exp_sentences.jsonl.gz", SENTENCE + b"3\n"),
        ("synthesis-text/sofc_exp_sentences.jsonl.gz", SENTENCE + b'{"text": "b"}\n'),
        ("synthesis-text/sofc_exp_sentences.jsonl.gz", SENTENCE + b'{"text": 4, "label": 1}\n'),
    ],
    ids=["words 1", "words 2", "words 3", "words 4", "one row", "no utf-8", "a number", "no label", "no text"],
)
def test_tables_of_something_else(folder, path, content):
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_bytes(gzip.compress(content))
    load = LOADERS.get(path, lambda download: data.moduli("matbench", download=download))
    with pytest.raises(DataUnavailableError, match="corrupt or truncated"):
        load(download=False)


@real
@pytest.mark.parametrize("change", [lambda text: text.swapcase(), lambda text: text[:-1] + b"\xff"])
def test_a_text_with_other_letters(folder, change):
    path = folder / "text" / "tinyshakespeare.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(change((REAL / "text" / "tinyshakespeare.txt").read_bytes()))
    with pytest.raises(DataUnavailableError, match="corrupt or truncated"):
        data.tiny_shakespeare(download=False)


def test_gaps_in_a_table(folder):
    path = folder / "materials" / "vickers_hardness.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b"composition,hardness_GPa,load_N\nFe,1.0,\n"))
    with pytest.raises(DataUnavailableError, match="gaps"):
        data.vickers_hardness()


@pytest.mark.parametrize(
    ("path", "head", "row", "rows"),
    [
        ("materials/elastic_tensor_2015.csv.gz", b"formula,K_VRH,G_VRH\n", b"Fe,1.0,2.0\n", 1181),
        ("materials/vickers_hardness.csv.gz", b"composition,hardness_GPa,load_N\n", b"Fe,1.0,2.0\n", 1062),
        ("synthesis-text/sofc_exp_sentences.jsonl.gz", b"", SENTENCE, 9466),
    ],
)
def test_a_table_that_was_cut_is_not_the_published_one(folder, path, head, row, rows):
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_bytes(gzip.compress(head + rows * row, 1))
    assert len(LOADERS[path](download=False)) == rows
    (folder / path).write_bytes(gzip.compress(head + 881 * row, 1))
    with pytest.raises(DataUnavailableError, match=f"it holds 881 of {rows} rows"):
        LOADERS[path](download=False)


def test_unknown_sources():
    with pytest.raises(ValueError, match="elastic2015"):
        data.moduli("web")
    with pytest.raises(ValueError, match="sofc"):
        data.synthesis_text("web")


def test_inventory_without_anything(folder):
    records = {record["dataset"]: record for record in data.inventory()}
    assert records["mnist"]["state"] == "bundled"
    assert records["cifar-10"]["state"] == "missing"
    assert records["iris"]["state"] == "complete"
    assert all(record["remedy"] for record in records.values() if record["state"] != "complete")
    (folder / "cifar-10").mkdir(parents=True)
    (folder / "cifar-10" / "data_batch_1.bin").write_bytes(b"")
    cifar = lambda: {r["dataset"]: r["state"] for r in data.inventory()}["cifar-10"]  # noqa: E731
    assert cifar() == "partial"
    for name in ("data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"):
        (folder / "cifar-10" / name).write_bytes(b"")
    (folder / "cifar-10" / "old_batch.bin").write_bytes(b"")
    assert cifar() == "partial"  # six files, but no test set
    (folder / "cifar-10" / "cifar-10-batches-py").mkdir()
    (folder / "cifar-10" / "cifar-10-batches-py" / "test_batch").write_bytes(b"")
    assert cifar() == "complete"


def test_checksums():
    assert set(data.checksums(["tiny-shakespeare"])) == {"text/tinyshakespeare.txt"}
    assert data.checksums([]) == {}
    for bad in (["zz"], "mnist", None, [3]):
        with pytest.raises(ValueError, match="names must be"):
            data.checksums(bad)
