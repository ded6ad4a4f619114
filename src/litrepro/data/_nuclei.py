"""Measurements of cell nuclei: the Wisconsin breast cancer data."""

from __future__ import annotations

import torch

from litrepro.data._locate import unavailable
from litrepro.data._tables import TabularSet


def breast_cancer() -> TabularSet:
    """Nuclei in 569 breast masses (Street, Wolberg and Mangasarian 1993): 212 malignant (0), 357 benign (1).

    Thirty columns: ten measurements of the nuclei in an image, each as mean, standard error and "worst" (mean of the
    three largest), as published. From scikit-learn. Raises ``DataUnavailableError`` without it.

    Examples
    --------
    >>> x, y = breast_cancer()
    >>> x.shape, y.bincount().tolist()
    (torch.Size([569, 30]), [212, 357])
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError as error:
        raise unavailable("breast-cancer", "the bundled table", "scikit-learn is not installed") from error
    data = load_breast_cancer()
    return TabularSet(
        torch.tensor(data.data, dtype=torch.float32),
        torch.tensor(data.target, dtype=torch.int64),
        tuple(map(str, data.feature_names)),
        tuple(map(str, data.target_names)),
        "breast-cancer",
        "scikit-learn",
    )
