"""Patches of one convolutional layer, and the matrix that decides how fast a filter is learned."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate

Size = int | tuple[int, int]


def patch_gram(size: Size, patch: Size, stride: Size) -> torch.Tensor:
    """P = sum_ij P_i P_j' over all pairs of patches, P_i the matrix that cuts out patch i.

    In one dimension P_ab = max(k - |a - b|/s, 0) where the stride s divides a - b, else 0, with k = floor((n - r)/s)
    + 1 patches; in two dimensions the Kronecker product of the two.

    Parameters
    ----------
    size, patch, stride
        n, r and s: integers for one dimension, pairs for two.

    Returns
    -------
    (r, r), or (r_1 r_2, r_1 r_2), float64, symmetric.

    Raises
    ------
    ValueError
        A patch larger than the input, a stride below 1, a mixture of integers and pairs.

    Source: Goel, Klivans and Meka 2018, lemma 3; equation 27 of the review without its missing maximum.

    Examples
    --------
    >>> patch_gram(4, 2, 1)  # three patches; their neighbours share two
    tensor([[3., 2.],
            [2., 3.]], dtype=torch.float64)
    """
    sizes = _dimensions(size=size, patch=patch, stride=stride)
    gram = torch.ones(1, 1, dtype=torch.float64, device="cpu")
    for n, r, s in sizes:
        gap = (torch.arange(r, device="cpu")[:, None] - torch.arange(r, device="cpu")).abs()
        count = (n - r) // s + 1 - gap // s
        gram = torch.kron(gram, torch.where(gap % s == 0, count.clamp(min=0), 0).double())
    return gram


def extract_patches(X: torch.Tensor, patch: Size, stride: Size) -> torch.Tensor:
    """The patches of every input, row-major in the patches and inside each.

    Parameters
    ----------
    X
        (..., n) for an integer ``patch``, (..., n_1, n_2) for a pair.
    patch, stride
        Integers, or pairs.

    Returns
    -------
    (..., k, r), a copy. Raises ``ValueError`` as ``patch_gram`` does.

    Examples
    --------
    >>> import torch
    >>> extract_patches(torch.tensor([1, 2, 3, 4]), 2, 1)
    tensor([[1, 2],
            [2, 3],
            [3, 4]])
    >>> extract_patches(torch.arange(9).reshape(3, 3), (2, 2), (1, 1))[0]
    tensor([0, 1, 3, 4])
    """
    two = isinstance(patch, tuple | list)
    least = 2 if two else 1
    if not isinstance(X, torch.Tensor) or X.ndim < least:
        got = f"shape {tuple(X.shape)}" if isinstance(X, torch.Tensor) else type(X).__name__
        raise ValueError(f"X must be a tensor with at least {least} dimension(s), got {got}")
    sizes = _dimensions(size=tuple(X.shape[-2:]) if two else X.shape[-1], patch=patch, stride=stride)
    if not two:
        return X.unfold(-1, *sizes[0][1:]).clone(memory_format=torch.contiguous_format)
    cut = X.unfold(-2, *sizes[0][1:]).unfold(-2, *sizes[1][1:])  # (..., k1, k2, r1, r2)
    return cut.clone(memory_format=torch.contiguous_format).flatten(-2).flatten(-3, -2)


def _dimensions(**given: Any) -> list[tuple[int, int, int]]:
    """(n, r, s) for each of the one or two dimensions."""
    as_tuples = {}
    for name, value in given.items():
        parts = tuple(value) if isinstance(value, tuple | list) else (value,)
        if len(parts) > 2 or not parts:
            raise ValueError(f"{name} must be an integer or a pair, got {value!r}")
        as_tuples[name] = tuple(_validate.positive_int(name, part) for part in parts)
    if len({len(parts) for parts in as_tuples.values()}) > 1:
        got = ", ".join(f"{name} {value!r}" for name, value in given.items())
        raise ValueError(f"size, patch and stride must all be integers or all pairs, got {got}")
    sizes = list(zip(*as_tuples.values()))
    for n, r, _ in sizes:
        if r > n:
            raise ValueError(f"patch must be at most the size of the input, {n}, got {r}")
    return sizes
