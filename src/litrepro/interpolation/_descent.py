"""Gradient descent on least squares, in closed form: iterates after any number of steps, and their expected risk."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro.interpolation import _arguments
from litrepro.interpolation._min_norm import decompose


def gradient_descent_path(
    features: torch.Tensor,
    targets: torch.Tensor,
    iterations: Sequence[int] | torch.Tensor,
    *,
    step: float | torch.Tensor | None = None,
) -> torch.Tensor:
    """Iterates of gradient descent from 0 on |X b - y|^2 / 2, after the given numbers of steps, without a loop.

    In the basis of singular vectors every coordinate goes its own way: (1 - (1 - step s^2)^t) / s times <u, y>.
    Directions with s = 0 (at rounding level) are never left, which is why the limit is the solution of least norm.
    Not differentiable in X where singular values repeat.

    Parameters
    ----------
    features
        X (..., n, d), real.
    targets
        y (..., n), real; brought to the dtype of the features.
    iterations
        Numbers of steps t >= 0 (m,), in any order, up to 10^9.
    step
        > 0: a number, or (...), one per problem. Default 1 / s_max^2. Above 2 / s_max^2 the iterates diverge, to
        inf or nan where they leave the range of the dtype.

    Returns
    -------
    (..., m, d), in the dtype of the features.

    Raises
    ------
    ValueError
        Shapes that do not fit, entries that are not real and finite, half precision, counts that are negative or not
        whole, step <= 0.

    Source: equation 1 of the review; Landweber 1951.

    Examples
    --------
    >>> x, y = torch.eye(2), torch.tensor([1.0, 2.0])
    >>> gradient_descent_path(x, y, [0, 1, 2], step=0.5).tolist()
    [[0.0, 0.0], [0.5, 1.0], [0.75, 1.5]]
    """
    x = _arguments.matrix("features", features)
    if x.dtype.is_complex:
        raise ValueError(f"features must be real, got {x.dtype}")
    if not isinstance(targets, torch.Tensor) or targets.shape != x.shape[:-1]:
        got = tuple(targets.shape) if isinstance(targets, torch.Tensor) else type(targets).__name__
        raise ValueError(f"targets must have shape {tuple(x.shape[:-1])}, got {got}")
    if targets.is_complex():
        raise ValueError(f"targets must be real, got {targets.dtype}")
    _arguments.finite("targets", targets)
    counts = _arguments.integers("iterations", iterations).to(x.device, torch.float64)
    u, s, vh = decompose(x, max(x.shape[-2:]) * torch.finfo(x.dtype).eps)
    scale = binary_scale(s.double(), -1)  # of X: a rate is a number of ordinary size, and s^2 need not be
    squared = (s / scale).square()
    size = _rate(step, squared, x.shape[:-2])[..., None]
    rate = (size if step is None else size * scale * scale) * squared  # step s^2, (..., r)
    moved = _moved(rate[..., None, :], counts[:, None])  # (..., m, r)
    inverse = torch.where(s > 0, 1 / torch.where(s > 0, s, 1.0), 0.0)
    along = (u.mT @ targets.to(x.dtype)[..., None])[..., 0] * inverse
    return _times(along[..., None, :].double(), moved).to(x.dtype) @ vh


def gradient_descent_risk(
    scales: torch.Tensor,
    coefficients: torch.Tensor,
    iterations: Sequence[int] | torch.Tensor,
    *,
    n: int,
    noise: float,
    step: float,
) -> torch.Tensor:
    """Expected excess risk of gradient descent on |X b - y|^2 / (2n) when n is much larger than d, by feature.

    Inputs have independent coordinates of standard deviation s_i. Coordinate i contributes s_i^2 beta_i^2 a^2 +
    (noise^2 / n) (1 - a)^2 with a = (1 - step s_i^2)^t: a U-shaped curve in t with its own clock. The sum over
    features of two scales descends twice.

    Parameters
    ----------
    scales, coefficients
        s and beta, (d,).
    iterations
        Numbers of steps t >= 0 (m,).
    n
        Number of samples.
    noise
        Standard deviation of the noise, >= 0.
    step
        Of gradient descent on the mean, 0 < step (``step / n`` in ``gradient_descent_path``).

    Returns
    -------
    (m, d) float64: sum over the last dimension for the excess risk.

    Raises
    ------
    ValueError
        Shapes that differ, entries that are not finite, n < 1, noise < 0, step <= 0.

    Source: Heckel and Yilmaz 2020, arXiv:2007.10099, theorem 1.

    Examples
    --------
    >>> gradient_descent_risk(torch.ones(1), torch.ones(1), [0, 1], n=4, noise=2.0, step=1.0)[:, 0].tolist()
    [1.0, 1.0]
    """
    _validate.float_tensor("scales", scales, 1)
    _validate.float_tensor("coefficients", coefficients, 1)
    if scales.ndim != 1 or scales.shape != coefficients.shape:
        raise ValueError(
            f"scales and coefficients must be (d,), got {tuple(scales.shape)} and {tuple(coefficients.shape)}"
        )
    _validate.finite(scales=scales, coefficients=coefficients)
    n, noise = _validate.positive_int("n", n), _validate.real("noise", noise, 0)
    step = _validate.real("step", step, 0, open_low=True)
    counts = _arguments.integers("iterations", iterations).to(scales.device, torch.float64)
    squared = scales.double().square()
    moved = _moved(step * squared, counts[:, None])
    left = _times(squared * coefficients.double().square(), (1 - moved).square())
    return left + (noise**2 / n * moved.square() if noise else 0.0)


def _rate(step: float | torch.Tensor | None, squared: torch.Tensor, batch: torch.Size) -> torch.Tensor:
    """The step size of every problem, (...) float64; by default one over the largest of ``squared``."""
    if step is None:
        largest = squared.amax(-1) if squared.shape[-1] else squared.new_zeros(batch)
        return 1 / torch.where(largest > 0, largest, 1.0)
    if isinstance(step, torch.Tensor):
        if step.shape not in (batch, torch.Size()):
            raise ValueError(f"step must be a number or have shape {tuple(batch)}, got {tuple(step.shape)}")
        if step.is_complex():
            raise ValueError(f"step must be real, got {step.dtype}")
        step = step.to(squared)
        if not bool((step.isfinite() & (step > 0)).all()):
            raise ValueError(f"step must be positive and finite, got values down to {step.min().item():g}")
        return step.expand(batch)
    return squared.new_full(batch, _validate.real("step", step, 0, open_low=True))


def _times(start: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Their product, 0 where the start is: what is not there does not diverge."""
    return torch.where(start == 0, 0.0, start * factor)


def _moved(rate: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """1 - (1 - rate)^t, accurate for small rates and large t."""
    slow = -torch.expm1(counts * torch.log1p(-rate.clamp(max=0.5)))
    sign = torch.where(rate > 1, 1 - 2 * (counts % 2), 1.0)
    # x^0 = 1 also at rate 1, where the logarithm would give 0 times -infinity.
    fast = 1 - sign * (1 - rate).abs().pow(counts)
    return torch.where(rate < 0.5, slow, fast)
