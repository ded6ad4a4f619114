"""Population loss and gradient of ReLU neurons under Gaussian inputs, in closed form."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._scaling import length
from litrepro.shallow import _arguments


class _Neurons(NamedTuple):
    """Rows (..., K, d), their lengths (..., K), and unit rows (zero rows stay zero)."""

    rows: torch.Tensor
    lengths: torch.Tensor
    unit: torch.Tensor


def _neurons(rows: torch.Tensor) -> _Neurons:
    lengths = length(rows)
    return _Neurons(rows, lengths, rows / torch.where(lengths > 0, lengths, 1)[..., None])


def _angles(u: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Angles (..., K, M) between unit rows, and their sines (without meaning next to a zero row)."""
    # 2 atan2(|u - v|, |u + v|) keeps its digits near 0 and pi, where arccos(u.v) loses half of them and autograd all.
    mode = "donot_use_mm_for_euclid_dist"
    apart, along = torch.cdist(u, v, compute_mode=mode), torch.cdist(u, -v, compute_mode=mode)
    return 2 * torch.atan2(apart, along), apart * along / 2


def _pair(U: torch.Tensor, V: torch.Tensor, names: tuple[str, str] = ("W", "W_star")) -> torch.Size:
    """Two sets of neurons between which torch has distances."""
    batch = _arguments.pair(U, V, names)
    _arguments.decomposable(names[0], U)
    return batch


def relu_kernel(U: torch.Tensor, V: torch.Tensor) -> torch.Tensor:
    """E relu(u.x) relu(v.x) = |u| |v| (sin t + (pi - t) cos t) / (2 pi), x ~ N(0, I), t the angle of u and v.

    Parameters
    ----------
    U, V
        Rows (..., K, d) and (..., M, d); batch dimensions broadcast.

    Returns
    -------
    (..., K, M). Raises ``ValueError`` for dimensions that do not match, and half precision.

    Source: Cho and Saul 2009, equation 6; Brutzkus and Globerson 2017, section 3.

    Examples
    --------
    >>> import torch
    >>> relu_kernel(torch.eye(2), torch.eye(2))  # 1/2 for equal, 1/(2 pi) for orthogonal neurons
    tensor([[0.5000, 0.1592],
            [0.1592, 0.5000]])
    """
    _pair(U, V, ("U", "V"))
    u, v = _neurons(U), _neurons(V)
    batch = _validate.broadcast(U=U.shape[:-2], V=V.shape[:-2])
    angle, _ = _angles(*(each.unit.expand(*batch, *each.unit.shape[-2:]) for each in (u, v)))
    lengths = u.lengths[..., :, None] * v.lengths[..., None, :]
    return lengths * (angle.sin() + (math.pi - angle) * angle.cos()) / (2 * math.pi)


def population_loss(W: torch.Tensor, W_star: torch.Tensor) -> torch.Tensor:
    """Half the mean squared difference of two ReLU networks under x ~ N(0, I); numbers of neurons may differ.

    Parameters
    ----------
    W, W_star
        Neurons as rows, (..., K, d) and (..., M, d).

    Returns
    -------
    (...), at least 0, zero at equality. Raises ``ValueError`` for dimensions that do not match, and half precision.

    Source: definition 3.1 of the review; Tian 2017.

    Examples
    --------
    >>> import torch
    >>> W = torch.tensor([[1.0, 0.0]])
    >>> bool(population_loss(W, W) < 1e-6), round(population_loss(2 * W, W).item(), 4)  # (1/2) E relu(x)^2 = 1/4
    (True, 0.25)
    """
    _pair(W, W_star)
    parts = [relu_kernel(first, second).sum((-2, -1)) for first, second in ((W, W), (W, W_star), (W_star, W_star))]
    return (0.5 * (parts[0] - 2 * parts[1] + parts[2])).clamp(min=0)


def population_gradient(W: torch.Tensor, W_star: torch.Tensor) -> torch.Tensor:
    """Gradient of ``population_loss`` in W: sum_j' f(w_j, w_j') - sum_j' f(w_j, w*_j').

    f(u, v) = [(pi - t) v + |v| sin t u/|u|] / (2 pi); at a zero neuron, where the loss has no gradient, the term in
    u/|u| is left out and t is pi/2.

    Returns
    -------
    (..., K, d), finite wherever pi times the sum of the neurons' lengths is. Raises ``ValueError`` for dimensions that
    do not match, and half precision.

    Source: Tian 2017, theorem 1; equation 13 of the review.

    Examples
    --------
    >>> import torch
    >>> W = torch.tensor([[2.0]])
    >>> population_gradient(W, W / 2).round(decimals=4)  # (2 - 1) / 2
    tensor([[0.5000]])
    """
    batch = _pair(W, W_star)
    return _gradient(_neurons(W), _neurons(W_star), batch)


def _gradient(student: _Neurons, teacher: _Neurons, batch: torch.Size) -> torch.Tensor:
    """The gradient (..., K, d); both sets of neurons in one go, which halves the way to the kernels."""
    k, unit = student.rows.shape[-2], student.unit.expand(*batch, *student.unit.shape[-2:])
    angle, sine = _angles(unit, torch.cat([unit, teacher.unit.expand(*batch, *teacher.unit.shape[-2:])], -2))
    turned = math.pi - angle
    toward = turned[..., :k] @ student.rows - turned[..., k:] @ teacher.rows
    along = (sine[..., :k] @ student.lengths[..., None]) - (sine[..., k:] @ teacher.lengths[..., None])
    return (toward + along * student.unit) / (2 * math.pi)


def population_descent(
    W0: torch.Tensor, W_star: torch.Tensor, *, step: float | torch.Tensor, iterations: int, every: int = 1
) -> torch.Tensor:
    """Gradient descent on ``population_loss``: infinitely many samples.

    Parameters
    ----------
    W0, W_star
        Start (..., K, d) and teacher (..., M, d).
    step
        Not negative: a number or a tensor of batch shape.
    iterations, every
        Number of steps, and how many of them lie between two stored iterates.

    Returns
    -------
    Path (iterations // every + 1, ..., K, d), the start included.

    Examples
    --------
    >>> import torch
    >>> W_star = torch.tensor([[1.0]])
    >>> path = population_descent(2 * W_star, W_star, step=1.0, iterations=3)
    >>> path.flatten().round(decimals=4)  # half of the difference per step
    tensor([2.0000, 1.5000, 1.2500, 1.1250])
    """
    batch = _pair(W0, W_star, ("W0", "W_star"))
    iterations = _validate.positive_int("iterations", iterations, 0)
    every = _validate.positive_int("every", every)
    if isinstance(step, torch.Tensor):
        batch = _validate.broadcast(batch=batch, step=step.shape)
    size = _arguments.step_size("step", step, batch, W0, trailing=2)
    W, teacher = W0.expand(*batch, *W0.shape[-2:]), _neurons(W_star)
    path = [W]
    for t in range(iterations):
        W = W - size * _gradient(_neurons(W), teacher, batch)
        if (t + 1) % every == 0:
            path.append(W)
    return torch.stack(path)
