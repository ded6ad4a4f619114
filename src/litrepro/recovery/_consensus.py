"""Recovery by minimizing a weighted sum of norms under linear constraints: two-block consensus ADMM, batched."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.recovery._affine import AffineSet
from litrepro.recovery._norms import NORMS, norm_value, proximal

RELAXATION = 1.6  # alpha of over-relaxed ADMM
CHECK = 10  # iterations between looks at the residuals, and adjustments of the penalty
IMBALANCE = 1.5  # ratio of the square roots of the residuals that is left alone


class RecoveryResult(NamedTuple):
    """Recovered matrices and how the iteration ended.

    ``X (..., p, q)``; ``converged (...)``, ``iterations (...)``, ``residual (...)`` per problem.

    Examples
    --------
    >>> import torch
    >>> A, b = torch.eye(4).reshape(4, 2, 2), torch.tensor([1.0, 0.0, 0.0, 2.0])
    >>> found = structured_recovery(A, b, {"nuclear": 1.0})
    >>> bool((found.X - torch.tensor([[1.0, 0.0], [0.0, 2.0]])).abs().max() < 1e-4), bool(found.converged)
    (True, True)
    """

    X: torch.Tensor
    converged: torch.Tensor
    iterations: torch.Tensor
    residual: torch.Tensor


@torch.no_grad()
def structured_recovery(
    A: torch.Tensor,
    b: torch.Tensor,
    weights: Mapping[str, float | torch.Tensor],
    *,
    psd: bool = False,
    max_iter: int = 5000,
    tol: float = 1e-6,
    rho: float | torch.Tensor | None = None,
) -> RecoveryResult:
    """Minimize sum_i lambda_i f_i(X) subject to <A_j, X> = b_j, and X positive semidefinite if ``psd``.

    Several norms do not make several blocks. Block one is X with the constraint, block two is all copies Z_i at once,
    one per norm; given X they separate, so that this is ADMM with two blocks, and converges. With alpha = 1.6:

        X <- P(mean_i(Z_i - U_i)), P the projection on the constraint
        Z_i <- prox of lambda_i f_i / rho at alpha X + (1 - alpha) Z_i + U_i
        U_i <- U_i + alpha X + (1 - alpha) Z_i(old) - Z_i(new)

    Problems of different sizes share one call: zero rows of A are absent measurements, coordinates on which all of A is
    zero are padding and stay zero. The result of a problem does not depend on its neighbours.

    Parameters
    ----------
    A, b
        (..., m, p, q) and (..., m), finite; batch dimensions of all arguments broadcast. Inconsistent measurements are
        met in the least-squares sense after each is divided by the norm of its A_j (with ``psd`` that of its symmetric
        part); measurements can be inconsistent where they depend on each other up to rounding in the dtype of A.
    weights
        lambda_i >= 0, a number or a tensor (...), for at least one of ``"l1"`` (entries), ``"l12"`` (sum
        of column norms), ``"l12_rows"``, ``"nuclear"``.
    psd
        Positive semidefinite X, whichever norms are used; matrices must be square.
    max_iter, tol
        A problem is finished when its residual, the larger of the relative primal and dual residual, is below ``tol``.
        The residual is looked at every 10 iterations.
    rho
        First penalty, positive, a number or a tensor (...), for data and objective scaled to the size of 1 (which is
        done problem by problem); default 1. It is balanced against the residuals as the iteration goes on.

    Returns
    -------
    ``X`` is the copy that satisfies the linear constraints. A problem that did not converge has flag False, and a
    ``ConvergenceWarning`` is issued. float32 is computed in float64, and the result rounded.

    Raises ``ValueError`` for shapes or dtypes that do not fit, half precision, no or unknown norms, negative weights,
    max_iter < 1, tol <= 0.

    Examples
    --------
    >>> from litrepro.recovery import linear_measurements, measure, sparse_low_rank
    >>> X0, A = sparse_low_rank(6, 2), linear_measurements(6, 25)
    >>> found = structured_recovery(A, measure(A, X0), {"l1": 1.0, "nuclear": 1.0}, psd=True)
    >>> bool((found.X - X0).norm() < 1e-3)  # 25 measurements of 36 entries
    True
    """
    check_measurements(A, b, psd)
    dtype, eps = A.dtype, torch.finfo(A.dtype).eps
    A, b = A.double(), b.double()  # a threshold by a Gram matrix, whose squares float32 does not hold, is part of it
    numbers = check_weights(weights, A)
    max_iter = _validate.positive_int("max_iter", max_iter)
    tol = _validate.real("tol", tol, 0, open_low=True)
    penalty = _per_problem("rho", 1.0 if rho is None else rho, A)
    if not bool((penalty > 0).all()):
        raise ValueError("rho must be positive everywhere")
    batch = common_batch(A=A.shape[:-3], b=b.shape[:-1], weights=numbers, rho=penalty.shape)
    if not A.numel() or 0 in batch:
        empty = torch.zeros(batch, dtype=torch.long, device=A.device)
        X = torch.zeros(*batch, *A.shape[-2:], dtype=dtype, device=A.device)
        return RecoveryResult(X, empty.bool(), empty, empty.to(dtype))
    flat = {name: weight.expand(batch).reshape(-1) for name, weight in numbers.items()}
    A = A.expand(*batch, -1, -1, -1).reshape(-1, *A.shape[-3:])
    b = b.expand(*batch, -1).reshape(-1, b.shape[-1])
    run = _Consensus(A, b, flat, penalty.expand(batch).reshape(-1), psd, eps)
    run.solve(max_iter, tol)
    left = int((~run.converged).sum())
    if left:
        worst = float(run.residual.max())
        warnings.warn(
            f"structured_recovery: {left} of {run.converged.numel()} problems not converged after {max_iter} "
            f"iterations (residual up to {worst:.1e}, tolerance {tol:.1e})",
            ConvergenceWarning,
            stacklevel=3,  # past torch.no_grad's wrapper
        )
    parts = (run.X.to(dtype), run.converged, run.iterations, run.residual.to(dtype))
    return RecoveryResult(*(part.reshape((*batch, *part.shape[1:])) for part in parts))


class _Consensus:
    """The state of the iteration; problems leave the active part as they finish, results are by original position."""

    def __init__(
        self,
        A: torch.Tensor,
        b: torch.Tensor,
        weights: dict[str, torch.Tensor],
        rho: torch.Tensor,
        psd: bool,
        eps: float,
    ):
        self.psd = psd
        self.affine = AffineSet(A, b, symmetric=psd, eps=eps)
        self.scale = self.affine.scale
        start = self.affine.start
        if psd:
            weights.setdefault("nuclear", torch.zeros_like(rho))
        self.norms = list(weights)
        lam = torch.stack([weights[name] for name in self.norms])  # (norms, B)
        value = sum(weight * norm_value(start, name) for name, weight in zip(self.norms, lam))
        self.lam = lam / torch.where(value > 0, value, 1.0)
        self.weighted = value > 0
        self.rho = rho
        self.next_balance = 0
        self.Z = torch.stack([start] * len(self.norms))  # (norms, B, p, q)
        self.U = torch.zeros_like(self.Z)
        count = len(rho)
        self.X = torch.zeros_like(start)
        self.converged = self.scale == 0  # b = 0: zero is optimal
        self.iterations = torch.zeros(count, dtype=torch.long, device=A.device)
        self.residual = torch.where(self.converged, 0.0, torch.inf).to(A)
        self.active = torch.arange(count, device=A.device)

    def solve(self, max_iter: int, tol: float) -> None:
        self._compact()
        for iteration in range(1, max_iter + 1):
            if not len(self.active):
                break
            look = iteration % CHECK == 0 or iteration == max_iter
            X, old = self._step(keep_old=look)
            if not look:
                continue
            primal, dual = self._residuals(X, old)
            self._record(X, torch.maximum(primal, dual), iteration, tol)
            self._balance(primal, dual, iteration)
            if int(self.converged[self.active].sum()) * 8 >= len(self.active):
                self._compact()

    def _step(self, keep_old: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        X = self.affine.project((self.Z - self.U).mean(0))
        V = self.U.add_(self.Z, alpha=1 - RELAXATION).add_(X, alpha=RELAXATION)
        old = self.Z
        self.Z = torch.stack(
            [proximal(V[i], name, self.lam[i] / self.rho, self.psd) for i, name in enumerate(self.norms)]
        )
        self.U = V.sub_(self.Z)
        return X, old if keep_old else None

    def _residuals(self, X: torch.Tensor, old: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Relative primal residual ||X - Z_i|| / ||Z|| and dual residual ||Z - Z_old|| / ||U||, over all copies."""
        tiny = torch.finfo(X.dtype).tiny
        size = torch.maximum(_length(self.Z), _length(X[None]) * len(self.norms) ** 0.5)
        primal = _length(X - self.Z) / size.clamp(min=tiny)
        # Without an objective the multipliers U vanish; the change of Z is then measured by Z itself.
        scale = torch.where(self.weighted, _length(self.U), size)
        dual = _length(self.Z - old) / scale.clamp(min=tiny)
        return primal, dual

    def _record(self, X: torch.Tensor, residual: torch.Tensor, iteration: int, tol: float) -> None:
        """Write the state of unfinished problems down; a finished one keeps what it had when it finished."""
        open_ = ~self.converged[self.active]
        index = self.active[open_]
        self.X[index] = X[open_] * self.scale[index, None, None]
        self.residual[index] = residual[open_]
        self.iterations[index] = iteration
        self.converged[index] = residual[open_] < tol

    def _balance(self, primal: torch.Tensor, dual: torch.Tensor, iteration: int) -> None:
        """Raise the penalty where the primal residual lags, lower it where the dual does: ever more rarely and gently,
        since ADMM is known to converge for a fixed penalty only."""
        if iteration < self.next_balance:
            return
        self.next_balance = iteration + iteration // 10
        limit = 1 + 9 / (1 + iteration / 300)
        ratio = (primal / dual.clamp(min=1e-300)).sqrt().nan_to_num(1.0).clamp(1 / limit, limit)
        unequal = (ratio > IMBALANCE) | (ratio < 1 / IMBALANCE)
        ratio = torch.where(unequal & self.weighted, ratio, 1.0)  # without an objective the penalty plays no part
        self.rho = self.rho * ratio
        self.U /= ratio[:, None, None]

    def _compact(self) -> None:
        """Go on with unfinished problems alone."""
        index = (~self.converged[self.active]).nonzero()[:, 0]
        if len(index) == len(self.active):
            return
        self.active = self.active[index]
        self.affine.keep(index)
        self.lam, self.rho, self.weighted = self.lam[:, index], self.rho[index], self.weighted[index]
        self.Z, self.U = self.Z[:, index], self.U[:, index]


def _length(stack: torch.Tensor) -> torch.Tensor:
    """Norm over copies and entries of (norms, B, p, q): (B,)."""
    return stack.square().sum((0, -2, -1)).sqrt()


def check_measurements(A: torch.Tensor, b: torch.Tensor, psd: bool) -> None:
    """``ValueError`` unless ``A (..., m, p, q)`` and ``b (..., m)`` are finite and fit each other and ``psd``, but for
    their batch dimensions."""
    _validate.float_tensor("A", A, 3)
    _validate.float_tensor("b", b, 1)
    if b.shape[-1] != A.shape[-3] or A.shape[-3] < 1:
        raise ValueError(
            f"A (..., m, p, q) and b (..., m) must fit with m >= 1, got {tuple(A.shape)}, {tuple(b.shape)}"
        )
    if psd and A.shape[-1] != A.shape[-2]:
        raise ValueError(f"psd needs square matrices, got {tuple(A.shape[-2:])}")
    if b.dtype != A.dtype or b.device != A.device:
        raise ValueError(f"A and b must agree in dtype and device, got {A.dtype}, {A.device} and {b.dtype}, {b.device}")
    if A.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"A and b must be float32 or float64, got {A.dtype}")
    if not bool(torch.isfinite(A).all()) or not bool(torch.isfinite(b).all()):
        raise ValueError("A and b must be finite")


def check_weights(weights: Mapping[str, float | torch.Tensor], like: torch.Tensor) -> dict[str, torch.Tensor]:
    """Weights as tensors of the kind of ``like``, in their own shapes; ``ValueError`` for bad names or numbers."""
    if not isinstance(weights, Mapping) or not weights or set(weights) - set(NORMS):
        got = sorted(map(str, weights)) if isinstance(weights, Mapping) else weights
        raise ValueError(f"weights must map at least one of {', '.join(NORMS)} to a number, got {got}")
    return {name: _per_problem(f"weights[{name!r}]", weight, like) for name, weight in weights.items()}


def common_batch(*, weights: Mapping[str, torch.Tensor], **shapes: torch.Size) -> torch.Size:
    """The broadcast of batch shapes and those of checked weights, or a ``ValueError`` that names them."""
    own = {f"weights[{name!r}]": weight.shape for name, weight in weights.items()}
    return _validate.broadcast(**shapes, **own)


def _per_problem(name: str, value: float | torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A finite non-negative number, or a tensor (...) of them, as a tensor of the dtype and device of ``like``."""
    if not isinstance(value, torch.Tensor):
        return torch.tensor(_validate.real(name, value, 0), dtype=like.dtype, device=like.device)
    if value.is_complex() or value.dtype == torch.bool:
        raise ValueError(f"{name} must be real, got {value.dtype}")
    value = value.to(like)
    if not bool((torch.isfinite(value) & (value >= 0)).all()):
        raise ValueError(f"{name} must be finite and non-negative")
    return value
