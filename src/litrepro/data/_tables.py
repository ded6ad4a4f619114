"""Tables: iris, gas sensors, elastic moduli, hardness."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from litrepro import _validate
from litrepro.data._locate import corrupt, locate, read_gzip, unavailable
from litrepro.data._registry import DATASETS, File

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class TabularSet:
    """A labelled table; unpacks as ``x, y``.

    Attributes
    ----------
    features
        (n, d) float32, as published (not standardized).
    labels
        (n,) int64.
    feature_names, classes
        Names of the columns (with units) and of the labels.

    Examples
    --------
    >>> from litrepro.data import iris
    >>> x, y = iris()
    >>> x.shape, iris().feature_names[0]
    (torch.Size([150, 4]), 'sepal length (cm)')
    """

    features: torch.Tensor
    labels: torch.Tensor
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    name: str
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter((self.features, self.labels))


def iris() -> TabularSet:
    """Fisher's iris (1936): 150 flowers, 4 lengths and widths in cm, 3 species of 50, in the order of scikit-learn.

    Examples
    --------
    >>> x, y = iris()
    >>> x.shape, y.bincount().tolist(), iris().classes
    (torch.Size([150, 4]), [50, 50, 50], ('setosa', 'versicolor', 'virginica'))
    """
    try:
        from sklearn.datasets import load_iris
    except ImportError as error:
        raise unavailable("iris", "the bundled table", "scikit-learn is not installed") from error
    data = load_iris()
    return TabularSet(
        torch.tensor(data.data, dtype=torch.float32),
        torch.tensor(data.target, dtype=torch.int64),
        tuple(data.feature_names),
        tuple(map(str, data.target_names)),
        "iris",
        "scikit-learn",
    )


def diabetes() -> tuple[torch.Tensor, torch.Tensor]:
    """Diabetes data of Efron et al. (2004): ten measurements and the progression after a year, of 442 patients.

    Returns
    -------
    x (442, 10) z-scored measurements, y (1, 442) z-scored progression, both float64.

    Raises ``DataUnavailableError`` without scikit-learn.

    Examples
    --------
    >>> x, y = diabetes()
    >>> x.shape, y.shape, bool(x.mean(0).abs().max() < 1e-12)
    (torch.Size([442, 10]), torch.Size([1, 442]), True)
    """
    try:
        from sklearn.datasets import load_diabetes
    except ImportError as error:
        raise unavailable("diabetes", "the bundled table", "scikit-learn is not installed") from error
    table = load_diabetes()
    return z_score(torch.tensor(table.data), 0), z_score(torch.tensor(table.target)[None], 1)


def gas_sensor_ethanol(*, download: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Ethanol rows of the gas sensor array drift data (Vergara et al. 2012, Rodriguez-Lujan et al. 2014).

    Returns
    -------
    x (n, 128) z-scored features, y (1, n) z-scored concentrations (ppm before), both float64. n is read from the file,
    which holds 1,316 of the 2,565 published rows (batches 7 and 10 are missing).

    Raises ``DataUnavailableError`` if the file is missing or corrupt.

    Examples
    --------
    >>> x, y = gas_sensor_ethanol()  # doctest: +SKIP
    >>> x.shape, y.shape  # doctest: +SKIP
    (torch.Size([1316, 128]), torch.Size([1, 1316]))
    """
    columns = [f"f{k}" for k in range(1, 129)]
    stem = "gas-drift-conc-8of10-ethanol"
    frame = _csv("gas-sensor", stem, ["ppm", *columns], download)
    x = z_score(torch.tensor(frame[columns].to_numpy(float)), 0)
    y = z_score(torch.tensor(frame["ppm"].to_numpy(float))[None], 1)
    if not bool(x.isfinite().all() & y.isfinite().all()):
        path = locate("gas-sensor", registered("gas-sensor", stem), download=download)
        raise corrupt("gas-sensor", path, "a column is constant or not finite")
    return x, y


def z_score(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Mean 0 and (population) standard deviation 1 along ``dim``."""
    return (x - x.mean(dim, keepdim=True)) / x.std(dim, correction=0, keepdim=True)


_MODULI = {
    "elastic2015": ("elastic_tensor_2015", ["formula", "K_VRH", "G_VRH"], "de Jong et al., Sci. Data 2, 150009 (2015)"),
    "matbench": (
        "matbench_log10_K_G",
        ["formula", "log10_K_VRH", "log10_G_VRH"],
        "Materials Project via Matbench, CC BY 4.0",
    ),
    "aflow": ("aflow_bulk_shear_moduli", ["formula", "K_VRH", "G_VRH"], "AFLOW AEL via CrabNet, MIT"),
}


def moduli(source: str = "elastic2015", *, download: bool = True) -> pd.DataFrame:
    """Bulk and shear moduli by formula, in GPa: columns ``formula, K_VRH, G_VRH`` first, others as published.

    Parameters
    ----------
    source
        ``"elastic2015"`` (1,181 compounds with computed elastic tensors), ``"matbench"`` (10,987; published as
        logarithms, given in GPa here) or ``"aflow"`` (4,896).

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
    >>> table = moduli("elastic2015")  # doctest: +SKIP
    >>> len(table), list(table.columns[:3])  # doctest: +SKIP
    (1181, ['formula', 'K_VRH', 'G_VRH'])
    """
    _validate.choice("source", source, tuple(_MODULI))
    stem, columns, origin = _MODULI[source]
    frame = _csv("materials", stem, columns, download)
    if source == "matbench":
        frame = frame.assign(K_VRH=10.0 ** frame["log10_K_VRH"], G_VRH=10.0 ** frame["log10_G_VRH"])
    first = ["formula", "K_VRH", "G_VRH"]
    frame = frame[first + [name for name in frame if name not in first]]
    frame.attrs.update(origin=origin, source=source, unit="GPa", file=f"materials/{stem}.csv.gz")
    return frame


def vickers_hardness(*, download: bool = True) -> pd.DataFrame:
    """1,062 measured Vickers hardness values: ``composition, hardness_GPa, load_N`` (Zhang et al. 2020).

    Raises ``DataUnavailableError`` if the file is missing or corrupt.

    Examples
    --------
    >>> len(vickers_hardness()), list(vickers_hardness().columns)  # doctest: +SKIP
    (1062, ['composition', 'hardness_GPa', 'load_N'])
    """
    frame = _csv("materials", "vickers_hardness", ["composition", "hardness_GPa", "load_N"], download)
    frame.attrs.update(
        origin="Zhang et al., Adv. Mater. 33, 2005112 (2020), MIT", unit="GPa", file="materials/vickers_hardness.csv.gz"
    )
    return frame


def registered(dataset: str, stem: str) -> File:
    """The registry's entry of a file by the beginning of its name."""
    return next(file for file in DATASETS[dataset].files if file.path.split("/")[-1].startswith(stem))


def _csv(dataset: str, stem: str, columns: list[str], download: bool) -> pd.DataFrame:
    """A compressed table that must have the given columns without gaps, all but names in numbers."""
    import pandas as pd

    file = registered(dataset, stem)
    path = locate(dataset, file, download=download)
    try:
        frame = pd.read_csv(io.BytesIO(read_gzip(dataset, path)))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise corrupt(dataset, path, f"not a table ({error})") from error
    missing = [name for name in columns if name not in frame]
    if missing or frame.empty or frame[columns].isna().any().any():
        raise corrupt(dataset, path, f"columns {', '.join(missing) or 'with gaps'} or no rows")
    numbers = [name for name in columns if name not in ("formula", "composition")]
    words = [name for name in numbers if not pd.api.types.is_numeric_dtype(frame[name])]
    if words:
        raise corrupt(dataset, path, f"no numbers in {', '.join(words)}")
    if file.rows not in (None, len(frame)):
        raise corrupt(dataset, path, f"it holds {len(frame)} of {file.rows} rows")
    return frame
