"""Hadamard matrices: the fast Walsh-Hadamard transform, and Paley's construction for other orders."""

from __future__ import annotations

import functools
import math

import torch

from litrepro import _validate
from litrepro.features import _arguments

_LARGEST_FACTOR = 6  # log2 of the largest small matrix: H_64


def hadamard_transform(x: torch.Tensor, *, normalized: bool = False) -> torch.Tensor:
    """Walsh-Hadamard transform H x along the last axis: H_1 = 1, H_2p = [[H_p, H_p], [H_p, -H_p]].

    H_p is a Kronecker product of small Hadamard matrices, so the transform is a few small matrix products,
    O(n log n) in all, which is what a processor does best.

    Parameters
    ----------
    x
        (..., n) with n a power of two; not modified. Integers are taken in the default dtype.
    normalized
        Divide by sqrt(n), which makes the transform orthogonal and its own inverse.

    Returns
    -------
    (..., n).

    Raises
    ------
    ValueError
        A length that is not a power of two, a dtype that is neither floating nor integer.

    Source: Le, Sarlos and Smola 2013, section 4.

    Examples
    --------
    >>> import torch
    >>> hadamard_transform(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10., -2., -4.,  0.])
    >>> x = torch.rand(8)
    >>> torch.allclose(hadamard_transform(hadamard_transform(x, normalized=True), normalized=True), x)
    True
    """
    x = _validate.float_tensor("x", _arguments.numbers("x", x), 1)
    n = _arguments.power_of_two("the length of the last axis", x.shape[-1])
    if not isinstance(normalized, bool):
        raise ValueError(f"normalized must be True or False, got {normalized!r}")
    result = x.reshape(-1, n)
    after = 1
    for bits in _factors(n.bit_length() - 1):
        size = 1 << bits
        matrix = _sylvester(size, x.dtype, x.device)
        if after == 1:
            result = result.reshape(-1, size) @ matrix
        else:
            result = matrix @ result.reshape(-1, size, after)
        after *= size
    result = result.reshape(x.shape)
    if normalized:
        return result / math.sqrt(n)
    return result.clone() if n == 1 else result


def paley_hadamard(q: int, *, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Paley's Hadamard matrix of order q + 1, for a prime q = 3 mod 4: H H^T = (q + 1) I.

    First row 1, first column below it -1, the rest Q + I with Q_ij the Legendre symbol of i - j.

    Returns
    -------
    (q + 1, q + 1) with entries -1 and 1.

    Raises
    ------
    ValueError
        q is not a prime with q = 3 mod 4, a dtype that does not hold -1.

    Source: Paley 1933, "On orthogonal matrices", construction I.

    Examples
    --------
    >>> import torch
    >>> H = paley_hadamard(3)
    >>> H[:2].tolist(), torch.equal(H @ H.mT, 4 * torch.eye(4, dtype=torch.float64))
    ([[1.0, 1.0, 1.0, 1.0], [-1.0, 1.0, -1.0, 1.0]], True)
    """
    q = _validate.positive_int("q", q, 3)
    if not isinstance(dtype, torch.dtype) or not dtype.is_signed or dtype.is_complex:
        raise ValueError(f"dtype must be a real and signed torch.dtype, got {dtype!r}")
    if q % 4 != 3 or any(q % divisor == 0 for divisor in range(2, math.isqrt(q) + 1)):
        raise ValueError(f"q must be a prime with q = 3 mod 4, got {q}")
    squares = {i * i % q for i in range(1, q)}
    legendre = torch.tensor([0] + [1 if i in squares else -1 for i in range(1, q)], dtype=dtype)
    places = torch.arange(q)
    matrix = torch.ones(q + 1, q + 1, dtype=dtype)
    matrix[1:, 0] = -1
    matrix[1:, 1:] = legendre[(places[:, None] - places) % q] + torch.eye(q, dtype=dtype)
    return matrix


def _factors(bits: int) -> list[int]:
    """Sizes (as powers of two) of the Kronecker factors, as equal as they can be; the fastest axis first."""
    count = max(1, -(-bits // _LARGEST_FACTOR))
    return [bits // count + (i < bits % count) for i in range(count)]


@functools.lru_cache(maxsize=32)
def _sylvester(size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The Hadamard matrix of a small order."""
    with torch.inference_mode(False):
        places = torch.arange(size)
        common = places[:, None] & places
        parity = torch.zeros_like(common)
        while bool(common.any()):
            parity ^= common & 1
            common = common >> 1
        return (1 - 2 * parity).to(dtype=dtype, device=device)
