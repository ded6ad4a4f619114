"""The state of an ensemble in training: data, stacked weights, optimizer, who still trains."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from litrepro import _timing, _validate
from litrepro.training._batches import Targets, check_data, map_targets, pair, permutation
from litrepro.training._ensemble import (
    Ensemble,
    LoopRunner,
    draws_masks,
    needs_loop,
    run_vectorized,
    runner,
    slow_under_vmap,
    stack_members,
)
from litrepro.training._evaluate import rows_at_a_time
from litrepro.training._losses import check_labels, check_objective, check_values, resolve_loss, resolve_metrics
from litrepro.training._members import check_loss_params, takes_keywords
from litrepro.training._modules import has_sparse_gradients
from litrepro.training._optimizers import Scheduled, hyperparameter, make_optimizer
from litrepro.training._settings import check_settings, check_weights

EVALUATION_ROWS = 16_384  # of all members together, at a time


class EnsembleRun:
    """One call of ``fit_ensemble``; see there."""

    def __init__(
        self, model_fn, seeds: Sequence[int], train, *, epochs, batch_size, optimizer, schedule, hypers, loss, weights,
        evaluate_on, metrics, eval_every, seed, augment, per_member, loss_params, objective, vectorize,
    ):  # fmt: skip
        count = len(seeds)
        per_member = (
            (per_member,) if isinstance(per_member, str) else tuple(_validate.sequence("per_member", per_member, 0))
        )
        if not set(per_member) <= {"x", "y"}:
            raise ValueError(f"per_member must be among 'x' and 'y', got {per_member}")
        stacked = ("x" in per_member, "y" in per_member)
        self.x, self.y, self.n = check_data("train", train, stacked)
        self.device, self.seeds, self.stacked = self.x.device, seeds, stacked
        self.settings = check_settings(self.n, epochs, batch_size, eval_every, optimizer, schedule, evaluate_on)
        check_weights(weights, [(self.n,), (count, self.n)], objective)
        hypers = {name: hyperparameter(name, value, count) for name, value in hypers.items()}
        self.loss, self.objective, self.augment = resolve_loss(loss), objective, augment
        self.loss_params = check_loss_params(loss_params, loss, count, self.x)
        self.sets = self._evaluation_sets(evaluate_on or {}, loss, metrics)
        models = [self._build(model_fn, value) for value in seeds]
        if has_sparse_gradients(models[0]):
            raise ValueError("the members of an ensemble must not have sparse gradients, got nn.Embedding(sparse=True)")
        self.model, self.params, self.buffers = stack_members(models, self.device)
        self.model.eval()
        self.vectorize = vectorize
        if vectorize is None and (
            objective is not None or slow_under_vmap(self.model, self.device) or draws_masks(self.model)
        ):
            self.vectorize = False
        self.loop = LoopRunner(seeds, self.device)
        self.vectorized_objective = objective is not None and bool(vectorize)
        self.look = runner(self.model, vectorize=vectorize, device=self.device)
        trained = [value for value in self.params.values() if value.requires_grad]
        self.stepper = make_optimizer(optimizer, trained, **hypers)
        self.rates = Scheduled(self.stepper, schedule)
        self.weights = None if weights is None else weights.to(self.device).expand(count, self.n)
        self.noises = [torch.Generator(self.device).manual_seed(value) for value in seeds]
        self.noise = torch.Generator(self.device).manual_seed(_validate.seed("seed", seed))
        self.clock, self.rows = _timing.Stopwatch(_timing.wall_clock(self.device)), []
        self.stopped = torch.zeros(count, dtype=torch.bool, device="cpu")
        self._offsets = self.n * torch.arange(count, device=self.device)[:, None]

    # --- set up ---------------------------------------------------------------------------------------------------
    def _check_leading(self, x: torch.Tensor, y: Targets, stacked: tuple[bool, bool]) -> None:
        """Data with a dimension of members must have M of them."""
        parts = [x] if stacked[0] else []
        parts += (list(y) if isinstance(y, tuple) else [y]) if stacked[1] else []
        for part in parts:
            if len(part) != len(self.seeds):
                expected = f"a leading dimension {len(self.seeds)}"
                raise ValueError(f"per_member data must have {expected}, got {tuple(part.shape)}")

    @staticmethod
    def _build(model_fn, seed: int) -> nn.Module:
        try:
            inspect.signature(model_fn).bind(seed=seed)
        except TypeError as error:
            raise ValueError(f"model_fn must be a function of seed=, got {model_fn!r}: {error}") from error
        model = model_fn(seed=seed)
        if not isinstance(model, nn.Module):
            raise ValueError(f"model_fn must return a torch module, got {type(model).__name__}")
        return model

    def _evaluation_sets(self, evaluate_on, loss, metrics) -> dict[str, tuple]:
        """(x, y, n, which of x and y are one per member, metrics) by name."""
        sets = {}
        for name, data in ({"train": (self.x, self.y)} | dict(evaluate_on)).items():
            x, y = pair(name, data)
            first = [part[0] if isinstance(part, tuple | list) else part for part in (y, self.y)]
            stacked = (
                self.stacked[0] and getattr(x, "ndim", 0) == self.x.ndim,
                self.stacked[1] and getattr(first[0], "ndim", 0) == first[1].ndim,
            )
            x, y, n = check_data(name, (x, y), stacked)
            self._check_leading(x, y, stacked)
            y = map_targets(lambda part: part.to(self.device), y)
            sets[name] = (x.to(self.device), y, n, stacked, resolve_metrics(metrics, loss, y, stacked[1]))
        return sets

    # --- train ----------------------------------------------------------------------------------------------------
    @property
    def alive(self) -> bool:
        """Whether any member still trains."""
        return not bool(self.stopped.all())

    def epoch(self, epoch: int) -> list[int]:
        """Train one epoch (counted from 0); members whose loss was not finite for the first time."""
        self.model.train()
        if self.vectorize is None:
            self.vectorize = not needs_loop(self.model, self.params, self.buffers, *self._first_batch())
        bad = torch.zeros(len(self.seeds), dtype=torch.bool, device=self.device)
        with self.clock.running():
            held = self._hold()
            order = torch.stack([permutation(self.n, seed, epoch) for seed in self.seeds]).to(self.device)
            for index, chosen in enumerate(order.split(self.settings.batch_size, dim=1)):
                t = (epoch * self.settings.steps_per_epoch + index) / self.settings.steps
                bad |= ~self._step(chosen, t).isfinite()
            for stack, name, which, kept in held:
                stack[name].detach()[which] = kept
        self.model.eval()
        new = bad.cpu() & ~self.stopped
        self.stopped |= new
        return new.nonzero()[:, 0].tolist()

    @torch.no_grad()
    def _hold(self) -> list[tuple]:
        """Weights of members that have stopped, to be put back: the others' steps are taken for all."""
        if not bool(self.stopped.any()):
            return []
        which = self.stopped.nonzero()[:, 0].to(self.device)
        stacks = (self.params, self.buffers)
        return [(stack, name, which, value[which].clone()) for stack in stacks for name, value in stack.items()]

    def _step(self, chosen: torch.Tensor, t: float) -> torch.Tensor:
        """A step on the examples ``chosen (M, b)``; batch losses (M,)."""
        self.rates.set(t)
        self.stepper.zero_grad(set_to_none=True)
        x = self._take(self.x, chosen, self.stacked[0])
        y = map_targets(lambda part: self._take(part, chosen, self.stacked[1]), self.y)
        if self.augment is not None:
            x = torch.stack([self.augment(part, noise) for part, noise in zip(x, self.noises)])
        if self.objective is not None:
            losses = self._objective(x, y, t)
        else:
            losses = self.run(*self._loss_call(x, y, chosen))
        # A sum: every member's gradient is that of its own loss, and a nan among them stays where it is.
        losses.sum().backward()
        self.stepper.step()
        return losses.detach()

    def run(self, function, args: tuple, in_dims: tuple) -> torch.Tensor:
        """Results of all members, stacked; buffers are those of the members afterwards."""
        chosen = run_vectorized if self.vectorize else self.loop
        return chosen(self.model, self.params, self.buffers, function, args, in_dims)

    def _loss_call(self, x: torch.Tensor, y: Targets, chosen: torch.Tensor) -> tuple:
        """Function, arguments and their dimensions of members for the batch losses (M,)."""
        w = None if self.weights is None else self.weights.gather(1, chosen)
        dims = (0, 0, None if w is None else 0, 0 if self.loss_params else None)
        return self._batch_loss, (x, y, w, self.loss_params), dims

    def _first_batch(self) -> tuple:
        """``_loss_call`` of the first examples as they are."""
        chosen = torch.arange(min(self.n, self.settings.batch_size), device=self.device).expand(len(self.seeds), -1)
        x = self._take(self.x, chosen, self.stacked[0])
        return self._loss_call(x, map_targets(lambda part: self._take(part, chosen, self.stacked[1]), self.y), chosen)

    def _take(self, data: torch.Tensor, chosen: torch.Tensor, stacked: bool) -> torch.Tensor:
        """Examples of every member, (M, b, ...)."""
        if stacked:
            data, chosen = data.flatten(0, 1), chosen + self._offsets
        return data.index_select(0, chosen.reshape(-1)).unflatten(0, chosen.shape)

    def _batch_loss(self, model, x, y, w, keywords) -> torch.Tensor:
        values = check_values(self.loss(model(x), y, **keywords), len(x))
        return values.mean() if w is None else (values * w).mean()

    def _objective(self, x, y, t: float) -> torch.Tensor:
        if self.vectorized_objective:
            function = lambda model, inputs, targets: check_objective(  # noqa: E731
                self.objective(model, inputs, targets, t, self.noise)
            )
            return self.run(function, (x, y), (0, 0))
        noises = iter(self.noises)  # the loop calls the members in order
        function = lambda model, inputs, targets: check_objective(  # noqa: E731
            self.objective(model, inputs, targets, t, next(noises))
        )
        return self.run(function, (x, y), (0, 0))

    # --- record ---------------------------------------------------------------------------------------------------
    def record(self, epoch: int) -> None:
        """Append the metrics of all members on all sets."""
        step = epoch * self.settings.steps_per_epoch
        for name, (x, y, n, stacked, functions) in self.sets.items():
            values = self._measure(x, y, n, stacked, functions, check=epoch == 0).tolist()
            for member, row in enumerate(values):
                self.rows.extend(
                    (member, epoch, step, name, key, value, self.clock.seconds) for key, value in zip(functions, row)
                )

    @torch.no_grad()
    def _measure(self, x, y, n: int, stacked: tuple[bool, bool], functions: dict, check: bool) -> torch.Tensor:
        """(M, metrics) means over a set; with ``check``, labels are looked at before they are used."""
        count = len(self.seeds)
        totals = torch.zeros(count, len(functions), dtype=torch.float64, device=self.device)
        passes = {key: takes_keywords(f, self.loss_params) for key, f in functions.items()}

        def sums(model, inputs, targets, keywords):
            if check and start == 0:
                outputs = _validate.answer("model", model, inputs)
                check_labels(y, outputs, functions.values())
            else:
                outputs = model(inputs)
            values = [f(outputs, targets, **(keywords if passes[key] else {})) for key, f in functions.items()]
            return torch.stack([check_values(value, len(outputs)).double().sum() for value in values])

        dims = (0 if stacked[0] else None, 0 if stacked[1] else None, 0 if self.loss_params else None)
        chunk = rows_at_a_time(self.model, x[0] if stacked[0] else x, max(32, EVALUATION_ROWS // count))
        for start in range(0, n if functions else 0, chunk):
            part = slice(start, start + chunk)
            inputs = x[:, part] if stacked[0] else x[part]
            targets = map_targets(lambda value, part=part: value[:, part] if stacked[1] else value[part], y)
            totals += self.look(self.params, self.buffers, sums, (inputs, targets, self.loss_params), dims)
        return totals / n

    def ensemble(self, history: Any) -> Ensemble:
        """The members as they are now."""
        params = {name: value.detach() for name, value in self.params.items()}
        return Ensemble(self.model.eval(), params, dict(self.buffers), history)
