"""Regressions of positive quantities on their logarithm: scores by cross-validation, and learning curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from litrepro import _validate
from litrepro.materials._elastic import within_share
from litrepro.materials._search import grouped_folds, grouped_predictions, top_precision

if TYPE_CHECKING:
    import pandas as pd

Fit = Callable[[Any, Any], Callable[[Any], Any]]
Targets = Mapping[str, torch.Tensor]


def cross_validated_scores(
    fits: Mapping[str, Fit],
    x: torch.Tensor,
    targets: Targets,
    groups: Sequence[Any],
    *,
    deals: int = 1,
    seed: int = 0,
    folds: int = 5,
    top: int = 40,
) -> tuple[pd.DataFrame, dict[tuple[str, str], torch.Tensor]]:
    """Scores of several regressions on several targets, groups dealt into folds ``deals`` times.

    Parameters
    ----------
    fits
        By name of the method, functions as ``grouped_predictions`` takes them.
    x
        (N, d) features.
    targets
        By name, decimal logarithms (N,) of what is predicted.
    groups
        (N,) rows of one group share a fold, see ``grouped_folds``; a deal has the seed ``seed`` plus its number.
    top
        Length of the list whose precision is scored.

    Returns
    -------
    DataFrame ``target, method, deal, r2, within, top{top}``: the explained share of the variance of the logarithm, the
    share of predictions within 20%, and ``top_precision``. And the out-of-fold predictions (N,) of the first deal by
    (target, method).

    Raises ``ValueError`` for no methods or targets, deals < 1, and what the three functions raise.

    Examples
    --------
    >>> x = torch.linspace(0, 1, 8, dtype=torch.float64)[:, None]
    >>> knows = lambda x, y: lambda new: 2 * new[:, 0]
    >>> scores, _ = cross_validated_scores({"exact": knows}, x, {"y": 2 * x[:, 0]}, range(8), folds=2, top=2)
    >>> scores[["r2", "within", "top2"]].round(9).to_numpy().tolist()
    [[1.0, 1.0, 0.5]]
    """
    import pandas as pd

    deals, seed = _validate.positive_int("deals", deals), _validate.seed("seed", seed)
    _named("fits", fits), _named("targets", targets)
    rows: list[dict[str, Any]] = []
    first: dict[tuple[str, str], torch.Tensor] = {}
    for deal in range(deals):
        dealt = grouped_folds(groups, folds, seed=seed + deal)
        for target, y in targets.items():
            for method, fit in fits.items():
                predicted = grouped_predictions(fit, x, y, dealt)
                first.setdefault((target, method), predicted)
                unexplained = (predicted - y).square().sum() / (y - y.mean()).square().sum()
                scores = {"r2": 1 - unexplained.item(), "within": within_share(10**predicted, 10**y)}
                scores[f"top{top}"] = top_precision(predicted, y, top)
                rows.append({"target": target, "method": method, "deal": deal} | scores)
    return pd.DataFrame(rows), first


def learning_curve(
    fits: Mapping[str, Fit],
    x: torch.Tensor,
    targets: Targets,
    test: torch.Tensor,
    sizes: Sequence[int],
    orders: Sequence[torch.Tensor],
) -> pd.DataFrame:
    """Median relative error on held-out rows against the number of rows that a regression was fitted to.

    Parameters
    ----------
    fits, x, targets
        As in ``cross_validated_scores``.
    test
        (N,) bool, the rows that are held out.
    sizes
        Numbers n of training rows.
    orders
        Of every draw the indices of the other rows, shuffled: the first n of them train.

    Returns
    -------
    DataFrame ``n, method, target, deal, error``: 10^(median |difference of logarithms|) - 1.

    Raises ``ValueError`` for no methods, targets, sizes or orders, a size beyond the shortest order, held-out rows in
    an order, and shapes that do not fit.

    Examples
    --------
    >>> x, mean = torch.arange(6.0)[:, None], lambda x, y: lambda new: 0 * new[:, 0] + y.mean()
    >>> test = torch.arange(6) > 3
    >>> learning_curve({"mean": mean}, x, {"y": x[:, 0] * 0 + 1}, test, [1, 4], [torch.arange(4)]).error.tolist()
    [0.0, 0.0]
    """
    import pandas as pd

    _named("fits", fits), _named("targets", targets)
    _validate.float_tensor("x", x, 2)
    _validate.boolean_tensor("test", test, 1)
    sizes = [_validate.positive_int("sizes", size) for size in _validate.sequence("sizes", sizes)]
    orders = [_validate.integer_tensor("orders", order, 1) for order in _validate.sequence("orders", orders)]
    for name, y in targets.items():
        if _validate.float_tensor(name, y, 1).shape != test.shape or len(x) != len(test):
            raise ValueError(f"x, test and {name} must have one length, got {len(x)}, {len(test)}, {tuple(y.shape)}")
    if max(sizes) > min(map(len, orders)) or any(bool(test[order].any()) for order in orders):
        raise ValueError(f"orders must hold at least {max(sizes)} rows, none of them held out")
    rows = []
    for deal, order in enumerate(orders):
        for size in sizes:
            chosen = order[:size]
            for target, y in targets.items():
                for method, fit in fits.items():
                    predicted = torch.as_tensor(fit(x[chosen].numpy(), y[chosen].numpy())(x[test].numpy()))
                    error = 10 ** (predicted - y[test]).abs().median().item() - 1
                    rows.append({"n": size, "method": method, "target": target, "deal": deal, "error": error})
    return pd.DataFrame(rows)


def _named(name: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{name} must be a mapping from names, not empty, got {type(value).__name__}")
