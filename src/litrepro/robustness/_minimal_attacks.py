"""Attacks that look for the smallest change: DeepFool and Carlini and Wagner's, both in the l2 norm."""

from __future__ import annotations

import math

import torch

from litrepro import _validate
from litrepro._recording import recordable, recording
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._arguments import Box, per_example
from litrepro.robustness._gradient_attacks import Model, clip

SHRINK = 1e-3  # how far inputs at the ends of the box are moved inside before atanh


def deepfool(
    model: Model, x: torch.Tensor, *, steps: int = 50, overshoot: float = 0.02, box: Box = None
) -> torch.Tensor:
    """DeepFool (Moosavi-Dezfooli, Fawzi and Frossard 2016): steps to the nearest of all linearized class boundaries.

    Parameters
    ----------
    model
        (n, *shape) -> logits (n, K >= 2); examples must not influence each other.
    x
        (n, *shape). The attack leaves the class that the model predicts, right or wrong.
    steps
        At most so many linearizations; an example stops when its class changes.
    overshoot
        The sum of the steps is stretched by 1 + overshoot >= 1.
    box
        (low, high) to clip to after every step, or None.

    Returns
    -------
    (n, *shape), detached. An example whose class never changed is returned where it ended.

    Raises
    ------
    ValueError
        steps < 1, overshoot < 0, x outside its box, a model with one output, logits without a gradient.

    Notes
    -----
    The gradients of all K classes of all examples that still run are one backward pass over K copies. An example on a
    boundary (an exact tie of scores) has distance 0, and no multiple of that leaves it: it is moved across by the
    square root of the machine precision, times its largest entry where that exceeds 1.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    >>> x = torch.tensor([[0.6, 0.8]])
    >>> round((deepfool(lambda x: x @ w.T, x) - x).norm().item(), 4)
    1.02
    """
    x = arguments.images(x, box)
    steps = _validate.positive_int("steps", steps)
    overshoot = _validate.real("overshoot", overshoot, 0)
    with torch.no_grad():
        logits = arguments.scores(model, x)
    if logits.shape[1] < 2:
        raise ValueError(f"DeepFool needs at least two classes, got {logits.shape[1]}")
    start = logits.argmax(1)
    total, result = torch.zeros_like(x), x.clone()
    running = torch.arange(len(x), device=x.device)
    for _ in range(steps):
        if not len(running):
            break
        move = _to_nearest_boundary(model, result[running], start[running])
        total[running] += move
        result[running] = clip(x[running] + (1 + overshoot) * total[running], box)
        with torch.no_grad():
            unchanged = model(result[running]).argmax(1) == start[running]
        running = running[unchanged]
    return result


def _to_nearest_boundary(model: Model, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The shortest step to a linearized boundary between ``label`` and another class."""
    values, gradients = _all_gradients(model, x)
    rows = torch.arange(len(x), device=x.device)
    gaps = values[rows, label][:, None] - values
    normals = gradients - gradients[rows, label][:, None]
    lengths = normals.flatten(2).norm(dim=2)
    distance = gaps / lengths.clamp(min=torch.finfo(x.dtype).tiny)
    distance = torch.where(lengths > 0, distance, torch.inf)
    distance[rows, label] = torch.inf
    shortest, nearest = distance.min(1)
    normal, length = normals[rows, nearest], lengths[rows, nearest]
    # On a boundary the step is zero whatever it is stretched by; a short one along the normal leaves the class.
    least = torch.finfo(x.dtype).eps ** 0.5 * x.flatten(1).abs().amax(1).clamp(min=1)
    shortest = torch.where(shortest > 0, shortest, least)
    step = torch.where(torch.isfinite(shortest), shortest / length, 0.0)
    return per_example(step, x) * normal


def _all_gradients(model: Model, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, K) and their gradients (n, K, *shape)."""
    with torch.no_grad():
        classes = model(x[:1]).shape[1]
    with recording():
        copies = x.detach().repeat_interleave(classes, 0).requires_grad_(True)
        values = model(copies)
        chosen = values.reshape(len(x), classes, classes).diagonal(dim1=1, dim2=2)
        gradients = arguments.gradient(chosen, copies)
    return chosen.detach(), gradients.reshape(len(x), classes, *x.shape[1:])


def carlini_wagner(
    model: Model,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    steps: int = 300,
    binary_steps: int = 6,
    c: float = 1.0,
    lr: float = 0.01,
    confidence: float = 0.0,
    targeted: bool = False,
    box: Box = (0.0, 1.0),
) -> torch.Tensor:
    """Carlini and Wagner's l2 attack: minimize ||delta||^2 + c max(f_y - max_{j != y} f_j, -confidence).

    Parameters
    ----------
    model
        (n, *shape) -> logits (n, K); examples must not influence each other.
    x, y
        (n, *shape) and labels (n,); with ``targeted`` y is the class aimed at.
    steps
        Adam steps for every value of c.
    binary_steps
        Values of c per example: ten times larger while nothing succeeded, then bisection.
    c, lr
        First value of c and Adam's step size in the tanh variable, both > 0.
    confidence
        How much the other class has to lead by, >= 0.
    box
        (low, high), both finite: the variable is tanh-transformed to it.

    Returns
    -------
    (n, *shape), detached: the success with the smallest l2 change, or x unchanged. An example that needs no change is
    returned as it is.

    Raises
    ------
    ValueError
        steps or binary_steps < 1, c or lr <= 0, confidence < 0, no finite box, x outside it, lengths or labels that do
        not fit, logits without a gradient.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> x = torch.tensor([[0.6, 0.4]])
    >>> found = carlini_wagner(lambda x: x @ w.T, x, torch.tensor([0]), steps=100, lr=0.05)
    >>> bool(found[0, 1] > found[0, 0]), bool((found - x).norm() < 0.16)
    (True, True)
    """
    if box is None or not all(map(math.isfinite, arguments.check_box(box))):
        raise ValueError(f"box must be finite: the variable is tanh-transformed to it, got {box!r}")
    x = arguments.images(x, box)
    y = arguments.labels(y, x)
    steps = _validate.positive_int("steps", steps)
    binary_steps = _validate.positive_int("binary_steps", binary_steps)
    c = _validate.real("c", c, 0, open_low=True)
    lr = _validate.real("lr", lr, 0, open_low=True)
    confidence = _validate.real("confidence", confidence, 0)
    with recording():
        goal = _Goal(model, recordable(y), confidence, bool(targeted))
        start = x.clone().requires_grad_(True)
        logits = arguments.scores(model, start, y)
        # The objective's other term has a gradient in any case: without one of the logits no search would be one.
        arguments.gradient(logits, start)
    done = goal.reached(goal.gap(logits.detach()))
    best = x.clone()
    distance = torch.where(done, 0.0, torch.inf)
    low, high = torch.zeros_like(distance), torch.full_like(distance, torch.inf)
    weight = torch.full_like(distance, c)
    for _ in range(binary_steps):
        points, lengths = _descend(goal, x, weight, steps, lr, box)
        success = torch.isfinite(lengths)
        closer = lengths < distance
        best = torch.where(per_example(closer, x), points, best)
        distance = torch.minimum(distance, lengths)
        high = torch.where(success, torch.minimum(high, weight), high)
        low = torch.where(success, low, torch.maximum(low, weight))
        weight = torch.where(torch.isfinite(high), (low + high) / 2, weight * 10)
    return best


class _Goal:
    """What an attack wants: the gap f_y - max_{j != y} f_j (its negative if targeted) below -confidence."""

    def __init__(self, model: Model, y: torch.Tensor, confidence: float, targeted: bool):
        self.model, self.y, self.confidence, self.targeted = model, y, confidence, targeted

    def gap(self, logits: torch.Tensor) -> torch.Tensor:
        """Positive while the attack has failed."""
        lead = arguments.margin(logits, self.y)
        return lead if self.targeted else -lead

    def reached(self, gap: torch.Tensor) -> torch.Tensor:
        """Whether the class has changed, by the confidence asked for."""
        return (gap < 0) & (gap <= -self.confidence)


def _descend(goal: _Goal, x, weight, steps, lr, box) -> tuple[torch.Tensor, torch.Tensor]:
    """One run of Adam for given weights c (n,): the closest success of every example and its l2 length (else inf)."""
    low, high = box
    with recording():
        inner = ((x - low) / (high - low)).clamp(SHRINK, 1 - SHRINK)
        variable = torch.atanh(2 * inner - 1).requires_grad_(True)
        weight = recordable(weight)
    optimizer = torch.optim.Adam([variable], lr=lr)
    best, shortest = x.clone(), torch.full_like(weight, torch.inf)
    for step in range(steps + 1):
        with recording():
            points = low + (high - low) * (torch.tanh(variable) + 1) / 2
            gap = goal.gap(goal.model(points))
            squares = (points - x).flatten(1).square().sum(1)
            objective = squares + weight * gap.clamp(min=-goal.confidence)
            (gradient,) = torch.autograd.grad(objective.sum(), variable)
        lengths = torch.where(goal.reached(gap.detach()), squares.detach().sqrt(), torch.inf)
        closer = lengths < shortest
        best = torch.where(per_example(closer, x), points.detach(), best)
        shortest = torch.minimum(shortest, lengths)
        if step < steps:
            variable.grad = gradient
            optimizer.step()
    return best, shortest
