"""The statistical dimension of a whole program: several norms and the semidefinite cone together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.recovery._consensus import check_weights, common_batch
from litrepro.recovery._norms import rank_tolerance, unit_scale

Nearest = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
STILL = 1e-4  # relative fall of the mean squared distance in one round below which the iteration stops


@torch.no_grad()
def descent_dimension(
    X0: torch.Tensor,
    weights: Mapping[str, float | torch.Tensor],
    *,
    psd: bool = False,
    samples: int = 20,
    max_iter: int = 500,
    generator: torch.Generator | int | None = None,
) -> torch.Tensor:
    """The statistical dimension (...) of the directions along which sum_i lambda_i f_i does not grow from X0.

    It is E dist(G, cone of the subdifferential at X0)^2 for a standard Gaussian G, and Gaussian measurements recover
    X0 by ``structured_recovery`` from about so many on (Amelunxen et al. 2014, theorem II). ``statistical_dimension``
    has formulas for single norms on all matrices; here norms are summed, and with ``psd`` the program is restricted to
    positive semidefinite matrices, which adds their normal cone to the subdifferential and leaves only the symmetric
    part of G.

    Every distance is a minimum over a multiple t >= 0 of the subdifferential and over one subgradient of each norm. We
    minimize over one of these at a time, each in closed form; as the minimum over all subgradients is convex in t, the
    iteration comes to rest only at the distance. It ends when a round lowers the mean by less than 1e-4 of its value,
    which leaves the result too large, by under 1% as a rule.

    Parameters
    ----------
    X0
        (..., p, q), non-zero; with ``psd`` positive semidefinite.
    weights
        As in ``structured_recovery``; not all zero. Batch dimensions broadcast with those of X0.
    samples
        Draws of G for every X0. The standard error is about sqrt(2 / samples) times the root of the dimension.
    max_iter
        Largest number of rounds; a ``ConvergenceWarning`` says if they were not enough.
    generator
        Source of randomness, or its seed (0 if None).

    Raises ``ValueError`` for a matrix that is zero, not finite, neither float32 nor float64, or not semidefinite where
    ``psd`` says so, no or unknown norms, negative weights or nothing but zeros.

    Examples
    --------
    >>> X0 = torch.diag(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    >>> general, psd = (descent_dimension(X0, {"nuclear": 1.0}, psd=psd, samples=500) for psd in (False, True))
    >>> 5 < general.item() < 7, 2.5 < psd.item() < 4  # of 9 and of 6 dimensions
    (True, True)
    """
    X0, numbers = _check(X0, weights, psd)
    samples = _validate.positive_int("samples", samples)
    max_iter = _validate.positive_int("max_iter", max_iter)
    generator = _validate.random_source("generator", generator)
    batch, shape = X0.shape[:-2], X0.shape[-2:]
    flat = X0.reshape(-1, *shape)
    G = torch.randn(len(flat), samples, *shape, generator=generator, dtype=X0.dtype, device=generator.device).to(X0)
    lam = {name: weight.reshape(-1, 1, 1, 1) for name, weight in numbers.items()}
    blocks = {name: nearest_subgradient(flat, name, psd) for name in lam}
    if psd and "nuclear" not in lam:
        lam["nuclear"] = torch.zeros_like(next(iter(lam.values())))
        blocks["nuclear"] = nearest_subgradient(flat, "nuclear", psd)
    squared, settled = _distances(G, lam, blocks, max_iter)
    if not settled:
        warnings.warn(
            f"descent_dimension: the distances still fall after {max_iter} rounds", ConvergenceWarning, stacklevel=3
        )
    return squared.mean(-1).reshape(batch)


def _distances(
    G: torch.Tensor, lam: dict[str, torch.Tensor], blocks: dict[str, Nearest], max_iter: int
) -> tuple[torch.Tensor, bool]:
    """Squared distances (B, samples) of G (B, samples, p, q) from the cone, and whether they have settled."""
    t = torch.ones_like(G[..., :1, :1])
    squared = G.square().sum((-2, -1))
    parts = {name: torch.zeros_like(G) for name in lam}  # lambda_i t times a subgradient of f_i, for every norm
    left = G.clone()
    tiny = max(1e-300, torch.finfo(G.dtype).tiny)
    for _ in range(max_iter):
        for name, nearest in blocks.items():
            left = left + parts[name]
            parts[name] = nearest(left, lam[name] * t)
            left = left - parts[name]
        # The best multiple of this sum of subgradients; with it the t of the next round.
        whole = G - left
        factor = (G * whole).sum((-2, -1), keepdim=True) / whole.square().sum((-2, -1), keepdim=True).clamp(min=tiny)
        factor = factor.clamp(min=1e-3)  # t > 0 keeps the directions, which a zero would forget
        t = t * factor
        parts = {name: part * factor for name, part in parts.items()}
        left = G - whole * factor
        before, squared = squared, left.square().sum((-2, -1))
        if bool((squared.mean(-1) >= (1 - STILL) * before.mean(-1)).all()):
            return squared, True
    return squared, False


def nearest_subgradient(X0: torch.Tensor, norm: str, psd: bool) -> Nearest:
    """The map from M (B, samples, p, q) and scale (B, samples, 1, 1) to the nearest point of scale times the
    subdifferential of ``norm`` at X0 (B, p, q); for the nuclear norm with ``psd`` that of the trace plus the normal
    cone of the semidefinite matrices plus all skew matrices, which only the symmetric part does not see."""
    if norm == "l1":
        fixed, free = X0.sign()[:, None], (X0 == 0)[:, None]
        return lambda M, scale: torch.where(free, torch.minimum(torch.maximum(M, -scale), scale), scale * fixed)
    if norm in ("l12", "l12_rows"):
        dim = -2 if norm == "l12" else -1
        size = torch.linalg.vector_norm(X0, dim=dim, keepdim=True)[:, None]
        fixed = X0[:, None] / torch.where(size > 0, size, 1.0)
        tiny = max(1e-300, torch.finfo(X0.dtype).tiny)

        def columns(M: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
            length = torch.linalg.vector_norm(M, dim=dim, keepdim=True)
            inside = M * (scale / torch.maximum(length, scale).clamp(min=tiny))
            return torch.where(size > 0, scale * fixed, inside)

        return columns
    return _nearest_semidefinite(X0) if psd else _nearest_nuclear(X0)


def _nearest_nuclear(X0: torch.Tensor) -> Nearest:
    u, s, vh = torch.linalg.svd(X0, full_matrices=False)
    kept = (s > rank_tolerance(s) * s[:, :1]).to(X0)[:, None, :]
    u, v = u * kept, vh.mT * kept
    fixed, left, right = ((u @ v.mT)[:, None], (u @ u.mT)[:, None], (v @ v.mT)[:, None])

    def nearest(M: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        off = M - left @ M
        off = off - off @ right
        a, sigma, bh = torch.linalg.svd(off, full_matrices=False)
        return scale * fixed + (a * torch.minimum(sigma[..., None, :], scale)) @ bh

    return nearest


def _nearest_semidefinite(X0: torch.Tensor) -> Nearest:
    w, v = torch.linalg.eigh(X0)
    v = v * (w > rank_tolerance(w) * w[:, -1:])[:, None, :]
    on = (v @ v.mT)[:, None]

    def nearest(M: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        even = (M + M.mT) / 2
        off = even - on @ even
        off = off - off @ on
        values, vectors = torch.linalg.eigh(off)
        # Off the range of X0 any symmetric matrix with eigenvalues up to the scale; on it the scaled identity.
        below = (vectors * torch.minimum(values[..., None, :], scale)) @ vectors.mT
        below = below - on @ below @ on  # directions of the range have eigenvalue 0 <= scale and stay so
        return M - even + below + scale * on

    return nearest


def _check(
    X0: torch.Tensor, weights: Mapping[str, float | torch.Tensor], psd: bool
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """X0, scaled to entries of about 1, and the weights, all of the common batch shape."""
    _validate.decomposable("X0", X0)
    if not bool((X0 != 0).flatten(-2).any(-1).all()):
        raise ValueError("X0 must be non-zero everywhere in the batch")
    X0 = unit_scale(X0)
    numbers = check_weights(weights, X0)
    batch = common_batch(X0=X0.shape[:-2], weights=numbers)
    if not bool((sum(numbers.values()) > 0).all()):
        raise ValueError("at least one weight must be positive")
    if psd:
        if X0.shape[-1] != X0.shape[-2]:
            raise ValueError(f"psd needs square matrices, got {tuple(X0.shape[-2:])}")
        size = torch.linalg.matrix_norm(X0)
        lowest = torch.linalg.eigvalsh(X0)[..., 0]
        slack = max(1e-8, 100 * torch.finfo(X0.dtype).eps) * size
        if bool((torch.linalg.matrix_norm(X0 - X0.mT) > slack).any()) or bool((lowest < -slack).any()):
            got = float((lowest / size).min())
            raise ValueError(f"X0 must be positive semidefinite, got an eigenvalue of {got:.3g} times its norm")
    return X0.expand(*batch, -1, -1), {name: weight.expand(batch) for name, weight in numbers.items()}
