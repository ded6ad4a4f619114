"""A matrix as a product of factors: the product, its gradients, balancedness."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments


def end_to_end(factors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The end-to-end matrix W_N ... W_1.

    Parameters
    ----------
    factors
        ``[W_1, ..., W_N]``, ``W_j (..., n_j, n_{j-1})``; batch dimensions broadcast.

    Returns
    -------
    (..., k, d) with k = n_N, d = n_0.

    Raises
    ------
    ValueError
        An empty list, sizes or dtypes that do not fit.

    Source: Arora, Cohen and Hazan 2018, section 4.

    Examples
    --------
    >>> import torch
    >>> end_to_end([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [4.0]])])
    tensor([[3., 6.],
            [4., 8.]])
    """
    return product(_arguments.chain(factors))


def product(factors: Sequence[torch.Tensor]) -> torch.Tensor:
    """``end_to_end`` without its checks, multiplied from the thinner end."""
    if factors[-1].shape[-2] <= factors[0].shape[-1]:
        total = factors[-1]
        for factor in reversed(factors[:-1]):
            total = total @ factor
        return total
    total = factors[0]
    for factor in factors[1:]:
        total = factor @ total
    return total


def balance_gap(factors: Sequence[torch.Tensor]) -> torch.Tensor:
    """How far the factors are from balanced: max_j ||W_{j+1}^T W_{j+1} - W_j W_j^T||_F, 0 for one factor.

    Parameters
    ----------
    factors
        ``[W_1, ..., W_N]``, ``W_j (..., n_j, n_{j-1})``.

    Returns
    -------
    (...), in the units of W_j squared.

    Raises
    ------
    ValueError
        As ``end_to_end``.

    Source: Arora, Cohen and Hazan 2018, theorem 1 (condition 7).

    Examples
    --------
    >>> import torch
    >>> w1, w2 = torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0]])
    >>> balance_gap([w1, w2]), balance_gap([w1, torch.tensor([[5.0]])])  # |4 - 25|, and balanced
    (tensor(21.), tensor(0.))
    """
    factors = _arguments.chain(factors)
    if len(factors) == 1:
        return factors[0].new_zeros(factors[0].shape[:-2])
    gaps = [
        torch.linalg.matrix_norm(above.mT @ above - below @ below.mT) for below, above in itertools.pairwise(factors)
    ]
    return torch.stack(torch.broadcast_tensors(*gaps)).amax(0)


def balanced_factors(W: torch.Tensor, depth: int, hidden: int | None = None) -> list[torch.Tensor]:
    """Balanced factors with a given product.

    With the singular value decomposition W = U S V^T: W_1 = S^{1/N} V^T, W_j = S^{1/N}, W_N = U S^{1/N}, padded with
    zeros to the hidden width. The product is W, the balance gap 0.

    Parameters
    ----------
    W
        (..., k, d).
    depth
        N >= 1; 1 returns ``[W]``.
    hidden
        Width of the hidden layers, at least min(k, d) (default: that).

    Returns
    -------
    ``[W_1 (..., hidden, d), W_j (..., hidden, hidden), W_N (..., k, hidden)]``; nan for a trial that is not finite.

    Raises
    ------
    ValueError
        Another dtype than float32 and float64, depth < 1, or hidden < min(k, d), which could not hold every W.

    Source: Arora, Cohen, Golowich and Hu 2019, procedure 1 (without its randomness).

    Examples
    --------
    >>> import torch
    >>> W = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    >>> factors = balanced_factors(W, 3)
    >>> torch.allclose(end_to_end(factors), W), bool(balance_gap(factors) < 1e-9)
    (True, True)
    """
    depth = _validate.positive_int("depth", depth)
    (_arguments.matrix if depth == 1 else _arguments.decomposed)("W", W)
    rank = min(W.shape[-2:])
    hidden = rank if hidden is None else _validate.positive_int("hidden", hidden)
    if hidden < rank:
        raise ValueError(f"hidden must be at least min(k, d) = {rank}, got {hidden}")
    if depth == 1:
        return [W]
    safe, finite = _arguments.split_finite(W)
    u, s, vh = torch.linalg.svd(safe, full_matrices=False)
    root = torch.where(finite[..., 0], s, torch.nan).pow(1.0 / depth)
    pad = torch.nn.functional.pad
    first = pad(root[..., None] * vh, (0, 0, 0, hidden - rank))
    last = pad(u * root[..., None, :], (0, hidden - rank))
    middle = torch.diag_embed(pad(root, (0, hidden - rank)))
    return [first, *(middle.clone() for _ in range(depth - 2)), last]


def factor_gradients(factors: Sequence[torch.Tensor], G: torch.Tensor) -> list[torch.Tensor]:
    """Gradients with respect to every factor: (W_N ... W_{j+1})^T G (W_{j-1} ... W_1)^T.

    Parameters
    ----------
    factors
        ``[W_1, ..., W_N]``, ``W_j (..., n_j, n_{j-1})``.
    G
        (..., k, d): gradient with respect to the end-to-end matrix.

    Returns
    -------
    One gradient per factor, of the factor's matrix shape.

    Raises
    ------
    ValueError
        Factors that do not fit, a G that is not (..., k, d), of another dtype or of a batch that does not broadcast.

    Source: Arora, Cohen and Hazan 2018, equation 9 of appendix A.

    Examples
    --------
    >>> import torch
    >>> gradients = factor_gradients([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]])], torch.tensor([[1.0, 1.0]]))
    >>> [g.tolist() for g in gradients]  # 3 G, and <G, W_1>
    [[[3.0, 3.0]], [[3.0]]]
    """
    factors = _arguments.chain(factors)
    _arguments.matrix("G", G)
    expected = (factors[-1].shape[-2], factors[0].shape[-1])
    if tuple(G.shape[-2:]) != expected or G.dtype != factors[0].dtype:
        got = f"{tuple(G.shape)} and {G.dtype}"
        raise ValueError(f"G must be (..., {expected[0]}, {expected[1]}) in the factors' dtype, got {got}")
    _validate.same_kind(factors=factors[0], G=G)
    _validate.broadcast(G=G.shape[:-2], factors=torch.broadcast_shapes(*(factor.shape[:-2] for factor in factors)))
    return chain_rule(factors, G)


def chain_rule(factors: Sequence[torch.Tensor], G: torch.Tensor) -> list[torch.Tensor]:
    """``factor_gradients`` without its checks: one pass for what is above a factor, one for what is below."""
    above = [G]  # (W_N ... W_{j+1})^T G, from j = N down to 1
    for factor in reversed(factors[1:]):
        above.append(factor.mT @ above[-1])
    gradients, below = [above[-1]], None
    for j, factor in enumerate(factors[:-1], 1):
        below = factor if below is None else factor @ below
        gradients.append(above[len(factors) - 1 - j] @ below.mT)
    return gradients


def deficiency_margin(W: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The deficiency margin sigma_min(target) - ||W - target||_F; positive means that there is one.

    Parameters
    ----------
    W, target
        (..., k, d), batches broadcast. sigma_min is the smallest of the min(k, d) singular values.

    Returns
    -------
    (...), nan where an entry is not finite.

    Raises
    ------
    ValueError
        Matrix shapes or dtypes that differ, batches that do not broadcast, another dtype than float32 and float64.

    Source: Arora, Cohen, Golowich and Hu 2019, definition 2.

    Examples
    --------
    >>> import torch
    >>> margins = deficiency_margin(torch.tensor([[[0.75]], [[-1.0]]]), torch.eye(1))
    >>> margins.round(decimals=4).tolist()  # 1 - |0.75 - 1|, 1 - |-1 - 1|
    [0.75, -1.0]
    """
    _arguments.matrix("W", W)
    _arguments.decomposed("target", target)
    if W.shape[-2:] != target.shape[-2:] or W.dtype != target.dtype:
        got = f"{W.dtype} {tuple(W.shape)} and {target.dtype} {tuple(target.shape)}"
        raise ValueError(f"W and target must have one shape and dtype, got {got}")
    _validate.same_kind(W=W, target=target)
    _validate.broadcast(W=W.shape[:-2], target=target.shape[:-2])
    safe, finite = _arguments.split_finite(target)
    smallest = torch.linalg.svdvals(safe)[..., -1]
    distance = torch.linalg.matrix_norm(W - target)
    return torch.where(finite[..., 0, 0], smallest, torch.nan) - distance
