"""Ensembles of trained networks: the non-convex side of every comparison with a convex optimum."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from litrepro import _validate
from litrepro.convexnets import _arguments
from litrepro.convexnets._descent import adam


def relu_networks(
    X: Tensor,
    y: Tensor,
    beta: float,
    width: int,
    starts: int,
    *,
    steps: int = 1500,
    lr: float = 0.03,
    generator: torch.Generator | int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Train two-layer networks on ||(X W')_+ a - y||^2 / 2 + (beta / 2)(||W||^2 + ||a||^2) from Gaussian starts.

    ``X (..., n, d)``, ``y (..., n)``; returns W (..., starts, m, d), a (..., starts, m) and the final objectives
    (..., starts). Raises ``ValueError`` for width or starts < 1, beta <= 0, shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> W, a, value = relu_networks(torch.eye(2), torch.ones(2), 0.1, 4, 3, steps=5)
    >>> W.shape, value.shape
    (torch.Size([3, 4, 2]), torch.Size([3]))
    """
    X, y = _arguments.data(X, y)
    beta = _arguments.positive("beta", beta, X)
    width, starts = _validate.positive_int("width", width), _validate.positive_int("starts", starts)
    shape = _validate.broadcast(X=X.shape[:-2], y=y.shape[:-1])
    _arguments.within((*shape, starts), beta=beta)
    source = _validate.random_source("generator", generator)
    options = {"generator": source, "dtype": X.dtype, "device": source.device}
    W = torch.randn(*shape, starts, width, X.shape[-1], **options).to(X.device)
    a = torch.randn(*shape, starts, width, **options).to(X.device)
    scale = width**-0.25
    inputs, targets = X.mT, y[..., None, :]
    decay = beta[..., None]

    def forward(W: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        seen = (W.flatten(-3, -2) @ inputs).unflatten(-2, W.shape[-3:-1]).clamp_(min=0)  # (..., starts, m, n)
        return seen, (a[..., None, :] @ seen)[..., 0, :] - targets

    def slopes(W: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:  # by hand: for so few neurons a graph costs more
        seen, residual = forward(W, a)
        by_last = (residual[..., None, :] @ seen.mT)[..., 0, :].add_(decay * a)
        back = seen.sign_().mul_(residual[..., None, :]).mul_(a[..., None])
        by_weight = (back.flatten(-3, -2) @ X).unflatten(-2, W.shape[-3:-1])
        return by_weight + decay[..., None] * W, by_last

    W, a = adam(slopes, [scale * W, scale * a], steps=steps, lr=lr)
    penalty = W.square().sum((-1, -2)) + a.square().sum(-1)
    return W, a, forward(W, a)[1].square().sum(-1) / 2 + beta / 2 * penalty


def subnetworks(
    X: Tensor,
    y: Tensor,
    beta: float,
    hidden: int,
    count: int,
    starts: int,
    *,
    steps: int = 1500,
    lr: float = 0.03,
    generator: torch.Generator | int | None = None,
) -> Tensor:
    """Train sums of ``count`` three-layer sub-networks ((X W_1)_+ w_2)_+ w_3, the review's equation 38.

    The penalty is (beta / 2) sum_k (||w_2k||^2 + w_3k^2) with ||W_1k||_F = 1, kept by normalization. ``X (n, d)``,
    ``y (n,)``; returns the final objectives (starts,). Raises ``ValueError`` as ``relu_networks``.

    Examples
    --------
    >>> import torch
    >>> subnetworks(torch.eye(2), torch.ones(2), 0.1, 3, 2, 4, steps=5).shape
    torch.Size([4])
    """
    X, y = _arguments.data(X, y)
    beta = _arguments.positive("beta", beta, X)
    hidden, count = _validate.positive_int("hidden", hidden), _validate.positive_int("count", count)
    starts = _validate.positive_int("starts", starts)
    if X.ndim != 2 or y.ndim != 1:
        raise ValueError(f"X must be (n, d) and y (n,), got {tuple(X.shape)} and {tuple(y.shape)}")
    _arguments.within((starts,), beta=beta)
    source = _validate.random_source("generator", generator)

    def draw(*shape: int) -> Tensor:
        return torch.randn(starts, count, *shape, generator=source, dtype=X.dtype, device=source.device).to(X.device)

    # Sub-networks of all starts come last: then every kernel runs over long rows.
    members = starts * count
    decay = beta.expand(starts).repeat_interleave(count)

    def forward(W1: Tensor, w2: Tensor, w3: Tensor) -> tuple[Tensor, ...]:
        size = torch.linalg.vector_norm(W1, dim=(0, 1)).clamp(min=1e-12)
        unit = W1 / size
        first = (X @ unit.flatten(1)).unflatten(1, (hidden, members)).clamp_(min=0)  # (n, m1, members)
        second = (w2 * first).sum(1).clamp_(min=0)
        residual = (second * w3).unflatten(1, (starts, count)).sum(-1) - y[:, None]  # (n, starts)
        return size, unit, first, second, residual

    def slopes(W1: Tensor, w2: Tensor, w3: Tensor) -> tuple[Tensor, ...]:  # by hand: a graph of them costs more
        size, unit, first, second, residual = forward(W1, w2, w3)
        pull = residual.repeat_interleave(count, dim=1)
        by_last = (second * pull).sum(0) + decay * w3
        back = second.sign_().mul_(pull).mul_(w3)  # (n, members)
        by_second = (back[:, None] * first).sum(0) + decay * w2
        by_unit = (X.mT @ first.sign_().mul_(back[:, None]).mul_(w2).flatten(1)).unflatten(1, (hidden, members))
        along = (unit * by_unit).sum((0, 1))  # the norm of W1 does not matter
        return (by_unit - along * unit) / size, by_second, by_last

    drawn = [draw(X.shape[1], hidden), draw(hidden), draw(1)[..., 0]]
    W1, w2, w3 = adam(slopes, [part.flatten(0, 1).movedim(0, -1).contiguous() for part in drawn], steps=steps, lr=lr)
    penalty = (w2.square().sum(0) + w3.square()).unflatten(0, (starts, count)).sum(-1)
    return forward(W1, w2, w3)[-1].square().sum(0) / 2 + beta / 2 * penalty


def linear_networks(
    X: Tensor,
    Y: Tensor,
    layers: int,
    beta: float,
    width: int,
    starts: int,
    *,
    steps: int = 3000,
    lr: float = 0.02,
    scale: float = 0.5,
    generator: torch.Generator | int | None = None,
) -> tuple[list[Tensor], Tensor]:
    """Train deep linear networks on ||X W_1 ... W_L - Y||^2 / 2 + (beta / 2) sum ||W_l||^2.

    ``X (n, d)``, ``Y (n, K)``; returns the layers, each (starts, ., .), and the final objectives (starts,). Raises
    ``ValueError`` for layers < 2, beta <= 0 and shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> W, value = linear_networks(torch.eye(2), torch.ones(2, 1), 3, 0.1, 4, 5, steps=3)
    >>> [tuple(part.shape) for part in W]
    [(5, 2, 4), (5, 4, 4), (5, 4, 1)]
    """
    return _deep(X, Y, layers, beta, width, starts, steps, lr, scale, generator, relu=False)


def deep_relu_networks(
    X: Tensor,
    Y: Tensor,
    layers: int,
    beta: float,
    width: int,
    starts: int,
    *,
    steps: int = 3000,
    lr: float = 0.02,
    scale: float = 0.5,
    generator: torch.Generator | int | None = None,
) -> tuple[list[Tensor], Tensor]:
    """As ``linear_networks`` with a ReLU after every layer but the last.

    Examples
    --------
    >>> import torch
    >>> W, value = deep_relu_networks(torch.eye(2), torch.eye(2), 2, 0.1, 4, 5, steps=3)
    >>> value.shape
    torch.Size([5])
    """
    return _deep(X, Y, layers, beta, width, starts, steps, lr, scale, generator, relu=True)


def _deep(X, Y, layers, beta, width, starts, steps, lr, scale, generator, *, relu: bool) -> tuple[list[Tensor], Tensor]:
    X, Y = _arguments.double("X", X, 2), _arguments.double("Y", Y, 2)
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y):
        raise ValueError(f"X must be (n, d) and Y (n, K), got {tuple(X.shape)} and {tuple(Y.shape)}")
    layers, width = _validate.positive_int("layers", layers, 2), _validate.positive_int("width", width)
    starts, beta = _validate.positive_int("starts", starts), _validate.real("beta", beta, 0, open_low=True)
    scale, lr = _validate.real("scale", scale), _validate.real("lr", lr, 0, open_low=True)
    steps = _validate.positive_int("steps", steps)
    source = _validate.random_source("generator", generator)
    sizes = [X.shape[1], *[width] * (layers - 1), Y.shape[1]]
    draws = [
        scale * torch.randn(starts, fan_in, fan_out, generator=source, dtype=X.dtype, device=source.device).to(X.device)
        for fan_in, fan_out in itertools.pairwise(sizes)
    ]

    def forward(*W: Tensor) -> tuple[list[Tensor], Tensor]:
        """What every layer sees, and the residual."""
        seen = [X]
        for part in W[:-1]:
            z = seen[-1] @ part
            seen.append(z.clamp_(min=0) if relu else z)
        return seen, seen[-1] @ W[-1] - Y

    def slopes(*W: Tensor) -> list[Tensor]:  # by hand: for so few neurons a graph costs more
        seen, back = forward(*W)
        gradients = []
        for layer in reversed(range(layers)):
            gradients.append((seen[layer].mT @ back).add_(W[layer], alpha=beta))
            if layer:
                back = back @ W[layer].mT
                if relu:
                    back *= seen[layer].sign()
        return gradients[::-1]

    W = adam(slopes, draws, steps=steps, lr=lr)
    penalty = sum(part.square().sum((-1, -2)) for part in W)
    return W, forward(*W)[-1].square().sum((-1, -2)) / 2 + beta / 2 * penalty
