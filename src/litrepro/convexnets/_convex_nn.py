"""Convex neural networks: output weights by linear programming, hidden units by column generation."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from litrepro import ConvergenceWarning, _validate
from litrepro._scaling import binary_scale
from litrepro.convexnets import _arguments
from litrepro.convexnets._halfplane import best_halfplane, extend, unit_sign
from litrepro.convexnets._oracles import ORACLES, propose, refine_tanh
from litrepro.convexnets._simplex import minimize

ORDINARY = 16.0  # data whose largest entry is within this factor of 1 are taken as they are


class OutputFit(NamedTuple):
    """w (m,), dual (n,) in [0, 1], objective."""

    w: Tensor
    dual: Tensor
    objective: float


class ConvexNN(NamedTuple):
    """Units V (m, d+1), weights w (m,), objective, whether the stopping rule was met, objective after every stage."""

    V: Tensor
    w: Tensor
    objective: float
    converged: bool
    history: Tensor


def fit_output_weights(H: Tensor, y: Tensor, lam: float) -> OutputFit:
    """Minimize lam ||w||_1 + sum_t (1 - y_t w.h_t)_+, a linear program, by the simplex method: w is a vertex.

    Parameters
    ----------
    H, y
        (n, m) outputs of the hidden units and (n,) labels +-1.
    lam
        Non-negative.

    Returns
    -------
    OutputFit
        ``dual`` lies in [0, 1], |H'(dual y)| <= lam and sum(dual) = objective: the linear program's certificate.

    Raises
    ------
    ValueError
        Labels other than +-1, lam < 0, shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> fit = fit_output_weights(torch.ones(3, 1), torch.tensor([1.0, 1.0, -1.0]), 0.5)
    >>> round(fit.objective, 6), round(fit.dual.sum().item(), 6)
    (2.5, 2.5)
    """
    H, y, lam = _checked(H, y, lam)
    return _fit(H, y, lam)


def _checked(X: Tensor, y: Tensor, lam: float) -> tuple[Tensor, Tensor, float]:
    lam = _validate.real("lam", lam, 0)
    X, y = _arguments.data(X, _arguments.signs("labels y", y, 1))
    if X.ndim != 2 or y.ndim != 1:
        raise ValueError(f"expected one problem, (n, d) and (n,), got {tuple(X.shape)} and {tuple(y.shape)}")
    return X, y, lam


def _fit(H: Tensor, y: Tensor, lam: float) -> OutputFit:
    return _refit(H, y, lam, None)[0]


def _refit(H: Tensor, y: Tensor, lam: float, basis: NDArray | None) -> tuple[OutputFit, NDArray]:
    """The fit and its basis; ``basis`` of the same program with fewer units is a start that a few pivots improve."""
    n, m = H.shape
    unit = _own_unit(H)  # the simplex method knows no size of a column: one per unit, and its weight in 1 / that
    signed = (y[:, None] * (H / unit)).detach().cpu().numpy()
    unit = unit.detach().cpu().numpy()
    # A unit with lam >= sum_t |h_t| stays out: no higher price is needed, and its size would blunt the others' prices.
    price = np.where(unit == 1, lam, np.minimum(lam, 2 * np.abs(signed).sum(0) * unit) / unit)
    # Slacks xi and surpluses first, then the two signs of every weight: new units come last, old indices stay.
    A = np.concatenate([np.eye(n), -np.eye(n), np.stack([signed, -signed], 2).reshape(n, 2 * m)], 1)
    cost = np.concatenate([np.ones(n), np.zeros(n), price.repeat(2)])
    found = minimize(cost, A, np.ones(n), _start(A, basis))
    if not found.optimal:
        message = f"the linear program of {n} examples and {m} units was not solved"
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    pairs = found.x[2 * n :].reshape(m, 2)
    w = torch.from_numpy((pairs[:, 0] - pairs[:, 1]) / unit).to(H)
    dual = torch.from_numpy(found.dual).to(H).clamp(0, 1)
    return OutputFit(w, dual, float(cost @ found.x)), found.basis


def _start(A: NDArray, basis: NDArray | None) -> NDArray:
    """The basis if it is a vertex of the program, else that of the slacks: rounding may move a unit that was there."""
    n = len(A)
    if basis is None or np.linalg.cond(A[:, basis]) > 1e12 or np.linalg.solve(A[:, basis], np.ones(n)).min() < -1e-7:
        return np.arange(n)
    return basis


def convex_nn(
    X: Tensor,
    y: Tensor,
    lam: float,
    *,
    oracle: str = "exact",
    max_neurons: int = 60,
    tol: float = 1e-6,
    activation: str = "sign",
    tune: int = 0,
) -> ConvexNN:
    """Train a network one unit at a time (Bengio et al. 2005, algorithm 1, hinge loss).

    It starts with the constant unit. Every stage fits the output weights, weighs the examples by q = dual y, asks the
    oracle for a unit h with a large |sum_t q_t h(x_t)|, and stops when that is at most lam (1 + tol): with the exact
    oracle and sign units this certifies the global optimum over all half planes, with another oracle it does not.
    The other oracles and tanh units know a unit of length: data whose largest entry is not within a factor of 16 of 1
    are trained in one of their own size.

    Parameters
    ----------
    X, y
        (n, d) and labels +-1; the exact oracle needs d = 2.
    oracle
        ``"exact"``, or a linear classifier for examples weighted by |q|: ``"logistic"``, ``"svm"`` (hinge loss),
        ``"perceptron"``.
    activation
        ``"sign"``, or ``"tanh"``: the oracle's classifier is refined by gradient ascent on
        |sum_t q_t tanh(v.[x_t, 1])|.
    tune
        Joint gradient steps on units and output weights after every stage, for tanh units; then w is fitted again.

    Returns
    -------
    ConvexNN

    Raises
    ------
    ValueError
        Labels other than +-1, lam < 0, unknown oracle or activation, exact oracle with d != 2, tune with sign units.

    Examples
    --------
    >>> import torch
    >>> X = torch.tensor([[-1.0, 0.0], [-2.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    >>> net = convex_nn(X, torch.tensor([-1.0, -1.0, 1.0, 1.0]), 0.1)
    >>> net.converged, round(net.objective, 6), int((net.w != 0).sum())
    (True, 0.1, 1)
    """
    X, y, lam = _checked(X, y, lam)
    _validate.choice("oracle", oracle, ORACLES)
    _validate.choice("activation", activation, ("sign", "tanh"))
    max_neurons, tune = _validate.positive_int("max_neurons", max_neurons), _validate.positive_int("tune", tune, 0)
    tol = _validate.real("tol", tol, 0)
    if oracle == "exact" and X.shape[1] != 2:
        raise ValueError(f"the exact oracle needs points in the plane (n, 2), got shape {tuple(X.shape)}")
    if tune and activation == "sign":
        raise ValueError("tune needs tanh units: a sign unit has no gradient")
    unit = X.new_ones(1) if oracle == "exact" and activation == "sign" else _own_unit(X.flatten()[:, None])
    Z, act = extend(X / unit), unit_sign if activation == "sign" else torch.tanh
    V = torch.zeros(1, Z.shape[1], dtype=Z.dtype, device=Z.device)
    V[0, -1] = 1.0
    history: list[float] = []
    converged, basis = False, None
    while True:
        fit, basis = _refit(act(Z @ V.T), y, lam, basis)
        if tune:
            V, fit = _tune(Z, y, lam, V, fit, tune)
            basis = None  # moved units are other columns
        history.append(fit.objective)
        q = fit.dual * y
        v = propose(oracle, Z, q)
        if activation == "tanh":
            v = refine_tanh(Z, q, v)
        converged = (q * act(Z @ v)).sum().abs().item() <= lam * (1 + tol) + 1e-12
        if converged or len(V) >= max_neurons:
            break
        V = torch.cat([V, v[None]])
    if not converged:
        message = f"the convex network still improves with {max_neurons} units"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    V = torch.cat([V[:, :-1] / unit, V[:, -1:]], 1)
    return ConvexNN(V, fit.w, fit.objective, converged, torch.tensor(history, dtype=X.dtype))


def _own_unit(X: Tensor) -> Tensor:
    """Powers of two (m,) in which the columns of X (n, m) are as large as standardized data, 2 to 4; 1 for zeros and
    data of ordinary size.
    """
    largest = X.abs().amax(0)
    ordinary = (largest == 0) | ((largest * ORDINARY >= 1) & (largest <= ORDINARY))
    return torch.where(ordinary, 1.0, binary_scale(X, 0)[0] / 2)


def _tune(Z: Tensor, y: Tensor, lam: float, V: Tensor, fit: OutputFit, steps: int) -> tuple[Tensor, OutputFit]:
    """Joint descent on (V, w), then w fitted again; kept only if it is better."""
    from litrepro.convexnets._descent import descend

    def objective(units: Tensor, w: Tensor) -> Tensor:
        margins = y * (torch.tanh(Z @ units.mT) @ w[..., None])[..., 0]
        return lam * w.abs().sum(-1) + (1 - margins).clamp(min=0).sum(-1)

    (tuned, _), _ = descend(objective, (V[None], fit.w[None]), steps=steps, lr=0.05)
    again = _fit(torch.tanh(Z @ tuned[0].T), y, lam)
    return (tuned[0], again) if again.objective < fit.objective else (V, fit)


def convex_nn_predict(V: Tensor, w: Tensor, X: Tensor, activation: str = "sign") -> Tensor:
    """The output (n,) of the network with units ``V (m, d+1)`` and weights ``w (m,)`` at ``X (n, d)``.

    Raises ``ValueError`` for an unknown activation, shapes that do not fit, several dtypes.

    Examples
    --------
    >>> import torch
    >>> convex_nn_predict(torch.tensor([[1.0, 0.0]]), torch.tensor([2.0]), torch.tensor([[3.0], [-1.0]])).tolist()
    [2.0, -2.0]
    """
    _validate.choice("activation", activation, ("sign", "tanh"))
    V, w, X = _validate.float_tensor("V", V, 2), _validate.float_tensor("w", w, 1), _validate.float_tensor("X", X, 2)
    if V.shape != (len(w), X.shape[1] + 1):
        raise ValueError(f"V must be (m, d+1) with m = {len(w)}, d = {X.shape[1]}, got {tuple(V.shape)}")
    _validate.same_kind(V=V, w=w, X=X)
    act = unit_sign if activation == "sign" else torch.tanh
    return act(extend(X) @ V.T) @ w


def convex_nn_bound(X: Tensor, y: Tensor, lam: float, dual: Tensor) -> float:
    """A lower bound of the optimum over all networks of half planes: ``dual (n,)`` scaled until no unit violates it.

    For the dual of the global optimum it equals the objective. Raises ``ValueError`` as ``convex_nn``.

    Examples
    --------
    >>> import torch
    >>> X, y = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([-1.0, 1.0])
    >>> convex_nn_bound(X, y, 0.1, torch.ones(2))
    0.1
    """
    X, y, lam = _checked(X, y, lam)
    dual = _arguments.double("dual", dual, 1).clamp(0, 1)
    if dual.shape != y.shape:
        raise ValueError(f"dual must have the shape of y, {tuple(y.shape)}, got {tuple(dual.shape)}")
    edge = best_halfplane(X, dual * y).value
    scale = 1.0 if edge <= lam else lam / edge
    return scale * dual.sum().item()
