"""A first-order estimate of the worst margin, and the smallest radii at which PGD succeeds, by bisection."""

from __future__ import annotations

import torch

from litrepro import _validate
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._arguments import Box, per_example
from litrepro.robustness._gradient_attacks import Model, pgd


def linearized_margins(
    model: Model, x: torch.Tensor, y: torch.Tensor, eps: float | torch.Tensor, *, box: Box = (0.0, 1.0)
) -> torch.Tensor:
    r"""The largest margin :math:`\max_{j \ne y} f_j - f_y` in the l_inf ball to first order. No bound: see the notes.

    Every rival's gap :math:`g_j = f_j - f_y` is replaced by its tangent at x, whose maximum over the ball and the box
    is :math:`g_j(x) + \sum_i \max_{\delta_i} \partial_i g_j \delta_i`.

    Parameters
    ----------
    model
        (n, *shape) -> logits (n, K); examples must not influence each other.
    x, y
        (n, *shape) and labels (n,).
    eps
        Radius, a number or (n,).
    box
        (low, high) of valid inputs, or None.

    Returns
    -------
    (n,), detached, positive where the tangents allow a misclassification.

    Raises
    ------
    ValueError
        As ``fgsm``.

    Notes
    -----
    Exact for affine models. A network's margin may exceed it, as soon as a slope grows within the ball.

    Examples
    --------
    >>> w = torch.tensor([[1.0, -2.0], [0.0, 0.0]])
    >>> linearized_margins(lambda x: x @ w.T, torch.tensor([[0.5, 0.05]]), torch.tensor([0]), 0.1).round(decimals=3)
    tensor([-0.1000])
    """
    x = arguments.images(x, box)
    y, eps = arguments.labels(y, x), per_example(arguments.radius(eps, x), x)
    low, high = (-float("inf"), float("inf")) if box is None else box
    down, up = (x - eps).clamp(min=low) - x, (x + eps).clamp(max=high) - x
    largest = x.new_full((len(x),), -torch.inf)
    inputs = x.clone().requires_grad_(True)
    logits = arguments.scores(model, inputs, y)
    gaps = logits - logits.gather(1, y[:, None])
    for rival in range(logits.shape[1]):
        slope = arguments.gradient(gaps[:, rival], inputs, retain=True)
        linear = gaps[:, rival].detach() + torch.maximum(slope * down, slope * up).flatten(1).sum(1)
        largest = torch.where(y == rival, largest, torch.maximum(largest, linear))
    return largest


def smallest_radius(
    model: Model,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    norm: str = "l2",
    largest: float = 6.0,
    halvings: int = 10,
    steps: int = 20,
    box: Box = (0.0, 1.0),
) -> torch.Tensor:
    """Per example, the smallest radius at which PGD from the clean point changes the class, by bisection.

    Parameters
    ----------
    model, x, y, norm, steps, box
        As ``pgd``, which maximizes the margin.
    largest
        The bisection starts from [0, largest].
    halvings
        The radius is found up to ``largest / 2**halvings``.

    Returns
    -------
    (n,), the smallest radius that was seen to suffice; ``largest`` where none did.

    Raises
    ------
    ValueError
        largest <= 0, halvings < 1, and as ``pgd``.

    Examples
    --------
    >>> w = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    >>> x, y = torch.tensor([[0.5, 0.5]]), torch.tensor([0])
    >>> found = smallest_radius(lambda x: x @ w.T, x, y, largest=1.0, box=None)
    >>> abs(found.item() - 0.5) < 0.01
    True
    """
    largest = _validate.real("largest", largest, 0, open_low=True)
    halvings = _validate.positive_int("halvings", halvings)
    x = arguments.images(x, box)
    y = arguments.labels(y, x)
    low, high = x.new_zeros(len(x)), x.new_full((len(x),), largest)
    for _ in range(halvings):
        eps = (low + high) / 2
        found = pgd(model, x, y, eps, norm=norm, steps=steps, loss="margin", random_start=False, box=box)
        with torch.no_grad():
            fooled = arguments.scores(model, found).argmax(1) != y
        low, high = torch.where(fooled, low, eps), torch.where(fooled, eps, high)
    return high
