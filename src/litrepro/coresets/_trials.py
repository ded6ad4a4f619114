"""Two measurements that several notebooks make: variance of importance sampling, correlation of ranks."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.coresets._coreset import check_gradients


def importance_variance(gradients: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Mean and total variance of the importance-sampled gradient, exactly.

    Example i is drawn with probability :math:`p_i \propto` its score, and its gradient weighted by :math:`1/(n p_i)`.

    Parameters
    ----------
    gradients
        (..., n, p).
    scores
        (..., n), >= 0; positive wherever the gradient is not zero.

    Returns
    -------
    mean (..., p), which is the mean gradient, and the trace of the covariance (...).

    Raises
    ------
    ValueError
        Gradients that are not finite, scores of another shape, not finite, negative, all zero, or zero for a
        gradient that is not.

    Notes
    -----
    The variance is least for scores proportional to the gradients' norms (Katharopoulos and Fleuret 2018, section 3).

    Examples
    --------
    >>> g = torch.tensor([[1.0], [3.0]])
    >>> [round(v.item(), 3) for v in importance_variance(g, torch.ones(2))]
    [2.0, 1.0]
    >>> [round(v.item(), 3) for v in importance_variance(g, g[:, 0])]
    [2.0, 0.0]
    """
    gradients = check_gradients(gradients)
    _validate.float_tensor("scores", scores, 1)
    if scores.shape != gradients.shape[:-1] or not bool(((scores >= 0) & scores.isfinite()).all()):
        raise ValueError(
            f"scores must be finite and >= 0 with shape {tuple(gradients.shape[:-1])}, got {tuple(scores.shape)}"
        )
    g = gradients.double()
    squares = g.square().sum(-1)
    if not bool((scores.sum(-1) > 0).all()):
        raise ValueError("scores must not all be 0")
    if bool(((scores == 0) & (squares > 0)).any()):
        raise ValueError("scores must be positive where the gradient is not zero")
    p = scores.double() / scores.double().sum(-1, keepdim=True)
    n = g.shape[-2]
    step = torch.where(p > 0, 1 / (n * p.clamp_min(1e-300)), 0.0)
    mean = (g * (p * step)[..., None]).sum(-2)
    second = (squares * p * step.square()).sum(-1)
    return mean.to(gradients), (second - mean.square().sum(-1)).clamp_min(0).to(gradients)


def rank_correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Spearman's correlation along the last dimension, ties with their mean rank.

    Parameters
    ----------
    a, b
        (..., n), of one shape, n >= 2.

    Returns
    -------
    (...), float64; NaN where one side is constant.

    Raises
    ------
    ValueError
        Shapes that differ, fewer than two values, values that are not finite.

    Examples
    --------
    >>> round(rank_correlation(torch.tensor([1.0, 2.0, 30.0]), torch.tensor([0.1, 0.2, 0.3])).item(), 6)
    1.0
    """
    for name, value in (("a", a), ("b", b)):
        if not isinstance(value, torch.Tensor) or value.is_complex():
            got = getattr(value, "dtype", type(value).__name__)
            raise ValueError(f"{name} must be a real torch tensor, got {got}")
    if a.shape != b.shape or a.ndim < 1 or a.shape[-1] < 2:
        raise ValueError(f"a and b must have one shape (..., n), n >= 2; got {tuple(a.shape)} and {tuple(b.shape)}")
    if not (bool(a.isfinite().all()) and bool(b.isfinite().all())):
        raise ValueError("a and b must be finite")
    x, y = (_ranks(v) - (v.shape[-1] - 1) / 2 for v in (a, b))
    scale = x.square().sum(-1).sqrt() * y.square().sum(-1).sqrt()
    return ((x * y).sum(-1) / scale).clamp(-1, 1)


def _ranks(values: torch.Tensor) -> torch.Tensor:
    """Ranks from 0; equal values share the mean of theirs."""
    ordered = values.sort(-1).values.contiguous()
    values = values.contiguous()
    below = torch.searchsorted(ordered, values)
    through = torch.searchsorted(ordered, values, right=True)
    return (below + through - 1).double() / 2
