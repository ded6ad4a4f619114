"""Minimum-norm least squares."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.interpolation import _arguments


def min_norm(features: torch.Tensor, targets: torch.Tensor, *, rcond: float | None = None) -> torch.Tensor:
    """X^+ y: of all minimizers of |X b - y|^2 the shortest, by singular value decomposition.

    With at most as many examples as features and full rank it interpolates; with more it is ordinary least squares.

    Parameters
    ----------
    features
        X (..., n, p), real or complex, of any rank; an X of zeros has the solution 0.
    targets
        Vectors (..., n) if ``targets.ndim == features.ndim - 1``, else (..., n, t). Real ones are brought to the dtype
        of the features, complex ones make the solution complex.
    rcond
        Singular values up to ``rcond`` times the largest count as zero; default max(n, p) times the precision.

    Returns
    -------
    (..., p) or (..., p, t). Differentiable in X where its rank does not change; with ``rcond`` only where, besides, no
    singular values are equal.

    Raises
    ------
    ValueError
        X or y is not finite, X is in half precision or has fewer than two dimensions, the numbers of examples differ, a
        negative rcond.

    Source: Penrose 1956; equation 1 of the review.

    Examples
    --------
    >>> [round(value, 4) for value in min_norm(torch.ones(1, 4), torch.tensor([2.0])).tolist()]
    [0.5, 0.5, 0.5, 0.5]
    """
    x = _arguments.matrix("features", features)
    vector = isinstance(targets, torch.Tensor) and targets.ndim == x.ndim - 1
    if not isinstance(targets, torch.Tensor) or not (vector or targets.ndim == x.ndim):
        got = tuple(targets.shape) if isinstance(targets, torch.Tensor) else type(targets).__name__
        raise ValueError(f"targets must be (..., n) or (..., n, t) to go with features {tuple(x.shape)}, got {got}")
    y = targets[..., None] if vector else targets
    if y.shape[-2] != x.shape[-2]:
        raise ValueError(f"targets must have n = {x.shape[-2]} examples, got shape {tuple(targets.shape)}")
    try:
        torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except RuntimeError:
        raise ValueError(
            f"batch dimensions differ: features {tuple(x.shape)}, targets {tuple(targets.shape)}"
        ) from None
    _arguments.finite("targets", y)
    rounding = max(x.shape[-2:]) * torch.finfo(x.dtype).eps
    level = rounding if rcond is None else _validate.real("rcond", rcond, 0)
    y = y.to(torch.promote_types(x.dtype, y.dtype) if y.dtype.is_complex else x.dtype)
    if rcond is None and x.requires_grad:
        # Its derivative needs no singular vectors, which have none where singular values repeat.
        solution = torch.linalg.pinv(x, rtol=level).to(y.dtype) @ y
    else:
        solution = apply_pseudoinverse(decompose(x, level), y)
    return solution[..., 0] if vector else solution


def decompose(x: torch.Tensor, rcond: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(U, s, V^H) of x; singular values up to rcond times the largest are set to exactly zero."""
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    return u, torch.where(s > rcond * s[..., :1], s, 0.0), vh


def apply_pseudoinverse(parts: tuple[torch.Tensor, torch.Tensor, torch.Tensor], y: torch.Tensor) -> torch.Tensor:
    """X^+ y (..., p, t) from the decomposition of X."""
    u, s, vh = parts
    inverse = torch.where(s > 0, 1 / torch.where(s > 0, s, 1.0), 0.0)
    return vh.mH.to(y.dtype) @ (inverse[..., None] * (u.mH.to(y.dtype) @ y))
