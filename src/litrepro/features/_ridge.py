"""Ridge regression with a kernel, or with features in its place."""

from __future__ import annotations

import torch

from litrepro.features import _arguments


def kernel_ridge(K: torch.Tensor, y: torch.Tensor, lam: float | torch.Tensor) -> torch.Tensor:
    """Coefficients of kernel ridge regression: alpha = (K + n lambda I)^-1 y; f(x) = sum_i alpha_i k(x, x_i).

    It minimizes (1/n) |K alpha - y|^2 + lambda alpha^T K alpha.

    Parameters
    ----------
    K
        Gram matrix (..., n, n), symmetric.
    y
        Targets (..., n, t); integers (one-hot labels) will do.
    lam
        lambda > 0, per sample: scikit-learn's ``alpha`` is n lambda. A tensor of batch shape gives one per problem.

    Returns
    -------
    (..., n, t) in the common dtype; solved in float64, because single precision fails where n lambda is small.

    Raises
    ------
    ValueError
        K not square or not symmetric, other numbers of rows, lam not positive.

    Source: Alaoui and Mahoney 2015, equation 2.

    Examples
    --------
    >>> import torch
    >>> kernel_ridge(torch.eye(2), torch.tensor([[2.0], [4.0]]), 0.5)  # y / (1 + n lambda)
    tensor([[1.],
            [2.]])
    """
    _arguments.symmetric("K", K)
    y = _arguments.numbers("y", y, K)
    _arguments.same_rows(K=K, y=y)
    K, y = _arguments.matched(K=K, y=y)
    lam = _arguments.regularization(lam, K)
    return solve_shifted(K.double(), y.double(), K.shape[-1] * lam).to(K.dtype)


def feature_ridge(z: torch.Tensor, y: torch.Tensor, lam: float | torch.Tensor) -> torch.Tensor:
    """Weights of ridge regression on features: w = (z^T z + n lambda I)^-1 z^T y; f(x) = z(x)^T w.

    It minimizes (1/n) |z w - y|^2 + lambda |w|^2. Where there are more features than points the dual form
    z^T (z z^T + n lambda I)^-1 y is used, which is the same.

    Parameters
    ----------
    z
        Features (..., n, D).
    y
        Targets (..., n, t); integers (one-hot labels) will do.
    lam
        lambda > 0, per sample; a tensor of batch shape gives one per problem.

    Returns
    -------
    (..., D, t) in the common dtype; solved in float64. A lambda that rounding swallows gives the least-norm solution;
    before that, from n lambda of about 1e-12 |z|^2 on, features that depend on each other cost digits.

    Raises
    ------
    ValueError
        Other numbers of rows, no features, lam not positive.

    Source: Rahimi and Recht 2007, section 5.

    Examples
    --------
    >>> import torch
    >>> feature_ridge(torch.ones(2, 1), torch.tensor([[1.0], [3.0]]), 1.0)  # 4 / (2 + n lambda)
    tensor([[1.]])
    """
    y = _arguments.numbers("y", y, z)
    _arguments.same_rows(z=z, y=y)
    if z.shape[-1] < 1:
        raise ValueError(f"z must have at least one feature, got shape {tuple(z.shape)}")
    z, y = _arguments.matched(z=z, y=y)
    shift = z.shape[-2] * _arguments.regularization(lam, z)
    wide, targets = z.double(), y.double()
    if z.shape[-1] > z.shape[-2]:
        weights = wide.mT @ solve_shifted(wide @ wide.mT, targets, shift, inside=True)
    else:
        weights = solve_shifted(wide.mT @ wide, wide.mT @ targets, shift, inside=True)
    return weights.to(z.dtype)


def solve_shifted(A: torch.Tensor, b: torch.Tensor, shift: torch.Tensor, *, inside: bool = False) -> torch.Tensor:
    """(A + shift I)^-1 b for symmetric A, float64; by Cholesky, and by eigenvalues for members that are not definite.

    ``inside`` says that only what b has in the range of A counts. A member that is not finite becomes nan without
    disturbing the others.
    """
    given, A = A, shifted(A, shift)
    factor, info = torch.linalg.cholesky_ex(A)
    batch = torch.broadcast_shapes(A.shape[:-2], b.shape[:-2])
    b = b.expand(*batch, *b.shape[-2:])
    failed = (info != 0).expand(batch)
    if not bool(failed.any()):
        return torch.cholesky_solve(b, factor.expand(*batch, *factor.shape[-2:]))
    A = A.expand(*batch, *A.shape[-2:])
    identity = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    safe = torch.linalg.cholesky_ex(torch.where(failed[..., None, None], identity, A))[0]
    found = torch.where(failed[..., None, None], torch.nan, torch.cholesky_solve(b, safe))
    finite = failed & A.isfinite().flatten(-2).all(-1)
    given, shift = given.expand(A.shape), shift.expand(*batch, 1, 1)
    found[finite] = _by_eigenvalues(given[finite], b[finite], shift[finite], inside)
    return found


def inverse_forms(A: torch.Tensor, b: torch.Tensor, shift: torch.Tensor, *, inside: bool = False) -> torch.Tensor:
    """b_j^T (A + shift I)^-1 b_j >= 0 of every column of b, (..., D): half of what ``solve_shifted`` does for them."""
    factor, info = torch.linalg.cholesky_ex(shifted(A, shift))
    if bool((info != 0).any()):
        # Rounding can push a form of zero below it.
        return (b * solve_shifted(A, b, shift, inside=inside)).sum(-2).clamp(min=0)
    return torch.linalg.solve_triangular(factor, b, upper=False).square().sum(-2)


def shifted(A: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """A + shift I, a copy."""
    batch = torch.broadcast_shapes(A.shape[:-2], shift.shape[:-2])
    A = A.expand(*batch, *A.shape[-2:]).clone()
    A.diagonal(dim1=-2, dim2=-1).add_(shift[..., 0])
    return A


def _by_eigenvalues(A: torch.Tensor, b: torch.Tensor, shift: torch.Tensor, inside: bool) -> torch.Tensor:
    """The same where the shift vanishes beside A: what is 0 up to rounding must not be divided by the shift."""
    values, vectors = torch.linalg.eigh(A)
    rounding = A.shape[-1] * torch.finfo(A.dtype).eps
    null = (values.abs() <= rounding * values.abs().amax(-1, keepdim=True))[..., None]
    parts = vectors.mT @ b
    lost = null if inside else null & (parts.abs() <= rounding * parts.abs().amax(-2, keepdim=True))
    return vectors @ torch.where(lost, 0, parts / (torch.where(null, 0, values[..., None]) + shift))
