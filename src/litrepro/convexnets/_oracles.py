"""Linear classifiers for weighted examples: what the convex network asks for when the exact half plane is too dear."""

from __future__ import annotations

import torch
from torch import Tensor

from litrepro.convexnets._halfplane import best_halfplane, unit_sign

ORACLES = ("exact", "logistic", "svm", "perceptron")
RIDGE = 1e-3
HUBER = 0.1


def propose(oracle: str, Z: Tensor, q: Tensor) -> Tensor:
    """A unit v (d+1,) meant to make |sum_t q_t sign(v.z_t)| large; ``Z (n, d+1)`` has the constant last."""
    if oracle == "exact":
        return best_halfplane(Z[:, :-1], q).v
    labels, weights = unit_sign(q), q.abs()
    weights = weights / weights.sum().clamp(min=torch.finfo(q.dtype).tiny)
    if oracle == "perceptron":
        return _perceptron(Z, labels, weights)
    return _newton(Z, labels, weights, _logistic if oracle == "logistic" else _hinge)


def _logistic(margin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value, slope and curvature of log(1 + exp(-m))."""
    p = torch.sigmoid(-margin)
    return torch.nn.functional.softplus(-margin), -p, p * (1 - p)


def _hinge(margin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The hinge loss, quadratic within HUBER of its kink."""
    excess = 1 - margin
    inner = ((excess + HUBER) / (2 * HUBER)).clamp(0, 1)
    curved = (inner > 0) & (inner < 1)
    value = torch.where(curved, (excess + HUBER) ** 2 / (4 * HUBER), excess.clamp(min=0))
    return value, -inner, curved.to(margin) / (2 * HUBER)


def _newton(Z: Tensor, labels: Tensor, weights: Tensor, loss, iterations: int = 60) -> Tensor:
    """Minimize sum_t weights_t loss(labels_t v.z_t) + RIDGE ||v||^2 / 2 by damped Newton steps."""
    signed = labels[:, None] * Z
    v = torch.zeros_like(Z[0])
    eye = torch.eye(len(v), dtype=v.dtype, device=v.device)

    def objective(point: Tensor) -> Tensor:
        return (weights * loss(signed @ point)[0]).sum() + RIDGE * point.square().sum() / 2

    for _ in range(iterations):
        _, slope, curvature = loss(signed @ v)
        gradient = signed.T @ (weights * slope) + RIDGE * v
        H = signed.T @ ((weights * curvature)[:, None] * signed) + RIDGE * eye
        step, start = torch.linalg.solve(H, gradient), objective(v)
        decrease, length = (gradient * step).sum(), 1.0
        while length > 1e-6 and objective(v - length * step) > start - 1e-4 * length * decrease:
            length /= 2
        v = v - length * step
        if decrease < 1e-12:
            break
    return v


def _perceptron(Z: Tensor, labels: Tensor, weights: Tensor, iterations: int = 200) -> Tensor:
    """The batch perceptron with a pocket: the visited v with the least weighted error."""
    v = torch.zeros_like(Z[0])
    v[-1] = unit_sign((weights * labels).sum())
    best, kept = -torch.inf, v
    for _ in range(iterations):
        agreement = labels * unit_sign(Z @ v)
        score = (weights * agreement).sum().item()
        if score > best:
            best, kept = score, v
        wrong = agreement < 0
        if not bool(wrong.any()):
            break
        v = v + (weights * labels * wrong) @ Z
    return kept


def refine_tanh(Z: Tensor, q: Tensor, v: Tensor, steps: int = 200) -> Tensor:
    """Normalized gradient ascent on |sum_t q_t tanh(v.z_t)| from v, the best visited point."""
    v = v / v.norm().clamp(min=torch.finfo(v.dtype).tiny)
    sign = unit_sign((q * torch.tanh(Z @ v)).sum())
    best, kept = -torch.inf, v
    for k in range(steps):
        unit = torch.tanh(Z @ v)
        value = (sign * q * unit).sum().item()
        if value > best:
            best, kept = value, v
        gradient = Z.T @ (sign * q * (1 - unit**2))
        norm = gradient.norm()
        if norm <= 1e-12:
            break
        v = v + gradient / norm / (1 + k) ** 0.5
    return kept
