"""Train M models at once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.training._arguments import optional_function, seed_list
from litrepro.training._batches import Targets
from litrepro.training._ensemble import Ensemble
from litrepro.training._ensemble_run import EnsembleRun
from litrepro.training._losses import Loss
from litrepro.training._members import join_members
from litrepro.training._schedules import Schedule
from litrepro.training._settings import bar, own_randomness


def fit_ensemble(
    model_fn: Callable[..., nn.Module],
    seeds: Sequence[int],
    train: tuple[torch.Tensor, Targets],
    *,
    epochs: int,
    batch_size: int = 128,
    optimizer: str | Callable[[list], torch.optim.Optimizer] = "sgd",
    lr: float | Sequence[float] | torch.Tensor = 0.1,
    momentum: float | Sequence[float] | torch.Tensor = 0.0,
    weight_decay: float | Sequence[float] | torch.Tensor = 0.0,
    schedule: Schedule | None = None,
    loss: Loss = "cross_entropy",
    weights: torch.Tensor | None = None,
    evaluate_on: Mapping[str, tuple[torch.Tensor, Targets]] | None = None,
    metrics: Sequence = ("loss", "accuracy"),
    eval_every: int = 1,
    seed: int = 0,
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None,
    callback: Callable[[int, Ensemble], Any] | None = None,
    progress: bool | Callable = False,
    per_member: Sequence[str] = (),
    loss_params: Mapping[str, torch.Tensor] | None = None,
    members: Any = None,
    objective: Callable[..., torch.Tensor] | None = None,
    vectorize: bool | None = None,
) -> Ensemble:
    """Train one model per seed, all at once; member m equals ``fit(model_fn(seed=seeds[m]), ..., seed=seeds[m])``.

    Every member has its own initial weights, its own order of the examples, its own noise and its own
    hyperparameters; parameters and buffers are stacked, and run through ``torch.func.functional_call`` under
    ``torch.func.vmap``. Arguments that are not named here are those of ``fit``.

    Parameters
    ----------
    model_fn
        ``model_fn(seed=s)`` builds a member; all of one structure.
    seeds
        M of them; equal seeds mean equal weights and orders (paired comparisons).
    lr, momentum, weight_decay
        One number, or M.
    optimizer
        A function receives the stacked parameters (M, ...): right for optimizers that work element by element, and for
        those that are told of the leading dimension (``batch_dims=1``).
    loss
        A function is called as ``f(outputs, y, **loss_params of the member)``.
    weights
        (n,), or (M, n).
    evaluate_on
        Sets shared by all members; with ``per_member``, an x or y with one dimension more is one per member.
    metrics
        Functions are called as the loss is if they take its keywords.
    seed
        Of draws inside ``objective`` when it is vectorized; members have their own seeds otherwise.
    callback
        ``callback(epoch, ensemble)``, on the current parameters, which training goes on to change: clone what is to be
        kept. What it returns is ignored.
    per_member
        ``"x"`` and/or ``"y"``: these carry a leading M in ``train``.
    loss_params
        Keywords of the loss by name, one value per member: (M,) tensors or sequences, 0-dim in the loss.
    members
        Columns to join to the history: a DataFrame, or columns by name, M rows.
    objective
        As in ``fit``, one member at a time: exact, but not vectorized unless ``vectorize=True`` (it then runs under
        ``vmap``: gradients inside by ``torch.func.grad``, and members draw different noise from one generator).
    vectorize
        True: ``vmap`` (dropout masks of all members then come from one generator); False: member after member within
        each step; None: what is exact and faster (a loop for convolutions on a CPU, which vmap turns into slow grouped
        ones, for an objective, for a model or a loss that draws random numbers, and for what vmap cannot run, such as
        recurrent layers; the last two are found out on the first batch, on which the loss is called beforehand).

    Returns
    -------
    Ensemble; its history has the columns of ``fit``, ``member`` = 0..M-1 in front and the joined columns at the end.
    ``seconds`` is the time of all members together. A member that diverged keeps the weights it had at the end of that
    epoch; its rows go on, and record what they give.

    Raises
    ------
    ValueError
        What ``fit`` raises; no seeds; hyperparameters, ``loss_params`` or ``members`` of another length than M;
        ``per_member`` not among "x", "y"; ``loss_params`` for a loss that is not a function; unequal structures; what
        vmap cannot run, with ``vectorize=True``.

    Warns
    -----
    ConvergenceWarning
        Names the members whose batch loss was not finite; the others go on undisturbed. Or those whose last
        recorded training loss is not.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import mlp
    >>> x, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
    >>> ensemble = fit_ensemble(lambda seed: mlp(1, (), 2, seed=seed), [0, 0], (x, y), epochs=20, lr=[0.01, 1.0])
    >>> last = ensemble.history.query("epoch == 20 and metric == 'loss'").set_index("member")["value"]
    >>> bool(last[1] < last[0])  # the same start, a larger step
    True
    """
    seeds = seed_list(seeds)
    _validate.function("model_fn", model_fn)
    for name, value in (("augment", augment), ("callback", callback), ("objective", objective)):
        optional_function(name, value)
    run = EnsembleRun(
        model_fn, seeds, train, epochs=epochs, batch_size=batch_size, optimizer=optimizer, schedule=schedule,
        hypers={"lr": lr, "momentum": momentum, "weight_decay": weight_decay}, loss=loss, weights=weights,
        evaluate_on=evaluate_on, metrics=metrics, eval_every=eval_every, seed=seed, augment=augment,
        per_member=per_member, loss_params=loss_params, objective=objective, vectorize=vectorize,
    )  # fmt: skip
    columns = join_members(members, len(seeds))
    with own_randomness(run.device, seeds[0]), torch.enable_grad():
        for epoch in bar(range(epochs + 1), progress):
            stopped = run.epoch(epoch - 1) if epoch > 0 else []
            if stopped:
                names = ", ".join(map(str, stopped))
                warnings.warn(f"loss not finite in epoch {epoch}: member {names} stops", ConvergenceWarning, 2)
            over = not run.alive
            if run.settings.records(epoch) or over:
                run.record(epoch)
            if callback is not None:
                callback(epoch, run.ensemble(None))
            if over:
                break
    last = {row[0]: row[5] for row in run.rows if row[3:5] == ("train", "loss")}
    bad = [m for m, value in last.items() if not (math.isfinite(value) or bool(run.stopped[m]))]
    if bad:  # the last step of all may be the one that diverges
        names = ", ".join(map(str, bad))
        warnings.warn(f"training loss not finite at the end: member {names}", ConvergenceWarning, 2)
    return run.ensemble(columns(run.rows))
