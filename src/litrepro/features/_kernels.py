"""Kernels as Gram matrices, and the test that makes a function a kernel."""

from __future__ import annotations

import math

import torch

from litrepro import _validate
from litrepro.features import _arguments

_DIRECT = 1 << 22  # up to this many differences per pair of sets they are formed one by one, which cancels nothing
_PART = 1 << 20  # entries of a matrix of differences that are formed at a time
_KEPT = 1 << 24  # differences that may be kept for gradients
_SAFE = 2.0**40  # up to this sigma, and down to its inverse, squares of lengths are numbers in any dtype
_LOST = 1e-10  # what the detour by norms may lose, in units of sigma^2


def gaussian_kernel(x: torch.Tensor, y: torch.Tensor, *, sigma: float = 1.0) -> torch.Tensor:
    """Gaussian kernel: k(x, y) = exp(-|x - y|^2 / (2 sigma^2)).

    Distances of large sets (n m d > 2^22) come from norms and one product, unless the points lie so far from their
    centre, in units of sigma, that what cancels there would show: then the differences are formed, which takes longer.
    Twice differentiable.

    Parameters
    ----------
    x, y
        Points (..., n, d) and (..., m, d); batch dimensions broadcast.
    sigma
        Width > 0, in the units of x.

    Returns
    -------
    (..., n, m), in the common dtype of x and y.

    Raises
    ------
    ValueError
        Different d, batch dimensions that do not broadcast, a common dtype that is neither float32 nor float64, sigma
        not positive.

    Source: Rahimi and Recht 2007, figure 1.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> gaussian_kernel(x[:1], x)
    tensor([[1.0000, 0.6065, 0.1353]])
    """
    sigma = _arguments.width(sigma)
    x, y = _arguments.distances(x=x, y=y)
    dtype = x.dtype
    if not _SAFE**-1 < sigma < _SAFE:  # where squares leave the range of numbers: in a power of two of it instead
        unit = 2.0 ** (math.frexp(sigma)[1] - 1)
        x, y, sigma = x.double() / unit, y.double() / unit, sigma / unit
    return _squared_distances(x, y, sigma).mul_(-0.5 / sigma**2).exp_().to(dtype)


def laplace_kernel(x: torch.Tensor, y: torch.Tensor, *, sigma: float = 1.0) -> torch.Tensor:
    """Laplace kernel: k(x, y) = exp(-|x - y|_1 / sigma); arguments, shapes and errors as ``gaussian_kernel``.

    Its spectral density is a product of Cauchy densities of scale 1 / sigma (Rahimi and Recht 2007, figure 1).

    Examples
    --------
    >>> import torch
    >>> laplace_kernel(torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [1.0, -1.0]]))  # exp(-2)
    tensor([[1.0000, 0.1353]])
    """
    sigma = _arguments.width(sigma)
    x, y = _arguments.distances(x=x, y=y)
    return torch.cdist(x, y, p=1.0).div(-sigma).exp_()


def polynomial_kernel(x: torch.Tensor, y: torch.Tensor, *, degree: int = 2, c: float = 1.0) -> torch.Tensor:
    """Polynomial kernel: k(x, y) = (x^T y + c)^degree.

    Parameters
    ----------
    x, y
        Points (..., n, d) and (..., m, d); batch dimensions broadcast.
    degree
        Integer >= 1.
    c
        Offset >= 0; a negative one makes no kernel.

    Returns
    -------
    (..., n, m), in the common dtype of x and y.

    Raises
    ------
    ValueError
        Different d, a dtype that is not floating, degree < 1 or not an integer, c < 0.

    Source: Hofmann, Schoelkopf and Smola 2008, section 2.

    Examples
    --------
    >>> import torch
    >>> polynomial_kernel(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0], [0.0, -1.0]]))
    tensor([[16.,  1.]])
    """
    degree = _validate.positive_int("degree", degree)
    c = _validate.real("c", c, 0)
    x, y = _arguments.points(x=x, y=y)
    return (x @ y.mT + c) ** degree


def is_positive_semidefinite(K: torch.Tensor, tol: float = 1e-8) -> torch.Tensor:
    """Whether the symmetric part of K has no negative eigenvalue: lambda_min >= -tol max(1, |lambda_max|).

    Parameters
    ----------
    K
        (..., n, n). Eigenvalues are computed in float64 whatever the dtype; a matrix with an entry that is not finite
        is not positive semidefinite.
    tol
        Relative tolerance >= 0.

    Returns
    -------
    Boolean tensor (...).

    Raises
    ------
    ValueError
        K is not square, tol is negative.

    Source: Hofmann, Schoelkopf and Smola 2008, definition 2 (symmetry is part of it there).

    Examples
    --------
    >>> import torch
    >>> is_positive_semidefinite(torch.tensor([[[1.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]]]))
    tensor([ True, False])
    """
    tol = _validate.real("tol", tol, 0)
    K = _arguments.square("K", K).to(torch.float64)
    if K.shape[-1] == 0:
        return torch.ones(K.shape[:-2], dtype=torch.bool, device=K.device)
    finite = K.isfinite().all(-1).all(-1)
    # eigvalsh refuses a whole batch because of one entry that is not finite
    safe = torch.where(finite[..., None, None], K, torch.zeros_like(K))
    values = torch.linalg.eigvalsh((safe + safe.mT) / 2)
    return finite & (values[..., 0] >= -tol * values[..., -1].abs().clamp(min=1.0))


def _squared_distances(x: torch.Tensor, y: torch.Tensor, sigma: float) -> torch.Tensor:
    """|x_i - y_j|^2; by norms and one product where forming the differences would take too long."""
    batch = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    tracked = torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)
    differences = x.shape[-2] * y.shape[-2] * x.shape[-1]
    too_large = tracked and differences * batch.numel() > _KEPT  # to keep all differences for the gradient
    if differences <= _DIRECT and not too_large:
        return _by_differences(x, y, tracked)
    # x^2 + y^2 - 2 x y cancels: without the common offset there is less to cancel, and float64 has digits to lose.
    given, dtype, centre = (x, y), x.dtype, x.double().mean(-2, keepdim=True)
    x, y = x.double() - centre, y.double() - centre
    squares, lengths = x.square().sum(-1)[..., :, None], y.square().sum(-1)[..., None, :]
    if not too_large and _cancels(squares, lengths, sigma):
        return _by_differences(*given, tracked)
    turned, rows = -2 * y.mT, max(1, _PART // y.shape[-2])
    parts = (
        (square + lengths).add_(part @ turned).clamp_(min=0)
        for square, part in zip(squares.split(rows, -2), x.split(rows, -2))
    )
    if tracked:
        return torch.cat([part.to(dtype) for part in parts], -2)
    # Part by part into its place: the matrix is large, and moving it is what takes time.
    whole = x.new_empty(*batch, x.shape[-2], y.shape[-2], dtype=dtype)
    for place, part in zip(whole.split(rows, -2), parts):
        place.copy_(part)
    return whole


def _by_differences(x: torch.Tensor, y: torch.Tensor, tracked: bool) -> torch.Tensor:
    """|x_i - y_j|^2 as it is written; ``cdist`` keeps no differences, but has no second derivative."""
    if tracked:
        return (x[..., :, None, :] - y[..., None, :, :]).square().sum(-1)
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()


def _cancels(squares: torch.Tensor, lengths: torch.Tensor, sigma: float) -> bool:
    """Whether squared lengths, rounded, are that far off beside sigma^2; under vmap there is no telling."""
    largest = torch.maximum(squares.max(), lengths.max())
    return _validate.known(largest * torch.finfo(torch.float64).eps > _LOST * sigma**2) is True
