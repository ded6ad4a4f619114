"""Dual bounds of the convex relaxation: one backward pass per bound, batched over examples and classes."""

from __future__ import annotations

import math

import torch
from torch import nn

from litrepro import _validate
from litrepro.robustness._arguments import Box
from litrepro.robustness._intervals import Bounds, class_labels, input_box, propagate
from litrepro.robustness._layers import Layers, affine_layers


def dual_margins(
    layers: Layers | nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    box: Box = (0.0, 1.0),
    bounds: Bounds | None = None,
    steps: int = 0,
    lr: float = 0.1,
) -> torch.Tensor:
    """Lower bounds of f_y - f_j over the l_inf ball from the dual of the triangle relaxation.

    A unit with pre-activation bounds l < 0 < u lies between a line through the origin of slope a in [0, 1] below and
    the chord u (z - l) / (u - l) above. Going backward, negative coefficients take the chord and add -nu u l / (u - l),
    positive ones take a. ``steps=0`` fixes a = u / (u - l) (Wong and Kolter 2017); otherwise a is optimized for every
    example, class and unit, which closes the gap to the linear program (Salman et al. 2019; Xu et al. 2020).

    Parameters
    ----------
    layers
        List of ``(W (h', h), b (h'))`` or a network that ``affine_layers`` converts.
    x, y
        (n, *shape) and labels (n,).
    eps
        Radius, a number or (n,).
    box
        (low, high) of valid inputs, or None.
    bounds
        Pre-activation bounds ``[(l, u)]`` of the hidden layers at least, each (n, h); default: intervals.
    steps, lr
        Steps of projected Adam on the slopes and its first step size, which falls to zero.

    Returns
    -------
    (n, K) float64, detached, 0 at j = y. Every value is a valid bound; with ``steps`` it is never below that of
    ``steps=0``.

    Raises
    ------
    ValueError
        As ``interval_bounds``; steps < 0, lr <= 0, bounds that do not fit or are not finite.

    Examples
    --------
    >>> import torch
    >>> layers = [(torch.eye(2), torch.zeros(2)), (torch.eye(2), torch.zeros(2))]
    >>> dual_margins(layers, torch.tensor([[0.75, 0.25]]), torch.tensor([0]), 0.125)
    tensor([[0.0000, 0.2500]], dtype=torch.float64)
    """
    layers = [(w.detach().double(), b.detach().double()) for w, b in affine_layers(layers)]
    low, high = input_box(layers, x, eps, box)
    y = class_labels(y, low, layers)
    steps, lr = _validate.positive_int("steps", steps, 0), _validate.real("lr", lr, 0, open_low=True)
    bounds = hidden_bounds(layers, low, high, bounds)
    weight, bias = layers[-1]
    nu = weight[y][:, None] - weight
    constant = bias[y][:, None] - bias
    return lower_bounds(layers[:-1], bounds, low, high, nu, constant, steps, lr)


def dual_bounds(
    layers: Layers | nn.Module,
    x: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    box: Box = (0.0, 1.0),
    steps: int = 0,
    lr: float = 0.1,
) -> Bounds:
    """Pre-activation bounds of every layer from the dual relaxation, layer by layer, never looser than intervals.

    Arguments and errors as ``dual_margins``. Returns ``[(l, u)]``, each (n, h) float64, detached; the first layer's are
    the intervals, which are exact there. Two dual bounds per unit make the next layer's relaxation tighter.

    Examples
    --------
    >>> import torch
    >>> layers = [(torch.eye(2), torch.zeros(2)), (torch.tensor([[1.0, -1.0]]), torch.zeros(1))]
    >>> [tuple(l.shape) for l, u in dual_bounds(layers, torch.full((3, 2), 0.5), 0.1)]
    [(3, 2), (3, 1)]
    """
    layers = [(w.detach().double(), b.detach().double()) for w, b in affine_layers(layers)]
    low, high = input_box(layers, x, eps, box)
    steps, lr = _validate.positive_int("steps", steps, 0), _validate.real("lr", lr, 0, open_low=True)
    found = propagate(layers[:1], low, high)
    for number in range(1, len(layers)):
        weight, bias = layers[number]
        nu = torch.cat([weight, -weight]).expand(len(low), -1, -1)
        constant = torch.cat([bias, -bias]).expand(len(low), -1)
        values = lower_bounds(layers[:number], found, low, high, nu, constant, steps, lr)
        below, above = values[:, : len(bias)], -values[:, len(bias) :]
        loose = propagate(layers[number : number + 1], *(bound.relu() for bound in found[-1]))[0]
        lower, upper = torch.maximum(below, loose[0]), torch.minimum(above, loose[1])
        # Where both are the same number, as at radius 0, rounding may leave them in the wrong order.
        middle = (lower + upper) / 2
        crossed = lower > upper
        found.append((torch.where(crossed, middle, lower), torch.where(crossed, middle, upper)))
    return found


def hidden_bounds(layers: Layers, low: torch.Tensor, high: torch.Tensor, bounds: Bounds | None) -> Bounds:
    """Checked bounds of the hidden layers, intervals by default."""
    hidden = layers[:-1]
    if bounds is None:
        return propagate(hidden, low, high)
    pairs = isinstance(bounds, list | tuple) and all(
        isinstance(each, list | tuple) and len(each) == 2 for each in bounds
    )
    if not pairs:
        raise ValueError(f"bounds must be a list of (l, u), got {bounds!r:.80}")
    if len(bounds) < len(hidden):
        raise ValueError(f"bounds must hold (l, u) for {len(hidden)} hidden layers, got {len(bounds)}")
    found = []
    for number, ((weight, _), pair) in enumerate(zip(hidden, bounds), start=1):
        lower, upper = (_validate.float_tensor(f"bounds of layer {number}", end).detach().to(low) for end in pair)
        shape = (len(low), weight.shape[0])
        if lower.shape != shape or upper.shape != shape:
            raise ValueError(f"bounds of layer {number} must be {shape}, got {tuple(lower.shape)}")
        _validate.finite(**{f"bounds of layer {number}": torch.stack([lower, upper])})
        if not bool((lower <= upper).all()):
            raise ValueError(f"bounds of layer {number} must satisfy l <= u")
        found.append((lower, upper))
    return found


def lower_bounds(hidden, bounds, low, high, nu, constant, steps, lr) -> torch.Tensor:
    """Lower bounds (n, R) of nu . relu(last hidden pre-activation) + constant, for nu (n, R, h), constant (n, R)."""
    chords = [_chord(lower, upper) for lower, upper in bounds]
    slopes = [slope[:, None].expand(-1, nu.shape[1], -1) for slope, _ in chords]
    best = _backward(hidden, bounds, chords, slopes, low, high, nu, constant)
    if steps == 0 or not any(bool(((l < 0) & (u > 0)).any()) for l, u in bounds):
        return best
    if torch.is_inference_mode_enabled():  # where no tensor has a gradient, not even a copy
        with torch.inference_mode(False):
            pairs = ([tuple(end.clone() for end in pair) for pair in group] for group in (hidden, bounds))
            rest = (tensor.clone() for tensor in (low, high, nu, constant))
            return lower_bounds(*pairs, *rest, steps, lr)
    free = [slope.clone().requires_grad_(True) for slope in slopes]
    optimizer = torch.optim.Adam(free, lr=lr, maximize=True)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        with torch.enable_grad():
            values = _backward(hidden, bounds, chords, free, low, high, nu, constant)
            gradients = torch.autograd.grad(values.sum(), free)
        best = torch.maximum(best, values.detach())
        for slope, gradient in zip(free, gradients):
            slope.grad = gradient
        optimizer.step()
        with torch.no_grad():
            for slope in free:
                slope.clamp_(0, 1)
    with torch.no_grad():
        return torch.maximum(best, _backward(hidden, bounds, chords, free, low, high, nu, constant))


def _chord(lower: torch.Tensor, upper: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Slope u/(u - l) and offset -ul/(u - l) of the upper line; 1 or 0 and no offset where the unit is stable."""
    unstable = (lower < 0) & (upper > 0)
    width = torch.where(unstable, upper - lower, 1.0)
    slope = torch.where(unstable, upper / width, (lower >= 0).to(lower.dtype))
    return slope, torch.where(unstable, -upper * lower / width, 0.0)


def _backward(hidden, bounds, chords, slopes, low, high, nu, constant) -> torch.Tensor:
    for (weight, bias), (lower, upper), (chord, offset), slope in list(zip(hidden, bounds, chords, slopes))[::-1]:
        positive, negative = nu.clamp(min=0), nu.clamp(max=0)
        unstable = ((lower < 0) & (upper > 0))[:, None]
        below = torch.where(unstable, slope, chord[:, None])
        constant = constant + (negative * offset[:, None]).sum(-1)
        nu = positive * below + negative * chord[:, None]
        constant = constant + nu @ bias
        nu = nu @ weight
    middle, spread = (low + high) / 2, (high - low) / 2
    return constant + (nu * middle[:, None]).sum(-1) - (nu.abs() * spread[:, None]).sum(-1)
