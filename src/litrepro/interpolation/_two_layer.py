"""Two-layer networks of several widths, with and without reusing the narrower solution."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.interpolation import _arguments
from litrepro.interpolation._two_layer_run import NAMES, errors, train_members
from litrepro.nets import mlp
from litrepro.training import fit_ensemble

if TYPE_CHECKING:
    import pandas as pd

Data = tuple[torch.Tensor, torch.Tensor]


def two_layer_parameters(d: int, hidden: int, num_classes: int) -> int:
    """Parameters (d + 1) H + (H + 1) K of a network with H hidden units, biases included.

    Raises ``ValueError`` for sizes < 1. Source: Belkin et al. 2019, arXiv:1812.11118; section 2.3 of the review.

    Examples
    --------
    >>> two_layer_parameters(784, 50, 10)
    39760
    """
    d, hidden = _validate.positive_int("d", d), _validate.positive_int("hidden", hidden)
    num_classes = _validate.positive_int("num_classes", num_classes)
    return (d + 1) * hidden + (hidden + 1) * num_classes


def threshold_width(n: int, d: int, num_classes: int) -> float:
    """The H, not rounded, at which ``two_layer_parameters(d, H, K)`` is n K: one parameter per number to fit.

    Raises ``ValueError`` for sizes < 1. Source: Belkin et al. 2019, arXiv:1812.11118; section 2.3 of the review.

    Examples
    --------
    >>> round(threshold_width(4000, 784, 10), 1)
    50.3
    """
    n, d = _validate.positive_int("n", n), _validate.positive_int("d", d)
    num_classes = _validate.positive_int("num_classes", num_classes)
    return (n - 1) * num_classes / (d + 1 + num_classes)


def two_layer_curve(
    train: Data,
    test: Data,
    widths: Sequence[int],
    *,
    reuse: bool,
    epochs: int,
    lr: float = 0.02,
    momentum: float = 0.9,
    schedule: Callable[[float], float] | None = None,
    batch_size: int = 50,
    seeds: Sequence[int] = (0,),
    num_classes: int = 10,
    eval_every: int | None = None,
    progress: Any = iter,
) -> pd.DataFrame:
    """Train two-layer networks of several widths on the squared loss, all seeds of one width at once.

    The loss is summed over classes (one-hot targets) and averaged over examples.

    Parameters
    ----------
    train, test
        (x (n, ...), labels (n,)), float32 or float64 like the networks then, on the device of the run.
    widths
        Numbers H of hidden units, increasing.
    reuse
        Start every width from the solution of the one before; further hidden units start with random input weights and
        output weights of zero, so that the initial loss is the final loss before.
    epochs
        Per width.
    lr, momentum, schedule, batch_size
        As in ``training.fit``.
    seeds
        Of initial weights and batches; ``member`` is the index into them.
    num_classes
        Labels lie in 0..num_classes-1.
    eval_every
        None: one row per width and member, after the last epoch. Else a row every so many epochs (0 and the last
        included), with a column ``epoch``.
    progress
        Wraps the widths, e.g. ``ch.progress``.

    Returns
    -------
    DataFrame ``width, parameters, member, train_mse, test_mse, train_error, test_error``.

    Raises
    ------
    ValueError
        Widths that do not increase, no seeds, examples of two dtypes or another one, labels outside the range, and what
        ``training.fit_ensemble`` raises.

    Warns
    -----
    ConvergenceWarning
        Members that diverged; their errors are not finite.

    Source: Belkin et al. 2019, arXiv:1812.11118, section 3 and appendix; figures 4 to 6 of the review.

    Examples
    --------
    >>> x, labels = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    >>> frame = two_layer_curve((x, labels), (x, labels), [2, 4], reuse=True, epochs=0, num_classes=2)
    >>> frame.parameters.tolist(), frame.train_mse.nunique()
    ([14, 26], 1)
    """
    import pandas as pd

    widths = _arguments.widths(widths, increasing=True)
    num_classes = _validate.positive_int("num_classes", num_classes)
    epochs = _validate.positive_int("epochs", epochs, 0)
    seeds = [_validate.seed("seeds", value) for value in _validate.sequence("seeds", seeds)]
    _validate.function("progress", progress)
    every = max(1, epochs) if eval_every is None else _validate.positive_int("eval_every", eval_every)
    (x, y), (x_test, y_test) = (_arguments.labelled(n, d, num_classes) for n, d in (("train", train), ("test", test)))
    if x.dtype not in (torch.float32, torch.float64) or x_test.dtype != x.dtype:
        raise ValueError(f"train and test must both have float32 or float64 examples, got {x.dtype}, {x_test.dtype}")
    d = x[0].numel()
    if x_test[0].numel() != d:
        raise ValueError(f"train and test must have examples of one size, got {d} and {x_test[0].numel()}")
    lr, momentum = _validate.real("lr", lr, 0), _validate.real("momentum", momentum, 0)
    x, x_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1).to(x.device)
    x, x_test = x.detach(), x_test.detach()
    hot, hot_test = (functional.one_hot(labels, num_classes).to(x) for labels in (y, y_test))
    tables, previous = [], {}
    for width in progress(widths):
        start = fit_ensemble(  # of no length: the members, stacked, and a look at all settings
            _builder(d, width, num_classes, previous, x.dtype), seeds, (x, y), epochs=0, batch_size=batch_size, lr=lr,
            momentum=momentum, schedule=schedule, metrics=(),
        )  # fmt: skip
        weights = [start.params[name] for name in NAMES]
        records = [(0, _measure(weights, (x, hot), (x_test, hot_test)))]
        training = train_members(
            weights, x, hot, seeds, epochs=epochs, batch_size=batch_size, lr=lr, momentum=momentum, schedule=schedule
        )
        stopped: list[int] = []
        for epoch, lost in enumerate(training, 1):
            if lost:
                message = f"loss not finite in epoch {epoch}: member {', '.join(map(str, lost))} stops"
                warnings.warn(message, ConvergenceWarning, 2)
            stopped += lost
            if epoch % every == 0 or epoch == epochs or len(stopped) == len(seeds):
                records.append((epoch, _measure(weights, (x, hot), (x_test, hot_test))))
        bad = set((~records[-1][1][:, 0].isfinite()).nonzero()[:, 0].tolist()) - set(stopped)
        if bad:  # the last step of all may be the one that diverges
            message = f"training loss not finite at the end: member {', '.join(map(str, sorted(bad)))}"
            warnings.warn(message, ConvergenceWarning, 2)
        if reuse:
            previous = {seed: start.member(m) for m, seed in enumerate(seeds)}
        if eval_every is None:
            records = records[-1:]
        tables.append(_rows(records, width, two_layer_parameters(d, width, num_classes)))
    frame = pd.concat(tables, ignore_index=True)
    return frame.drop(columns="epoch") if eval_every is None else frame


def _measure(weights: list[torch.Tensor], *sets: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Squared and classification errors on training and test set, (M, 4), in the order of the table."""
    found = torch.stack([errors(weights, x, hot) for x, hot in sets], -1)  # (M, error, set)
    return found.flatten(1).cpu()


def _builder(
    d: int, width: int, num_classes: int, previous: dict[int, nn.Module], dtype: torch.dtype
) -> Callable[..., nn.Module]:
    """``model_fn`` of an ensemble: a fresh network, with the narrower one inside where there is one."""

    def build(seed: int) -> nn.Module:
        model = mlp(d, [width], num_classes, seed=seed).to(dtype)
        if seed in previous:
            with torch.no_grad():
                _embed(model, previous[seed])
        return model

    return build


def _embed(model: nn.Module, narrow: nn.Module) -> None:
    """Copy the narrower network into the first hidden units; the other units do not yet speak."""
    kept = narrow.head.in_features
    model.body[0].weight[:kept] = narrow.body[0].weight.cpu()
    model.body[0].bias[:kept] = narrow.body[0].bias.cpu()
    model.head.weight.zero_()
    model.head.weight[:, :kept] = narrow.head.weight.cpu()
    model.head.bias.copy_(narrow.head.bias.cpu())


def _rows(records: list[tuple[int, torch.Tensor]], width: int, parameters: int) -> pd.DataFrame:
    """One row per member and recorded epoch."""
    import pandas as pd

    columns = ["train_mse", "test_mse", "train_error", "test_error"]
    frame = pd.concat(
        [
            pd.DataFrame(values.numpy(), columns=columns).rename_axis("member").reset_index().assign(epoch=epoch)
            for epoch, values in records
        ]
    ).sort_values(["member", "epoch"], ignore_index=True)
    return frame.assign(width=width, parameters=parameters)[["width", "parameters", "member", "epoch", *columns]]
