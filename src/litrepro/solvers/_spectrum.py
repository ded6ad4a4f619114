"""The whole spectrum of a large symmetric operator from a few Lanczos runs: stochastic Lanczos quadrature."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro.solvers._lanczos import eigh_of_finite, krylov


def lanczos_quadrature(
    matvec: Callable[[torch.Tensor], torch.Tensor], v0: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gauss quadrature of the spectral measure of a start vector: nodes (..., k), ascending, and weights (..., k).

    sum_i w_i f(node_i) equals v' f(H) v for polynomials f of degree at most 2k - 1, v = v0/|v0|. Averaged over random
    v0 it estimates tr f(H)/d, and with f an indicator the share of eigenvalues in an interval (Golub and Meurant 1994;
    Ghorbani, Krishnan and Xiao 2019, arXiv 1901.10159, section 2).

    Parameters
    ----------
    matvec
        (..., d) -> (..., d), symmetric; always called with the shape of v0.
    v0
        (..., d), non-zero and finite, e.g. standard normal probes.
    k
        Lanczos steps, 1..d. After a breakdown the remaining nodes repeat the largest and have weight 0: f is asked for
        no value outside the spectrum.

    Raises ``ValueError`` as ``lanczos``.

    Examples
    --------
    >>> import torch
    >>> h = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    >>> nodes, weights = lanczos_quadrature(lambda v: h * v, torch.ones(3, dtype=torch.float64), 2)
    >>> torch.allclose((weights * nodes**3).sum(), (h**3).mean())  # exact up to degree 3
    True
    """
    found = krylov(matvec, v0, k, stop_early=False)
    # No eigenvalue is above this bound (Gershgorin), so that the nodes of padded directions come last.
    bound = found.alpha.abs().amax(-1, keepdim=True) + 2 * found.beta.abs().sum(-1, keepdim=True)
    diagonal = torch.where(found.valid, found.alpha, bound)
    tridiagonal = torch.diag_embed(diagonal) + torch.diag_embed(found.beta, 1) + torch.diag_embed(found.beta, -1)
    nodes, vectors = eigh_of_finite(tridiagonal)
    largest = nodes.gather(-1, found.valid.sum(-1, keepdim=True) - 1)
    return torch.minimum(nodes, largest), vectors[..., 0, :] ** 2
