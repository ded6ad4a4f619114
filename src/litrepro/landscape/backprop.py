"""Backpropagation by hand: forward and backward recursions, the naive chain rule, and what they cost.

Layers l = 1..k: u_l = W_l x_{l-1} + b_l, x_l = s(u_l), the activation s on every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from litrepro import _validate

_ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "identity": (lambda u: u, torch.ones_like),
    "relu": (torch.relu, lambda u: (u > 0).to(u.dtype)),
    "tanh": (torch.tanh, lambda u: 1 - torch.tanh(u) ** 2),
    "sigmoid": (torch.sigmoid, lambda u: torch.sigmoid(u) * (1 - torch.sigmoid(u))),
}
Tensors = list[torch.Tensor]


def forward(
    W: Sequence[torch.Tensor], b: Sequence[torch.Tensor], x: torch.Tensor, activation: str = "tanh"
) -> tuple[Tensors, Tensors]:
    """All pre-activations u_1..u_k and values x_0..x_k of a network.

    ``W[l]`` (n_l, n_{l-1}), ``b[l]`` (n_l,), ``x`` (..., n_0); activation "identity", "relu", "tanh" or "sigmoid".
    Raises ``ValueError`` for shapes that do not chain, tensors of different dtypes or devices, unequal lists and an
    unknown activation.
    """
    _check(W, b, x, activation)
    s = _ACTIVATIONS[activation][0]
    us, xs = [], [x]
    for weight, bias in zip(W, b):
        us.append(xs[-1] @ weight.T + bias)
        xs.append(s(us[-1]))
    return us, xs


def backward(
    W: Sequence[torch.Tensor], us: Tensors, xs: Tensors, dx: torch.Tensor, activation: str = "tanh"
) -> tuple[Tensors, Tensors, torch.Tensor]:
    """Gradients by one sweep from the output: du = dx * s'(u), dW = du x', db = du, dx <- W' du.

    ``dx`` (..., n_k) is the gradient of the loss at the output. Returns dW (list of (..., n_l, n_{l-1})), db (list of
    (..., n_l)) and the gradient at the input (..., n_0). Raises ``ValueError`` as ``forward``, and for values whose
    leading dimensions differ.
    """
    _check_back(W, us, xs, dx, activation)
    slope = _ACTIVATIONS[activation][1]
    gW, gb = [None] * len(W), [None] * len(W)
    for layer in reversed(range(len(W))):
        du = dx * slope(us[layer])
        gW[layer] = du[..., :, None] * xs[layer][..., None, :]
        gb[layer] = du
        dx = du @ W[layer]
    return gW, gb, dx


def backward_naive(
    W: Sequence[torch.Tensor], us: Tensors, xs: Tensors, dx: torch.Tensor, activation: str = "tanh"
) -> tuple[Tensors, Tensors, torch.Tensor]:
    """The same gradients with the chain from the output recomputed for every layer: O(k^2) products instead of O(k)."""
    _check_back(W, us, xs, dx, activation)
    slope = _ACTIVATIONS[activation][1]

    def chained(stop: int) -> torch.Tensor:
        """Gradient at x_stop, all the way from the output."""
        d = dx
        for layer in reversed(range(stop, len(W))):
            d = (d * slope(us[layer])) @ W[layer]
        return d

    gW, gb = [], []
    for layer in range(len(W)):
        du = chained(layer + 1) * slope(us[layer])
        gW.append(du[..., :, None] * xs[layer][..., None, :])
        gb.append(du)
    return gW, gb, chained(0)


def multiplications(widths: Sequence[int], method: str) -> int:
    """Scalar multiplications for one input of a network with the given widths n_0..n_k.

    ``"forward"``: sum n_l n_{l-1}. ``"backprop"``: forward + sum_l (n_l + 2 n_l n_{l-1}). ``"naive"``: forward +
    sum_l [n_l + n_l n_{l-1} + sum_{j>l} (n_j + n_j n_{j-1})] + sum_j (n_j + n_j n_{j-1}).

    Raises ``ValueError`` for fewer than two widths, a width below 1 or an unknown method.
    """
    n = [_validate.positive_int("width", width) for width in _validate.sequence("widths", widths)]
    if len(n) < 2:
        raise ValueError(f"widths must name input and output at least, got {list(widths)}")
    _validate.choice("method", method, ("forward", "backprop", "naive"))
    layers = range(1, len(n))
    products = {l: n[l] * n[l - 1] for l in layers}
    ahead = sum(products.values())
    if method == "forward":
        return ahead
    if method == "backprop":
        return ahead + sum(n[l] + 2 * products[l] for l in layers)
    chain = {l: n[l] + products[l] for l in layers}
    own = sum(chain[l] + sum(chain[j] for j in layers if j > l) for l in layers)
    return ahead + own + sum(chain.values())


def _check(W: Sequence[torch.Tensor], b: Sequence[torch.Tensor], x: torch.Tensor, activation: str) -> None:
    _validate.choice("activation", activation, tuple(_ACTIVATIONS))
    _validate.float_tensor("x", x, 1)
    W, b = _layers("W", W, 2), _layers("b", b, 1)
    if len(W) != len(b) or not W:
        raise ValueError(f"need as many weights as biases, at least one; got {len(W)} and {len(b)}")
    width = x.shape[-1]
    for layer, (weight, bias) in enumerate(zip(W, b), start=1):
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"layer {layer}: weight {tuple(weight.shape)} and bias {tuple(bias.shape)} do not fit width {width}"
            )
        width = weight.shape[0]
    _one_kind({"W": W, "b": b}, x=x)


def _layers(name: str, tensors: Sequence[torch.Tensor], dims: int) -> Tensors:
    found = _validate.sequence(name, tensors, 0)
    return [_validate.float_tensor(f"{name}[{layer}]", tensor, dims) for layer, tensor in enumerate(found)]


def _check_back(W: Sequence[torch.Tensor], us: Tensors, xs: Tensors, dx: torch.Tensor, activation: str) -> None:
    _validate.choice("activation", activation, tuple(_ACTIVATIONS))
    W = _layers("W", W, 2)
    us, xs, dx = _layers("us", us, 1), _layers("xs", xs, 1), _validate.float_tensor("dx", dx, 1)
    if not W or len(us) != len(W) or len(xs) != len(W) + 1:
        raise ValueError(f"need k weights, k pre-activations, k + 1 values; got {len(W)}, {len(us)}, {len(xs)}")
    for layer, weight in enumerate(W):
        if weight.ndim != 2 or us[layer].shape[-1] != weight.shape[0] or xs[layer].shape[-1] != weight.shape[1]:
            raise ValueError(f"layer {layer + 1}: weight {tuple(weight.shape)} does not fit its values")
    if dx.shape != us[-1].shape:
        raise ValueError(f"dx must have the shape of the output {tuple(us[-1].shape)}, got {tuple(dx.shape)}")
    # What is left over would broadcast in silence, to gradients of no function.
    batches = sorted({tuple(values.shape[:-1]) for values in (*us, *xs)})
    if len(batches) > 1:
        raise ValueError(f"us and xs must have the same leading dimensions everywhere, got {batches}")
    _one_kind({"W": W, "us": us, "xs": xs}, dx=dx)


def _one_kind(lists: dict[str, Tensors], **tensors: torch.Tensor) -> None:
    layers = {f"{name}[{layer}]": tensor for name, found in lists.items() for layer, tensor in enumerate(found)}
    _validate.same_kind(**layers, **tensors)
