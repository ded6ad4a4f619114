"""Train models given by one flat weight vector, all seeds and step sizes at once, with any of four optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.func import vmap

from litrepro import _timing, _validate, runtime
from litrepro.optim import Uniform
from litrepro.optim.curvature import AdaHessian, sqgn
from litrepro.secondorder import _arguments

METHODS: tuple[str, ...] = ("sgd", "adamw", "adahessian", "sqgn")


class FlatTrials(NamedTuple):
    """``w (..., d)``, full-data ``losses (epochs + 1, ...)``, ``oracle_calls`` of one trial, ``seconds`` of them all.

    Oracle calls are gradients of a minibatch; a Hessian-vector or Gauss-Newton product counts two.
    """

    w: torch.Tensor
    losses: torch.Tensor
    oracle_calls: int
    seconds: float


def train_flat(
    method: str,
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    w0: torch.Tensor,
    data: tuple[torch.Tensor, torch.Tensor],
    *,
    lr: float | torch.Tensor,
    epochs: int,
    batch: int = 50,
    weight_decay: float = 0.0,
    seed: int = 0,
    evaluate_rows: int | None = None,
    every_epoch: bool = True,
    on_epoch: Callable[[int, torch.Tensor], None] | None = None,
    **options,
) -> FlatTrials:
    """Minibatch training of independent trials as one batch.

    ``"sgd"`` has heavy-ball momentum 0.9; ``"adamw"`` is Adam with decoupled weight decay; ``"adahessian"`` and
    ``"sqgn"`` are those of ``litrepro.optim.curvature`` and take its ``options``. Trial t sees the same minibatches
    under the first three methods; SQGN's stream starts alike.

    Parameters
    ----------
    method
        One of ``METHODS``.
    model, loss
        ``model(w (d,), x (b, ...)) -> (b, o)`` and ``loss(outputs, y) -> ()``, a mean over rows.
    w0
        (..., d), one row per trial.
    data
        x and y of one length.
    lr
        Positive number, or a tensor over the leading dimensions of w0.
    epochs, batch
        Passes in a fresh permutation each; the last minibatch may be smaller.
    weight_decay
        Share of lr by which the weights shrink at each step, >= 0; SQGN has none.
    evaluate_rows
        Losses are over the first so many rows only (not for SQGN).
    every_epoch
        False: ``losses`` are those after the last epoch alone, (1, ...), which saves passes over the data.
    on_epoch
        Called as ``on_epoch(epoch, w (..., d))`` at the start and after each epoch; its time does not count.

    Returns
    -------
    FlatTrials; a trial that diverges has the loss inf and leaves the others alone.

    Raises ``ValueError`` for an unknown method, lr <= 0, counts < 1, weight_decay < 0 or with SQGN, data of different
    lengths, a model that does not take them, and a loss that is not one number.

    Examples
    --------
    >>> x = torch.eye(3)
    >>> run = train_flat("adamw", lambda w, x: (x * w).sum(-1, keepdim=True), lambda u, y: ((u - y) ** 2).mean(),
    ...                  torch.zeros(2, 3), (x, torch.ones(3, 1)), lr=0.1, epochs=2)
    >>> run.losses.shape
    torch.Size([3, 2])
    """
    _validate.choice("method", method, METHODS)
    _arguments.trials(w0)
    epochs, batch = _validate.positive_int("epochs", epochs), _validate.positive_int("batch", batch)
    weight_decay = _validate.real("weight_decay", weight_decay, 0)
    if weight_decay and method == "sqgn":
        raise ValueError(f"weight_decay must be 0 for sqgn, which has none, got {weight_decay}")
    seed = _validate.seed("seed", seed)
    if evaluate_rows is not None:
        evaluate_rows = _validate.positive_int("evaluate_rows", evaluate_rows)
    if on_epoch is not None:
        _validate.function("on_epoch", on_epoch)
    if not isinstance(lr, torch.Tensor):
        _validate.real("lr", lr, 0, open_low=True)
    x, y = _arguments.task(model, loss, w0, data)
    rates = torch.as_tensor(lr, dtype=w0.dtype, device=w0.device)
    if rates.shape not in (torch.Size(), w0.shape[:-1]) or not bool((torch.isfinite(rates) & (rates > 0)).all()):
        raise ValueError(f"lr must be positive, a number or {tuple(w0.shape[:-1])}, got {lr}")
    w = w0.detach().reshape(-1, w0.shape[-1])
    rates = rates.expand(w0.shape[:-1]).reshape(-1)

    def shaped(epoch: int, weights: torch.Tensor) -> None:
        if on_epoch is not None:
            on_epoch(epoch, weights.detach().reshape(w0.shape))

    if method == "sqgn":
        found = _run_sqgn(model, loss, w, (x, y), rates, epochs, batch, seed, shaped, options)
        found = found if every_epoch else found._replace(losses=found.losses[-1:])
    else:
        step = _stepper(method, w, rates, weight_decay, seed, options)
        found = _run(step, model, loss, (x, y), epochs, batch, seed, evaluate_rows, every_epoch, shaped)
    return found._replace(w=found.w.reshape(w0.shape), losses=found.losses.reshape(-1, *w0.shape[:-1]))


def _stepper(method: str, w: torch.Tensor, rates: torch.Tensor, weight_decay: float, seed: int, options):
    """(parameter, function of a closure that takes one step, oracle calls per step as a function of the step)."""
    p = torch.nn.Parameter(w.clone())
    if method == "adahessian":
        optimizer = AdaHessian([p], lr=rates, weight_decay=weight_decay, seed=seed, **options)
        every, samples = options.get("update_every", 1), options.get("samples", 1)
        return p, optimizer.step, lambda t: 1 + (2 * samples if t % every == 0 else 0)
    rule = "heavy-ball" if method == "sgd" else "adam"
    optimizer = Uniform([p], rule, rates, batch_dims=1, **options)

    def step(closure):
        (p.grad,) = torch.autograd.grad(closure(), p)
        if weight_decay:
            with torch.no_grad():
                p.mul_(1 - rates[:, None] * weight_decay)
        optimizer.step()

    return p, step, lambda t: 1


def _run(stepper, model, loss, data, epochs, batch, seed, evaluate_rows, every_epoch, on_epoch) -> FlatTrials:
    p, step, cost = stepper
    x, y = data

    def objective(w, inputs, targets):
        return loss(model(w, inputs), targets)

    own, shared = vmap(objective), vmap(objective, in_dims=(0, None, None))
    streams = runtime.streams(seed, len(p))
    clock = _timing.clock(p.device)
    losses, seconds, calls, steps = [], 0.0, 0, 0
    for epoch in range(epochs + 1):
        if every_epoch or epoch == epochs:
            with torch.no_grad():
                losses.append(shared(p, x[:evaluate_rows], y[:evaluate_rows]))
        on_epoch(epoch, p)
        if epoch == epochs:
            break
        started = clock()
        orders = torch.stack([torch.randperm(len(x), generator=each, device="cpu") for each in streams]).to(p.device)
        for rows in orders.split(batch, 1):
            inputs, targets = x[rows], y[rows]
            # Trials share no weight: the gradient of the sum is that of each.
            step(lambda inputs=inputs, targets=targets: own(p, inputs, targets).sum())
            calls, steps = calls + cost(steps), steps + 1
        seconds += clock() - started
    values = torch.stack(losses)
    return FlatTrials(p.detach(), torch.where(torch.isfinite(values), values, torch.inf), calls, seconds)


def _run_sqgn(model, loss, w, data, rates, epochs, batch, seed, on_epoch, options) -> FlatTrials:
    clock = _timing.clock(w.device)
    state = {"seconds": 0.0, "since": clock()}

    def timed(epoch: int, weights: torch.Tensor) -> None:
        state["seconds"] += clock() - state["since"]  # at the start as well: it takes the first full gradient
        on_epoch(epoch, weights)
        state["since"] = clock()

    result = sqgn(model, loss, w, data, lr=rates, epochs=epochs, batch=batch, seed=seed, on_epoch=timed, **options)
    return FlatTrials(result.w, result.losses, result.oracle_calls, state["seconds"])
