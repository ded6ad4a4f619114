"""Random Fourier features without a ridge: error against the number of features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from litrepro import _validate
from litrepro import features as random_features
from litrepro.interpolation import _arguments
from litrepro.interpolation._ridgeless import ridgeless

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("complex", "real")
_BLOCK = 256  # frequencies are drawn in blocks, so that the first ones do not depend on how many are drawn
Data = tuple[torch.Tensor, torch.Tensor]


def fourier_features(x: torch.Tensor, frequencies: torch.Tensor, *, kind: str = "complex") -> torch.Tensor:
    """exp(i <v, x>), or cosines and sines side by side; the entries have modulus 1 (``litrepro.features`` scales them).

    Parameters
    ----------
    x
        Points (..., n, d).
    frequencies
        v (N, d).
    kind
        ``"complex"`` or ``"real"``.

    Returns
    -------
    (..., n, N) complex, or (..., n, 2N): first all cosines, then all sines.

    Raises
    ------
    ValueError
        Unknown kind, frequencies of another dimension than x, none of them, complex features in bfloat16.

    Source: Rahimi and Recht 2007; Belkin et al. 2019, arXiv:1812.11118, equation 2.

    Examples
    --------
    >>> fourier_features(torch.zeros(1, 3), torch.ones(2, 3), kind="real").round().tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """
    _validate.choice("kind", kind, KINDS)
    for name, value in (("x", x), ("frequencies", frequencies)):
        _validate.float_tensor(name, value, 2)
    if x.shape[-1] != frequencies.shape[-1] or 0 in frequencies.shape[-2:]:
        got = f"{tuple(x.shape)} and {tuple(frequencies.shape)}"
        raise ValueError(f"x (..., n, d) and frequencies (N, d) must share d >= 1, with N >= 1, got {got}")
    if kind == "complex" and torch.bfloat16 in (x.dtype, frequencies.dtype):
        raise ValueError('x and frequencies must have a dtype with a complex one for kind="complex", got bfloat16')
    paired = random_features.fourier_features(x, frequencies)
    paired = paired * math.sqrt(frequencies.shape[-2])
    if kind == "real":
        return paired
    cosines, sines = paired.chunk(2, -1)
    return torch.complex(cosines.contiguous(), sines.contiguous())


def rff_curve(
    train: Data,
    test: Data,
    widths: Sequence[int],
    *,
    bandwidth: float,
    num_classes: int = 10,
    kind: str = "complex",
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    rcond: float = 1e-12,
) -> pd.DataFrame:
    """Errors of minimum-norm regression on N random Fourier features, for several N.

    The frequencies v ~ N(0, I / bandwidth^2) are nested: every width takes the first N of one draw. Labels are one-hot
    targets, predictions the real part. With complex coefficients the threshold is N = n, with cosines and sines n / 2.

    Parameters
    ----------
    train, test
        (x (n, ...), labels (n,)): x is flattened and cast to ``dtype``; it decides on the device.
    widths
        Numbers N >= 1 of frequencies, in any order.
    bandwidth
        Of the Gaussian kernel, > 0, in the units of x.
    num_classes
        Labels lie in 0..num_classes-1.
    kind
        As in ``fourier_features``.
    seed
        Of the frequencies.
    dtype
        float64, or float32, which blunts the peak.
    rcond
        Singular values up to this multiple of the largest count as zero. They are computed, and that takes long, only
        up to 2,048 examples or columns, and beyond where some may be that small.

    Returns
    -------
    DataFrame ``width, train_mse, test_mse, train_error, test_error, norm``: squared errors are summed over classes and
    averaged over examples, errors are shares, ``norm`` is the Frobenius norm of the coefficients.

    Raises
    ------
    ValueError
        bandwidth <= 0, a width < 1, unknown kind, another dtype, labels outside the range, x of different sizes or not
        finite.

    Source: Belkin et al. 2019, arXiv:1812.11118, section 2 and figure 2.

    Examples
    --------
    >>> x, labels = torch.linspace(0, 1, 8)[:, None], torch.arange(8) % 2
    >>> frame = rff_curve((x, labels), (x, labels), [2, 8], bandwidth=0.1, num_classes=2)
    >>> frame.width.tolist(), bool(frame.train_mse.iloc[1] < 1e-6)
    ([2, 8], True)
    """
    import pandas as pd

    widths = _arguments.widths(widths)
    num_classes = _validate.positive_int("num_classes", num_classes)
    bandwidth = _validate.real("bandwidth", bandwidth, 0, open_low=True)
    seed, rcond = _validate.seed("seed", seed), _validate.real("rcond", rcond, 0)
    _validate.choice("kind", kind, KINDS)
    _arguments.precision(dtype)
    (x, y), (x_test, y_test) = (_arguments.labelled(n, d, num_classes) for n, d in (("train", train), ("test", test)))
    x, x_test = (part.reshape(len(part), -1).to(dtype) for part in (x, x_test))
    if x.shape[1] != x_test.shape[1]:
        raise ValueError(f"train and test must have examples of one size, got {x.shape[1]} and {x_test.shape[1]}")
    _validate.finite(train=x, test=x_test)
    frequencies = _frequencies(max(widths), x.shape[1], seed).to(x) / bandwidth
    sets = {"train": (x, y), "test": (x_test.to(x.device), y_test.to(x.device))}
    maps = {name: fourier_features(part[0], frequencies, kind=kind) for name, part in sets.items()}
    targets = {name: torch.nn.functional.one_hot(part[1], num_classes).to(dtype) for name, part in sets.items()}
    rows = []
    for width in widths:
        phi = {name: _first(value, width, kind) for name, value in maps.items()}
        weights = ridgeless(phi["train"], targets["train"].to(phi["train"].dtype), rcond)
        row = {"width": width}
        scores = {name: (value @ weights).real for name, value in phi.items()}
        for name, score in scores.items():
            row[f"{name}_mse"] = (score - targets[name]).square().sum(1).mean().item()
        for name, score in scores.items():
            row[f"{name}_error"] = (score.argmax(1) != sets[name][1]).double().mean().item()
        rows.append(row | {"norm": torch.linalg.vector_norm(weights).item()})
    return pd.DataFrame(rows)


def _frequencies(count: int, d: int, seed: int) -> torch.Tensor:
    """Standard normal rows (count, d) float64 on the CPU; the first ones are the same whatever the count."""
    draw = {"generator": torch.Generator("cpu").manual_seed(seed), "device": "cpu", "dtype": torch.float64}
    blocks = range(-(-count // _BLOCK))
    return torch.cat([torch.randn(_BLOCK, d, **draw) for _ in blocks])[:count]


def _first(phi: torch.Tensor, width: int, kind: str) -> torch.Tensor:
    """The columns of the first frequencies."""
    if kind == "complex":
        return phi[:, :width]
    return torch.cat([part[:, :width] for part in phi.chunk(2, -1)], -1)
