"""GLISTER: the objective as the review reduces it, and the online greedy of its authors."""

from __future__ import annotations

from collections.abc import Callable

import torch

from litrepro._scaling import binary_scale
from litrepro.coresets._coreset import Coreset, check_gradients, check_k, check_target, equal_weights


def glister(
    gradients: torch.Tensor,
    k: int,
    *,
    target: torch.Tensor | None = None,
    refresh: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Coreset:
    r"""GLISTER: examples on which one step lowers the loss of all.

    Without ``refresh`` this is the review's first-order objective :math:`\sum_{j\in S} \langle g_j, b\rangle`. It is
    modular: greedy is a sort, and the k largest inner products are its exact optimum, however alike they are.

    Parameters
    ----------
    gradients
        (..., n, p); (n, p) with ``refresh``.
    k
        1..n.
    target
        b (..., p), whose leading dimensions broadcast with those of the gradients; default: the sum of all gradients.
    refresh
        ``refresh(chosen (m,) int64) -> (p,)``, the outer gradient after a step on the examples chosen so far: the
        online greedy, which replaces the target after every choice. See ``last_layer_refresh``.

    Returns
    -------
    Coreset with weights n/k, in the order of selection, for every problem and target.

    Raises
    ------
    ValueError
        Gradients that are not finite, neither float32 nor float64, or of fewer than two dimensions, k outside 1..n, a
        target of another shape, several problems or targets with ``refresh``, a ``refresh`` that is no function, a
        refreshed target that is not finite or of another shape.

    Notes
    -----
    Source: Killamsetty et al., arXiv:2012.10630, equation 5 and algorithm 1.

    Examples
    --------
    >>> glister(torch.tensor([[1.0], [3.0], [2.0]]), 2).indices.tolist()
    [1, 2]
    """
    gradients = check_gradients(gradients)
    n = gradients.shape[-2]
    k, b = check_k(k, n), check_target(gradients, target)
    if refresh is None:
        scores = (_scaled(gradients) @ _direction(b, gradients)[..., None])[..., 0]
        return equal_weights(scores.topk(k).indices, n, gradients)
    if not callable(refresh):
        raise ValueError(f"refresh must be a function of the chosen examples, got {refresh!r}")
    if gradients.ndim != 2 or b.ndim != 1:
        got = f"{tuple(gradients.shape)} and {tuple(b.shape)}"
        raise ValueError(f"refresh needs one problem, gradients (n, p) and a target (p,); got {got}")
    return equal_weights(online_greedy(gradients, k, b, refresh), n, gradients)


def online_greedy(
    gradients: torch.Tensor,
    k: int,
    target: torch.Tensor,
    refresh: Callable[[torch.Tensor], torch.Tensor],
    labels: torch.Tensor | None = None,
    quotas: torch.Tensor | None = None,
) -> torch.Tensor:
    """k examples (k,), the target renewed after each; of class c (labels (n,)) at most quotas[c]."""
    gradients = _scaled(gradients)
    closed = torch.zeros(len(gradients), dtype=torch.bool, device=gradients.device)
    left = None if quotas is None else quotas.tolist()
    chosen: list[int] = []
    for step in range(k):
        best = int((gradients @ _direction(target, gradients)).masked_fill(closed, -torch.inf).argmax())
        chosen.append(best)
        closed[best] = True
        if left is not None:
            label = int(labels[best])
            left[label] -= 1
            if left[label] == 0:
                closed |= labels == label
        if step + 1 < k:
            target = refresh(torch.tensor(chosen, device=gradients.device))
            if getattr(target, "shape", None) != gradients.shape[1:] or not bool(target.isfinite().all()):
                expected, got = tuple(gradients.shape[1:]), getattr(target, "shape", type(target).__name__)
                raise ValueError(f"refresh must return a finite tensor of shape {expected}, got {got}")
            target = target.detach()
    return torch.tensor(chosen, device=gradients.device)


def _scaled(gradients: torch.Tensor) -> torch.Tensor:
    """Every problem (..., n, p) over a power of two: products neither vanish nor overflow, and compare as before."""
    return gradients / binary_scale(gradients.flatten(-2), -1)[..., None]


def _direction(target: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """The target likewise, in the dtype of the gradients."""
    return (target / binary_scale(target, -1)).to(gradients)
