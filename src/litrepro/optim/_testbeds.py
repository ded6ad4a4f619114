"""Small seeded problems on which optimizers are compared, all step sizes and seeds at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from litrepro import _validate
from litrepro.optim._descend import descend
from litrepro.optim._rules import Rule, as_rule
from litrepro.optim._steps import unit_steps

if TYPE_CHECKING:
    import pandas as pd


class LogisticProblem(NamedTuple):
    """Logistic regression for S seeds: ``x (S, n, d)``, ``y (S, n)`` in {-1, 1}, float64.

    ``seeds`` are those of the S members, which decide the order of samples in training; 0, 1, ... if None.

    Examples
    --------
    >>> from litrepro.optim import logistic_problem
    >>> problem = logistic_problem(50, 4, [0, 1], sparse=True)
    >>> problem.x.shape, problem.y.unique().tolist()
    (torch.Size([2, 50, 4]), [-1.0, 1.0])
    """

    x: torch.Tensor
    y: torch.Tensor
    seeds: tuple[int, ...] | None = None


def logistic_problem(n: int, d: int, seeds: Sequence[int], *, sparse: bool, signal: float = 2.0) -> LogisticProblem:
    """Logistic regression with sparse or dense features.

    Sparse: feature j = 1..d is 1 with probability 1/j, else 0. Dense: standard normal divided by sqrt(d/log d), so that
    both kinds of row have about the same length. Labels follow the logistic model with weights N(0, signal^2).

    Raises ``ValueError`` unless n, d >= 2, there is a seed, and signal > 0.

    Examples
    --------
    >>> problem = logistic_problem(50, 4, [0, 1], sparse=True)
    >>> bool((problem.x[..., 0] == 1).all())  # feature 1 is always there, feature j with probability 1/j
    True
    """
    n, d = _validate.positive_int("n", n, 2), _validate.positive_int("d", d, 2)
    signal = _validate.real("signal", signal, 0, open_low=True)
    seeds = [_validate.seed("seed", seed) for seed in _validate.sequence("seeds", seeds)]
    xs, ys = [], []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        frequency = 1 / torch.arange(1, d + 1, dtype=torch.float64, device="cpu")
        if sparse:
            x = (torch.rand(n, d, generator=generator, dtype=torch.float64, device="cpu") < frequency).double()
        else:
            x = (
                torch.randn(n, d, generator=generator, dtype=torch.float64, device="cpu")
                * frequency.sum().div(d).sqrt()
            )
        weights = signal * torch.randn(d, generator=generator, dtype=torch.float64, device="cpu")
        chance = torch.sigmoid(x @ weights)
        y = torch.where(
            torch.rand(n, generator=generator, dtype=torch.float64, device="cpu") < chance, 1.0, -1.0
        ).double()
        xs.append(x)
        ys.append(y)
    return LogisticProblem(torch.stack(xs), torch.stack(ys), tuple(seeds))


def logistic_sweep(
    problem: LogisticProblem,
    rule: Rule,
    step_sizes: Sequence[float],
    *,
    steps: int = 400,
    batch: int = 10,
    decay: bool = False,
) -> pd.DataFrame:
    """Train from zero with every step size and seed at once; the order of samples depends on the seed alone.

    With ``decay`` the step size is lr/sqrt(t): the schedule that AdaGrad has built in, without its adaptation.

    Returns a tidy table ``seed, lr, loss`` with the seeds of the problem and the mean logistic loss over all n samples
    after ``steps`` mini-batches. Raises ``ValueError`` for a problem that is no ``LogisticProblem``, no step size, and
    sizes below 1.

    Examples
    --------
    >>> from litrepro.optim import rule
    >>> problem = logistic_problem(50, 4, [0], sparse=False)
    >>> table = logistic_sweep(problem, rule("sgd"), [0.1, 1.0], steps=20)
    >>> list(table.columns), bool((table["loss"] < 0.6931).all())  # below log 2, where it starts
    (['seed', 'lr', 'loss'], True)
    """
    import pandas as pd

    if not isinstance(problem, LogisticProblem):
        raise ValueError(f"problem must be a LogisticProblem, got {type(problem).__name__}")
    steps, batch = _validate.positive_int("steps", steps), _validate.positive_int("batch", batch)
    step_sizes = [
        _validate.real("step_sizes", v, 0, open_low=True) for v in _validate.sequence("step_sizes", step_sizes)
    ]
    x, y, seeds = problem
    members, n, d = x.shape
    seeds = tuple(range(members)) if seeds is None else seeds
    if len(seeds) != members:
        raise ValueError(f"problem must have one seed per member, got {len(seeds)} for {members}")
    lr = torch.tensor(step_sizes, dtype=x.dtype, device=x.device).repeat(members, 1)
    batches = torch.stack([_order(n, steps * batch, seed).reshape(steps, batch) for seed in seeds]).to(x.device)
    rows = torch.arange(members, device=x.device)[:, None]

    def grad(w: torch.Tensor, t: int) -> torch.Tensor:
        chosen = batches[:, t - 1]
        xb, yb = x[rows, chosen], y[rows, chosen]
        margin = torch.einsum("sbd,sld->slb", xb, w) * yb[:, None]
        return torch.einsum("slb,sbd->sld", -torch.sigmoid(-margin) * yb[:, None] / batch, xb)

    schedule = (lambda t: lr / t**0.5) if decay else lr
    w0 = x.new_zeros(members, len(step_sizes), d)
    w = descend(None, w0, rule, schedule, steps, grad=grad, record_every=steps).x[-1]
    loss = functional.softplus(-torch.einsum("snd,sld->sln", x, w) * y[:, None]).mean(-1)
    return pd.DataFrame(
        {
            "seed": torch.tensor(seeds, device="cpu").repeat_interleave(lr.shape[1]).numpy(),
            "lr": lr.flatten().cpu().numpy(),
            "loss": loss.flatten().cpu().numpy(),
        }
    )


def _order(n: int, length: int, seed: int) -> torch.Tensor:
    """Epoch after epoch of permutations, cut at ``length``."""
    generator = torch.Generator().manual_seed(10_000 + seed)
    return torch.cat([torch.randperm(n, generator=generator, device="cpu") for _ in range(-(-length // n))])[:length]


def effective_rates(rule: Rule, gradients: torch.Tensor, lr: float = 1.0) -> torch.Tensor:
    """Per-coordinate step size lr/H_t of a rule with second moment along given gradients (T, ..., d), same shape.

    Measured, not copied from a formula: a unit first moment is sent through the rule's own update, its bias correction
    and AdaDelta's accumulated steps included. 0 where the rule does not move: eps = 0 and no gradient but zeros so far.
    Raises ``ValueError`` for a rule without second moment and gradients that are none.

    Examples
    --------
    >>> import torch
    >>> from litrepro.optim import rule
    >>> effective_rates(rule("adagrad", eps=0.0), torch.ones(4, 1)).flatten()  # 1/sqrt(t)
    tensor([1.0000, 0.7071, 0.5774, 0.5000])
    """
    rule, lr = as_rule(rule), _validate.real("lr", lr, 0, open_low=True)
    if not len(_validate.float_tensor("gradients", gradients, 1)):
        raise ValueError(f"gradients must be (T, ..., d) with T >= 1, got {tuple(gradients.shape)}")
    if rule.second == "one":
        raise ValueError(f"{rule.name} has no second moment: its step size is the same for every coordinate")
    return unit_steps(rule, gradients.detach(), lr)
