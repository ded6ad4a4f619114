"""Approximation by one hidden layer, and what depth adds: interpolants, random features, sawtooth functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from litrepro import _validate


def relu_interpolant(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The one-hidden-layer ReLU network through values on the uniform grid of [0, 1].

    beta0 + sum_k beta_k relu(x - k/m), k = 0..m-1: the first slope, then differences of slopes.

    Parameters
    ----------
    values
        (..., m + 1) at 0, 1/m, ..., 1.

    Returns
    -------
    beta0 (...), beta (..., m), knots (m,).

    Raises ``ValueError`` for m < 1.

    Examples
    --------
    >>> import torch
    >>> beta0, beta, knots = relu_interpolant(torch.tensor([0.0, 1.0, 0.0]))  # a tent
    >>> beta0.item(), beta.tolist(), knots.tolist()
    (0.0, [2.0, -4.0], [0.0, 0.5])
    """
    _validate.float_tensor("values", values, 1)
    m = values.shape[-1] - 1
    if m < 1:
        raise ValueError(f"values must hold at least two points, got shape {tuple(values.shape)}")
    slopes = values.diff(dim=-1) * m
    beta = torch.cat([slopes[..., :1], slopes.diff(dim=-1)], -1)
    return values[..., 0].clone(), beta, torch.arange(m, dtype=values.dtype, device=values.device) / m


def fit_random_features(
    x: torch.Tensor,
    y: torch.Tensor,
    width: int,
    activation: Callable[[torch.Tensor], torch.Tensor],
    *,
    generator: torch.Generator | int | None,
    scale: float = 4.0,
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A hidden layer drawn at random, its output weights by least squares.

    Weights w ~ N(0, scale^2), biases b = -sum_j w_j u_j with u uniform on [0, 1]^d, which puts the kinks inside the
    cube; output weights (and a constant) by an SVD solver, because polynomial activations give a rank-deficient matrix.

    Parameters
    ----------
    x, y
        (n, d) and (n,), floating point.
    width
        Number of hidden units, >= 1.
    activation
        Elementwise.
    generator
        Of the hidden layer, or a seed.

    Returns
    -------
    A callable (n', d) -> (n',); it raises ``ValueError`` for inputs of another d, dtype or device.

    Raises ``ValueError`` for shapes, dtypes and devices that do not fit, examples that are not float32 or float64 or
    not finite, n = 0, width < 1, scale <= 0, an activation that changes shape or dtype, and features that overflow.

    Examples
    --------
    >>> import torch
    >>> x = torch.linspace(0, 1, 50, dtype=torch.float64)[:, None]
    >>> f = fit_random_features(x, x[:, 0] ** 2, 20, torch.relu, generator=torch.Generator().manual_seed(0))
    >>> bool((f(x) - x[:, 0] ** 2).abs().max() < 0.1)
    True
    """
    _validate.decomposable("x", x)
    _validate.decomposable("y", y, 1)
    _validate.same_kind(x=x, y=y)
    _validate.function("activation", activation)
    generator = _validate.random_source("generator", generator)
    if x.ndim != 2 or y.shape != x.shape[:1] or len(x) < 1:
        found = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x and y must have shapes (n, d) and (n,) with n >= 1, got {found}")
    width = _validate.positive_int("width", width)
    scale = _validate.real("scale", scale, 0, open_low=True)
    options = {"generator": generator, "dtype": x.dtype, "device": generator.device}
    w = scale * torch.randn(x.shape[1], width, **options).to(x.device)
    b = -(w * torch.rand(x.shape[1], width, **options).to(x.device)).sum(0)

    def features(inputs: torch.Tensor) -> torch.Tensor:
        hidden = inputs @ w + b
        active = activation(hidden)
        if not isinstance(active, torch.Tensor) or active.shape != hidden.shape or active.dtype != hidden.dtype:
            raise ValueError(f"activation must map tensors to tensors of the same shape and dtype, got {type(active)}")
        return torch.cat([active, torch.ones_like(hidden[:, :1])], 1)

    # The driver that copes with rank deficiency exists on the CPU only.
    design = _validate.decomposable("features of x", features(x))
    solution = torch.linalg.lstsq(design.cpu(), y.cpu()[:, None], driver="gelsd").solution.to(x.device)

    def fitted(inputs: torch.Tensor) -> torch.Tensor:
        _validate.float_tensor("inputs", inputs)
        if inputs.ndim != 2 or inputs.shape[1] != len(w):
            raise ValueError(f"inputs must have shape (n, {len(w)}), got {tuple(inputs.shape)}")
        _validate.same_kind(inputs=inputs, x=w)
        return (features(inputs) @ solution)[:, 0]

    return fitted


def sawtooth(x: torch.Tensor, depth: int) -> torch.Tensor:
    """The tent map 2 relu(x) - 4 relu(x - 1/2) composed ``depth`` times: 2^depth linear pieces on [0, 1].

    Source: Telgarsky 2016. Raises ``ValueError`` for depth < 1.

    Examples
    --------
    >>> import torch
    >>> sawtooth(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), 2)  # two teeth
    tensor([0., 1., 0., 1., 0.])
    """
    depth = _validate.positive_int("depth", depth)
    _validate.float_tensor("x", x)
    for _ in range(depth):
        x = 2 * torch.relu(x) - 4 * torch.relu(x - 0.5)
    return x


def sawtooth_lower_bound(depth: int, pieces: int) -> float:
    """Lower bound on the L1([0, 1]) distance of ``sawtooth`` to continuous piecewise-linear functions.

    max(0, (1 - (2 pieces + 2)/2^depth)/8): the sawtooth crosses 1/2 in every piece, which leaves 2^depth - 1 triangles
    of area 2^-depth/4, and a competitor that does not cross inside a triangle is wrong on every other one at least.

    Raises ``ValueError`` for depth < 1 or pieces < 1.

    Examples
    --------
    >>> sawtooth_lower_bound(6, 15)  # 64 linear pieces approximated with 15
    0.0625
    """
    depth, pieces = _validate.positive_int("depth", depth), _validate.positive_int("pieces", pieces)
    return max(0.0, (1 - math.ldexp(2 * pieces + 2, -depth)) / 8)
