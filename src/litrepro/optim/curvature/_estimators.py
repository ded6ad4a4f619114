"""The diagonal of a Hessian from products with random signs, its smoothing, and steps with fractional powers."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro import _validate

MatVec = Callable[[torch.Tensor], torch.Tensor]


def random_signs(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Rademacher variables of the shape, dtype and device of ``like``."""
    # Bytes: 64-bit integers, the default, cost several times as much as the product that the signs are for.
    bits = torch.randint(0, 2, like.shape, generator=generator, device=generator.device, dtype=torch.uint8)
    return bits.to(like).mul_(2).sub_(1)


def hutchinson_diagonal(
    matvec: MatVec, like: torch.Tensor, *, samples: int = 1, generator: torch.Generator | int | None = None
) -> torch.Tensor:
    """Estimate the diagonal of a linear operator from products with random signs (Bekas, Kokiopoulou and Saad 2007).

    The mean over samples of z * (H z). Unbiased; exact in one sample for a diagonal H; with one sample the variance of
    entry i is the sum over j != i of H_ij^2 for symmetric H.

    Parameters
    ----------
    matvec
        (..., d) to (..., d); it always gets the shape of ``like``.
    like
        Tensor of shape (..., d) that gives shape, dtype and device.
    samples
        Number of products.
    generator
        Source of the signs, or a seed (0 if None).

    Returns
    -------
    (..., d). Raises ``ValueError`` for samples < 1, a ``like`` that is not a floating-point tensor, a ``matvec`` that
    is not callable or changes the shape, and a ``generator`` that is none.

    Examples
    --------
    >>> hutchinson_diagonal(lambda z: torch.tensor([1.0, -2.0]) * z, torch.zeros(2)).tolist()
    [1.0, -2.0]
    """
    _validate.float_tensor("like", like, 1)
    samples = _validate.positive_int("samples", samples)
    _validate.function("matvec", matvec)
    generator = _validate.random_source("generator", generator)
    total = torch.zeros_like(like)
    for _ in range(samples):
        z = random_signs(like, generator)
        total = total + z * same_shape("matvec", _validate.answer("matvec", matvec, z), z)
    return total / samples


def same_shape(name: str, product: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """``product`` if it has the shape of ``v``: what broadcasts instead would give wrong numbers in silence."""
    if not isinstance(product, torch.Tensor) or product.shape != v.shape:
        found = tuple(product.shape) if isinstance(product, torch.Tensor) else type(product).__name__
        raise ValueError(f"{name} must return the shape that it gets, {tuple(v.shape)}; got {found}")
    return product


def one_number(value: torch.Tensor) -> None:
    """A loss has shape ()."""
    if not isinstance(value, torch.Tensor) or value.ndim != 0:
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"loss must return a tensor of shape (), got {found}")


def spatial_average(D: torch.Tensor, block: int) -> torch.Tensor:
    """Mean of |D| over consecutive blocks of the last dimension, at every entry of the block (Yao et al. 2021, eq. 10).

    Parameters
    ----------
    D
        (..., d).
    block
        Length of a block; it divides d.

    Returns
    -------
    (..., d). Raises ``ValueError`` if block does not divide d.

    Examples
    --------
    >>> spatial_average(torch.tensor([1.0, -3.0, 0.0, 2.0]), 2).tolist()
    [2.0, 2.0, 1.0, 1.0]
    """
    _validate.float_tensor("D", D, 1)
    block = _validate.positive_int("block", block)
    if D.shape[-1] % block:
        raise ValueError(f"block must divide the last dimension, got block {block} and shape {tuple(D.shape)}")
    means = D.abs().unflatten(-1, (-1, block)).mean(-1, keepdim=True)
    return means.expand(*means.shape[:-1], block).flatten(-2)


def hessian_power_step(H: torch.Tensor, g: torch.Tensor, *, power: float, lr: float) -> torch.Tensor:
    """The step -lr H^(-power) g, by eigendecomposition (Yao et al. 2021, appendix).

    If alpha I <= H <= beta I for the Hessian of a function everywhere, lr = alpha^power / beta decreases the function
    by at least alpha^power / (2 beta^(1 + power)) ||g||^2.

    Parameters
    ----------
    H
        (..., d, d), symmetric positive definite.
    g
        (..., d).
    power
        In [0, 1]: 0 is gradient descent, 1 Newton's method.
    lr
        Positive number.

    Returns
    -------
    (..., d). Raises ``ValueError`` for shapes that do not fit, d = 0, an H that is not symmetric positive definite or
    neither float32 nor float64, a power outside [0, 1] and lr <= 0.

    Examples
    --------
    >>> hessian_power_step(4 * torch.eye(2), torch.ones(2), power=0.5, lr=1.0).round(decimals=4).tolist()
    [-0.5, -0.5]
    """
    _validate.decomposable("H", H)
    _validate.float_tensor("g", g, 1)
    power = _validate.real("power", power, 0, 1)
    lr = _validate.real("lr", lr, 0, open_low=True)
    if H.shape[-1] != H.shape[-2] or H.shape[-1] != g.shape[-1]:
        raise ValueError(f"H and g must be (..., d, d) and (..., d), got {tuple(H.shape)} and {tuple(g.shape)}")
    if H.shape[-1] < 1:
        raise ValueError(f"H must have shape (..., d, d) with d >= 1, got {tuple(H.shape)}")
    _validate.same_kind(H=H, g=g)
    if any(a != b and 1 not in (a, b) for a, b in zip(reversed(H.shape[:-2]), reversed(g.shape[:-1]))):
        raise ValueError(f"leading dimensions of H and g must fit, got {tuple(H.shape)} and {tuple(g.shape)}")
    tolerance = 100 * torch.finfo(H.dtype).eps * H.abs().amax((-2, -1), keepdim=True)
    if not bool(((H - H.mT).abs() <= tolerance).all()):
        raise ValueError("H must be symmetric")
    values, vectors = torch.linalg.eigh(H)
    if not bool((values > 0).all()):
        raise ValueError(f"H must be positive definite, its smallest eigenvalue is {values.min().item():.3g}")
    along = torch.einsum("...ji,...j->...i", vectors, g) * values**-power
    return -lr * torch.einsum("...ij,...j->...i", vectors, along)
