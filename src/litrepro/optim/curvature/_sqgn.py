"""SQGN: stochastic L-BFGS with Gauss-Newton curvature pairs and variance reduction (Thiele et al. 2020)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import func

from litrepro import _validate, runtime
from litrepro._recording import recordable, recording
from litrepro._warnings import ConvergenceWarning
from litrepro.optim.curvature._estimators import one_number
from litrepro.optim.curvature._gauss_newton import product
from litrepro.optim.curvature._memory import PairMemory


class SQGNResult(NamedTuple):
    """Weights ``w (..., d)``, full-data ``losses (epochs + 1, ...)``, accepted ``pairs``, and ``oracle_calls``.

    ``pairs`` is an int for one trial and (...) for several; ``oracle_calls`` of one trial are in gradients of a
    minibatch, a Gauss-Newton product counting two.
    """

    w: torch.Tensor
    losses: torch.Tensor
    pairs: int | torch.Tensor
    oracle_calls: int


def sqgn(
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    w0: torch.Tensor,
    data: tuple[torch.Tensor, torch.Tensor],
    *,
    lr: float | torch.Tensor = 0.1,
    epochs: int,
    batch: int = 50,
    memory: int = 10,
    every: int = 5,
    damping: float = 1e-3,
    variance_reduction: bool = True,
    first_step: float = 0.1,
    seed: int = 0,
    on_epoch: Callable[[int, torch.Tensor], None] | None = None,
) -> SQGNResult:
    """Stochastic quasi-Gauss-Newton method (Thiele, Araya-Polo and Hohl 2020; pairs after Byrd et al. 2016).

    Each epoch takes a reference and its full gradient. A step uses the gradient of a minibatch corrected by the
    reference, and the L-BFGS inverse Hessian of the last pairs. Every ``every`` steps the iterates are averaged; s is
    the difference of the last two averages, and y = (GGN + damping I) s on a fresh minibatch at the newer one. A pair
    is kept only if s.y > 1e-10 s.s.

    Parameters
    ----------
    model
        ``model(w (d,), x (b, ...)) -> (b, o)``.
    loss
        ``loss(outputs, y) -> ()``: a mean over rows, convex in the outputs.
    w0
        (d,); or (..., d) for independent trials, which run as one batch under ``torch.func.vmap``.
    data
        x and y of one length n, shared by the trials.
    lr
        Positive number, or a tensor over the leading dimensions of w0.
    epochs, batch
        Passes over the data, in a fresh permutation each; the last minibatch may be smaller.
    memory, every, damping
        Pairs kept, steps per average, and what is added to the Gauss-Newton matrix (>= 0).
    variance_reduction
        False: the plain gradient of the minibatch.
    first_step
        Positive; while there is no pair the direction is this multiple of the gradient.
    on_epoch
        Called as ``on_epoch(epoch, w)`` at the start and after each epoch.

    Returns
    -------
    SQGNResult. If a loss is not finite, that trial's losses are inf from that epoch on, and a
    ``litrepro.ConvergenceWarning`` says so; the run stops when no trial is left.

    Raises ``ValueError`` for lr or first_step <= 0, damping < 0, epochs, batch, memory or every < 1, data that are not
    two tensors of one length, a model that does not take them, and a loss that is not one number.

    Examples
    --------
    >>> x = torch.eye(3)
    >>> result = sqgn(lambda w, x: (x * w).sum(-1, keepdim=True), lambda u, y: ((u - y) ** 2).mean(),
    ...               torch.zeros(3), (x, torch.ones(3, 1)), epochs=60, batch=3, every=2, lr=0.5)
    >>> bool(result.losses[-1] < 1e-3 * result.losses[0])
    True
    """
    x, y = _check(w0, data, lr, epochs, batch, memory, every, damping, first_step, seed)
    w = w0.detach().reshape(-1, w0.shape[-1])
    if not len(w):
        none = w0.new_zeros(epochs + 1, *w0.shape[:-1])
        return SQGNResult(w0.detach().clone(), none, none[0].long(), 0)
    outputs = _validate.answer("model", lambda rows: model(w[0], rows), x[:batch])
    if not isinstance(outputs, torch.Tensor):
        raise ValueError(f"model must return a tensor, got {type(outputs).__name__}")
    one_number(_validate.answer("loss", lambda rows: loss(outputs, rows), y[:batch]))
    rate = torch.as_tensor(lr, dtype=w.dtype, device=w.device).expand(w0.shape[:-1]).reshape(-1, 1)
    batch = min(batch, len(x))
    memory = min(memory, max(epochs * -(-len(x) // batch) // every, 1))  # no more pairs than there will be
    run = _Run(model, loss, w, x, y, batch, memory, damping, first_step, seed)
    losses = torch.full((epochs + 1, len(w)), torch.inf, dtype=w.dtype, device=w.device)
    losses[0], full = run.evaluate(w, variance_reduction)
    alive = torch.isfinite(losses[0])
    done = 0
    if on_epoch is not None:
        on_epoch(0, w.reshape(w0.shape))
    for epoch in range(1, epochs + 1):
        if not bool(alive.any()):
            break
        w = run.epoch(w, full, rate, every)
        done = epoch
        value, full = run.evaluate(w, variance_reduction and epoch < epochs)
        alive = alive & torch.isfinite(value)
        losses[epoch] = torch.where(alive, value, torch.inf)
        if on_epoch is not None:
            on_epoch(epoch, w.reshape(w0.shape))
    losses = torch.where(torch.isfinite(losses), losses, torch.inf)
    if not bool(alive.all()):
        message = f"sqgn: the loss of {int((~alive).sum())} of {len(w)} trial(s) is not finite within {done} epoch(s)"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    pairs = int(run.accepted[0]) if w0.ndim == 1 else run.accepted.reshape(w0.shape[:-1])
    return SQGNResult(w.reshape(w0.shape), losses.reshape(-1, *w0.shape[:-1]), pairs, run.calls)


def _check(w0, data, lr, epochs, batch, memory, every, damping, first_step, seed):
    _validate.float_tensor("w0", w0, 1)
    for name, value in (("epochs", epochs), ("batch", batch), ("memory", memory), ("every", every)):
        _validate.positive_int(name, value)
    if isinstance(lr, torch.Tensor) and lr.ndim > 0:
        if lr.shape != w0.shape[:-1] or not bool((torch.isfinite(lr) & (lr > 0)).all()):
            raise ValueError(f"lr must be positive, one per trial {tuple(w0.shape[:-1])}, got {lr}")
    else:
        _validate.real("lr", lr, 0, open_low=True)
    _validate.real("damping", damping, 0)
    _validate.real("first_step", first_step, 0, open_low=True)
    _validate.seed("seed", seed)
    if not w0.shape[-1]:
        raise ValueError(f"w0 must have weights, got shape {tuple(w0.shape)}")
    return _validate.examples("data", data)


class _Run:
    """What the steps share: the derivatives, the data, every trial's stream of minibatches, and the memory of pairs."""

    def __init__(self, model, loss, w, x, y, batch, memory, damping, first_step, seed):
        def objective(weights, inputs, targets):
            return loss(model(weights, inputs), targets)

        def curvature(weights, inputs, targets, v):
            return product(lambda at: model(at, inputs), lambda outputs: loss(outputs, targets), weights, v)

        self.curvature = over_trials(curvature, len(w))
        self.objective = over_trials(objective, len(w))
        self.x, self.y, self.batch = x, y, batch
        self.damping, self.first_step = damping, first_step
        self.streams = runtime.streams(seed, len(w))
        self.memory = PairMemory(w, memory)
        self.scale = w.new_full((len(w),), first_step)
        self.accepted = torch.zeros(len(w), dtype=torch.long, device=w.device)
        self.sum, self.steps, self.average, self.calls = torch.zeros_like(w), 0, None, 0

    def evaluate(self, w, gradient: bool):
        """Losses (trials,) on all data, and their gradients (trials, d) or None."""
        if gradient:
            return self.slope(w, self.x, self.y, shared=True)
        with torch.no_grad():
            return self.objective(w, self.x, self.y, shared=True), None

    def slope(self, w, x, y, shared: bool = False):
        """Losses and gradients: trials share no weight, so the gradient of the sum of their losses holds each one's."""
        with recording():
            weights = recordable(w.detach()).requires_grad_()
            values = self.objective(weights, recordable(x), recordable(y), shared=shared)
            if not values.requires_grad:
                return values, torch.zeros_like(w)
            return values.detach(), torch.autograd.grad(values.sum(), weights, materialize_grads=True)[0]

    def epoch(self, w, full, rate, every):
        """A pass over the data from the reference w, whose gradient is ``full``; without it, plain gradients."""
        orders = torch.stack([torch.randperm(len(self.x), generator=each, device="cpu") for each in self.streams]).to(
            w.device
        )
        parts = orders.split(self.batch, 1)
        reference = w
        if full is not None:
            self.calls += len(parts)
        for rows in parts:
            inputs, targets = self.x[rows], self.y[rows]
            g = self.slope(w, inputs, targets)[1]
            self.calls += 1
            if full is not None:
                g = (g - self.slope(reference, inputs, targets)[1]).add_(full)
                self.calls += 1
            w = self.memory.step(w, g, self.scale, rate)
            self.sum.add_(w)
            self.steps += 1
            if self.steps % every == 0:
                self._renew(self.sum / every)
                self.sum = torch.zeros_like(w)
        return w

    def _renew(self, average):
        """A curvature pair from the last two averages; a trial whose pair is bad keeps its memory as it was."""
        previous, self.average = self.average, average
        if previous is None:
            return
        picks = [torch.randperm(len(self.x), generator=each, device="cpu")[: self.batch] for each in self.streams]
        rows = torch.stack(picks).to(average.device)
        s = average - previous
        y = self.curvature(average, self.x[rows], self.y[rows], s) + self.damping * s
        self.calls += 2
        inner, squared = (s * y).sum(-1), y.square().sum(-1)
        good = (inner > 1e-10 * s.square().sum(-1)) & torch.isfinite(squared) & (squared > 0)
        self.scale = torch.where(good, inner / squared, self.scale)
        # Where a pair is bad, the trial keeps those that it has.
        self.memory.add(s, y, inner, good, self.scale)
        self.accepted += good


def over_trials(function, trials: int):
    """``function(w, x, y, *rest)`` for all trials: under ``vmap``, or plainly for one, which any model survives."""

    def run(w, x, y, *rest, shared: bool = False):
        if trials == 1:
            x, y = (x, y) if shared else (x[0], y[0])
            return function(w[0], x, y, *(part[0] for part in rest))[None]
        dims = (0, None, None) if shared else (0, 0, 0)
        return func.vmap(function, in_dims=(*dims, *(0 for _ in rest)))(w, x, y, *rest)

    return run
