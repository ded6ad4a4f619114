"""How many Gaussian measurements a norm needs: Gaussian distances, statistical dimensions, sufficient numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from litrepro import _validate

DISTANCES = ("l1", "l12", "l12_rows", "nuclear", "l1_vector")


def gaussian_distance_sq(
    norm: str,
    d: int,
    scale: float,
    *,
    k: int | None = None,
    rank: int | None = None,
    samples: int = 200,
    generator: torch.Generator | int | None = None,
) -> float:
    """E dist(G, scale * subdifferential)^2 for a standard Gaussian G: a bound on the measurements that a norm needs.

    With t = scale, phi and Q the Gaussian density and upper tail:

    - ``"l1"``, d x d matrices with k x k nonzero entries: k^2 (1 + t^2) + 2 (d^2 - k^2) [(1 + t^2) Q(t) - t phi(t)];
    - ``"l12"`` (``"l12_rows"``), k nonzero columns (rows): k (d + t^2) + (d - k) E (chi_d - t)_+^2;
    - ``"nuclear"``, rank r: r (2 d - r) + r t^2 + E sum_i (sigma_i(G') - t)_+^2 with G' Gaussian of size d - r, the
      expectation estimated from ``samples`` draws;
    - ``"l1_vector"``, vectors of length d with k nonzero entries: as l1 with k and d in place of their squares.

    (Chandrasekaran et al. 2012, section 3; Amelunxen et al. 2014, section 4.) Raises ``ValueError`` for a negative
    scale, another norm, a generator that is none, and unless 1 <= k <= d, or 1 <= rank <= d, is given where the norm
    needs it.

    Examples
    --------
    >>> gaussian_distance_sq("l1_vector", 100, 0.0, k=5)  # scale 0: the distance to the origin
    100.0
    >>> gaussian_distance_sq("l1_vector", 100, 1.5, k=5) < 30
    True
    """
    scale = _validate.real("scale", scale, 0)
    return _distance(norm, d, k, rank, samples, _validate.random_source("generator", generator))(scale)


def statistical_dimension(
    norm: str, d: int, *, k: int | None = None, rank: int | None = None, samples: int = 200, seed: int = 0
) -> float:
    """The minimum over the scale of ``gaussian_distance_sq``: the number of measurements where this norm alone begins
    to recover (Amelunxen et al. 2014, theorems II and 4.3). Arguments and errors as there; draws from ``seed``.

    Examples
    --------
    >>> few, many = (statistical_dimension("l1_vector", 100, k=k) for k in (1, 20))
    >>> few < 12, 40 < many < 70
    (True, True)
    """
    distance = _distance(norm, d, k, rank, samples, _validate.random_source("seed", seed))
    # The distance is convex in the scale, and increasing from where nothing is left off the structure.
    high = {"nuclear": 3 * math.sqrt(d) + 3, "l12": math.sqrt(d) + 10, "l12_rows": math.sqrt(d) + 10}.get(
        norm, math.sqrt(2 * math.log(d * d + 1)) + 5
    )
    return _golden_minimum(distance, 0.0, high)


def sufficient_measurements(d: int, k: int, rank: int, beta: float, t: float = 2.0) -> float:
    """(2 beta k sqrt(log(e d / k)) + (1 - beta) sqrt(6 d r + 2 d) + t)^2 + 1 measurements recover, beta in [0, 1].

    The program is ``l1`` with weight beta sqrt(log(d / k)) plus ``nuclear`` with weight (1 - beta) sqrt(d), the
    probability at least 1 - 2 exp(-t^2 / 2) (Oymak et al. 2015, proposition 5.1). Raises ``ValueError`` for sizes below
    1, k or rank above d, beta outside [0, 1] and t < 0.

    Examples
    --------
    >>> round(sufficient_measurements(10, 10, 1, 1.0, 0.0), 6)  # (2 k)^2 + 1
    401.0
    """
    d = _validate.positive_int("d", d)
    k, rank = _at_most_d("k", k, d), _at_most_d("rank", rank, d)
    beta, t = _validate.real("beta", beta, 0, 1), _validate.real("t", t, 0)
    sparse = 2 * k * math.sqrt(math.log(math.e * d / k))
    return (beta * sparse + (1 - beta) * math.sqrt(6 * d * rank + 2 * d) + t) ** 2 + 1


def sufficient_for_sum(
    d: int, weights: Mapping[str, float], *, k: int, rank: int = 1, t: float = 2.0, samples: int = 20
) -> float:
    r"""(m + t)^2 + 1 measurements recover with a weighted sum of a sparsity norm and the nuclear norm.

    With scales a, b of the two norms, weights v, w and squared Gaussian distances A(a), B(b) of the norms alone,
    m is the smallest of (v / a sqrt(A(a)) + w / b sqrt(B(b))) / (v / a + w / b) over a grid of scales; the probability
    is at least 1 - 2 exp(-t^2 / 2).

    Parameters
    ----------
    d, k, rank
        Sizes as in ``gaussian_distance_sq``.
    weights
        v > 0 of ``"l1"``, ``"l12"`` or ``"l12_rows"``, and w > 0 of ``"nuclear"``.
    t
        At least 0.
    samples
        Draws for the nuclear norm's distance, from seed 0.

    Raises ``ValueError`` for weights of other norms, or not of two, that are not positive, k or rank outside 1..d, and
    t < 0.

    Notes
    -----
    Source: Oymak et al. 2015, theorem 5.1. Any scales give a sufficient number; those of the grid are 0.25, ..., 14.75
    for the sparsity norm and 0.6 to 2.2 times sqrt(d) for the nuclear norm.

    Examples
    --------
    >>> few, many = (sufficient_for_sum(20, {"l1": 1.0, "nuclear": w}, k=4) for w in (1.0, 1e6))
    >>> few < many  # the nuclear norm alone needs more here
    True
    """
    d, t = _validate.positive_int("d", d), _validate.real("t", t, 0)
    sparse = _two_norms(weights)
    grids = {sparse: [0.25 * i for i in range(1, 60)], "nuclear": [math.sqrt(d) * (0.6 + 0.2 * i) for i in range(9)]}
    roots = {}
    for norm, grid in grids.items():
        distance = _distance(norm, d, k, rank, samples, _validate.random_source("generator", None))
        roots[norm] = {weights[norm] / scale: math.sqrt(distance(scale)) for scale in grid}
    best = min(
        (v * x + w * y) / (v + w) for v, x in roots[sparse].items() for w, y in roots["nuclear"].items()
    )  # fmt: skip
    return (best + t) ** 2 + 1


def _two_norms(weights: Any) -> str:
    """The norm beside the nuclear one."""
    names = set(weights) if isinstance(weights, Mapping) else set()
    others = names - {"nuclear"}
    if len(names) != 2 or len(others) != 1 or not others <= {"l1", "l12", "l12_rows"}:
        raise ValueError(f"weights must be those of nuclear and one of l1, l12, l12_rows; got {weights!r}")
    for name, weight in weights.items():
        _validate.real(f"weights[{name!r}]", weight, 0, open_low=True)
    return others.pop()


def _distance(
    norm: str, d: int, k: int | None, rank: int | None, samples: int, generator: torch.Generator
) -> Callable[[float], float]:
    """The squared distance as a function of the scale."""
    _validate.choice("norm", norm, DISTANCES)
    d = _validate.positive_int("d", d)
    if norm == "nuclear":
        return _nuclear(d, _at_most_d("rank", rank, d), _validate.positive_int("samples", samples), generator)
    k = _at_most_d("k", k, d)
    if norm in ("l12", "l12_rows"):
        return lambda t: k * (d + t * t) + (d - k) * _chi_excess(d, t)
    on, off = (k, d - k) if norm == "l1_vector" else (k * k, d * d - k * k)
    return lambda t: on * (1 + t * t) + off * _gaussian_excess(t)


def _nuclear(d: int, rank: int, samples: int, generator: torch.Generator) -> Callable[[float], float]:
    size = d - rank
    draws = torch.randn(samples, size, size, generator=generator, dtype=torch.float64, device=generator.device)
    sigma = torch.linalg.svdvals(draws)

    def distance(t: float) -> float:
        off = (sigma - t).clamp(min=0).square().sum(-1).mean().item() if size else 0.0
        return rank * (2 * d - rank) + rank * t * t + off

    return distance


def _gaussian_excess(t: float) -> float:
    """E (|g| - t)_+^2 for a standard Gaussian g."""
    tail = 0.5 * math.erfc(t / math.sqrt(2))
    density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    return max(2 * ((1 + t * t) * tail - t * density), 0.0)


def _chi_excess(d: int, t: float) -> float:
    """E (chi_d - t)_+^2 from the upper incomplete gamma function."""
    shape = torch.tensor([d / 2, (d + 1) / 2, (d + 2) / 2], dtype=torch.float64, device="cpu")
    upper = torch.special.gammaincc(shape, torch.tensor(t * t / 2, dtype=torch.float64, device="cpu"))
    mean = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return max(d * upper[2].item() - 2 * t * mean * upper[1].item() + t * t * upper[0].item(), 0.0)


def _golden_minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Smallest value of a convex function on an interval, by golden-section search."""
    golden = (math.sqrt(5) - 1) / 2
    a, b = high - golden * (high - low), low + golden * (high - low)
    fa, fb = function(a), function(b)
    for _ in range(60):
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - golden * (high - low)
            fa = function(a)
        else:
            low, a, fa = a, b, fb
            b = low + golden * (high - low)
            fb = function(b)
    return min(fa, fb, function(low))


def _at_most_d(name: str, value: int | None, d: int) -> int:
    value = _validate.positive_int(name, value)
    if value > d:
        raise ValueError(f"{name} must be at most d = {d}, got {value}")
    return value
