"""Minimum-cost matching: the linear program by projected gradients, the exact solver, and a gradient for it."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning

MISS = 1e-3  # of a row or column sum: what counts as not converged
# The same for so many projections and no more, which stay approximate: off by a whole template, X is no matching.
GROSS = 1.0


def check_costs(name: str, C: Any) -> torch.Tensor:
    """Finite (..., n, m) with 1 <= n <= m."""
    _validate.float_tensor(name, C, 2)
    n, m = C.shape[-2:]
    if not 1 <= n <= m:
        raise ValueError(f"{name} must be (..., n, m) with 1 <= n <= m, got shape {tuple(C.shape)}")
    if not bool(torch.isfinite(C).all()):
        raise ValueError(f"{name} must be finite")
    return C


def warn_of_sums(name: str, rows: torch.Tensor, columns: torch.Tensor, rounds: int, limit: float = MISS) -> None:
    """Warn where the excess of some row or column sum over what it should be is too large."""
    miss = torch.cat([rows.detach().flatten(), columns.detach().flatten(), rows.new_zeros(1)]).abs().max().item()
    if not miss <= limit:  # nan is no small miss
        message = f"{name}: not converged after {rounds} rounds, a row or column sum misses by {miss:.1g}"
        warnings.warn(message, ConvergenceWarning, stacklevel=3)


def project_matching(Y: torch.Tensor, n_proj: int = 50) -> torch.Tensor:
    """Nearest X with rows that sum to 1, column sums <= 1, X >= 0: Dykstra's cyclic projections (Dykstra 1983).

    Parameters
    ----------
    Y
        (..., n, m), n <= m.
    n_proj
        Rounds over the three sets, in that order; each set keeps its correction. Differentiable, by unrolling.

    Returns
    -------
    (..., n, m), non-negative after any number of rounds. Raises ``ValueError`` for n > m, n_proj < 1, values
    not finite; warns ``ConvergenceWarning`` where a row sum is off by more than 1, or a column sum exceeds 1 by as
    much: entries much larger than 1 take more rounds.

    Examples
    --------
    >>> project_matching(torch.tensor([[2.0, 0.0]])).tolist()
    [[1.0, 0.0]]
    """
    check_costs("Y", Y)
    n_proj = _validate.positive_int("n_proj", n_proj)
    X = _dykstra(Y, n_proj)
    warn_of_sums("project_matching", X.sum(-1) - 1, (X.sum(-2) - 1).clamp(min=0), n_proj, GROSS)
    return X


def _dykstra(Y: torch.Tensor, rounds: int) -> torch.Tensor:
    n, m = Y.shape[-2:]
    X = Y
    columns, sign = torch.zeros_like(Y), torch.zeros_like(Y)
    # The correction of an affine set is orthogonal to it and drops out of its projection, so that only two are kept.
    for _ in range(rounds):
        X = X + (1 - X.sum(-1, keepdim=True)) / m
        shifted = X + columns
        X = shifted - (shifted.sum(-2, keepdim=True) - 1).clamp(min=0) / n
        columns = shifted - X
        shifted = X + sign
        X = shifted.clamp(min=0)
        sign = shifted - X
    return X


def matching(
    C: torch.Tensor,
    *,
    step: float = 0.1,
    n_grad: int = 40,
    n_proj: int = 5,
    average: bool = True,
    init: torch.Tensor | None = None,
) -> torch.Tensor:
    """Soft matching of least cost by projected gradient descent, unrolled (Zeng et al. 2019, algorithm 1).

    Parameters
    ----------
    C
        (..., n, m) costs, n <= m; differentiable.
    step, n_grad, n_proj
        X <- project(X - step C), n_grad times, with n_proj rounds of Dykstra each.
    average
        Return the mean of the n_grad iterates after the start, as the algorithm is printed, or the last one.
    init
        (..., n, m); 1/m if None.

    Returns
    -------
    (..., n, m). Raises ``ValueError`` for n > m, step <= 0, counts < 1, costs that are not finite, another
    shape of init; warns ``ConvergenceWarning`` where a row sum is off by more than 1, or a column sum exceeds 1 by
    as much: steps of step C much longer than 1 take more projections.

    Notes
    -----
    For training: a soft matching with a gradient in every cost, on the device of C. It takes n_grad * n_proj passes
    over all entries and stays approximate; on a CPU that is some tens of times the work of ``hungarian`` (a batch of
    10 x 50 problems, default counts). Where the assignment alone is wanted, at test time for instance, call
    ``hungarian``; for exact assignments in the forward pass with a surrogate gradient, ``blackbox_matching``.

    Examples
    --------
    >>> matching(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), step=0.5, average=False).argmax(-1).tolist()
    [0, 1]
    """
    check_costs("C", C)
    step = _validate.real("step", step, 0, open_low=True)
    n_grad, n_proj = _validate.positive_int("n_grad", n_grad), _validate.positive_int("n_proj", n_proj)
    if init is None:
        X = torch.full_like(C, 1 / C.shape[-1])
    else:
        check_costs("init", init)
        _validate.same_kind(C=C, init=init)
        if init.shape[-2:] != C.shape[-2:]:
            raise ValueError(f"init must end in {tuple(C.shape[-2:])}, got shape {tuple(init.shape)}")
        X = init.expand(_validate.broadcast(init=init.shape, C=C.shape))
    total = torch.zeros_like(X)
    for _ in range(n_grad):
        X = _dykstra(X - step * C, n_proj)
        if average:
            total = total + X
    X = total / n_grad if average else X
    warn_of_sums("matching", X.sum(-1) - 1, (X.sum(-2) - 1).clamp(min=0), n_grad * n_proj, GROSS)
    return X


def hungarian(C: torch.Tensor) -> torch.Tensor:
    """Exact matching of least cost, one problem after the other with ``scipy.optimize.linear_sum_assignment``.

    Off the CPU, or where SciPy is not installed, the batch is solved in step by shortest augmenting paths.

    Parameters
    ----------
    C
        (..., n, m), n <= m.

    Returns
    -------
    (..., n, m) in {0, 1}, dtype and device of C, without a gradient. Raises ``ValueError`` for n > m and for
    costs that are not
    finite.

    Examples
    --------
    >>> hungarian(torch.tensor([[1.0, 0.0, 3.0], [2.0, 0.0, 4.0]])).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    check_costs("C", C)
    try:
        import numpy as np
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        return _in_step(C)
    if C.device.type != "cpu":
        return _in_step(C)
    costs = C.detach().cpu().double().reshape(-1, *C.shape[-2:]).numpy()
    found = np.zeros(costs.shape)
    for matrix, cost in zip(found, costs, strict=True):
        matrix[linear_sum_assignment(cost)] = 1
    return torch.from_numpy(found).to(C).reshape(C.shape)


def _in_step(C: torch.Tensor) -> torch.Tensor:
    from litrepro.layers._augment import shortest_paths

    n, m = C.shape[-2:]
    owner, _, _ = shortest_paths(C.detach().double().reshape(-1, n, m))
    return (owner[:, None, :] == torch.arange(n, device=C.device)[:, None]).to(C.dtype).reshape(C.shape)


class _Blackbox(torch.autograd.Function):
    @staticmethod
    def forward(ctx, C, lam):
        X = hungarian(C)
        ctx.save_for_backward(C, X)
        ctx.lam = lam
        return X

    @staticmethod
    def backward(ctx, grad):
        C, X = ctx.saved_tensors
        return (hungarian(C + ctx.lam * grad) - X) / ctx.lam, None


def blackbox_matching(C: torch.Tensor, lam: float = 10.0) -> torch.Tensor:
    """Exact matching with the gradient of a piecewise linear interpolation (Vlastelica et al. 2020).

    Forward the Hungarian algorithm; backward (X(C + lam g) - X(C)) / lam for an incoming gradient g.

    Returns
    -------
    (..., n, m) in {0, 1}. Raises ``ValueError`` for lam <= 0 and as ``hungarian``.

    Examples
    --------
    >>> C = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    >>> blackbox_matching(C).diagonal().sum().backward()
    >>> C.grad.tolist()
    [[-0.1, 0.1], [0.1, -0.1]]
    """
    lam = _validate.real("lam", lam, 0, open_low=True)
    check_costs("C", C)
    return _Blackbox.apply(C, lam)
