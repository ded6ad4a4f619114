"""Functions on which methods that look for second-order points are compared."""

from __future__ import annotations

import math

import torch

from litrepro import _validate


def cosine_wells(x: torch.Tensor, weights: torch.Tensor, rotation: torch.Tensor | None = None) -> torch.Tensor:
    """sum_i a_i (1 - cos u_i), u = Q x, (..., d) -> (...).

    Critical where every u_i is a multiple of pi; the even ones are minima (value 0), each odd one adds a direction of
    curvature -a_i and 2 a_i to the value. Gradient and Hessian have the Lipschitz constant max a.

    Parameters
    ----------
    weights
        a (d,), positive.
    rotation
        Q (d, d), orthogonal; None: the identity.

    Raises ``ValueError`` for shapes that do not fit and tensors that are not floating point.

    Examples
    --------
    >>> import torch
    >>> cosine_wells(torch.tensor([[0.0, 0.0], [0.0, torch.pi]]), torch.tensor([1.0, 3.0])).round(decimals=4)
    tensor([0., 6.])
    """
    _validate.float_tensor("x", x, 1)
    d = x.shape[-1]
    _validate.float_tensor("weights", weights, 1)
    if rotation is not None:
        _validate.same_kind(x=x, rotation=_validate.float_tensor("rotation", rotation, 2))
    if weights.shape != (d,) or (rotation is not None and rotation.shape != (d, d)):
        found = tuple(weights.shape), None if rotation is None else tuple(rotation.shape)
        raise ValueError(f"weights must be ({d},) and rotation ({d}, {d}) for x {tuple(x.shape)}, got {found}")
    u = x if rotation is None else x @ rotation.mT
    return (weights * (1 - torch.cos(u))).sum(-1)


def near_critical(
    rotation: torch.Tensor,
    trials: int,
    *,
    spread: float = 0.05,
    flipped: int | None = None,
    generator: torch.Generator | int | None = None,
) -> torch.Tensor:
    """Starts within ``spread`` (in each u_i) of random critical points of ``cosine_wells``: (trials, d).

    Parameters
    ----------
    rotation
        Q (d, d).
    flipped
        So many coordinates u_i are near pi, the first ones; None: each with probability 1/2.
    generator
        Source of randomness, or a seed (0 if None).

    Raises ``ValueError`` for sizes and spreads out of range, and a rotation that is not square.

    Examples
    --------
    >>> import torch
    >>> x = near_critical(torch.eye(3), 4, flipped=1)
    >>> bool((x - torch.tensor([torch.pi, 0.0, 0.0])).abs().max() <= 0.05)
    True
    """
    d = _validate.float_tensor("rotation", rotation, 2).shape[-1]
    trials, spread = _validate.positive_int("trials", trials), _validate.real("spread", spread, 0)
    if rotation.shape != (d, d) or d < 1:
        raise ValueError(f"rotation must be (d, d), got {tuple(rotation.shape)}")
    generator = _validate.random_source("generator", generator)
    options = {"generator": generator, "dtype": rotation.dtype, "device": generator.device}
    offset = spread * (2 * torch.rand(trials, d, **options) - 1)
    high = torch.rand(trials, d, **options) < 0.5
    if flipped is not None:
        if _validate.positive_int("flipped", flipped, 0) > d:
            raise ValueError(f"flipped must be at most d = {d}, got {flipped}")
        high = (torch.arange(d, device=high.device) < flipped).expand(trials, d)
    return (offset + math.pi * high.to(offset.dtype)).to(rotation.device) @ rotation


def fading_slope(x: torch.Tensor, power: float = 0.05) -> torch.Tensor:
    """(1 + |x|^2)^(-p/2), (..., d) -> (...): it falls for ever, and its gradient fades like p |x|^-(1+p).

    A smooth stand-in for the worst cases of Cartis, Gould and Toint 2010: gradient descent needs about
    eps^-((2+p)/(1+p)) steps to a gradient of eps. For d = 1 and p = 0.05 the gradient is p-Lipschitz, the second
    derivative 0.0742-Lipschitz.

    Raises ``ValueError`` unless p > 0.

    Examples
    --------
    >>> import torch
    >>> fading_slope(torch.tensor([[0.0], [100.0]]), power=1.0)
    tensor([1.0000, 0.0100])
    """
    _validate.float_tensor("x", x, 1)
    power = _validate.real("power", power, 0, open_low=True)
    return (1 + x.square().sum(-1)) ** (-power / 2)
