"""A start near the teacher from moments of the data."""

from __future__ import annotations

from typing import Any

import torch

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro.shallow import _arguments

_CHUNK = 1 << 17  # samples whose fourth powers are held at a time
_LOOKS = 20  # power iterations between two looks at whether anything still moves: a GPU has to be waited for


def tensor_initialization(
    X: torch.Tensor, y: torch.Tensor, neurons: int, *, iterations: int = 200, restarts: int = 20, generator: Any = None
) -> torch.Tensor:
    """Weights of y = sum_k relu(<w_k, x>), x ~ N(0, I), from moments of order one, two and four.

    M_2 = E[y (x x' - I)] = sum_j c |w_j| v_j v_j', with v_j = w_j / |w_j| and c = 1/sqrt(2 pi), gives the span of the
    neurons and a whitening in which they are orthonormal, u_j. The fourth Hermite moment there is
    - sum_j u_j^(4) / (c |w_j|): power iteration with deflation on its negative finds them. Lengths and signs come from
    least squares of 2 E[y x] = sum_j w_j. The third moment vanishes for a ReLU; the review leaves its P_3 undefined.

    Parameters
    ----------
    X, y
        Inputs (..., n, d) and targets (..., n).
    neurons
        K <= d.
    iterations, restarts
        Power iterations, and random starts of which the one with the largest value is kept.
    generator
        Seed or generator of the random starts, which the members of a batch share.

    Returns
    -------
    (..., K, d).

    Raises
    ------
    ValueError
        K > d, values that are not finite, or M_2 has fewer than K positive eigenvalues (too few samples, or other
        data); one such member of a batch is enough.

    Source: Zhong et al. 2017, algorithm 2; algorithm 4 of the review.

    Examples
    --------
    >>> import torch
    >>> from litrepro.shallow import permutation_distance, planted_teacher, relu_network
    >>> X = torch.randn(50000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> teacher = planted_teacher(2, 3)
    >>> W = tensor_initialization(X, relu_network(X, teacher), 2, iterations=50, restarts=5)
    >>> bool(permutation_distance(W, teacher) < 0.3)
    True
    """
    _arguments.samples(X, y)
    n, d = X.shape[-2:]
    neurons = _validate.positive_int("neurons", neurons)
    if neurons > d:
        raise ValueError(f"neurons must be at most d = {d}, got {neurons}")
    iterations = _validate.positive_int("iterations", iterations)
    restarts = _validate.positive_int("restarts", restarts)
    source = _validate.random_source("generator", generator)
    _arguments.decomposable("X", X)
    _validate.finite(X=X, y=y)
    batch = torch.broadcast_shapes(X.shape[:-2], y.shape[:-1])
    X, y = X.detach().expand(*batch, n, d), y.detach().expand(*batch, n)
    # The estimate is linear in y, but its moments leave the range of the dtype; a power of four has an exact root.
    scale = binary_scale(y.abs().sqrt(), -1).square()
    W, values = _estimate(X, y / scale, neurons, iterations, restarts, source)
    if not bool((values > 0).all()):
        values = values * scale
        raise ValueError(
            f"the second moment of the data must have {neurons} positive eigenvalues, got {values.amin().item():.3g}; "
            "expected y = sum_k relu(<w_k, x>) with more samples or fewer neurons"
        )
    return W * scale[..., None]


def _estimate(
    X: torch.Tensor, y: torch.Tensor, neurons: int, iterations: int, restarts: int, source: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """The estimate (..., K, d) and the top K eigenvalues of M_2; without meaning where one of these is not positive."""
    n, d = X.shape[-2:]
    mean = y.mean(-1)[..., None, None]
    second = X.mT @ (y[..., None] * X) / n - mean * torch.eye(d, dtype=X.dtype, device=X.device)
    values, vectors = torch.linalg.eigh((second + second.mT) / 2)
    top, vectors = values[..., -neurons:], vectors[..., -neurons:]
    values = top.clamp(min=torch.finfo(top.dtype).eps)
    units = _decompose(
        -_fourth_moment(X, y, vectors / values.sqrt()[..., None, :], values), iterations, restarts, source
    )
    directions = vectors @ (values.sqrt()[..., :, None] * units.mT)  # columns
    # No division by zero for data that the caller refuses: a nan would stop the pseudo-inverse.
    directions = directions / directions.norm(dim=-2, keepdim=True).clamp(min=torch.finfo(X.dtype).tiny)
    first = 2 * (y[..., None] * X).mean(-2)[..., None]
    lengths = torch.linalg.pinv(directions) @ first
    return (directions * lengths.mT).mT, top


def _fourth_moment(X: torch.Tensor, y: torch.Tensor, whitening: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """E[y H_4(z)], z = B'x with covariance S = diag(1/values), H_4 = z^4 - 6 terms z z S + 3 terms S S; (..., K^4)."""
    k, n = whitening.shape[-1], X.shape[-2]
    power, pair = X.new_zeros(*X.shape[:-2], k * k, k * k), X.new_zeros(*X.shape[:-2], k, k)
    for part, target in zip(X.split(_CHUNK, dim=-2), y.split(_CHUNK, dim=-1)):
        z = part @ whitening
        square = (z[..., :, None] * z[..., None, :]).flatten(-2)
        power = power + square.mT @ (target[..., None] * square)
        pair = pair + z.mT @ (target[..., None] * z)
    power = (power / n).unflatten(-1, (k, k)).unflatten(-3, (k, k))
    S = torch.diag_embed(1 / values)
    pair = pair / n
    mean = y.mean(-1)[..., None, None, None, None]
    places = ("ij,kl", "ik,jl", "il,jk")
    both = sum(_outer(pair, S, place) + _outer(S, pair, place) for place in places)
    return power - both + mean * sum(_outer(S, S, place) for place in places)


def _outer(first: torch.Tensor, second: torch.Tensor, place: str) -> torch.Tensor:
    left, right = place.split(",")
    return torch.einsum(f"...{left},...{right}->...ijkl", first, second)


def _decompose(tensor: torch.Tensor, iterations: int, restarts: int, source: torch.Generator) -> torch.Tensor:
    """Unit rows (..., K, K) of a nearly orthogonal fourth-order tensor, strongest first; deflated one after another."""
    k, rest = tensor.shape[-1], 4 * torch.finfo(tensor.dtype).eps
    found = []
    for _ in range(k):
        u = _arguments.normal((restarts, k), source, tensor)
        u = (u / u.norm(dim=-1, keepdim=True)).expand(*tensor.shape[:-4], restarts, k)
        matrix = tensor.flatten(-2).flatten(-3, -2).mT  # pairs (k, l) to pairs (i, j)
        for step in range(iterations):
            before, pairs = u, (u[..., :, None] * u[..., None, :]).flatten(-2)
            u = ((pairs @ matrix).unflatten(-1, (k, k)) @ u[..., None])[..., 0]
            u = u / torch.linalg.vector_norm(u, dim=-1, keepdim=True).clamp(min=torch.finfo(u.dtype).tiny)
            if step % _LOOKS == _LOOKS - 1 and bool(((u - before).abs() <= rest).all()):
                break  # within rounding errors of where all of them stay
        value = torch.einsum("...ijkl,...ri,...rj,...rk,...rl->...r", tensor, u, u, u, u)
        best = value.argmax(-1)
        u = u.gather(-2, best[..., None, None].expand(*best.shape, 1, k))[..., 0, :]
        value = value.gather(-1, best[..., None])[..., 0]
        cube = torch.einsum("...i,...j,...k,...l->...ijkl", u, u, u, u)
        tensor = tensor - value[..., None, None, None, None] * cube
        found.append(u)
    return torch.stack(found, dim=-2)
