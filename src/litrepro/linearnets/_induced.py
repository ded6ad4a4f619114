"""What gradient descent on balanced factors does to the end-to-end matrix."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro._scaling import length
from litrepro.linearnets import _arguments


def induced_direction(W: torch.Tensor, grad: torch.Tensor, depth: int) -> torch.Tensor:
    """The end-to-end direction: sum_{j=1}^N [W W^T]^{(j-1)/N} G [W^T W]^{(N-j)/N}, with M^0 = I.

    For one output this is ||W||^{2-2/N} (G + (N-1) Pr_W G) with Pr_W G = (<G, W>/||W||^2) W: an adaptive step and an
    amplification along W. In general the singular value decomposition W = U S V^T gives U (C * U^T G V) V^T with
    C_{r r'} = sum_j sigma_r^{2(j-1)/N} sigma_{r'}^{2(N-j)/N}, and no power of a matrix is ever formed.

    Parameters
    ----------
    W
        (..., k, d).
    grad
        G (..., k, d): gradient of the loss with respect to W.
    depth
        N >= 1; 1 returns G.

    Returns
    -------
    (..., k, d); nan for a trial whose W is not finite. At W = 0 it is 0 for N >= 2. With several outputs autograd
    differentiates in W where the singular values are positive and distinct.

    Raises
    ------
    ValueError
        Shapes, dtypes or devices that differ, depth < 1; with several outputs another dtype than float32 and float64.

    Source: Arora, Cohen and Hazan 2018, theorem 1 and claim 2 (without weight decay).

    Examples
    --------
    >>> import torch
    >>> W, G = torch.tensor([[4.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    >>> induced_direction(W, G, 2).round(decimals=4)  # |W| (G + its part along W)
    tensor([[8., 4.]])
    """
    depth = _validate.positive_int("depth", depth)
    check_start("W", W, depth)
    _arguments.matrix("grad", grad)
    if W.shape != grad.shape or W.dtype != grad.dtype:
        got = f"{W.dtype} {tuple(W.shape)} and {grad.dtype} {tuple(grad.shape)}"
        raise ValueError(f"W and grad must have one shape and dtype, got {got}")
    _validate.same_kind(W=W, grad=grad)
    return direction(W, grad, depth)


def check_start(name: str, W: torch.Tensor, depth: int) -> None:
    """A matrix, one that can be decomposed where ``direction`` does so."""
    if _arguments.matrix(name, W).shape[-2] > 1 and depth > 1:
        _arguments.decomposed(name, W)


def direction(W: torch.Tensor, grad: torch.Tensor, depth: int) -> torch.Tensor:
    """``induced_direction`` without its checks."""
    if depth == 1:
        return grad
    if W.shape[-2] == 1:
        return _single_output(W, grad, depth)
    u, s, v, finite = _decompose(W)
    # The first and the last term hold a power M^0 = I, so that no null space is needed: its basis has no derivative.
    ends = s.pow(2 - 2 / depth)[..., None, :]
    left, right = u.mT @ grad, grad @ v
    moved = (u * ends) @ left + (right * ends) @ v.mT
    if depth > 2:
        moved = moved + u @ (_coefficients(s, depth) * (left @ v)) @ v.mT
    return torch.where(finite, moved, torch.nan)


def _single_output(W: torch.Tensor, grad: torch.Tensor, depth: int) -> torch.Tensor:
    norm = length(W, keepdim=True)
    unit = W / norm.masked_fill(norm == 0, 1.0)
    along = (grad * unit).sum(-1, keepdim=True)
    return norm.pow(2 - 2 / depth) * torch.addcmul(grad, unit, along, value=depth - 1)


def preconditioner(W: torch.Tensor, depth: int) -> torch.Tensor:
    """The matrix P with vec(induced_direction(W, G)) = P vec(G), vec column-first.

    P = sum_{j=1}^N [W^T W]^{(N-j)/N} kron [W W^T]^{(j-1)/N}: symmetric, positive semidefinite, with eigenvectors
    vec(u_r v_{r'}^T) and eigenvalues C_{r r'} = sum_j sigma_r^{2(j-1)/N} sigma_{r'}^{2(N-j)/N}.

    Parameters
    ----------
    W
        (..., k, d).
    depth
        N >= 1.

    Returns
    -------
    (..., kd, kd); entry (i, a) of G has index a k + i. nan for a trial that is not finite.

    Raises
    ------
    ValueError
        Not a matrix, another dtype than float32 and float64, depth < 1.

    Source: Arora, Cohen and Hazan 2018, claim 1.

    Examples
    --------
    >>> import torch
    >>> W = torch.tensor([[4.0, 0.0]])
    >>> preconditioner(W, 2).round(decimals=4)  # twice as fast along W
    tensor([[8., 0.],
            [0., 4.]])
    """
    _arguments.decomposed("W", W)
    depth = _validate.positive_int("depth", depth)
    k, d = W.shape[-2:]
    u, s, v, finite = _decompose(W)
    p = W.new_zeros(())
    for j in range(1, depth + 1):
        rows, columns = _power(u, s, 2 * (j - 1) / depth), _power(v, s, 2 * (depth - j) / depth)
        p = p + torch.einsum("...ab,...ij->...aibj", columns, rows).reshape(*W.shape[:-2], k * d, k * d)
    return torch.where(finite, (p + p.mT) / 2, torch.nan)


def _decompose(W: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Thin U, S, V and the mask of finite trials; singular values that are rounding errors become 0."""
    safe, finite = _arguments.split_finite(W)
    u, s, vh = torch.linalg.svd(safe, full_matrices=False)
    # Small powers magnify rounding: (1e-16)^(2/5) is 4e-7. Below the rank tolerance a value is zero.
    tolerance = max(W.shape[-2:]) * torch.finfo(W.dtype).eps * s[..., :1]
    return u, torch.where(s > tolerance, s, 0.0), vh.mT, finite


def _coefficients(s: torch.Tensor, depth: int) -> torch.Tensor:
    """The terms 1 < j < N of C (..., r, r), from the singular values (..., r)."""
    rows, columns = s[..., :, None], s[..., None, :]
    return sum(rows.pow(2 * (j - 1) / depth) * columns.pow(2 * (depth - j) / depth) for j in range(2, depth))


def _power(vectors: torch.Tensor, s: torch.Tensor, exponent: float) -> torch.Tensor:
    """The matrix with these orthonormal columns and values s^exponent; the identity for exponent 0."""
    if exponent == 0:
        n = vectors.shape[-2]
        return torch.eye(n, dtype=s.dtype, device=s.device).expand(*vectors.shape[:-2], n, n)
    return (vectors * s.pow(exponent)[..., None, :]) @ vectors.mT
