"""Frank-Wolfe on networks of infinite width: the atoms are single ReLU neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro.convexnets import _arguments
from litrepro.solvers import project_l1_ball


class Vertex(NamedTuple):
    """A neuron theta (..., d) of the unit ball and the sign (...) of its inner product with the gradient."""

    theta: Tensor
    sign: Tensor


class FrankWolfe(NamedTuple):
    """theta (..., T, d), weights (..., T), prediction (..., n), loss and gap (..., T)."""

    theta: Tensor
    weights: Tensor
    prediction: Tensor
    loss: Tensor
    gap: Tensor


Oracle = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def project_gamma1(y: Tensor, delta: float | Tensor) -> Tensor:
    """The exact projection of ``y (..., n)`` on {z: ||z_+|| + ||z_-|| <= delta}, the variation ball of whitened data.

    Positive and negative part keep their directions, their norms are projected on an l1 ball. ``delta (...)`` >= 0.
    Raises ``ValueError`` for a negative delta, y that is not finite or batch shapes that do not broadcast.

    Examples
    --------
    >>> import torch
    >>> project_gamma1(torch.tensor([3.0, -4.0]), 5.0).tolist()
    [2.0, -3.0]
    """
    y = _validate.float_tensor("y", y, 1)
    dtype, y = y.dtype, _arguments.double("y", y, 1)
    delta = _arguments.positive("delta", delta, y, zero=True)
    y = y.expand(*_validate.broadcast(y=y.shape[:-1], delta=delta.shape), y.shape[-1])
    scale = binary_scale(y, -1)
    y, delta = y / scale, delta / scale[..., 0]
    norms = torch.stack([y.clamp(min=0).norm(dim=-1), y.clamp(max=0).norm(dim=-1)], -1)
    factor = project_l1_ball(norms, delta) / torch.where(norms > 0, norms, 1.0)
    projected = (y.clamp(min=0) * factor[..., :1] + y.clamp(max=0) * factor[..., 1:]) * scale
    return projected.to(dtype if dtype == torch.float32 else torch.float64)


def relu_lmo_whitened(A: Tensor, g: Tensor) -> Vertex:
    """The neuron that maximizes |sum_i g_i (a_i.theta)_+| over the unit ball, in closed form for A A' = I.

    theta = A'u / ||A'u|| with u the longer of g_+ and g_-; the maximum is its norm (d'Aspremont and Pilanci 2020).
    ``A (..., n, d)``, ``g (..., n)``; for g = 0 any unit vector. Raises ``ValueError`` for shapes that do not fit and
    data that are not whitened.

    Examples
    --------
    >>> import torch
    >>> relu_lmo_whitened(torch.eye(2), torch.tensor([1.0, -2.0])).theta.tolist()
    [0.0, 1.0]
    """
    precision = getattr(A, "dtype", None)
    A, g = _arguments.data(A, g, names=("A", "g"))
    _whitened(A, precision)
    return _whitened_vertex(A, g / binary_scale(g, -1))


def _whitened(A: Tensor, precision: torch.dtype) -> None:
    """A ValueError unless A A' = I up to the rounding of the precision in which A was given."""
    if not A.numel():  # an empty batch
        return
    eye = torch.eye(A.shape[-2], dtype=A.dtype, device=A.device)
    error = (A @ A.mT - eye).abs().max().item()
    if error > max(1e-6, 100 * torch.finfo(precision).eps):
        raise ValueError(f"A must be whitened, A A' = I; got a deviation of {error:.2g} (pass lmo for other data)")


def _whitened_vertex(A: Tensor, g: Tensor) -> Vertex:
    plus, minus = g.clamp(min=0), (-g).clamp(min=0)
    positive = plus.norm(dim=-1) >= minus.norm(dim=-1)
    u = torch.where(positive[..., None], plus, minus)
    u = torch.where((u == 0).all(-1, keepdim=True), torch.ones_like(u), u)
    theta = (A.mT @ u[..., None])[..., 0]
    return Vertex(theta / theta.norm(dim=-1, keepdim=True), torch.where(positive, 1.0, -1.0).to(g.dtype))


def relu_lmo_search(
    A: Tensor, g: Tensor, *, restarts: int = 64, iterations: int = 60, generator: torch.Generator | int | None = None
) -> Vertex:
    """As ``relu_lmo_whitened`` for any A, by normalized subgradient ascent from many starts: a lower bound.

    All starts and both signs are one batch; besides the random ones there are A'g_+ and A'g_-. Steps 1 / sqrt(k); the
    best visited point is returned. ``A (n, d)``, ``g (n,)``. Raises ``ValueError`` for shapes that do not fit and
    restarts or iterations < 1.

    Examples
    --------
    >>> import torch
    >>> A, g = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, -2.0], dtype=torch.float64)
    >>> relu_lmo_search(A, g, generator=0).sign.item()
    -1.0
    """
    A, g = _arguments.data(A, g, names=("A", "g"))
    if A.ndim != 2 or g.ndim != 1:
        raise ValueError(f"A must be (n, d) and g (n,), got {tuple(A.shape)} and {tuple(g.shape)}")
    restarts, iterations = (
        _validate.positive_int("restarts", restarts),
        _validate.positive_int("iterations", iterations),
    )
    # theta does not depend on the sizes of A and g: what counts as zero does not either.
    A, g = A / binary_scale(A.flatten(), 0), g / binary_scale(g, 0)
    source = _validate.random_source("generator", generator)
    starts = torch.randn(restarts, A.shape[1], generator=source, dtype=A.dtype, device=source.device).to(A.device)
    special = torch.stack([g.clamp(min=0) @ A, (-g).clamp(min=0) @ A])
    theta = _unit(torch.cat([special, starts])).repeat(2, 1)
    sign = torch.ones(len(theta), dtype=A.dtype, device=A.device)
    sign[len(theta) // 2 :] = -1.0
    best, kept = torch.full_like(sign, -torch.inf), theta
    for k in range(1, iterations + 2):
        product = theta @ A.T
        value = sign * (product.clamp(min=0) @ g)
        better = value > best
        best, kept = torch.where(better, value, best), torch.where(better[:, None], theta, kept)
        gradient = (sign[:, None] * (product > 0) * g) @ A
        theta = _unit(theta + _unit(gradient, keep_zero=True) / k**0.5)
    winner = int(best.argmax())
    return Vertex(kept[winner], sign[winner])


def _unit(x: Tensor, keep_zero: bool = False) -> Tensor:
    """Rows of length one; a zero row becomes the first unit vector, or stays."""
    norm = x.norm(dim=-1, keepdim=True)
    tiny = norm <= 1e-14
    unit = x / torch.where(tiny, 1.0, norm)
    first = torch.zeros_like(x)
    if not keep_zero:
        first[..., 0] = 1.0
    return torch.where(tiny, first, unit)


def frank_wolfe(
    A: Tensor,
    y: Tensor,
    delta: float | Tensor,
    *,
    iterations: int,
    lmo: Oracle | None = None,
    batch_size: Callable[[int], int] | None = None,
    generator: torch.Generator | int | None = None,
) -> FrankWolfe:
    """Minimize ||z - y||^2 over networks z = sum_j w_j (A theta_j)_+ with sum |w_j| <= delta, ||theta_j|| <= 1.

    z_1 = 0; iteration t = 1, 2, ... takes the gradient g = 2 (z - y), the atom -sign delta (A theta)_+ of the linear
    minimization oracle, and the step 2 / (t + 1) (d'Aspremont and Pilanci 2020; Jaggi 2013).

    Parameters
    ----------
    A, y, delta
        (..., n, d), (..., n) and (...) > 0: one run per batch element.
    lmo
        (A, g) -> (theta (..., d), sign (...)); None: ``relu_lmo_whitened``, which needs A A' = I. An oracle of one's
        own is given the whole batch; ``relu_lmo_search`` takes single problems only.
    batch_size
        Samples (without replacement, scaled by n / b) that the oracle sees at iteration t; capped at n. None: all.

    Returns
    -------
    FrankWolfe
        ``gap`` is g.(z_t - atom) with the full gradient before the step, an upper bound of the suboptimality when the
        oracle is exact; ``loss`` is ||z - y||^2 over all samples after it; prediction = (A theta')_+ weights.

    Raises
    ------
    ValueError
        delta <= 0, iterations < 1, shapes that do not fit, lmo or batch_size that cannot be called, an lmo that gives
        something else; without ``lmo`` data that are not whitened.

    Examples
    --------
    >>> import torch
    >>> A, y = torch.eye(3, dtype=torch.float64), torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
    >>> run = frank_wolfe(A, y, 2.0, iterations=50)
    >>> run.theta.shape, bool((run.gap >= 0).all())
    (torch.Size([50, 3]), True)
    """
    precision = getattr(A, "dtype", None)
    A, y = _arguments.data(A, y, names=("A", "y"))
    iterations = _validate.positive_int("iterations", iterations)
    delta = _arguments.positive("delta", delta, y)
    if batch_size is not None:
        _validate.function("batch_size", batch_size)
    if lmo is None:
        _whitened(A, precision)
    else:
        _validate.function("lmo", lmo)
    shape, n = _validate.broadcast(A=A.shape[:-2], y=y.shape[:-1], delta=delta.shape), y.shape[-1]
    y, A = y.expand(*shape, n), A.expand(*shape, *A.shape[-2:])
    source = _validate.random_source("generator", generator)
    delta = delta.expand(shape)
    scale = binary_scale(torch.cat([y, delta[..., None]], -1), -1)  # the iteration runs in the unit of its numbers
    y, delta = y / scale, delta / scale[..., 0]
    oracle = _whitened_vertex if lmo is None else lambda part, g: lmo(part, g * scale)
    weights = torch.zeros(*shape, iterations, dtype=y.dtype, device=y.device)
    z, thetas, losses, gaps = torch.zeros_like(y), [], [], []
    for t in range(1, iterations + 1):
        g = 2 * (z - y)
        theta, sign = _vertex(_subsampled(oracle, A, g, batch_size, t, source), A, y)
        amount = -sign * delta
        atom = amount[..., None] * (A @ theta[..., None])[..., 0].clamp(min=0)
        gaps.append((g * (z - atom)).sum(-1))
        step = 2 / (t + 1)
        z = (1 - step) * z + step * atom
        weights = (1 - step) * weights
        weights[..., t - 1] = step * amount
        thetas.append(theta)
        losses.append((z - y).square().sum(-1))
    loss, gap = (torch.stack(values, -1) * scale * scale for values in (losses, gaps))
    return FrankWolfe(torch.stack(thetas, -2), weights * scale, z * scale, loss, gap)


def _vertex(found: object, A: Tensor, y: Tensor) -> Vertex:
    """What an oracle gave, for A (..., n, d) and in the dtype of y (..., n)."""
    try:
        theta, sign = (torch.as_tensor(part, dtype=y.dtype, device=y.device) for part in found)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"lmo must give (theta, sign), got {found!r}") from None
    shape = (*A.shape[:-2], A.shape[-1])
    if theta.shape != shape or sign.shape != shape[:-1]:
        got = f"{tuple(theta.shape)} and {tuple(sign.shape)}"
        raise ValueError(f"lmo must give theta {shape} and sign {shape[:-1]}, got {got}")
    return Vertex(theta, sign)


def _subsampled(lmo: Oracle, A: Tensor, g: Tensor, batch_size, t: int, source: torch.Generator):
    n = g.shape[-1]
    size = n if batch_size is None else min(n, _validate.positive_int("batch_size(t)", batch_size(t)))
    if size == n:
        return lmo(A, g)
    chosen = torch.randperm(n, generator=source, device=source.device)[:size].to(A.device)
    return lmo(A[..., chosen, :], g[..., chosen] * (n / size))
