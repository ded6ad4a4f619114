"""The convex program of a three-layer ReLU network made of parallel sub-networks."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from litrepro import ConvergenceWarning, _validate
from litrepro.convexnets import _arguments, _interior
from litrepro.convexnets._programs import solve_scaled


class ReluProgram3(NamedTuple):
    """W (2, P, d, m1), sign + first, and the objective."""

    W: Tensor
    objective: float


class Dense:
    """Blocks with maps F (B, n, p) and constraints A (B, q, p), one problem."""

    def __init__(self, F: Tensor, A: Tensor, groups: int):
        self.F, self.groups = F, groups
        # Scaled rows describe the same cone.
        self.A = A / A.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(A.dtype).tiny)

    def forward(self, x: Tensor) -> Tensor:
        return (self.F @ x[0][..., None])[..., 0].sum(0)[None]

    def adjoint(self, v: Tensor) -> Tensor:
        return (self.F.mT @ v[0][:, None])[..., 0][None]

    def constrain(self, x: Tensor) -> Tensor:
        return (self.A @ x[0][..., None])[..., 0][None]

    def constrain_adjoint(self, z: Tensor) -> Tensor:
        return (self.A.mT @ z[0][..., None])[..., 0][None]

    def gram(self, weights: Tensor) -> Tensor:
        return (self.A.mT @ (weights[0][..., None] * self.A))[None]

    def schur(self, inverse: Tensor) -> Tensor:
        return (self.F @ inverse[0] @ self.F.mT).sum(0)[None]


def convex_relu_program3(
    X: Tensor,
    y: Tensor,
    beta: float,
    first: Tensor,
    signs: Tensor,
    second: Tensor,
    *,
    max_iter: int = 200,
    tol: float = 1e-6,
) -> ReluProgram3:
    """The convex program of a network of sub-networks ((X W_1)_+ w_2)_+ w_3 with given activation patterns.

    Minimize ||sum_{k,s} s D2_k sum_j e_kj D1_kj X w_skj - y||^2 / 2 + beta sum ||w_skj|| over s = +-1, subject to
    (2 D1_kj - I) X w_skj >= 0 and (2 D2_k - I) sum_j e_kj D1_kj X w_skj >= 0 (Ergen and Pilanci 2021, theorem 1; the
    review's equation 42 with the signs e_kj in its last constraint). Its optimum is that of the network with the
    penalty (beta / 2) sum_k (||w_2k||^2 + w_3k^2) and ||W_1k|| <= 1 when all patterns are there. W carries no gradient.

    Parameters
    ----------
    X, y, beta
        (n, d), (n,), positive.
    first, signs, second
        (P, n, m1) bool, (P, m1) with entries +-1, (P, n) bool; see ``subnetwork_patterns``.
    max_iter, tol
        As ``convex_relu_program``.

    Returns
    -------
    ReluProgram3

    Raises
    ------
    ValueError
        beta <= 0, max_iter < 1, tol <= 0, signs other than +-1, shapes that do not fit, patterns that are not bool.

    Examples
    --------
    >>> import torch
    >>> from litrepro.convexnets import subnetwork_patterns
    >>> X, y = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, -1.0], dtype=torch.float64)
    >>> found = convex_relu_program3(X, y, 0.1, *subnetwork_patterns(X, 2, 50, generator=0))
    >>> found.W.shape[0], round(found.objective, 4)
    (2, 0.19)
    """
    X, y = (part.detach() for part in _arguments.data(X, y))  # the iteration's own gradient is not finite
    beta = _arguments.positive("beta", beta, X).detach()
    max_iter, tol = _arguments.budget(max_iter, tol)
    first, signs, second = _checked(X, y, beta, first, signs, second)
    F, A = _matrices(X, first, signs, second)
    patterns, hidden, d = len(signs), signs.shape[1], X.shape[1]
    F, A = torch.cat([F, -F]), torch.cat([A, A])
    found = solve_scaled(lambda kappa: Dense(F / kappa, A, hidden), y[None], beta[None], max_iter, tol)
    if not bool(found.converged):
        gap = ((found.objective - found.lower) / found.objective).item()
        message = (
            f"the convex program stopped after {found.iterations.item()} iterations with a relative gap of {gap:.1e}"
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    W = found.x[0].view(2, patterns, hidden, d).mT.contiguous()
    objective = _interior.value(Dense(F, A, hidden), y[None], beta[None], found.x).item()
    return ReluProgram3(W, objective)


def _checked(X, y, beta, first, signs, second) -> tuple[Tensor, Tensor, Tensor]:
    if X.ndim != 2 or y.ndim != 1 or beta.ndim != 0:
        raise ValueError(f"expected X (n, d), y (n,), one beta; got {tuple(X.shape)}, {tuple(y.shape)}")
    first, second = _validate.boolean_tensor("first", first, 3), _validate.boolean_tensor("second", second, 2)
    signs = _arguments.signs("signs", signs, 2).to(X)
    P, hidden = signs.shape[0], signs.shape[-1]
    if signs.ndim != 2 or P < 1 or hidden < 1:
        raise ValueError(f"signs must be (P, m1) with P, m1 >= 1, got shape {tuple(signs.shape)}")
    expected = ((P, len(X), hidden), (P, len(X)))
    if (tuple(first.shape), tuple(second.shape)) != expected:
        got = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"first and second must be {expected[0]} and {expected[1]}, got {got}")
    return first.to(X.device), signs, second.to(X.device)


def _matrices(X: Tensor, first: Tensor, signs: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """F (P, n, m1 d) and A (P, (m1 + 1) n, m1 d)."""
    D1, D2 = first.mT.to(X.dtype), second.to(X.dtype)  # (P, m1, n), (P, n)
    n, d = X.shape
    P, hidden = signs.shape
    inner = (signs[..., None] * D1)[..., None] * X  # (P, m1, n, d)
    inner = inner.transpose(1, 2).flatten(2)  # (P, n, m1 d)
    own = torch.zeros(P, hidden, n, hidden, d, dtype=X.dtype, device=X.device)
    for j in range(hidden):
        own[:, j, :, j] = (2 * D1[:, j] - 1)[..., None] * X
    outer = (2 * D2 - 1)[..., None] * inner
    return D2[..., None] * inner, torch.cat([own.view(P, hidden * n, hidden * d), outer], 1)
