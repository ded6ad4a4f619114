"""What a selection is, how well it matches, and the checks that every selector needs."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from litrepro import _validate

LONG = 4096  # coordinates, from which on a sum over examples is taken row by row


class Coreset(NamedTuple):
    """k distinct examples and their weights.

    Attributes
    ----------
    indices
        (..., k) int64, distinct.
    weights
        (..., k), scaled so that the weighted sum of the chosen gradients stands for the sum over all examples.
    """

    indices: torch.Tensor
    weights: torch.Tensor


def gradient_error(gradients: torch.Tensor, coreset: Coreset, *, target: torch.Tensor | None = None) -> torch.Tensor:
    r"""How far a coreset's gradient is from the target, :math:`\|\sum_j w_j g_{s_j} - b\|`.

    Parameters
    ----------
    gradients
        (..., n, p).
    coreset
        Indices and weights (..., k).
    target
        (..., p); default: the sum of all gradients.

    Returns
    -------
    (...), in the gradients' dtype: the leading dimensions of all three, broadcast.

    Raises
    ------
    ValueError
        Gradients that are not finite, neither float32 nor float64, or of fewer than two dimensions, a coreset that is
        no pair of tensors, shapes that do not fit, indices that are no integers or out of range, weights that are not
        finite.

    Examples
    --------
    >>> everything = Coreset(torch.arange(3), torch.ones(3))
    >>> gradient_error(torch.eye(3), everything).item()
    0.0
    """
    gradients = check_gradients(gradients)
    b = check_target(gradients, target)
    try:
        indices, weights = coreset
    except (TypeError, ValueError):
        raise ValueError(f"coreset must be a pair (indices, weights), got {type(coreset).__name__}") from None
    for name, part in (("indices", indices), ("weights", weights)):
        if not isinstance(part, torch.Tensor):
            raise ValueError(f"{name} must be a torch tensor, got {type(part).__name__}")
    if indices.dtype not in (torch.int64, torch.int32) or not bool(weights.isfinite().all()):
        raise ValueError(f"indices must be integers and weights finite, got {indices.dtype} and {weights.dtype}")
    if indices.shape != weights.shape or indices.ndim < 1 or indices.shape[-1] < 1:
        got = f"{tuple(indices.shape)} and {tuple(weights.shape)}"
        raise ValueError(f"indices and weights must have one shape (..., k), k >= 1, got {got}")
    n, leading = gradients.shape[-2], {"gradients": gradients.shape[:-2], "indices": indices.shape[:-1]}
    _validate.broadcast(**leading, target=b.shape[:-1])
    if bool((indices < 0).any()) or bool((indices >= n).any()):
        raise ValueError(f"indices must lie in 0..{n - 1}, got {int(indices.min())}..{int(indices.max())}")
    chosen = rows_at(gradients, indices)
    # In float64: the difference of two sums over many examples.
    difference = (weights.double()[..., None] * chosen.double()).sum(-2) - b
    return difference.norm(dim=-1).to(gradients.dtype)


def single_or_double(name: str, value: Any) -> torch.Tensor:
    """A tensor (..., n, p) of float32 or float64: sums over many examples ask for more digits than halves have."""
    _validate.float_tensor(name, value, 2)
    if value.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64, got {value.dtype}")
    return value


def check_gradients(gradients: Any) -> torch.Tensor:
    """Finite gradients (..., n, p), n and p at least 1, detached."""
    single_or_double("gradients", gradients)
    if min(gradients.shape[-2:]) < 1:
        raise ValueError(f"gradients must have shape (..., n, p) with n, p >= 1, got {tuple(gradients.shape)}")
    if not all_finite(gradients):
        raise ValueError("gradients must be finite, got NaN or infinity")
    return gradients.detach()


def all_finite(gradients: torch.Tensor) -> bool:
    """Whether no number is NaN or infinite."""
    # One pass without temporaries; whatever is not finite shows in the sum, which in turn may overflow by itself.
    return bool(gradients.detach().sum().isfinite()) or bool(gradients.isfinite().all())


def total(gradients: torch.Tensor) -> torch.Tensor:
    """The sum of all gradients, (..., p) in float64."""
    if gradients.device.type != "cpu" or gradients.shape[-1] < LONG:
        return gradients.sum(-2, dtype=torch.float64)
    # Row by row into a sum that stays in the cache: a reduction that converts takes ten times as long on a CPU.
    found = torch.zeros_like(gradients[..., 0, :], dtype=torch.float64)
    for row in gradients.detach().unbind(-2):
        found += row
    return found


def check_k(k: Any, n: int) -> int:
    """An integer from 1 to n."""
    k = _validate.positive_int("k", k)
    if k > n:
        raise ValueError(f"k must be at most the number of examples {n}, got {k}")
    return k


def check_target(gradients: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
    """The target (..., p) in float64, as given or the sum of all gradients; its leading dimensions broadcast."""
    if target is None:
        return total(gradients)
    _validate.float_tensor("target", target, 1)
    p = gradients.shape[-1]
    if target.shape[-1] != p or not bool(target.isfinite().all()):
        raise ValueError(f"target must be finite with shape {('...', p)}, got {tuple(target.shape)}")
    _validate.broadcast(gradients=gradients.shape[:-2], target=target.shape[:-1])
    return target.detach().to(gradients.device, torch.float64)


def check_generator(generator: Any) -> torch.Generator:
    """A ``torch.Generator`` as it is, a seed as a new one."""
    if generator is None:
        raise ValueError("generator must be a torch.Generator or a seed >= 0, got None")
    return _validate.random_source("generator", generator)


def rows_at(gradients: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """(..., n, p) at (..., k): (..., k, p), with leading dimensions that broadcast."""
    n, p = gradients.shape[-2:]
    if gradients.ndim == 2:  # whole rows at a time
        return gradients.index_select(0, indices.flatten()).view(*indices.shape, p)
    lead = torch.broadcast_shapes(gradients.shape[:-2], indices.shape[:-1])
    return gradients.expand(*lead, n, p).gather(-2, indices.long()[..., None].expand(*lead, indices.shape[-1], p))


def equal_weights(indices: torch.Tensor, n: int, like: torch.Tensor) -> Coreset:
    """Every chosen example stands for n/k."""
    k = indices.shape[-1]
    return Coreset(indices, torch.full(indices.shape, n / k, dtype=like.dtype, device=like.device))
