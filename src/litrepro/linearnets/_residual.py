"""Linear residual networks (I + A_L) ... (I + A_1): product, excess risk, gradient, and what bounds it from below."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments, _batch_last


def residual_product(blocks: torch.Tensor) -> torch.Tensor:
    """The end-to-end matrix (I + A_L) ... (I + A_1).

    Parameters
    ----------
    blocks
        (..., L, d, d): A_1 first.

    Returns
    -------
    (..., d, d).

    Raises
    ------
    ValueError
        Fewer than three dimensions, no blocks, blocks that are not square.

    Source: Hardt and Ma, arXiv:1611.04231, section 2.

    Examples
    --------
    >>> import torch
    >>> residual_product(torch.tensor([[[1.0]], [[2.0]]]))  # (1 + 2) (1 + 1)
    tensor([[6.]])
    """
    return prefix_products(with_identity(check_blocks(blocks)))[-1]


def residual_risk(blocks: torch.Tensor, target: torch.Tensor, covariance: torch.Tensor | None = None) -> torch.Tensor:
    """Excess risk tr((P - R) Sigma (P - R)^T) of the product P, over the risk of the target R.

    With y = R x + noise and E x x^T = Sigma this is E|Px - y|^2 minus its minimum.

    Parameters
    ----------
    blocks, target, covariance
        (..., L, d, d), (..., d, d), and (..., d, d) symmetric positive semidefinite (None: the identity); batch
        dimensions broadcast.

    Returns
    -------
    (...).

    Raises
    ------
    ValueError
        Shapes or dtypes that do not fit, a covariance that is not symmetric.

    Source: Hardt and Ma, arXiv:1611.04231, equation 2.2 and lemma 2.4.

    Examples
    --------
    >>> import torch
    >>> residual_risk(torch.zeros(3, 2, 2), torch.tensor([[2.0, 0.0], [0.0, 1.0]]))  # |I - R|^2
    tensor(1.)
    """
    check_problem(blocks, target, covariance)
    error = residual_product(blocks) - target
    return ((error if covariance is None else error @ covariance) * error).sum((-2, -1))


def residual_gradient(
    blocks: torch.Tensor, target: torch.Tensor, covariance: torch.Tensor | None = None
) -> torch.Tensor:
    """Gradient of ``residual_risk`` by all blocks, in closed form and O(L) products.

    Block i: 2 (I + A_{i+1})^T ... (I + A_L)^T (P - R) Sigma (I + A_1)^T ... (I + A_{i-1})^T.

    Parameters and errors as ``residual_risk``; returns the shape of ``blocks``, batch dimensions broadcast.

    Source: Hardt and Ma, arXiv:1611.04231, lemma 2.4.

    Examples
    --------
    >>> import torch
    >>> residual_gradient(torch.zeros(2, 1, 1), torch.tensor([[3.0]])).flatten()  # 2 (1 - 3) for both blocks
    tensor([-4., -4.])
    """
    check_problem(blocks, target, covariance)
    factors = with_identity(blocks)
    others = [target] if covariance is None else [target, covariance]
    batch = torch.broadcast_shapes(blocks.shape[:-3], *(value.shape[:-2] for value in others))
    if _batch_last.pays(blocks, batch) and not any(value.requires_grad for value in (blocks, *others)):
        return _batch_last.gradient(factors, target, covariance, batch)
    prefix = prefix_products(factors)
    error = 2 * (prefix[-1] - target)
    return chain_gradient(factors, prefix, error if covariance is None else error @ covariance)


def gradient_lower_bound(
    blocks: torch.Tensor, target: torch.Tensor, covariance: torch.Tensor | None = None
) -> torch.Tensor:
    """What |gradient|^2 cannot be below: 4 L (1 - tau)^(2L - 2) sigma_min(Sigma) risk, tau = max_i |A_i|_2.

    0 where tau >= 1, and nothing can be said; nan for a trial that is not finite. Parameters and errors as
    ``residual_risk``, in float32 or float64, and a ``ValueError`` for a negative eigenvalue of Sigma; returns (...).

    Source: Hardt and Ma, arXiv:1611.04231, theorem 2.2 (with the first power of sigma_min).

    Examples
    --------
    >>> import torch
    >>> blocks, target = torch.full((2, 1, 1), 0.25), torch.tensor([[2.0]])
    >>> bound, gradient = gradient_lower_bound(blocks, target), residual_gradient(blocks, target)
    >>> bool(gradient.square().sum() >= bound), bool(bound > 0)
    (True, True)
    """
    risk = residual_risk(_arguments.decomposed("blocks", blocks), target, covariance)
    depth = blocks.shape[-3]
    safe, finite = _arguments.split_finite(blocks)
    known = finite[..., 0, 0].all(-1)
    tau = torch.linalg.matrix_norm(safe, ord=2).amax(-1)
    smallest = 1.0
    if covariance is not None:
        safe, finite = _arguments.split_finite(covariance)
        _check_semidefinite(safe)
        smallest, known = torch.linalg.svdvals(safe)[..., -1], known & finite[..., 0, 0]
    bound = 4 * depth * (1 - tau).clamp(min=0) ** (2 * depth - 2) * smallest * risk * (tau < 1)
    return torch.where(known, bound, torch.nan)


def _slack(covariance: torch.Tensor) -> torch.Tensor:
    """(...): how far from a covariance the rounding of whoever made it may lead."""
    return covariance.abs().amax((-2, -1)) * covariance.shape[-1] * torch.finfo(covariance.dtype).eps ** 0.5


def _check_semidefinite(covariance: torch.Tensor) -> None:
    lowest = torch.linalg.eigvalsh((covariance + covariance.mT) / 2)[..., 0]
    if bool((lowest < -_slack(covariance)).any()):
        raise ValueError(f"covariance must be positive semidefinite, got the eigenvalue {lowest.min():.3g}")


def prefix_products(factors: torch.Tensor) -> list[torch.Tensor]:
    """From factors (..., L, d, d): F_1, F_2 F_1, ..., F_L ... F_1."""
    first, *others = factors.unbind(-3)
    products = [first]
    for factor in others:
        products.append(factor @ products[-1])
    return products


def chain_gradient(factors: torch.Tensor, prefix: list[torch.Tensor], outer: torch.Tensor) -> torch.Tensor:
    """Gradient by every factor where that by the product is ``outer (..., d, d)``; (..., L, d, d).

    Backpropagation by hand: what arrives at factor i is F_{i+1}^T ... F_L^T outer, to be multiplied by the transposed
    product below.
    """
    batch = torch.broadcast_shapes(outer.shape[:-2], factors.shape[:-3])
    arriving = [outer.expand(*batch, *outer.shape[-2:])]
    for factor in reversed(factors.unbind(-3)[1:]):
        arriving.append(factor.mT @ arriving[-1])
    if len(arriving) == 1:
        return arriving[0].unsqueeze(-3)
    above = torch.stack(arriving[-2::-1], -3) @ torch.stack(prefix[:-1], -3).mT
    return torch.cat([arriving[-1].unsqueeze(-3), above], -3)


def with_identity(blocks: torch.Tensor) -> torch.Tensor:
    """I + A_i."""
    return blocks + torch.eye(blocks.shape[-1], dtype=blocks.dtype, device=blocks.device)


def check_blocks(blocks: torch.Tensor) -> torch.Tensor:
    """Floating point (..., L, d, d) with L, d >= 1."""
    _validate.float_tensor("blocks", blocks, 3)
    if blocks.shape[-1] != blocks.shape[-2] or 0 in blocks.shape[-3:]:
        raise ValueError(f"blocks must have shape (..., L, d, d) with L, d >= 1, got {tuple(blocks.shape)}")
    return blocks


def check_problem(blocks: torch.Tensor, target: torch.Tensor, covariance: torch.Tensor | None) -> None:
    """Blocks, target and covariance must fit."""
    check_blocks(blocks)
    size, batches = tuple(blocks.shape[-2:]), [blocks.shape[:-3]]
    named = [("target", target)] + ([] if covariance is None else [("covariance", covariance)])
    for name, value in named:
        _validate.float_tensor(name, value, 2)
        if tuple(value.shape[-2:]) != size or value.dtype != blocks.dtype:
            expected = f"(..., {size[0]}, {size[1]}) and dtype {blocks.dtype}"
            raise ValueError(f"{name} must have shape {expected}, got {tuple(value.shape)} and {value.dtype}")
        _validate.same_kind(**{"blocks": blocks, name: value})
        batches.append(value.shape[:-2])
    try:
        torch.broadcast_shapes(*batches)
    except RuntimeError:
        raise ValueError(f"batch dimensions must broadcast, got {[tuple(batch) for batch in batches]}") from None
    if covariance is not None:
        sides = covariance.detach(), covariance.detach().mT
        differ = (sides[0] - sides[1]).abs().amax((-2, -1))  # nan in a trial that is not finite, which may pass
        if _validate.known((differ > _slack(sides[0])).any()):
            raise ValueError("covariance must be symmetric, got one that differs from its transpose")
