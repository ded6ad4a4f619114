"""What Gauss-Newton leaves out of a Hessian, and how noisy two kinds of L-BFGS curvature are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.func import grad, hessian, jacrev, vmap

from litrepro import _validate
from litrepro.optim.curvature import gauss_newton_product
from litrepro.secondorder import _arguments


class HessianSplit(NamedTuple):
    """``hessian``, ``gauss_newton`` and ``second``, each (d, d); the first is the sum of the other two."""

    hessian: torch.Tensor
    gauss_newton: torch.Tensor
    second: torch.Tensor


def hessian_split(
    model: Callable[[torch.Tensor], torch.Tensor], loss: Callable[[torch.Tensor], torch.Tensor], w: torch.Tensor
) -> HessianSplit:
    """The Hessian of ``loss(model(w))`` and its two terms, as dense matrices from three independent derivatives.

    J' L J, column by column from ``gauss_newton_product``, and the sum over outputs k of the derivative of the loss
    with respect to output k times the Hessian of that output (Bottou, Curtis and Nocedal 2018, section 6.2).

    Parameters
    ----------
    model
        (d,) to outputs of any shape, twice differentiable.
    loss
        Outputs to ().
    w
        (d,); memory grows with d times (d + the number of outputs).

    Returns
    -------
    HessianSplit. Raises ``ValueError`` for a ``w`` that is not a floating-point vector and a loss that is not a number.

    Examples
    --------
    >>> split = hessian_split(torch.sin, lambda u: u.square().sum() / 2, torch.zeros(2))
    >>> split.gauss_newton.tolist()  # where the residual is 0 there is nothing else
    [[1.0, 0.0], [0.0, 1.0]]
    """
    _validate.float_tensor("w", w, 1)
    if w.ndim != 1 or not len(w):
        raise ValueError(f"w must have shape (d,), got {tuple(w.shape)}")
    _validate.function("model", model), _validate.function("loss", loss)
    w = w.detach()
    eye = torch.eye(len(w), dtype=w.dtype, device=w.device)
    columns = vmap(lambda v: gauss_newton_product(model, loss, w, v))(eye)
    slopes = grad(loss)(model(w))
    second = jacrev(jacrev(lambda at: (slopes * model(at)).sum()))(w)  # the sum over all outputs
    return HessianSplit(hessian(lambda at: loss(model(at)))(w), columns, second)


def pair_curvatures(
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    w: torch.Tensor,
    data: tuple[torch.Tensor, torch.Tensor],
    *,
    draws: int,
    batch: int = 50,
    step: float = 0.01,
    damping: float = 1e-3,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Curvature s.y / s.s along short gradient steps from ``w``, for three ways to get y, minibatches fresh each time.

    s is minus ``step`` times the gradient of a first minibatch. ``"two minibatches"``: y is the gradient of a second
    minibatch at w + s minus that of the first at w. ``"one minibatch"``: both of the first. ``"product"``: y is the
    second minibatch's Gauss-Newton matrix times s, plus damping times s (Byrd et al. 2016; Thiele et al. 2020).

    Parameters
    ----------
    model, loss
        As ``sqgn``.
    w
        (d,).
    data
        x and y of one length n; minibatches are drawn from it with replacement.
    draws, batch
        Number of pairs, and rows of a minibatch.
    step, damping
        > 0 and >= 0.

    Returns
    -------
    Dictionary from the three names to (draws,). Raises ``ValueError`` for counts < 1, step <= 0, damping < 0, a ``w``
    that is not a vector, and x and y of different lengths.

    Examples
    --------
    >>> x, y = torch.eye(3), torch.ones(3, 1)
    >>> found = pair_curvatures(lambda w, x: (x * w).sum(-1, keepdim=True), lambda u, y: ((u - y) ** 2).mean() / 2,
    ...                         torch.zeros(3), (x, y), draws=5, batch=4)
    >>> found["product"].shape, bool((found["product"] > 0).all())
    (torch.Size([5]), True)
    """
    _validate.float_tensor("w", w, 1)
    draws, batch = _validate.positive_int("draws", draws), _validate.positive_int("batch", batch)
    step = _validate.real("step", step, 0, open_low=True)
    damping = _validate.real("damping", damping, 0)
    if w.ndim != 1:
        raise ValueError(f"w must have shape (d,), got {tuple(w.shape)}")
    x, y = _arguments.task(model, loss, _arguments.trials(w, "w"), data)
    generator = torch.Generator().manual_seed(_validate.seed("seed", seed))
    first, other = torch.randint(len(x), (2, draws, batch), generator=generator, device="cpu").to(x.device)
    one, two = (x[first], y[first]), (x[other], y[other])

    def product(inputs, targets, v):
        return gauss_newton_product(lambda at: model(at, inputs), lambda u: loss(u, targets), w, v)

    gradient = vmap(grad(lambda at, inputs, targets: loss(model(at, inputs), targets)))
    w = w.detach()
    here = w.expand(draws, -1)
    before = gradient(here, *one)
    s = -step * before
    changes = {
        "two minibatches": gradient(here + s, *two) - before,
        "one minibatch": gradient(here + s, *one) - before,
        "product": vmap(product)(*two, s) + damping * s,
    }
    return {name: (change * s).sum(1) / s.square().sum(1) for name, change in changes.items()}
