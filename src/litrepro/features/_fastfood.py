"""Fastfood: Gaussian frequencies in log-linear time from diagonal, permutation and Hadamard matrices."""

from __future__ import annotations

import dataclasses
import math

import torch

from litrepro import _validate
from litrepro.features import _arguments
from litrepro.features._hadamard import hadamard_transform


@dataclasses.dataclass(frozen=True)
class Fastfood:
    """A draw of Fastfood's diagonals and permutations, each (*batch, blocks, p).

    Attributes
    ----------
    B
        Signs, -1 or 1.
    perm
        Permutation of 0..p-1 (int64): (Pi u)_i = u[perm_i].
    G
        Standard normal.
    S
        Row lengths s_i / |G|, s_i ~ chi(p).
    sigma, d, n_features
        Width of the kernel, dimension of the points, number D of frequencies. p is the next power of two >= d, and
        blocks = ceil(D / p).

    Examples
    --------
    >>> draw = sample_fastfood(3, 10)
    >>> draw.B.shape, draw.perm.shape, draw.n_features  # three blocks of p = 4
    (torch.Size([3, 4]), torch.Size([3, 4]), 10)
    """

    B: torch.Tensor
    perm: torch.Tensor
    G: torch.Tensor
    S: torch.Tensor
    sigma: float
    d: int
    n_features: int


def sample_fastfood(
    d: int,
    n_features: int,
    *,
    sigma: float = 1.0,
    batch: tuple[int, ...] = (),
    generator: torch.Generator | int | None = None,
) -> Fastfood:
    """Draw Fastfood's frequencies for the Gaussian kernel: blocks V = S H G Pi H B / (sigma sqrt(p)).

    Parameters
    ----------
    d, n_features
        Dimension of the points and number D of frequencies.
    sigma
        Width of the kernel > 0, in the units of x.
    batch
        Leading dimensions: independent draws.
    generator
        Source of randomness, or a seed (0 if None); the draws lie on its device.

    Returns
    -------
    ``Fastfood``, float64: four numbers per frequency, O(D) in all.

    Raises
    ------
    ValueError
        d or n_features < 1, sigma not positive.

    Source: Le, Sarlos and Smola 2013, section 4 (equation 7).

    Examples
    --------
    >>> draw = sample_fastfood(3, 10)
    >>> fastfood_matrix(draw).shape, sorted(draw.perm[0].tolist())
    (torch.Size([10, 3]), [0, 1, 2, 3])
    """
    d, n_features = _validate.positive_int("d", d), _validate.positive_int("n_features", n_features)
    sigma, generator = _arguments.width(sigma), _validate.random_source("generator", generator)
    p = _arguments.next_power_of_two(d)
    shape = (*_arguments.batch_shape(batch), -(-n_features // p), p)
    draw = {"generator": generator, "device": generator.device}
    signs = 2.0 * torch.randint(2, shape, **draw).double() - 1
    perm = torch.rand(shape, dtype=torch.float64, **draw).argsort(-1)
    normal = torch.randn(shape, dtype=torch.float64, **draw)
    shape_parameter = torch.full(shape, p / 2, dtype=torch.float64, device=generator.device)
    # chi(p) is sqrt(2 Gamma(p/2)); torch.distributions takes no generator
    chi = (2 * torch._standard_gamma(shape_parameter, generator=generator)).sqrt()
    lengths = chi / normal.norm(dim=-1, keepdim=True)
    return Fastfood(signs, perm, normal, lengths, sigma, d, n_features)


def fastfood_project(x: torch.Tensor, f: Fastfood) -> torch.Tensor:
    """Projections V x of points onto Fastfood's frequencies in O(n D log p), without forming V.

    Parameters
    ----------
    x
        Points (..., n, d); batch dimensions broadcast against those of the draw. Not modified.
    f
        Draw of ``sample_fastfood``.

    Returns
    -------
    (..., n, D), equal to ``x @ fastfood_matrix(f).mT``, in the dtype and on the device of x.

    Raises
    ------
    ValueError
        x without n and d axes, another d than the draw's.

    Source: Le, Sarlos and Smola 2013, section 4.

    Examples
    --------
    >>> import torch
    >>> draw = sample_fastfood(3, 10)
    >>> x = torch.rand(5, 3, dtype=torch.float64)
    >>> torch.allclose(fastfood_project(x, draw), x @ fastfood_matrix(draw).mT)
    True
    """
    _check(f)
    _validate.float_tensor("x", x, 2)
    if x.shape[-1] != f.d:
        raise ValueError(f"x must have d = {f.d} columns as the draw has, got shape {tuple(x.shape)}")
    batch = _validate.broadcast(x=tuple(x.shape[:-2]), draw=tuple(f.B.shape[:-2]))
    p = f.B.shape[-1]
    like = {"dtype": x.dtype, "device": x.device}
    signs, normal = f.B.to(**like)[..., None, :, :], f.G.to(**like)[..., None, :, :]
    lengths = (f.S.to(**like) / (f.sigma * math.sqrt(p)))[..., None, :, :]
    if p > f.d:
        x = torch.nn.functional.pad(x, (0, p - f.d))
    u = _permute(hadamard_transform(x[..., None, :] * signs), f.perm.to(x.device), batch)
    return (hadamard_transform(u * normal) * lengths).flatten(-2)[..., : f.n_features]


def fastfood_matrix(f: Fastfood) -> torch.Tensor:
    """The frequencies of a draw as a dense matrix (..., D, d), float64, on the device of the draw.

    Examples
    --------
    >>> import torch
    >>> draw = sample_fastfood(3, 10)
    >>> V = fastfood_matrix(draw)
    >>> V.shape, torch.allclose(V.mT, fastfood_project(torch.eye(3, dtype=torch.float64), draw))
    (torch.Size([10, 3]), True)
    """
    _check(f)
    return fastfood_project(torch.eye(f.d, dtype=f.B.dtype, device=f.B.device), f).mT


def _permute(u: torch.Tensor, perm: torch.Tensor, batch: torch.Size) -> torch.Tensor:
    """(Pi u)_i = u[perm_i] within every block of u (..., n, blocks, p)."""
    n, blocks, p = u.shape[-3:]
    if perm.ndim == 2:
        flat = (perm + p * torch.arange(blocks, device=perm.device)[:, None]).flatten()
        return u.flatten(-2).index_select(-1, flat).unflatten(-1, (blocks, p))
    return u.gather(-1, perm[..., None, :, :].expand(*batch, n, blocks, p))


def _check(f: Fastfood) -> None:
    if not isinstance(f, Fastfood):
        raise ValueError(f"f must be a draw of sample_fastfood, got {type(f).__name__}")
