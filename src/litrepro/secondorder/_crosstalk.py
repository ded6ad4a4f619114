"""Crosstalk: two parameters that explain the data almost alike, and what leaks from one into the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from litrepro import _validate
from litrepro.secondorder._newton_cg import conjugate_gradient


def crosstalk_leakage(
    seeds: Sequence[int], *, calls: int, size: int = 30, data: int = 120, correlation: float = 0.99, lr: float = 0.03
) -> dict[str, torch.Tensor]:
    """Invert d = K_1 a + K_2 b for a and b from data made with b = 0, all seeds at once.

    The entries of K_2 have the given correlation with those of K_1, as the kernels of two elastic parameters do over a
    small range of angles. Leakage is ||b|| / ||a_true|| after ``calls`` products with the normal matrix: one per
    gradient, one per conjugate-gradient step within Gauss-Newton.

    Parameters
    ----------
    seeds
        S problems.
    calls
        Products for each method.
    size, data
        Unknowns per parameter and number of data, data >= 2 size.
    lr
        Adam's step size; gradient descent takes 1/L.

    Returns
    -------
    Dictionary from ``"gradient descent"``, ``"Adam"``, ``"Gauss-Newton"`` to leakages (S,), float64.

    Raises ``ValueError`` for counts < 1, data < 2 size, correlation outside [0, 1), lr <= 0.

    Examples
    --------
    >>> leakage = crosstalk_leakage([0, 1], calls=60, size=3, data=12)
    >>> bool((leakage["Gauss-Newton"] < leakage["gradient descent"]).all())
    True
    """
    size, calls = _validate.positive_int("size", size), _validate.positive_int("calls", calls)
    data = _validate.positive_int("data", data, 2 * size)
    correlation = _validate.real("correlation", correlation, 0, 1, open_high=True)
    lr = _validate.real("lr", lr, 0, open_low=True)
    seeds = _validate.sequence("seeds", seeds)
    K, truth = _problem(seeds, size, data, correlation)
    A = K.mT @ K / data
    b = (A @ truth[..., None])[..., 0]

    def product(v: torch.Tensor) -> torch.Tensor:
        return (A @ v[..., None])[..., 0]

    found = {
        "gradient descent": _descend(product, A, b, calls),
        "Adam": _adam(product, b, calls, lr),
        "Gauss-Newton": conjugate_gradient(product, b, steps=calls),
    }
    return {name: m[:, size:].norm(dim=-1) / truth.norm(dim=-1) for name, m in found.items()}


def _problem(seeds, size, data, correlation):
    kernels, truths = [], []
    for seed in seeds:
        generator = torch.Generator().manual_seed(_validate.seed("seed", seed))
        first, other = torch.randn(2, data, size, generator=generator, dtype=torch.float64, device="cpu")
        kernels.append(torch.cat([first, correlation * first + (1 - correlation**2) ** 0.5 * other], 1))
        truths.append(
            torch.cat(
                [
                    torch.randn(size, generator=generator, dtype=torch.float64, device="cpu"),
                    torch.zeros(size, device="cpu").double(),
                ]
            )
        )
    return torch.stack(kernels), torch.stack(truths)


def _descend(product, A, b, calls):
    step = 1 / torch.linalg.eigvalsh(A)[:, -1:]
    m = torch.zeros_like(b)
    for _ in range(calls):
        m = m - step * (product(m) - b)
    return m


def _adam(product, b, calls, lr):
    m = torch.zeros_like(b, requires_grad=True)
    optimizer = torch.optim.Adam([m], lr=lr)
    for _ in range(calls):
        m.grad = product(m.detach()) - b
        optimizer.step()
    return m.detach()
