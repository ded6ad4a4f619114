"""Elastic constants: hardness and Young's modulus from bulk and shear modulus; tables without unusable rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from litrepro import _validate
from litrepro.materials import _arguments

if TYPE_CHECKING:
    import pandas as pd


def vickers_chen(K: Any, G: Any) -> Any:
    """Chen's model of Vickers hardness, 2 ((G/K)^2 G)^0.585 - 3, in GPa like the moduli; negative for very soft matter.

    ``K`` and ``G`` are positive numbers, tensors, arrays, columns or lists that broadcast; the result is of their kind.
    A list is taken as an array beside an array or a column, else as a float64 tensor. Raises ``ValueError`` if any is
    not positive or not finite, for shapes that do not broadcast and for columns with two indices.

    Source: Chen, Niu, Li and Li 2011, Intermetallics 19, 1275, equation 6.

    Examples
    --------
    >>> round(vickers_chen(443.0, 535.0), 1)  # diamond, GPa
    95.4
    """
    K, G = _positive(K=K, G=G)
    return 2 * ((G / K) ** 2 * G) ** 0.585 - 3


def moduli_to_young(K: Any, G: Any) -> tuple[Any, Any]:
    """Young's modulus 9 K G / (3 K + G) and Poisson's ratio (3 K - 2 G) / (2 (3 K + G)) of an isotropic solid.

    Arguments, kinds and errors as for ``vickers_chen``.

    Examples
    --------
    >>> E, nu = moduli_to_young(1.0, 0.6)
    >>> round(E, 6), round(nu, 6)
    (1.5, 0.25)
    """
    K, G = _positive(K=K, G=G)
    ratio = G / K  # of floating-point numbers, where products of small integers overflow
    return 9 / (3 + ratio) * G, (1.5 - ratio) / (3 + ratio)


def _positive(**moduli: Any) -> tuple[Any, ...]:
    beside = next((value for value in moduli.values() if hasattr(value, "dtype")), None)
    moduli = {name: _arguments.listed(name, value, beside) for name, value in moduli.items()}
    for name, value in moduli.items():
        inside = (_arguments.numbers(name, value) > 0) & (value < math.inf)
        if not bool(inside.all() if hasattr(inside, "all") else inside):
            raise ValueError(f"{name} must be positive and finite (GPa), got {value!r}")
    _validate.broadcast(**{name: getattr(value, "shape", ()) for name, value in moduli.items()})
    _one_index(*moduli.values())
    return tuple(moduli.values())


def _one_index(*columns: Any) -> None:
    """pandas pairs rows by their index, not by their place."""
    labels = [column.index for column in columns if hasattr(column, "iloc")]
    if len(labels) > 1 and not labels[0].equals(labels[1]):
        raise ValueError("columns must have one index: pandas would pair their rows by it, got two")


def clean_moduli(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Rows of ``frame`` whose ``K_VRH`` and ``G_VRH`` are finite and positive, and how many were dropped.

    Raises ``ValueError`` if a column is missing or holds no numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"K_VRH": [100.0, -1.0, 50.0], "G_VRH": [60.0, 5.0, float("nan")]})
    >>> frame, dropped = clean_moduli(table)
    >>> len(frame), dropped
    (1, 2)
    """
    _validate.table("frame", frame, numeric=("K_VRH", "G_VRH"))
    kept = frame[((frame[["K_VRH", "G_VRH"]] > 0) & (frame[["K_VRH", "G_VRH"]] < math.inf)).all(axis=1)]
    return kept.reset_index(drop=True), len(frame) - len(kept)


def within_share(predicted: Any, true: Any, margin: float = 0.2) -> float:
    """Share of predictions with |predicted - true| <= margin |true|; arrays or tensors of one shape, not empty.

    Raises ``ValueError`` for other shapes, what holds no numbers, a tensor beside an array, columns with two indices,
    and a negative margin.

    Examples
    --------
    >>> import numpy as np
    >>> within_share(np.array([1.0, 1.1, 2.0, 3.0]), np.ones(4))  # two of four within 20 %
    0.5
    """
    for name, value in (("predicted", predicted), ("true", true)):
        if not hasattr(_arguments.numbers(name, value), "shape"):
            raise ValueError(f"{name} must be an array or a tensor, got {value!r}")
    margin = _validate.real("margin", margin, 0)
    if tuple(predicted.shape) != tuple(true.shape) or not math.prod(true.shape):
        raise ValueError(
            f"predicted and true must have one shape, got {tuple(predicted.shape)} and {tuple(true.shape)}"
        )
    if hasattr(predicted, "double") != hasattr(true, "double"):
        raise ValueError(f"predicted and true must be of one kind, got {type(predicted)} and {type(true)}")
    _one_index(predicted, true)
    if hasattr(true, "double"):  # differences of small integers overflow
        predicted, true = predicted.double(), true.double()
    else:
        predicted, true = predicted.astype(float), true.astype(float)
    return float((abs(predicted - true) <= margin * abs(true)).sum()) / math.prod(true.shape)
