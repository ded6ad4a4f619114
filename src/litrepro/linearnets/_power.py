"""The l_p regression loss and its gradient."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.linearnets import _arguments


def power_loss(W: torch.Tensor, x: torch.Tensor, y: torch.Tensor, p: float = 2.0) -> torch.Tensor:
    """The l_p loss (1/(p m)) sum |W x^T - y|^p over outputs and samples.

    Parameters
    ----------
    W
        (..., k, d).
    x
        (m, d), or a batch of data sets (..., m, d).
    y
        (k, m) or (..., k, m). Data of another dtype or device are brought to those of W.
    p
        Power, > 1.

    Returns
    -------
    (...).

    Raises
    ------
    ValueError
        p <= 1 or not finite, sizes that do not fit, no samples.

    Source: Arora, Cohen and Hazan 2018, section 3.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.ones(2, 1), torch.tensor([[1.0, 3.0]])
    >>> power_loss(torch.zeros(1, 1), x, y), power_loss(torch.zeros(1, 1), x, y, 4.0)  # (1 + 9)/4, (1 + 81)/8
    (tensor(2.5000), tensor(10.2500))
    """
    p = check(W, x, y, p)
    r = torch.matmul(W, x.to(W).mT) - y.to(W)
    powers = r.square() if p == 2 else r.abs().pow(p)
    return powers.sum((-2, -1)) / (p * x.shape[-2])


def power_loss_grad(W: torch.Tensor, x: torch.Tensor, y: torch.Tensor, p: float = 2.0) -> torch.Tensor:
    """Gradient of ``power_loss``: (1/m) (|r|^{p-1} sign r) x with r = W x^T - y, (..., k, d).

    Parameters, errors and source: see ``power_loss``.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.ones(2, 1), torch.tensor([[1.0, 3.0]])
    >>> power_loss_grad(torch.zeros(1, 1), x, y).item(), power_loss_grad(torch.full((1, 1), 2.0), x, y).item()
    (-2.0, 0.0)
    """
    check(W, x, y, p)
    x = x.to(W)
    r = torch.matmul(W, x.mT) - y.to(W)
    return torch.matmul(slope(r, p), x) / x.shape[-2]


def slope(r: torch.Tensor, p: float) -> torch.Tensor:
    """|r|^{p-1} sign r."""
    if p == 2:
        return r
    if p == 4:
        return r * r * r
    return r.abs().pow(p - 1) * r.sign()


def check(W: torch.Tensor, x: torch.Tensor, y: torch.Tensor, p: float) -> float:
    """p, once everything fits."""
    _arguments.matrix("W", W)
    _validate.float_tensor("x", x, 2)
    _validate.float_tensor("y", y, 2)
    p = _validate.real("p", p, 1, open_low=True)
    m, d = x.shape[-2:]
    if m < 1 or d != W.shape[-1] or tuple(y.shape[-2:]) != (W.shape[-2], m):
        raise ValueError(
            f"W (..., k, d), x (m, d) and y (..., k, m) with m >= 1 must fit, got {tuple(W.shape)}, "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    try:
        torch.broadcast_shapes(W.shape[:-2], x.shape[:-2], y.shape[:-2])
    except RuntimeError:
        raise ValueError(f"batches of W {tuple(W.shape)}, x {tuple(x.shape)}, y {tuple(y.shape)} differ") from None
    return p
