"""Attacks inside a ball: one gradient step (FGSM) and many (PGD). They bound the worst loss from below."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from litrepro import _validate
from litrepro._recording import recordable, recording
from litrepro.robustness import _arguments as arguments
from litrepro.robustness._arguments import Box, per_example
from litrepro.robustness._balls import project, random_point

Model = Callable[[torch.Tensor], torch.Tensor]


def fgsm(
    model: Model,
    x: torch.Tensor,
    y: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    targeted: bool = False,
    box: Box = (0.0, 1.0),
    loss: str = "ce",
) -> torch.Tensor:
    """Fast gradient sign method: clip(x + eps sign grad) (Goodfellow, Shlens and Szegedy 2014).

    Parameters
    ----------
    model
        (n, *shape) -> logits (n, K); examples must not influence each other.
    x, y
        (n, *shape) and labels (n,); with ``targeted`` y is the class aimed at and the step descends.
    eps
        Radius in the l_inf norm, a number or (n,).
    box
        (low, high) of valid inputs, or None.
    loss
        ``"ce"`` (cross-entropy) or ``"margin"`` (max_{j != y} f_j - f_y).

    Returns
    -------
    (n, *shape), detached.

    Raises
    ------
    ValueError
        eps < 0, an unknown loss, x outside its box, lengths or labels that do not fit, logits without a gradient.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([[1.0, -2.0], [0.0, 0.0]])
    >>> fgsm(lambda x: x @ w.T, torch.tensor([[0.5, 0.5]]), torch.tensor([0]), 0.1)
    tensor([[0.4000, 0.6000]])
    """
    x = arguments.images(x, box)
    y, eps = arguments.labels(y, x), arguments.radius(eps, x)
    _validate.choice("loss", loss, arguments.LOSSES)
    return signed_step(model, x, y, eps, targeted, box, loss)


def signed_step(
    model: Model, x: torch.Tensor, y: torch.Tensor, eps: torch.Tensor, targeted: bool = False,
    box: Box = (0.0, 1.0), loss: str = "ce",
) -> torch.Tensor:  # fmt: skip
    """``fgsm`` with radii eps (n,); nothing is checked."""
    _, gradient = value_and_gradient(model, x, y, loss)
    step = per_example(eps, x) * gradient.sign()
    return clip(x - step if targeted else x + step, box)


def pgd(
    model: Model,
    x: torch.Tensor,
    y: torch.Tensor,
    eps: float | torch.Tensor,
    *,
    norm: str = "linf",
    steps: int = 40,
    step_size: float | torch.Tensor | None = None,
    restarts: int = 1,
    random_start: bool = True,
    momentum: float = 0.0,
    targeted: bool = False,
    box: Box = (0.0, 1.0),
    loss: str = "ce",
    generator: torch.Generator | int | None = None,
) -> torch.Tensor:
    """Projected gradient descent on the perturbation (Madry et al. 2017): delta <- clip(P(delta + a s)).

    The direction s is steepest in the norm: sign(g) for l_inf, g/||g|| for l2, and for l1 the signed largest coordinate
    of those that do not stand at their end of the box. With ``momentum`` > 0 gradient and step are taken at Nesterov's
    point clip(P(delta_t + mu (delta_t - delta_{t-1}))). All restarts run as one batch.

    Parameters
    ----------
    model
        (n, *shape) -> logits (n, K); examples must not influence each other.
    x, y
        (n, *shape) and labels (n,); with ``targeted`` y is the class aimed at and the loss is minimized.
    eps
        Radius, a number or (n,).
    norm
        ``"linf"``, ``"l2"`` or ``"l1"``.
    steps, restarts
        At least 1.
    step_size
        a > 0, a number or (n,); default 2.5 eps / steps.
    random_start
        Start at a uniform point of the ball, else at x.
    momentum
        In [0, 1).
    box
        (low, high) of valid inputs, or None.
    loss
        ``"ce"`` or ``"margin"``.
    generator
        For the random starts, or a seed; None means seed 0.

    Returns
    -------
    (n, *shape), detached: of the clean point, the iterates of all restarts and the last ones reached, the one with the
    largest loss (smallest if targeted), example by example. With momentum that costs one more evaluation a step.

    Raises
    ------
    ValueError
        eps < 0, an unknown norm or loss, steps or restarts < 1, a step size that is not positive, x outside its box,
        lengths or labels that do not fit, a generator that is none, logits without a gradient.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([[1.0, -2.0], [0.0, 0.0]])
    >>> pgd(lambda x: x @ w.T, torch.tensor([[0.5, 0.5]]), torch.tensor([0]), 0.1, steps=5)
    tensor([[0.4000, 0.6000]])
    """
    x = arguments.images(x, box)
    y, eps = arguments.labels(y, x), arguments.radius(eps, x)
    _validate.choice("norm", norm, arguments.NORMS)
    _validate.choice("loss", loss, arguments.LOSSES)
    steps, restarts = _validate.positive_int("steps", steps), _validate.positive_int("restarts", restarts)
    momentum = _validate.real("momentum", momentum, 0, 1, open_high=True)
    step = _step(step_size, eps, steps, x)
    generator = _validate.random_source("generator", generator)
    if not len(x):
        return x.clone()
    search = _from_clean(model, x, y, box, loss, targeted)
    many = [part.repeat(restarts, *[1] * (part.ndim - 1)) for part in (x, y, eps, step)]
    clean, target, bound, step = many
    # Drawn restart by restart: the first one is the same however many follow.
    draws = [random_point(x, eps, norm, generator) for _ in range(restarts if random_start else 0)]
    start = torch.cat(draws) if random_start else torch.zeros_like(clean)
    return _ascend(search, clean, target, bound, step, start, norm, steps, momentum).best


def pgd_from(
    start: torch.Tensor, model: Model, x: torch.Tensor, y: torch.Tensor, eps: torch.Tensor, steps: int
) -> torch.Tensor:
    """``pgd`` in l_inf balls eps (n,) of x in [0, 1], from perturbations ``start`` (n, *shape); nothing is checked."""
    search = _from_clean(model, x, y, (0.0, 1.0), "ce", targeted=False)
    return _ascend(search, x, y, eps, _step(None, eps, steps, x), start, "linf", steps, 0.0).best


class _Search(NamedTuple):
    """The best point of every example so far; ``keep`` folds in candidates of all restarts."""

    model: Model
    x: torch.Tensor
    y: torch.Tensor
    box: Box
    loss: str
    targeted: bool
    best: torch.Tensor
    value: torch.Tensor | None

    def keep(self, points: torch.Tensor, values: torch.Tensor) -> _Search:
        """``points (r n, *shape)`` with their losses (r n,)."""
        n = len(self.x)
        values = -values if self.targeted else values
        values = torch.nan_to_num(values, nan=-torch.inf)
        if len(points) > n:  # of the restarts the best one
            values, restart = values.reshape(-1, n).max(0)
            points = points.reshape(-1, n, *self.x.shape[1:])[restart, torch.arange(n, device=restart.device)]
        if self.value is None:
            return self._replace(best=points, value=values)
        better = values > self.value
        best = torch.where(per_example(better, points), points, self.best)
        return self._replace(best=best, value=torch.where(better, values, self.value))


def _from_clean(model: Model, x: torch.Tensor, y: torch.Tensor, box: Box, loss: str, targeted: bool) -> _Search:
    """A search that has seen the clean points."""
    search = _Search(model, x, y, box, loss, targeted, best=x.clone(), value=None)
    return search.keep(x, arguments.losses(arguments.scores(model, x, y), y, loss).detach())


def _ascend(search, clean, y, eps, step, delta, norm, steps, momentum) -> _Search:
    feasible = _projection(clean, eps, norm, search.box)
    delta = previous = feasible(delta)
    for _ in range(steps):
        point = clean + delta
        ahead, there = delta, point
        if momentum:
            ahead = feasible(delta + momentum * (delta - previous))
            there = clean + ahead
        # The labels were looked at with the clean points: a GPU does not have to wait for it at every step.
        values, gradient = value_and_gradient(search.model, there, y, search.loss, check=False)
        if momentum:  # the iterate is another point than the one whose gradient leads on
            with torch.no_grad():
                values = arguments.losses(search.model(point), y, search.loss)
        search = search.keep(point, values)
        direction = _steepest(-gradient if search.targeted else gradient, norm, there, search.box)
        previous, delta = delta, feasible(torch.addcmul(ahead, per_example(step, clean), direction))
    last = clean + delta
    with torch.no_grad():
        values = arguments.losses(search.model(last), y, search.loss)
    return search.keep(last, values)


def _projection(clean: torch.Tensor, eps: torch.Tensor, norm: str, box: Box) -> Callable[[torch.Tensor], torch.Tensor]:
    """Takes perturbations of the clean points into their balls, and the points into the box."""
    if norm != "linf":
        return lambda perturbation: clip(clean + project(perturbation, eps, norm), box) - clean
    bound = per_example(eps, clean)  # the ball is a box, too: one pass over the points instead of five
    low, high = (clip(clean + end, box) - clean for end in (-bound, bound))
    return lambda perturbation: perturbation.clamp(low, high)


def value_and_gradient(
    model: Model, x: torch.Tensor, y: torch.Tensor, loss: str, check: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss (n,) and its gradient with respect to x, both detached; ``check`` whether the labels fit the logits."""
    with recording():
        x, y = recordable(x.detach()).requires_grad_(True), recordable(y)
        values = arguments.losses(arguments.scores(model, x, y if check else None), y, loss)
        return values.detach(), arguments.gradient(values, x)


def clip(x: torch.Tensor, box: Box) -> torch.Tensor:
    """x inside the box."""
    return x if box is None else x.clamp(*box)


def _steepest(gradient: torch.Tensor, norm: str, x: torch.Tensor, box: Box) -> torch.Tensor:
    """The unit step along which the objective grows fastest; in l1 among the coordinates that can still move."""
    if norm == "linf":
        return gradient.sign()
    flat = gradient.flatten(1)
    if norm == "l2":
        length = flat.norm(dim=1).clamp(min=torch.finfo(flat.dtype).tiny)
        return gradient / per_example(length, gradient)
    if box is not None:
        stuck = ((x <= box[0]) & (gradient < 0)) | ((x >= box[1]) & (gradient > 0))
        flat = flat.masked_fill(stuck.flatten(1), 0.0)
    index = flat.abs().argmax(1, keepdim=True)
    return torch.zeros_like(flat).scatter(1, index, flat.gather(1, index).sign()).reshape(gradient.shape)


def _step(step_size, eps: torch.Tensor, steps: int, x: torch.Tensor) -> torch.Tensor:
    if step_size is None:
        return 2.5 * eps / steps
    step = arguments.numbers("step_size", step_size, len(x), x)
    if not bool((torch.isfinite(step) & (step > 0)).all()):
        raise ValueError(f"step_size must be finite and > 0, got {step_size!r}")
    return step.expand(len(x))
