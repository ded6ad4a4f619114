"""Random Fourier features: frequencies from the spectral density, features, and the variance of their inner product."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro.features import _arguments

KERNELS = ("gaussian", "laplace")
KINDS = ("phase", "paired", "normalized")


class Frequencies(NamedTuple):
    """Draws of a feature map: ``omega`` (*batch, D, d) in inverse units of x, ``phase`` (*batch, D) in radians.

    Examples
    --------
    >>> omega, phase = sample_frequencies(3, 10)
    >>> omega.shape, phase.shape
    (torch.Size([10, 3]), torch.Size([10]))
    """

    omega: torch.Tensor
    phase: torch.Tensor


def sample_frequencies(
    d: int,
    n_features: int,
    *,
    kernel: str = "gaussian",
    sigma: float = 1.0,
    batch: tuple[int, ...] = (),
    generator: torch.Generator | int | None = None,
    dtype: torch.dtype = torch.float64,
) -> Frequencies:
    """Frequencies from the kernel's spectral density, and phases from U[0, 2 pi].

    Gaussian kernel: omega ~ N(0, I / sigma^2). Laplace kernel: independent Cauchy coordinates of scale 1 / sigma.

    Parameters
    ----------
    d, n_features
        Dimension of the points and number D of frequencies.
    kernel
        ``"gaussian"`` or ``"laplace"``.
    sigma
        Width of the kernel > 0, in the units of x.
    batch
        Leading dimensions: independent draws.
    generator
        Source of randomness, or a seed (0 if None); the draws lie on its device.
    dtype
        Of both tensors.

    Returns
    -------
    ``Frequencies(omega (*batch, D, d), phase (*batch, D))``.

    Raises
    ------
    ValueError
        d or n_features < 1, an unknown kernel, sigma not positive, a dtype that is not floating.

    Source: Rahimi and Recht 2007, figure 1 and algorithm 1.

    Examples
    --------
    >>> import torch
    >>> omega, phase = sample_frequencies(2, 20000, sigma=0.5)
    >>> bool((omega.std() - 2.0).abs() < 0.05)  # 1/sigma
    True
    >>> bool((phase >= 0).all() & (phase <= 2 * torch.pi).all())
    True
    """
    shape = _shape(d, n_features, batch)
    _validate.choice("kernel", kernel, KERNELS)
    sigma, generator = _arguments.width(sigma), _validate.random_source("generator", generator)
    _validate.floating_dtype("dtype", dtype)
    omega = torch.empty(shape, dtype=dtype, device=generator.device)
    if kernel == "gaussian":
        omega.normal_(0, 1, generator=generator).div_(sigma)
    else:
        omega.cauchy_(0, 1, generator=generator).div_(sigma)
    return Frequencies(omega, _phases(shape[:-1], generator, dtype))


def orthogonal_frequencies(
    d: int,
    n_features: int,
    *,
    sigma: float = 1.0,
    batch: tuple[int, ...] = (),
    generator: torch.Generator | int | None = None,
    dtype: torch.dtype = torch.float64,
) -> Frequencies:
    """Frequencies for the Gaussian kernel in blocks of d orthogonal directions: omega = S Q / sigma.

    Q is uniform on the orthogonal group and S holds independent lengths chi(d), so that every single frequency is
    N(0, I / sigma^2) while those of one block exclude each other's directions. Arguments, result and errors as
    ``sample_frequencies``.

    Source: Yu, Suresh, Choromanski, Holtmann-Rice and Kumar 2016, section 3.

    Examples
    --------
    >>> import torch
    >>> omega, phase = orthogonal_frequencies(3, 3)
    >>> gram = omega @ omega.mT
    >>> torch.allclose(gram, torch.diag(gram.diagonal()))
    True
    """
    shape = _shape(d, n_features, batch)
    sigma, generator = _arguments.width(sigma), _validate.random_source("generator", generator)
    _validate.floating_dtype("dtype", dtype)
    blocks = -(-n_features // d)
    draw = {"generator": generator, "device": generator.device, "dtype": torch.float64}
    q, r = torch.linalg.qr(torch.randn(*shape[:-2], blocks, d, d, **draw))
    q = q * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)[..., None, :]  # else Q is not uniform
    lengths = torch.randn(*shape[:-2], blocks, d, d, **draw).norm(dim=-1, keepdim=True)
    omega = (lengths * q).flatten(-3, -2)[..., :n_features, :] / sigma
    return Frequencies(omega.to(dtype), _phases(shape[:-1], generator, dtype))


def fourier_features(
    x: torch.Tensor,
    omega: torch.Tensor,
    phase: torch.Tensor | None = None,
    *,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Random Fourier features z(x), whose inner product estimates the kernel.

    With phases z_j = sqrt(2/D) w_j cos(omega_j^T x + b_j). Without, the paired map
    z = [w cos(omega^T x), w sin(omega^T x)] / sqrt(D), of unit norm where w = 1.

    Parameters
    ----------
    x
        Points (..., n, d).
    omega
        Frequencies (..., D, d); batch dimensions broadcast against those of x.
    phase
        (..., D) in radians, or None for the paired map.
    weights
        (..., D), e.g. of ``leverage_resample``; 1 if None.

    Returns
    -------
    (..., n, D) with phases, (..., n, 2D) without, in the common dtype of the arguments, on the device of x.

    Raises
    ------
    ValueError
        Different d, no frequencies, phase or weights of another length than D, batch dimensions that do not broadcast.

    Source: Rahimi and Recht 2007, algorithm 1; Sutherland and Schneider 2015 for the paired map.

    Examples
    --------
    >>> import torch
    >>> from litrepro.features import gaussian_kernel, sample_frequencies
    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    >>> z = fourier_features(x, sample_frequencies(2, 20000).omega)
    >>> bool((z @ z.mT - gaussian_kernel(x, x)).abs().max() < 0.05)
    True
    """
    x, omega = _arguments.points(x=x, omega=omega)
    return features_from_projection(x @ omega.mT, phase, weights=weights)


def features_from_projection(
    P: torch.Tensor, phase: torch.Tensor | None = None, *, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """``fourier_features`` from projections P = x omega^T (..., n, D), however they were computed (say, by Fastfood).

    ``phase`` and ``weights`` are (..., D) or None; the result and the errors are those of ``fourier_features``.

    Examples
    --------
    >>> import torch
    >>> x, (omega, phase) = torch.rand(5, 3, dtype=torch.float64), sample_frequencies(3, 10)
    >>> torch.allclose(features_from_projection(x @ omega.mT, phase), fourier_features(x, omega, phase))
    True
    """
    _validate.float_tensor("P", P, 2)
    n_features = P.shape[-1]
    if n_features < 1:
        raise ValueError(f"P must hold at least one feature, got shape {tuple(P.shape)}")
    for name, value in (("phase", phase), ("weights", weights)):
        if value is not None:
            _validate.float_tensor(name, value, 1)
            if value.shape[-1] != n_features:
                raise ValueError(f"{name} must have length D = {n_features}, got shape {tuple(value.shape)}")
            _validate.broadcast(P=tuple(P.shape[:-2]), **{name: tuple(value.shape[:-1])})
    P, phase, weights = _arguments.matched(P=P, phase=phase, weights=weights)
    if phase is not None:
        scale = math.sqrt(2 / n_features)
        z = (P + phase[..., None, :]).cos_()  # in place: these tensors are large, and moving them is what takes time
        return z.mul_(scale) if weights is None else z * (scale * weights[..., None, :])
    cosine, sine = torch.cos(P), torch.sin(P)
    if weights is not None:
        cosine, sine = cosine * weights[..., None, :], sine * weights[..., None, :]
    return torch.cat([cosine, sine], -1) / math.sqrt(n_features)


def normalize_features(z: torch.Tensor) -> torch.Tensor:
    """Rows z / |z| of unit norm; a row of zeros stays zero.

    Parameters
    ----------
    z
        Features (..., n, D).

    Returns
    -------
    (..., n, D).

    Raises
    ------
    ValueError
        z is not a floating-point tensor with at least two dimensions.

    Source: Li 2017, "normalized random Fourier features".

    Examples
    --------
    >>> import torch
    >>> normalize_features(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    _validate.float_tensor("z", z, 2)
    if z.shape[-1] == 0:
        return z.clone()
    direct = z.norm(dim=-1, keepdim=True)
    limits = torch.finfo(z.dtype)
    if bool(((direct > limits.tiny**0.5) & (direct < limits.max)).all()):
        return z / direct
    largest = z.detach().abs().amax(-1, keepdim=True)
    # Squares of tiny or huge entries leave the range of floating point; dividing by the largest first does not.
    scaled = z / torch.where(largest > 0, largest, 1.0)
    norm = scaled.norm(dim=-1, keepdim=True)
    return scaled / torch.where(norm > 0, norm, 1.0)


def feature_variance(k: float | torch.Tensor, n_features: int, kind: str) -> torch.Tensor:
    """Variance of the estimate z(x)^T z(y) of a Gaussian kernel value k, with D output coordinates.

    ``"phase"``: (1 + k^4/2 - k^2) / D. ``"paired"``: (1 - k^2)^2 / D. ``"normalized"`` (phase features with rows of
    unit norm, to first order in 1/D): (1 + k^4/2 - k^2 - k^2 (3 - k^4)/4) / D = (1 - k^2)^2 (1 + k^2/4) / D.

    Parameters
    ----------
    k
        Kernel value in [0, 1], a number or a tensor.
    n_features
        Number D of output coordinates (twice the number of frequencies for the paired map).
    kind
        ``"phase"``, ``"paired"`` or ``"normalized"``.

    Returns
    -------
    float64 tensor of the shape of k.

    Raises
    ------
    ValueError
        k outside [0, 1], n_features < 1, an unknown kind.

    Source: Sutherland and Schneider 2015, section 2.2; Li 2017, theorem 2.

    Examples
    --------
    >>> import torch
    >>> feature_variance(torch.tensor([0.0, 1.0]), 100, "phase").tolist()
    [0.01, 0.005]
    >>> feature_variance(torch.tensor([0.0, 1.0]), 100, "paired").tolist()  # of equal points it knows the kernel
    [0.01, 0.0]
    """
    n_features = _validate.positive_int("n_features", n_features)
    _validate.choice("kind", kind, KINDS)
    if not isinstance(k, torch.Tensor):
        k = torch.tensor(_validate.real("k", k, 0, 1 + 1e-6), dtype=torch.float64)
    if k.dtype == torch.bool or k.is_complex():
        raise ValueError(f"k must be real, got dtype {k.dtype}")
    k = k.to(torch.float64)
    if not bool(((k >= 0) & (k <= 1 + 1e-6)).all()):  # a computed kernel value may exceed 1 by rounding
        raise ValueError(f"k must lie in [0, 1], got values from {k.min().item():g} to {k.max().item():g}")
    squared = k.square()
    if kind == "phase":
        return (1 + squared.square() / 2 - squared) / n_features
    factor = 1.0 if kind == "paired" else 1 + squared / 4
    return (1 - squared).square() * factor / n_features


def _shape(d: int, n_features: int, batch: tuple[int, ...]) -> tuple[int, ...]:
    d, n_features = _validate.positive_int("d", d), _validate.positive_int("n_features", n_features)
    return (*_arguments.batch_shape(batch), n_features, d)


def _phases(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device=generator.device).uniform_(0, 2 * math.pi, generator=generator)
