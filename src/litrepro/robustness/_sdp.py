"""The semidefinite certificate of two-layer networks (Raghunathan, Steinhardt and Liang 2018).

The l1 norm of the gradient of f = v . relu(W x) is at most max over s in [0, 1]^m, t in [-1, 1]^d of
t' W' diag(v) s = max over y = (1, t, s) in {-1, 1} of y' M y / 4, which a semidefinite program bounds from above; every
point c of its dual is a certificate.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._intervals import class_labels, input_box
from litrepro.robustness._layers import Layers, affine_layers, run
from litrepro.solvers._lanczos import extreme_pair

CHECK_EVERY = 25  # sweeps between two looks at the dual value


class SDPBound(NamedTuple):
    """``bound (...)``, a certified upper bound of the gradient's l1 norm, and its dual point ``c (..., 1+d+m)``.

    Examples
    --------
    >>> import torch
    >>> found = sdp_gradient_bound(torch.ones(1), torch.ones(1, 1))
    >>> round(found.bound.item(), 4), found.c.shape
    (1.0, torch.Size([3]))
    """

    bound: torch.Tensor
    c: torch.Tensor


class Eigenpair(NamedTuple):
    """``value (...)`` and unit ``vector (..., n)``.

    Examples
    --------
    >>> import torch
    >>> value, vector = lanczos_max(torch.diag(torch.tensor([1.0, 3.0, 2.0])))
    >>> round(value.item(), 4), vector.abs().round(decimals=4)
    (3.0, tensor([0., 1., 0.]))
    """

    value: torch.Tensor
    vector: torch.Tensor


def _check(v: torch.Tensor, W: torch.Tensor) -> None:
    _validate.decomposable("v", v, 1)
    _validate.decomposable("W", W, 2)
    if v.shape[-1] != W.shape[-2]:
        raise ValueError(f"v (..., m) and W (..., m, d) must agree, got {tuple(v.shape)} and {tuple(W.shape)}")
    try:
        torch.broadcast_shapes(v.shape[:-1], W.shape[:-2])
    except RuntimeError as error:
        raise ValueError(f"batch shapes {tuple(v.shape[:-1])} and {tuple(W.shape[:-2])} do not broadcast") from error


def gradient_sdp_matrix(v: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """The matrix M of the certificate, for y = (1, t, s).

    Parameters
    ----------
    v, W
        (..., m) and (..., m, d), output weights (of one class minus another) and first layer.

    Returns
    -------
    (..., 1+d+m, 1+d+m), symmetric, zero but for the blocks (1, t) = (W' v)' and (t, s) = W' diag(v); differentiable.
    The linear term belongs to t: a review that pairs the constant with s gets an invalid bound.

    Raises
    ------
    ValueError
        Shapes that do not agree.

    Examples
    --------
    >>> import torch
    >>> gradient_sdp_matrix(torch.tensor([2.0]), torch.tensor([[3.0]]))
    tensor([[0., 6., 0.],
            [6., 0., 6.],
            [0., 6., 0.]])
    """
    _check(v, W)
    rows = _coupling(v, W)
    m, d = W.shape[-2:]
    M = rows.new_zeros(*rows.shape[:-2], 1 + d + m, 1 + d + m)
    M[..., :1, 1 : 1 + d] = rows[..., :1, :]
    M[..., 1 + d :, 1 : 1 + d] = rows[..., 1:, :]
    return M + M.mT


def _coupling(v: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """What (1, s) and t couple by, (..., 1+m, d): W' v on top, diag(v) W below."""
    scaled = v[..., None] * W
    return torch.cat([scaled.sum(-2, keepdim=True), scaled], -2)


def sdp_dual_value(v: torch.Tensor, W: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """The certificate of a dual point: (1' max(c, 0) + (1+d+m) max(lambda_max(M - diag c), 0)) / 4.

    Parameters
    ----------
    v, W, c
        (..., m), (..., m, d) and (..., 1+d+m); any c is a certificate.

    Returns
    -------
    (...), an upper bound of max t' W' diag(v) s; differentiable in all three.

    Raises
    ------
    ValueError
        Shapes that do not agree.

    Examples
    --------
    >>> import torch
    >>> v, W = torch.ones(1), torch.ones(1, 1)
    >>> round(sdp_dual_value(v, W, torch.tensor([1.0, 2.0, 1.0])).item(), 4)  # the maximum is 1
    1.0
    """
    _check(v, W)
    _validate.decomposable("c", c, 1)
    size = 1 + sum(W.shape[-2:])
    if c.shape[-1] != size:
        raise ValueError(f"c must be (..., {size}), got {tuple(c.shape)}")
    try:
        torch.broadcast_shapes(v.shape[:-1], W.shape[:-2], c.shape[:-1])
    except RuntimeError as error:
        raise ValueError(f"batch shape {tuple(c.shape[:-1])} of c does not broadcast with those of v and W") from error
    M = gradient_sdp_matrix(v, W)
    # An eigenvalue from a few Lanczos steps lies below the largest one: it would not certify.
    top = torch.linalg.eigvalsh(M - torch.diag_embed(c))[..., -1]
    return (c.clamp(min=0).sum(-1) + size * top.clamp(min=0)) / 4


def sdp_gradient_bound(v: torch.Tensor, W: torch.Tensor, *, steps: int = 500, lr: float | None = None) -> SDPBound:
    """An upper bound of the gradient's l1 norm over all inputs, from the semidefinite relaxation.

    Parameters
    ----------
    v, W
        (..., m) and (..., m, d).
    steps
        Iterations.
    lr
        None: alternating maximization of the low-rank primal, which has no step size; M couples (1, s) with t only,
        so that each half is one product and a normalization, and the multipliers of the unit lengths are the dual
        point. A number: Adam on c itself with this first step, from Gershgorin's c, as the review describes.

    Returns
    -------
    SDPBound
        ``bound`` equals ``sdp_dual_value(v, W, c)`` and is never above Gershgorin's, which is at most
        sum_i |v_i| ||W_i||_1. Detached. Without ``lr`` only what leaves the dtype's range is lost, as inf or 0.

    Raises
    ------
    ValueError
        Shapes that do not agree, weights that are not float32 or float64 or not finite, steps < 1, lr <= 0; with
        ``lr`` also products of v and W that are not finite.

    Examples
    --------
    >>> import torch
    >>> round(sdp_gradient_bound(torch.ones(1), torch.ones(1, 1)).bound.item(), 4)
    1.0
    """
    _check(v, W)
    steps = _validate.positive_int("steps", steps)
    lr = None if lr is None else _validate.real("lr", lr, 0, open_low=True)
    v, W = v.detach(), W.detach()
    scales = ()
    if lr is None:  # a step size has units; the products of lengths that replace it leave the range of numbers
        scales = binary_scale(v, -1), binary_scale(W.flatten(-2), -1)
        v, W = v / scales[0], W / scales[1][..., None]
    start = gradient_sdp_matrix(v, W).abs().sum(-1)
    _validate.finite(**{"the products of v and W": start})
    best = SDPBound(sdp_dual_value(v, W, start), start)
    if lr is not None:
        return _subgradient(v, W, steps, lr, best)
    bound, c = _low_rank(v, W, steps, best)
    for scale in scales:
        bound, c = bound * scale[..., 0], c * scale
    return SDPBound(bound, c)


def _keep(best: SDPBound, bound: torch.Tensor, c: torch.Tensor) -> SDPBound:
    better = bound < best.bound
    return SDPBound(torch.where(better, bound, best.bound), torch.where(better[..., None], c, best.c))


@torch.no_grad()
def _low_rank(v: torch.Tensor, W: torch.Tensor, steps: int, best: SDPBound) -> SDPBound:
    rows = _coupling(v, W)
    m, d = W.shape[-2:]
    rank = min(1 + d + m, int((2 * (1 + d + m)) ** 0.5) + 2)
    generator = torch.Generator().manual_seed(0)
    sides = torch.randn(1 + m, rank, generator=generator, dtype=rows.dtype, device=generator.device).to(rows.device)
    sides = torch.nn.functional.normalize(sides, dim=-1).expand(*rows.shape[:-2], -1, -1)
    tiny = torch.finfo(rows.dtype).tiny
    for step in range(1, steps + 1):
        pulled = rows.mT @ sides
        across = pulled / pulled.norm(dim=-1, keepdim=True).clamp(min=tiny)
        pushed = rows @ across
        sides = pushed / pushed.norm(dim=-1, keepdim=True).clamp(min=tiny)
        if step % CHECK_EVERY == 0 or step == steps:
            lengths, reach = pushed.norm(dim=-1), (rows.mT @ sides).norm(dim=-1)
            c = torch.cat([lengths[..., :1], reach, lengths[..., 1:]], -1)
            best = _keep(best, *_tightened(v, W, c))
    return best


def _tightened(v: torch.Tensor, W: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Move c up by the largest eigenvalue, which leaves the value as it is and makes the point feasible."""
    M = gradient_sdp_matrix(v, W)
    top = torch.linalg.eigvalsh(M - torch.diag_embed(c))[..., -1:]
    c = (c + top).clamp(min=0)
    return sdp_dual_value(v, W, c), c


def _subgradient(v: torch.Tensor, W: torch.Tensor, steps: int, lr: float, best: SDPBound) -> SDPBound:
    if torch.is_inference_mode_enabled():  # where no tensor has a gradient, not even a copy
        with torch.inference_mode(False):
            return _subgradient(v.clone(), W.clone(), steps, lr, SDPBound(best.bound.clone(), best.c.clone()))
    c = best.c.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([c], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        with torch.enable_grad():
            values = sdp_dual_value(v, W, c)
            (c.grad,) = torch.autograd.grad(values.sum(), c)
        best = _keep(best, values.detach(), c.detach().clone())
        optimizer.step()
        schedule.step()
    best = _keep(best, sdp_dual_value(v, W, c.detach()), c.detach())
    # Eigenvalues that will be differentiated come from another routine, which rounds otherwise.
    return SDPBound(sdp_dual_value(v, W, best.c), best.c)


def lanczos_max(A: torch.Tensor, *, steps: int = 60, generator: torch.Generator | int | None = None) -> Eigenpair:
    """Largest eigenpair of symmetric matrices by Lanczos with full reorthogonalization.

    Parameters
    ----------
    A
        (..., n, n), symmetric.
    steps
        At most min(steps, n) Lanczos steps.
    generator
        For the start vectors, or a seed; None means seed 0.

    Returns
    -------
    Eigenpair
        The value is a Rayleigh quotient, so that its gradient in A is u u'. A thin wrapper of
        ``solvers.lanczos_extreme``.

    Raises
    ------
    ValueError
        A that is not square, float32 or float64, finite, or symmetric to half the digits of its dtype, steps < 1, a
        generator that is none.

    Examples
    --------
    >>> import torch
    >>> round(lanczos_max(torch.diag(torch.tensor([1.0, 3.0, 2.0]))).value.item(), 4)
    3.0
    """
    _validate.decomposable("A", A)
    if A.shape[-1] != A.shape[-2]:
        raise ValueError(f"A must be (..., n, n), got {tuple(A.shape)}")
    if A.numel():
        gap, size = (B.detach().abs().amax((-2, -1)) for B in (A - A.mT, A))
        if bool((gap > torch.finfo(A.dtype).eps ** 0.5 * size).any()):
            raise ValueError(
                f"A must be symmetric, got entries that differ from their mirror by {float(gap.max()):.3g}"
            )
    generator = _validate.random_source("generator", generator)
    start = torch.randn(A.shape[:-1], generator=generator, dtype=A.dtype, device=generator.device).to(A.device)
    with torch.no_grad():
        found = extreme_pair(lambda u: (A @ u[..., None])[..., 0], start, steps=steps, which="max")
    value = torch.einsum("...i,...ij,...j->...", found.vector, A, found.vector)
    return Eigenpair(value, found.vector)


def sdp_margins(
    layers: Layers | nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    bounds: torch.Tensor | None = None,
    steps: int = 500,
) -> torch.Tensor:
    """Lower bounds f_y - f_j - eps B[y, j] over the l_inf ball (no box), with B the certified gradient norms.

    Parameters
    ----------
    layers
        A network with one hidden layer.
    x, y, eps
        (n, *shape), labels (n,), a number or (n,).
    bounds
        B (K, K), symmetric with zero diagonal, to be used again; None: computed for all pairs as one batch.
    steps
        Of ``sdp_gradient_bound``.

    Returns
    -------
    (n, K) float64, detached, 0 at j = y.

    Raises
    ------
    ValueError
        Not exactly two affine layers, weights that are not finite, a feature size that does not fit, bounds of another
        shape, not finite, negative, not symmetric or not 0 on the diagonal, eps < 0.

    Examples
    --------
    >>> import torch
    >>> layers = [(torch.eye(2), torch.zeros(2)), (torch.eye(2), torch.zeros(2))]
    >>> sdp_margins(layers, torch.tensor([[0.75, 0.25]]), torch.tensor([0]), 0.125).round(decimals=4)
    tensor([[0.0000, 0.2500]], dtype=torch.float64)
    """
    layers = [(w.detach().double(), b.detach().double()) for w, b in affine_layers(layers)]
    if len(layers) != 2:
        raise ValueError(f"the certificate is for two affine layers, got {len(layers)}")
    (W, _), (V, _) = layers
    x, _ = input_box(layers, x, 0.0, None)
    y, eps = class_labels(y, x, layers), arguments.radius(eps, x)
    classes = len(V)
    if bounds is None:
        bounds = pair_bounds(W, V, steps)
    else:
        _validate.float_tensor("bounds", bounds)
        if bounds.shape != (classes, classes):
            raise ValueError(f"bounds must be ({classes}, {classes}), got {tuple(bounds.shape)}")
        _validate.finite(bounds=bounds)
        if bool((bounds < 0).any()) or bool(bounds.diagonal().any()) or not torch.equal(bounds, bounds.mT):
            raise ValueError("bounds must be symmetric, >= 0, and 0 on the diagonal")
    logits = run(layers, x)
    return logits.gather(1, y[:, None]) - logits - eps[:, None] * bounds.to(logits)[y]


def pair_bounds(W: torch.Tensor, V: torch.Tensor, steps: int) -> torch.Tensor:
    """Gradient bounds of all pairs of classes of f(x) = V relu(W x + b), as ``sdp_margins`` takes them.

    ``W (m, d)`` and ``V (K, m)``; returns B (K, K), symmetric with zero diagonal, B[i, j] the bound of
    ``sdp_gradient_bound(V_i - V_j, W, steps=steps)``, all pairs as one batch. Raises ``ValueError`` as that does.

    Examples
    --------
    >>> import torch
    >>> pair_bounds(torch.eye(2), torch.eye(2), 100).round(decimals=3)
    tensor([[0., 2.],
            [2., 0.]])
    """
    _validate.float_tensor("V", V, 2), _validate.float_tensor("W", W, 2)
    _validate.same_kind(W=W, V=V)
    if V.ndim != 2 or W.ndim != 2 or V.shape[1] != W.shape[0]:
        raise ValueError(f"W and V must be (m, d) and (K, m), got {tuple(W.shape)} and {tuple(V.shape)}")
    first, second = torch.triu_indices(len(V), len(V), 1, device=V.device)
    found = sdp_gradient_bound(V[first] - V[second], W, steps=steps).bound
    bounds = V.new_zeros(len(V), len(V))
    bounds[first, second] = found
    return bounds + bounds.mT
