"""One-layer ReLU networks near their start: the Gram matrix of their gradients, and training with momentum."""

from __future__ import annotations

import math
from typing import Any

import torch

from litrepro import _validate
from litrepro._scaling import length
from litrepro.shallow import _arguments


def relu_gram(X: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """Tangent Gram matrix of the first layer: (1/m) x_i.x_j sum_r 1{w_r.x_i >= 0} 1{w_r.x_j >= 0}.

    Parameters
    ----------
    X
        (..., n, d) inputs, one per row.
    W
        (..., m, d) weights; batches broadcast.

    Returns
    -------
    (..., n, n), positive semidefinite; nan for weights that diverged.

    Raises ``ValueError`` for matrices or batches that do not fit.

    Source: Du et al. 2018 (arXiv 1810.02054), definition 3.1 at finite width.

    Examples
    --------
    >>> import torch
    >>> X, W = torch.eye(2), torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    >>> relu_gram(X, W)  # both neurons see the first input, one the second
    tensor([[1.0000, 0.0000],
            [0.0000, 0.5000]])
    """
    _matrix("X", X)
    _matrix("W", W)
    if X.shape[-1] != W.shape[-1] or X.dtype != W.dtype:
        raise ValueError(f"X (..., n, d) and W (..., m, d) must fit, got {tuple(X.shape)} and {tuple(W.shape)}")
    _validate.broadcast(X=X.shape[:-2], W=W.shape[:-2])
    z = X @ W.mT
    active = torch.where(z.isnan(), z, (z >= 0).to(z.dtype))
    return (X @ X.mT) * (active @ active.mT) / W.shape[-2]


def relu_gram_expected(X: torch.Tensor) -> torch.Tensor:
    """Its mean over w ~ N(0, I): x_i.x_j (pi - angle(x_i, x_j))/(2 pi), (..., n, d) -> (..., n, n).

    Raises ``ValueError`` unless X is a floating-point (..., n, d). A row of zeros has zeros.

    Examples
    --------
    >>> import torch
    >>> relu_gram_expected(torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])).round(decimals=4).abs()
    tensor([[0.5000, 0.5000, 0.0000],
            [0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 0.5000]])
    """
    _matrix("X", X)
    _arguments.decomposable("X", X)
    size = length(X, keepdim=True)
    unit = X / torch.where(size > 0, size, 1.0)
    # Kahan's angle: the arc cosine of a rounded cosine is off by 1e-8 for points that nearly agree.
    mode = "donot_use_mm_for_euclid_dist"
    apart, together = torch.cdist(unit, unit, compute_mode=mode), torch.cdist(unit, -unit, compute_mode=mode)
    angle = 2 * torch.atan2(apart, together)
    return (X @ X.mT) * (math.pi - angle) / (2 * math.pi)


def train_relu_output(
    X: torch.Tensor,
    y: torch.Tensor,
    W0: torch.Tensor,
    signs: torch.Tensor,
    *,
    lr: float | torch.Tensor,
    momentum: float | torch.Tensor,
    steps: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Full-batch heavy ball on the first layer of (1/sqrt m) sum_r a_r relu(w_r.x), loss ||xi||^2/2.

    w_{t+1} = w_t - lr grad + momentum (w_t - w_{t-1}) with w_{-1} = w_0 and relu'(0) = 1; xi is output minus y.

    Parameters
    ----------
    X, y
        (n, d) inputs and (n,) targets.
    W0, signs
        (m, d) first-layer weights and (m,) fixed output signs a.
    lr, momentum
        lr > 0 and momentum >= 0: numbers, or tensors that broadcast to one batch shape B. X, y, W0 and signs may carry
        leading dimensions, which broadcast with it.
    steps
        Number of steps, >= 0.

    Returns
    -------
    Residual norms (steps + 1, *B), those of the start included, and the weights (*B, m, d). A setting that diverges
    becomes inf or nan without disturbing the others.

    Raises ``ValueError`` for shapes or dtypes that do not fit, tensors that are not finite and parameters out of range.

    Source: Wang, Lin and Abernethy 2021 (arXiv 2010.01618), section 3.1; Du et al. 2018.

    Examples
    --------
    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> X, W0 = torch.eye(3, dtype=torch.float64), torch.randn(100, 3, dtype=torch.float64, generator=g)
    >>> y, signs = torch.ones(3).double(), torch.ones(100).double() - 2 * (torch.arange(100) % 2)
    >>> norms, W = train_relu_output(X, y, W0, signs, lr=1.0, momentum=0.0, steps=100)
    >>> norms.shape, bool(norms[-1] < 1e-6 * norms[0])
    (torch.Size([101]), True)
    """
    X, y, W, a = _network(X, y, W0, signs)
    steps = _validate.positive_int("steps", steps, 0)
    batch = [X.shape[:-2], y.shape[:-1], W.shape[:-2], a.shape[:-1]]
    lr, momentum = _parameter("lr", lr, X, zero=False), _parameter("momentum", momentum, X, zero=True)
    try:
        shape = torch.broadcast_shapes(*batch, *(p.shape for p in (lr, momentum)))
    except RuntimeError:
        found = [tuple(s) for s in (*batch, lr.shape, momentum.shape)]
        raise ValueError(f"batches of X, y, W0, signs, lr, momentum must broadcast, got {found}") from None
    lr, momentum = lr[..., None, None], momentum[..., None, None]
    a = a[..., None] / math.sqrt(W.shape[-2])  # (..., m, 1)
    W = W.expand(*shape, *W.shape[-2:]).clone(memory_format=torch.contiguous_format)
    change, rate = torch.zeros_like(W), lr * a
    norms = X.new_empty(steps + 1, *shape)
    for step in range(steps + 1):
        z = W @ X.mT  # (*B, m, n)
        active = z >= 0
        residual = (a.mT @ z.relu_())[..., 0, :] - y
        norms[step] = residual.norm(dim=-1)
        if step == steps:
            break
        gradient = torch.where(active, residual[..., None, :], 0.0) @ X
        W += change.mul_(momentum).addcmul_(rate, gradient, value=-1)
    return norms, W


def _matrix(name: str, value: Any) -> torch.Tensor:
    _validate.float_tensor(name, value, 2)
    if 0 in value.shape[-2:]:
        raise ValueError(f"{name} must be a matrix (..., rows, columns) with entries, got shape {tuple(value.shape)}")
    return value


def _network(X: Any, y: Any, W0: Any, signs: Any) -> tuple[torch.Tensor, ...]:
    """The data and the network, checked against one another; without graphs."""
    _matrix("X", X)
    _matrix("W0", W0)
    _validate.float_tensor("y", y, 1)
    if not isinstance(signs, torch.Tensor) or signs.ndim < 1 or signs.is_complex():
        raise ValueError(f"signs must be a tensor (..., m), got {signs!r:.60}")
    if y.shape[-1] != X.shape[-2]:
        raise ValueError(f"y must be (..., {X.shape[-2]}) for X {tuple(X.shape)}, got {tuple(y.shape)}")
    if W0.shape[-1] != X.shape[-1] or W0.dtype != X.dtype or y.dtype != X.dtype:
        found = f"X {tuple(X.shape)} {X.dtype}, y {y.dtype}, W0 {tuple(W0.shape)} {W0.dtype}"
        raise ValueError(f"X (..., n, d), y and W0 (..., m, d) must fit and have one dtype, got {found}")
    if signs.shape[-1] != W0.shape[-2]:
        raise ValueError(f"signs must be (..., {W0.shape[-2]}), got {tuple(signs.shape)}")
    _validate.finite(X=X, y=y, W0=W0, signs=signs)
    return X.detach(), y.detach(), W0.detach(), signs.detach().to(X)


def _parameter(name: str, value: Any, like: torch.Tensor, *, zero: bool) -> torch.Tensor:
    """A number or a tensor of numbers, positive or >= 0, in the dtype of ``like``."""
    if not isinstance(value, torch.Tensor):
        value = torch.tensor(_validate.real(name, value, 0, open_low=not zero), dtype=like.dtype, device=like.device)
    elif value.is_complex() or value.dtype == torch.bool:
        raise ValueError(f"{name} must be real, got {value.dtype}")
    value = value.detach().to(like)
    if not bool((torch.isfinite(value) & ((value >= 0) if zero else (value > 0))).all()):
        raise ValueError(f"{name} must be finite and {'>= 0' if zero else '> 0'} everywhere, got {value}")
    return value
