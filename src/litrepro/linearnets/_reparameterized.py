"""One heavy-ball step of w = w2 w1, a vector times a number: exactly, and as the review expands it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from litrepro import _validate


class ReparameterizedStep(NamedTuple):
    """``exact``, ``first_order``, ``eq44``, ``eq52`` (..., d); ``momentum_eff``, ``lr_eff``, ``alpha`` (...).

    Examples
    --------
    >>> import torch
    >>> w1, w2 = torch.tensor([1.0, 2.0]), torch.tensor(1.0)
    >>> step = reparameterized_step(w1, w2, torch.zeros(2), torch.tensor(0.0), lambda w: w, lr=0.125, momentum=0.5)
    >>> step.lr_eff.item(), step.momentum_eff.item()
    (0.125, -0.125)
    """

    exact: torch.Tensor
    first_order: torch.Tensor
    eq44: torch.Tensor
    eq52: torch.Tensor
    momentum_eff: torch.Tensor
    lr_eff: torch.Tensor
    alpha: torch.Tensor


def reparameterized_step(
    w1: torch.Tensor,
    w2: torch.Tensor,
    v1: torch.Tensor,
    v2: torch.Tensor,
    grad: Callable[[torch.Tensor], torch.Tensor],
    *,
    lr: float,
    momentum: float,
) -> ReparameterizedStep:
    """One step of heavy ball on both factors of w = w2 w1, and the expansions of its product.

    With G = grad(w), g2 = <G, w1> and primes for the previous values: eq52 = w - lr_eff G + momentum_eff (w - w') +
    alpha (w + w'). Without remainders exact - eq44 = lr^2 w2 g2 G and eq44 - eq52 = beta (1 + beta) v2 v1.

    Parameters
    ----------
    w1, v1
        (..., d): the vector, and its velocity (current minus previous value).
    w2, v2
        (...): the number, and its velocity. Neither w2 nor its previous value w2 - v2 may be 0: the expansions divide
        by them.
    grad
        ``(..., d) -> (..., d)``: gradient of the loss with respect to w.
    lr, momentum
        Step size > 0, and beta, any real number.

    Returns
    -------
    ReparameterizedStep: ``exact``, the product of the updated factors; ``first_order``, equation 16 without its
    remainder (it knows no momentum); ``eq44`` and ``eq52``, the review's expansions without their remainders;
    ``momentum_eff``, ``lr_eff``, ``alpha``, the coefficients of equation 52.

    Raises
    ------
    ValueError
        w2 or w2 - v2 zero somewhere, shapes or dtypes that do not fit, a bad step size, a ``grad`` of another shape.

    Source: equations 16, 44 and 52 of the review.

    Examples
    --------
    >>> import torch
    >>> w1, w2 = torch.tensor([1.0, 2.0]), torch.tensor(1.0)
    >>> v1, v2 = torch.tensor([0.5, 0.5]), torch.tensor(0.25)
    >>> step = reparameterized_step(w1, w2, v1, v2, lambda w: w, lr=0.125, momentum=0.5)
    >>> remainder = 0.125**2 * w2 * (w1 @ w1) * w1  # lr^2 w2 g2 G, as G = w1 here
    >>> torch.allclose(step.exact - step.eq44, remainder), torch.allclose(step.eq44 - step.eq52, 0.75 * v2 * v1)
    (True, True)
    """
    for name, value, dims in (("w1", w1, 1), ("v1", v1, 1), ("w2", w2, 0), ("v2", v2, 0)):
        _validate.float_tensor(name, value, dims)
    _validate.same_kind(w1=w1, w2=w2, v1=v1, v2=v2)
    _validate.function("grad", grad)
    if w1.shape != v1.shape or w2.shape != v2.shape or w2.shape != w1.shape[:-1]:
        shapes = [tuple(value.shape) for value in (w1, w2, v1, v2)]
        raise ValueError(f"w1, v1 must be (..., d) and w2, v2 (...), got w1, w2, v1, v2 of shapes {shapes}")
    lr = _validate.real("lr", lr, 0, open_low=True)
    beta = _validate.real("momentum", momentum)
    old2, old1 = w2 - v2, w1 - v1
    if bool((w2 == 0).any()) or bool((old2 == 0).any()):
        raise ValueError("w2 and its previous value w2 - v2 must not be 0: the expansions divide by them")
    w, old = w2[..., None] * w1, old2[..., None] * old1
    g = grad(w)
    if not isinstance(g, torch.Tensor) or g.shape != w.shape:
        raise ValueError(f"grad must return a tensor of shape {tuple(w.shape)}, got {getattr(g, 'shape', type(g))}")
    g2 = (g * w1).sum(-1)
    lr_eff = lr * w2 * ((1 + beta) * w2 - beta * old2)
    momentum_eff = beta - lr / 2 * g2 * ((1 + beta) / w2 + beta / old2)
    alpha = lr / 2 * g2 * (beta / old2 - (1 + beta) / w2)
    column = (value[..., None] for value in (w2, v2, old2, g2, lr_eff, momentum_eff, alpha))
    w2, v2, old2, g2, rate, velocity, sum_of = column
    return ReparameterizedStep(
        exact=(w1 - lr * w2 * g + beta * v1) * (w2 - lr * g2 + beta * v2),
        first_order=w - lr * w2**2 * g - lr * g2 / w2 * w,
        eq44=w
        - rate * g
        + (2 * beta + beta**2 - lr * (1 + beta) * g2 / w2) * w
        + (lr * beta * g2 / old2 + beta**2) * old
        - beta * (beta + 1) * (w1 * old2 + old1 * w2),
        eq52=w - rate * g + velocity * (w - old) + sum_of * (w + old),
        momentum_eff=momentum_eff,
        lr_eff=lr_eff,
        alpha=alpha,
    )
