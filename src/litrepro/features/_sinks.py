"""Weighted sums of random kitchen sinks: random features, and a box-constrained least-squares fit of their weights."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.features import _arguments


class Stumps(NamedTuple):
    """Decision stumps: ``index`` (*batch, D) of a coordinate (int64), ``threshold`` (*batch, D) in its units.

    Examples
    --------
    >>> index, threshold = random_stumps(3, 10)
    >>> index.shape, bool((index < 3).all()), bool((threshold <= 1).all())
    (torch.Size([10]), True, True)
    """

    index: torch.Tensor
    threshold: torch.Tensor


class Sinks(NamedTuple):
    """A fit: ``weights`` (..., k), ``objective`` (...) (mean square of the residual), ``converged`` (...).

    Examples
    --------
    >>> import torch
    >>> fit = kitchen_sinks(torch.ones(2, 1), torch.tensor([1.0, 3.0]), bound=10.0)
    >>> [round(value.item(), 4) for value in (fit.weights, fit.objective)], bool(fit.converged)
    ([2.0, 1.0], True)
    """

    weights: torch.Tensor
    objective: torch.Tensor
    converged: torch.Tensor


def random_stumps(
    d: int,
    n_features: int,
    *,
    low: float = 0.0,
    high: float = 1.0,
    batch: tuple[int, ...] = (),
    generator: torch.Generator | int | None = None,
) -> Stumps:
    """Random decision stumps: a coordinate, uniform on 0..d-1, and a threshold, uniform on [low, high].

    Parameters
    ----------
    d, n_features
        Dimension of the points and number D of stumps.
    low, high
        Range of the thresholds, low < high, in the units of x.
    batch
        Leading dimensions: independent draws.
    generator
        Source of randomness, or a seed (0 if None); the draws lie on its device.

    Returns
    -------
    ``Stumps(index (*batch, D) int64, threshold (*batch, D) float64)``.

    Raises
    ------
    ValueError
        d or n_features < 1, high <= low.

    Source: Rahimi and Recht 2009, section 5.

    Examples
    --------
    >>> index, threshold = random_stumps(3, 1000, low=-1.0, high=1.0)
    >>> index.unique().tolist(), bool((threshold.abs() <= 1).all())
    ([0, 1, 2], True)
    """
    d, n_features = _validate.positive_int("d", d), _validate.positive_int("n_features", n_features)
    low, high = _validate.real("low", low), _validate.real("high", high)
    if high <= low:
        raise ValueError(f"high must exceed low, got low = {low!r} and high = {high!r}")
    shape = (*_arguments.batch_shape(batch), n_features)
    generator = _validate.random_source("generator", generator)
    index = torch.randint(d, shape, generator=generator, device=generator.device)
    uniform = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
    return Stumps(index, low + (high - low) * uniform)


def stump_features(x: torch.Tensor, index: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Stumps on points: +1 where x_index > threshold, -1 elsewhere.

    Parameters
    ----------
    x
        Points (..., n, d).
    index, threshold
        (..., D) each; batch dimensions broadcast against those of x.

    Returns
    -------
    (..., n, D) in the dtype of x.

    Raises
    ------
    ValueError
        Different shapes of index and threshold, an index that is no integer or outside 0..d-1.

    Source: Rahimi and Recht 2009, section 5.

    Examples
    --------
    >>> import torch
    >>> stump_features(torch.tensor([[0.2, 0.9], [0.6, 0.1]]), torch.tensor([0, 1]), torch.tensor([0.5, 0.5]))
    tensor([[-1.,  1.],
            [ 1., -1.]])
    """
    _validate.float_tensor("x", x, 2)
    _validate.float_tensor("threshold", threshold, 1)
    _validate.integer_tensor("index", index)
    if index.shape != threshold.shape:
        raise ValueError(
            f"index and threshold must have one shape, got {tuple(index.shape)} and {tuple(threshold.shape)}"
        )
    d = x.shape[-1]
    if index.numel() and not bool(((index >= 0) & (index < d)).all()):
        raise ValueError(f"index must lie in 0..{d - 1}, got {index.min().item()}..{index.max().item()}")
    batch = _validate.broadcast(x=tuple(x.shape[:-2]), index=tuple(index.shape[:-1]))
    index, threshold = index.to(x.device, torch.int64), threshold.to(x.device)
    if index.ndim == 1:
        chosen = x.index_select(-1, index)
    else:
        places = index[..., None, :].expand(*batch, x.shape[-2], index.shape[-1])
        chosen = x.expand(*batch, *x.shape[-2:]).gather(-1, places)
    return torch.where(chosen > threshold[..., None, :], 1.0, -1.0).to(x.dtype)


def kitchen_sinks(z: torch.Tensor, y: torch.Tensor, *, bound: float, max_iter: int = 2000, tol: float = 1e-7) -> Sinks:
    """Fit weights of random features in a box: min (1/n) |z alpha - y|^2 subject to |alpha_i| <= bound / k.

    Accelerated projected gradient with restarts, all problems of the batch at once; now and then the weights inside the
    box are solved for, and kept if that is better. A problem stops when its projected
    gradient, L |alpha - clip(alpha - grad / L)| in the largest coordinate, is at most ``tol`` times the largest
    coordinate of the gradient at zero.

    Parameters
    ----------
    z
        Features (..., n, k).
    y
        Targets (..., n); integers (labels of +-1) will do.
    bound
        C > 0; every weight lies within C / k.
    max_iter, tol
        Largest number of steps, relative tolerance.

    Returns
    -------
    ``Sinks(weights (..., k), objective (...), converged (...))``, computed in float64, in the common dtype of z and y.

    Raises
    ------
    ValueError
        Other numbers of rows, no features, bound or tol not positive, max_iter < 1.

    Warns
    -----
    ConvergenceWarning
        A problem did not reach ``tol``.

    Source: Rahimi and Recht 2009, algorithm 1; Beck and Teboulle 2009 for the accelerated steps.

    Examples
    --------
    >>> import torch
    >>> z, y = torch.ones(2, 1), torch.tensor([1.0, 3.0])
    >>> [round(kitchen_sinks(z, y, bound=bound).weights.item(), 4) for bound in (10.0, 0.5)]  # the mean, or the bound
    [2.0, 0.5]
    """
    bound = _validate.real("bound", bound, 0, open_low=True)
    max_iter, tol = _validate.positive_int("max_iter", max_iter), _validate.real("tol", tol, 0)
    _validate.float_tensor("z", z, 2)
    y = _validate.float_tensor("y", _arguments.numbers("y", y, z), 1)
    _arguments.same_rows(z=z, y=y[..., None])
    if z.shape[-1] < 1:
        raise ValueError(f"z must have at least one feature, got shape {tuple(z.shape)}")
    z, y = _arguments.matched(z=z, y=y)
    n, k = z.shape[-2:]
    wide, targets = z.double(), y.double()[..., None]
    gram, linear = 2 * (wide.mT @ wide) / n, 2 * (wide.mT @ targets) / n
    weights, converged = _projected_gradient(gram, linear, bound / k, max_iter, tol)
    objective = (wide @ weights - targets).square().mean((-2, -1))
    if not bool(converged.all()):
        warnings.warn(
            f"kitchen_sinks: {int((~converged).sum())} of {converged.numel()} problems above tol = {tol:g} after "
            f"{max_iter} steps",
            ConvergenceWarning,
            stacklevel=2,
        )
    return Sinks(weights[..., 0].to(z.dtype), objective.to(z.dtype), converged)


def _projected_gradient(
    gram: torch.Tensor, linear: torch.Tensor, box: float, max_iter: int, tol: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """min a^T gram a / 2 - linear^T a over |a_i| <= box; (weights (..., k, 1), converged (...))."""
    batch = torch.broadcast_shapes(gram.shape[:-2], linear.shape[:-2])
    lipschitz, ridge = _curvature(gram)
    threshold = tol * linear.abs().amax((-2, -1), keepdim=True)
    a = torch.zeros(*batch, *linear.shape[-2:], dtype=gram.dtype, device=gram.device)
    ahead, momentum = a, torch.ones(*batch, 1, 1, dtype=gram.dtype, device=gram.device)
    done = torch.zeros_like(momentum, dtype=torch.bool)
    for step in range(max_iter + 1):
        if step % 10 == 0 or step == max_iter:  # looking at the flags waits for the device
            at_a = (a - (gram @ a - linear) / lipschitz).clamp(-box, box)
            done = done | (lipschitz * (a - at_a).abs().amax((-2, -1), keepdim=True) <= threshold)
            if step == max_iter or bool(done.all()):
                break
        if step in (10, 30) or (step and step % 100 == 0):
            polished = a
            for _ in range(3):
                polished = _toward_free_solution(polished, gram, linear, box, lipschitz, ridge)
            better = ~done & (_value(gram, linear, polished) < _value(gram, linear, a))
            a = torch.where(better, polished, a)
            ahead, momentum = torch.where(better, a, ahead), torch.where(better, 1.0, momentum)
            continue
        new = (ahead - (gram @ ahead - linear) / lipschitz).clamp(-box, box)
        restart = ((ahead - new) * (new - a)).sum((-2, -1), keepdim=True) > 0
        following = torch.where(restart, 1.0, (1 + (1 + 4 * momentum.square()).sqrt()) / 2)
        inertia = torch.where(restart, 0.0, (momentum - 1) / following)
        # A finished problem stands still, so that its result does not depend on its neighbours.
        ahead = torch.where(done, ahead, new + inertia * (new - a))
        momentum = torch.where(done, momentum, following)
        a = torch.where(done, a, new)
    return a, done[..., 0, 0]


def _value(gram: torch.Tensor, linear: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """The objective of every column of a (..., k, c), up to its constant: (..., 1, c)."""
    return (a * (gram @ a / 2 - linear)).sum(-2, keepdim=True)


def _toward_free_solution(
    a: torch.Tensor, gram: torch.Tensor, linear: torch.Tensor, box: float, lipschitz: torch.Tensor, ridge: torch.Tensor
) -> torch.Tensor:
    """A step to the minimizer over the weights that are not held at their bounds, as far along as is best.

    Gradient steps find quickly which weights are at their bounds, and slowly the rest where features resemble each
    other; one linear system finds the rest. The path is bent along the box (projected Newton, Bertsekas 1982). Of many
    minimizers it is the shortest: the ridge that makes the system definite is taken back by a refinement.
    """
    held = (a - (gram @ a - linear) / lipschitz).abs() >= box
    free = (~held).to(gram.dtype)
    among_free = gram * free * free.mT
    right = torch.where(held, 0.0, linear - gram @ torch.where(held, a, 0.0))
    system = among_free.clone()
    system.diagonal(dim1=-2, dim2=-1).add_(torch.where(held, 1.0, ridge)[..., 0])
    factor = torch.linalg.cholesky_ex(system).L
    target = torch.cholesky_solve(right, factor)
    target = target + torch.cholesky_solve(right - among_free @ target, factor)
    step = torch.where(held, 0.0, target - a)
    lengths = 0.5 ** torch.arange(8, dtype=gram.dtype, device=gram.device)
    path = (a + lengths * step).clamp(-box, box)
    best = _value(gram, linear, path).nan_to_num(nan=torch.inf).argmin(-1, keepdim=True)
    return path.gather(-1, best.expand(*path.shape[:-1], 1))


def _curvature(gram: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The curvature L, at least a tiny positive number, and a ridge for systems of free weights, each (..., 1, 1).

    A member that is not finite gets L = nan. Along directions in which a singular matrix is zero a solution has the
    rounding of the right-hand side over the ridge: there the ridge is large, yet small beside the other eigenvalues.
    """
    finite = gram.isfinite().all(-1).all(-1)[..., None]
    values = torch.linalg.eigvalsh(torch.where(finite[..., None], gram, torch.zeros_like(gram)))
    info = torch.finfo(gram.dtype)
    largest = values[..., -1:].clamp(min=info.tiny) * (1 + 1e-12)
    level, values = largest.detach(), values.detach()
    zero = values <= 10 * info.eps * gram.shape[-1] * level
    least = torch.where(zero, torch.inf, values).amin(-1, keepdim=True)
    wide = torch.minimum(1e-4 * least, 1e-8 * level).maximum(1e-12 * level)
    ridge = torch.where(zero.any(-1, keepdim=True), wide, 1e-12 * level)
    return torch.where(finite, largest, torch.nan)[..., None], ridge[..., None]
