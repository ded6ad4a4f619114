"""A matrix as a product of factors close to the identity."""

from __future__ import annotations

import math

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments
from litrepro.linearnets._residual import prefix_products

TRIVIAL = 1e-9  # a rotation or stretch below this takes no factors of its own
SPLIT = 1e-7  # size of the rotation that separates equal eigenvalues


def identity_factorization(target: torch.Tensor, depth: int) -> torch.Tensor:
    """Real blocks A_i of norm O(1/L) with (I + A_L) ... (I + A_1) = R.

    With the polar form R = UP the first l_1 factors are P^(1/l_1), the other l_2 = L - l_1 are U^(1/l_2); l_1 makes the
    largest norm as small as possible. Rotations are rooted plane by plane, the eigenvalues -1 of U (an even number) as
    half-turns. Every |A_i|_2 is at most 2 (sqrt(pi) + sqrt(3 gamma))^2 / L for L >= 3 gamma, where
    gamma = max(|log sigma_max|, |log sigma_min|). The last factor makes up for the rounding errors of the others; where
    R is so close to singular that it would break this bound, it makes up for those of the rotations only, and the
    product is R up to L rounding errors. Not differentiable where singular values or angles repeat.

    Parameters
    ----------
    target
        R (..., d, d), determinant > 0.
    depth
        L >= 1. One factor is R itself.

    Returns
    -------
    (..., L, d, d), in the target's dtype (computed in float64).

    Raises
    ------
    ValueError
        A determinant <= 0 (no small real factors exist, whatever L), a target that is not square or not finite,
        depth < 1.

    Source: Hardt and Ma, arXiv:1611.04231, theorem 2.1.

    Examples
    --------
    >>> import torch
    >>> turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)  # by 90 degrees
    >>> blocks = identity_factorization(turn, 9)  # nine times by 10 degrees
    >>> bool(torch.linalg.matrix_norm(blocks, 2).max() < 0.18)
    True
    >>> torch.allclose(torch.linalg.matrix_power(torch.eye(2, dtype=torch.float64) + blocks[0], 9), turn)
    True
    """
    _validate.float_tensor("target", target, 2)
    depth = _validate.positive_int("depth", depth)
    if target.shape[-1] != target.shape[-2] or target.shape[-1] < 1:
        raise ValueError(f"target must have shape (..., d, d), got {tuple(target.shape)}")
    if not bool(torch.isfinite(target).all()):
        raise ValueError("target must be finite")
    matrix = target.double()
    w, s, vh = torch.linalg.svd(matrix)
    positive = (torch.linalg.slogdet(matrix).sign > 0) & (s[..., -1] > 0)
    positive &= torch.linalg.slogdet(w @ vh).sign > 0  # the two differ where the determinant is rounding only
    if not bool(positive.all()):
        raise ValueError("target must have a determinant > 0: small real factors cannot reflect or collapse")
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    if depth == 1:
        return (matrix - identity)[..., None, :, :].to(target.dtype)
    rotation, separation = w @ vh, _separation(matrix)
    angles, vectors = _planes(separation @ rotation)
    stretches = _stretches(s, angles.abs().amax(-1), depth)
    stretch = _power(s, vh, stretches)
    turn = _turn(angles, vectors, depth - stretches)
    index = torch.arange(1, depth + 1, device=matrix.device)[:, None, None]
    first = index <= stretches[..., None, None, None]
    factors = torch.where(first, stretch[..., None, :, :], turn[..., None, :, :])
    # The last factor is what is missing: the product is R to machine precision, whatever the roots' rounding errors.
    below = prefix_products(factors[..., :-1, :, :])[-1]
    last, _ = torch.linalg.solve_ex(below, matrix, left=False)
    # Near a singular R it misses by its condition number. There only what is known of the rotation is made up for.
    left = torch.where((stretches == depth)[..., None, None], rotation, separation.mT)
    safe, finite = _arguments.split_finite(last - identity)
    gamma = s.log().abs().amax(-1)
    bound = 2 * (math.pi**0.5 + (3 * gamma) ** 0.5) ** 2 / depth
    within = (torch.linalg.matrix_norm(safe, 2) <= bound) | (depth < 3 * gamma)
    last = torch.where(finite & within[..., None, None], last, left @ factors[..., -1, :, :])
    factors = torch.cat([factors[..., :-1, :, :], last[..., None, :, :]], -3)
    return (factors - identity).to(target.dtype)


def _separation(like: torch.Tensor) -> torch.Tensor:
    """A tiny fixed rotation (d, d) that separates equal eigenvalues of the one it multiplies.

    Without it the eigenvalues -1 would not pair into half-turns, and the eigenvectors of equal angles need not be
    conjugate or even well conditioned.
    """
    d = like.shape[-1]
    generator = torch.Generator().manual_seed(d)
    skew = torch.randn(d, d, generator=generator, dtype=torch.float64, device="cpu").to(like.device)
    return torch.matrix_exp(SPLIT * (skew - skew.mT))


def _planes(rotation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Angles (..., d) in (-pi, pi] in conjugate pairs, and complex eigenvectors (..., d, d), of a rotation."""
    values, vectors = torch.linalg.eig(rotation)
    return values.angle(), vectors


def _stretches(s: torch.Tensor, largest_angle: torch.Tensor, depth: int) -> torch.Tensor:
    """l_1 (...): the number of factors for the stretch that makes the largest norm smallest."""
    counts = torch.arange(depth + 1, device=s.device)
    root = s[..., None] ** _inverse(counts)
    stretch = (root - 1).abs().amax(-2)
    turn = 2 * torch.sin(largest_angle[..., None] / 2 * _inverse(depth - counts))
    identical = (s - 1).abs().amax(-1, keepdim=True) < TRIVIAL
    still = largest_angle[..., None] < 100 * SPLIT * s.shape[-1]
    stretch = torch.where(counts == 0, torch.where(identical, 0.0, torch.inf), stretch)
    turn = torch.where(counts == depth, torch.where(still, 0.0, torch.inf), turn)
    return torch.maximum(stretch, turn).argmin(-1)


def _inverse(count: torch.Tensor) -> torch.Tensor:
    """1 / count in float64, 1 for 0."""
    return 1.0 / count.clamp(min=1).double()


def _power(s: torch.Tensor, vh: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """P^(1/count) for P = V diag(s) V^T."""
    return (vh.mT * (s ** _inverse(count)[..., None])[..., None, :]) @ vh


def _turn(angles: torch.Tensor, vectors: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """U^(1/count): every plane turned by its part of the angle."""
    phases = torch.exp(1j * angles * _inverse(count)[..., None])
    return torch.linalg.solve(vectors, vectors * phases[..., None, :], left=False).real
